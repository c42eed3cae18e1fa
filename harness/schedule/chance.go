package schedule

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
)

// A Draw is all that the chance in one schedule comes from: with the same draw
// and the same programs, a strategy makes the same schedule again, alone.
type Draw struct {
	Seed     uint64 // of the search
	Schedule int    // number of the schedule in its search, from 0
	Length   int    // how many decisions the schedule is expected to have
	Points   int    // at how many of them a fault is expected to be on offer
}

func (d Draw) String() string {
	return fmt.Sprintf("seed %d schedule %d length %d points %d", d.Seed, d.Schedule, d.Length, d.Points)
}

// chance is what the random strategies have in common: when a fault comes, and
// whether what a crash took comes back.
//
// The point of a schedule's fault is drawn beforehand, among all that are
// expected: so a crash early and a crash late are equally likely, which a
// chance at each point would not make them.
type chance struct {
	name   string
	draw   Draw
	rng    *rand.Rand
	points int                   // points so far at which a fault was on offer
	at     int                   // the point at which to take one, none if negative
	faults int                   // taken so far
	steps  int                   // decisions so far
	back   map[string]homecoming // of each crashed process
	alone  Decision              // the start of what came back and has the others wait until it sleeps, or none
}

// One schedule in faultless goes without a fault, if nothing but chance
// decides: those tell how long a schedule is, and what happens without any.
const faultless = 4

func newChance(name string, d Draw) chance {
	h := fnv.New64a()
	h.Write([]byte(name))
	c := chance{name: name, draw: d, back: map[string]homecoming{}, at: -1}
	c.rng = rand.New(rand.NewPCG(d.Seed, h.Sum64()^uint64(d.Schedule)))
	if c.rng.IntN(faultless) > 0 {
		c.at = c.rng.IntN(max(d.Points, 1))
	}
	return c
}

func (c *chance) String() string { return c.name + " " + c.draw.String() }

// fault says which of the options is to be taken because the time for a fault
// has come.
func (c *chance) fault(options []Option) (int, bool) {
	var faults []int
	for i, o := range options {
		if o.Fault() {
			faults = append(faults, i)
		}
	}
	if len(faults) == 0 {
		return 0, false
	}
	c.points++
	if c.points-1 != c.at {
		return 0, false
	}
	c.faults++
	c.at = c.points + c.rng.IntN(max(c.draw.Points, 1)) // of a further one, should the budget allow it
	return faults[c.rng.IntN(len(faults))], true
}

// A homecoming says whether a process that a crash took comes back before the
// schedule's end.
type homecoming int

const (
	never homecoming = iota // half of them
	free                    // a quarter: as any process goes on
	later                   // the rest: once somebody has changed something, one time in three
	now
)

// candidates are the options that are no faults, or the start of what is to come
// back now. Half of that has the others wait until it sleeps: what a start does
// takes many steps, and does the most harm in the midst of what others do.
func (c *chance) candidates(options []Option) []int {
	var list, waiting, own []int
	for i, o := range options {
		switch {
		case o.Fault():
		case !o.Restart:
			list = append(list, i)
			if c.alone.Concerns(Program(o.Process)) && !o.timely() {
				own = append(own, i)
			}
		default:
			if _, drawn := c.back[o.Process]; !drawn {
				c.back[o.Process] = []homecoming{never, never, free, later}[c.rng.IntN(4)]
			}
			switch c.back[o.Process] {
			case now:
				return []int{i}
			case free:
				list = append(list, i)
			case later:
				waiting = append(waiting, i)
			}
		}
	}
	switch {
	case len(own) > 0:
		return own
	case len(list) == 0:
		return waiting
	}
	return list
}

func (c *chance) Done(d Decision, f Footprint) error {
	c.steps++
	if d.Verb == Start {
		if c.alone = (Decision{}); c.back[d.Process] == now && c.rng.IntN(2) == 0 {
			c.alone = d
		}
		delete(c.back, d.Process) // the next crash draws anew
	}
	if d.timely() && c.alone.Concerns(Program(d.Process)) {
		c.alone = Decision{}
	}
	if d.Answer() || changes(f) {
		for _, process := range slices.Sorted(maps.Keys(c.back)) {
			if c.back[process] == later && c.rng.IntN(3) == 0 {
				c.back[process] = now
			}
		}
	}
	return nil
}

// Lesson is how long the schedule was. After a fault the budget may be spent, and
// no more is on offer: such a schedule says nothing of how many points there are.
func (c *chance) Lesson() Lesson {
	l := Lesson{Decisions: c.steps}
	if c.faults == 0 {
		l.Points = c.points
	}
	return l
}

// search plans one schedule by chance after the other, and tells each what length
// the ones before it lead to expect.
type search struct {
	name   string
	next   Draw
	length average
	points average
}

func newSearch(name string, seed uint64) *search {
	return &search{name: name, next: Draw{Seed: seed}, length: 50, points: 20}
}

func (s *search) Name() string { return s.name }

func (s *search) Next() (Plan, bool) {
	s.next.Length, s.next.Points = s.length.reach(), s.points.reach()
	p := Plan{Search: s.name, Draw: s.next}
	s.next.Schedule++
	return p, true
}

func (s *search) Learn(_ bool, l Lesson) {
	s.length.add(l.Decisions)
	if l.Points > 0 {
		s.points.add(l.Points)
	}
}

// An average of the latest values, which soon forgets what it began with.
type average float64

func (a *average) add(n int) { *a += (average(n) - *a) / 4 }

// reach is a little above the average, so that the end of a schedule that is
// longer than most is reached too.
func (a average) reach() int { return int(a*5/4) + 1 }
