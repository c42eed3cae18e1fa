package harness

import (
	"testing"

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
	first, err := w.Play(schedule.NewRandom(1).Next(), Options{Fresh: true})
	want := log(first, err)
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
