package harness

import (
	"fmt"
	"strings"
	"testing"

	"screwtape/harness/schedule"
)

// inOrder is a strategy that takes, of each of its patterns in turn, "PROCESS
// VERB", the first option that fits; then whatever can happen.
type inOrder struct {
	t    *testing.T
	want []string
	log  []string
}

func (s *inOrder) Pick(options []schedule.Option) (int, error) {
	for i, o := range options {
		if len(s.want) > 0 && o.Process+" "+o.Verb == s.want[0] {
			s.want = s.want[1:]
			return i, nil
		}
	}
	if len(s.want) > 0 {
		var offer []string
		for _, o := range options {
			offer = append(offer, o.Decision.String())
		}
		return 0, fmt.Errorf("wanted %q, on offer: %s", s.want[0], strings.Join(offer, ", "))
	}
	return schedule.Canonical().Pick(options)
}

func (s *inOrder) Done(d schedule.Decision, _ schedule.Footprint) error {
	s.log = append(s.log, d.String())
	return nil
}

// crashes is a nemesis that may crash anything at any time.
type crashes struct{}

func (crashes) Name() string { return "crash" }
func (crashes) Reset()       {}
func (crashes) Faults(s Situation) (list []schedule.Option) {
	for _, p := range s.Processes {
		if p.Alive {
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Crash}})
		}
	}
	return list
}
func (crashes) Took(schedule.Decision) {}

// Of two processes that want a lock one gets it; the other waits, and is not
// on offer, until the first gives it up, closes the file, ends, or crashes.
func TestLocks(t *testing.T) {
	for _, kind := range []string{"flock", "posix"} {
		for _, nodes := range [][2]string{{"a", "a"}, {"a", "b"}} {
			for _, free := range []string{"unlock", "close", "exit", "crash"} {
				t.Run(kind+" "+nodes[0]+nodes[1]+" "+free, func(t *testing.T) {
					testLock(t, kind, nodes, free)
				})
			}
		}
	}
}

func testLock(t *testing.T, kind string, nodes [2]string, free string) {
	verb := map[string]string{"flock": "flock", "posix": "lock"}[kind]
	var programs []Program
	for i, name := range []string{"one", "two"} {
		p := probeProgram(nodes[i], name, true, []string{probeName, "lock", kind, free})
		p.Late, p.Once = true, true
		programs = append(programs, p)
	}
	one, two := programs[0].Label()+" ", programs[1].Label()+" "
	w := newWorld(t, &Test{Nodes: []string{"a", "b"}, Programs: programs, Workload: plain{files: tableFiles}, Nemeses: []Nemesis{crashes{}}})
	// Each opens three files and makes a link before it comes to the lock.
	up := []string{"symlink", "open", "open", "open"}
	var want []string
	for _, who := range []string{one, two} {
		want = append(want, who+"start")
		for _, v := range up {
			want = append(want, who+v)
		}
	}
	want = append(want, one+verb, one+"write")
	if free == "exit" { // the kernel closes its files
		want = append(want, one+"close")
	} else {
		want = append(want, one+free)
	}
	want = append(want, two+verb, two+"write")
	s := &inOrder{t: t, want: want}
	r, err := w.Play(s, Options{Fresh: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(s.log, "\n"))
	}
	wantLines(t, r.Log(), "0s "+two+verb+" d/common = ok")
}

// While one holds the lock the other's call is not among the options.
func TestLockWaits(t *testing.T) {
	for kind, verb := range map[string]string{"flock": "flock", "posix": "lock"} {
		s := stage{newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: tableFiles}, Programs: []Program{
			probeProgram("a", "one", true, []string{probeName, "lock", kind, "unlock"}),
			probeProgram("a", "two", true, []string{probeName, "lock", kind, "unlock"})}}), t}
		for _, p := range s.programs {
			if err := s.start(p); err != nil {
				t.Fatal(err)
			}
			s.rest()
			for p.threads[0].call.verb != verb {
				s.let(p.threads[0])
			}
		}
		one, two := s.programs[0].threads[0], s.programs[1].threads[0]
		s.let(one)
		for _, o := range s.options(&play{healing: true}) {
			if o.Process == two.label {
				t.Errorf("%s: %v is on offer while the lock is held", kind, o.Decision)
			}
		}
		s.let(one) // write
		s.let(one) // unlock
		if !two.held() || !two.mount.Ready(two.request) {
			t.Errorf("%s: the lock is free, and who waits for it cannot go on", kind)
		}
	}
}
