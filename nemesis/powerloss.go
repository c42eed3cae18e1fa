package nemesis

import (
	"slices"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// PowerLoss takes the power from the file server and all nodes at once, at most
// Budget times in a schedule: all programs die, what was not synced is gone from the
// share (share.Store.PowerLoss says what that is), and each program that died may be
// started again, but on a node that crashes after that, which stays down. It is
// offered once somebody has changed something: right after that, and after whatever
// the others do until he does more.
type PowerLoss struct {
	Budget int

	taken int
	up    []string // programs that run, before the decision
	down  []string // programs that had power, and have not been started since
}

// Name is "powerloss".
func (*PowerLoss) Name() string { return "powerloss" }

// Reset begins a new schedule.
func (l *PowerLoss) Reset() { l.taken, l.up, l.down = 0, nil, nil }

// Faults are a loss of power while something runs, and a start of each program that
// it took. What runs now is kept for Took.
func (l *PowerLoss) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	l.up = nil
	runs, changed := false, false
	for _, p := range s.Processes {
		runs = runs || p.Alive || p.Orphaned
		changed = changed || p.Mutated
		switch {
		case p.Alive:
			l.up = append(l.up, p.Label)
		case slices.Contains(l.down, p.Label):
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Start}, Restart: true})
		}
	}
	if runs && changed && l.taken < l.Budget {
		list = append(list, schedule.Option{Decision: schedule.Decision{Process: schedule.Server, Verb: schedule.PowerLoss}, Wide: true})
	}
	return list
}

// Took counts the losses, and keeps which programs are down by them.
func (l *PowerLoss) Took(d schedule.Decision) {
	switch {
	case d.Verb == schedule.PowerLoss:
		l.taken++
		l.down = append(l.down, l.up...)
	case d.Verb == schedule.Crash && d.OfNode():
		l.down = slices.DeleteFunc(l.down, func(label string) bool { return runsOn(label, d.Process) })
	case d.Verb == schedule.Start:
		l.down = slices.DeleteFunc(l.down, func(label string) bool { return label == d.Process })
	}
}
