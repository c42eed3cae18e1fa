package workloads

import (
	"math/rand/v2"
	"slices"
	"testing"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/schedule"
)

// Random search finds all that the thread warns of within 300 schedules, with
// 19 of 20 seeds: drawn anew in the long test, three that are always the same
// otherwise.
func TestLuck(t *testing.T) {
	const within = 300
	kinds := []string{check.LostMessage, check.DoubleDelivery, check.DoubleDeliveryAfterCrash, check.StrayCopy, check.MisleadingError}
	seeds := []uint64{1, 2, 3}
	if long(0, 1) == 1 {
		seeds = nil
		for range 20 {
			seeds = append(seeds, rand.Uint64())
		}
	}
	c := overlapping()
	c.Messages = 2
	missed := map[string]int{}
	for _, seed := range seeds {
		first := map[string]int{}
		n := 0
		draw(t, c, schedule.NewRandom(seed), within, func(r *harness.Result) bool {
			n++
			for _, kind := range r.Kinds() {
				if first[kind] == 0 {
					first[kind] = n
				}
			}
			return slices.ContainsFunc(kinds, func(k string) bool { return first[k] == 0 })
		})
		t.Logf("seed %d: %v", seed, first)
		for _, kind := range kinds {
			if first[kind] == 0 {
				missed[kind]++
			}
		}
	}
	for _, kind := range kinds {
		if missed[kind]*20 > len(seeds) {
			t.Errorf("%s is not found within %d schedules with %d of %d seeds", kind, within, missed[kind], len(seeds))
		}
	}
}
