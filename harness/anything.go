package harness

import (
	"slices"

	"screwtape/harness/schedule"
)

// anything is the nemesis of a tape, which may take any fault at any point: any
// program that runs can crash or pause, one that is paused can go on, one that is
// down can start, whole nodes too, any message can be refused, the power fail, and any clock set to
// whatever the tape says, or any signal sent.
type anything struct{ tape *schedule.Force }

// Name is "anything".
func (anything) Name() string { return "anything" }

// Reset does nothing.
func (anything) Reset() {}

// Faults are all there are: of a node too, of which something is alive, or down.
func (a anything) Faults(s Situation) []schedule.Option {
	var list []schedule.Option
	offered := map[string]bool{}
	add := func(process, verb string, names ...string) {
		key := process + " " + verb
		if offered[key] && len(names) == 0 {
			return
		}
		offered[key] = true
		list = append(list, schedule.Option{
			Decision: schedule.Decision{Process: process, Verb: verb, Names: names},
			Restart:  verb == schedule.Start || verb == schedule.Resume,
		})
	}
	for _, p := range s.Processes {
		if !p.Alive {
			add(p.Node, schedule.Start)
			add(p.Label, schedule.Start)
			if p.Orphaned {
				add(p.Node, schedule.Crash)
			}
			continue
		}
		add(schedule.Server, schedule.PowerLoss)
		still := schedule.Pause
		if p.Paused {
			still = schedule.Resume
		}
		for _, verb := range []string{schedule.Crash, still} {
			add(p.Node, verb)
			add(p.Label, verb)
		}
		if p.Delivering != "" {
			add(p.Label, schedule.Defer, p.Delivering)
			add(p.Label, schedule.Hangup, p.Delivering)
		}
	}
	d, _ := a.tape.Next()
	receives := func(p ProcessState) bool { return p.Label == d.Process && p.Alive && !p.Paused }
	if d.Verb == schedule.Skew || d.Verb == schedule.Signal && slices.ContainsFunc(s.Processes, receives) {
		add(d.Process, d.Verb, d.Names...)
	}
	return list
}

// Took does nothing.
func (anything) Took(schedule.Decision) {}
