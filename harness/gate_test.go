package harness

import (
	"testing"
	"time"

	"screwtape/harness/node"
)

// A stage drives a world by hand.
type stage struct {
	*World
	t testing.TB
}

func (s stage) rest() {
	s.t.Helper()
	if err := s.settle(); err != nil {
		s.t.Fatal(err)
	}
}

// sleeper is the thread that sleeps for so long.
func (s stage) sleeper(d time.Duration) *Thread {
	s.t.Helper()
	for _, p := range s.all() {
		for _, t := range p.threads {
			if t.asleep && t.sleep == d {
				return t
			}
		}
	}
	s.t.Fatalf("nothing sleeps for %v", d)
	return nil
}

func (s stage) wake(t *Thread) {
	s.t.Helper()
	t.endSleep(0)
	s.rest()
}

func (s stage) let(t *Thread) {
	s.t.Helper()
	if err := s.release(t); err != nil {
		s.t.Fatal(err)
	}
	s.rest()
}

// untilAsleep lets the thread go on until it sleeps, and says whether it does.
func (s stage) untilAsleep(t *Thread) bool {
	s.t.Helper()
	for t.held() && !t.asleep {
		if t.request != nil && !t.mount.Ready(t.request) {
			return false
		}
		s.let(t)
	}
	return t.asleep
}

// up starts all programs and brings each to its first sleep.
func (s stage) up() {
	s.t.Helper()
	if err := s.reset(true); err != nil {
		s.t.Fatal(err)
	}
	s.rest()
	for i := 0; i < 10_000; i++ {
		var next *Thread
		for _, p := range s.all() {
			if next == nil {
				next = s.ready(p)
			}
		}
		if next == nil {
			// The probe's threads do not wait for each other's processor.
			for _, p := range s.all() {
				p.compiled = 2
			}
			return
		}
		s.let(next)
	}
	s.t.Fatal("the programs do not come to sleep")
}

// few are calls of every sort: those that change entries, that look, that
// work on a descriptor, and that are held at their request.
const few = "rename,unlink,openat new,openat dir,mkdir,stat,readlink,write,fsync,fstat,read,flock"

func probeArgs(role, shape, calls, others string) []string {
	return []string{probeName, role, shape, calls, others}
}

func probeProgram(node, name string, single bool, args []string) Program {
	return Program{Node: node, Name: name, Path: "/proc/self/exe", Args: args, Single: single, Env: []string{"GOMAXPROCS=2"}}
}

// tableFiles is what the probe finds.
var tableFiles = map[string]string{"d": "", "d/e": "", "d/f": "some text", "d/common": "common", "d/second": "the second file, of some length"}

// While a call of one thread is held, any call of another goes on to its end:
// nothing that is held holds a lock of the kernel that others need.
func TestHeldCallBlocksNobody(t *testing.T) {
	for _, table := range []struct {
		name       string
		programs   []Program
		slow, fast string // calls
	}{
		{"two processes of one node", []Program{
			probeProgram("a", "slow", true, probeArgs("slow", "absolute", "all", "kinds")),
			probeProgram("a", "fast", true, probeArgs("fast", "absolute", "kinds", "all"))}, "all", "kinds"},
		{"working directory in the share", []Program{
			probeProgram("a", "slow", true, probeArgs("slow", "cwd", "all", few)),
			probeProgram("a", "fast", true, probeArgs("fast", "cwd", few, "all"))}, "all", few},
		{"directory descriptors", []Program{
			probeProgram("a", "slow", true, probeArgs("slow", "dirfd", "all", few)),
			probeProgram("a", "fast", true, probeArgs("fast", "dirfd", few, "all"))}, "all", few},
		{"two nodes", []Program{
			probeProgram("a", "slow", true, probeArgs("slow", "absolute", "all", few)),
			probeProgram("b", "fast", true, probeArgs("fast", "absolute", few, "all"))}, "all", few},
		{"parent and child", []Program{
			probeProgram("a", "probe", false, probeArgs("parent", "cwd", "all", "rename,write,stat"))}, "all", "rename,write,stat"},
		{"two threads", []Program{
			probeProgram("a", "probe", false, probeArgs("threads", "absolute", "all", "rename,write,stat"))}, "all", "rename,write,stat"},
	} {
		t.Run(table.name, func(t *testing.T) {
			began := time.Now()
			s := stage{newWorld(t, &Test{Nodes: []string{"a", "b"}, Programs: table.programs, Workload: plain{files: tableFiles}}), t}
			s.up()
			slow, fast := s.sleeper(slowSleep), s.sleeper(fastSleep)
			for _, x := range callsNamed(table.slow) {
				for _, y := range callsNamed(table.fast) {
					s.pair(slow, fast, x, y)
				}
			}
			t.Logf("%d pairs, %v", len(callsNamed(table.slow))*len(callsNamed(table.fast)), time.Since(began))
		})
	}
}

// pair holds x of the one and has the other do y.
func (s stage) pair(slow, fast *Thread, x, y probeCall) {
	s.t.Helper()
	s.layOut()
	s.toCall(slow, x)
	s.toCall(fast, y)
	if y.verb != "" {
		s.let(fast)
	}
	if !s.untilAsleep(fast) {
		s.t.Errorf("%s is held, and %s does not come to its end", x.name, y.name)
	}
	if !s.untilAsleep(slow) {
		s.t.Fatalf("%s does not go on after %s", x.name, y.name)
	}
	s.untilAsleep(fast)
}

// toCall brings a sleeping thread to its next call.
func (s stage) toCall(t *Thread, c probeCall) {
	s.t.Helper()
	s.wake(t)
	if !s.untilAsleep(t) {
		s.t.Fatalf("what comes before %s does not come to its end", c.name)
	}
	s.wake(t)
	verb := ""
	if t.held() && !t.asleep {
		verb = t.call.verb
	}
	if verb != c.verb {
		s.t.Fatalf("%s is held as %q, want %q", c.name, verb, c.verb)
	}
}

// layOut puts back what a pair of calls may have taken away.
func (s stage) layOut() {
	s.store.Remove("/shared/d/n")
	for name, data := range tableFiles {
		at := "/shared/" + name
		var err error
		if data == "" {
			err = s.store.MkdirAll(at, 0o777)
		} else if _, e := s.store.ReadFile(at); e != nil || name == "d/second" {
			err = s.store.WriteFile(at, []byte(data), 0o644)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// The table has every call that is trapped, but for those that no two programs
// could be in at once.
func TestTableIsComplete(t *testing.T) {
	have := map[int]bool{}
	for _, c := range probeCalls {
		have[c.nr] = true
	}
	for nr, c := range node.Calls {
		if (c.Kind == node.OnPath || c.Kind == node.OnFile) && !have[nr] {
			t.Errorf("no call of the table is a %s (system call %d)", c.Verb, nr)
		}
	}
}
