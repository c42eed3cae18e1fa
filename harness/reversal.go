package harness

import (
	"fmt"
	"slices"

	"screwtape/harness/schedule"
)

// A moment is a step of a schedule as the search for a cause sees it.
type moment struct {
	schedule.Decision
	touched schedule.Footprint
	life    int               // how often its program was started before
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
	m := moment{Decision: done, touched: timeless(f), life: d.lives[schedule.Program(done.Process)], pending: d.options}
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

// meet reports whether the order of two steps matters to one of them. That of a
// program's own and its children's does: who forks and who waits is no step.
func (q *inquiry) meet(i, j int) bool {
	return q.sameProgram(i, j) || q.moments[i].touched.Conflicts(q.moments[j].touched)
}

func (q *inquiry) sameProgram(i, j int) bool {
	return schedule.Program(q.moments[i].Process) == schedule.Program(q.moments[j].Process)
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

// next is the first step of i's program from i on, forwards or backwards, that meets
// j, negative if there is none.
func (q *inquiry) next(i, j, step int) int {
	for k := i + step; 0 <= k && k < len(q.moments); k += step {
		if q.sameProgram(k, i) && q.moments[k].touched.Conflicts(q.moments[j].touched) {
			return k
		}
	}
	return -1
}

// turned is the schedule with a later step, what its program does before it, and
// what else it hangs on, before an earlier one; through says that its process then goes on for as long as it can.
func (q *inquiry) turned(i, j int, through bool) []schedule.Decision {
	var first, rest []schedule.Decision
	for k := i; k < len(q.moments); k++ {
		if k == j || k > i && k < j && q.before[j][k] && (!q.before[k][i] || q.sameProgram(k, j)) {
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

// last is the step of a fault's program before it, negative if there is none.
func (q *inquiry) last(i int) int {
	for k := i - 1; k >= 0; k-- {
		if q.sameProgram(k, i) {
			return k
		}
	}
	return -1
}
