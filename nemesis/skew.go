package nemesis

import (
	"screwtape/harness"
	"screwtape/harness/schedule"
)

// Skew makes the clock of a node wrong, at most Budget times in a schedule: it is
// set by an hour, as a wrong time zone does, or by more than the longest of
// Mailman's locks lives (30 h), as a dead clock battery does; or it runs faster
// or slower from then on.
type Skew struct {
	Budget int

	taken int
}

// skews are what can be wrong with a clock.
var skews = []string{"1h0m0s", "-1h0m0s", "31h0m0s", "x1.1", "x0.9"}

// Name is "skew".
func (*Skew) Name() string { return "skew" }

// Reset begins a new schedule.
func (n *Skew) Reset() { n.taken = 0 }

// Faults are each skew of each node.
func (n *Skew) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	seen := map[string]bool{}
	for _, p := range s.Processes {
		if seen[p.Node] || n.taken >= n.Budget {
			continue
		}
		seen[p.Node] = true
		for _, by := range skews {
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Node, Verb: schedule.Skew, Names: []string{by}}, Wide: true})
		}
	}
	return list
}

// Took counts the skews.
func (n *Skew) Took(d schedule.Decision) {
	if d.Verb == schedule.Skew {
		n.taken++
	}
}
