package workloads

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/schedule"
)

// firstFinds are the claims whose anomaly the default search must find by itself,
// in the set-up that the claim names.
var firstFinds = []struct{ claim, kind string }{
	{"C3", check.StrayCopy},
	{"C4", check.LostMessage},
	{"N5", check.DoubleDeliveryAfterCrash},
	{"N1", check.DoubleDelivery},
	{"C6", check.LostUpdate},
	{"C7b", check.Stranded},
	{"N9", check.StolenLock},
}

// The default search finds what the claims show, soon. The long test draws with
// 20 seeds, and logs the rows of the table in docs/search.md.
func TestFirstFind(t *testing.T) {
	const within = 500
	claims, err := Claims()
	if err != nil {
		t.Fatal(err)
	}
	for _, find := range firstFinds[:long(3, len(firstFinds))] {
		i := slices.IndexFunc(claims, func(c Claim) bool { return c.ID == find.claim })
		var schedules []int
		var seconds []float64
		for seed := range uint64(long(1, 20)) {
			began := time.Now()
			n := firstFind(t, claims[i], find.kind, seed+1, within)
			if n == 0 {
				t.Errorf("%s: seed %d does not find %s in %d schedules", find.claim, seed+1, find.kind, within)
				n = within
			}
			schedules, seconds = append(schedules, n), append(seconds, time.Since(began).Seconds())
		}
		slices.Sort(schedules)
		slices.Sort(seconds)
		half, most := len(schedules)/2, (len(schedules)*9+9)/10-1
		t.Logf("| %s | %s | %d | %d | %d | %.1f | %.1f |", find.claim, find.kind, schedules[half], schedules[most], schedules[len(schedules)-1], seconds[half], seconds[most])
	}
}

// firstFind searches the set-up of a claim, and returns the number of the first
// schedule that shows the anomaly, 0 for none. Where the tape of a queue's claim
// has a crash, or a start in the middle, programs may crash and be started again.
func firstFind(t *testing.T, claim Claim, kind string, seed uint64, within int) int {
	t.Helper()
	tape := &schedule.Tape{}
	for _, f := range claim.Tape.Header {
		if f.Key != "late" {
			tape.Header.Set(f.Key, f.Value)
		}
	}
	crashes := slices.ContainsFunc(claim.Tape.Lines, func(l schedule.Line) bool { return l.Verb == schedule.Crash || l.Verb == schedule.Start })
	if names := strings.Fields(tape.Header.Get("nemesis")); crashes && tape.Header.Get("workload") == "queue" && !slices.Contains(names, "crash") {
		tape.Header.Set("nemesis", strings.Join(append(names, "crash"), " "))
	}
	test, err := FromTape(tape)
	w := world(t, test, err)
	defer w.Close()
	search, err := schedule.NewSearch("portfolio", seed)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o, err := w.Explore(ctx, harness.Campaign{Search: search, Schedules: within, Progress: func(p harness.Progress) {
		if slices.Contains(p.Found, kind) {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range o.Findings {
		if f.Anomaly.Kind == kind {
			return f.Schedule
		}
	}
	return 0
}
