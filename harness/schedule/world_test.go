package schedule

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
)

// A world is a model of what the controller drives: runners of one queue, each
// of which takes an entry by renaming it, delivers it and unlinks it, and sets
// aside what it could not open.
type world struct {
	files     map[string]bool
	delivered map[string]int
	crashes   int // how many are still allowed
	procs     map[string]*proc
	mutated   string // the process that made the last mutating step, "" for none
	steps     []step
	refused   map[string]bool // processes that the sink has deferred
	defers    int             // how many deferrals are still allowed
}

// A step is what was done, with its footprint.
type step struct {
	Decision
	Footprint
}

type proc struct {
	next    func() (Decision, bool)
	stop    func()
	held    *Decision // the call it is at; nil when it is gone
	outcome string    // of the last call
	crashed bool
}

func newWorld(messages, crashes int, names ...string) *world {
	w := &world{files: map[string]bool{}, delivered: map[string]int{}, procs: map[string]*proc{}, crashes: crashes, refused: map[string]bool{}}
	for i := range messages {
		w.files[fmt.Sprintf("q/%d.pck", i)] = true
	}
	for _, name := range names {
		w.procs[name] = &proc{}
		w.start(name, false)
	}
	return w
}

func (w *world) close() {
	for _, p := range w.procs {
		p.stop()
	}
}

func (w *world) start(name string, recover bool) {
	p := w.procs[name]
	p.crashed = false
	p.next, p.stop = iter.Pull(w.runner(name, p, recover))
	p.advance()
}

func (p *proc) advance() {
	p.held = nil
	if d, ok := p.next(); ok {
		p.held = &d
	}
}

func (w *world) list(suffix string) []string {
	var list []string
	for f := range w.files {
		if strings.HasSuffix(f, suffix) {
			list = append(list, strings.TrimSuffix(f, suffix))
		}
	}
	slices.Sort(list)
	return list
}

func (w *world) runner(name string, p *proc, recover bool) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		call := func(verb string, names ...string) (bool, bool) {
			return yield(Decision{Process: name, Verb: verb, Names: names}), p.outcome == "ok"
		}
		if recover {
			if on, _ := call("list", "q"); !on {
				return
			}
			for _, e := range w.list(".bak") {
				if on, _ := call("rename", e+".bak", e+".pck"); !on {
					return
				}
			}
		} else if on, _ := call(Wake); !on {
			return
		}
		for {
			if on, _ := call("list", "q"); !on {
				return
			}
			entries := w.list(".pck")
			if len(entries) == 0 {
				return
			}
			for _, e := range entries {
				on, ok := call("open", e+".pck")
				if on && ok {
					on, ok = call("rename", e+".pck", e+".bak")
				}
				if on && !ok {
					on, _ = call("rename", e+".bak", e+".psv")
				} else if on {
					if on, _ = call(Deliver, e); on {
						on, _ = call("unlink", e+".bak")
					}
				}
				if !on {
					return
				}
			}
		}
	}
}

// options are in canonical order.
func (w *world) options() []Option {
	var options []Option
	calls := false
	for name, p := range w.procs {
		if p.held != nil {
			options = append(options, Option{Decision: *p.held})
			calls = calls || p.held.Verb != Wake
			if p.held.Verb == Deliver && w.defers > 0 {
				d := *p.held
				d.Verb = Defer
				options = append(options, Option{Decision: d})
			}
		}
		if p.crashed {
			options = append(options, Option{Decision: Decision{Process: name, Verb: Start}, Restart: true})
		}
		if w.crashes > 0 && p.held != nil && w.mutated == name {
			options = append(options, Option{Decision: Decision{Process: name, Verb: Crash}})
		}
	}
	for i := range options {
		options[i].Early = calls && options[i].Verb == Wake
	}
	Sort(options)
	return options
}

func (w *world) do(o Option) step {
	d, p := o.Decision, w.procs[o.Process]
	d.Outcome = "ok"
	f := Footprint{Reads: []Resource{Resource("proc " + d.Process)}}
	mutated := ""
	switch d.Verb {
	case Crash:
		w.crashes--
		p.stop()
		p.held, p.crashed = nil, true
		f = Footprint{Writes: f.Reads}
	case Start:
		w.start(d.Process, true)
		f = Footprint{Writes: f.Reads}
	case "list":
		f.Reads = append(f.Reads, "list q")
	case "open":
		f.Reads = append(f.Reads, Resource(d.Names[0]))
		if !w.files[d.Names[0]] {
			d.Outcome = "ENOENT"
		}
	case "rename", "unlink":
		if !w.files[d.Names[0]] {
			d.Outcome = "ENOENT"
			f.Reads = append(f.Reads, Resource(d.Names[0]))
			break
		}
		delete(w.files, d.Names[0])
		f.Writes = append(f.Writes, Resource(d.Names[0]), "list q")
		if d.Verb == "rename" {
			w.files[d.Names[1]] = true
			f.Writes = append(f.Writes, Resource(d.Names[1]))
		}
		mutated = d.Process
	case Defer:
		w.defers--
		w.refused[d.Process] = true
		d.Outcome = "451"
	case Deliver:
		w.delivered[d.Names[0]]++
		d.Outcome = "250"
		mutated = d.Process
		f.Writes = append(f.Writes, Resource("sink "+d.Names[0]))
	}
	w.mutated = mutated
	if !p.crashed && d.Verb != Start {
		p.outcome = d.Outcome
		p.advance()
	}
	s := step{d, f}
	w.steps = append(w.steps, s)
	return s
}

// run lets the strategy make one schedule, starts again what is down, and
// drains the queue.
func (w *world) run(s Strategy) error {
	for len(w.steps) < 10_000 {
		options := w.options()
		if len(options) == 0 {
			break
		}
		i, err := s.Pick(options)
		if err != nil {
			return err
		}
		if i == None {
			break
		}
		done := w.do(options[i])
		if err := s.Done(done.Decision, done.Footprint); err != nil {
			return err
		}
	}
	return nil
}

// drain does what the end of a schedule does: starts what is down, and lets
// all go on.
func (w *world) drain() {
	w.crashes = 0
	for _, name := range []string{"a/r", "b/r", "c/r"} {
		if p := w.procs[name]; p != nil && p.crashed {
			w.start(name, true)
		}
	}
	w.run(Canonical())
}

// anomalies names what is wrong with the end.
func (w *world) anomalies() []string {
	var list []string
	for i := range 9 {
		e := fmt.Sprintf("q/%d", i)
		n, psv := w.delivered[e], w.files[e+".psv"]
		waits := w.files[e+".pck"] || w.files[e+".bak"]
		switch {
		case n > 1:
			list = append(list, "double")
		case n == 1 && psv:
			list = append(list, "stray")
		case n == 0 && psv:
			list = append(list, "lost")
		case n == 0 && waits:
			list = append(list, "stranded")
		}
	}
	return list
}

// tape is what was done, as a recorded tape.
func (w *world) tape() *Tape {
	t := &Tape{}
	for _, s := range w.steps {
		t.Lines = append(t.Lines, Line{Decision: s.Decision})
	}
	return t
}

// played makes one schedule in a new world of two runners and one message.
func played(t testing.TB, s Strategy, crashes int) *world {
	t.Helper()
	w := newWorld(1, crashes, "a/r", "b/r")
	t.Cleanup(w.close)
	if err := w.run(s); err != nil {
		t.Fatal(err)
	}
	return w
}
