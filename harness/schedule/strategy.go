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

// A Search plans one schedule after the other, and learns from what came of
// them. Several may be under way at once.
type Search interface {
	// Name is that of the catalogue.
	Name() string
	// Next plans a schedule. It is false when there is none to plan before
	// Learn has told what came of those under way, or none any more.
	Next() (Plan, bool)
	// Learn tells what came of the oldest plan that it has not been told of
	// yet: whether the schedule's trace was new, and what its strategy has to
	// say.
	Learn(newTrace bool, l Lesson)
}

// A Plan is all that the strategy of one schedule comes from. It can be sent to
// another process, as gob.
type Plan struct {
	Search    string     // the strategy's name in the catalogue
	Draw      Draw       // of a strategy by chance
	Beginning *Beginning // of a schedule of an exhaustive search, or nil
}

// A Player is a strategy that was made from a plan.
type Player interface {
	Strategy
	// Lesson is what the search is to learn, once the schedule is over.
	Lesson() Lesson
}

// A Lesson is what a search learns from a schedule. It can be sent to another
// process, as gob.
type Lesson struct {
	Decisions int  // how many the schedule had
	Points    int  // at how many of them a fault was on offer; 0 where that says nothing of other schedules
	Way       *Way // of a schedule of an exhaustive search, or nil
}

// Turn makes the strategy of a search's next schedule, for a search that plays
// one after the other; learn is to be called when it is over. It panics when there
// is no next schedule.
func Turn(s Search) (p Player, learn func(newTrace bool)) {
	plan, ok := s.Next()
	if !ok {
		panic(s.Name() + " has no next schedule")
	}
	p = plan.Player()
	return p, func(newTrace bool) { s.Learn(newTrace, p.Lesson()) }
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
