package schedule

import (
	"encoding/json"
	"slices"
	"strings"
)

// A relation says which steps depend on each other, so that their order can
// matter. It is a function of what the steps are (process, verb, names) and not
// of what came of them: what a rename touches that finds nothing is also what
// the same rename touches where it succeeds. A relation over what each single
// execution touched would be smaller, and lose traces: a third step can make two
// others fail that would have met.
//
// What a step can touch is learnt from all its executions. When that turns two
// steps dependent that were taken for independent, what was searched under the
// smaller relation is void, and the search begins anew; see Exhaustive.
type relation struct {
	labels  []*label
	index   map[string]int
	known   map[[2]int]bool // what depend has answered, the smaller number first
	clocked bool            // some program reads a clock, so that time matters
	grew    bool            // an answer has become wrong
}

// A label is what a step is.
type label struct {
	Text    string              `json:"text"`
	Process string              `json:"process"`
	Verb    string              `json:"verb"` // of its last decision
	Names   []string            `json:"names,omitempty"`
	Touches map[Resource]access `json:"touches"` // in any execution so far
}

// access is a set of ways to touch a resource.
type access uint8

const (
	reads access = 1 << iota
	adds
	writes
)

// conflict reports whether the order of two steps that touch one resource in
// these ways can matter.
func (a access) conflict(b access) bool {
	return a&writes != 0 && b != 0 || b&writes != 0 && a != 0 || a&adds != 0 && b&reads != 0 || a&reads != 0 && b&adds != 0
}

// Resources beside those that the harness reports.
const (
	anyChange Resource = "version"    // whether anything on the share has changed: it wakes whoever polls
	timeGone  Resource = "time"       // how late it is
	asleep    Resource = "sleep"      // how late it was when a sleep began
	excuses   Resource = "deliveries" // a crash of one that has delivered excuses a delivery after it, not one before
)

// learn notes what an execution of the step touched, and returns the number of
// the step's label. The step is one decision, or a wake-up with the call after it.
// Of a crash it matters whether its process has delivered something.
func (r *relation) learn(step []Decision, f Footprint, delivered bool) int {
	last := step[len(step)-1]
	var texts []string
	for _, d := range step {
		d.Outcome = ""
		texts = append(texts, d.String())
	}
	text := strings.Join(texts, "; ")
	if last.Verb == Crash && delivered {
		text += "; after a delivery"
	}
	id, known := r.index[text]
	if !known {
		id = len(r.labels)
		r.add(&label{Text: text, Process: last.Process, Verb: last.Verb, Names: last.Names, Touches: map[Resource]access{}})
	}
	grew := false
	touch := func(how access, list ...Resource) {
		for _, x := range list {
			if have := r.labels[id].Touches[x]; have|how != have {
				r.labels[id].Touches[x] = have | how
				grew = true
			}
		}
	}
	touch(reads, f.Reads...)
	touch(adds, f.Adds...)
	touch(writes, f.Writes...)
	for _, d := range step {
		switch {
		case d.Verb == Wake:
			touch(reads, anyChange)
		case d.Answer():
			touch(reads, excuses)
		}
		if d.Fault() {
			touch(writes, Resource("budget:"+d.Verb))
		}
		if d.Verb == Crash && delivered {
			touch(writes, excuses)
		}
	}
	if changes(f) {
		touch(adds, anyChange)
	}
	if !r.clocked && slices.Contains(f.Reads, timeGone) {
		r.clocked = true
		r.check(func([2]int) bool { return true })
	}
	if known && grew {
		r.check(func(pair [2]int) bool { return pair[0] == id || pair[1] == id })
	}
	return id
}

func (r *relation) add(l *label) {
	if r.index == nil {
		r.index, r.known = map[string]int{}, map[[2]int]bool{}
	}
	r.index[l.Text] = len(r.labels)
	r.labels = append(r.labels, l)
}

// check looks whether answers that were given still hold.
func (r *relation) check(concerned func([2]int) bool) {
	for pair, answer := range r.known {
		if !answer && concerned(pair) && r.compare(pair[0], pair[1]) {
			r.known[pair], r.grew = true, true
		}
	}
}

// changes reports whether a step has changed the share.
func changes(f Footprint) bool {
	return slices.ContainsFunc(slices.Concat(f.Adds, f.Writes), func(x Resource) bool {
		kind, _, _ := strings.Cut(string(x), ":")
		return slices.Contains([]string{"e", "l", "d", "a", "p"}, kind)
	})
}

// depend reports whether the order of two steps can matter.
func (r *relation) depend(a, b int) bool {
	pair := [2]int{min(a, b), max(a, b)}
	answer, known := r.known[pair]
	if !known {
		answer = r.compare(pair[0], pair[1])
		r.known[pair] = answer
	}
	return answer
}

func (r *relation) compare(a, b int) bool {
	x, y := r.labels[a], r.labels[b]
	if Program(x.Process) == Program(y.Process) || x.signals(y) || y.signals(x) {
		return true
	}
	for resource := range x.Touches {
		if r.access(x, resource).conflict(r.access(y, resource)) {
			return true
		}
	}
	return r.access(x, timeGone).conflict(r.access(y, timeGone))
}

// access is how a step touches a resource. How late it is matters only where
// some program looks: then also when something was changed, since that stamps
// it, and when a sleep began.
func (r *relation) access(l *label, x Resource) access {
	switch {
	case x == "faults" || x == asleep:
		return 0 // see budget, and time
	case x != timeGone:
		return l.Touches[x]
	case !r.clocked:
		return 0
	case l.Touches[asleep] != 0 || l.Touches[anyChange]&adds != 0:
		return l.Touches[x] | reads
	}
	return l.Touches[x]
}

// signals reports whether a step sends a signal to the other's process.
func (l *label) signals(to *label) bool {
	return l.Verb == "kill" && len(l.Names) > 0 && Program(l.Names[0]) == Program(to.Process)
}

// MarshalJSON writes the labels: the rest follows from them.
func (r *relation) MarshalJSON() ([]byte, error) { return json.Marshal(r.labels) }

// UnmarshalJSON reads what MarshalJSON has written.
func (r *relation) UnmarshalJSON(data []byte) error {
	var labels []*label
	if err := json.Unmarshal(data, &labels); err != nil {
		return err
	}
	*r = relation{}
	for _, l := range labels {
		r.add(l)
		r.clocked = r.clocked || l.Touches[timeGone]&reads != 0
	}
	return nil
}
