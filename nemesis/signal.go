package nemesis

import (
	"screwtape/harness"
	"screwtape/harness/schedule"
)

// Signal sends signals to programs that are made for it, as an administrator does
// who has one read its configuration again, at most Budget times in a schedule.
type Signal struct {
	Budget int

	taken int
}

// Name is "signal".
func (*Signal) Name() string { return "signal" }

// Reset begins a new schedule.
func (n *Signal) Reset() { n.taken = 0 }

// Faults are each signal of each program that runs. Where a program is matters also
// when it has changed nothing, since a handler may come between any two calls.
func (n *Signal) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	for _, p := range s.Processes {
		if !p.Alive || p.Paused || n.taken >= n.Budget {
			continue
		}
		for _, name := range p.Signals {
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Signal, Names: []string{name}}})
		}
	}
	return list
}

// Took counts the signals.
func (n *Signal) Took(d schedule.Decision) {
	if d.Verb == schedule.Signal {
		n.taken++
	}
}
