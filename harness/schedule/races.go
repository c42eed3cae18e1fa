package schedule

import "slices"

// races finds what each step of a schedule hangs on, and of those from one on, where
// it could have come earlier.
func (x *Exhaustive) races(p trail, from int) {
	var next []string // what was on offer after the last step
	if n := len(p); n > 0 && p[n-1].branch == nil {
		p, next = p[:n-1], p[n-1].texts
	}
	r := &racing{p, p.course(), make([]bits, len(p)), x.clock}
	for j := range p {
		r.before[j] = newBits(len(p))
		for i := j - 1; i >= 0; i-- {
			if r.before[j].has(i) || !r.met(i, j) {
				continue
			}
			if j >= from {
				r.race(i, j)
			}
			r.before[j].add(r.before[i])
			r.before[j].set(i)
		}
		if j >= from {
			r.hidden(j)
		}
	}
	for i := len(p) - 1; i >= from; i-- {
		r.takenAway(i, next)
		next = p[i].texts
	}
}

// A racing is a schedule in which steps are looked for that could have come in
// another order.
type racing struct {
	trail  trail
	course course // the same
	before []bits // which steps happen before each
	clock  Clock
}

// met reports whether two steps met in this schedule.
func (r *racing) met(i, j int) bool {
	p, q := r.trail[i], r.trail[j]
	return p.Barrier || q.Barrier || p.Did.meets(q.Did, r.clock)
}

// race sees to it that of two steps that met, with none in between that hangs on
// the first and on which the second hangs, the later one is also tried before the
// earlier one.
func (r *racing) race(i, j int) {
	if r.course[j].Taken == endOption || Program(r.course[i].process()) == Program(r.course[j].process()) {
		return
	}
	// What does not hang on the earlier one, and the later one after it, is a
	// way to have them the other way round. Whatever could come first on that
	// way will do.
	r.try(i, j, func(k int) bool { return !r.before[k].has(i) })
}

// hidden finds what a step has hidden. Instead of step i, some other could have come
// there: one that was tried before it, or is played elsewhere. It meets step i, which
// so has made it into something else, and would have met step j, which does not hang on
// step i. So that j comes before the other is to be tried at i too: nothing in this
// schedule shows that they would meet, and where the other came first nothing is
// tried at this point any more.
func (r *racing) hidden(j int) {
	later := r.trail[j]
	for i := range j {
		if r.before[j].has(i) {
			continue
		}
		at := r.trail[i]
		if slices.ContainsFunc(at.ousted(at.branch, r.clock), func(e event) bool {
			return Program(e.Did.Process) != Program(later.Did.Process) && e.Did.meets(later.Did, r.clock)
		}) {
			r.try(i, j, func(k int) bool { return r.before[j].has(k) })
		}
	}
}

// ousted are the events that a branch at the point has met of those that are asleep
// below it otherwise.
func (p *point) ousted(by *branch, c Clock) []event {
	if by.Barrier {
		return nil
	}
	if by.met == nil {
		by.met = slices.DeleteFunc(p.asleep(by), func(e event) bool { return !e.Did.meets(by.Did, c) })
	}
	return by.met
}

// try sees to it that a step which could come first is tried at i: of those between
// i and j that belong to a way, and of j, which comes last on it.
func (r *racing) try(i, j int, belongs func(k int) bool) {
	var initials []string
	var way []int
	for k := i + 1; k <= j; k++ {
		if k < j && !belongs(k) {
			continue
		}
		first := !slices.ContainsFunc(way, func(w int) bool { return r.before[k].has(w) })
		if first && r.course[i].find(r.course[k].Taken) >= 0 {
			initials = append(initials, r.course[k].process())
		}
		way = append(way, k)
	}
	if len(initials) > 0 && !slices.ContainsFunc(initials, func(p string) bool { return slices.Contains(r.trail[i].Backtrack, p) }) {
		r.trail[i].try(initials[0])
	}
}

// takenAway sees to it that what a process could have done at a point, and cannot do
// any more after the step that was taken there, is tried instead of that step: it
// waits for a lock that another has got.
func (r *racing) takenAway(i int, next []string) {
	for k, o := range r.trail[i].Options {
		if o.free() && o.Process != r.course[i].process() && !slices.Contains(next, r.trail[i].texts[k]) {
			r.trail[i].try(o.Process)
		}
	}
}

// bits is a set of small numbers.
type bits []uint64

func newBits(n int) bits      { return make(bits, (n+63)/64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) add(others bits) {
	for i, w := range others {
		b[i] |= w
	}
}
