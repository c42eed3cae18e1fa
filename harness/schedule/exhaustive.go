package schedule

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Exhaustive is the search that plays every schedule of a test once, up to the
// order of independent steps: source-DPOR with sleep sets (Abdulla, Aronsson,
// Jonsson and Sagonas, "Optimal dynamic partial order reduction", POPL 2014). A
// schedule is played to its end; each two of its steps that depend on each other
// and could have come in the other order give rise to a schedule in which they
// do.
//
// What depends on what is a relation over calls, not over what came of them (see
// relation), and it is learnt; when it grows the search begins anew, so that
// what counts as explored was explored under one relation.
//
// Some things are not in the paper:
//   - What one process may do is more than its call: it may crash there, or its
//     message may be refused. All of it is tried wherever the process is.
//   - A wake-up and the call after it are one step.
//   - Where nothing is left but faults, it is tried to take none of them, and
//     each. What comes after all is mended depends on all before. A restart is
//     taken then at the latest; that it is left to the mending is no other case.
//   - A wake-up that is on offer only because nothing else can happen depends on
//     everything.
type Exhaustive struct {
	bounds   Bounds
	relation relation
	nodes    []*point // the schedule that is being played: what was decided where
	from     int      // the first of nodes that decides otherwise than the schedule before
	run      *follower

	traces, pruned, bounded, begun int
	over                           bool
	lost                           string // where a schedule did not repeat its beginning
}

// Bounds leave schedules out. Negative is no bound.
type Bounds struct {
	Preemptions int `json:"preemptions"` // how often a process that could go on is made to wait for another
	Depth       int `json:"depth"`       // after so many steps, nothing is tried but the first choice
}

// Unbounded leaves nothing out.
var Unbounded = Bounds{-1, -1}

// NewExhaustive begins an exhaustive search.
func NewExhaustive(b Bounds) *Exhaustive { return &Exhaustive{bounds: b} }

// A point is where a decision was made.
type point struct {
	Options   []Option `json:"options"`
	Sleep     []event  `json:"sleep,omitempty"`   // of the options, those that lead to nothing new
	Backtrack []string `json:"backtrack"`         // processes that are to be tried here
	Done      []event  `json:"done,omitempty"`    // options that have been tried
	Left      []string `json:"left,omitempty"`    // options that are beyond the bounds
	Taken     string   `json:"taken"`             // the option that is being tried; "" is none of them
	Label     int      `json:"label"`             // of what that was, negative before it is known
	Changed   bool     `json:"changed,omitempty"` // the share, when it was last taken
	Barrier   bool     `json:"barrier,omitempty"` // its order with every other step matters
}

// An event is an option that was tried, and the label of what it was.
type event struct {
	Option string `json:"option"`
	Label  int    `json:"label"`
}

const (
	noLabel   = -1
	endOption = ""
)

// process is whose step was taken; "" at the end.
func (p *point) process() string {
	if i := p.find(p.Taken); i >= 0 {
		return p.Options[i].Process
	}
	return ""
}

// find is the index of an option, negative if it is not there.
func (p *point) find(option string) int {
	return slices.IndexFunc(p.Options, func(o Option) bool { return o.Decision.String() == option })
}

func has(events []event, option string) bool {
	return slices.ContainsFunc(events, func(e event) bool { return e.Option == option })
}

// try adds a process to those that are to be tried.
func (p *point) try(process string) {
	if !slices.Contains(p.Backtrack, process) {
		p.Backtrack = append(p.Backtrack, process)
		slices.Sort(p.Backtrack)
	}
}

// of reports whether an option is tried where the process is: what it does, and
// what goes wrong with it.
func (o Option) of(process string) bool {
	return o.Process == process || o.Fault() && Program(o.Process) == Program(process)
}

// Name is "exhaustive".
func (*Exhaustive) Name() string { return "exhaustive" }

// Over reports whether all has been played.
func (x *Exhaustive) Over() bool { return x.over }

// An Account is how far an exhaustive search has come.
type Account struct {
	Traces   int    // schedules that were played to the end, no two of them equal but for independent steps
	Pruned   int    // schedules that turned out on their way to be such an equal
	Bounded  int    // choices that were left out since they are beyond the bounds
	Begun    int    // how often the search began anew, since more depends on each other than was known
	Complete bool   // nothing is left
	Why      string // or why not
}

// Account says how far the search has come.
func (x *Exhaustive) Account() Account {
	a := Account{Traces: x.traces, Pruned: x.pruned, Bounded: x.bounded, Begun: x.begun}
	switch {
	case x.lost != "":
		a.Why = x.lost
	case !x.over:
		a.Why = fmt.Sprintf("it was ended with choices left at %d of %d decisions of the last schedule", x.open(), len(x.nodes))
	case x.bounded > 0:
		a.Why = fmt.Sprintf("%d choices lie beyond its bounds", x.bounded)
	default:
		a.Complete = true
	}
	return a
}

func (a Account) String() string {
	text := fmt.Sprintf("explored %d traces, pruned %d, bounded %d: ", a.Traces, a.Pruned, a.Bounded)
	if a.Complete {
		return text + "complete"
	}
	return text + "not complete: " + a.Why
}

// open counts the points at which something is left to be tried.
func (x *Exhaustive) open() int {
	n := 0
	for i := range x.nodes {
		if _, ok := x.untried(i, func(string) {}); ok {
			n++
		}
	}
	return n
}

// Next makes the strategy that repeats the schedule before up to where it is to
// decide otherwise, and then goes on as plainly as it can.
func (x *Exhaustive) Next() Strategy {
	x.run = &follower{x: x}
	return x.run
}

// Learn looks at the schedule that was just played for steps that could have
// come in another order, and decides what to play next.
func (x *Exhaustive) Learn(bool, int) {
	f := x.run
	if f == nil || x.over {
		return
	}
	x.run = nil
	f.close()
	switch {
	case x.relation.grew:
		x.relation.grew = false
		x.nodes, x.from = nil, 0
		x.traces, x.pruned, x.bounded = 0, 0, 0
		x.begun++
		return
	case f.at < len(x.nodes):
		x.lose(f.at, "it was over")
	case f.blocked:
		x.pruned++
	default:
		x.traces++
	}
	x.races()
	x.advance()
}

// lose notes that a schedule did not repeat its beginning.
func (x *Exhaustive) lose(at int, why string) {
	if x.lost == "" {
		x.lost = fmt.Sprintf("schedule %d did not repeat its beginning: at step %d %s", x.traces+x.pruned+1, at+1, why)
	}
	x.nodes = x.nodes[:at]
}

// races finds what each new step of the schedule depends on, and where it could
// have come earlier.
func (x *Exhaustive) races() {
	before := make([]bits, len(x.nodes)) // which steps happen before each
	for j := range x.nodes {
		before[j] = newBits(len(x.nodes))
		for i := j - 1; i >= 0; i-- {
			if before[j].has(i) || !x.ordered(i, j) {
				continue
			}
			before[j].add(before[i])
			before[j].set(i)
			if j >= x.from {
				x.race(i, j, before)
			}
		}
		if j >= x.from && !x.nodes[j].Barrier {
			x.instead(j, before)
		}
	}
}

// instead sees to it that what a process could have done instead of an earlier
// step, and that is asleep there, is also tried after the later step, if it
// depends on that. (What is not asleep is tried there and finds that by itself.)
func (x *Exhaustive) instead(j int, before []bits) {
	for i := range j {
		p := x.nodes[i]
		if before[j].has(i) {
			continue
		}
		for _, e := range p.Sleep {
			at := p.find(e.Option)
			if at >= 0 && e.Option != p.Taken && p.Options[at].of(p.process()) && x.relation.depend(e.Label, x.nodes[j].Label) {
				x.race(i, j, before)
				break
			}
		}
	}
}

// ordered reports whether the order of two steps of the schedule can matter.
func (x *Exhaustive) ordered(i, j int) bool {
	p, q := x.nodes[i], x.nodes[j]
	if p.Barrier || q.Barrier {
		return true
	}
	return x.relation.depend(p.Label, q.Label)
}

// race sees to it that of two steps that depend on each other, with none in
// between that hangs on the first and on which the second hangs, the later one
// is also tried before the earlier one.
func (x *Exhaustive) race(i, j int, before []bits) {
	at, later := x.nodes[i], x.nodes[j]
	if later.Taken == endOption || Program(at.process()) == Program(later.process()) {
		return
	}
	if x.enabled(i, j) {
		// It could not have come before that. But if it could have come before
		// others on which it depends, it is to be tried there.
		for k := i - 1; k >= 0 && x.nodes[k].process() != later.process(); k-- {
			if x.nodes[k].find(later.Taken) >= 0 && x.ordered(k, j) {
				x.nodes[k].try(later.process())
				return
			}
		}
		return
	}
	// What does not hang on the earlier one, and the later one after it, is a
	// way to have them the other way round. Whatever could come first on that
	// way will do.
	var initials []string
	var way []int
	for k := i + 1; k <= j; k++ {
		if k < j && before[k].has(i) {
			continue
		}
		first := !slices.ContainsFunc(way, func(w int) bool { return before[k].has(w) })
		if first && at.find(x.nodes[k].Taken) >= 0 {
			initials = append(initials, x.nodes[k].process())
		}
		way = append(way, k)
	}
	for _, process := range initials {
		if slices.Contains(at.Backtrack, process) {
			return
		}
	}
	if len(initials) > 0 {
		at.try(initials[0])
	}
}

// enabled reports whether the later step was on offer only after the earlier
// one, or after something that followed that.
func (x *Exhaustive) enabled(i, j int) bool {
	for k := i + 1; k < j; k++ {
		if x.nodes[k].process() == x.nodes[j].process() {
			return false
		}
	}
	return x.nodes[i].find(x.nodes[j].Taken) < 0
}

// advance finds the last point at which something is left to be tried.
func (x *Exhaustive) advance() {
	for i := len(x.nodes) - 1; i >= 0; i-- {
		p := x.nodes[i]
		if p.Label != noLabel || p.Taken == endOption {
			p.Done = append(p.Done, event{p.Taken, p.Label})
		}
		option, ok := x.untried(i, func(left string) {
			p.Left = append(p.Left, left)
			x.bounded++
		})
		if ok {
			p.Taken, p.Label, p.Changed, p.Barrier = option, noLabel, false, false
			x.nodes, x.from = x.nodes[:i+1], i
			return
		}
	}
	x.nodes, x.from, x.over = nil, 0, true
}

// untried is an option at a point that is still to be tried; those beyond the
// bounds are told.
func (x *Exhaustive) untried(i int, beyond func(option string)) (string, bool) {
	p := x.nodes[i]
	for _, process := range p.Backtrack {
		for _, o := range p.Options {
			text := o.Decision.String()
			if !o.of(process) || has(p.Done, text) || has(p.Sleep, text) || text == p.Taken || slices.Contains(p.Left, text) {
				continue
			}
			if x.beyond(i, o) {
				beyond(text)
				continue
			}
			return text, true
		}
	}
	return "", false
}

// beyond reports whether an option at a point lies beyond the bounds.
func (x *Exhaustive) beyond(i int, o Option) bool {
	if x.bounds.Depth >= 0 && i >= x.bounds.Depth {
		return true
	}
	if x.bounds.Preemptions < 0 {
		return false
	}
	n := 0
	for k := 1; k < i; k++ {
		if x.preempts(k, x.nodes[k].Taken) {
			n++
		}
	}
	return x.preempts(i, o.Decision.String()) && n >= x.bounds.Preemptions
}

// preempts reports whether an option at a point makes a process wait that could
// go on.
func (x *Exhaustive) preempts(i int, option string) bool {
	if i == 0 {
		return false
	}
	p, last := x.nodes[i], x.nodes[i-1].process()
	at := p.find(option)
	if at < 0 || p.Options[at].of(last) {
		return false
	}
	return slices.ContainsFunc(p.Options, func(o Option) bool { return o.Process == last && o.free() && o.Verb != Wake })
}

// A follower makes one schedule of an exhaustive search.
type follower struct {
	x       *Exhaustive
	at      int        // the point that is next
	step    []Decision // what has been decided of the step at the point before, which may go on
	touched Footprint
	blocked bool // all that could go on leads to nothing new
	free    bool // it does not matter any more what is decided
	calm    canonical
}

// Pick repeats the beginning, and then takes the plainest option that is not
// asleep.
func (f *follower) Pick(options []Option) (int, error) {
	if i := f.goesOn(options); i >= 0 {
		return i, nil
	}
	f.close()
	if f.free {
		return f.calm.Pick(options)
	}
	var p *point
	if f.at < len(f.x.nodes) {
		p = f.x.nodes[f.at]
		if !sameOptions(p.Options, options) {
			f.x.lose(f.at, fmt.Sprintf("there were %v, and are %v", p.Options, options))
			f.free = true
			return f.calm.Pick(options)
		}
	} else if p = f.reach(options); p == nil {
		f.free, f.blocked = true, true
		return f.calm.Pick(options)
	}
	f.at++
	if p.Taken == endOption {
		p.Barrier = true
		return None, nil
	}
	return p.find(p.Taken), nil
}

// goesOn is the call that belongs to the wake-up before it, negative if there
// is none.
func (f *follower) goesOn(options []Option) int {
	if len(f.step) != 1 || f.step[0].Verb != Wake {
		return -1
	}
	return slices.IndexFunc(options, func(o Option) bool {
		return o.Process == f.step[0].Process && o.free() && o.Verb != Wake
	})
}

// sameOptions compares what can be decided; what is early may differ where time
// was not part of the schedule's beginning.
func sameOptions(a, b []Option) bool {
	return slices.EqualFunc(a, b, func(a, b Option) bool {
		return a.Decision.String() == b.Decision.String() && a.Restart == b.Restart
	})
}

// reach adds the point that the schedule has come to, and decides there. It is
// nil where all that could go on is asleep.
func (f *follower) reach(options []Option) *point {
	x := f.x
	p := &point{Options: slices.Clone(options), Label: noLabel}
	if f.at > 0 {
		p.Sleep = x.asleep(x.nodes[f.at-1])
	}
	x.nodes = append(x.nodes, p)
	if !slices.ContainsFunc(options, Option.free) && !slices.ContainsFunc(options, func(o Option) bool { return o.Restart }) {
		for _, o := range options {
			p.try(o.Process)
		}
		return p
	}
	var awake []Option
	beyond := 0
	for _, o := range options {
		switch {
		case has(p.Sleep, o.Decision.String()):
		case x.preemptsTooOften(f.at, o):
			beyond++
		default:
			awake = append(awake, o)
		}
	}
	if len(awake) == 0 {
		x.nodes = x.nodes[:f.at]
		x.bounded += beyond
		return nil
	}
	i, _ := f.calm.Pick(awake)
	if i == None { // nothing but faults and restarts is awake; one may rule out the others
		for _, o := range awake {
			p.try(o.Process)
		}
		i = 0
	}
	p.Taken = awake[i].Decision.String()
	p.try(awake[i].Process)
	return p
}

// preemptsTooOften is beyond without the depth: a first choice is always made.
func (x *Exhaustive) preemptsTooOften(i int, o Option) bool {
	return x.bounds.Preemptions >= 0 && x.preempts(i, o.Decision.String()) && x.beyond(i, o)
}

// asleep are the events that, after the step that was taken at a point, still
// lead to nothing new: all that was tried there instead of it, and that does not
// depend on it.
func (x *Exhaustive) asleep(p *point) []event {
	var list []event
	if p.Barrier {
		return nil
	}
	for _, e := range slices.Concat(p.Sleep, p.Done) {
		if e.Option != endOption && e.Label != noLabel && !x.relation.depend(e.Label, p.Label) {
			list = append(list, e)
		}
	}
	return list
}

// Done notes what the step touched.
func (f *follower) Done(d Decision, p Footprint) error {
	f.calm.Done(d, p)
	if f.free {
		return nil
	}
	f.step = append(f.step, d)
	f.touched.Reads = append(f.touched.Reads, p.Reads...)
	f.touched.Writes = append(f.touched.Writes, p.Writes...)
	f.touched.Adds = append(f.touched.Adds, p.Adds...)
	return nil
}

// close ends the step at the point before.
func (f *follower) close() {
	if len(f.step) == 0 {
		return
	}
	x, p := f.x, f.x.nodes[f.at-1]
	label := x.relation.learn(f.step, f.touched, x.delivered(f.at-1))
	if x.relation.grew {
		f.free = true
	}
	if p.Label != noLabel && p.Label != label {
		x.lose(f.at-1, fmt.Sprintf("there was %q, and is %q", x.relation.labels[p.Label].Text, x.relation.labels[label].Text))
		f.free = true
	}
	p.Label = label
	p.Changed = changes(f.touched)
	p.Barrier = f.step[0].Verb == Wake && x.idle(f.at-1)
	f.step, f.touched = nil, Footprint{}
}

// delivered reports whether the process of the step at a point has delivered
// something since it was started.
func (x *Exhaustive) delivered(i int) bool {
	process := Program(x.nodes[i].process())
	for k := i - 1; k >= 0; k-- {
		p := x.nodes[k]
		if p.Taken == endOption || Program(p.process()) != process {
			continue
		}
		switch x.relation.labels[p.Label].Verb {
		case Deliver:
			return true
		case Start:
			return false
		}
	}
	return false
}

// idle reports whether the wake-up at a point was on offer only because nothing
// else could go on: nothing has changed since its process last woke.
func (x *Exhaustive) idle(i int) bool {
	process := Program(x.nodes[i].process())
	for k := i - 1; k >= 0; k-- {
		p := x.nodes[k]
		if p.Changed {
			return false
		}
		if Program(p.process()) == process {
			if d := p.Options[p.find(p.Taken)]; d.Verb == Wake || d.Verb == Start {
				return d.Verb == Wake
			}
		}
	}
	return false
}

// bits is a set of small numbers.
type bits []uint64

func newBits(n int) bits      { return make(bits, (n+63)/64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) add(others bits) {
	for i, w := range others {
		b[i] |= w
	}
}

// checkpointVersion is the version of a checkpoint's format.
const checkpointVersion = 1

// A checkpoint is an exhaustive search between two schedules.
type checkpoint struct {
	Version  int       `json:"version"`
	Bounds   Bounds    `json:"bounds"`
	Relation *relation `json:"relation"`
	Points   []*point  `json:"points"`
	From     int       `json:"from"`
	Traces   int       `json:"traces"`
	Pruned   int       `json:"pruned"`
	Bounded  int       `json:"bounded"`
	Begun    int       `json:"begun"`
	Over     bool      `json:"over"`
	Lost     string    `json:"lost,omitempty"`
}

// MarshalJSON writes where the search is, between two schedules.
func (x *Exhaustive) MarshalJSON() ([]byte, error) {
	return json.Marshal(checkpoint{checkpointVersion, x.bounds, &x.relation, x.nodes, x.from, x.traces, x.pruned, x.bounded, x.begun, x.over, x.lost})
}

// UnmarshalJSON goes on where MarshalJSON was; the bounds must be the same.
func (x *Exhaustive) UnmarshalJSON(data []byte) error {
	var c checkpoint
	if err := json.Unmarshal(data, &c); err != nil {
		return err
	}
	if c.Version != checkpointVersion {
		return fmt.Errorf("it is of version %d, and only %d can be read; begin anew", c.Version, checkpointVersion)
	}
	if c.Bounds != x.bounds {
		return fmt.Errorf("it is of a search with other bounds, %+v; give the same, or begin anew", c.Bounds)
	}
	if c.Relation == nil || c.From > len(c.Points) || c.From < 0 {
		return fmt.Errorf("it is damaged; begin anew")
	}
	*x = Exhaustive{bounds: c.Bounds, relation: *c.Relation, nodes: c.Points, from: c.From,
		traces: c.Traces, pruned: c.Pruned, bounded: c.Bounded, begun: c.Begun, over: c.Over, lost: c.Lost}
	return nil
}
