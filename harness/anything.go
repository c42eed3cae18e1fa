package harness

import (
	"screwtape/harness/schedule"
)

// anything is the nemesis of a tape, which may take any fault at any point: any
// program that runs can crash, any that does not can start, whole nodes too,
// and any message can be refused.
type anything struct{}

// Name is "anything".
func (anything) Name() string { return "anything" }

// Reset does nothing.
func (anything) Reset() {}

// Faults are all there are.
func (anything) Faults(s Situation) []schedule.Option {
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
func (anything) Took(schedule.Decision) {}
