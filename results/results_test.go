package results

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

const entry = "qfiles/out/1700000000.0+0123456789abcdef0123456789abcdef01234567"

// lost is a schedule in which b preserves what a has taken, a is killed, and
// so the message is lost: claim C4.
func lost() (initial []history.Change, steps []history.Step, v check.Verdict) {
	initial = []history.Change{
		{Path: "qfiles", Dir: true, Link: 3}, {Path: "qfiles/out", Dir: true, Link: 2}, {Path: "qfiles/bad", Dir: true, Link: 2},
		{Path: entry + ".pck", Size: 1234, Link: 1, Note: "m0"},
	}
	step := func(process, verb, outcome string, conflict int, names []string, changes ...history.Change) {
		steps = append(steps, history.Step{
			Decision: schedule.Decision{Process: process, Verb: verb, Names: names, Outcome: outcome},
			Index:    len(steps), Time: time.Duration(len(steps)) * time.Millisecond, Conflict: conflict, Changes: changes,
		})
	}
	names := func(n ...string) []string { return n }
	psv := strings.Replace(entry, "out", "bad", 1) + ".psv"
	step("a/runner", "wake", "", -1, nil)
	step("b/runner", "wake", "", -1, nil)
	step("a/runner", "open", "ok", -1, names(entry+".pck"))
	step("a/runner", "rename", "ok", -1, names(entry+".pck", entry+".bak"),
		history.Change{Path: entry + ".pck", Gone: true}, history.Change{Path: entry + ".bak", Size: 1234, Link: 1, Note: "m0"})
	step("b/runner", "open", "ENOENT", 3, names(entry+".pck"))
	steps[4].Lines = []history.Line{
		{Process: "b/runner", Text: "Uncaught runner exception: [Errno 2] No such file or directory: '/shared/" + entry + ".pck'"},
		{Process: "b/runner", Text: "Skipping and preserving unparseable message: " + path.Base(entry)},
	}
	step("b/runner", "mkdir", "EEXIST", -1, names("qfiles/bad"))
	step("b/runner", "rename", "ok", 3, names(entry+".bak", psv),
		history.Change{Path: entry + ".bak", Gone: true}, history.Change{Path: psv, Size: 1234, Link: 1, Note: "m0"})
	step("a/runner", "crash", "", -1, nil)
	step("a/runner", "start", "", -1, nil)
	v = check.JudgeMessages(check.ExactlyOnce,
		[]check.Message{{ID: "m0", Accepted: true, Places: []string{check.Psv}}},
		[]check.Misleading{{Process: "b/runner", ID: "m0", Step: 4, Text: "Skipping and preserving unparseable message: " + path.Base(entry)}})
	return initial, steps, v
}

// lostReport is the report of a run that found it. The tape is in dir.
func lostReport(t *testing.T, dir string) Report {
	t.Helper()
	tape := filepath.Join(dir, "tapes", "1.tape")
	if err := os.MkdirAll(filepath.Dir(tape), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tape, []byte("screwtape tape 1\ntest: C4\n\na/runner rename *.pck *.bak\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, _, v := lost()
	r := Report{Test: "C4", Workload: "queue", Profile: "2.1.39", Promise: string(check.ExactlyOnce), Verdict: v.Verdict,
		Schedules: 300, Traces: 41, Faults: map[string]int{"crash": 12, "defer": 3}, Seconds: 1.5, Seed: 7, Run: dir}
	for _, a := range v.Anomalies {
		r.Anomalies = append(r.Anomalies, Anomaly{Anomaly: a, Tape: tape, Replay: "screwtape replay " + tape})
	}
	return r
}

func TestStoryOfALoss(t *testing.T) {
	_, steps, v := lost()
	want := []string{
		"a/runner takes m0: renames it from .pck to .bak",
		"b/runner finds m0.pck missing: ENOENT",
		"b/runner says: Uncaught runner exception: [Errno 2] No such file or directory: '/shared/qfiles/out/m0.pck'",
		"b/runner says: Skipping and preserving unparseable message: m0",
		"b/runner sets m0 aside as damaged: renames it from .bak to bad/.psv",
		"a/runner is killed",
		"a/runner is started again",
		"In the end: m0 was accepted and never delivered; what is left of it is .psv, which nothing reads again (lost-message).",
		"In the end: b/runner reported m0 as damaged, which it never was: Skipping and preserving unparseable message: m0 (misleading-error).",
	}
	if diff := cmp.Diff(want, Story(nil, steps, v)); diff != "" {
		t.Error(diff)
	}
}

func TestStoryWords(t *testing.T) {
	for _, c := range []struct {
		verb, outcome string
		names         string
		want          string
	}{
		{"deliver", "250", "m0", "a/runner delivers m0"},
		{"deliver", "554", "m0", "a/runner tries to deliver m0: the mail sink answers 554"},
		{"defer", "451", "m0", "a/runner tries to deliver m0: the mail sink puts it off (451)"},
		{"hangup", "421", "m0", "a/runner tries to deliver m0: the mail sink hangs up (421)"},
		{"rename", "ok", "q/out/1+a.bak q/out/1+a.pck", "a/runner puts m0 back into the queue: renames it from .bak to .pck"},
		{"rename", "ok", "q/out/1+a.pck.tmp q/out/1+a.pck", "a/runner puts m0 into the queue out"},
		{"rename", "ENOENT", "q/out/1+a.pck q/out/1+a.bak", "a/runner finds m0.pck missing when it comes to rename it: ENOENT"},
		{"unlink", "ok", "q/out/1+a.bak", "a/runner removes m0.bak"},
		{"link", "EEXIST", "locks/x.a.1 locks/x", "a/runner does not get the lock x, which is there already: EEXIST"},
		{"link", "ok", "locks/x.lock.a.1 locks/x.lock", "a/runner takes the lock x.lock: links x.lock.a.1 to it"},
		{"link", "ok", "locks/x locks/x.a.2", "a/runner passes the lock x on: links it to x.a.2"},
		{"link", "ok", "lists/t/config.pck lists/t/config.pck.last", "a/runner links config.pck to config.pck.last"},
		{"unlink", "ENOENT", "lists/t/config.pck.last", "a/runner finds config.pck.last missing when it comes to remove it: ENOENT"},
		{"skew", "", "1h0m0s", "a/runner has its clock set by 1h0m0s"},
		{"powerloss", "", "", "a/runner loses power, as do all nodes: what was not synced is gone"},
		{"pause", "", "", "a/runner stands still from here on"},
		{"resume", "", "", "a/runner goes on"},
		{"rename", "ok", "config.pck.tmp.a.1 config.pck", "a/runner renames config.pck.tmp.a.1 to config.pck"},
		{"write", "ENOSPC", "q/out/1+a.pck.tmp", "a/runner fails to write m0.tmp: ENOSPC"},
	} {
		steps := []history.Step{{
			Decision: schedule.Decision{Process: "a/runner", Verb: c.verb, Outcome: c.outcome, Names: strings.Fields(c.names)},
			Conflict: 0, Changes: []history.Change{{Path: "q/out/1+a.pck", Note: "m0"}},
		}}
		got := Story(nil, steps, check.Verdict{Verdict: check.Valid, Anomalies: []check.Anomaly{{Subject: "m0", Explanation: "x"}}})
		if got[0] != c.want {
			t.Errorf("%s %s: got %q, want %q", c.verb, c.names, got[0], c.want)
		}
	}
}

// What becomes of a lock is told as that, and a long sleep too.
func TestStoryOfALock(t *testing.T) {
	var steps []history.Step
	var now time.Duration
	step := func(process, verb, outcome string, names ...string) {
		steps = append(steps, history.Step{Decision: schedule.Decision{Process: process, Verb: verb, Names: names, Outcome: outcome}, Index: len(steps), Time: now, Conflict: -1})
	}
	step("a/add", "link", "ok", "locks/x.lock.a.1", "locks/x.lock")
	step("b/add", "link", "EEXIST", "locks/x.lock.b.1", "locks/x.lock")
	now = 5*time.Hour + 300*time.Millisecond
	step("b/add", "wake", "")
	step("b/add", "unlink", "ok", "locks/x.lock")
	step("b/add", "link", "ok", "locks/x.lock.b.1", "locks/x.lock")
	step("b/add", "unlink", "ok", "locks/x.lock")
	step("b/add", "unlink", "ok", "locks/x.lock.b.1")
	step("a/add", "link", "ok", "local:locks/y.lock.a.1", "local:locks/y.lock")
	step("b/add", "link", "ok", "local:locks/y.lock.b.1", "local:locks/y.lock")
	step("a/add", "unlink", "ok", "local:locks/y.lock")
	now += time.Hour
	step("b/add", "wake", "") // and does nothing
	want := []string{
		"a/add takes the lock x.lock: links x.lock.a.1 to it",
		"b/add does not get the lock x.lock, which is there already: EEXIST",
		"b/add wakes, 5h0m0s later",
		"b/add removes the lock x.lock, which a/add had taken",
		"b/add takes the lock x.lock: links x.lock.b.1 to it",
		"b/add lets the lock x.lock go: removes it",
		"b/add removes x.lock.b.1",
		"a/add takes the lock y.lock of its own node: links y.lock.a.1 to it",
		"b/add takes the lock y.lock of its own node: links y.lock.b.1 to it",
		"a/add lets the lock y.lock of its own node go: removes it",
		"In the end: all is as the test promises.",
	}
	if diff := cmp.Diff(want, Story(nil, steps, check.Verdict{Verdict: check.Valid})); diff != "" {
		t.Error(diff)
	}
}

// Where nothing is of more weight than what there is too much of, its begin and
// end are told; and what the anomaly is about, by its name, goes before the rest,
// with what is near it.
func TestStoryOfTooMuch(t *testing.T) {
	var steps []history.Step
	for i := range 100 {
		steps = append(steps, history.Step{Decision: schedule.Decision{Process: "a/add", Verb: "link", Names: []string{fmt.Sprintf("x%d", i), fmt.Sprintf("y%d", i)}, Outcome: "ok"}, Index: i, Conflict: -1})
	}
	about := func(subject string) []string {
		return Story(nil, steps, check.Verdict{Verdict: check.Invalid, Anomalies: []check.Anomaly{{Kind: check.LostUpdate, Subject: subject, Explanation: "x"}}})
	}
	if story := about("z"); len(story) != MaxStory || story[0] != "a/add links x0 to y0" {
		t.Errorf("%d lines: %q", len(story), story)
	}
	if story := about("y50"); len(story) != MaxStory || story[9] != "a/add links x50 to y50" { // in the midst of what is near it
		t.Errorf("%d lines: %q", len(story), story)
	}
}

// However long a schedule is, its story fits into a mail, and keeps how it
// begins and ends.
func TestLongStory(t *testing.T) {
	_, steps, v := lost()
	for i := range 500 {
		p := fmt.Sprintf("a/r%d", i%7)
		steps = append(steps, history.Step{Decision: schedule.Decision{Process: p, Verb: "unlink", Outcome: "ok", Names: []string{entry + ".bak"}}, Index: len(steps), Conflict: -1})
	}
	steps = append(steps, history.Step{Decision: schedule.Decision{Process: "b/runner", Verb: "crash"}, Index: len(steps), Conflict: -1})
	story := Story(nil, steps, v)
	if len(story) != MaxStory {
		t.Errorf("%d lines", len(story))
	}
	n := len(story) - 3
	if story[0] != "a/runner takes m0: renames it from .pck to .bak" || story[n] != "b/runner is killed" {
		t.Errorf("begins %q, ends %q", story[0], story[n])
	}
	if !slices.ContainsFunc(story, func(s string) bool { return strings.Contains(s, "lines are left out here") }) {
		t.Errorf("does not say what is left out:\n%s", strings.Join(story, "\n"))
	}
	for _, line := range story {
		if strings.ContainsAny(line, "\n\r") || len(line) > 400 {
			t.Errorf("line %q", line)
		}
	}
}

// Whatever the steps and names are, a story is short and of plain lines.
func TestStoryOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"ok", "ENOENT", "EEXIST", "rename", "open", "deliver", "start", "crash", "a/runner", "q/1+a.pck", "q/1+a.bak", "m0", ""}))
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) history.Step {
			return history.Step{
				Decision: schedule.Decision{Process: text.Draw(t, "process"), Verb: text.Draw(t, "verb"), Outcome: text.Draw(t, "outcome"), Names: rapid.SliceOfN(text, 0, 3).Draw(t, "names")},
				Index:    rapid.IntRange(0, 9).Draw(t, "index"), Conflict: rapid.IntRange(-1, 3).Draw(t, "conflict"),
				Lines:   []history.Line{{Process: text.Draw(t, "who"), Text: text.Draw(t, "line")}},
				Changes: []history.Change{{Path: text.Draw(t, "path"), Note: text.Draw(t, "note")}},
			}
		}), 0, 60).Draw(t, "steps")
		kind := rapid.SampledFrom(check.Kinds)
		anomalies := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) check.Anomaly {
			return check.Anomaly{Kind: kind.Draw(t, "kind"), Subject: text.Draw(t, "subject"), Explanation: text.Draw(t, "explanation"), Step: rapid.IntRange(-1, 9).Draw(t, "step")}
		}), 0, 9)
		v := check.Verdict{Verdict: check.Invalid, Anomalies: anomalies.Draw(t, "anomalies"), Allowed: anomalies.Draw(t, "allowed")}
		story := Story(nil, steps, v)
		if len(story) == 0 || len(story) > MaxStory {
			t.Errorf("%d lines", len(story))
		}
		for _, line := range story {
			if oneLine(line) != line || len(line) > 2000 {
				t.Errorf("%q", line)
			}
		}
	})
}

// A program that ends again and again is heard.
func TestStoryOfACrashLoop(t *testing.T) {
	var steps []history.Step
	for i := range 30 {
		steps = append(steps, history.Step{
			Decision: schedule.Decision{Process: "a/runner", Verb: "start"}, Index: i, Conflict: -1,
			Lines: []history.Line{{Process: "a/runner", Text: "ValueError: foo.pck"}, {Process: "b/runner", Text: "hello"}},
		})
	}
	want := []string{
		"a/runner says: ValueError: foo.pck (30 times)",
		"In the end: a/runner is started no more (stuck).",
	}
	v := check.Verdict{Verdict: check.Invalid, Anomalies: []check.Anomaly{{Kind: check.Stuck, Subject: "a/runner", Step: -1, Explanation: "a/runner is started no more"}}}
	if diff := cmp.Diff(want, Story(nil, steps, v)); diff != "" {
		t.Error(diff)
	}
}

// Only what ran before is started again, and only once for each time that it was
// taken.
func TestStoryOfStarts(t *testing.T) {
	step := func(process, verb string) history.Step {
		return history.Step{Decision: schedule.Decision{Process: process, Verb: verb}}
	}
	for _, c := range []struct {
		steps []history.Step
		want  bool // the last is told as a start again
	}{
		{[]history.Step{step("a/r", "open"), step("a/r", schedule.Crash), step("a/r", schedule.Start)}, true},
		{[]history.Step{step("a/r", schedule.Crash), step("a/r", schedule.Start)}, true},
		{[]history.Step{step("a/r.1", "open"), step("a", schedule.Crash), step("a/r", schedule.Start)}, true},
		{[]history.Step{step("a/r", "open"), step("a", schedule.Crash), step("a", schedule.Start)}, true},
		{[]history.Step{step("a/r", "open"), step("a", schedule.Crash), step("b/r", schedule.Start)}, false},
		{[]history.Step{step("a/r", "open"), step("server", schedule.PowerLoss), step("a/r", schedule.Start)}, true},
		{[]history.Step{step("a/r", "open"), step("server", schedule.PowerLoss), step("b/late", schedule.Start)}, false},
		{[]history.Step{step("a/r", "open"), step("server", schedule.PowerLoss), step("a/r", schedule.Start), step("a/r", schedule.Start)}, false},
		{[]history.Step{step("a/r", schedule.Start)}, false},
	} {
		teller, text := newTeller(nil), ""
		for _, s := range c.steps {
			text, _ = teller.tell(s)
		}
		if got := text == "is started again"; got != c.want {
			t.Errorf("%v: %s", c.steps, text)
		}
	}
}

func TestStoryWithoutAnomalies(t *testing.T) {
	for v, want := range map[string]check.Verdict{
		"In the end: all is as the test promises.":                          {Verdict: check.Valid},
		"In the end: it cannot be told whether all is well: hit the bound.": {Verdict: check.Unknown, Why: "hit the bound"},
	} {
		if got := Story(nil, nil, want); len(got) != 1 || got[0] != v {
			t.Errorf("got %q, want %q", got, v)
		}
	}
}

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

// An empty report has every required key, and lists where lists are promised.
func TestReportJSON(t *testing.T) {
	data, err := json.Marshal(Report{Verdict: check.Valid, Cells: []Cell{{}}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "null") {
		t.Errorf("null in %s", data)
	}
	r := lostReport(t, t.TempDir())
	data, err = json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	r.Schema, r.Allowed = SchemaVersion, []Anomaly{}
	if diff := cmp.Diff(r, again); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"lost-message", "misleading-error"}, again.Kinds()); diff != "" {
		t.Error(diff)
	}
}

// The JSON schema describes exactly the keys that a Report has, with their
// types, and docs/verdict-schema.md names each of them.
func TestReportKeysAreThoseOfTheSchema(t *testing.T) {
	data, err := os.ReadFile("../docs/verdict.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/verdict-schema.md")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "report", reflect.TypeFor[Report](), schema, schema["$defs"].(map[string]any), string(doc))
	if got := schema["properties"].(map[string]any)["schema"].(map[string]any)["const"]; got != float64(SchemaVersion) {
		t.Errorf("the schema is for version %v", got)
	}
}

func compare(t *testing.T, where string, typ reflect.Type, schema, defs map[string]any, doc string) {
	if ref, ok := schema["$ref"].(string); ok {
		schema = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	kind := map[reflect.Kind]string{
		reflect.String: "string", reflect.Int: "integer", reflect.Uint64: "integer", reflect.Float64: "number",
		reflect.Bool: "boolean", reflect.Slice: "array", reflect.Map: "object", reflect.Struct: "object",
	}[typ.Kind()]
	if schema["type"] != kind {
		t.Errorf("%s is %s, and %v in the schema", where, kind, schema["type"])
		return
	}
	switch typ.Kind() {
	case reflect.Slice:
		compare(t, where+"[]", typ.Elem(), schema["items"].(map[string]any), defs, doc)
	case reflect.Map:
		compare(t, where+"{}", typ.Elem(), schema["additionalProperties"].(map[string]any), defs, doc)
	case reflect.Struct:
		properties := maps.Clone(schema["properties"].(map[string]any))
		var required []string
		for _, f := range reflect.VisibleFields(typ) {
			if f.Anonymous {
				continue
			}
			key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			property, ok := properties[key].(map[string]any)
			if !ok {
				t.Errorf("%s.%s is not in the schema", where, key)
				continue
			}
			if !strings.Contains(doc, "`"+key+"`") {
				t.Errorf("%s.%s is not in docs/verdict-schema.md", where, key)
			}
			delete(properties, key)
			if options != "omitempty" {
				required = append(required, key)
			}
			compare(t, where+"."+key, f.Type, property, defs, doc)
		}
		for key := range properties {
			t.Errorf("%s.%s is in the schema alone", where, key)
		}
		var got []string
		list, _ := schema["required"].([]any)
		for _, key := range list {
			got = append(got, key.(string))
		}
		slices.Sort(got)
		slices.Sort(required)
		if diff := cmp.Diff(required, got); diff != "" {
			t.Errorf("%s: required: %s", where, diff)
		}
	}
}

func TestJUnit(t *testing.T) {
	found := lostReport(t, t.TempDir())
	found.Anomalies[1].Unconfirmed = true
	found.Anomalies[1].Explanation = "bad bytes \x00\x1b ]]> <b>"
	text, err := JUnit(found,
		Report{Test: "fine", Verdict: check.Valid, Seconds: 2},
		Report{Test: "open", Verdict: check.Unknown, Why: "hit the bound"},
		Report{Test: "reproduce", Verdict: check.Invalid, Claims: []Claim{
			{ID: "C3", Expected: "stray-copy", Observed: "stray-copy", OK: true},
			{ID: "C7", Expected: "none", Observed: "corrupt-state", Tape: "it's.tape"},
			{ID: "N4", Expected: "lost-message", Observed: "none", Open: true},
		}, SetUps: []SetUp{
			{ID: "slices", OK: true},
			{ID: "one-host", Observed: []string{"lost-message"}, Tape: "one-host.tape", Replay: "screwtape replay one-host.tape"},
			{ID: "same-slice", Expected: "stray-copy", Why: "it did not come"},
		}, Cells: []Cell{{Profile: "2.1.15", Anomalies: []string{"split-brain"}}}, Cases: []Case{{ID: "mp", View: "nfs3"}}})
	if err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 12 || got.Failures != 5 || got.Errors != 3 || got.Skipped != 1 || len(got.Suites) != 4 {
		t.Errorf("%d tests, %d failures, %d errors, %d skipped, %d suites", got.Tests, got.Failures, got.Errors, got.Skipped, len(got.Suites))
	}
	failure := got.Suites[0].Cases[0].Failure.Text
	for _, want := range []string{found.Anomalies[0].Replay, "a/runner rename *.pck *.bak", found.Anomalies[0].Explanation} {
		if !strings.Contains(failure, want) {
			t.Errorf("the failure lacks %q:\n%s", want, failure)
		}
	}
	if text := got.Suites[3].Cases[1].Failure.Text; !strings.Contains(text, `screwtape replay 'it'\''s.tape'`) {
		t.Error(text)
	}
}

func TestSummary(t *testing.T) {
	r := lostReport(t, t.TempDir())
	r.Allowed = []Anomaly{{Anomaly: check.Anomaly{Kind: "stray-copy"}}}
	got := Summary(r)
	for _, want := range []string{"❌ invalid", "1 lost-message, 1 misleading-error", "300 schedules", "<details><summary><b>lost-message</b> m0", "screwtape replay ", "a/runner rename *.pck *.bak", "Within the promise: 1 stray-copy"} {
		if !strings.Contains(got, want) {
			t.Errorf("the summary lacks %q:\n%s", want, got)
		}
	}
}

// However much there is to say, and whatever things are called, a summary is
// short and has no markup but its own.
func TestSummaryOfHostileNames(t *testing.T) {
	r := Report{Test: "x|`y`", Verdict: check.Invalid, Why: "a\n# heading\n<img src=x>"}
	for range 2000 {
		r.Anomalies = append(r.Anomalies, Anomaly{
			Anomaly: check.Anomaly{Kind: "lost-message", Subject: "</summary><script>", Explanation: "[x](javascript:1) <img src=x onerror=1>\n\n- item"},
			Replay:  "```\n<script>",
		})
	}
	got := Summary(r)
	if len(got) > MaxSummary {
		t.Errorf("%d bytes", len(got))
	}
	if !strings.Contains(got, "more parts are left out here") {
		t.Error("does not say what is left out")
	}
	for _, bad := range []string{"</summary><script>", "<img", "\n# heading", "\n- item", "[x]("} {
		if strings.Contains(got, bad) {
			t.Errorf("contains %q", bad)
		}
	}
	if !strings.Contains(got, "````text\n```\n<script>\n````") {
		t.Error("the block's fence is no longer than what it holds")
	}
}
