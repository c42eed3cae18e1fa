package results

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

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
func Story(steps []history.Step, v check.Verdict) []string {
	t := teller{names: shortNames(steps), subjects: map[string]bool{}, down: map[string]bool{}}
	spoken := map[int]bool{}   // steps after which what was said matters
	stuck := map[string]bool{} // processes whose every word matters
	for _, a := range slices.Concat(v.Anomalies, v.Allowed) {
		t.subjects[a.Subject] = true
		spoken[a.Step] = spoken[a.Step] || a.Kind == check.MisleadingError
		stuck[a.Subject] = stuck[a.Subject] || a.Kind == check.Stuck
	}
	shorten := shortener(t.names)
	var told []sentence
	for _, s := range steps {
		if text, weight := t.tell(s); weight > 0 {
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
}

// tell puts one step into words. The weight 0 leaves it out.
func (t *teller) tell(s history.Step) (text string, weight int) {
	failed := s.Outcome != "" && s.Outcome != "ok"
	name, ext, dir := t.object(s, 0)
	to, toExt, toDir := t.object(s, 1)
	about := 2
	if t.subjects[name] || t.subjects[to] {
		about = 3
	}
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
	case schedule.Deliver:
		if strings.HasPrefix(s.Outcome, "2") || !failed {
			return "delivers " + name, about
		}
		return fmt.Sprintf("tries to deliver %s: the mail sink answers %s", name, s.Outcome), about
	case schedule.Defer:
		return fmt.Sprintf("tries to deliver %s: the mail sink puts it off (%s)", name, s.Outcome), 3
	case schedule.Hangup:
		return fmt.Sprintf("tries to deliver %s: the mail sink hangs up (%s)", name, s.Outcome), 3
	case schedule.Wake:
		return "", 0
	}
	if name == "" {
		if len(s.Changes) == 0 || failed {
			return "", 0
		}
		return fmt.Sprintf("does %s", s.Verb), 1
	}
	thing := name + ext
	if failed {
		weight := about - 1
		if s.Conflict >= 0 {
			weight = about
		}
		switch {
		case s.Outcome == "ENOENT" && s.Verb == "open":
			return fmt.Sprintf("finds %s missing: ENOENT", thing), weight
		case s.Outcome == "ENOENT":
			return fmt.Sprintf("finds %s missing when it comes to %s it: ENOENT", thing, s.Verb), weight
		case s.Outcome == "EEXIST" && s.Verb == "mkdir":
			return "", 0
		case s.Outcome == "EEXIST" && to != "":
			return fmt.Sprintf("finds %s there already: EEXIST", to+toExt), weight
		case s.Outcome == "EEXIST":
			return fmt.Sprintf("finds %s there already: EEXIST", thing), weight
		}
		return fmt.Sprintf("fails to %s %s: %s", s.Verb, thing, s.Outcome), weight
	}
	switch s.Verb {
	case "rename":
		return t.rename(name, ext, dir, to, toExt, toDir), about
	case "unlink":
		return fmt.Sprintf("removes %s", thing), about
	case "rmdir":
		return fmt.Sprintf("removes the directory %s", thing), 1
	case "mkdir":
		return fmt.Sprintf("makes the directory %s", thing), 1
	case "link":
		return fmt.Sprintf("links %s to %s", thing, to+toExt), about
	case "symlink":
		return fmt.Sprintf("makes the symbolic link %s", cmp.Or(to+toExt, thing)), about
	case "truncate":
		return fmt.Sprintf("cuts %s off", thing), about
	case "write":
		return fmt.Sprintf("writes %s", thing), 1
	case "open":
		if len(s.Changes) > 0 {
			return fmt.Sprintf("creates %s", thing), 1
		}
		return "", 0
	case "flock", "lock":
		return fmt.Sprintf("locks %s", thing), 2
	case "chmod", "chown", "utimens":
		return fmt.Sprintf("changes the attributes of %s", thing), 1
	}
	if len(s.Changes) > 0 {
		return fmt.Sprintf("does %s to %s", s.Verb, thing), 1
	}
	return "", 0
}

// rename puts a rename into the words of a mail queue, where it is one of its.
func (t *teller) rename(name, ext, dir, to, toExt, toDir string) string {
	switch {
	case name == to && ext == ".pck" && toExt == ".bak":
		return fmt.Sprintf("takes %s: renames it from .pck to .bak", name)
	case name == to && ext == ".bak" && toExt == ".pck":
		return fmt.Sprintf("puts %s back into the queue: renames it from .bak to .pck", name)
	case name == to && toExt == ".psv":
		return fmt.Sprintf("sets %s aside as damaged: renames it from %s to %s", name, cmp.Or(ext, "no ending"), path.Join(path.Base(toDir), ".psv"))
	case name == to && ext == ".tmp" && toExt == ".pck":
		return fmt.Sprintf("puts %s into the queue %s", name, path.Base(toDir))
	case name == to && ext != toExt:
		return fmt.Sprintf("renames %s from %s to %s", name, cmp.Or(ext, "no ending"), cmp.Or(toExt, "no ending"))
	case name == to && dir != toDir:
		return fmt.Sprintf("moves %s from %s to %s", name+ext, dir, toDir)
	}
	return fmt.Sprintf("renames %s to %s", name+ext, to+toExt)
}

// object returns the short name of what the step's i-th name means, with the
// last ending of that name and its directory.
func (t *teller) object(s history.Step, i int) (name, ext, dir string) {
	if i >= len(s.Names) {
		return "", "", ""
	}
	full := oneLine(s.Names[i])
	if s.Answer() {
		return clip(full, 60), "", ""
	}
	dir = path.Dir(full)
	stem, ext := stem(path.Base(full))
	if short := t.names[stem]; short != "" {
		return short, ext, dir
	}
	return clip(stem, 40), ext, dir
}

// shortNames collects the notes of all steps by the stem of their path, so that
// an entry keeps its name through all its renames. A note of several words is a
// description and no name.
func shortNames(steps []history.Step) map[string]string {
	names := map[string]string{}
	for _, s := range steps {
		for _, c := range s.Changes {
			if c.Note != "" && !strings.Contains(c.Note, " ") {
				stem, _ := stem(path.Base(oneLine(c.Path)))
				names[stem] = clip(oneLine(c.Note), 60)
			}
		}
	}
	return names
}

// shortener replaces what long stems stand for in a text: a program names the
// entry, a reader wants to know which message that is.
func shortener(names map[string]string) func(string) string {
	stems := slices.Sorted(maps.Keys(names))
	slices.SortStableFunc(stems, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, stem := range stems {
		if len(stem) >= 16 { // a short one may be part of any word
			pairs = append(pairs, stem, names[stem])
		}
	}
	return strings.NewReplacer(pairs...).Replace
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

// lines returns at most room lines: those of least weight go first, then the
// middle of the story.
func lines(told []sentence, room int) []string {
	for weight := 1; weight < 3 && len(told) > room; weight++ {
		told = merge(slices.DeleteFunc(told, func(s sentence) bool { return s.weight == weight }))
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

// who names a process, or a node as a node.
func who(process string) string {
	if !strings.Contains(process, "/") {
		return "node " + process
	}
	return process
}

// ending says what came of it, in at most five lines.
func ending(v check.Verdict) []string {
	var out []string
	tell := func(anomalies []check.Anomaly, most int) {
		for i, a := range anomalies {
			if i == most-1 && len(anomalies) > most {
				out = append(out, fmt.Sprintf("In the end: %d more: %s.", len(anomalies)-i, check.Summary(anomalies[i:])))
				return
			}
			out = append(out, fmt.Sprintf("In the end: %s (%s).", clip(oneLine(a.Explanation), 200), a.Kind))
		}
	}
	switch {
	case len(v.Anomalies) > 0:
		tell(v.Anomalies, 4)
	case v.Verdict == check.Unknown:
		out = append(out, "In the end: it cannot be told whether all is well: "+clip(oneLine(v.Why), 200)+".")
	case len(v.Allowed) > 0:
		tell(v.Allowed, 4)
		out = append(out, "That is within what the test promises.")
	default:
		out = append(out, "In the end: all is as the test promises.")
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
