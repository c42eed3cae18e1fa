package nemesis

import (
	"maps"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// Crash kills programs, at most Budget of them in a schedule, and offers to
// start again what it killed. A crash is offered only right after a step of
// the program that others can see: one before that differs in nothing, since
// a process loses its own state anyway. Where a node crashes, which is another's
// doing, its programs stay down.
type Crash struct {
	Budget int

	taken int
	down  map[string]bool
}

// Name is "crash".
func (*Crash) Name() string { return "crash" }

// Reset begins a new schedule.
func (c *Crash) Reset() { c.taken, c.down = 0, map[string]bool{} }

// Faults are a crash of each program that has just changed something, while
// the budget lasts, and a start of each that was crashed.
func (c *Crash) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	for _, p := range s.Processes {
		switch {
		case p.Alive && p.Mutated && c.taken < c.Budget:
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Crash}})
		case !p.Alive && c.down[p.Label]:
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Start}, Restart: true})
		}
	}
	return list
}

// Took counts the crashes, and keeps which programs are down by them.
func (c *Crash) Took(d schedule.Decision) {
	switch {
	case d.Verb == schedule.Crash && d.OfNode():
		maps.DeleteFunc(c.down, func(label string, _ bool) bool { return runsOn(label, d.Process) })
	case d.Verb == schedule.Crash:
		c.taken++
		c.down[d.Process] = true
	case d.Verb == schedule.Start:
		delete(c.down, d.Process)
	}
}
