package workloads

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// explore searches, and fails the test where that is not possible.
func explore(t *testing.T, c QueueConfig, campaign harness.Campaign) *harness.Outcome {
	t.Helper()
	o, err := open(t, c).Explore(context.Background(), campaign)
	if err != nil {
		t.Fatal(err)
	}
	all, both := o.Cover.Pairs()
	t.Logf("%s: %v; %d schedules, %d ends, %d pairs, %d in both orders, %.1f s; %v", campaign.Search.Name(), o.Exhaustive,
		o.Schedules, len(o.Cover.Ends), all, both, o.Seconds, o.Counts)
	return o
}

// Two runners on one slice with one message have 12 traces; random search comes to
// no end that is not among theirs. The long test adds a crash.
func TestEverySchedule(t *testing.T) {
	c := overlapping()
	if long(0, 1) == 0 {
		c.Nemeses = []string{"overlap"}
	}
	every := explore(t, c, harness.Campaign{Search: schedule.NewExhaustive(schedule.Unbounded)})
	if !every.Complete() {
		t.Errorf("%v, %v", every.Exhaustive, every.Divergences)
	}
	if traces := every.Exhaustive.Traces; len(c.Nemeses) == 1 && traces != 12 {
		t.Errorf("%d traces", traces)
	}
	some := explore(t, c, harness.Campaign{Search: schedule.NewRandom(3), Schedules: long(80, 2000)})
	for end := range some.Cover.Ends {
		if every.Cover.Ends[end] == 0 {
			t.Errorf("random search came to an end that every schedule together did not")
		}
	}
}

// A search that was interrupted goes on from its checkpoint, and comes to the
// same.
func TestResume(t *testing.T) {
	c := overlapping()
	c.Nemeses = []string{"overlap"}
	file := filepath.Join(t.TempDir(), "checkpoint")
	o := explore(t, c, harness.Campaign{Search: schedule.NewExhaustive(schedule.Unbounded), Schedules: 8, Checkpoint: file})
	if o.Complete() || o.Stopped != "schedules" {
		t.Error(o.Exhaustive, o.Stopped)
	}
	test, err := NewQueue(c)
	if err != nil {
		t.Fatal(err)
	}
	x := schedule.NewExhaustive(schedule.Unbounded)
	found, err := harness.Resume(file, test, x)
	if err != nil || !slices.Contains(found, "stray-copy") {
		t.Error(found, err)
	}
	o = explore(t, c, harness.Campaign{Search: x, Checkpoint: file, Before: found})
	if !o.Complete() || o.Exhaustive.Traces != 12 {
		t.Error(o.Exhaustive)
	}

	other, err := NewQueue(overlapping())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := harness.Resume(file, other, schedule.NewExhaustive(schedule.Unbounded)); err == nil {
		t.Error("another test's checkpoint is taken")
	}
	if _, err := harness.Resume(file, test, schedule.NewExhaustive(schedule.Bounds{Preemptions: 1, Depth: -1})); err == nil {
		t.Error("a checkpoint with other bounds is taken")
	}
	if err := os.WriteFile(file, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := harness.Resume(file, test, x); err == nil {
		t.Error("a damaged checkpoint is taken")
	}
}
