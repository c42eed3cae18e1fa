package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// script does what shell scripts do on a share: children, a pipeline, a
// background job, redirections, its pid in a name.
const script = `cd /shared/d
echo $$ >> log
cat f | tr a-z A-Z > up.$$ &
mv common x.$$
sh -c 'echo $$ $PPID >> log'
wait
cat up.* > all
`

func scripts() *Test {
	return &Test{Nodes: []string{"a", "b"}, Workload: plain{files: tableFiles}, Programs: []Program{
		shell("a", "one", script), shell("b", "two", script)}}
}

// A random schedule of shell scripts with children, played again from its
// tape, goes the same way in every byte, process ids among them.
func TestScriptsRepeat(t *testing.T) {
	w := newWorld(t, scripts())
	log := func(r *Result, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		pids, err := w.store.ReadFile("/shared/d/log")
		if err != nil {
			t.Fatal(err)
		}
		return r.Log() + string(pids)
	}
	first, err := w.Play(schedule.Random(schedule.Draw{Seed: 1, Length: 63, Points: 26}), Options{Fresh: true})
	want := log(first, err)
	if err := CheckTape(w.test, first.Tape); err != nil {
		t.Error(err) // what is recorded can be replayed
	}
	for i := range 50 {
		if got := log(w.Replay(first.Tape, Options{Fresh: true})); got != want {
			t.Fatalf("time %d: %s", i, firstDifference(want, got))
		}
	}
}

// holdBack is a strategy that takes the first option that it may, and lets a
// verb happen only when nothing else can.
type holdBack struct {
	verb string
	seen []schedule.Decision
}

func (h *holdBack) Pick(options []schedule.Option) (int, error) {
	last := schedule.None
	for i, o := range options {
		switch {
		case o.Fault() || o.Restart:
		case o.Verb != h.verb:
			return i, nil
		case last == schedule.None:
			last = i
		}
	}
	return last, nil
}

func (h *holdBack) Done(d schedule.Decision, _ schedule.Footprint) error {
	h.seen = append(h.seen, d)
	return nil
}

// While the call of one goroutine is held the others go on, on one processor
// and on two: none of their calls comes after it.
func TestGoroutinesGoOn(t *testing.T) {
	for _, procs := range []string{"1", "2"} {
		t.Run("GOMAXPROCS="+procs, func(t *testing.T) {
			program := probeProgram("a", "probe", false, []string{probeName, "goroutines"})
			program.Env, program.Late, program.Once = []string{"GOMAXPROCS=" + procs}, true, true
			w := newWorld(t, &Test{Nodes: []string{"a"}, Programs: []Program{program}, Workload: plain{files: tableFiles}})
			for range 3 {
				s := &holdBack{verb: "rename"}
				r, err := w.Play(s, Options{Fresh: true})
				if err != nil {
					t.Fatal(err)
				}
				last := s.seen[len(s.seen)-1]
				if last.Verb != "rename" || last.Outcome != "ok" {
					t.Errorf("the last of %d decisions is %v:\n%s", len(s.seen), last, r.Log())
				}
			}
		})
	}
}

// footprints is the canonical strategy, and keeps what each step has touched.
type footprints struct {
	schedule.Strategy
	of map[string]schedule.Footprint // of a step, as on a tape
}

func (f footprints) Done(d schedule.Decision, footprint schedule.Footprint) error {
	f.of[d.String()] = footprint
	return nil
}

// What makes a file one that can be executed conflicts with a failed attempt to
// execute it, also where the kernel asks for no more than the file's mode.
func TestRefusedExecution(t *testing.T) {
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: map[string]string{"x": "exit 0"}},
		Programs: []Program{shell("a", "sh", "cd /shared; chmod 600 x; ./x; chmod 700 x")}})
	s := footprints{schedule.Canonical(), map[string]schedule.Footprint{}}
	r, err := w.Play(s, Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	var refused, allowed schedule.Footprint
	for step, f := range s.of {
		switch {
		case strings.Contains(step, " exec x = EACCES"):
			refused = f
		case strings.Contains(step, " chmod x"):
			allowed = f
		}
	}
	if !refused.Conflicts(allowed) {
		t.Errorf("the execution has touched %v, the chmod %v:\n%s", refused, allowed, r.Log())
	}
}

// playScript plays a script alone, in the plainest order, and returns its log.
func playScript(t *testing.T, files map[string]string, script string) string {
	t.Helper()
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: files}, Programs: []Program{shell("a", "sh", script)}})
	r, err := w.Play(schedule.Canonical(), Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	return r.Log()
}

func wantLines(t *testing.T, log string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(log, l+"\n") {
			t.Errorf("no line %q in\n%s", l, log)
		}
	}
}

// A program may lie on the share: its exec is a decision, and so is a script's.
func TestExecOnShare(t *testing.T) {
	echo, err := os.ReadFile("/bin/echo")
	if err != nil {
		t.Skip("SKIPPED: no /bin/echo")
	}
	log := playScript(t, map[string]string{"d": "", "d/prog": string(echo), "d/script": "#!/bin/sh\nprintf 'from a script\\n'\n"},
		"/shared/d/prog from the share; cd /shared/d; ./script; echo $PWD")
	wantLines(t, log, "0s a/sh.1 exec d/prog = ok", "\ta/sh: from the share", "0s a/sh chdir d = ok", "0s a/sh.2 exec d/script = ok", "\ta/sh: from a script", "\ta/sh: /shared/d")
}

// A file of the share can be mapped; what is stored to it is on the share
// after msync(2). Touching its pages is no decision.
func TestMap(t *testing.T) {
	p := probeProgram("a", "probe", false, []string{probeName, "map"})
	p.Late, p.Once = true, true
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: tableFiles}, Programs: []Program{p}})
	r, err := w.Play(schedule.Canonical(), Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	log := r.Log()
	wantLines(t, log, "\ta/probe: the second")
	if strings.Contains(log, " read ") {
		t.Errorf("touching a page is a decision:\n%s", log)
	}
	if data, _ := w.store.ReadFile("/shared/d/second"); !strings.HasPrefix(string(data), "THE second") {
		t.Errorf("the file is %q", data)
	}
}

// git works on the share, two of them side by side.
func TestGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIPPED: no git")
	}
	const commit = `export HOME=/nowhere GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@y GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@y
cd /shared/d && git init -q REPO && cd REPO && echo text > file && git add file && git commit -q -m one && git rev-list --count HEAD`
	var programs []Program
	for _, name := range []string{"one", "two"} {
		programs = append(programs, shell("a", name, strings.ReplaceAll(commit, "REPO", name)))
	}
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: tableFiles}, Programs: programs})
	r, err := w.Play(schedule.Random(schedule.Draw{Seed: 5, Length: 63, Points: 26}), Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d decisions", len(r.Steps))
	wantLines(t, r.Log(), "\ta/one: 1", "\ta/two: 1")
}

// nothing lets nothing happen.
type nothing struct{}

func (nothing) Pick([]schedule.Option) (int, error)              { return schedule.None, nil }
func (nothing) Done(schedule.Decision, schedule.Footprint) error { return nil }

// What a program writes while it starts belongs to each schedule that it takes
// part in, also to those into which it goes on from the one before.
func TestWarmUp(t *testing.T) {
	up := shell("a", "up", "echo starts; test -e /shared/d/up; echo rests; exec sleep 1000")
	up.Late, up.Once = false, false
	late := shell("b", "late", "echo late")
	w := newWorld(t, &Test{Nodes: []string{"a", "b"}, Workload: plain{files: tableFiles}, Programs: []Program{up, late}})
	want := []history.Line{{Process: "a/up", Text: "starts"}, {Process: "a/up", Text: "rests"}}
	pid := 0
	for i, s := range []schedule.Strategy{nothing{}, nothing{}, schedule.Canonical()} {
		r, err := w.Play(s, Options{Fresh: i == 0})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, r.WarmUp); diff != "" {
			t.Errorf("schedule %d: %s", i+1, diff)
		}
		if !strings.HasPrefix(r.Log(), "\ta/up: starts\n") {
			t.Errorf("schedule %d: its log does not begin with what was written first:\n%s", i+1, r.Log())
		}
		switch said := fmt.Sprint(r.Logs); {
		case i < 2 && said != "[]":
			t.Errorf("nothing has happened, and programs said %s", said)
		case i == 2 && !strings.HasPrefix(said, "[{b/late late}"):
			t.Errorf("after a start, programs said %s", said)
		}
		if now := w.programs[0].pid; i == 1 && now != pid {
			t.Error("a/up was started anew, so that nothing is shown here")
		} else {
			pid = now
		}
	}
}

// A file whose size stays what it was has changed all the same.
func TestChangeOfTheSameSize(t *testing.T) {
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: map[string]string{"f": "old"}}, Programs: []Program{shell("a", "sh", "printf new 1<>/shared/f")}})
	r, err := w.Play(schedule.Canonical(), Options{Fresh: true, Record: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Steps {
		if want := s.Verb == "write"; want != (len(s.Changes) == 1 && s.Changes[0].Path == "f") {
			t.Errorf("%s: changes %v", s.Decision, s.Changes)
		}
	}
}
