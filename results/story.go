package results

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// MaxStory bounds a story, in lines.
const MaxStory = 20

// Story tells a schedule in at most MaxStory plain lines that are fit for a
// mail: who did what to which message, and what came of it. It is no list of
// system calls: what changes nothing and fails at nothing is left out, and what
// repeats is told once. A Change's Note of one word is the short name of what
// lies at its path.
func Story(initial []history.Change, steps []history.Step, v check.Verdict) []string {
	t := newTeller(shortNames(initial, steps))
	spoken := map[int]bool{}   // steps after which what was said matters
	stuck := map[string]bool{} // processes whose every word matters
	for _, a := range slices.Concat(v.Anomalies, v.Allowed) {
		t.subjects[a.Subject] = true
		spoken[a.Step] = spoken[a.Step] || a.Kind == check.MisleadingError
		stuck[a.Subject] = stuck[a.Subject] || a.Kind == check.Stuck
	}
	shorten := shorten(t.names)
	var told []sentence
	for _, s := range steps {
		if text, weight := t.tell(s); weight > 0 {
			if woken := t.woken[s.Process]; woken != "" {
				told = append(told, sentence{s.Process, woken, weight, 1})
				delete(t.woken, s.Process)
			}
			told = append(told, sentence{s.Process, text, weight, 1})
		}
		for _, l := range s.Lines {
			if spoken[s.Index] || stuck[l.Process] {
				told = append(told, sentence{l.Process, "says: " + clip(shorten(oneLine(l.Text)), 120), 3, 1})
			}
		}
	}
	end := ending(v)
	for i := range end {
		end[i] = shorten(end[i])
	}
	return append(lines(merge(told), MaxStory-len(end)), end...)
}

// A sentence is one line of a story, before it is known whether there is room.
type sentence struct {
	process string
	text    string
	weight  int // 1 could be left out, 2 belongs to it, 3 is what it is about
	times   int
}

// A teller puts steps into words.
type teller struct {
	names    map[string]string // what lies there, by stem
	subjects map[string]bool   // what the anomalies are about
	down     map[string]bool   // crashed, and not yet started again
	locks    map[string]string // who took it last, of paths that are locks
	own      map[string]string // whose it is, of claims to a lock
	now      time.Duration     // of the last step
	woken    map[string]string // of processes that have woken after a long time, and done nothing since
}

func newTeller(names map[string]string) *teller {
	return &teller{names: names, subjects: map[string]bool{}, down: map[string]bool{}, locks: map[string]string{}, own: map[string]string{}, woken: map[string]string{}}
}

// tell puts one step into words. The weight 0 leaves it out.
func (t *teller) tell(s history.Step) (text string, weight int) {
	slept := s.Time - t.now
	t.now = s.Time
	switch s.Verb {
	case schedule.Crash:
		t.down[s.Process] = true
		return "is killed", 3
	case schedule.Start:
		node, _, _ := strings.Cut(s.Process, "/")
		if t.down[s.Process] || t.down[node] {
			delete(t.down, s.Process)
			return "is started again", 3
		}
		return "is started", 1
	case schedule.Pause:
		return "stands still from here on", 3
	case schedule.Resume:
		return "goes on", 3
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
	case s.Fault():
		return strings.TrimSpace(fmt.Sprintf("suffers a fault: %s %s", s.Verb, name)), 3
	case !succeeded(s):
		return t.failure(s, about)
	}
	return t.call(s, about)
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
	case name.base == "" || s.Outcome == "EEXIST" && s.Verb == "mkdir":
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

// shortNames collects the notes of what lay there first, and of all steps, by the
// stem of their path, so that an entry keeps its name through all its renames. A
// note of several words is a description and no name.
func shortNames(initial []history.Change, steps []history.Step) map[string]string {
	names := map[string]string{}
	learn := func(changes []history.Change) {
		for _, c := range changes {
			if c.Note != "" && !strings.Contains(c.Note, " ") {
				stem, _ := stem(path.Base(oneLine(c.Path)))
				names[stem] = clip(oneLine(c.Note), 60)
			}
		}
	}
	learn(initial)
	for _, s := range steps {
		learn(s.Changes)
	}
	return names
}

// Shortener returns a function that puts into a text the short names of what lay
// on the share in a schedule: a program names an entry, and a reader wants to know
// which message that is. The text becomes one plain line.
func Shortener(initial []history.Change, steps []history.Step) func(string) string {
	return shorten(shortNames(initial, steps))
}

func shorten(names map[string]string) func(string) string {
	stems := slices.Sorted(maps.Keys(names))
	slices.SortStableFunc(stems, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, stem := range stems {
		if len(stem) >= 16 { // a short one may be part of any word
			pairs = append(pairs, stem, names[stem])
		}
	}
	replacer := strings.NewReplacer(pairs...)
	return func(text string) string { return replacer.Replace(oneLine(text)) }
}

// stem takes the endings off a name: "1.5+ab.pck.tmp" gives "1.5+ab" and
// ".tmp". An ending is all letters and at most five of them.
func stem(base string) (stem, ext string) {
	stem = base
	for {
		e := path.Ext(stem)
		if len(e) < 2 || len(e) > 6 || len(e) == len(stem) || strings.Trim(e[1:], "abcdefghijklmnopqrstuvwxyz") != "" {
			return stem, ext
		}
		if ext == "" {
			ext = e
		}
		stem = strings.TrimSuffix(stem, e)
	}
}

// merge tells what repeats once.
func merge(told []sentence) []sentence {
	var merged []sentence
	for _, s := range told {
		if n := len(merged); n > 0 && merged[n-1].process == s.process && merged[n-1].text == s.text {
			merged[n-1].times++
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// brief is how many lines a story may have before it is told without what could
// be left out.
const brief = 12

// lines returns at most room lines: those of least weight go first, then those
// that are far from what the story is about, then its middle.
func lines(told []sentence, room int) []string {
	heavier := func(weight int) bool {
		return slices.ContainsFunc(told, func(s sentence) bool { return s.weight > weight })
	}
	if heavier(1) && len(told) > min(brief, room) {
		told = merge(slices.DeleteFunc(told, func(s sentence) bool { return s.weight == 1 }))
	}
	if over := len(told) - room; heavier(2) && over > 0 {
		told = merge(withoutFarthest(told, over))
	}
	var out []string
	for i, s := range told {
		if len(told) > room && i == room/2 {
			out = append(out, fmt.Sprintf("(%d lines are left out here)", len(told)-room+1))
		}
		if len(told) > room && i >= room/2 && i < len(told)-(room-room/2-1) {
			continue
		}
		text := who(s.process) + " " + s.text
		if s.times > 1 {
			text += fmt.Sprintf(" (%d times)", s.times)
		}
		out = append(out, oneLine(text))
	}
	return out
}

// withoutFarthest leaves n sentences out, or as many as are not what the story is
// about: those that are farthest from one that is.
func withoutFarthest(told []sentence, n int) []sentence {
	distance := make([]int, len(told)) // to the nearest of weight 3
	order := make([]int, len(told))    // the farthest first
	for i := range told {
		order[i], distance[i] = i, len(told)
		for j, s := range told {
			if s.weight == 3 {
				distance[i] = min(distance[i], max(i-j, j-i))
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return distance[b] - distance[a] })
	gone := map[int]bool{}
	for _, i := range order[:n] {
		gone[i] = distance[i] > 0
	}
	var kept []sentence
	for i, s := range told {
		if !gone[i] {
			kept = append(kept, s)
		}
	}
	return kept
}

// who names a process, or a node as a node.
func who(process string) string {
	if !strings.Contains(process, "/") {
		return "node " + process
	}
	return process
}

// inTheEnd is how a line begins that says what came of it.
const inTheEnd = "In the end: "

// ending says what came of it, in at most five lines.
func ending(v check.Verdict) []string {
	var out []string
	tell := func(anomalies []check.Anomaly, most int) {
		for i, a := range anomalies {
			if i == most-1 && len(anomalies) > most {
				out = append(out, fmt.Sprintf(inTheEnd+"%d more: %s.", len(anomalies)-i, check.Summary(anomalies[i:])))
				return
			}
			out = append(out, fmt.Sprintf(inTheEnd+"%s (%s).", clip(oneLine(a.Explanation), 200), a.Kind))
		}
	}
	switch {
	case len(v.Anomalies) > 0:
		tell(v.Anomalies, 4)
	case v.Verdict == check.Unknown:
		out = append(out, inTheEnd+"it cannot be told whether all is well: "+clip(oneLine(v.Why), 200)+".")
	case len(v.Allowed) > 0:
		tell(v.Allowed, 4)
		out = append(out, "That is within what the test promises.")
	default:
		out = append(out, inTheEnd+"all is as the test promises.")
	}
	return out
}

// clip shortens a text to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
