package results

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// A fact is what is true of something from a step on: where a message is, who
// holds a lock, that a program is down.
type fact struct {
	group   int // in factGroups
	subject string
	text    string // "" says that there is nothing to say of it any more
}

// factGroups are the kinds of what facts are about.
var factGroups = []string{"Messages", "Locks", "Programs"}

const (
	ofMessages = iota
	ofLocks
	ofPrograms
)

// factsOf says what is true before the first step, and what each step makes
// true. It goes by the notes of what lies on the share, by the history, and by
// locks of the kernel.
func factsOf(p Page) (initial []fact, after [][]fact) {
	k := knower{linked: !knowsLocks(p.History), names: shortNames(p.Initial, p.Steps), lanes: laneNames(p.Steps), messages: map[string]*whereabouts{}, notes: map[string]string{},
		locks: map[string]*holding{}, states: map[string]string{}, told: map[fact]string{}, dirty: map[fact]bool{}}
	k.learnMessages(p)
	ops := p.History
	take := func(step int) { // what the history has up to this step
		for len(ops) > 0 && ops[0].Step <= step {
			k.op(ops[0])
			ops = ops[1:]
		}
	}
	k.changes(p.Initial)
	for len(ops) > 0 && ops[0].Step == 0 && ops[0].Process == "client" {
		k.op(ops[0])
		ops = ops[1:]
	}
	initial = k.news()
	for i, s := range p.Steps {
		k.changes(s.Changes)
		k.step(s)
		take(i)
		after = append(after, k.news())
	}
	return initial, after
}

// A knower keeps what is true now.
type knower struct {
	names    map[string]string // short names, by stem
	lanes    []string
	messages map[string]*whereabouts // by id
	notes    map[string]string       // by path
	locks    map[string]*holding     // by name
	states   map[string]string       // of programs that are not simply up
	told     map[fact]string         // what was said last; the key has no text
	dirty    map[fact]bool           // what may have changed since; the same
	linked   bool                    // locks are known by their links alone
}

// knowsLocks reports whether the workload notes what becomes of its locks.
func knowsLocks(ops []history.Op) bool {
	return slices.ContainsFunc(ops, func(op history.Op) bool { return op.F == "make-lock" || op.F == "acquire" })
}

// A whereabouts is all that a reader wants to know of a message.
type whereabouts struct {
	paths      []string // where copies of it lie, sorted
	deliverers []string // in order
}

// A holding is all that a reader wants to know of a lock.
type holding struct {
	holders []string // in order
	waiting []string
	maker   string // of its file
}

// learnMessages finds out which notes are messages' names: those that the
// history enqueues, or that are delivered.
func (k *knower) learnMessages(p Page) {
	for _, op := range p.History {
		if op.F == "enqueue" || op.F == "deliver" {
			k.messages[op.Value] = &whereabouts{}
		}
	}
	for _, s := range p.Steps {
		if s.Answer() && len(s.Names) > 0 {
			k.messages[s.Names[0]] = &whereabouts{}
		}
	}
}

func (k *knower) changed(group int, subject string) {
	k.dirty[fact{group: group, subject: subject}] = true
}

// changes takes in what a step did to the share.
func (k *knower) changes(cs []history.Change) {
	for _, c := range cs {
		was, note := k.notes[c.Path], c.Note
		if c.Gone {
			note = ""
		}
		if was == note {
			continue
		}
		if m := k.messages[was]; m != nil {
			m.paths = slices.DeleteFunc(m.paths, func(p string) bool { return p == c.Path })
			k.changed(ofMessages, was)
		}
		delete(k.notes, c.Path)
		if m := k.messages[note]; m != nil {
			k.notes[c.Path] = note
			m.paths = append(m.paths, c.Path)
			slices.Sort(m.paths)
			k.changed(ofMessages, note)
		}
	}
}

// step takes in what the decision itself says.
func (k *knower) step(s history.Step) {
	ok := s.Outcome == "ok" && len(s.Names) > 0
	switch s.Verb {
	case schedule.Crash:
		k.end(s.Process, "down: killed")
	case schedule.PowerLoss:
		for _, lane := range k.lanes {
			k.end(lane, "down: no power")
		}
	case schedule.Pause:
		k.state(s.Process, "stands still")
	case schedule.Start, schedule.Resume:
		k.state(s.Process, "")
	case schedule.Deliver:
		if m := k.messages[strings.Join(s.Names, " ")]; m != nil && strings.HasPrefix(s.Outcome, "2") {
			m.deliverers = append(m.deliverers, s.Process)
			k.changed(ofMessages, s.Names[0])
		}
	case "flock", "lock":
		if ok {
			k.hold(s.Names[0], s.Process)
		}
	case "unlock", "close":
		if ok && k.locks[s.Names[0]] != nil {
			k.release(s.Names[0], s.Process)
		}
	case "link":
		if ok && k.linked && len(s.Names) > 1 && claims(objectOf(s, 0), objectOf(s, 1)) {
			lock := objectOf(s, 1).place
			k.hold(lock, s.Process)
			k.lock(lock).maker = s.Process
		}
	case "unlink":
		if lock := objectOf(s, 0).place; ok && k.linked && k.locks[lock] != nil {
			*k.lock(lock) = holding{}
		}
	}
}

// op takes in an operation of the history.
func (k *knower) op(op history.Op) {
	switch {
	case op.F == "exit":
		if k.states[op.Process] == "" {
			k.end(op.Process, "has ended: "+op.Value)
		}
	case op.F == schedule.Pause: // the history says how
		k.state(op.Value, strings.TrimSpace("stands still, "+op.Error))
	case op.F == "enqueue":
		k.changed(ofMessages, op.Value)
	case op.F == "acquire" && op.Type == history.Invoke:
		l := k.lock(op.Value)
		l.waiting = append(l.waiting, op.Process)
	case op.Type != history.OK:
	case op.F == "acquire":
		k.hold(op.Value, op.Process)
	case op.F == "release":
		k.release(op.Value, op.Process)
	case op.F == "make-lock":
		k.lock(op.Value).maker = op.Process
	case op.F == "remove-lock":
		k.lock(op.Value).maker = ""
	}
}

// lock is that lock, of which something is about to change.
func (k *knower) lock(name string) *holding {
	if k.locks[name] == nil {
		k.locks[name] = &holding{}
	}
	k.changed(ofLocks, name)
	return k.locks[name]
}

func (k *knower) hold(name, process string) {
	l := k.lock(name)
	l.waiting = without(l.waiting, process)
	l.holders = append(without(l.holders, process), process)
}

func (k *knower) release(name, process string) {
	l := k.lock(name)
	l.holders = without(l.holders, process)
}

func without(list []string, gone string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == gone })
}

// end says that a process, or all of a node, does nothing any more.
func (k *knower) end(who, how string) {
	k.state(who, how)
	gone := func(process string) bool { return covers(who, process) }
	for _, name := range slices.Sorted(maps.Keys(k.locks)) {
		l := k.lock(name)
		l.holders = slices.DeleteFunc(l.holders, gone)
		l.waiting = slices.DeleteFunc(l.waiting, gone)
	}
}

func (k *knower) state(who, how string) {
	for _, lane := range k.lanes {
		if strings.Contains(lane, "/") && covers(who, lane) {
			k.states[lane] = how
			k.changed(ofPrograms, lane)
		}
	}
}

// covers reports whether what befalls who befalls the process too: a process
// with its children and threads, or a node.
func covers(who, process string) bool {
	return process == who || strings.HasPrefix(process, who) && strings.ContainsAny(process[len(who):][:1], "/.#")
}

// news are the facts that are not as they were told last, in a fixed order.
func (k *knower) news() []fact {
	var list []fact
	for f := range k.dirty {
		text := k.text(f)
		if was, ok := k.told[f]; ok && was == text || !ok && text == "" {
			continue
		}
		k.told[f] = text
		f.text = text
		list = append(list, f)
	}
	clear(k.dirty)
	slices.SortFunc(list, func(a, b fact) int {
		if a.group != b.group {
			return a.group - b.group
		}
		return strings.Compare(a.subject, b.subject)
	})
	return list
}

// text puts into words what is true of the fact's subject.
func (k *knower) text(f fact) string {
	switch f.group {
	case ofMessages:
		return k.messages[f.subject].text(k.names)
	case ofLocks:
		return k.locks[f.subject].text()
	}
	return k.states[f.subject]
}

func (w *whereabouts) text(names map[string]string) string {
	var places []string
	for _, p := range w.paths {
		base, ext := stem(path.Base(p))
		if short := names[base]; short != "" {
			base = short
		}
		places = append(places, base+ext+" in "+path.Dir(p))
	}
	where := "nowhere on the share"
	if len(places) > 0 {
		where = strings.Join(places, " and ")
	}
	switch n := len(w.deliverers); n {
	case 0:
		return where + "; not delivered"
	case 1:
		return fmt.Sprintf("%s; delivered once, by %s", where, w.deliverers[0])
	default:
		return fmt.Sprintf("%s; delivered %d times, by %s", where, n, strings.Join(w.deliverers, ", then "))
	}
}

func (h *holding) text() string {
	text := "free"
	if len(h.holders) > 0 {
		text = "held by " + strings.Join(h.holders, " and ")
	}
	if h.maker != "" && !slices.Equal(h.holders, []string{h.maker}) {
		text += "; its file is that of " + h.maker
	}
	if len(h.waiting) > 0 {
		text += "; wanted by " + strings.Join(h.waiting, ", ")
	}
	return text
}
