package harness

import (
	"strings"
	"time"

	"screwtape/harness/schedule"
	"screwtape/harness/share"
)

// footprint is what the step has read and written, before which it was so late. The
// kernel asks for the attributes of directories that it only walks through; those are
// not the program's doing, so a GETATTR counts only for a call that is about
// attributes, or executes: of a file that nobody may execute the kernel asks
// for nothing more.
func (w *World) footprint(d schedule.Decision, before time.Duration) schedule.Footprint {
	var f schedule.Footprint
	for _, e := range w.effects {
		if e.Op == "GETATTR" && d.Verb != "stat" && d.Verb != "exec" {
			continue
		}
		f.Reads = append(f.Reads, e.Footprint.Reads...)
		f.Writes = append(f.Writes, e.Footprint.Writes...)
		f.Adds = append(f.Adds, e.Footprint.Adds...)
	}
	switch d.Verb {
	case schedule.Deliver, schedule.Defer, schedule.Hangup:
		f.Writes = append(f.Writes, schedule.Resource("m:"+strings.Join(d.Names, " ")))
	case schedule.Wake, schedule.Alarm, schedule.Skew:
		f.Writes = append(f.Writes, "time")
		if w.now > before || d.Verb == schedule.Skew {
			f.Writes = append(f.Writes, "later")
		}
	case schedule.Crash, schedule.Start, schedule.Pause, schedule.Resume, schedule.Signal:
		f.Writes = append(f.Writes, "faults")
		if len(w.test.Ports) > 0 { // whether a client can start hangs on whether its server is up
			node, _, _ := strings.Cut(d.Process, "/")
			f.Writes = append(f.Writes, schedule.Resource("up:"+node))
		}
	case schedule.PowerLoss: // its order with every other step matters
		f.Writes = append(f.Writes, power)
		return f
	case "kill":
		f.Writes = append(f.Writes, schedule.Resource("s:"+d.Names[0]))
	}
	f.Reads = append(f.Reads, power)
	return f
}

// power is what every step needs.
const power schedule.Resource = "power"

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
