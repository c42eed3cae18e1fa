package schedule

import (
	"hash/fnv"
	"slices"
)

// A stop is where a schedule of an exhaustive search made a decision, and what
// it decided there.
type stop struct {
	Options []Option
	texts   []string // of Options
	Taken   string   // the option that was taken; "" is none of them
	Verb    string   // of the last decision of the step that came of it
	Gave    bool     // the step delivered something, or may have handed it on
	Barrier bool     // its order with every other step matters
}

const endOption = ""

func texts(options []Option) []string {
	list := make([]string, len(options))
	for i, o := range options {
		list[i] = o.Decision.String()
	}
	return list
}

// find is the index of an option, negative if it is not there.
func (s *stop) find(option string) int { return slices.Index(s.texts, option) }

// process is whose step was taken; "" at the end.
func (s *stop) process() string {
	if i := s.find(s.Taken); i >= 0 {
		return s.Options[i].Process
	}
	return ""
}

// of reports whether an option is tried where the process is: what it does, and
// what goes wrong with it.
func (o Option) of(process string) bool {
	return o.Process == process || o.Fault() && Program(o.Process) == Program(process)
}

// A course is the stops of a schedule so far.
type course []*stop

// delivered reports whether the process of the step at a stop has delivered
// something since it was started, or may have handed something on.
func (c course) delivered(i int) bool {
	process := Program(c[i].process())
	for _, s := range slices.Backward(c[:i]) {
		if s.Taken == endOption || Program(s.process()) != process {
			continue
		}
		switch {
		case s.Gave:
			return true
		case s.Verb == Start:
			return false
		}
	}
	return false
}

// preempts reports whether an option at a stop makes a process wait that could
// go on. The stop may be the one that comes next, of which only the options are
// known.
func (c course) preempts(i int, s *stop, option string) bool {
	if i == 0 {
		return false
	}
	last := c[i-1].process()
	at := s.find(option)
	if at < 0 || s.Options[at].of(last) {
		return false
	}
	return slices.ContainsFunc(s.Options, func(o Option) bool { return o.Process == last && o.free() && !o.timely() })
}

// Bounds leave schedules out. Negative is no bound.
type Bounds struct {
	Preemptions int `json:"preemptions"` // how often a process that could go on is made to wait for another
	Depth       int `json:"depth"`       // after so many steps, nothing is tried but the first choice
}

// Unbounded leaves nothing out.
var Unbounded = Bounds{-1, -1}

// beyond reports whether an option at a stop, one after the first choice there,
// lies beyond the bounds.
func (b Bounds) beyond(c course, i int, s *stop, option string) bool {
	return b.Depth >= 0 && i >= b.Depth || b.preemptsTooOften(c, i, s, option)
}

// preemptsTooOften is beyond for a first choice too.
func (b Bounds) preemptsTooOften(c course, i int, s *stop, option string) bool {
	if b.Preemptions < 0 || !c.preempts(i, s, option) {
		return false
	}
	n := 0
	for k := 1; k < i; k++ {
		if c.preempts(k, c[k], c[k].Taken) {
			n++
		}
	}
	return n >= b.Preemptions
}

// looks is a digest of what can be decided, for a schedule that is to repeat
// another's beginning. What is early may differ where time was not part of the
// beginning.
func looks(options []Option) uint64 {
	h := fnv.New64a()
	for _, o := range options {
		h.Write([]byte(o.Decision.String()))
		if o.Restart {
			h.Write([]byte(" again"))
		}
		h.Write([]byte{0})
	}
	return h.Sum64()
}
