package harness

import (
	"math/rand/v2"
	"slices"

	"screwtape/harness/schedule"
)

// confirmations is how many schedules that meet a condition are to be drawn.
const confirmations = 8

// confirm draws schedules that meet the condition, and counts those that show
// the anomaly.
func (q *inquiry) confirm(c *Cause, orders []neededOrder, faults []neededFault) error {
	for n := range 2 * confirmations {
		if c.Tried == confirmations {
			break
		}
		s := &obedient{rng: rand.New(rand.NewPCG(1, uint64(n))), orders: orders, faults: faults}
		shows, err := q.play(s)
		if err != nil {
			return err
		}
		if !s.met() {
			continue
		}
		c.Tried++
		if shows {
			c.Shown++
		}
	}
	return nil
}

// An obedient strategy walks at random, but keeps to the orders and takes the
// faults of a condition, as far as it can.
type obedient struct {
	diary
	rng    *rand.Rand
	orders []neededOrder
	faults []neededFault
}

func (s *obedient) Pick(options []schedule.Option) (int, error) {
	s.options = options
	for _, f := range s.faults {
		if s.seen[f.key()] == 0 && (f.after == "" || s.seen[f.after] > 0) {
			if i := offered(options, f.Decision); i >= 0 {
				return i, nil
			}
		}
	}
	var free, allowed []int
	for i, o := range options {
		if o.Fault() {
			continue
		}
		free = append(free, i)
		if !s.early(o.Decision) {
			allowed = append(allowed, i)
		}
	}
	switch {
	case len(allowed) > 0:
		return allowed[s.rng.IntN(len(allowed))], nil
	case len(free) > 0:
		return free[0], nil
	}
	return schedule.None, nil
}

// early reports whether a step is to come after another that has not come yet.
func (s *obedient) early(d schedule.Decision) bool {
	return slices.ContainsFunc(s.orders, func(o neededOrder) bool {
		if s.seen[o.before.key()] > 0 || o.after.Process != d.Process || o.after.life != s.lives[schedule.Program(d.Process)] {
			return false
		}
		if o.through {
			return s.seen[o.after.key()] > 0
		}
		return o.after.Verb == d.Verb && slices.Equal(o.after.Names, d.Names)
	})
}

// met reports whether the schedule has met the condition.
func (s *obedient) met() bool {
	at := map[string]int{}
	for i, m := range s.moments {
		at[m.key()] = i + 1
	}
	for _, o := range s.orders {
		before, after := at[o.before.key()], at[o.after.key()]
		if o.through && after > 0 {
			after = s.following(after)
		}
		if before == 0 || after == 0 || before > after {
			return false
		}
	}
	for _, f := range s.faults {
		if at[f.key()] == 0 {
			return false
		}
	}
	return true
}

// following is the number, from 1, of the next step of the same process; one
// more than there are steps where there is none.
func (s *obedient) following(n int) int {
	for i, m := range s.moments[n:] {
		if m.Process == s.moments[n-1].Process {
			return n + i + 1
		}
	}
	return len(s.moments) + 1
}
