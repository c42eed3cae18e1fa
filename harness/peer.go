package harness

import (
	"cmp"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// A task is a schedule to be played: what a search has planned, a tape, or turns. It
// is sent to peers, as gob.
type task struct {
	Plan  *schedule.Plan
	Tape  *schedule.Tape
	Turns []schedule.Decision // see plan
	Fresh bool
	Twice bool // play it once more, on fresh processes, and compare
}

// A played is what came of a task: of a tape or turns, the verdict, the tape, and
// of turns the moments.
type played struct {
	Lesson     schedule.Lesson
	Diverged   bool // the programs did not follow the tape, and there is nothing else to tell
	Trace, End uint64
	Pairs      [][2]string // of calls that met; see Cover
	Steps      int
	Faults     map[string]int
	Bounded    string
	Verdict    check.Verdict
	Tape       *schedule.Tape    // where the verdict names anomalies
	Keys       []string          // of turns: those of the moments that came of them
	Twice      bool              // as the task has it
	Divergence string            // what was different the second time
	Outside    []history.Outside // of the world so far; see World.Outside
	Failed     string            // how the harness failed
}

// shows reports whether the schedule has an anomaly of the kind.
func (p *played) shows(kind string) bool {
	return !p.Diverged && (&Result{Verdict: p.Verdict}).Shows(kind)
}

// strategy is what plays the task.
func (t task) strategy() schedule.Strategy {
	switch {
	case t.Plan != nil:
		return t.Plan.Player()
	case t.Tape != nil:
		return schedule.Replay(t.Tape)
	}
	return newPlan(t.Turns)
}

// perform plays a schedule.
func (w *World) perform(t task) (*played, error) {
	s := t.strategy()
	r, err := w.Play(s, Options{Fresh: t.Fresh})
	if t.Tape != nil && Diverged(err) {
		return &played{Diverged: true, Outside: w.Outside()}, nil
	}
	if err != nil {
		return nil, err
	}
	p := &played{Verdict: r.Verdict}
	if player, planned := s.(schedule.Player); planned {
		*p = played{Lesson: player.Lesson(), Trace: r.Trace, End: w.end(r), Pairs: pairs(r), Steps: len(r.Steps),
			Faults: r.Faults, Bounded: r.Bounded, Verdict: r.Verdict, Twice: t.Twice}
	}
	if turns, ok := s.(*plan); ok {
		for _, m := range turns.moments {
			p.Keys = append(p.Keys, m.key())
		}
	}
	if len(r.Kinds()) > 0 {
		p.Tape = r.Tape
	}
	if t.Twice {
		p.Divergence, err = w.again(r, p.End)
	}
	p.Outside = w.Outside()
	return p, err
}

// A Peer is a world of the same test in another process, which plays schedules
// beside ours.
type Peer struct {
	name    string
	to      *gob.Encoder
	from    *gob.Decoder
	outside []history.Outside // see World.Outside
}

// NewPeer is the peer that Serve serves at the other ends of two pipes, with the
// test of this header. Errors say its name.
func NewPeer(name string, h schedule.Header, to io.Writer, from io.Reader) (*Peer, error) {
	p := &Peer{name: name, to: gob.NewEncoder(to), from: gob.NewDecoder(from)}
	return p, p.to.Encode(h)
}

// play has the peer play a schedule.
func (p *Peer) play(t task) (*played, error) {
	sent := p.to.Encode(t)
	var r played
	if err := p.from.Decode(&r); err != nil {
		return nil, fmt.Errorf("%s is gone: %w", p.name, cmp.Or(sent, err))
	}
	if r.Failed != "" {
		return nil, fmt.Errorf("%s: %s", p.name, r.Failed)
	}
	p.outside = r.Outside
	return &r, nil
}

// Serve makes a world of the test that a peer in another process names, and plays
// what it asks for until it ends. What fails here fails there.
func Serve(from io.Reader, to io.Writer, make func(schedule.Header) (*Test, error)) error {
	in, out := gob.NewDecoder(from), gob.NewEncoder(to)
	fail := func(err error) error {
		return errors.Join(err, out.Encode(played{Failed: err.Error()}))
	}
	var h schedule.Header
	if err := in.Decode(&h); err != nil {
		return err
	}
	test, err := make(h)
	if err != nil {
		return fail(err)
	}
	w, err := NewWorld(test)
	if err != nil {
		return fail(err)
	}
	defer w.Close()
	for {
		var t task
		if err := in.Decode(&t); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r, err := w.perform(t)
		if err != nil {
			return fail(err)
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

// playAll has tasks done by this world and its peers, whoever is free the next
// one, until over says that no more are to be begun. It returns what came of those
// that were, in their order. Which of the worlds did what makes no difference to
// it.
func (w *World) playAll(peers []*Peer, tasks []task, over func() bool) ([]*played, error) {
	var mu sync.Mutex
	begun, failed := 0, false
	out, errs := make([]*played, len(tasks)), make([]error, len(tasks))
	work := func(play func(task) (*played, error)) {
		for {
			mu.Lock()
			i := begun
			if i == len(tasks) || failed || over() {
				mu.Unlock()
				return
			}
			begun++
			mu.Unlock()
			out[i], errs[i] = play(tasks[i])
			if errs[i] != nil {
				mu.Lock()
				failed = true
				mu.Unlock()
			}
		}
	}
	var all sync.WaitGroup
	for _, p := range peers {
		all.Go(func() { work(p.play) })
	}
	work(w.perform)
	all.Wait()
	for i, err := range errs[:begun] {
		if err != nil {
			return out[:i], err
		}
	}
	return out[:begun], nil
}
