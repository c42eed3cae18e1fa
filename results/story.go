package results

import (
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
// lies at its path. Of a program that ends with a status other than 0 it has the
// last line that this wrote.
func Story(initial []history.Change, steps []history.Step, ops []history.Op, v check.Verdict) []string {
	t := newTeller(shortNames(initial, steps))
	spoken := map[int]bool{}   // steps after which what was said matters
	stuck := map[string]bool{} // processes whose every word matters
	for _, a := range slices.Concat(v.Anomalies, v.Allowed) {
		t.subjects[a.Subject] = true
		spoken[a.Step] = spoken[a.Step] || a.Kind == check.MisleadingError
		stuck[a.Subject] = stuck[a.Subject] || a.Kind == check.Stuck
	}
	shorten := shorten(t.names)
	said := map[string]string{} // last line of a program's life that the story has not told
	var told []sentence
	end := func(exit history.Op) {
		words := said[exit.Process]
		delete(said, exit.Process)
		status, ok := strings.CutPrefix(exit.Value, "exit ")
		if !ok || status == "0" { // a kill is a step of its own
			return
		}
		text := "ends with " + status
		if words != "" {
			text += `: "` + words + `"`
		}
		told = append(told, sentence{exit.Process, text, 3, 1})
	}
	exits := slices.DeleteFunc(slices.Clone(ops), func(op history.Op) bool { return op.F != "exit" })
	for _, s := range steps {
		if text, weight := t.tell(s); weight > 0 {
			if woken := t.woken[s.Process]; woken != "" {
				told = append(told, sentence{s.Process, woken, weight, 1})
				delete(t.woken, s.Process)
			}
			told = append(told, sentence{s.Process, text, weight, 1})
		}
		for _, l := range s.Lines {
			text := clip(shorten(l.Text), 120)
			switch {
			case spoken[s.Index] || stuck[l.Process]:
				told = append(told, sentence{l.Process, "says: " + text, 3, 1})
				delete(said, l.Process)
			case strings.TrimSpace(text) != "":
				said[l.Process] = text
			}
		}
		for len(exits) > 0 && exits[0].Step <= s.Index {
			end(exits[0])
			exits = exits[1:]
		}
	}
	for _, exit := range exits { // once the last step seemed to be over
		end(exit)
	}
	outcome := ending(v)
	for i := range outcome {
		outcome[i] = shorten(outcome[i])
	}
	return append(lines(merge(told), MaxStory-len(outcome)), outcome...)
}

// A sentence is one line of a story, before it is known whether there is room.
type sentence struct {
	process string
	text    string
	weight  int // 1 could be left out, 2 belongs to it, 3 is what it is about
	times   int
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
	near := len(told)
	for i, s := range told {
		if near++; s.weight == 3 {
			near = 0
		}
		order[i], distance[i] = i, near
	}
	near = len(told)
	for i, s := range slices.Backward(told) {
		if near++; s.weight == 3 {
			near = 0
		}
		distance[i] = min(distance[i], near)
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

// who names a process, a node as a node, or the server.
func who(process string) string {
	switch {
	case process == schedule.Server:
		return "the server"
	case !strings.Contains(process, "/"):
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
