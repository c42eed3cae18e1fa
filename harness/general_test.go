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
