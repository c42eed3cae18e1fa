package results

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

const entry = "qfiles/out/1700000000.0+0123456789abcdef0123456789abcdef01234567"

// lost is a schedule in which b preserves what a has taken, a is killed, and
// so the message is lost: claim C4.
func lost() (initial []history.Change, steps []history.Step, v check.Verdict) {
	initial = []history.Change{
		{Path: "qfiles", Dir: true, Link: 3}, {Path: "qfiles/out", Dir: true, Link: 2}, {Path: "qfiles/bad", Dir: true, Link: 2},
		{Path: entry + ".pck", Size: 1234, Link: 1, Note: "m0"},
	}
	step := func(process, verb, outcome string, conflict int, names []string, changes ...history.Change) {
		steps = append(steps, history.Step{
			Decision: schedule.Decision{Process: process, Verb: verb, Names: names, Outcome: outcome},
			Index:    len(steps), Time: time.Duration(len(steps)) * time.Millisecond, Conflict: conflict, Changes: changes,
		})
	}
	names := func(n ...string) []string { return n }
	psv := strings.Replace(entry, "out", "bad", 1) + ".psv"
	step("a/runner", "wake", "", -1, nil)
	step("b/runner", "wake", "", -1, nil)
	step("a/runner", "open", "ok", -1, names(entry+".pck"))
	step("a/runner", "rename", "ok", -1, names(entry+".pck", entry+".bak"),
		history.Change{Path: entry + ".pck", Gone: true}, history.Change{Path: entry + ".bak", Size: 1234, Link: 1, Note: "m0"})
	step("b/runner", "open", "ENOENT", 3, names(entry+".pck"))
	steps[4].Lines = []history.Line{
		{Process: "b/runner", Text: "Uncaught runner exception: [Errno 2] No such file or directory: '/shared/" + entry + ".pck'"},
		{Process: "b/runner", Text: "Skipping and preserving unparseable message: " + path.Base(entry)},
	}
	step("b/runner", "mkdir", "EEXIST", -1, names("qfiles/bad"))
	step("b/runner", "rename", "ok", 3, names(entry+".bak", psv),
		history.Change{Path: entry + ".bak", Gone: true}, history.Change{Path: psv, Size: 1234, Link: 1, Note: "m0"})
	step("a/runner", "crash", "", -1, nil)
	step("a/runner", "start", "", -1, nil)
	v = check.JudgeMessages(check.ExactlyOnce,
		[]check.Message{{ID: "m0", Accepted: true, Places: []string{check.Psv}}},
		[]check.Misleading{{Process: "b/runner", ID: "m0", Step: 4, Text: "Skipping and preserving unparseable message: " + path.Base(entry)}})
	return initial, steps, v
}

// lostReport is the report of a run that found it. The tape is in dir.
func lostReport(t *testing.T, dir string) Report {
	t.Helper()
	tape := filepath.Join(dir, "tapes", "1.tape")
	if err := os.MkdirAll(filepath.Dir(tape), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tape, []byte("screwtape tape 1\ntest: C4\n\na/runner rename *.pck *.bak\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, _, v := lost()
	r := Report{Test: "C4", Workload: "queue", Profile: "2.1.39", Promise: string(check.ExactlyOnce), Verdict: v.Verdict,
		Schedules: 300, Traces: 41, Faults: map[string]int{"crash": 12, "defer": 3}, Seconds: 1.5, Seed: 7, Run: dir}
	for _, a := range v.Anomalies {
		r.Anomalies = append(r.Anomalies, Anomaly{Anomaly: a, Tape: tape, Replay: "screwtape replay " + tape})
	}
	return r
}
