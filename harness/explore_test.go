package harness

import (
	"errors"
	"testing"
	"time"

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

// What is left is estimated from when an exhaustive search began anew.
func TestEstimate(t *testing.T) {
	s := &exploration{explored: 0.5, resumed: 0.5, begun: 1} // from a checkpoint
	for _, c := range []struct {
		account           schedule.Account
		elapsed           time.Duration
		explored, resumed float64
		since             time.Duration
	}{
		{schedule.Account{Explored: 0.6, Begun: 1}, time.Second, 0.6, 0.5, 0},
		{schedule.Account{Explored: 0.1, Begun: 2}, 2 * time.Second, 0.1, 0, 2 * time.Second},
		{schedule.Account{Explored: 0.2, Begun: 2}, 3 * time.Second, 0.2, 0, 2 * time.Second},
	} {
		if s.estimate(c.account, c.elapsed); s.explored != c.explored || s.resumed != c.resumed || s.since != c.since {
			t.Errorf("%+v: explored %v, %v of that after %v", c.account, s.explored, s.resumed, s.since)
		}
	}
}
