package harness

import (
	"screwtape/harness/schedule"
	"screwtape/harness/share"
)

// Effects of a step that are no requests of the share.

// readsClock notes that the step reads a node's clock, which tells how late it
// is, and how often it was read.
func (w *World) readsClock(h *host) {
	w.effects = append(w.effects, share.Effect{Op: "CLOCK", Footprint: schedule.Footprint{
		Reads:  []schedule.Resource{"time"},
		Writes: []schedule.Resource{schedule.Resource("clock:" + h.Name)},
	}})
}

// beginsSleep notes that a sleep begins, which ends so much later.
func (w *World) beginsSleep() {
	w.effects = append(w.effects, share.Effect{Op: "SLEEP", Footprint: schedule.Footprint{Reads: []schedule.Resource{"sleep"}}})
}
