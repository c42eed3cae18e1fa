package nemesis

import (
	"screwtape/harness"
	"screwtape/harness/schedule"
)

// TempFail has the mail sink refuse messages for now (RFC 5321, 4.2.1: a 4yz
// reply), at most Budget times in a schedule.
type TempFail struct {
	Budget int

	taken int
}

// Name is "tempfail".
func (*TempFail) Name() string { return "tempfail" }

// Reset begins a new schedule.
func (t *TempFail) Reset() { t.taken = 0 }

// Faults are a refusal of each message that is being handed over.
func (t *TempFail) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	for _, p := range s.Processes {
		if p.Delivering != "" && t.taken < t.Budget {
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Defer, Names: []string{p.Delivering}}})
		}
	}
	return list
}

// Took counts the refusals.
func (t *TempFail) Took(d schedule.Decision) {
	if d.Verb == schedule.Defer {
		t.taken++
	}
}
