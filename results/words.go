package results

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"strings"
	"time"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// A teller puts steps into words.
type teller struct {
	names    map[string]string // what lies there, by stem
	subjects map[string]bool   // what the anomalies are about
	up       map[string]bool   // programs that have done something, or had it done to them
	down     map[string]bool   // those of them that crashed, and were not started again yet
	locks    map[string]string // who took it last, of paths that are locks
	own      map[string]string // whose it is, of claims to a lock
	now      time.Duration     // of the last step
	handed   map[string]bool   // nodes on which a client has handed a message to a mail server, and was not answered yet
	woken    map[string]string // of processes that have woken after a long time, and done nothing since
}

func newTeller(names map[string]string) *teller {
	return &teller{names: names, subjects: map[string]bool{}, up: map[string]bool{}, down: map[string]bool{}, locks: map[string]string{}, own: map[string]string{}, handed: map[string]bool{}, woken: map[string]string{}}
}

// tell puts one step into words. The weight 0 leaves it out.
func (t *teller) tell(s history.Step) (text string, weight int) {
	slept := s.Time - t.now
	t.now = s.Time
	if strings.Contains(s.Process, "/") {
		t.up[schedule.Program(s.Process)] = true
	}
	switch s.Verb {
	case schedule.Crash:
		t.fell(s.Decision)
		return "is killed", 3
	case schedule.PowerLoss:
		t.fell(s.Decision)
		return "loses power, as do all nodes: what was not synced is gone", 3
	case schedule.Start:
		if t.rose(s.Decision) {
			return "is started again", 3
		}
		return "is started", 1
	case schedule.Pause:
		return "stands still from here on", 3
	case schedule.Resume:
		return "goes on", 3
	case schedule.Signal:
		return "is sent the signal " + oneLine(strings.Join(s.Names, " ")), 3
	case schedule.Skew:
		return "has its clock set by " + oneLine(strings.Join(s.Names, " ")), 3
	case schedule.Wake, schedule.Alarm:
		if slept >= time.Minute {
			t.woken[s.Process] = fmt.Sprintf("wakes, %v later", slept.Round(time.Second))
		}
		return "", 0
	}
	name := t.object(s, 0)
	about := 2
	for _, o := range []object{name, t.object(s, 1)} {
		if t.subjects[o.short] || t.subjects[o.base] {
			about = 3
		}
	}
	switch {
	case s.Verb == schedule.Deliver && succeeded(s):
		return "delivers " + name.String(), about
	case s.Verb == schedule.Deliver:
		return fmt.Sprintf("tries to deliver %s: the mail sink answers %s", name, s.Outcome), about
	case s.Verb == schedule.Defer:
		return fmt.Sprintf("tries to deliver %s: the mail sink puts it off (%s)", name, s.Outcome), 3
	case s.Verb == schedule.Hangup:
		return fmt.Sprintf("tries to deliver %s: the mail sink hangs up (%s)", name, s.Outcome), 3
	case s.Verb == schedule.Send:
		return t.talk(s.Process, name.base)
	case s.Fault():
		return strings.TrimSpace(fmt.Sprintf("suffers a fault: %s %s", s.Verb, name)), 3
	case !succeeded(s):
		return t.failure(s, about)
	}
	return t.call(s, about)
}

// talk puts into words what a mail server's client says, or is told: a command, a
// reply's code, or the id of the message that it hands over. After that the next
// reply on its node is the one that matters, or one to another client.
func (t *teller) talk(process, word string) (text string, weight int) {
	node, _, _ := strings.Cut(process, "/")
	word = clip(word, 60)
	switch {
	case word != strings.ToUpper(word):
		t.handed[node] = true
		return "hands over " + word, 3
	case word == "" || word[0] < '0' || word[0] > '9':
		return "says " + word, 1
	case t.handed[node]:
		delete(t.handed, node)
		return "answers " + word, 3
	}
	return "answers " + word, 1
}

// fell notes whom a crash took. A program that has done nothing by then may not have
// been running.
func (t *teller) fell(crash schedule.Decision) {
	for p := range t.up {
		if crash.Concerns(p) {
			t.down[p] = true
		}
	}
}

// rose notes a start, and reports whether it brings back what a crash took.
func (t *teller) rose(start schedule.Decision) bool {
	before := len(t.down)
	maps.DeleteFunc(t.down, func(p string, _ bool) bool { return start.Concerns(p) })
	return len(t.down) < before
}

// succeeded reports whether a step's outcome, if it has one, is a success.
func succeeded(s history.Step) bool {
	return s.Outcome == "" || s.Outcome == "ok" || s.Verb == schedule.Deliver && strings.HasPrefix(s.Outcome, "2")
}

// failure puts a call that failed into words. One that failed because of what
// another process did belongs to the story, others can be left out.
func (t *teller) failure(s history.Step, about int) (text string, weight int) {
	name, to := t.object(s, 0), t.object(s, 1)
	weight = about - 1
	if s.Conflict >= 0 || s.Outcome != "ENOENT" && s.Outcome != "EEXIST" {
		weight = about
	}
	switch {
	case name.base == "" || s.Outcome == "EEXIST" && s.Verb == "mkdir" || s.Outcome == "EINVAL" && s.Verb == "readlink": // is no link
		return "", 0
	case s.Outcome == "ENOENT" && s.Verb == "open":
		return fmt.Sprintf("finds %s missing: ENOENT", name), weight
	case s.Outcome == "ENOENT":
		return fmt.Sprintf("finds %s missing when it comes to %s it: ENOENT", name, inWords(s.Verb)), weight
	case s.Outcome == "EEXIST" && claims(name, to):
		t.own[name.place] = s.Process
		t.locks[to.place] = cmp.Or(t.locks[to.place], "somebody")
		return fmt.Sprintf("does not get the %s, which is there already: EEXIST", to.lock()), weight
	case s.Outcome == "EEXIST" && to.base != "":
		return fmt.Sprintf("finds %s there already: EEXIST", to), weight
	case s.Outcome == "EEXIST":
		return fmt.Sprintf("finds %s there already: EEXIST", name), weight
	}
	return fmt.Sprintf("fails to %s %s: %s", inWords(s.Verb), name, oneLine(s.Outcome)), weight
}

// inWords is what a system call does, where its name is no plain word for it.
func inWords(verb string) string {
	switch verb {
	case "stat":
		return "look at"
	case "utimens":
		return "touch"
	case "unlink", "rmdir":
		return "remove"
	case "mkdir":
		return "make"
	case "truncate":
		return "cut off"
	}
	return verb
}

// call puts a call that succeeded into words.
func (t *teller) call(s history.Step, about int) (text string, weight int) {
	name, to := t.object(s, 0), t.object(s, 1)
	if name.base == "" {
		if len(s.Changes) == 0 {
			return "", 0
		}
		return "does " + s.Verb, 1
	}
	switch s.Verb {
	case "rename":
		return rename(name, to), about
	case "unlink":
		switch taker := t.locks[name.place]; {
		case t.own[name.place] == s.Process:
			return fmt.Sprintf("removes %s", name), about - 1
		case taker == "" && name.short != "" && name.ext == "": // of which there may be copies elsewhere
			return fmt.Sprintf("removes %s from %s", name, name.dir), about
		case taker == "":
			return fmt.Sprintf("removes %s", name), about
		case taker == s.Process:
			return fmt.Sprintf("lets the %s go: removes it", name.lock()), about
		default:
			return fmt.Sprintf("removes the %s, which %s had taken", name.lock(), taker), 3
		}
	case "rmdir":
		return fmt.Sprintf("removes the directory %s", name), 1
	case "mkdir":
		return fmt.Sprintf("makes the directory %s", name), 1
	case "link":
		switch {
		case claims(name, to):
			t.own[name.place], t.locks[to.place] = s.Process, s.Process
			return fmt.Sprintf("takes the %s: links %s to it", to.lock(), name), about
		case claims(to, name):
			return fmt.Sprintf("passes the %s on: links it to %s", name.lock(), to), about - 1
		}
		if name.String() == to.String() && name.dir != to.dir {
			return fmt.Sprintf("links %s from %s into %s", name, name.dir, to.dir), about
		}
		return fmt.Sprintf("links %s to %s", name, to), about
	case "symlink":
		return fmt.Sprintf("makes the symbolic link %s", cmp.Or(to.String(), name.String())), about
	case "truncate":
		return fmt.Sprintf("cuts %s off", name), about
	case "write":
		return fmt.Sprintf("writes %s", name), about - 1
	case "open":
		if len(s.Changes) > 0 {
			return fmt.Sprintf("creates %s", name), about - 1
		}
		return "", 0
	case "flock", "lock":
		return fmt.Sprintf("locks %s", name), 2
	case "chmod", "chown", "utimens":
		return fmt.Sprintf("changes the attributes of %s", name), 1
	}
	if len(s.Changes) > 0 {
		return fmt.Sprintf("does %s to %s", s.Verb, name), 1
	}
	return "", 0
}

// claims reports whether a file is a claim to a lock, as Mailman makes them: one
// that is called LOCK.HOST.PID or LOCK|HOST|PID|..., and is linked to LOCK.
func claims(file, lock object) bool {
	return strings.Contains(lock.place, "lock") && (strings.HasPrefix(file.base, lock.base+".") || strings.HasPrefix(file.base, lock.base+"|"))
}

// rename puts a rename into the words of a mail queue, where it is one of its.
func rename(from, to object) string {
	switch same := from.short != "" && from.short == to.short; {
	case same && from.ext == ".pck" && to.ext == ".bak":
		return fmt.Sprintf("takes %s: renames it from .pck to .bak", from.short)
	case same && from.ext == ".bak" && to.ext == ".pck":
		return fmt.Sprintf("puts %s back into the queue: renames it from .bak to .pck", from.short)
	case same && to.ext == ".psv":
		return fmt.Sprintf("sets %s aside as damaged: renames it from %s to %s", from.short, cmp.Or(from.ext, "no ending"), path.Join(path.Base(to.dir), ".psv"))
	case same && from.ext == ".tmp" && to.ext == ".pck":
		return fmt.Sprintf("puts %s into the queue %s", from.short, path.Base(to.dir))
	case same && from.ext != to.ext:
		return fmt.Sprintf("renames %s from %s to %s", from.short, cmp.Or(from.ext, "no ending"), cmp.Or(to.ext, "no ending"))
	case from.String() == to.String() && from.dir != to.dir:
		return fmt.Sprintf("moves %s from %s to %s", from, from.dir, to.dir)
	}
	return fmt.Sprintf("renames %s to %s", from, to)
}

// An object is what a step's name means.
type object struct {
	short     string // what lies there, where that has a name: "m0"
	ext       string // the last ending of the name
	dir, base string // of the name
	node      string // whose alone it is, of what lies in a node's private directory
	place     string // the same for the same file, whatever node names it
}

// lock is what a reader wants to see of a lock.
func (o object) lock() string {
	if o.node != "" {
		return "lock " + o.String() + " of its own node"
	}
	return "lock " + o.String()
}

// String is what a reader wants to see of it: "m0.bak", "config.pck.last".
func (o object) String() string {
	if o.short != "" {
		return o.short + o.ext
	}
	return clip(o.base, 60)
}

// object is what the step's i-th name means; its base is empty where there is no
// such name.
func (t *teller) object(s history.Step, i int) object {
	o := objectOf(s, i)
	if s.Answer() {
		o.short, o.ext = clip(o.base, 60), ""
		return o
	}
	stemmed, _ := stem(o.base)
	o.short = t.names[stemmed]
	return o
}

// objectOf is object without a short name.
func objectOf(s history.Step, i int) object {
	if i >= len(s.Names) {
		return object{}
	}
	name := oneLine(s.Names[i])
	o := object{dir: path.Dir(name), base: path.Base(name), place: name}
	if s.Answer() { // it is a message, and no path
		o.base = name
	}
	if own, ok := strings.CutPrefix(name, "local:"); ok {
		o.node, _, _ = strings.Cut(s.Process, "/")
		o.place = o.node + ":" + own
	}
	_, o.ext = stem(o.base)
	return o
}
