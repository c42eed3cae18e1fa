package schedule

import (
	"encoding/json"
	"slices"
	"strings"
)

// A relation says which steps can depend on each other, so that the other order
// is to be tried. It is a function of what the steps are (process, verb, names) and
// not of what came of them: what a rename touches that finds nothing is also what
// the same rename touches where it succeeds. A relation over what each single
// execution touched would be smaller, and lose traces: a third step can make two
// others fail that would have met. Two results are told apart all the same, since no
// third step can hide anything by them: which inode a step reads (see kind), and
// whether a wake-up moves the time. It does unless something that it depends on has
// moved it already.
//
// What a step can touch is learnt from all its executions. When that turns two
// steps dependent that were taken for independent, what was searched under the
// smaller relation is void, and the search begins anew; see Exhaustive.
type relation struct {
	labels []*label
	index  map[string]int
	known  map[[2]int]bool // what depend has answered, the smaller number first
	clock  Clock
	coarse bool // labels do not tell which inode a step reads; see kind
	grew   bool // an answer has become wrong
}

// A Clock says where it matters how late it is. Its zero value is nowhere.
type Clock struct {
	Read   bool            `json:"read,omitempty"`   // some program reads a clock
	Stamps map[string]bool `json:"stamps,omitempty"` // texts of labels: when such a step came some program has seen, as a time stamp
}

// stamps are, of the attributes of each inode, the labels of the steps whose time
// may stand there.
type stamps map[Resource][]string

// left notes the stamps that a step leaves. Those that it does not set anew stay.
func (s stamps) left(did *label) {
	for x, how := range did.Touches {
		inode, ok := strings.CutPrefix(string(x), "a:")
		if !ok || how&(adds|writes) == 0 {
			continue
		}
		if did.Touches[Resource("t:"+inode)] != 0 {
			s[x] = nil
		}
		if !slices.Contains(s[x], did.Text) {
			s[x] = append(s[x], did.Text)
		}
	}
}

// see notes the stamps that a step has read, and reports whether one of them had
// not been seen before.
func (c *Clock) see(s stamps, f Footprint) (grew bool) {
	for _, x := range f.Reads {
		for _, text := range s[x] {
			if c.Stamps == nil {
				c.Stamps = map[string]bool{}
			}
			grew = grew || !c.Stamps[text]
			c.Stamps[text] = true
		}
	}
	return grew
}

// A label is what a step is.
type label struct {
	Text    string              `json:"text"`
	Kind    string              `json:"kind,omitempty"` // of a label of the relation, what it is known by
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
	timeGone Resource = "time"       // how late it is
	moved    Resource = "later"      // a step that moves the time writes this too; a wake-up that comes late moves none
	asleep   Resource = "sleep"      // how late it was when a sleep began
	excuses  Resource = "deliveries" // a crash of one that has delivered, or handed on, excuses a delivery after it, not one before
)

// An execution is a step and what it touched. A step is one decision, or a
// wake-up with the call after it.
type execution struct {
	Step      []Decision
	Touched   Footprint
	Delivered bool // its process had delivered something before, or handed it on; of a crash that matters
}

// verb is that of the step's last decision.
func (e execution) verb() string { return e.Step[len(e.Step)-1].Verb }

// gave reports whether the step delivered a message, or may have handed one on:
// by a file that was written under a name of its own first.
func (e execution) gave() bool {
	last := e.Step[len(e.Step)-1]
	return last.Verb == Deliver || last.Verb == "rename" && strings.HasSuffix(last.Names[0], ".tmp")
}

// label is the label of this execution alone.
func (e execution) label() *label {
	last := e.Step[len(e.Step)-1]
	l := &label{Process: last.Process, Verb: last.Verb, Names: last.Names, Touches: map[Resource]access{}}
	var texts []string
	for _, d := range e.Step {
		d.Outcome = ""
		texts = append(texts, d.String())
	}
	l.Text = strings.Join(texts, "; ")
	if last.Verb == Crash && e.Delivered {
		l.Text += "; after a delivery"
		l.touch(writes, excuses)
	}
	if e.Step[0].timely() && !slices.Contains(e.Touched.Writes, moved) {
		l.Text += "; late"
	}
	l.touch(reads, e.Touched.Reads...)
	l.touch(adds, e.Touched.Adds...)
	l.touch(writes, e.Touched.Writes...)
	for _, d := range e.Step {
		if d.Answer() {
			l.touch(reads, excuses)
		}
		if d.Fault() {
			l.touch(writes, Resource("budget:"+d.Verb))
		}
	}
	return l
}

// touch adds ways to touch resources, and reports whether any is new.
func (l *label) touch(how access, list ...Resource) (grew bool) {
	for _, x := range list {
		if have := l.Touches[x]; have|how != have {
			l.Touches[x] = have | how
			grew = true
		}
	}
	return grew
}

// merge adds what another label touches, and reports whether any of it is new.
func (l *label) merge(other *label) (grew bool) {
	for x, how := range other.Touches {
		grew = l.touch(how, x) || grew
	}
	return grew
}

// learn notes what an execution touched, and returns the number of its label.
func (r *relation) learn(e execution) int {
	l := e.label()
	if !r.coarse && e.detours() {
		r.coarse = true
		r.forget()
	}
	l.Kind = r.kind(l)
	id, known := r.index[l.Kind]
	if !known {
		id = len(r.labels)
		r.add(l)
	}
	if known && r.labels[id].merge(l) {
		r.check(id)
	}
	if !r.clock.Read && slices.Contains(e.Touched.Reads, timeGone) {
		r.clock.Read = true
		r.forget()
	}
	return id
}

// kind is what a label is known by: what the step is, and the inodes whose
// attributes or data it reads. That is a result, but one that only a change to the
// inode itself can alter: whoever puts another in its place changes its link count.
// So a third step that makes two others miss each other depends on the one that
// changes the inode, and hides nothing. It is not so where paths can come to lead
// elsewhere by other means; see detours.
func (r *relation) kind(l *label) string {
	var inodes []string
	for x, how := range l.Touches {
		if how&reads != 0 && (strings.HasPrefix(string(x), "a:") || strings.HasPrefix(string(x), "d:")) {
			inodes = append(inodes, string(x))
		}
	}
	if r.coarse {
		inodes = nil
	}
	slices.Sort(inodes)
	return strings.Join(append(inodes, l.Text), " ")
}

// detours reports whether a step went by a symbolic link, or changed where paths
// lead, or for whom, other than by the entry at their end.
func (e execution) detours() bool {
	return slices.ContainsFunc(e.Touched.Reads, func(x Resource) bool { return strings.HasPrefix(string(x), "w:") }) ||
		slices.ContainsFunc(e.Touched.Writes, func(x Resource) bool {
			return strings.HasPrefix(string(x), "w:") || strings.HasPrefix(string(x), "p:")
		})
}

// watch notes which time stamps the steps of a schedule have seen that came after
// its beginning.
func (r *relation) watch(beginning trail, stops []Stop) {
	s := stamps{}
	for _, at := range beginning {
		if at.Did != nil {
			s.left(at.Did)
		}
	}
	for _, stop := range stops {
		if len(stop.Done.Step) == 0 {
			continue
		}
		s.left(stop.Done.label())
		if r.clock.see(s, stop.Done.Touched) {
			r.forget()
		}
	}
}

// forget takes back all answers. More depends on the time than was known: also
// steps of which it was known that their labels depend on each other, but that did
// not meet.
func (r *relation) forget() {
	r.grew = true
	clear(r.known)
}

func (r *relation) add(l *label) {
	if r.index == nil {
		r.index, r.known = map[string]int{}, map[[2]int]bool{}
	}
	r.index[l.Kind] = len(r.labels)
	r.labels = append(r.labels, l)
}

// check looks whether the answers that were given of a label still hold.
func (r *relation) check(id int) {
	for pair, answer := range r.known {
		if !answer && slices.Contains(pair[:], id) && compare(r.labels[pair[0]], r.labels[pair[1]], r.clock) {
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
		answer = compare(r.labels[a], r.labels[b], r.clock)
		r.known[pair] = answer
	}
	return answer
}

func compare(x, y *label, c Clock) bool {
	if Program(x.Process) == Program(y.Process) || x.signals(y) || y.signals(x) || x.tells(y) || y.tells(x) {
		return true
	}
	for resource := range x.Touches {
		if x.access(resource, c).conflict(y.access(resource, c)) {
			return true
		}
	}
	return x.access(timeGone, c).conflict(y.access(timeGone, c))
}

// access is how a step touches a resource. How late it is matters only where
// some program looks: then also when a sleep began, and when a change was made
// whose time stamp some program has seen. A wake-up that comes when it is later
// than that anyway moves no time, and hangs on that alone.
func (l *label) access(x Resource, c Clock) access {
	switch {
	case x == "faults" || x == asleep || x == moved:
		return 0 // see budget, and time
	case x != timeGone:
		return l.Touches[x]
	case !c.Read && len(c.Stamps) == 0:
		return 0
	case l.Touches[moved] != 0:
		return l.Touches[x] | reads | writes
	case l.Touches[x] != 0 || l.Touches[asleep] != 0 || c.Stamps[l.Text] && l.stamps():
		return reads
	}
	return 0
}

// stamps reports whether a step changes attributes, and so time stamps.
func (l *label) stamps() bool {
	for x, how := range l.Touches {
		if how&(adds|writes) != 0 && strings.HasPrefix(string(x), "a:") {
			return true
		}
	}
	return false
}

// signals reports whether a step sends a signal to the other's process.
func (l *label) signals(to *label) bool {
	return l.Verb == "kill" && len(l.Names) > 0 && Program(l.Names[0]) == Program(to.Process)
}

// tells reports whether the other's process may go on by what a step sends: to whom
// it goes is not known, but that it is of the same node.
func (l *label) tells(to *label) bool {
	node := func(process string) string { return process[:strings.IndexByte(process+"/", '/')] }
	return l.Verb == Send && node(l.Process) == node(to.Process)
}

// relationText is a relation as it is written: the rest follows from that.
type relationText struct {
	Labels []*label `json:"labels"`
	Clock  Clock    `json:"clock"`
	Coarse bool     `json:"coarse,omitempty"`
}

// MarshalJSON writes the labels, and where it matters how late it is.
func (r *relation) MarshalJSON() ([]byte, error) {
	return json.Marshal(relationText{r.labels, r.clock, r.coarse})
}

// UnmarshalJSON reads what MarshalJSON has written.
func (r *relation) UnmarshalJSON(data []byte) error {
	var text relationText
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*r = relation{clock: text.Clock, coarse: text.Coarse}
	for _, l := range text.Labels {
		r.add(l)
	}
	return nil
}
