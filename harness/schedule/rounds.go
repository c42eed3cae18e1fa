package schedule

import "slices"

// rounds are what each program has seen since it last woke, by its label. One
// that polls and finds what it found before has done nothing; so it need not be
// woken until something that it looks at has changed.
type rounds map[string]*round

type round struct {
	looked map[Resource]bool
	stale  bool // it has changed something or got a signal, or what it looked at has changed since
}

// dozes reports whether a decision is a wake-up that finds what the one before it
// found.
func (r rounds) dozes(d Decision) bool {
	own := r[Program(d.Process)]
	return d.Verb == Wake && own != nil && !own.stale
}

// offer leaves out the wake-ups that find nothing new, unless nothing else can go
// on.
func (r rounds) offer(options []Option) []Option {
	if !slices.ContainsFunc(options, func(o Option) bool { return o.free() && !r.dozes(o.Decision) }) {
		return slices.Clone(options)
	}
	return slices.DeleteFunc(slices.Clone(options), func(o Option) bool { return r.dozes(o.Decision) })
}

// took notes a step.
func (r rounds) took(e execution) {
	first := e.Step[0]
	program := Program(first.Process)
	switch {
	case first.Verb == Wake:
		r[program] = &round{looked: map[Resource]bool{}}
	case first.Verb == Start:
		for other := range r {
			if first.Concerns(other) {
				delete(r, other)
			}
		}
	}
	if own := r[program]; own != nil {
		for _, x := range e.Touched.Reads {
			own.looked[x] = true
		}
		own.stale = own.stale || changes(e.Touched) || first.Answer()
	}
	last := e.Step[len(e.Step)-1]
	for name, its := range r {
		its.stale = its.stale || name != program && e.Touched.changesAny(its.looked) || last.interrupts(name)
	}
}

// changesAny reports whether a step changes one of the resources.
func (f Footprint) changesAny(list map[Resource]bool) bool {
	return slices.ContainsFunc(slices.Concat(f.Writes, f.Adds), func(x Resource) bool { return list[x] })
}
