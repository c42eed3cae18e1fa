package results

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// told is every fact in a line, after the number of its step.
func told(p Page) []string {
	initial, after := factsOf(p)
	var list []string
	for _, f := range initial {
		list = append(list, fmt.Sprintf("- %s %s: %s", factGroups[f.group], f.subject, f.text))
	}
	for i, facts := range after {
		for _, f := range facts {
			list = append(list, fmt.Sprintf("%d %s %s: %s", i, factGroups[f.group], f.subject, f.text))
		}
	}
	return list
}

func TestFactsOfALoss(t *testing.T) {
	initial, steps, v := lost()
	var h history.Recorder
	h.Did("client", "enqueue", "m0")
	p := Page{Initial: initial, Steps: steps, Shown: v, History: h.Ops()}
	want := []string{
		"- Messages m0: m0.pck in qfiles/out; not delivered",
		"3 Messages m0: m0.bak in qfiles/out; not delivered",
		"6 Messages m0: m0.psv in qfiles/bad; not delivered",
		"7 Programs a/runner: down: killed",
		"8 Programs a/runner: ",
	}
	if diff := cmp.Diff(want, told(p)); diff != "" {
		t.Error(diff)
	}
	if got := lastOf(p, Anomaly{Anomaly: v.Anomalies[0]}); got != 6 {
		t.Errorf("the last that happened to m0 is step %d", got)
	}
}

func TestFactsOfDeliveries(t *testing.T) {
	p := Page{Steps: []history.Step{
		{Decision: schedule.Decision{Process: "a/runner", Verb: "deliver", Names: []string{"m0"}, Outcome: "250"}},
		{Decision: schedule.Decision{Process: "a/runner", Verb: "defer", Names: []string{"m1"}, Outcome: "451"}},
		{Decision: schedule.Decision{Process: "b/runner", Verb: "deliver", Names: []string{"m0"}, Outcome: "250"},
			Changes: []history.Change{{Path: "q/x", Note: "m1"}, {Path: "q/y", Note: "m1"}}},
	}}
	want := []string{
		"0 Messages m0: nowhere on the share; delivered once, by a/runner",
		"2 Messages m0: nowhere on the share; delivered 2 times, by a/runner, then b/runner",
		"2 Messages m1: m1 in q and m1 in q; not delivered",
	}
	if diff := cmp.Diff(want, told(p)); diff != "" {
		t.Error(diff)
	}
}

// Locks of the workload, which the history knows, and of the kernel, which the
// steps show.
func TestFactsOfLocks(t *testing.T) {
	step := func(process, verb string, names ...string) history.Step {
		return history.Step{Decision: schedule.Decision{Process: process, Verb: verb, Names: names, Outcome: "ok"}}
	}
	steps := []history.Step{
		step("a/x", "flock", "f"), step("b/x", "lock", "f"), step("a/x", "close", "f"), step("a/x", "close", "other"), step("b", "crash"),
		step("a/x", "link", "l"), step("a/x", "open", "s"), step("b/x", "open", "l"), step("a/x", "unlink", "l"),
	}
	at := func(i int, process string, typ history.Type, f, value string) history.Op {
		return history.Op{Step: i, Process: process, Type: typ, F: f, Value: value}
	}
	ops := []history.Op{
		at(5, "a/x", history.OK, "make-lock", "l"), at(6, "a/x", history.Invoke, "acquire", "l"), at(6, "a/x", history.OK, "acquire", "l"),
		at(7, "b/x", history.Invoke, "acquire", "l"), at(8, "a/x", history.OK, "release", "l"), at(8, "a/x", history.OK, "remove-lock", "l"),
		at(8, "a/x", history.Info, "exit", "exit 0"),
	}
	want := []string{
		"0 Locks f: held by a/x",
		"1 Locks f: held by a/x and b/x",
		"2 Locks f: held by b/x",
		"4 Locks f: free",
		"4 Programs b/x: down: killed",
		"5 Locks l: free; its file is that of a/x",
		"6 Locks l: held by a/x",
		"7 Locks l: held by a/x; wanted by b/x",
		"8 Locks l: free; wanted by b/x",
		"8 Programs a/x: has ended: exit 0",
	}
	if diff := cmp.Diff(want, told(Page{Steps: steps, History: ops})); diff != "" {
		t.Error(diff)
	}
}

// Where the workload says nothing of locks, links of Mailman's kind show them; a
// lock in a node's private directory is that node's alone.
func TestFactsOfLinks(t *testing.T) {
	step := func(process, verb, outcome string, names ...string) history.Step {
		return history.Step{Decision: schedule.Decision{Process: process, Verb: verb, Names: names, Outcome: outcome}}
	}
	p := Page{Steps: []history.Step{
		step("a/x", "link", "ok", "locks/l.a.1", "locks/l"), step("b/x", "link", "EEXIST", "locks/l.b.1", "locks/l"),
		step("a/x", "link", "ok", "locks/l", "locks/other"), step("a", "crash", ""), step("b/x", "unlink", "ok", "locks/l"),
		step("a/x", "link", "ok", "local:locks/l.a.1", "local:locks/l"), step("b/x", "link", "ok", "local:locks/l.b.1", "local:locks/l"),
		step("a/x", "unlink", "ok", "local:locks/l"), step("server", "powerloss", ""), step("a/x", "start", ""),
	}}
	want := []string{
		"0 Locks locks/l: held by a/x",
		"3 Locks locks/l: free; its file is that of a/x",
		"3 Programs a/x: down: killed",
		"4 Locks locks/l: free",
		"5 Locks a:locks/l: held by a/x",
		"6 Locks b:locks/l: held by b/x",
		"7 Locks a:locks/l: free",
		"8 Locks b:locks/l: free; its file is that of b/x",
		"8 Programs a/x: down: no power",
		"8 Programs b/x: down: no power",
		"9 Programs a/x: ",
	}
	if diff := cmp.Diff(want, told(p)); diff != "" {
		t.Error(diff)
	}
	p.History = []history.Op{{Process: "a/x", Type: history.OK, F: "acquire", Value: "l"}}
	if got := told(p); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "locks/l") }) {
		t.Errorf("the workload knows its locks, and links are taken for others: %v", got)
	}
}

// A program that is paused stands still, and it is said how.
func TestFactsOfPauses(t *testing.T) {
	steps := []history.Step{
		{Decision: schedule.Decision{Process: "a/x", Verb: "open", Names: []string{"f"}, Outcome: "ok"}},
		{Decision: schedule.Decision{Process: "a", Verb: schedule.Pause}},
		{Decision: schedule.Decision{Process: "a/x", Verb: schedule.Resume}},
	}
	ops := []history.Op{
		{Step: 1, Process: "nemesis", Type: history.Info, F: "pause", Value: "a/x", Error: "stopped by SIGSTOP"},
		{Step: 2, Process: "nemesis", Type: history.Info, F: "resume", Value: "a/x"},
	}
	want := []string{"1 Programs a/x: stands still, stopped by SIGSTOP", "2 Programs a/x: "}
	if diff := cmp.Diff(want, told(Page{Steps: steps, History: ops})); diff != "" {
		t.Error(diff)
	}
}

// What the page knows reaches its data, and pages link to one another.
func TestReportLinks(t *testing.T) {
	p := lostPage(t)
	p.Findings, p.Picture, p.About = "findings/", PictureFile, "claim C4"
	p.Report.Anomalies[0].Cause = "lost if and only if <b> comes first"
	p.Replay = p.Report.Anomalies[0].Replay
	p.Report.Anomalies[1].Replay = "screwtape replay other.tape"
	p.Report.Claims = []Claim{{ID: "C4", Expected: "lost-message", OK: true, Tape: "x"}}
	html := page(t, p, "links.html")
	for _, want := range []string{
		`Cause:</strong> lost if and only if &lt;b&gt; comes first`, `href="linearizability.html"`,
		`href="findings/C4/report.html"`, `href="findings/misleading-error/report.html"`, "✓ as expected",
		`the last that happened to m0`, `["Messages","Locks","Programs"]`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(html, "findings/lost-message") {
		t.Error("the page links to itself")
	}
}
