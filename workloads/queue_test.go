package workloads

import (
	"context"
	"testing"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// open makes a world for a queue test.
func open(t testing.TB, c QueueConfig) *harness.World {
	t.Helper()
	test, err := NewQueue(c)
	if err != nil {
		t.Fatal(err)
	}
	w, err := harness.NewWorld(test)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// overlapping is two runners on one slice, with a crash.
func overlapping() QueueConfig {
	c := DefaultQueue()
	c.Nemeses = []string{"crash", "overlap"}
	return c
}

func TestRandomSearch(t *testing.T) {
	w := open(t, overlapping())
	o, err := w.Explore(context.Background(), harness.Campaign{Search: schedule.NewRandom(7), Schedules: 300})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d schedules, %d traces, %v, %v, %.1f s, div %v", o.Schedules, o.Coverage.Traces(), o.Counts, o.Faults, o.Seconds, o.Divergences)
	for _, f := range o.Findings {
		t.Logf("%d %s %v %s\n%s", f.Schedule, f.Anomaly.Kind, f.Confirmed, f.Anomaly.Explanation, f.Result.Tape)
	}
}
