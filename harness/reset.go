package harness

import (
	"fmt"
	"slices"
)

// reset brings the world to where every schedule begins: the share as it was
// prepared, the clocks at Epoch, every program up, and idle.
func (w *World) reset(fresh bool) error {
	for _, p := range w.programs {
		if fresh || !w.stays(p) || !w.scratchStays(p.host) {
			w.kill(p)
		}
	}
	for _, p := range slices.Clone(w.others) {
		w.kill(p) // left behind: what stays has none
	}
	if err := w.settle(); err != nil {
		return err
	}
	if err := w.prepareForkers(); err != nil {
		return err
	}
	if err := w.emptyScratch(); err != nil { // also of what the prepared have left, which is there but once
		return err
	}
	w.store.Restore(w.prepared)
	w.setClocks()
	clear(w.buried)
	for _, h := range w.hosts {
		clear(h.births)
	}
	for _, p := range w.programs {
		if p.alive {
			p.starts, p.exits = 1, 0
			continue
		}
		p.closeOutput(w)
		p.greeting = nil
		p.starts, p.exits = 0, 0
		if p.program.Late {
			continue
		}
		if err := w.warmUp(p); err != nil {
			return err
		}
	}
	w.setClocks()
	for _, p := range w.programs {
		p.mutated, p.paused, p.random = true, false, nil
	}
	for _, p := range w.all() {
		for _, t := range p.threads {
			t.until, t.rounds = t.sleep, rounds{}
		}
	}
	for _, h := range w.hosts {
		h.rememberScratch()
	}
	return nil
}

// setClocks sets the clocks of all nodes to Epoch.
func (w *World) setClocks() {
	w.now, w.overslept = 0, 0
	for _, h := range w.hosts {
		h.ticks, h.skew, h.rate, h.since, h.gained = 0, 0, 0, 0, 0
	}
}

// stays reports whether a program can go on into the next schedule as if it had
// just been started: it sleeps, alone, and has nothing that a fresh one would not
// have. What it forks before it first sleeps a fresh one forks too; a child that
// lives on is somewhere else by now. What it then made on the share is there no more.
func (w *World) stays(p *Process) bool {
	first := p.starts == 1 || p.program.Numberless
	return p.alive && !p.paused && !p.told && first && !p.laidOut && !p.program.Late && !p.program.Anew && p.children == p.settled && len(p.timers) == 0 && w.idle(p) &&
		len(w.family(p)) == 1
}

// warmUp starts a program and lets it do what it does, alone, until it is idle.
func (w *World) warmUp(p *Process) error {
	version := w.store.Version()
	if err := w.start(p); err != nil {
		return err
	}
	for range 10_000 {
		if err := w.settle(); err != nil {
			return err
		}
		if !p.alive {
			return fmt.Errorf("%s ended while it started: %s%s", p.label, exitText(p), p.lastLine())
		}
		if w.idle(p) {
			p.settled, p.laidOut = p.children, w.store.Version() != version
			return nil
		}
		t := w.ready(p)
		if t == nil {
			return fmt.Errorf("%s is up but neither sleeps nor does anything on the share%s", p.label, w.norListens())
		}
		if err := w.release(t); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not become idle: it made 10,000 calls on the share before it slept", p.label)
}

// ready is the first thread of the process, or of its children, that is held
// at a call which can go on.
func (w *World) ready(p *Process) *Thread {
	for _, q := range w.all() {
		if q != p && !q.descends(p) {
			continue
		}
		for _, t := range q.threads {
			if t.trap != nil && !t.asleep || t.request != nil && t.mount.Ready(t.request) {
				return t
			}
		}
	}
	return nil
}
