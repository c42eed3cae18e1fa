package harness

import (
	"math"
	"slices"
	"time"

	"screwtape/harness/schedule"
)

// options are the decisions that are possible now, in canonical order.
func (w *World) options(p *play) []schedule.Option {
	var list, wakes, rested, laters []schedule.Option
	soonest := time.Duration(math.MaxInt64) // wake-up
	timeouts := w.nextTimeouts()
	for _, q := range w.all() {
		if !q.alive {
			if q.mayStart(p.healing) && w.over(q.program.After) && w.served(q) {
				list = append(list, schedule.Option{Decision: schedule.Decision{Process: q.label, Verb: schedule.Start}})
			}
			continue
		}
		if q.paused {
			if p.healing && q.program != nil {
				list = append(list, schedule.Option{Decision: schedule.Decision{Process: q.label, Verb: schedule.Resume}})
			}
			continue
		}
		wake := func(r *rounds, at time.Duration, patient bool, d schedule.Decision) {
			if limit, ok := timeouts[schedule.Program(q.label)]; ok && limit < at && !p.wants(d) {
				return
			}
			switch w.waking(q, r) {
			case fresh, overtaken:
				soonest = min(soonest, at)
				if r.turns < often && !patient || p.wants(d) {
					wakes = append(wakes, schedule.Option{Decision: d})
				} else { // never early: what it is to see is what lies there at rest
					rested = append(rested, schedule.Option{Decision: d})
				}
			case later:
				laters = append(laters, schedule.Option{Decision: d})
			}
		}
		q.dropTimers(func(t *timer) bool { return t.file < 0 || sameFile(t.file, q.pid, t.fd) })
		for _, t := range q.timers {
			d := schedule.Decision{Process: q.label, Verb: schedule.Alarm, Names: []string{t.name}}
			if t.until != 0 && (!t.timeout() || p.wants(d)) {
				wake(&t.rounds, t.until, false, d)
			}
		}
		for _, t := range q.threads {
			switch {
			case t.asleep:
				wake(&t.rounds, t.until, w.awaitsClient(t), schedule.Decision{Process: t.label, Verb: schedule.Wake})
			case t.trap != nil, t.request != nil && t.mount.Ready(t.request):
				list = append(list, schedule.Option{Decision: schedule.Decision{Process: t.label, Verb: t.call.verb, Names: t.call.names}})
			}
		}
		if m := q.host.mail.holding(q.label); m != nil {
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: q.label, Verb: schedule.Deliver, Names: []string{m.id}}})
		}
	}
	if len(list) == 0 {
		wakes = slices.Concat(wakes, rested, w.timeouts(soonest))
	}
	for _, o := range wakes {
		o.Early = len(list) > 0
		list = append(list, o)
	}
	// Where nothing happens but that time passes, who polls may go round again
	// before an alarm rings.
	if !slices.ContainsFunc(list, func(o schedule.Option) bool { return o.Verb != schedule.Alarm }) {
		list = append(list, laters...)
	}
	if !p.healing {
		s := w.situation()
		for _, n := range p.nemeses {
			list = append(list, slices.DeleteFunc(n.Faults(s), w.unserved)...)
		}
	}
	schedule.Sort(list)
	return list
}

// wants reports whether a tape is played whose next line is that a process wakes,
// or its timer expires, as in this decision: it may be earlier than a search has it.
func (p *play) wants(d schedule.Decision) bool {
	return p.force != nil && p.force.Wants(d)
}

// mayStart reports whether the start of a program that is down is a step like
// any other: of a client's program that has not run yet, and, when everything
// is mended, of whatever should be up.
func (p *Process) mayStart(healing bool) bool {
	switch {
	case p.program == nil:
		return false
	case p.program.Once:
		return p.starts == 0
	default:
		return healing && p.starts > 0 && p.exits <= restartLimit
	}
}

// over reports whether that for which a program waits has come: the program of
// this label has run and ended, or the node of this name has crashed.
func (w *World) over(after string) bool {
	if after == "" || w.play.crashed[after] {
		return true
	}
	return slices.ContainsFunc(w.programs, func(q *Process) bool { return q.label == after && q.starts > 0 && !q.alive })
}

// restartLimit is how often a program that ends by itself is started again, as
// Mailman's master does it.
const restartLimit = 10

// situation is what the nemeses may know now.
func (w *World) situation() Situation {
	var s Situation
	for _, q := range w.programs {
		state := ProcessState{Label: q.label, Node: q.host.Name, Alive: q.alive, Paused: q.paused, Mutated: q.mutated, Signals: q.program.Signals}
		state.Orphaned = !q.alive && slices.ContainsFunc(w.others, func(c *Process) bool { return c.alive && c.descends(q) })
		if m := q.host.mail.holding(q.label); q.alive && m != nil {
			state.Delivering = m.id
		}
		s.Processes = append(s.Processes, state)
	}
	return s
}
