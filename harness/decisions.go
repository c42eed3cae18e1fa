package harness

import (
	"strconv"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// do lets the decision happen. The outcome is known when all is at rest again.
func (w *World) do(p *play, d schedule.Decision) (outcome func() string, err error) {
	said := func(s string) func() string { return func() string { return s } }
	switch d.Verb {
	case schedule.Crash:
		p.Faults[d.FaultKind()]++
		w.crash(d.Process)
		return said(""), nil
	case schedule.PowerLoss:
		p.Faults[d.FaultKind()]++
		p.at(w).Add("nemesis", history.Info, d.Verb, d.Process, "")
		for _, h := range w.hosts {
			w.crash(h.Name)
		}
		// What the dying still write, from mappings, is lost like all else.
		if err := w.settle(); err != nil {
			return nil, err
		}
		w.store.PowerLoss()
		return said(""), nil
	case schedule.Start:
		// Before all else that comes of it: it may end at once.
		p.at(w).Add("nemesis", history.Info, "start", d.Process, "")
		for _, q := range w.programs {
			if (q.label == d.Process || q.host.Name == d.Process) && !q.alive && w.served(q) {
				if err := w.start(q); err != nil {
					return nil, err
				}
				// One after the other: what a runtime makes threads of as it
				// starts takes pids.
				if err := w.settle(); err != nil {
					return nil, err
				}
			}
		}
		return said(""), nil
	case schedule.Wake:
		w.wake(w.find(d))
		return said(""), nil
	case schedule.Alarm:
		return said(""), w.ring(w.actor(d.Process), d.Names[0])
	case schedule.Skew:
		p.Faults[d.FaultKind()]++
		return said(""), w.setClock(w.host(d.Process), d.Names[0])
	case schedule.Pause:
		p.Faults[d.FaultKind()]++
		return said(""), w.each(d.Process, func(q *Process) error {
			how, err := w.pause(q)
			p.at(w).Add("nemesis", history.Info, d.Verb, q.label, how)
			return err
		})
	case schedule.Resume:
		return said(""), w.each(d.Process, func(q *Process) error {
			p.at(w).Add("nemesis", history.Info, d.Verb, q.label, "")
			return w.resume(q)
		})
	case schedule.Signal:
		p.Faults[d.FaultKind()]++
		p.at(w).Add("nemesis", history.Info, d.Verb, d.Process+" "+d.Names[0], "")
		return said(""), w.tell(w.actor(d.Process), d.Names[0])
	case schedule.Deliver, schedule.Defer, schedule.Hangup:
		q := w.actor(d.Process)
		m := q.host.mail.holding(q.label)
		refusal := refusals[d.Verb]
		if refusal == nil {
			p.at(w).Did(d.Process, "deliver", m.id)
			q.host.mail.answer(m, nil)
			return said("250"), nil
		}
		code := strconv.Itoa(refusal.Code)
		p.Faults[d.FaultKind()]++
		p.at(w).Add(d.Process, history.Invoke, "deliver", m.id, "")
		p.at(w).Add(d.Process, history.Fail, "deliver", m.id, code)
		q.host.mail.answer(m, refusal)
		return said(code), nil
	}
	t := w.find(d)
	c := t.call
	if c.verb == "kill" {
		p.kill = c.signal
		c.refused = c.signal.aim()
	}
	if c.verb == schedule.Send {
		return said(""), w.release(t) // what has become of it only the answer tells
	}
	return c.outcome, w.release(t)
}

// crash kills the program with that label, or all of that node.
func (w *World) crash(label string) {
	w.play.at(w).Add("nemesis", history.Info, "crash", label, "")
	w.play.crashed[label] = true
	if h := w.host(label); h != nil && h.Group != nil {
		h.Group.Kill() // all at once; below it is noted of each
	}
	for _, q := range w.all() {
		if q.label == label || q.host.Name == label {
			w.kill(q)
		}
	}
}

// each does something to the program with that label, or to all of that node,
// that live.
func (w *World) each(label string, do func(*Process) error) error {
	for _, q := range w.programs {
		if q.alive && (q.label == label || q.host.Name == label) {
			if err := do(q); err != nil {
				return err
			}
		}
	}
	return nil
}

// find is the thread that is held at what is decided.
func (w *World) find(d schedule.Decision) *Thread {
	for _, p := range w.all() {
		for _, t := range p.threads {
			if t.held() && t.label == d.Process && t.asleep == (d.Verb == schedule.Wake) {
				return t
			}
		}
	}
	return nil
}
