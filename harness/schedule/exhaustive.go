package schedule

import (
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
// Two schedules have the same trace where the same steps touch the same, and those
// that meet in what they touched come in the same order. Sleep sets, the order of a
// schedule's steps, and which of them are to be turned all go by that. The paper
// asks more of such a relation than that neighbours which do not meet can change
// places (its property 7): that of two steps which meet, no third that meets only
// the second can make that untrue. A rename that finds nothing does: it touches
// nothing else any more. So traces would be lost, and racing.hidden brings them back;
// why that is enough is told in docs/search.md.
//
// Some things are not in the paper:
//   - Several schedules are under way at once: what is open is a tree, not a
//     stack. Of the branches at one point, each sleeps below those that were
//     begun after it, whether or not all below it has been played by then: it
//     will be. One is begun when it is known what came of the one before it.
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
	clock    Clock
	root     *point   // of the tree; nil before anything has been played
	chosen   []trail  // to be planned, in this order
	underway []flight // planned and not heard of yet, oldest first

	planned int // schedules, of which
	scouted int // were scouts: see scoutEvery

	traces, pruned, bounded, begun int
	wide                           int // of bounded, faults that are not of one program
	signals                        int // signals of an administrator that could have come
	over                           bool
	lost                           string // where a schedule did not repeat its beginning
}

// NewExhaustive begins an exhaustive search.
func NewExhaustive(b Bounds) *Exhaustive { return &Exhaustive{bounds: b} }

// A flight is a schedule that is under way: to the end of a trail, or at random.
type flight struct {
	trail
	scout bool
}

// A point is where a decision was made, and what was decided there.
type point struct {
	Options   []Option  `json:"options"`
	Sleep     []event   `json:"sleep,omitempty"` // of the options, those that lead to nothing new
	Backtrack []string  `json:"backtrack"`       // processes that are to be tried here
	Branches  []*branch `json:"branches"`        // options that are or have been tried, in the order in which they were begun
	Left      []string  `json:"left,omitempty"`  // options that are beyond the bounds

	texts []string // of Options
}

// A branch is an option that is or has been tried.
type branch struct {
	Taken   string `json:"taken"`         // the option; "" is none of them
	Did     *label `json:"did,omitempty"` // what it was, or nil where that is not known
	Verb    string `json:"verb,omitempty"`
	Gave    bool   `json:"gave,omitempty"`
	Barrier bool   `json:"barrier,omitempty"`
	Next    *point `json:"next,omitempty"` // where it led to, while something is open there
	Closed  bool   `json:"closed,omitempty"`

	met []event // see ousted; nil before that
}

// underway reports whether the branch is chosen, and nothing was heard of it yet.
func (b *branch) underway() bool { return b.Did == nil && b.Next == nil && !b.Closed }

// A trail is the points and branches that lead from the root to a decision.
type trail []struct {
	*point
	*branch
}

// course is the trail as a schedule sees it.
func (p trail) course() course {
	c := make(course, len(p))
	for i, at := range p {
		c[i] = &stop{at.Options, at.texts, at.Taken, at.Verb, at.Gave, at.Barrier}
	}
	return c
}

// to adds a point and the branch that is taken there.
func (p trail) to(at *point, b *branch) trail {
	return append(slices.Clip(p), struct {
		*point
		*branch
	}{at, b})
}

// try adds a process to those that are to be tried.
func (p *point) try(process string) {
	if !slices.Contains(p.Backtrack, process) {
		p.Backtrack = append(p.Backtrack, process)
		slices.Sort(p.Backtrack)
	}
}

// asleep are the events that lead to nothing new below one of the point's branches,
// but where that has met them.
func (p *point) asleep(below *branch) []event {
	list := slices.Clone(p.Sleep)
	for _, b := range p.Branches[:slices.Index(p.Branches, below)] {
		if b.Did != nil {
			list = append(list, event{b.Taken, b.Did})
		}
	}
	return list
}

// Name is "exhaustive".
func (*Exhaustive) Name() string { return exhaustiveName }

// Over reports whether all has been played.
func (x *Exhaustive) Over() bool { return x.over }

// An Account is how far an exhaustive search has come.
type Account struct {
	Traces   int    // schedules that were played to the end, no two of them equal but for independent steps
	Pruned   int    // schedules that turned out on their way to be such an equal
	Bounded  int    // choices that were left out since they are beyond the bounds
	Begun    int    // how often the search began anew, since more depends on each other than was known
	Open     int    // points at which choices are known to be left, or are being tried
	Complete bool   // nothing is left
	Why      string // or why not
}

// Account says how far the search has come.
func (x *Exhaustive) Account() Account {
	a := Account{Traces: x.traces, Pruned: x.pruned, Bounded: x.bounded, Begun: x.begun, Open: x.root.open()}
	switch {
	case x.lost != "":
		a.Why = x.lost
	case !x.over && x.root == nil && x.begun > 0:
		a.Why = "it was ended as it began anew"
	case !x.over && x.root == nil:
		a.Why = "it was ended at its beginning"
	case !x.over:
		a.Why = fmt.Sprintf("it was ended with choices left at %d points", a.Open)
	case x.wide > 0:
		a.Why = fmt.Sprintf("faults of a whole node, or of the server, could have come %d times, and are tried by the other strategies alone", x.wide)
	case x.signals > 0:
		// A shell runs its trap when it next wakes, and the search wakes it only
		// when something has changed.
		a.Why = fmt.Sprintf("signals could have come %d times, and what a program that sleeps does upon one was seen only where a change woke it", x.signals)
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

// open counts the points at which something is left to be tried, or under way.
func (p *point) open() int {
	if p == nil {
		return 0
	}
	n := 0
	if len(p.untried()) > 0 || slices.ContainsFunc(p.Branches, (*branch).underway) {
		n++
	}
	for _, b := range p.Branches {
		n += b.Next.open()
	}
	return n
}

// untried are the options that are still to be tried, also those beyond the
// bounds that have not been left out yet.
func (p *point) untried() []string {
	var list []string
	for _, process := range p.Backtrack {
		for i, o := range p.Options {
			text := p.texts[i]
			if o.of(process) && !p.tried(text) && !has(p.Sleep, text) && !slices.Contains(p.Left, text) && !slices.Contains(list, text) {
				list = append(list, text)
			}
		}
	}
	return list
}

func (p *point) tried(option string) bool {
	return slices.ContainsFunc(p.Branches, func(b *branch) bool { return b.Taken == option })
}

// Next plans the schedule that goes to a point where something is left to be
// tried, tries it, and then goes on as plainly as it can.
func (x *Exhaustive) Next() (Plan, bool) {
	if !x.over && (x.planned+1)%scoutEvery == 0 && x.scouted < mostScouts {
		x.scouted++
		return x.plan(flight{scout: true}, &Beginning{Bounds: x.bounds, Scout: x.scouted}), true
	}
	if len(x.chosen) == 0 && len(x.underway) == 0 && !x.over {
		x.choose()
	}
	if len(x.chosen) == 0 {
		return Plan{}, false
	}
	p := x.chosen[0]
	x.chosen = x.chosen[1:]
	b := &Beginning{Bounds: x.bounds, Clock: x.clock}
	for i, at := range p {
		b.Taken = append(b.Taken, at.Taken)
		b.Looks = append(b.Looks, looks(at.Options))
		if i == len(p)-1 {
			b.Sleep = at.asleep(at.branch)
		}
	}
	return x.plan(flight{trail: p}, b), true
}

// plan is the plan of a schedule that is under way from now on.
func (x *Exhaustive) plan(f flight, b *Beginning) Plan {
	x.planned++
	x.underway = append(x.underway, f)
	return Plan{Search: exhaustiveName, Beginning: b}
}

// most is how many schedules are chosen at once, at most. It does not hang on
// how many can be played at once, so that what is chosen does not either.
const most = 32

// choose finds points at which something is left to be tried, the last and
// deepest first, so that what is open stays small.
func (x *Exhaustive) choose() {
	if x.root == nil {
		x.chosen = []trail{nil}
		return
	}
	var visit func(*point, trail)
	visit = func(at *point, p trail) {
		for _, b := range slices.Backward(at.Branches) {
			if b.Next != nil {
				visit(b.Next, p.to(at, b))
			}
		}
		if len(x.chosen) == most {
			return
		}
		if option, ok := x.untried(at, p); ok {
			b := &branch{Taken: option}
			at.Branches = append(at.Branches, b)
			x.chosen = append(x.chosen, p.to(at, b))
		}
	}
	visit(x.root, nil)
	x.over = len(x.chosen) == 0
}

// untried is the first option at a point, to which the trail leads, that is
// still to be tried. Those before it that are beyond the bounds are left out.
func (x *Exhaustive) untried(at *point, p trail) (string, bool) {
	for _, option := range at.untried() {
		s := &stop{Options: at.Options, texts: at.texts}
		if !x.bounds.beyond(p.course(), len(p), s, option) {
			return option, true
		}
		at.Left = append(at.Left, option)
		x.bounded++
	}
	return "", false
}

// Learn takes the way of a schedule into the tree, and looks for steps of it that
// could have come in another order.
func (x *Exhaustive) Learn(_ bool, l Lesson) {
	if len(x.underway) == 0 {
		return
	}
	now := x.underway[0]
	x.underway = x.underway[1:]
	p, grew := now.trail, false
	stale := len(p) > 0 && x.root != p[0].point
	switch {
	case now.scout:
		grew = x.clock.watch(nil, l.Way.Stops)
	case stale:
		x.clock.watch(p[:len(p)-1], l.Way.Stops)
	default:
		grew = x.take(p, l.Way)
	}
	if grew {
		x.chosen, x.root, x.over = nil, nil, false
		x.traces, x.pruned, x.bounded, x.wide, x.signals = 0, 0, 0, 0, 0
		x.begun++
	}
}

// One in so many schedules is a scout, up to so many in all: it is played at random,
// and is no part of the search. It goes ahead to see where else somebody looks how late
// it is. A search from the deepest point on may come to that last, and begin anew with
// nearly all of it done.
const (
	scoutEvery = 4
	mostScouts = 500
)

// take takes a way into the tree, from the last branch of the trail on. Where that
// shows that it matters in more places how late it is, the tree is void.
func (x *Exhaustive) take(p trail, w *Way) (void bool) {
	from := max(len(p)-1, 0)
	if w.Lost {
		x.lose(p, w)
	} else {
		if x.clock.watch(p[:from], w.Stops) {
			return true
		}
		p = x.graft(p, w)
		if w.Blocked == nil {
			x.traces++
		} else {
			x.pruned++
		}
		x.races(p, from)
	}
	x.fold(p)
	return false
}

// lose notes that a schedule did not repeat its beginning.
func (x *Exhaustive) lose(p trail, w *Way) {
	last := p[len(p)-1]
	last.Closed = true
	if x.lost != "" {
		return
	}
	why := "it was over"
	if w.There != nil {
		why = fmt.Sprintf("there were %v, and are %v", p[w.At].Options, w.There)
	}
	x.lost = fmt.Sprintf("schedule %d did not repeat its beginning: at step %d %s", x.traces+x.pruned+1, w.At+1, why)
}

// graft adds the points of a way below the trail, and returns the trail to its
// end.
func (x *Exhaustive) graft(p trail, w *Way) trail {
	for i, s := range w.Stops {
		if i > 0 || len(p) == 0 {
			at := x.grow(p, s.Options)
			at.begin(s.Taken)
			p = p.to(at, at.Branches[0])
		}
		b := p[len(p)-1].branch
		b.Barrier = s.Barrier
		if len(s.Done.Step) > 0 {
			b.Verb, b.Gave, b.Did = s.Done.verb(), s.Done.gave(), s.Done.label()
		}
	}
	if w.Blocked != nil {
		// What is known by now may have more of it awake than the schedule knew.
		at := x.grow(p, w.Blocked)
		awake, beyond := x.bounds.awake(p.course(), &stop{Options: at.Options, texts: at.texts}, at.Sleep)
		if len(awake) == 0 {
			x.bounded += beyond
		}
		for _, o := range awake {
			at.try(o.Process)
		}
		return p.to(at, nil)
	}
	return p
}

// grow adds a point after the last branch of the trail.
func (x *Exhaustive) grow(p trail, options []Option) *point {
	at := &point{Options: options, texts: texts(options)}
	for i, o := range options {
		if o.Verb == Signal {
			x.signals++
		}
		if o.Wide {
			at.Left = append(at.Left, at.texts[i])
			x.bounded++
			x.wide++
		}
	}
	if len(p) == 0 {
		x.root = at
		return at
	}
	last := p[len(p)-1]
	last.Next = at
	if last.Barrier {
		return at
	}
	at.Sleep = after(last.asleep(last.branch), last.Did, x.clock)
	return at
}

// begin takes the first option at a point, and says what else is to be tried
// there from the start.
func (p *point) begin(option string) {
	p.Branches = []*branch{{Taken: option}}
	if i := slices.Index(p.texts, option); i >= 0 && p.Options[i].free() {
		p.try(p.Options[i].Process)
		return
	}
	// There is nothing but faults and restarts; one may rule out the others.
	for _, o := range p.Options {
		p.try(o.Process)
	}
}

// fold closes, from its end, the branches of the trail below which nothing is left
// to be tried.
func (x *Exhaustive) fold(p trail) {
	for i := len(p) - 1; i >= 0; i-- {
		at := p[i]
		if at.branch != nil && at.Next == nil {
			at.Closed = true
		}
		if _, ok := x.untried(at.point, p[:i]); ok || slices.ContainsFunc(at.Branches, func(b *branch) bool { return !b.Closed }) {
			return
		}
		if i == 0 {
			x.over = true
			return
		}
		p[i-1].Next, p[i-1].Closed = nil, true
	}
}
