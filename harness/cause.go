package harness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

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

// A Fault is something that must go wrong.
type Fault struct{ What, After, Before string } // in words; After and Before are what bounds it, or ""

// A moment is a step of a schedule as the search for a cause sees it.
type moment struct {
	schedule.Decision
	touched schedule.Footprint
	life    int               // how often its process was started before
	nth     int               // which of this life's equal steps it is
	pending []schedule.Option // what else was on offer
}

// key is the same for the same step of two schedules.
func (m moment) key() string {
	d := m.Decision
	d.Outcome = ""
	return fmt.Sprintf("%s, %d of life %d", d, m.nth, m.life)
}

// A diary notes the moments of a schedule.
type diary struct {
	moments []moment
	lives   map[string]int
	seen    map[string]int
	options []schedule.Option
}

func (d *diary) Done(done schedule.Decision, f schedule.Footprint) error {
	if d.lives == nil {
		d.lives, d.seen = map[string]int{}, map[string]int{}
	}
	m := moment{Decision: done, touched: timeless(f), life: d.lives[done.Process], pending: d.options}
	if done.Verb == schedule.Start {
		d.lives[done.Process]++
	}
	m.nth = 1
	for d.seen[m.key()] > 0 {
		m.nth++
	}
	d.seen[m.key()]++
	d.moments = append(d.moments, m)
	return nil
}

// timeless leaves out of a footprint how late it was, and that a fault was
// injected: what matters of that shows elsewhere.
func timeless(f schedule.Footprint) schedule.Footprint {
	f.Writes = slices.DeleteFunc(slices.Clone(f.Writes), func(r schedule.Resource) bool { return r == "time" || r == "faults" })
	return f
}

// A plan is a strategy that follows a list of turns as far as the programs
// will: a process whose turn it is and that is not at the call of that turn does
// what it is at; one that cannot go on misses its turn.
type plan struct {
	diary
	turns  []schedule.Decision
	next   int
	waited int
	after  schedule.Strategy
}

// goesOn is the verb of a turn in which a process does all that it can.
const goesOn = ""

func newPlan(turns []schedule.Decision) *plan {
	return &plan{turns: turns, after: schedule.Canonical()}
}

func (s *plan) Pick(options []schedule.Option) (int, error) {
	s.options = options
	for ; s.next < len(s.turns); s.next++ {
		turn := s.turns[s.next]
		if i := offered(options, turn); i >= 0 {
			s.next++
			return i, nil
		}
		own := slices.IndexFunc(options, func(o schedule.Option) bool {
			return o.Process == turn.Process && !o.Fault() && !o.Restart && o.Verb != schedule.Wake
		})
		switch {
		case own < 0 || turn.Verb == schedule.Start:
			continue
		case turn.Verb == goesOn || turn.Fault(): // that comes as soon as it can
			const patience = 50
			if s.waited++; s.waited > patience {
				continue
			}
		default:
			s.next++
		}
		return own, nil
	}
	return s.after.Pick(options)
}

func (s *plan) Done(d schedule.Decision, f schedule.Footprint) error {
	s.after.Done(d, f)
	return s.diary.Done(d, f)
}

func offered(options []schedule.Option, d schedule.Decision) int {
	return slices.IndexFunc(options, func(o schedule.Option) bool {
		return o.Process == d.Process && o.Verb == d.Verb && slices.Equal(o.Names, d.Names)
	})
}

// An inquiry looks for the cause of one finding.
type inquiry struct {
	w       *World
	ctx     context.Context
	kind    string
	moments []moment
	before  [][]bool // before[j][i]: i comes before j by what they touch
	names   map[string]string
	alone   map[string]bool // nodes with one program
	tried   int
}

// FindCause turns, in the schedule that shows an anomaly, each two neighbouring
// steps that conflict, and leaves out each fault, and plays what comes of it on
// fresh processes: what the anomaly does not survive is part of its cause. It is
// nil where the schedule does not show it when it is played step by step, and
// where there is too much to turn.
func (w *World) FindCause(ctx context.Context, r *Result, kind string) (*Cause, error) {
	q := &inquiry{w: w, ctx: ctx, kind: kind, names: shortNames(r), alone: map[string]bool{}}
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
	}
	if q.count() > maxTurns {
		return nil, nil
	}
	c := &Cause{}
	orders, err := q.orders(c)
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
	q.tried++
	r, err := q.w.Play(s, Options{Fresh: true})
	if err != nil {
		return false, err
	}
	return r.Shows(q.kind), nil
}

// order finds out which step comes before which by what they touch.
func (q *inquiry) order() {
	q.before = make([][]bool, len(q.moments))
	for j := range q.moments {
		q.before[j] = make([]bool, len(q.moments))
		for i := j - 1; i >= 0; i-- {
			if q.before[j][i] || !q.meet(i, j) {
				continue
			}
			q.before[j][i] = true
			for k := range i {
				q.before[j][k] = q.before[j][k] || q.before[i][k]
			}
		}
	}
}

// meet reports whether the order of two steps matters to one of them.
func (q *inquiry) meet(i, j int) bool {
	a, b := q.moments[i], q.moments[j]
	return a.Process == b.Process || a.touched.Conflicts(b.touched)
}

// neighbours reports whether two steps of different processes conflict, with
// nothing in between through which they have their order anyway.
func (q *inquiry) neighbours(i, j int) bool {
	if q.moments[i].Process == q.moments[j].Process || !q.moments[i].touched.Conflicts(q.moments[j].touched) {
		return false
	}
	for k := i + 1; k < j; k++ {
		if q.before[k][i] && q.before[j][k] {
			return false
		}
	}
	return true
}

// maxTurns bounds how many pairs of steps are turned: each is played twice, on
// fresh processes.
const maxTurns = 24

// count is the number of neighbours.
func (q *inquiry) count() int {
	n := 0
	for j := range q.moments {
		for i := range j {
			if q.neighbours(i, j) {
				n++
			}
		}
	}
	return n
}

// A needed order is one without which there is no anomaly.
type neededOrder struct {
	before, after moment
	through       bool
}

// orders turns each two neighbours, and where that changes nothing has the
// later one's process go on before the earlier one. It returns those that must
// not be turned.
func (q *inquiry) orders(c *Cause) ([]neededOrder, error) {
	var needed []neededOrder
	for j := range q.moments {
		for i := range j {
			if !q.neighbours(i, j) {
				continue
			}
			shows, through := true, false
			for _, through = range []bool{false, true} {
				var err error
				if shows, err = q.play(newPlan(q.turned(i, j, through))); err != nil {
					return nil, err
				}
				if !shows {
					break
				}
			}
			if shows {
				c.Others++
				continue
			}
			needed = append(needed, neededOrder{q.moments[i], q.moments[j], through})
			after := q.tell(q.moments[j])
			if through {
				after = q.subject(q.moments[j]) + " goes on after " + q.own(q.moments[j])
			}
			c.Orders = append(c.Orders, Order{q.tell(q.moments[i]), after})
		}
	}
	return needed, nil
}

// turned is the schedule with a later step, and what it hangs on, before an
// earlier one; through says that its process then goes on for as long as it can.
func (q *inquiry) turned(i, j int, through bool) []schedule.Decision {
	var first, rest []schedule.Decision
	for k := i; k < len(q.moments); k++ {
		if k == j || k > i && k < j && !q.before[k][i] && q.before[j][k] {
			first = append(first, q.moments[k].Decision)
		} else {
			rest = append(rest, q.moments[k].Decision)
		}
	}
	if through {
		first = append(first, schedule.Decision{Process: q.moments[j].Process, Verb: goesOn})
	}
	return slices.Concat(q.decisions(0, i), first, rest)
}

func (q *inquiry) decisions(from, to int) []schedule.Decision {
	var list []schedule.Decision
	for _, m := range q.moments[from:to] {
		list = append(list, m.Decision)
	}
	return list
}

// A needed fault is one without which there is no anomaly.
type neededFault struct {
	moment
	after string // key of the step of its process that it follows
}

// faults leaves out each fault, and moves each that is needed: to where its
// process could have had it before, and to where it could have it next.
func (q *inquiry) faults(c *Cause) ([]neededFault, error) {
	var needed []neededFault
	for i, m := range q.moments {
		if !m.Fault() {
			continue
		}
		shows, err := q.play(newPlan(q.without(i)))
		if err != nil {
			return nil, err
		}
		if shows {
			continue
		}
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

// without is the schedule without a fault, and without the start that mends it.
func (q *inquiry) without(i int) []schedule.Decision {
	list, mended := q.decisions(0, i), false
	for _, m := range q.moments[i+1:] {
		if !mended && m.Process == q.moments[i].Process && (m.Verb == schedule.Start || m.Verb == schedule.Resume) {
			mended = true
			continue
		}
		list = append(list, m.Decision)
	}
	return list
}

// last is the step of a fault's process before it, negative if there is none.
func (q *inquiry) last(i int) int {
	for k := i - 1; k >= 0; k-- {
		if q.moments[k].Process == q.moments[i].Process {
			return k
		}
	}
	return -1
}

// bounds finds out between which of its process's steps a fault must come.
func (q *inquiry) bounds(i int, f *Fault) error {
	m := q.moments[i]
	// Earlier: right after the change before the one that it follows.
	last := q.last(i)
	if last >= 0 {
		earlier := -1
		for k := last - 1; k >= 0 && earlier < 0; k-- {
			p := q.moments[k]
			if p.Process == m.Process && (p.Verb == schedule.Deliver || len(p.touched.Writes) > 0) {
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
			f.After = q.own(q.moments[last])
		}
	}
	// Later: after the next thing that it would have done.
	next := slices.IndexFunc(m.pending, func(o schedule.Option) bool {
		return o.Process == m.Process && !o.Fault() && !o.Restart && o.Verb != schedule.Wake
	})
	if next < 0 {
		return nil
	}
	call := m.pending[next].Decision
	shows, err := q.play(newPlan(slices.Concat(q.decisions(0, i), []schedule.Decision{call}, q.decisions(i, len(q.moments)))))
	if err == nil && !shows {
		f.Before = q.own(moment{Decision: call, life: m.life, nth: 1})
	}
	return err
}

// confirmations is how many schedules that meet a condition are to be drawn.
const confirmations = 8

// confirm draws schedules that meet the condition, and counts those that show
// the anomaly.
func (q *inquiry) confirm(c *Cause, orders []neededOrder, faults []neededFault) error {
	for n := range 2 * confirmations {
		if c.Tried == confirmations {
			break
		}
		s := &obedient{rng: rand.New(rand.NewPCG(1, uint64(n))), orders: orders, faults: faults}
		shows, err := q.play(s)
		if err != nil {
			return err
		}
		if !s.met() {
			continue
		}
		c.Tried++
		if shows {
			c.Shown++
		}
	}
	return nil
}

// An obedient strategy walks at random, but keeps to the orders and takes the
// faults of a condition, as far as it can.
type obedient struct {
	diary
	rng    *rand.Rand
	orders []neededOrder
	faults []neededFault
}

func (s *obedient) Pick(options []schedule.Option) (int, error) {
	s.options = options
	for _, f := range s.faults {
		if s.seen[f.key()] == 0 && (f.after == "" || s.seen[f.after] > 0) {
			if i := offered(options, f.Decision); i >= 0 {
				return i, nil
			}
		}
	}
	var free, allowed []int
	for i, o := range options {
		if o.Fault() {
			continue
		}
		free = append(free, i)
		if !s.early(o.Decision) {
			allowed = append(allowed, i)
		}
	}
	switch {
	case len(allowed) > 0:
		return allowed[s.rng.IntN(len(allowed))], nil
	case len(free) > 0:
		return free[0], nil
	}
	return schedule.None, nil
}

// early reports whether a step is to come after another that has not come yet.
func (s *obedient) early(d schedule.Decision) bool {
	return slices.ContainsFunc(s.orders, func(o neededOrder) bool {
		if s.seen[o.before.key()] > 0 || o.after.Process != d.Process || o.after.life != s.lives[d.Process] {
			return false
		}
		if o.through {
			return s.seen[o.after.key()] > 0
		}
		return o.after.Verb == d.Verb && slices.Equal(o.after.Names, d.Names)
	})
}

// met reports whether the schedule has met the condition.
func (s *obedient) met() bool {
	at := map[string]int{}
	for i, m := range s.moments {
		at[m.key()] = i + 1
	}
	for _, o := range s.orders {
		before, after := at[o.before.key()], at[o.after.key()]
		if o.through && after > 0 {
			after = s.following(after)
		}
		if before == 0 || after == 0 || before > after {
			return false
		}
	}
	for _, f := range s.faults {
		if at[f.key()] == 0 {
			return false
		}
	}
	return true
}

// following is the number, from 1, of the next step of the same process; one
// more than there are steps where there is none.
func (s *obedient) following(n int) int {
	for i, m := range s.moments[n:] {
		if m.Process == s.moments[n-1].Process {
			return n + i + 1
		}
	}
	return len(s.moments) + 1
}

// sentence is the cause in words.
func (c *Cause) sentence(kind string) string {
	var parts []string
	for _, o := range c.Orders {
		parts = append(parts, o.Before+" comes before "+o.After)
	}
	for _, f := range c.Faults {
		part := f.What
		switch {
		case f.After != "" && f.Before != "":
			part += " between " + f.After + " and " + f.Before
		case f.After != "":
			part += " after " + f.After
		case f.Before != "":
			part += " before " + f.Before
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return kind + " in whatever order"
	}
	text := kind + " only if "
	sure := c.Tried > 0 && c.Shown == c.Tried
	if sure {
		text = kind + " if and only if "
	}
	if last := len(parts) - 1; last > 0 {
		text += strings.Join(parts[:last], ", ") + ", and " + parts[last]
	} else {
		text += parts[0]
	}
	switch {
	case sure:
		return text + "; no other order matters"
	case c.Tried > 0:
		return text + fmt.Sprintf("; more than that matters: it came about in %d of %d such schedules drawn at random", c.Shown, c.Tried)
	}
	return text
}

// tell puts a step into words: "b's rename of m0.bak to m0.psv".
func (q *inquiry) tell(m moment) string { return q.subject(m) + "'s " + q.deed(m) }

// subject is who takes a step: "b", "the restarted b".
func (q *inquiry) subject(m moment) string {
	if m.life > 0 {
		return "the restarted " + q.who(m.Process)
	}
	return q.who(m.Process)
}

// own puts a step into words where it is plain whose it is.
func (q *inquiry) own(m moment) string { return "its " + q.deed(m) }

// deed puts into words what a step does.
func (q *inquiry) deed(m moment) string {
	verb, which := m.Verb, ""
	if m.nth > 1 {
		which = nth(m.nth) + " "
	}
	listing := slices.ContainsFunc(m.touched.Reads, func(r schedule.Resource) bool { return strings.HasPrefix(string(r), "l:") })
	switch {
	case verb == schedule.Deliver:
		verb = "delivery"
	case verb == "open" && listing:
		verb = "listing"
	case m.Outcome != "" && m.Outcome != "ok" && !m.Fault():
		verb = "failed " + verb
	}
	switch len(m.Names) {
	case 0:
		return which + verb
	case 1:
		return which + verb + " of " + q.short(m.Names[0])
	}
	return which + verb + " of " + q.short(m.Names[0]) + " to " + q.short(m.Names[1])
}

func nth(n int) string {
	switch {
	case n%100/10 != 1 && n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%100/10 != 1 && n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%100/10 != 1 && n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}

// who is the node of a process, where nothing else runs on it.
func (q *inquiry) who(process string) string {
	if node, program, ok := strings.Cut(process, "/"); ok && q.alone[node] && !strings.ContainsAny(program, ".#") {
		return node
	}
	return process
}

func (q *inquiry) fault(m moment) string {
	who := q.who(m.Process)
	switch m.Verb {
	case schedule.Crash:
		return who + " dies"
	case schedule.Pause:
		return who + " stands still"
	case schedule.Defer:
		return "the mail server refuses " + strings.Join(m.Names, " ") + " from " + who
	case schedule.Hangup:
		return "the mail server hangs up on " + strings.Join(m.Names, " ") + " from " + who
	case schedule.Skew:
		return who + "'s clock is set by " + strings.Join(m.Names, " ")
	}
	return m.Verb + " of " + who
}

// short is a path by what lies there, or its last component.
func (q *inquiry) short(name string) string {
	base := path.Base(name)
	stem, ext := splitName(base)
	if note := q.names[stem]; note != "" {
		return note + ext
	}
	return base
}

// splitName takes the endings off a name: "1.5+ab.pck.tmp" is "1.5+ab" and
// ".pck.tmp".
func splitName(base string) (stem, ext string) {
	stem = base
	for {
		e := path.Ext(stem)
		if len(e) < 2 || len(e) == len(stem) || strings.Trim(e[1:], "abcdefghijklmnopqrstuvwxyz") != "" {
			return stem, base[len(stem):]
		}
		stem = strings.TrimSuffix(stem, e)
	}
}

// shortNames are the notes of what lay where in a schedule, by the stem of its
// name.
func shortNames(r *Result) map[string]string {
	names := map[string]string{}
	list := slices.Clone(r.Initial)
	for _, s := range r.Steps {
		list = append(list, s.Changes...)
	}
	for _, c := range list {
		if stem, _ := splitName(path.Base(c.Path)); c.Note != "" {
			names[stem] = c.Note
		}
	}
	return names
}

// explain looks for the causes of what was found.
func (w *World) explain(ctx context.Context, o *Outcome) error {
	for i := range o.Findings {
		f := &o.Findings[i]
		if !f.Confirmed {
			continue
		}
		cause, err := w.FindCause(ctx, f.Result, f.Anomaly.Kind)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the cause of %s: %w", f.Anomaly.Kind, err)
		}
		f.Cause = cause
	}
	return nil
}
