package harness

import (
	"errors"
	"fmt"
	"time"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// A play is one schedule as it is being played.
type play struct {
	Result
	recorder history.Recorder
	lines    []history.Line // written since the last step
	trace    schedule.Trace
	nemeses  []Nemesis
	crashed  map[string]bool // programs and nodes that were, by name
	killed   []*Process      // programs that have died of a signal in this step
	kill     *signal         // the last that a call sent
	begun    bool            // the first step is being taken, or was
	healing  bool            // nothing goes wrong any more, and what is down comes up
	record   bool            // note what each step changed on the share
	stop     *Stop
	force    *schedule.Force // where a tape is played
	patient  bool            // wait for whatever runs for as long as it takes
	before   map[string]sight
	touched  map[schedule.Resource]map[way]touch
}

// Options say how to play a schedule.
type Options struct {
	// Fresh starts every program anew; otherwise those that were left idle by
	// the schedule before go on.
	Fresh bool
	// Record notes what each step changes on the share, for a report.
	Record bool
	// Stop has it stand still before a decision; nil is not at all.
	Stop *Stop
}

// Play plays one schedule: the strategy decides, until nothing can happen any
// more; then nothing goes wrong any more, what is down is started, and the
// rest happens; then the workload judges.
//
// An error is a failure of the harness, or a *schedule.Divergence.
func (w *World) Play(s schedule.Strategy, o Options) (*Result, error) {
	began := time.Now()
	if err := w.reset(o.Fresh); err != nil {
		return nil, err
	}
	p := &play{record: o.Record, stop: o.Stop, crashed: map[string]bool{}, touched: map[schedule.Resource]map[way]touch{}}
	p.Faults = map[string]int{}
	w.play = p
	defer func() { w.play = nil }()
	p.nemeses = w.test.Nemeses
	force, _ := s.(*schedule.Force)
	if p.force = force; force != nil {
		p.nemeses = []Nemesis{anything{force}}
	}
	for _, n := range p.nemeses {
		n.Reset()
	}
	if err := w.test.Workload.Act(&Acts{Share: w.store, History: &p.recorder, Now: Epoch}); err != nil {
		return nil, fmt.Errorf("the clients' acts: %w", err)
	}
	if p.record {
		p.Initial, p.before = w.tree()
	}
	err := w.decide(s, p)
	var spins *restless
	switch {
	case errors.As(err, &spins):
		p.Bounded, err = spins.Error(), nil
	case err == nil && force != nil:
		err = force.Finish()
	}
	p.finish(w)
	p.Seconds = time.Since(began).Seconds()
	return &p.Result, err
}

// decide is the loop: look at what can happen, choose, do it, until nothing is
// left.
func (w *World) decide(s schedule.Strategy, p *play) error {
	bound := w.test.MaxDecisions
	if bound == 0 {
		bound = 5000
	}
	for {
		if err := w.settle(); err != nil {
			return err
		}
		options := w.options(p)
		choice := schedule.None
		if len(options) > 0 {
			var err error
			if choice, err = s.Pick(options); err != nil {
				return err
			}
		}
		if choice == schedule.None {
			if p.healing {
				return nil
			}
			p.healing = true
			continue
		}
		if len(p.Steps) == bound {
			p.Bounded = fmt.Sprintf("%d decisions", bound)
			return nil
		}
		d := options[choice].Decision
		if p.stop != nil && p.stop.At == len(p.Steps)+1 {
			if err := w.stand(p.stop, d); err != nil {
				return err
			}
		}
		if err := w.step(s, p, d); err != nil {
			return err
		}
	}
}

// step takes a decision and waits until all that comes of it has come.
func (w *World) step(s schedule.Strategy, p *play, d schedule.Decision) error {
	w.effects = w.effects[:0]
	p.belated(w)
	version, before := w.store.Version(), w.now
	outcome, err := w.do(p, d)
	if err != nil {
		return fmt.Errorf("decision %d, %s: %w", len(p.Steps)+1, d, err)
	}
	if err := w.settle(); err != nil {
		return err
	}
	d.Outcome = outcome()
	if d.Verb == "kill" && d.Outcome == "ok" {
		w.sent(p.kill)
		if err := w.settle(); err != nil {
			return err
		}
	}
	p.noteKilled(w)
	f := w.footprint(d, before)
	// What a child did its program did: a crash takes both.
	if actor := w.actor(schedule.Program(d.Process)); actor != nil {
		actor.mutated = d.Verb == schedule.Deliver || d.Verb == schedule.Send || w.store.Version() != version
	}
	if o, ok := w.test.Workload.(Observer); ok {
		o.Observe(d, w.store, p.at(w))
	}
	p.append(w, d, f)
	for _, n := range p.nemeses {
		n.Took(d)
	}
	return s.Done(d, f)
}
