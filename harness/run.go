package harness

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// A Result is all that came of one schedule.
type Result struct {
	Tape    *schedule.Tape // every decision, as it came out
	Steps   []history.Step
	Initial []history.Change  // what lay on the share before the first step
	Files   map[string][]byte // what was in the files there when it was judged, by path; of schedules that are recorded
	History []history.Op
	WarmUp  []history.Line // what programs wrote while they started, before the first step
	Logs    []history.Line // programs' output since
	Faults  map[string]int // what was injected, by kind
	Trace   uint64         // digest of the schedule up to the order of independent steps
	Bounded string         // which bound was hit, or ""
	Verdict check.Verdict
	Seconds float64 // real time
}

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
	look     *Look
	force    *schedule.Force // where a tape is played
	patient  bool            // wait for whatever runs for as long as it takes
	before   map[string]sight
	touched  map[schedule.Resource]map[way]touch
}

// A touch is who touched a resource last, in one way.
type touch struct {
	step    int
	process string
}

// A way is how a step touches a resource; see schedule.Footprint.
type way int

const (
	read way = iota
	wrote
	added
)

// Options say how to play a schedule.
type Options struct {
	// Fresh starts every program anew; otherwise those that were left idle by
	// the schedule before go on.
	Fresh bool
	// Record notes what each step changes on the share, for a report.
	Record bool
	// Look has it stand still before a decision; nil is not at all.
	Look *Look
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
	p := &play{record: o.Record, look: o.Look, crashed: map[string]bool{}, touched: map[schedule.Resource]map[way]touch{}}
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
		if p.look != nil && p.look.At == len(p.Steps)+1 {
			if err := w.stand(p.look, d); err != nil {
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
	version := w.store.Version()
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
	f := w.footprint(d)
	// What a child did its program did: a crash takes both.
	if actor := w.actor(schedule.Program(d.Process)); actor != nil {
		actor.mutated = d.Verb == schedule.Deliver || w.store.Version() != version
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
		for _, q := range w.programs {
			if (q.label == d.Process || q.host.Name == d.Process) && !q.alive {
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
		p.at(w).Add("nemesis", history.Info, "start", d.Process, "")
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

// actor is the process with that label, or the one that the thread with that
// label belongs to.
func (w *World) actor(label string) *Process {
	label, _, _ = strings.Cut(label, "#")
	for _, p := range w.all() {
		if p.label == label {
			return p
		}
	}
	return nil
}

func (w *World) all() []*Process { return append(slices.Clone(w.programs), w.others...) }

// options are the decisions that are possible now, in canonical order.
func (w *World) options(p *play) []schedule.Option {
	var list, wakes, rested, laters []schedule.Option
	soonest := time.Duration(math.MaxInt64) // wake-up
	timeouts := w.nextTimeouts()
	for _, q := range w.all() {
		if !q.alive {
			if q.mayStart(p.healing) && w.over(q.program.After) {
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
		wake := func(r *rounds, at time.Duration, d schedule.Decision) {
			if limit, ok := timeouts[schedule.Program(q.label)]; ok && limit < at && !p.wants(d) {
				return
			}
			switch w.waking(q, r) {
			case fresh, overtaken:
				soonest = min(soonest, at)
				if r.turns < often || p.wants(d) {
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
				wake(&t.rounds, t.until, d)
			}
		}
		for _, t := range q.threads {
			switch {
			case t.asleep:
				wake(&t.rounds, t.until, schedule.Decision{Process: t.label, Verb: schedule.Wake})
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
			list = append(list, n.Faults(s)...)
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
// Mailman's master does it (mailman-facts.md, 4).
const restartLimit = 10

func (w *World) situation() Situation {
	var s Situation
	for _, q := range w.programs {
		state := ProcessState{Label: q.label, Node: q.host.Name, Alive: q.alive, Paused: q.paused, Mutated: q.mutated}
		state.Orphaned = !q.alive && slices.ContainsFunc(w.others, func(c *Process) bool { return c.alive && c.descends(q) })
		if m := q.host.mail.holding(q.label); q.alive && m != nil {
			state.Delivering = m.id
		}
		s.Processes = append(s.Processes, state)
	}
	return s
}

// footprint is what the step has read and written. The kernel asks for the
// attributes of directories that it only walks through; those are not the
// program's doing, so a GETATTR counts only for a call that is about
// attributes.
func (w *World) footprint(d schedule.Decision) schedule.Footprint {
	var f schedule.Footprint
	for _, e := range w.effects {
		if e.Op == "GETATTR" && d.Verb != "stat" {
			continue
		}
		f.Reads = append(f.Reads, e.Footprint.Reads...)
		f.Writes = append(f.Writes, e.Footprint.Writes...)
		f.Adds = append(f.Adds, e.Footprint.Adds...)
	}
	switch d.Verb {
	case schedule.Deliver, schedule.Defer, schedule.Hangup:
		f.Writes = append(f.Writes, schedule.Resource("m:"+strings.Join(d.Names, " ")))
	case schedule.Wake:
		f.Writes = append(f.Writes, "time")
	case schedule.Alarm, schedule.Skew:
		f.Writes = append(f.Writes, "time")
	case schedule.Crash, schedule.Start, schedule.Pause, schedule.Resume:
		f.Writes = append(f.Writes, "faults")
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

// append puts a step that was taken on the tape and into the record.
func (p *play) append(w *World, d schedule.Decision, f schedule.Footprint) {
	step := history.Step{Decision: d, Index: len(p.Steps), Time: w.now, Lines: p.lines, Conflict: p.conflict(d, f)}
	if p.record {
		step.Changes = p.changes(w)
	}
	p.Logs = append(p.Logs, p.lines...)
	p.lines = nil
	p.Steps = append(p.Steps, step)
	p.trace.Step(d.Process, d.String(), f)
}

// belated puts lines that were written when the last step seemed to be over to
// that step, and those from before the first step to the programs' starts.
func (p *play) belated(w *World) {
	if !p.begun {
		p.begun = true
		for _, q := range w.programs {
			p.WarmUp = append(p.WarmUp, q.greeting...)
		}
	}
	if n := len(p.Steps); n > 0 {
		p.Steps[n-1].Lines = append(p.Steps[n-1].Lines, p.lines...)
		p.Logs = append(p.Logs, p.lines...)
	}
	p.lines = nil
}

// conflict is the last earlier step of another process with which this one
// conflicts, or -1; it also notes what this one touches.
func (p *play) conflict(d schedule.Decision, f schedule.Footprint) int {
	last := -1
	look := func(list []schedule.Resource, ways ...way) {
		for _, r := range list {
			for _, w := range ways {
				if t, ok := p.touched[r][w]; ok && t.process != d.Process {
					last = max(last, t.step)
				}
			}
		}
	}
	look(f.Reads, wrote, added)
	look(f.Writes, read, wrote, added)
	look(f.Adds, read, wrote)
	note := func(list []schedule.Resource, w way) {
		for _, r := range list {
			if p.touched[r] == nil {
				p.touched[r] = map[way]touch{}
			}
			p.touched[r][w] = touch{len(p.Steps), d.Process}
		}
	}
	note(f.Reads, read)
	note(f.Writes, wrote)
	note(f.Adds, added)
	return last
}

// at stamps the history's next operations with where the schedule is.
func (p *play) at(w *World) *history.Recorder {
	p.recorder.Step, p.recorder.Now = len(p.Steps), w.now
	return &p.recorder
}

// ended notes that a program has ended.
func (p *play) ended(w *World, q *Process) {
	switch {
	case q.program == nil:
	case q.killed:
		p.killed = append(p.killed, q)
	default:
		p.at(w).Add(q.label, history.Info, "exit", exitText(q), "")
	}
}

// noteKilled notes the ends of the programs that were killed in this step, in the
// order of the test: which of them the kernel ends first is chance.
func (p *play) noteKilled(w *World) {
	slices.SortFunc(p.killed, func(a, b *Process) int { return a.index - b.index })
	for _, q := range p.killed {
		p.at(w).Add(q.label, history.Info, "exit", exitText(q), "")
	}
	p.killed = nil
}

// finish makes the tape and has the workload judge.
func (p *play) finish(w *World) {
	p.belated(w)
	p.noteKilled(w)
	p.History = p.recorder.Ops()
	p.Tape = &schedule.Tape{}
	p.Tape.Header = append(p.Tape.Header, w.test.Header...)
	for _, s := range p.Steps {
		p.Tape.Lines = append(p.Tape.Lines, schedule.Line{Decision: s.Decision})
	}
	p.Trace = p.trace.Digest()
	end := End{Share: w.store, History: p.History, Steps: p.Steps, Logs: p.Logs, Bounded: p.Bounded}
	for _, q := range w.programs {
		if q.exits > restartLimit {
			end.Down = append(end.Down, q.label)
		}
	}
	if p.record {
		p.Files = w.files()
	}
	p.Verdict = w.test.Workload.Judge(&end)
	if p.Bounded == "" && p.Verdict.Verdict == check.Valid {
		p.Bounded = w.unfinished()
	}
	if p.Bounded != "" && p.Verdict.Verdict == check.Valid {
		p.Verdict.Verdict, p.Verdict.Why = check.Unknown, "the schedule was cut off at "+p.Bounded
	}
}

// unfinished names a program that should have ended and polls up to its horizon,
// by itself or by its children, so that what it would do later was not seen; ""
// where there is none. What one that has ended left behind serves for ever.
func (w *World) unfinished() string {
	for _, p := range w.all() {
		root := p.root()
		if !p.alive || !root.alive || root.program == nil || !root.program.Once || p.horizon() <= 0 {
			continue
		}
		polls := slices.ContainsFunc(p.threads, func(t *Thread) bool { return t.asleep }) ||
			slices.ContainsFunc(p.timers, func(t *timer) bool { return t.until != 0 })
		if polls {
			return fmt.Sprintf("the horizon of %s, %v", root.label, p.horizon())
		}
	}
	return ""
}

// Log is the schedule as it went, with what programs wrote: two runs of one
// tape must agree in every byte of it.
func (r *Result) Log() string {
	var b strings.Builder
	for _, l := range r.WarmUp {
		fmt.Fprintf(&b, "\t%s: %s\n", l.Process, l.Text)
	}
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "%v %s\n", s.Time, s.Decision)
		for _, l := range s.Lines {
			fmt.Fprintf(&b, "\t%s: %s\n", l.Process, l.Text)
		}
	}
	for _, o := range r.History {
		fmt.Fprintf(&b, "%d %s %s %s %s %s\n", o.Step, o.Process, o.Type, o.F, o.Value, o.Error)
	}
	fmt.Fprintf(&b, "%+v\n", r.Verdict)
	return b.String()
}
