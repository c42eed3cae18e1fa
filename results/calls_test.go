package results

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// Each program has its children's and threads' calls with its own, what all of
// them write, and what happens to its node, or to all.
func TestCallsByProgram(t *testing.T) {
	step := func(i int, process, verb string, names []string, outcome string, lines ...history.Line) history.Step {
		return history.Step{Decision: schedule.Decision{Process: process, Verb: verb, Names: names, Outcome: outcome},
			Index: i, Time: time.Duration(i) * time.Second, Lines: lines}
	}
	got := callsByProgram([]history.Step{
		step(0, "a/sh", "open", []string{"f"}, "ok"),
		step(1, "b/sh", "unlink", []string{"f"}, "ok", history.Line{Process: "a/sh.1", Text: "gone\x1b"}),
		step(2, "a/sh.1#2", "stat", []string{"f"}, "ENOENT"),
		step(3, "a", "crash", nil, ""),
		step(4, "a/sh", "start", nil, ""),
		step(5, schedule.Server, schedule.PowerLoss, nil, ""),
	})
	want := map[string]string{
		"a/sh": `   1      0.000s  a/sh open f = ok
   2      1.000s  a/sh.1 says: gone 
   3      2.000s  a/sh.1#2 stat f = ENOENT
   4      3.000s  a crash
   5      4.000s  a/sh start
   6      5.000s  server powerloss
`,
		"b/sh": `   2      1.000s  b/sh unlink f = ok
   6      5.000s  server powerloss
`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
