package schedule

import (
	"fmt"
	"math"
)

// A pct makes a schedule by probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi and
// Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding
// bugs", ASPLOS 2010): processes have random priorities, the highest that can
// go on does, and at depth-1 random steps the one that would go on falls below
// all the others. A bug that needs depth ordering constraints is met in one
// schedule with at least the chance that PCTBound gives.
//
// Two things are not in the paper. A fault has a point of its own. And a
// process that wakes a second time falls to the bottom, or a program that
// polls would starve those below it for ever.
//
// The length that change points are drawn from is learnt from earlier schedules.
type pct struct {
	chance
	changes  map[int]bool       // the steps before which a priority falls
	priority map[string]float64 // by process: from 1 at first, below 1 after a change, below 0 after a second wake-up
	woken    map[string]bool
	floor    float64 // the lowest priority so far
}

// PCTBound is the least chance that one PCT schedule meets a bug of the given
// depth among so many processes and steps: 1/(n k^(d-1)). It holds only where
// nothing but priorities decides: not for bugs that need a fault, nor where
// programs sleep and wake again.
func PCTBound(processes, steps, depth int) float64 {
	return 1 / (float64(processes) * math.Pow(float64(steps), float64(depth-1)))
}

// PCTMiss is the greatest chance that a bug of the given depth, which a search
// has not met, is there all the same: that all of its PCT schedules of that depth
// have missed it. It is 1 where it made none. What PCTBound says of when that
// holds goes for this too.
func PCTMiss(s Search, processes, steps, depth int) float64 {
	n := 0
	switch s := s.(type) {
	case *portfolio:
		for _, m := range s.members {
			if m.Name() == pctName(depth) {
				n += m.turns
			}
		}
	case *search:
		if s.name == pctName(depth) {
			n = s.next.Schedule
		}
	}
	return math.Pow(1-PCTBound(processes, steps, depth), float64(n))
}

func pctName(depth int) string {
	return fmt.Sprintf("pct%d", depth)
}

func newPCT(depth int, d Draw) *pct {
	p := &pct{
		chance:   newChance(pctName(depth), d),
		changes:  map[int]bool{},
		priority: map[string]float64{},
		woken:    map[string]bool{},
	}
	for len(p.changes) < min(depth-1, d.Length) {
		p.changes[p.rng.IntN(d.Length)] = true
	}
	return p
}

func (p *pct) Pick(options []Option) (int, error) {
	if i, ok := p.fault(options); ok {
		return i, nil
	}
	list := p.candidates(options)
	best := p.highest(options, list)
	if best != None && p.changes[p.steps] {
		p.priority[options[best].Process] = p.rng.Float64()
		best = p.highest(options, list)
	}
	return best, nil
}

// highest is the option of the process of highest priority, the first of them
// if it has several.
func (p *pct) highest(options []Option, list []int) int {
	best := None
	for _, i := range list {
		process := options[i].Process
		if _, known := p.priority[process]; !known {
			p.priority[process] = 1 + p.rng.Float64()
		}
		if best == None || p.priority[process] > p.priority[options[best].Process] {
			best = i
		}
	}
	return best
}

func (p *pct) Done(d Decision, f Footprint) error {
	if d.timely() {
		if p.woken[d.Process] {
			p.floor--
			p.priority[d.Process] = p.floor
		}
		p.woken[d.Process] = true
	}
	return p.chance.Done(d, f)
}
