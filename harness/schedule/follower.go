package schedule

import (
	"math/rand/v2"
	"slices"
)

// A Beginning is what a schedule of an exhaustive search is to begin with. What
// comes then is decided on the way: as plainly as it can be, but nothing that
// leads only to what is played elsewhere.
type Beginning struct {
	Taken  []string // the option that is to be taken at each stop
	Looks  []uint64 // digests of what could be decided there
	Sleep  []event  // options of the last of these stops that are played elsewhere
	Bounds Bounds
	Clock  Clock
	Scout  int // if not 0, nothing is taken from there, and all is decided at random, with this seed
}

// An event is an option that is played elsewhere, and what it was there.
type event struct {
	Option string `json:"option"`
	Did    *label `json:"did"`
}

func has(events []event, option string) bool {
	return slices.ContainsFunc(events, func(e event) bool { return e.Option == option })
}

// A Way is what came of a Beginning.
type Way struct {
	Stops   []Stop   // from the last of the beginning, whose Options are left out
	Blocked []Option // or what could be decided where nothing of it led to something new
	Lost    bool     // the beginning did not repeat itself ...
	At      int      // ... but at this stop ...
	There   []Option // ... there was this
}

// A Stop is a decision on a Way.
type Stop struct {
	Options []Option  // what could be decided
	Taken   string    // the option that was taken; "" is none of them
	Barrier bool      // its order with every other step matters
	Done    execution // the step that came of it
}

// A follower is the strategy of one schedule of an exhaustive search.
type follower struct {
	Beginning
	course course
	rounds rounds
	sleep  []event
	done   execution // of the step at the last stop, which may go on
	way    Way
	free   bool // it does not matter any more what is decided
	calm   canonical
	rng    *rand.Rand // of a scout
}

func newFollower(b *Beginning) *follower {
	f := &follower{Beginning: *b, rounds: rounds{}}
	if b.Scout != 0 {
		f.rng = rand.New(rand.NewPCG(uint64(b.Scout), 0))
	}
	return f
}

// Pick repeats the beginning, and then takes the plainest option that is not
// asleep.
func (f *follower) Pick(options []Option) (int, error) {
	if i := f.goesOn(options); i >= 0 {
		return i, nil
	}
	f.close()
	if f.free {
		return f.calm.Pick(options)
	}
	at := len(f.course)
	next := &stop{Options: f.rounds.offer(options)}
	next.texts = texts(next.Options)
	var ok bool
	if at < len(f.Taken) {
		next.Taken, ok = f.Taken[at], looks(next.Options) == f.Looks[at]
		if !ok {
			f.lose(at, next.Options)
		}
		if at == len(f.Taken)-1 {
			f.sleep = f.Sleep
		}
	} else if next.Taken, ok = f.choose(next); !ok {
		f.way.Blocked, f.free = next.Options, true
	}
	if !ok {
		return f.calm.Pick(options)
	}
	f.course = append(f.course, next)
	s := Stop{Taken: next.Taken}
	if at >= len(f.Taken) {
		s.Options = next.Options
	}
	if next.Taken == endOption {
		next.Barrier, s.Barrier = true, true
	}
	if at >= len(f.Taken)-1 {
		f.way.Stops = append(f.way.Stops, s)
	}
	return slices.IndexFunc(options, func(o Option) bool { return o.Decision.String() == next.Taken }), nil // None at the end
}

// lose notes where a beginning was not repeated.
func (f *follower) lose(at int, there []Option) {
	f.way.Lost, f.way.At, f.way.There = true, at, there
	f.free = true
}

// goesOn is the call that belongs to the wake-up before it, negative if there
// is none. An alarm is none: it has a time of its own.
func (f *follower) goesOn(options []Option) int {
	if len(f.done.Step) != 1 || f.done.Step[0].Verb != Wake {
		return -1
	}
	return slices.IndexFunc(options, func(o Option) bool {
		return o.Process == f.done.Step[0].Process && o.free() && !o.timely()
	})
}

// choose takes the first option at a stop. It is false where all that could go
// on is asleep.
func (f *follower) choose(next *stop) (string, bool) {
	if atTheEnd(next.Options) {
		return endOption, true
	}
	awake, _ := f.Bounds.awake(f.course, next, f.sleep)
	if len(awake) == 0 {
		return "", false
	}
	if f.rng != nil {
		return pickRandomly(f.rng, awake), true
	}
	i, _ := f.calm.Pick(awake)
	return awake[max(i, 0)].Decision.String(), true
}

// pickRandomly picks one of the options, and now and then a fault.
func pickRandomly(rng *rand.Rand, options []Option) string {
	faultless := slices.DeleteFunc(slices.Clone(options), func(o Option) bool { return o.Fault() })
	if len(faultless) > 0 && rng.IntN(8) > 0 {
		options = faultless
	}
	return options[rng.IntN(len(options))].Decision.String()
}

// atTheEnd reports whether nothing can go on, so that a schedule can end there.
func atTheEnd(options []Option) bool {
	return !slices.ContainsFunc(options, func(o Option) bool { return o.free() || o.Restart })
}

// awake are the options of which one can be the first to be taken at the stop
// that comes next; beyond is how many are left out by the bounds.
func (b Bounds) awake(c course, next *stop, sleep []event) (awake []Option, beyond int) {
	for i, o := range next.Options {
		switch {
		case o.Wide || has(sleep, next.texts[i]): // see grow
		case b.preemptsTooOften(c, len(c), next, next.texts[i]):
			beyond++
		default:
			awake = append(awake, o)
		}
	}
	return awake, beyond
}

// Done notes what the step touched.
func (f *follower) Done(d Decision, p Footprint) error {
	f.calm.Done(d, p)
	if f.free {
		return nil
	}
	f.done.Step = append(f.done.Step, d)
	t := &f.done.Touched
	t.Reads = append(t.Reads, p.Reads...)
	t.Writes = append(t.Writes, p.Writes...)
	t.Adds = append(t.Adds, p.Adds...)
	return nil
}

// close ends the step at the last stop.
func (f *follower) close() {
	if len(f.done.Step) == 0 {
		return
	}
	at := len(f.course) - 1
	s := f.course[at]
	f.done.Delivered = f.course.delivered(at)
	s.Verb, s.Gave = f.done.verb(), f.done.gave()
	s.Barrier = s.Barrier || f.rounds.dozes(f.done.Step[0])
	f.rounds.took(f.done)
	if at >= len(f.Taken)-1 {
		last := &f.way.Stops[len(f.way.Stops)-1]
		last.Done, last.Barrier = f.done, s.Barrier
		if s.Barrier {
			f.sleep = nil
		}
		f.sleep = after(f.sleep, f.done.label(), f.Clock)
	}
	f.done = execution{}
}

// after are those of the sleeping events that still lead to nothing new after
// a step: those that did not depend on it.
func after(sleep []event, did *label, clock Clock) []event {
	return slices.DeleteFunc(slices.Clone(sleep), func(e event) bool { return e.Did.meets(did, clock) })
}

// Lesson is the way that the schedule took.
func (f *follower) Lesson() Lesson {
	f.close()
	if n := len(f.way.Stops); n > 0 && len(f.way.Stops[n-1].Done.Step) == 0 {
		f.way.Stops[n-1].Barrier = true // the schedule was cut off there
	}
	if len(f.course) < len(f.Taken) && !f.way.Lost {
		f.lose(len(f.course), nil)
	}
	return Lesson{Decisions: f.calm.steps, Way: &f.way}
}
