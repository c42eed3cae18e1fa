package schedule

import (
	"cmp"
	"slices"
)

// A Strategy makes the decisions of one schedule.
type Strategy interface {
	// Pick chooses one of the options, which are in canonical order and never
	// empty. It returns None when all that is left is faults and restarts and
	// it wants none of them: then the schedule is over, as it is when there
	// is no option at all.
	Pick(options []Option) (int, error)
	// Done tells it what came of its choice: the decision with its outcome,
	// and the footprint as executed.
	Done(d Decision, f Footprint) error
}

// None is what Pick returns when it takes none of the options.
const None = -1

// A Search makes a strategy for each schedule after the other, and learns from
// what came of it.
type Search interface {
	Name() string
	Next() Strategy
	// Learn tells what came of the oldest strategy that it has not been told
	// of yet: whether the schedule's trace was new, and its length.
	Learn(newTrace bool, decisions int)
}

// Sort brings options into canonical order: by process, verb and names.
func Sort(options []Option) {
	slices.SortStableFunc(options, func(a, b Option) int {
		return cmp.Or(
			cmp.Compare(a.Process, b.Process),
			cmp.Compare(a.Verb, b.Verb),
			slices.Compare(a.Names, b.Names),
		)
	})
}

// free reports whether the option is a program going on, so that nothing has
// to go wrong, or have gone wrong, for it.
func (o Option) free() bool { return !o.Fault() && !o.Restart }
