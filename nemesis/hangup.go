package nemesis

import (
	"screwtape/harness"
	"screwtape/harness/schedule"
)

// Hangup has the mail sink answer a message with 421 and close the connection,
// as a server does that is being shut down (RFC 5321, 3.8), at most Budget times
// in a schedule.
type Hangup struct {
	Budget int

	taken int
}

// Name is "hangup".
func (*Hangup) Name() string { return "hangup" }

// Reset begins a new schedule.
func (n *Hangup) Reset() { n.taken = 0 }

// Faults are a hang-up on each program that is handing a message over.
func (n *Hangup) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	for _, p := range s.Processes {
		if p.Delivering != "" && n.taken < n.Budget {
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Hangup, Names: []string{p.Delivering}}})
		}
	}
	return list
}

// Took counts the hang-ups.
func (n *Hangup) Took(d schedule.Decision) {
	if d.Verb == schedule.Hangup {
		n.taken++
	}
}
