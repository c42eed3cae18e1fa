package schedule

import "slices"

// races finds what each step of a schedule from one on depends on, and where it
// could have come earlier.
func (x *Exhaustive) races(p trail, from int) {
	if n := len(p); n > 0 && p[n-1].branch == nil {
		p = p[:n-1]
	}
	r := &racing{x, p, p.course(), make([]bits, len(p))}
	for j := range p {
		r.before[j] = newBits(len(p))
		for i := j - 1; i >= 0; i-- {
			if r.before[j].has(i) {
				continue
			}
			if j >= from && r.ordered(i, j) {
				r.race(i, j)
			}
			if r.met(i, j) {
				r.before[j].add(r.before[i])
				r.before[j].set(i)
			}
		}
		if j >= from && !p[j].Barrier {
			r.instead(j)
		}
	}
}

// A racing is a schedule in which steps are looked for that could have come in
// another order.
type racing struct {
	x      *Exhaustive
	trail  trail
	course course // the same
	before []bits // which steps happen before each
}

// instead sees to it that what a process could have done instead of an earlier
// step, and that is asleep there, is also tried after the later step, if it
// depends on that. (What is not asleep is tried there and finds that by itself.)
func (r *racing) instead(j int) {
	for i := range j {
		p := r.trail[i]
		if r.before[j].has(i) {
			continue
		}
		for _, e := range p.Sleep {
			at := r.course[i].find(e.Option)
			if at >= 0 && e.Option != p.Taken && p.Options[at].of(r.course[i].process()) && r.x.relation.depend(e.Label, r.trail[j].Label) {
				r.race(i, j)
				break
			}
		}
	}
}

// ordered reports whether the order of two steps can matter.
func (r *racing) ordered(i, j int) bool {
	p, q := r.trail[i], r.trail[j]
	return p.Barrier || q.Barrier || r.x.relation.depend(p.Label, q.Label)
}

// met reports whether two steps met in this schedule.
func (r *racing) met(i, j int) bool {
	p, q := r.trail[i], r.trail[j]
	return p.Barrier || q.Barrier || compare(p.Did, q.Did, r.x.relation.clock)
}

// race sees to it that of two steps that depend on each other, with none in
// between that hangs on the first and on which the second hangs, the later one
// is also tried before the earlier one.
func (r *racing) race(i, j int) {
	at, later := r.course[i], r.course[j]
	if later.Taken == endOption || Program(at.process()) == Program(later.process()) {
		return
	}
	if r.enabled(i, j) {
		// It could not have come before that, unless something else makes room
		// for it too. But if it could have come before others on which it depends,
		// it is to be tried there.
		for k := i - 1; k >= 0 && r.course[k].process() != later.process(); k-- {
			if r.course[k].find(later.Taken) >= 0 && r.ordered(k, j) {
				r.trail[k].try(later.process())
				break
			}
		}
	}
	// What does not hang on the earlier one, and the later one after it, is a
	// way to have them the other way round. Whatever could come first on that
	// way will do.
	var initials []string
	var way []int
	for k := i + 1; k <= j; k++ {
		if k < j && r.before[k].has(i) {
			continue
		}
		first := !slices.ContainsFunc(way, func(w int) bool { return r.before[k].has(w) })
		if first && at.find(r.course[k].Taken) >= 0 {
			initials = append(initials, r.course[k].process())
		}
		way = append(way, k)
	}
	if len(initials) > 0 && !slices.ContainsFunc(initials, func(p string) bool { return slices.Contains(r.trail[i].Backtrack, p) }) {
		r.trail[i].try(initials[0])
	}
}

// enabled reports whether the later step was on offer only after the earlier
// one, or after something that followed that.
func (r *racing) enabled(i, j int) bool {
	for k := i + 1; k < j; k++ {
		if r.course[k].process() == r.course[j].process() {
			return false
		}
	}
	return r.course[i].find(r.course[j].Taken) < 0
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
