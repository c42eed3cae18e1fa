package workloads

import (
	"strings"
	"testing"

	"screwtape/harness"
)

// Set-ups that are called safe are so in 10,000 schedules each (SCREWTAPE_LONG),
// those with masters, of which each takes long, in 500.
func TestSoundSetUps(t *testing.T) {
	for _, s := range SetUps {
		if s.Shows != "" {
			continue
		}
		t.Run(s.ID, func(t *testing.T) {
			test, err := s.Test()
			if err != nil {
				t.Fatal(err)
			}
			schedules := long(3, 10000)
			if test.Header.Get("workload") == "master" {
				schedules = long(1, 500)
			}
			w, err := harness.NewWorld(test)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			o, err := w.Explore(t.Context(), harness.Campaign{Search: portfolio(), Schedules: schedules})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d schedules, %d traces, %.0f s, faults %v, seen %v", o.Schedules, o.Coverage.Traces(), o.Seconds, o.Faults, o.Counts)
			if o.Broken() || len(o.Divergences) > 0 || o.Bounded > 0 {
				t.Errorf("%d hit a bound; divergences: %s\n%s", o.Bounded, strings.Join(o.Divergences, "; "), describe(o))
			}
		})
	}
}
