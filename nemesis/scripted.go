package nemesis

import (
	"screwtape/harness"
	"screwtape/harness/schedule"
)

// Scripted offers every fault at every point, for a tape to take: any program
// that runs can crash, any that does not can start, whole nodes too, and any
// message can be refused.
type Scripted struct{}

// Name is "scripted".
func (Scripted) Name() string { return "scripted" }

// Reset does nothing.
func (Scripted) Reset() {}

// Faults are all there are.
func (Scripted) Faults(s harness.Situation) []schedule.Option {
	var list []schedule.Option
	nodes := map[string]bool{}
	add := func(process, verb string, names ...string) {
		list = append(list, schedule.Option{
			Decision: schedule.Decision{Process: process, Verb: verb, Names: names},
			Restart:  verb == schedule.Start,
		})
	}
	for _, p := range s.Processes {
		if !nodes[p.Node] {
			nodes[p.Node] = true
			add(p.Node, schedule.Crash)
			add(p.Node, schedule.Start)
		}
		if !p.Alive {
			add(p.Label, schedule.Start)
			continue
		}
		add(p.Label, schedule.Crash)
		if p.Delivering != "" {
			add(p.Label, schedule.Defer, p.Delivering)
		}
	}
	return list
}

// Took does nothing.
func (Scripted) Took(schedule.Decision) {}
