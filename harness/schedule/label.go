package schedule

import (
	"slices"
	"strings"
)

// A Clock says where it matters how late it is. Its zero value is nowhere.
type Clock struct {
	Read   bool            `json:"read,omitempty"`   // some program reads a clock
	Stamps map[string]bool `json:"stamps,omitempty"` // texts of labels: when such a step came some program has seen, as a time stamp
}

// watch notes where the steps of a schedule that came after its beginning have looked
// how late it is, and reports whether that is more than was known.
func (c *Clock) watch(beginning trail, stops []Stop) (grew bool) {
	s := stamps{}
	for _, at := range beginning {
		if at.Did != nil {
			s.left(at.Did)
		}
	}
	for _, stop := range stops {
		if len(stop.Done.Step) > 0 {
			s.left(stop.Done.label())
			grew = c.see(s, stop.Done.Touched) || grew
		}
	}
	return grew
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

// see notes that a step has read a clock, or stamps, and reports whether that
// had not been seen before.
func (c *Clock) see(s stamps, f Footprint) (grew bool) {
	for _, x := range f.Reads {
		if x == timeGone {
			grew = grew || !c.Read
			c.Read = true
		}
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

// A label is what a step was, and what it touched. Where two neighbouring steps did
// not touch the same, but for reads and adds, each would have been the same in the
// other order; so they are independent there. In another place what they are may
// touch more, or less. See races.
type label struct {
	Decision        // its last, without the outcome
	Text     string // of all of it
	Touches  map[Resource]access
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
	last.Outcome = ""
	l := &label{Decision: last, Touches: map[Resource]access{}}
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

// touch adds ways to touch resources.
func (l *label) touch(how access, list ...Resource) {
	for _, x := range list {
		l.Touches[x] |= how
	}
}

// changes reports whether a step has changed the share.
func changes(f Footprint) bool {
	return slices.ContainsFunc(slices.Concat(f.Adds, f.Writes), func(x Resource) bool {
		kind, _, _ := strings.Cut(string(x), ":")
		return slices.Contains([]string{"e", "l", "d", "a", "p"}, kind)
	})
}

// meets reports whether the order of two steps matters, where they came one after
// the other.
func (l *label) meets(other *label, c Clock) bool {
	if Program(l.Process) == Program(other.Process) || l.tells(other) || other.tells(l) {
		return true
	}
	for x := range l.Touches {
		if l.access(x, c).conflict(other.access(x, c)) {
			return true
		}
	}
	return l.access(timeGone, c).conflict(other.access(timeGone, c))
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

// tells reports whether the other's process may go on by what a step sends: a signal,
// or words to whom is not known, but that it is of the same node.
func (l *label) tells(to *label) bool {
	node := func(process string) string { return process[:strings.IndexByte(process+"/", '/')] }
	return l.interrupts(Program(to.Process)) || l.Verb == Send && node(l.Process) == node(to.Process)
}
