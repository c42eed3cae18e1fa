package results

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

func TestStoryOfALoss(t *testing.T) {
	_, steps, v := lost()
	want := []string{
		"a/runner takes m0: renames it from .pck to .bak",
		"b/runner finds m0.pck missing: ENOENT",
		"b/runner says: Uncaught runner exception: [Errno 2] No such file or directory: '/shared/qfiles/out/m0.pck'",
		"b/runner says: Skipping and preserving unparseable message: m0",
		"b/runner sets m0 aside as damaged: renames it from .bak to bad/.psv",
		"a/runner is killed",
		"a/runner is started again",
		"In the end: m0 was accepted and never delivered; what is left of it is .psv, which nothing reads again (lost-message).",
		"In the end: b/runner reported m0 as damaged, which it never was: Skipping and preserving unparseable message: m0 (misleading-error).",
	}
	if diff := cmp.Diff(want, Story(nil, steps, nil, v)); diff != "" {
		t.Error(diff)
	}
}

func TestStoryWords(t *testing.T) {
	for _, c := range []struct {
		verb, outcome string
		names         string
		want          string
	}{
		{"deliver", "250", "m0", "a/runner delivers m0"},
		{"deliver", "554", "m0", "a/runner tries to deliver m0: the mail sink answers 554"},
		{"defer", "451", "m0", "a/runner tries to deliver m0: the mail sink puts it off (451)"},
		{"hangup", "421", "m0", "a/runner tries to deliver m0: the mail sink hangs up (421)"},
		{"rename", "ok", "q/out/1+a.bak q/out/1+a.pck", "a/runner puts m0 back into the queue: renames it from .bak to .pck"},
		{"rename", "ok", "q/out/1+a.pck.tmp q/out/1+a.pck", "a/runner puts m0 into the queue out"},
		{"rename", "ENOENT", "q/out/1+a.pck q/out/1+a.bak", "a/runner finds m0.pck missing when it comes to rename it: ENOENT"},
		{"unlink", "ok", "q/out/1+a.bak", "a/runner removes m0.bak"},
		{"link", "EEXIST", "locks/x.a.1 locks/x", "a/runner does not get the lock x, which is there already: EEXIST"},
		{"link", "ok", "locks/x.lock.a.1 locks/x.lock", "a/runner takes the lock x.lock: links x.lock.a.1 to it"},
		{"link", "ok", "locks/x locks/x.a.2", "a/runner passes the lock x on: links it to x.a.2"},
		{"link", "ok", "lists/t/config.pck lists/t/config.pck.last", "a/runner links config.pck to config.pck.last"},
		{"unlink", "ENOENT", "lists/t/config.pck.last", "a/runner finds config.pck.last missing when it comes to remove it: ENOENT"},
		{"skew", "", "1h0m0s", "a/runner has its clock set by 1h0m0s"},
		{"powerloss", "", "", "a/runner loses power, as do all nodes: what was not synced is gone"},
		{"pause", "", "", "a/runner stands still from here on"},
		{"resume", "", "", "a/runner goes on"},
		{"signal", "", "HUP", "a/runner is sent the signal HUP"},
		{"rename", "ok", "config.pck.tmp.a.1 config.pck", "a/runner renames config.pck.tmp.a.1 to config.pck"},
		{"write", "ENOSPC", "q/out/1+a.pck.tmp", "a/runner fails to write m0.tmp: ENOSPC"},
	} {
		steps := []history.Step{{
			Decision: schedule.Decision{Process: "a/runner", Verb: c.verb, Outcome: c.outcome, Names: strings.Fields(c.names)},
			Conflict: 0, Changes: []history.Change{{Path: "q/out/1+a.pck", Note: "m0"}},
		}}
		got := Story(nil, steps, nil, check.Verdict{Verdict: check.Valid, Anomalies: []check.Anomaly{{Subject: "m0", Explanation: "x"}}})
		if got[0] != c.want {
			t.Errorf("%s %s: got %q, want %q", c.verb, c.names, got[0], c.want)
		}
	}
}

// What becomes of a lock is told as that, and a long sleep too.
func TestStoryOfALock(t *testing.T) {
	var steps []history.Step
	var now time.Duration
	step := func(process, verb, outcome string, names ...string) {
		steps = append(steps, history.Step{Decision: schedule.Decision{Process: process, Verb: verb, Names: names, Outcome: outcome}, Index: len(steps), Time: now, Conflict: -1})
	}
	step("a/add", "link", "ok", "locks/x.lock.a.1", "locks/x.lock")
	step("b/add", "link", "EEXIST", "locks/x.lock.b.1", "locks/x.lock")
	now = 5*time.Hour + 300*time.Millisecond
	step("b/add", "wake", "")
	step("b/add", "unlink", "ok", "locks/x.lock")
	step("b/add", "link", "ok", "locks/x.lock.b.1", "locks/x.lock")
	step("b/add", "unlink", "ok", "locks/x.lock")
	step("b/add", "unlink", "ok", "locks/x.lock.b.1")
	step("a/add", "link", "ok", "local:locks/y.lock.a.1", "local:locks/y.lock")
	step("b/add", "link", "ok", "local:locks/y.lock.b.1", "local:locks/y.lock")
	step("a/add", "unlink", "ok", "local:locks/y.lock")
	now += time.Hour
	step("b/add", "wake", "") // and does nothing
	want := []string{
		"a/add takes the lock x.lock: links x.lock.a.1 to it",
		"b/add does not get the lock x.lock, which is there already: EEXIST",
		"b/add wakes, 5h0m0s later",
		"b/add removes the lock x.lock, which a/add had taken",
		"b/add takes the lock x.lock: links x.lock.b.1 to it",
		"b/add lets the lock x.lock go: removes it",
		"b/add removes x.lock.b.1",
		"a/add takes the lock y.lock of its own node: links y.lock.a.1 to it",
		"b/add takes the lock y.lock of its own node: links y.lock.b.1 to it",
		"a/add lets the lock y.lock of its own node go: removes it",
		"In the end: all is as the test promises.",
	}
	if diff := cmp.Diff(want, Story(nil, steps, nil, check.Verdict{Verdict: check.Valid})); diff != "" {
		t.Error(diff)
	}
}

// Where nothing is of more weight than what there is too much of, its begin and
// end are told; and what the anomaly is about, by its name, goes before the rest,
// with what is near it.
func TestStoryOfTooMuch(t *testing.T) {
	var steps []history.Step
	for i := range 100 {
		steps = append(steps, history.Step{Decision: schedule.Decision{Process: "a/add", Verb: "link", Names: []string{fmt.Sprintf("x%d", i), fmt.Sprintf("y%d", i)}, Outcome: "ok"}, Index: i, Conflict: -1})
	}
	about := func(subject string) []string {
		return Story(nil, steps, nil, check.Verdict{Verdict: check.Invalid, Anomalies: []check.Anomaly{{Kind: check.LostUpdate, Subject: subject, Explanation: "x"}}})
	}
	if story := about("z"); len(story) != MaxStory || story[0] != "a/add links x0 to y0" {
		t.Errorf("%d lines: %q", len(story), story)
	}
	if story := about("y50"); len(story) != MaxStory || story[9] != "a/add links x50 to y50" { // in the midst of what is near it
		t.Errorf("%d lines: %q", len(story), story)
	}
}

// However long a schedule is, its story fits into a mail, and keeps how it
// begins and ends.
func TestLongStory(t *testing.T) {
	_, steps, v := lost()
	for i := range 500 {
		p := fmt.Sprintf("a/r%d", i%7)
		steps = append(steps, history.Step{Decision: schedule.Decision{Process: p, Verb: "unlink", Outcome: "ok", Names: []string{entry + ".bak"}}, Index: len(steps), Conflict: -1})
	}
	steps = append(steps, history.Step{Decision: schedule.Decision{Process: "b/runner", Verb: "crash"}, Index: len(steps), Conflict: -1})
	story := Story(nil, steps, nil, v)
	if len(story) != MaxStory {
		t.Errorf("%d lines", len(story))
	}
	n := len(story) - 3
	if story[0] != "a/runner takes m0: renames it from .pck to .bak" || story[n] != "b/runner is killed" {
		t.Errorf("begins %q, ends %q", story[0], story[n])
	}
	if !slices.ContainsFunc(story, func(s string) bool { return strings.Contains(s, "lines are left out here") }) {
		t.Errorf("does not say what is left out:\n%s", strings.Join(story, "\n"))
	}
	for _, line := range story {
		if strings.ContainsAny(line, "\n\r") || len(line) > 400 {
			t.Errorf("line %q", line)
		}
	}
}

// Whatever the steps and names are, a story is short and of plain lines.
func TestStoryOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"ok", "ENOENT", "EEXIST", "rename", "open", "deliver", "start", "crash", "a/runner", "q/1+a.pck", "q/1+a.bak", "m0", ""}))
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) history.Step {
			return history.Step{
				Decision: schedule.Decision{Process: text.Draw(t, "process"), Verb: text.Draw(t, "verb"), Outcome: text.Draw(t, "outcome"), Names: rapid.SliceOfN(text, 0, 3).Draw(t, "names")},
				Index:    rapid.IntRange(0, 9).Draw(t, "index"), Conflict: rapid.IntRange(-1, 3).Draw(t, "conflict"),
				Lines:   []history.Line{{Process: text.Draw(t, "who"), Text: text.Draw(t, "line")}},
				Changes: []history.Change{{Path: text.Draw(t, "path"), Note: text.Draw(t, "note")}},
			}
		}), 0, 60).Draw(t, "steps")
		kind := rapid.SampledFrom(check.Kinds)
		anomalies := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) check.Anomaly {
			return check.Anomaly{Kind: kind.Draw(t, "kind"), Subject: text.Draw(t, "subject"), Explanation: text.Draw(t, "explanation"), Step: rapid.IntRange(-1, 9).Draw(t, "step")}
		}), 0, 9)
		v := check.Verdict{Verdict: check.Invalid, Anomalies: anomalies.Draw(t, "anomalies"), Allowed: anomalies.Draw(t, "allowed")}
		story := Story(nil, steps, nil, v)
		if len(story) == 0 || len(story) > MaxStory {
			t.Errorf("%d lines", len(story))
		}
		for _, line := range story {
			if oneLine(line) != line || len(line) > 2000 {
				t.Errorf("%q", line)
			}
		}
	})
}

// A program that ends again and again is heard.
func TestStoryOfACrashLoop(t *testing.T) {
	var steps []history.Step
	for i := range 30 {
		steps = append(steps, history.Step{
			Decision: schedule.Decision{Process: "a/runner", Verb: "start"}, Index: i, Conflict: -1,
			Lines: []history.Line{{Process: "a/runner", Text: "ValueError: foo.pck"}, {Process: "b/runner", Text: "hello"}},
		})
	}
	want := []string{
		"a/runner says: ValueError: foo.pck (30 times)",
		"In the end: a/runner is started no more (stuck).",
	}
	v := check.Verdict{Verdict: check.Invalid, Anomalies: []check.Anomaly{{Kind: check.Stuck, Subject: "a/runner", Step: -1, Explanation: "a/runner is started no more"}}}
	if diff := cmp.Diff(want, Story(nil, steps, nil, v)); diff != "" {
		t.Error(diff)
	}
}

// Only what ran before is started again, and only once for each time that it was
// taken.
func TestStoryOfStarts(t *testing.T) {
	step := func(process, verb string) history.Step {
		return history.Step{Decision: schedule.Decision{Process: process, Verb: verb}}
	}
	for _, c := range []struct {
		steps []history.Step
		want  bool // the last is told as a start again
	}{
		{[]history.Step{step("a/r", "open"), step("a/r", schedule.Crash), step("a/r", schedule.Start)}, true},
		{[]history.Step{step("a/r", schedule.Crash), step("a/r", schedule.Start)}, true},
		{[]history.Step{step("a/r.1", "open"), step("a", schedule.Crash), step("a/r", schedule.Start)}, true},
		{[]history.Step{step("a/r", "open"), step("a", schedule.Crash), step("a", schedule.Start)}, true},
		{[]history.Step{step("a/r", "open"), step("a", schedule.Crash), step("b/r", schedule.Start)}, false},
		{[]history.Step{step("a/r", "open"), step("server", schedule.PowerLoss), step("a/r", schedule.Start)}, true},
		{[]history.Step{step("a/r", "open"), step("server", schedule.PowerLoss), step("b/late", schedule.Start)}, false},
		{[]history.Step{step("a/r", "open"), step("server", schedule.PowerLoss), step("a/r", schedule.Start), step("a/r", schedule.Start)}, false},
		{[]history.Step{step("a/r", schedule.Start)}, false},
	} {
		teller, text := newTeller(nil), ""
		for _, s := range c.steps {
			text, _ = teller.tell(s)
		}
		if got := text == "is started again"; got != c.want {
			t.Errorf("%v: %s", c.steps, text)
		}
	}
}

// Of a dialogue with a mail server, the message and the answer to it are told.
func TestStoryOfMail(t *testing.T) {
	var steps []history.Step
	for i, line := range []string{"a/post EHLO", "a/server 250", "a/post post-a", "a/server 250", "a/post QUIT", "a/server 221"} {
		process, word, _ := strings.Cut(line, " ")
		steps = append(steps, history.Step{Decision: schedule.Decision{Process: process, Verb: schedule.Send, Names: []string{word}}, Index: i, Conflict: -1})
	}
	teller := newTeller(nil)
	var got []string
	for _, s := range steps {
		text, weight := teller.tell(s)
		got = append(got, fmt.Sprint(text, " ", weight))
	}
	want := []string{"says EHLO 1", "answers 250 1", "hands over post-a 3", "answers 250 3", "says QUIT 1", "answers 221 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Where a message has copies under one name, the directory tells them apart.
func TestStoryOfCopies(t *testing.T) {
	teller := newTeller(map[string]string{"1.M2": "m0"})
	for _, c := range []struct {
		verb  string
		names []string
		want  string
	}{
		{"link", []string{"tmp/1.M2", "new/1.M2"}, "links m0 from tmp into new"},
		{"unlink", []string{"tmp/1.M2"}, "removes m0 from tmp"},
		{"link", []string{"tmp/x", "new/y"}, "links x to y"},
		{"unlink", []string{"tmp/x"}, "removes x"},
	} {
		text, _ := teller.tell(history.Step{Decision: schedule.Decision{Process: "a/d", Verb: c.verb, Names: c.names, Outcome: "ok"}, Conflict: -1})
		if text != c.want {
			t.Errorf("%s %v: %q, want %q", c.verb, c.names, text, c.want)
		}
	}
}

// A command that fails says why, in its last line; that of a life which a crash
// ended, or of one that ended well, is not told of the next.
func TestStoryOfAFailure(t *testing.T) {
	steps := []history.Step{{}, {}, {}, {}}
	for i := range steps {
		steps[i] = history.Step{Decision: schedule.Decision{Process: "a/act", Verb: schedule.Wake}, Index: i, Conflict: -1}
	}
	say := func(step int, process, text string) {
		steps[step].Lines = append(steps[step].Lines, history.Line{Process: process, Text: text})
	}
	var ops []history.Op
	exit := func(step int, process, how string) {
		ops = append(ops, history.Op{Step: step, Process: process, Type: history.Info, F: "exit", Value: how})
	}
	say(0, "a/act", "trying")
	say(0, "b/act", "fine")
	exit(0, "b/act", "exit 0")
	say(1, "a/act", "fatal: Unable to create index.lock: File exists")
	say(1, "a/act", " ")
	exit(1, "a/act", "exit 128")
	exit(2, "b/act", "exit 1")
	say(2, "b/act", "dies")
	exit(2, "c/act", "exit 3")
	say(2, "d/act", "doomed")
	exit(2, "d/act", "killed by SIGKILL")
	exit(3, "d/act", "exit 4")
	say(3, "a/act", strings.Repeat("x", 200))
	exit(4, "a/act", "exit 2")
	got := Story(nil, steps, ops, check.Verdict{Verdict: check.Valid})
	want := []string{
		`a/act ends with 128: "fatal: Unable to create index.lock: File exists"`,
		`b/act ends with 1: "dies"`,
		"c/act ends with 3",
		"d/act ends with 4",
		`a/act ends with 2: "` + strings.Repeat("x", 119) + `…"`,
		"In the end: all is as the test promises.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	stuck := Story(nil, steps, ops, check.Verdict{Verdict: check.Invalid, Anomalies: []check.Anomaly{{Kind: check.Stuck, Subject: "b/act", Explanation: "x"}}})
	if !slices.Contains(stuck, "b/act says: dies") || !slices.Contains(stuck, "b/act ends with 1") {
		t.Errorf("what was told is told again:\n%s", strings.Join(stuck, "\n"))
	}
}

func TestStoryWithoutAnomalies(t *testing.T) {
	for v, want := range map[string]check.Verdict{
		"In the end: all is as the test promises.":                          {Verdict: check.Valid},
		"In the end: it cannot be told whether all is well: hit the bound.": {Verdict: check.Unknown, Why: "hit the bound"},
	} {
		if got := Story(nil, nil, nil, want); len(got) != 1 || got[0] != v {
			t.Errorf("got %q, want %q", got, v)
		}
	}
}
