package nemesis

import (
	"screwtape/harness"
	"screwtape/harness/schedule"
)

// Pause lets a program stand still with its children, as on a machine that is
// suspended or swaps, at most Budget times in a schedule. Time goes on for the
// others. It goes on when that is chosen, and at the latest when everything is
// mended.
type Pause struct {
	Budget int

	taken int
}

// Name is "pause".
func (*Pause) Name() string { return "pause" }

// Reset begins a new schedule.
func (n *Pause) Reset() { n.taken = 0 }

// Faults are a pause of each program that has just changed something, since
// what it does next then comes late, and the end of each pause.
func (n *Pause) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	for _, p := range s.Processes {
		switch {
		case p.Alive && p.Paused:
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Resume}, Restart: true})
		case p.Alive && p.Mutated && n.taken < n.Budget:
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Pause}})
		}
	}
	return list
}

// Took counts the pauses.
func (n *Pause) Took(d schedule.Decision) {
	if d.Verb == schedule.Pause {
		n.taken++
	}
}
