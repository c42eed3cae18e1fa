package harness

import "testing"

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
