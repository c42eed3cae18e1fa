package harness

import (
	"testing"
)

// A program that forks more often than there are pids for it waits, each time, for
// a child that is known to be there: until then it is not at rest.
func TestEveryForkIsAwaited(t *testing.T) {
	const times = pidsOfStart + 20
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{
		shell("a", "sh", `i=0; while :; do x=$(mkdir /shared/$i); i=$((i+1)); done`)}})
	if err := w.reset(true); err != nil {
		t.Fatal(err)
	}
	p := w.programs[0]
	if err := w.start(p); err != nil {
		t.Fatal(err)
	}
	for range times {
		if err := w.settle(); err != nil {
			t.Fatal(err)
		}
		held := w.ready(p)
		if held == nil {
			t.Fatalf("after %d forks nothing is held", p.forks)
		}
		if c := p.threads[0].call; c == nil || c.birth == nil || !c.birth.seen {
			t.Fatalf("fork %d: its child is held, and not known to be there: %+v", p.forks, c)
		}
		if err := w.release(held); err != nil {
			t.Fatal(err)
		}
	}
	if p.forks < times {
		t.Errorf("it has forked %d times, not %d", p.forks, times)
	}
}
