package harness

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"screwtape/harness/schedule"
)

// A Cause is the smallest condition under which an anomaly comes about, as far
// as turning one thing at a time tells.
type Cause struct {
	Orders []Order // which must be as they are, or it does not come about
	Faults []Fault // which must come where they do
	Others int     // other orders of steps that meet: turned, and it came about all the same
	// Tried is how many schedules were drawn at random that meet the condition;
	// Shown is in how many of them it came about.
	Tried, Shown int
	// Text is all that in one sentence.
	Text string
}

// An Order is that one step comes before another, or before the other's process
// goes on from it. Both are in words: "a's rename of x", "b goes on after its
// failed open of x".
type Order struct{ Before, After string }

// A Fault is something that must go wrong, between two steps. All three are in
// words; After and Before are "" where it may come as early or as late as it likes.
type Fault struct{ What, After, Before string }

// An inquiry looks for the cause of one finding.
type inquiry struct {
	w       *World
	peers   []*Peer
	ctx     context.Context
	kind    string
	moments []moment
	before  [][]bool // before[j][i]: i comes before j by what they touch
	names   map[string]string
	alone   map[string]bool // nodes with one program
	late    map[string]bool // programs whose first start is a step of the schedule
}

// FindCause turns, in the schedule that shows an anomaly, each two neighbouring
// steps that conflict, and leaves out each fault, and plays what comes of it on
// fresh processes: what the anomaly does not survive is part of its cause. It is
// nil where the schedule does not show it when it is played step by step, and
// where there is too much to turn. Peers help; what comes of it is the same without.
func (w *World) FindCause(ctx context.Context, peers []*Peer, r *Result, kind string) (*Cause, error) {
	q := &inquiry{w: w, peers: peers, ctx: ctx, kind: kind, names: shortNames(r), alone: map[string]bool{}, late: map[string]bool{}}
	var turns []schedule.Decision
	for _, s := range r.Steps {
		turns = append(turns, s.Decision)
	}
	first := newPlan(turns)
	shows, err := q.play(first)
	if err != nil || !shows {
		return nil, err
	}
	q.moments = first.moments
	q.order()
	for _, p := range w.programs {
		_, more := q.alone[p.host.Name]
		q.alone[p.host.Name] = !more
		q.late[p.label] = p.program.Late
	}
	pairs := q.pairs()
	if len(pairs) > maxTurns {
		return nil, nil
	}
	c := &Cause{}
	orders, err := q.orders(c, pairs)
	if err != nil {
		return nil, err
	}
	faults, err := q.faults(c)
	if err != nil {
		return nil, err
	}
	if err := q.confirm(c, orders, faults); err != nil {
		return nil, err
	}
	c.Text = c.sentence(kind)
	return c, nil
}

// play plays a schedule on fresh processes and reports whether it shows the
// anomaly.
func (q *inquiry) play(s schedule.Strategy) (bool, error) {
	if err := q.ctx.Err(); err != nil {
		return false, err
	}
	r, err := q.w.Play(s, Options{Fresh: true})
	if err != nil {
		return false, err
	}
	return r.Shows(q.kind), nil
}

// playAll plays schedules on fresh processes.
func (q *inquiry) playAll(schedules [][]schedule.Decision) ([]*played, error) {
	var tasks []task
	for _, turns := range schedules {
		tasks = append(tasks, task{Turns: turns, Fresh: true})
	}
	list, err := q.w.playAll(q.peers, tasks, func() bool { return q.ctx.Err() != nil })
	if err == nil {
		err = q.ctx.Err()
	}
	return list, err
}

// maxTurns bounds how many pairs of steps are turned: each is played twice, on
// fresh processes.
const maxTurns = 24

// pairs are the steps that are neighbours, the later one second.
func (q *inquiry) pairs() (list [][2]int) {
	for j := range q.moments {
		for i := range j {
			if q.neighbours(i, j) {
				list = append(list, [2]int{i, j})
			}
		}
	}
	return list
}

// A needed order is one without which there is no anomaly.
type neededOrder struct {
	pair          [2]int
	before, after moment
	through       bool
}

// orders turns each two neighbours, and where that changes nothing has the
// later one's process go on before the earlier one. Where that changes nothing either
// it turns what lies behind them: steps of the same programs whose order followed from
// theirs. It returns what must not be turned. What cannot be, as a child's step and its
// parent's that forked it, is how the programs are, and no condition.
func (q *inquiry) orders(c *Cause, pairs [][2]int) ([]neededOrder, error) {
	free, needed, err := q.turn(pairs, false)
	if err != nil {
		return nil, err
	}
	free, more, err := q.turn(free, true)
	c.Others = len(free)
	for tried := map[[2]int]bool{}; len(free) > 0 && err == nil; c.Others += len(free) {
		needed = append(needed, more...)
		free, more, err = q.turn(q.behind(free, tried), false)
	}
	if err != nil {
		return nil, err
	}
	needed = q.withoutImplied(append(needed, more...))
	slices.SortFunc(needed, func(a, b neededOrder) int {
		return cmp.Or(a.pair[1]-b.pair[1], a.pair[0]-b.pair[0])
	})
	for _, n := range needed {
		after := q.tell(n.after)
		if n.through {
			after = q.subject(n.after) + " goes on after " + q.own(n.after)
		}
		c.Orders = append(c.Orders, Order{q.tell(n.before), after})
	}
	return needed, nil
}

// turn turns each of the pairs, and returns those that the anomaly survives, and
// those that it does not.
func (q *inquiry) turn(pairs [][2]int, through bool) (free [][2]int, needed []neededOrder, err error) {
	var schedules [][]schedule.Decision
	for _, p := range pairs {
		schedules = append(schedules, q.turned(p[0], p[1], through))
	}
	list, err := q.playAll(schedules)
	if err != nil {
		return nil, nil, err
	}
	for n, p := range pairs {
		before, later := q.moments[p[0]], q.moments[p[1]]
		switch turned := precedes(list[n].Keys, later, before); {
		case turned && !list[n].shows(q.kind):
			needed = append(needed, neededOrder{p, before, later, through})
		case turned || through: // with through it was turned before, and can be
			free = append(free, p)
		}
	}
	return free, needed, nil
}

// behind are the pairs that had their order through these: one step of each is
// replaced by the next that its program has, farther away, and that meets the other.
func (q *inquiry) behind(pairs [][2]int, tried map[[2]int]bool) (list [][2]int) {
	for _, p := range pairs {
		for _, far := range [][2]int{{q.next(p[0], p[1], -1), p[1]}, {p[0], q.next(p[1], p[0], +1)}} {
			if far[0] >= 0 && far[1] >= 0 && !tried[far] && len(tried) < maxTurns {
				tried[far] = true
				list = append(list, far)
			}
		}
	}
	return list
}

// withoutImplied leaves out the orders that follow from another: of a step before, or
// the same, of the earlier one's program, and one after of the later one's.
func (q *inquiry) withoutImplied(orders []neededOrder) (list []neededOrder) {
	for _, o := range orders {
		if !slices.ContainsFunc(orders, func(by neededOrder) bool {
			return by.pair != o.pair && !by.through &&
				q.sameProgram(o.pair[0], by.pair[0]) && o.pair[0] <= by.pair[0] &&
				q.sameProgram(by.pair[1], o.pair[1]) && by.pair[1] <= o.pair[1]
		}) {
			list = append(list, o)
		}
	}
	return list
}

// precedes reports whether one moment was there, and another not before it.
func precedes(keys []string, one, other moment) bool {
	i, j := slices.Index(keys, one.key()), slices.Index(keys, other.key())
	return i >= 0 && (j < 0 || i < j)
}

// A needed fault is one without which there is no anomaly.
type neededFault struct {
	moment
	after string // key of the step of its program that it follows
}

// faults leaves out each fault, and moves each that is needed: to where its
// process could have had it before, and to where it could have it next.
func (q *inquiry) faults(c *Cause) ([]neededFault, error) {
	var needed []neededFault
	var schedules [][]schedule.Decision
	var which []int
	for i, m := range q.moments {
		if m.Fault() {
			schedules, which = append(schedules, q.without(i)), append(which, i)
		}
	}
	list, err := q.playAll(schedules)
	if err != nil {
		return nil, err
	}
	for k, i := range which {
		if list[k].shows(q.kind) {
			continue
		}
		m := q.moments[i]
		f := Fault{What: q.fault(m)}
		n := neededFault{moment: m}
		if last := q.last(i); last >= 0 {
			n.after = q.moments[last].key()
		}
		if m.Verb == schedule.Crash || m.Verb == schedule.Pause {
			if err := q.bounds(i, &f); err != nil {
				return nil, err
			}
		}
		needed = append(needed, n)
		c.Faults = append(c.Faults, f)
	}
	return needed, nil
}

// bounds finds out between which of its program's steps a fault must come.
func (q *inquiry) bounds(i int, f *Fault) error {
	m := q.moments[i]
	// Earlier: right after the change before the one that it follows.
	last := q.last(i)
	if last >= 0 {
		earlier := -1
		for k := last - 1; k >= 0 && earlier < 0; k-- {
			p := q.moments[k]
			if q.sameProgram(k, i) && (p.Verb == schedule.Deliver || len(p.touched.Writes) > 0) {
				earlier = k
			}
		}
		moved := slices.Concat(q.decisions(0, earlier+1), []schedule.Decision{m.Decision}, q.decisions(earlier+1, i), q.decisions(i+1, len(q.moments)))
		if earlier < 0 { // before it does anything
			moved = q.without(i)
			moved = slices.Insert(moved, 0, m.Decision)
		}
		shows, err := q.play(newPlan(moved))
		if err != nil {
			return err
		}
		if !shows {
			f.After = q.ownOr(m, q.moments[last])
		}
	}
	// Later: after the next thing that it would have done.
	next := slices.IndexFunc(m.pending, func(o schedule.Option) bool {
		return schedule.Program(o.Process) == schedule.Program(m.Process) && !o.Fault() && !o.Restart && o.Verb != schedule.Wake
	})
	if next < 0 {
		return nil
	}
	call := m.pending[next].Decision
	shows, err := q.play(newPlan(slices.Concat(q.decisions(0, i), []schedule.Decision{call}, q.decisions(i, len(q.moments)))))
	if err == nil && !shows {
		step := moment{Decision: call, life: m.life, nth: 1}
		for _, done := range q.moments[:i] {
			if done.key() == step.key() {
				step.nth++
			}
		}
		f.Before = q.ownOr(m, step)
	}
	return err
}

// explain looks for the causes of what was found.
func (s *exploration) explain() error {
	for i := range s.out.Findings {
		f := &s.out.Findings[i]
		if !f.Confirmed {
			continue
		}
		s.tell("looking for the cause of " + f.Anomaly.Kind)
		cause, err := s.FindCause(s.ctx, s.Peers, f.Result, f.Anomaly.Kind)
		if s.ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the cause of %s: %w", f.Anomaly.Kind, err)
		}
		f.Cause = cause
	}
	return nil
}
