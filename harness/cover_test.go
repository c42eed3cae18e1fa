package harness

import (
	"testing"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

func TestPairs(t *testing.T) {
	step := func(i int, process, verb, outcome string, conflict int) history.Step {
		return history.Step{Index: i, Conflict: conflict, Decision: schedule.Decision{Process: process, Verb: verb, Outcome: outcome}}
	}
	w := newWorld(t, &Test{Name: "none", Nodes: []string{"a"}, Workload: plain{}})
	var c Cover
	for i, test := range []struct {
		steps     []history.Step
		all, both int
	}{
		{[]history.Step{step(0, "a/p", "rename", "ok", -1), step(1, "b/p", "open", "ENOENT", 0)}, 1, 0},
		{[]history.Step{step(0, "a/p", "rename", "EEXIST", -1), step(1, "b/p", "open", "EACCES", 0)}, 1, 0},
		{[]history.Step{step(0, "b/p", "open", "ok", -1), step(1, "a/p", "rename", "ok", 0)}, 1, 1},
		{[]history.Step{step(0, "b/p", "unlink", "ok", -1), step(1, "a/p", "rename", "ok", 0), step(2, "b/p", "stat", "ok", 1)}, 3, 1},
	} {
		r := &Result{Steps: test.steps}
		c.add(w.end(r), pairs(r))
		if all, both := c.Pairs(); all != test.all || both != test.both {
			t.Errorf("after schedule %d: %d pairs, %d in both orders; want %d, %d", i, all, both, test.all, test.both)
		}
	}
	if len(c.Ends) != 1 {
		t.Errorf("%d ends where nothing has happened", len(c.Ends))
	}
}

func TestSentence(t *testing.T) {
	orders := []Order{{"a's rename", "b's open"}, {"b's unlink", "a goes on after its listing"}}
	faults := []Fault{{"a dies", "its rename", "its delivery"}}
	for _, test := range []struct {
		cause Cause
		want  string
	}{
		{Cause{Tried: 8, Shown: 8}, "lost in whatever order"},
		{Cause{Tried: 8, Shown: 3}, "lost whatever single order or fault is changed; it came about in 3 of 8 schedules drawn at random"},
		{Cause{Orders: orders[:1], Tried: 8, Shown: 8}, "lost if and only if a's rename comes before b's open; no other order matters"},
		{Cause{Orders: orders, Faults: faults, Tried: 8, Shown: 3}, "lost only if a's rename comes before b's open, b's unlink comes before a goes on after its listing, " +
			"and a dies between its rename and its delivery; more than that matters: it came about in 3 of 8 such schedules drawn at random"},
		{Cause{Faults: []Fault{{"a dies", "its rename", ""}}}, "lost only if a dies after its rename"},
		{Cause{Faults: []Fault{{"a dies", "", "its rename"}}}, "lost only if a dies before its rename"},
	} {
		if got := test.cause.sentence("lost"); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 22: "22nd", 111: "111th"} {
		if got := nth(n); got != want {
			t.Errorf("nth(%d) is %s", n, got)
		}
	}
}

// Only a program that was up before is restarted: one that starts by decision is
// not, the first time.
func TestRestarted(t *testing.T) {
	q := &inquiry{late: map[string]bool{"a/once": true}}
	for _, test := range []struct {
		process string
		starts  int
		want    string
	}{
		{"a/runner", 0, "a/runner"},
		{"a/runner", 1, "the restarted a/runner"},
		{"a/once", 0, "a/once"},
		{"a/once", 1, "a/once"},
		{"a/once", 2, "the restarted a/once"},
		{"a/once.1", 1, "a/once.1"},
		{"a/once.1", 2, "the restarted a/once.1"},
	} {
		m := moment{Decision: schedule.Decision{Process: test.process}, life: test.starts}
		if got := q.subject(m); got != test.want {
			t.Errorf("%s, started %d times: %q, want %q", test.process, test.starts, got, test.want)
		}
	}
}
