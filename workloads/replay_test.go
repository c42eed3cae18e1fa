package workloads

import (
	"os"
	"testing"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// long is n, or in the long tests many.
func long(n, many int) int {
	if os.Getenv("SCREWTAPE_LONG") != "" {
		return many
	}
	return n
}

// A random schedule with crashes and restarts, played again from its tape on
// fresh processes, goes the same way in every byte.
func TestReplay(t *testing.T) {
	c := overlapping()
	c.Crashes = 2
	c.Messages = 2
	w := open(t, c)
	search := schedule.NewRandom(3)
	crashes := 0
	for i := range long(100, 1000) {
		strategy, learn := schedule.Turn(search)
		first, err := w.Play(strategy, harness.Options{})
		if err != nil {
			t.Fatalf("schedule %d: %v", i, err)
		}
		learn(true)
		crashes += first.Faults[schedule.Crash]
		again, err := w.Replay(first.Tape, harness.Options{Fresh: true})
		if err != nil {
			t.Fatalf("schedule %d, replayed: %v\n%s", i, err, first.Log())
		}
		if first.Log() != again.Log() {
			t.Fatalf("schedule %d went another way:\n%s\nthe first time it was\n%s", i, again.Log(), first.Log())
		}
	}
	if crashes == 0 {
		t.Error("no schedule had a crash")
	}
}
