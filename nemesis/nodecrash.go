package nemesis

import (
	"strings"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// NodeCrash kills everything that runs on a node at once, as when its power goes,
// at most Budget times in a schedule. What is on the share stays as it is, and the
// node stays down. As with Crash, it is offered only right after a step that others
// can see.
type NodeCrash struct {
	Budget int

	taken int
}

// Name is "node-crash".
func (*NodeCrash) Name() string { return "node-crash" }

// Reset begins a new schedule.
func (n *NodeCrash) Reset() { n.taken = 0 }

// Faults are a crash of each node on which a program that runs has just changed
// something.
func (n *NodeCrash) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	seen := map[string]bool{}
	for _, p := range s.Processes {
		runs := p.Alive || p.Orphaned
		if n.taken < n.Budget && runs && p.Mutated && !seen[p.Node] {
			seen[p.Node] = true
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Node, Verb: schedule.Crash}, Wide: true})
		}
	}
	return list
}

// Took counts the crashes.
func (n *NodeCrash) Took(d schedule.Decision) {
	if d.Verb == schedule.Crash && d.OfNode() {
		n.taken++
	}
}

// runsOn reports whether a program is one of a node's.
func runsOn(label, node string) bool { return strings.HasPrefix(label, node+"/") }
