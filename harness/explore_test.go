package harness

import (
	"errors"
	"testing"

	"screwtape/harness/schedule"
)

// No world is started for which there is nothing to do.
func TestWorlds(t *testing.T) {
	for _, c := range []struct{ schedules, n, want int }{
		{0, 4, 4}, {0, 99, mostBatch}, {3, 99, 3}, {3, 2, 2}, {500, 99, mostBatch}, {1, 1, 1},
	} {
		if got := (Campaign{Schedules: c.schedules}).Worlds(c.n); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// A failure in a schedule that is not wanted any more is none, and any other is told
// with the number of its schedule.
func TestFailureBeyondTheEnd(t *testing.T) {
	for _, c := range []struct {
		stale int
		want  string
	}{{0, "schedule 4: broken"}, {3, "schedule 4: broken"}, {2, ""}, {1, ""}} {
		search, err := schedule.NewSearch("random", 1)
		if err != nil {
			t.Fatal(err)
		}
		s := &exploration{Campaign: Campaign{Search: search, Stale: c.stale}, out: &Outcome{Counts: map[string]int{}, Faults: map[string]int{}}}
		got := ""
		if err := s.takeAll([]*played{{}, {}, {}}, errors.New("broken")); err != nil { // the first trace is a new one
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("until %d bring nothing new: %q", c.stale, got)
		}
	}
}
