package nemesis

import (
	"screwtape/harness"
	"screwtape/harness/schedule"
)

// Answer has the mail sink answer a message otherwise than by taking it, at most
// Budget times in a schedule: schedule.Defer refuses it for now (RFC 5321, 4.2.1: a
// 4yz reply); schedule.Hangup says 421 and closes the connection, as a server does
// that is being shut down (3.8).
type Answer struct {
	As     string // its name
	Verb   string
	Budget int

	taken int
}

// Name is that of the catalogue.
func (a *Answer) Name() string { return a.As }

// Reset begins a new schedule.
func (a *Answer) Reset() { a.taken = 0 }

// Faults are such an answer to each message that is being handed over.
func (a *Answer) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	for _, p := range s.Processes {
		if p.Delivering != "" && a.taken < a.Budget {
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: a.Verb, Names: []string{p.Delivering}}})
		}
	}
	return list
}

// Took counts the answers.
func (a *Answer) Took(d schedule.Decision) {
	if d.Verb == a.Verb {
		a.taken++
	}
}
