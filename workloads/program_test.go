package workloads

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
)

// A real is a lock of a program that is on many a machine, and what is to be
// found out about it.
type real struct {
	name      string
	needs     string // a program; Debian's package has its name unless pkg says otherwise
	pkg       string
	config    ProgramConfig
	schedules int
	finds     []string // exactly these kinds
}

func lockBy(text string, nemeses ...string) ProgramConfig {
	c := DefaultProgram()
	c.Lock, c.Nemeses = text, nemeses
	return c
}

// held has the section take a second, in which others can go on.
func held(c ProgramConfig) ProgramConfig {
	c.Hold = time.Second
	return c
}

// reals are the examples of docs/found.md.
var reals = []real{
	{"flock", "flock", "util-linux", lockBy("flock {file} {critical}", "crash"), 10, nil},
	{"flock with a time-out", "flock", "util-linux", held(lockBy("timeout 300 flock {file} {critical}")), 8, nil},
	{"flock and rm", "flock", "util-linux", held(lockBy("flock {file} {critical}; rm -f {file}")), 30, []string{check.SplitBrain, check.StolenLock}},
	{"mkdir", "mkdir", "coreutils", lockBy("mkdir {file} && {critical} && rmdir {file}", "crash"), 10, []string{check.Stuck}},
	{"set -C", "rm", "coreutils", lockBy("set -C; until : >{file}; do sleep 1; done 2>/dev/null; {critical}; rm {file}", "crash"), 4, []string{check.Stuck}},
	{"ln", "ln", "coreutils", lockBy("echo >{file}.{node}$$; ln {file}.{node}$$ {file} && {critical} && rm {file}; rm {file}.{node}$$", "crash"), 10, []string{check.Stuck, check.Stranded}},
	{"lockfile", "lockfile", "procmail", lockBy("lockfile -r0 {file} && {critical} && rm -f {file}", "crash"), 8, []string{check.Stuck, check.Stranded}},
}

// What is found out about locks of programs that we have not written.
func TestRealLocks(t *testing.T) {
	for _, r := range reals {
		t.Run(r.name, func(t *testing.T) {
			if _, err := exec.LookPath(r.needs); err != nil {
				t.Skipf("SKIPPED: %s is not on this machine; apt-get install %s", r.needs, r.pkg)
			}
			finds(t, r.config, long(r.schedules, 50*r.schedules), r.finds)
		})
	}
}

// finds searches, and wants to find these kinds and no others.
func finds(t *testing.T, c ProgramConfig, schedules int, want []string) {
	t.Helper()
	test, err := NewProgram(c)
	o := search(t, test, err, schedules)
	var got []string
	for kind := range o.Counts {
		got = append(got, kind)
	}
	slices.SortFunc(got, check.CompareKinds)
	t.Logf("%d schedules, %d traces, %.1f s: %v", o.Schedules, o.Coverage.Traces(), o.Seconds, o.Counts)
	if !slices.Equal(got, want) {
		t.Errorf("found %v, not %v\n%s", got, want, describe(o))
	}
}

// A Go program looks before it takes the lock; one that does not need to look is
// sound.
func TestGoLock(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "check")
	build := exec.Command("go", "build", "-o", exe, "testdata/locks/check.go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: Go cannot be compiled here: %v %s", err, out)
	}
	finds(t, lockBy(exe+" {file} {mark}"), long(12, 500), []string{check.SplitBrain, check.StolenLock})
	finds(t, lockBy(exe+" {file} {mark} safe"), long(6, 500), nil)
}

// A Python script, as it is given to --script, takes a lock away from whoever
// took it just before.
func TestPythonScript(t *testing.T) {
	python := findPython()
	if python == "" {
		t.Skip("SKIPPED: python3 is not on this machine; apt-get install python3")
	}
	text, err := os.ReadFile("testdata/locks/stale.py")
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultProgram()
	c.Script = strings.Replace(string(text), "/usr/bin/env python3", python+" -S", 1)
	c.Nemeses = []string{"pause"}
	finds(t, c, long(8, 500), []string{check.SplitBrain, check.StolenLock})
}

// findPython is the interpreter behind the script by which pyenv finds it.
func findPython() string {
	if out, err := exec.Command("pyenv", "which", "python3").Output(); err == nil {
		return strings.TrimSpace(string(out))
	}
	path, _ := exec.LookPath("python3")
	return path
}

// What is wrong with a test is said in one line.
func TestProgramErrors(t *testing.T) {
	for _, c := range []struct {
		change func(*ProgramConfig)
		says   string
	}{
		{func(c *ProgramConfig) { c.Lock = "" }, "no program is given"},
		{func(c *ProgramConfig) { c.Lock = "flock {file} true" }, "does not run {critical}"},
		{func(c *ProgramConfig) { c.Script = "{critical}" }, "exclude each other"},
		{func(c *ProgramConfig) { c.Lock, c.Acquire = "", "mkdir {file}" }, "acquire needs release"},
		{func(c *ProgramConfig) { c.Lock, c.Script = "", "true" }, "neither {critical} nor {mark}"},
		{func(c *ProgramConfig) { c.Contenders = 0 }, "a node and a contender"},
		{func(c *ProgramConfig) { c.Nemeses = []string{"rain"} }, `no nemesis "rain"`},
	} {
		config := lockBy("flock {file} {critical}")
		c.change(&config)
		if _, err := NewProgram(config); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %v does not say %q", err, c.says)
		}
	}
}

// A header says all that there is to a test.
func TestProgramHeader(t *testing.T) {
	c := lockBy("", "crash", "skew")
	c.Script, c.Hold, c.Real, c.Contenders = "#!/bin/sh\n{critical} # \"it\"\n", time.Minute, true, 5
	tape := schedule.Tape{Header: c.Header()}
	again, err := schedule.Parse("t", strings.NewReader(tape.String()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseProgram(again.Header)
	if diff := cmp.Diff(c, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// Who is kept out is excused by whoever can have held the lock meanwhile.
func TestKeptOut(t *testing.T) {
	type op struct{ who, f, value string }
	start, in, fails := func(p string) op { return op{"nemesis", "start", p} }, func(p string) op { return op{p, "acquire", "l"} }, func(p string) op { return op{p, "exit", "exit 1"} }
	crash := func(p string) op { return op{"nemesis", "crash", p} }
	for _, c := range []struct {
		name string
		ops  []op
		want []string
	}{
		{"another got in", []op{start("a/x"), start("b/x"), in("a/x"), fails("b/x"), fails("a/x")}, nil},
		{"another is still there", []op{start("a/x"), start("b/x"), fails("b/x")}, nil},
		{"another was killed", []op{start("a/x"), start("b/x"), crash("a/x"), fails("b/x")}, nil},
		{"after one was killed", []op{start("a/x"), in("a/x"), crash("a"), start("b/x"), fails("b/x")}, []string{"b/x"}},
		{"after one had left", []op{start("a/x"), in("a/x"), fails("a/x"), start("b/x"), fails("b/x")}, []string{"b/x"}},
		{"it got in when its shell had ended", []op{start("a/x"), fails("a/x"), start("b/x"), fails("b/x"), in("a/x")}, nil},
		{"both fail", []op{start("a/x"), start("b/x"), fails("b/x"), fails("a/x")}, []string{"a/x", "b/x"}},
	} {
		var h history.Recorder
		for _, o := range c.ops {
			kind := history.Info
			if o.f == "acquire" {
				kind = history.OK
			}
			h.Add(o.who, kind, o.f, o.value, "")
		}
		var got []string
		for _, a := range keptOut(h.Ops()) {
			got = append(got, a.Subject)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// A mark that a crash has left is not made by looking at it, and is by opening it
// or writing to it.
func TestStaleMark(t *testing.T) {
	const mark = sectionDir + "/a.locker"
	for verb, enters := range map[string]bool{"open": true, "write": true, "stat": false, "read": false, "close": false} {
		store := share.NewStore(time.Now)
		p := &Program{}
		if err := errors.Join(p.Prepare(store), store.WriteFile("/shared/"+mark, nil, 0o666), p.Act(nil)); err != nil {
			t.Fatal(err)
		}
		var h history.Recorder
		p.Observe(schedule.Decision{Process: "a/locker", Verb: schedule.Start}, store, &h)
		if verb == "write" {
			if err := store.WriteFile("/shared/"+mark, []byte("1"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		p.Observe(schedule.Decision{Process: "a/locker", Verb: verb, Names: []string{mark}, Outcome: "ok"}, store, &h)
		if in := len(inSection(h.Ops(), lockFile, math.MaxInt)) > 0; in != enters {
			t.Errorf("%s: in the section %v, want %v", verb, in, enters)
		}
	}
}
