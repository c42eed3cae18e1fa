package results

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness/check"
	"screwtape/harness/history"
)

// A run's files, phase after phase; and what can be read had it been killed
// there.
func TestRunPhases(t *testing.T) {
	root := t.TempDir()
	test := Test{Name: "queue C4/x", Nodes: []string{"a", "b"}, Seed: 1<<64 - 1, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	run, err := Create(root, test)
	if err != nil {
		t.Fatal(err)
	}
	phase := func(want Phase) {
		t.Helper()
		got, err := Open(filepath.Join(root, "latest"))
		if err != nil {
			t.Fatal(err)
		}
		if got.Phase != want || run.Phase != want {
			t.Errorf("phase %s on disk, %s in memory, want %s", got.Phase, run.Phase, want)
		}
		if diff := cmp.Diff(test, got.Test); diff != "" {
			t.Error(diff)
		}
	}
	phase(Started)
	if want := filepath.Join(root, "queue-C4-x", "20260102T030405-1"); run.Dir != want {
		t.Errorf("directory %s, want %s", run.Dir, want)
	}

	var rec history.Recorder
	rec.Did("client", "enqueue", "m0")
	if err := run.WriteHistory(rec.Ops()); err != nil {
		t.Fatal(err)
	}
	phase(Played)
	ops, err := run.History()
	if diff := cmp.Diff(rec.Ops(), ops); err != nil || diff != "" {
		t.Error(err, diff)
	}

	if err := run.WriteLogs([]history.Line{{Process: "a/runner", Text: "one"}, {Process: "b/runner.1", Text: "x"}, {Process: "a/runner", Text: "two"}}); err != nil {
		t.Fatal(err)
	}
	if err := run.Logf("%d schedules", 3); err != nil {
		t.Fatal(err)
	}
	tape, err := run.WriteTape("lost message 1", "screwtape tape 1\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	report := Report{Test: test.Name, Verdict: check.Invalid, Run: run.Dir, Anomalies: []Anomaly{{Anomaly: check.Anomaly{Kind: "lost-message"}, Tape: tape}}}
	if err := run.WriteVerdict(report); err != nil {
		t.Fatal(err)
	}
	phase(Judged)

	got := map[string]string{}
	fs.WalkDir(os.DirFS(run.Dir), ".", func(p string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			data, _ := os.ReadFile(filepath.Join(run.Dir, p))
			got[p] = string(data)
		}
		return nil
	})
	for file, want := range map[string]string{
		"log": "3 schedules\n", "logs/a/runner.log": "one\ntwo\n", "logs/b/runner.1.log": "x\n",
		"tapes/lost-message-1.tape": "screwtape tape 1\n",
	} {
		if got[file] != want {
			t.Errorf("%s: %q, want %q", file, got[file], want)
		}
		delete(got, file)
	}
	for _, file := range []string{"test.json", "history.jsonl", "history.edn", "verdict.json"} {
		if got[file] == "" {
			t.Errorf("%s is missing", file)
		}
		delete(got, file)
	}
	if len(got) > 0 {
		t.Errorf("further files: %v", got)
	}
	if tapeIn(tape) != "tapes/lost-message-1.tape" || tapeIn("workloads/claims/c3.tape") != "" || tapeIn("../tapes/../x.tape") != "" {
		t.Error("tapeIn")
	}
	if err := run.WriteFile("../x", nil); err == nil {
		t.Error("a file was written outside the run")
	}
}

func TestLatestIsRelative(t *testing.T) {
	root := t.TempDir()
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"x", "y", "x"} {
		if _, err := Create(root, Test{Name: name, Started: when}); err != nil {
			t.Fatal(err)
		}
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(root, moved); err != nil {
		t.Fatal(err)
	}
	for link, want := range map[string]string{"latest": "x/20260102T030405-2", "x/latest": "20260102T030405-2", "y/latest": "20260102T030405-1"} {
		got, err := os.Readlink(filepath.Join(moved, link))
		if err != nil || got != want {
			t.Errorf("%s leads to %q, %v, want %q", link, got, err, want)
		}
		if _, err := Open(filepath.Join(moved, link)); err != nil {
			t.Error(err)
		}
	}
}

// Runs that begin in the same second get directories of their own.
func TestCreateAtOnce(t *testing.T) {
	root := t.TempDir()
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dirs := make([]string, 20)
	var g sync.WaitGroup
	for i := range dirs {
		g.Go(func() {
			run, err := Create(root, Test{Name: "x", Seed: uint64(i), Started: when})
			if err != nil {
				t.Error(err)
				return
			}
			dirs[i] = run.Dir
		})
	}
	g.Wait()
	for i, dir := range dirs {
		if run, err := Open(dir); err != nil || run.Test.Seed != uint64(i) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v; want latest and x alone", entries, err)
	}
}

// What a run that was killed while it wrote a file leaves behind disturbs
// nobody, and is replaced when it goes on.
func TestHalfAFile(t *testing.T) {
	run, err := Create(t.TempDir(), Test{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run.Dir, "verdict.json.tmp"), []byte(`{"sch`), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := Open(run.Dir); err != nil || got.Phase != Started {
		t.Errorf("phase %v, %v", got, err)
	}
	if err := run.WriteVerdict(Report{Verdict: check.Valid}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(run.Dir, "verdict.json.tmp")); !os.IsNotExist(err) {
		t.Error("half a file is left")
	}
}

// Names of tests that try to be something else stay directories below the root.
func TestDirName(t *testing.T) {
	for name, want := range map[string]string{
		"queue": "queue", "": "test", "..": "test", "../../etc": "-..-etc", "a/b c": "a-b-c", "latest": "testlatest", ".hidden": "hidden", "é\n": "--",
	} {
		if got := dirName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestListShowsHalfWrittenRuns(t *testing.T) {
	root := t.TempDir()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var want []string
	add := func(what string, damage func(*Run) error) {
		start = start.Add(time.Second)
		run, err := Create(root, Test{Name: "t" + what[:1], Started: start})
		if err == nil {
			err = damage(run)
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append([]string{run.Dir + " " + what}, want...)
	}
	add("created", func(r *Run) error { return os.Remove(filepath.Join(r.Dir, "test.json")) })
	add("started", func(r *Run) error { return nil })
	add("history", func(r *Run) error { return r.WriteHistory(nil) })
	add("verdict", func(r *Run) error { return r.WriteVerdict(Report{Verdict: check.Valid}) })
	add("started and damaged", func(r *Run) error { return r.WriteFile("verdict.json", []byte(`{"schema":`)) })
	add("started and damaged", func(r *Run) error { return r.WriteFile("verdict.json", []byte(`{"schema":99}`)) })
	for _, stray := range []string{"file", "ts/20260102T030405", "ts/20260102T030405-x", "ts/notes-1"} {
		os.MkdirAll(filepath.Join(root, filepath.Dir(stray)), 0o777)
		os.WriteFile(filepath.Join(root, stray), nil, 0o666)
	}
	runs, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range runs {
		what := r.Dir + " " + string(r.Phase)
		if r.Problem != "" {
			what += " and damaged"
			if _, err := Open(r.Dir); err == nil {
				t.Errorf("%s opens although %s", r.Dir, r.Problem)
			}
		}
		got = append(got, what)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if runs, err := List(filepath.Join(root, "not there")); err != nil || len(runs) > 0 {
		t.Error(runs, err)
	}
}

func fill(t testing.TB, root string, n int) {
	_, _, v := lost()
	for i := range n {
		run, err := Create(root, Test{Name: fmt.Sprintf("t%d", i%10), Started: time.Date(2026, 1, 2, 3, i/60, i%60, 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		r := Report{Verdict: v.Verdict}
		for range 10 {
			r.Anomalies = append(r.Anomalies, Anomaly{Anomaly: v.Anomalies[0]})
		}
		if err := run.WriteVerdict(r); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	root := b.TempDir()
	fill(b, root, 1000)
	for b.Loop() {
		if _, err := List(root); err != nil {
			b.Fatal(err)
		}
	}
}
