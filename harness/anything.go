package harness

import (
	"screwtape/harness/schedule"
)

// anything is the nemesis of a tape, which may take any fault at any point: any
// program that runs can crash or pause, any that does not can start, whole nodes
// too, any message can be refused, and any clock set to whatever the tape says.
type anything struct{ tape *schedule.Force }

// Name is "anything".
func (anything) Name() string { return "anything" }

// Reset does nothing.
func (anything) Reset() {}

// Faults are all there are.
func (a anything) Faults(s Situation) []schedule.Option {
	var list []schedule.Option
	nodes := map[string]bool{}
	add := func(process, verb string, names ...string) {
		list = append(list, schedule.Option{
			Decision: schedule.Decision{Process: process, Verb: verb, Names: names},
			Restart:  verb == schedule.Start || verb == schedule.Resume,
		})
	}
	for _, p := range s.Processes {
		if !nodes[p.Node] {
			nodes[p.Node] = true
			add(p.Node, schedule.Crash)
			add(p.Node, schedule.Start)
			add(p.Node, schedule.Pause)
			add(p.Node, schedule.Resume)
		}
		if !p.Alive {
			add(p.Label, schedule.Start)
			continue
		}
		add(p.Label, schedule.Crash)
		add(p.Label, schedule.Pause)
		add(p.Label, schedule.Resume)
		if p.Delivering != "" {
			add(p.Label, schedule.Defer, p.Delivering)
		}
	}
	if d, ok := a.tape.Next(); ok && d.Verb == schedule.Skew {
		add(d.Process, d.Verb, d.Names...)
	}
	return list
}

// Took does nothing.
func (anything) Took(schedule.Decision) {}
