package harness

import (
	"time"

	"screwtape/harness/node"
	"screwtape/harness/schedule"
)

// A Stop has a schedule stand still before one decision, so that a person can
// look at its programs.
type Stop struct {
	At int // the decision, from 1
	// Show is told where it stands; it goes on when the channel is closed. The
	// share is served meanwhile.
	Show func(Standstill) (goOn <-chan struct{})
}

// A Standstill is where a schedule stands still.
type Standstill struct {
	Decision schedule.Decision // is about to happen
	// PID is of the process that makes the call, as whoever started screwtape
	// sees it; 0 where it is not up, or the decision is about a node.
	PID int
}

// stand stands still before a decision until it is to go on. From then on
// nothing that takes its time is given up, for a debugger may have stopped it.
func (w *World) stand(o *Stop, d schedule.Decision) error {
	s := Standstill{Decision: d}
	if p := w.actor(d.Process); p != nil && p.alive && p.pid != 0 {
		s.PID = node.OuterPID(p.pid)
	}
	w.play.patient = true
	goOn := o.Show(s)
	for {
		select {
		case <-goOn:
			return nil
		default:
		}
		if _, err := w.events(50 * time.Millisecond); err != nil {
			return err
		}
	}
}
