package workloads

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// The causes of two anomalies, from schedules that show them.
func TestCause(t *testing.T) {
	for _, test := range []struct {
		kind, lines, want string
		faults            int
	}{
		{"lost-message", `
a/runner open qfiles/out
b/runner rename *.pck *.bak
b/runner crash
`, "lost-message if and only if a's listing of out comes before b's rename of m0.pck to m0.bak, " +
			"b's rename of m0.pck to m0.bak comes before a goes on after its failed open of m0.pck, " +
			"a's rename of m0.bak to m0.psv comes before the restarted b goes on after its listing of out, " +
			"and b dies between its rename of m0.pck to m0.bak and its read of m0.bak; no other order matters", 1},
		{"stray-copy", `
b/runner open *.pck
a/runner read *.bak
b/runner rename *.bak *.psv
`, "stray-copy if and only if b's open of m0.pck comes before a goes on after its rename of m0.pck to m0.bak, " +
			"a's rename of m0.pck to m0.bak comes before b's failed rename of m0.pck to m0.bak, " +
			"and b's rename of m0.bak to m0.psv comes before a's failed unlink of m0.bak; no other order matters", 0},
	} {
		t.Run(test.kind, func(t *testing.T) {
			c := overlapping()
			tape, err := schedule.Parse("test", strings.NewReader("screwtape tape 1\ncalls: named\n"+test.lines))
			if err != nil {
				t.Fatal(err)
			}
			w := open(t, c)
			r, err := w.Replay(tape, harness.Options{Fresh: true, Record: true})
			if err != nil {
				t.Fatal(err)
			}
			cause, err := w.FindCause(context.Background(), nil, r, test.kind)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, cause.Text); diff != "" {
				t.Error(diff)
			}
			if len(cause.Faults) != test.faults || cause.Shown != cause.Tried || cause.Tried == 0 {
				t.Errorf("%+v", cause)
			}
			if cause, err := w.FindCause(context.Background(), nil, r, "split-brain"); cause != nil || err != nil {
				t.Errorf("what does not come about has a cause: %v, %v", cause, err)
			}
		})
	}
}

// A crash that is not needed, and an order that does not matter, are no part of
// a cause.
func TestCauseLeavesOut(t *testing.T) {
	tape, err := schedule.Parse("test", strings.NewReader(`screwtape tape 1
calls: named
b/runner open qfiles/out
a/runner deliver m0
a/runner crash
a/runner start
`))
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, overlapping())
	r, err := w.Replay(tape, harness.Options{Fresh: true, Record: true})
	if err != nil {
		t.Fatal(err)
	}
	cause, err := w.FindCause(context.Background(), nil, r, "misleading-error")
	if err != nil {
		t.Fatal(err)
	}
	if len(cause.Faults) != 0 || cause.Others == 0 || strings.Contains(cause.Text, "dies") {
		t.Errorf("%+v", cause)
	}
}

// Shrinking tells how far it has come. One that is ended does not call the tape the
// shortest, and one that is let down by a world fails.
func TestShrinkTape(t *testing.T) {
	tape, err := schedule.Parse("test", strings.NewReader(`screwtape tape 1
calls: named

b/runner open qfiles/out
a/runner open qfiles/out
b/runner rename *.pck *.bak
a/runner open *.pck
b/runner crash
`))
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, overlapping())
	var last harness.Shrinking
	r, err := w.ShrinkTape(context.Background(), nil, tape, "lost-message", func(now harness.Shrinking) { last = now })
	if err != nil || !r.Minimal {
		t.Fatal(r, err)
	}
	if want := (harness.Shrinking{Tries: r.Tries, Lines: len(r.Tape.Lines), Of: 5}); last != want || last.Lines == 5 {
		t.Errorf("told %v of %v", last, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err = w.ShrinkTape(ctx, nil, tape, "lost-message", func(harness.Shrinking) { cancel() })
	if err != nil || r.Minimal || r.Tries != 1 {
		t.Errorf("ended after one try: %+v, %v", r, err)
	}
	gone, err := harness.NewPeer("world 2", nil, io.Discard, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.ShrinkTape(context.Background(), []*harness.Peer{gone}, tape, "lost-message", func(harness.Shrinking) {})
	if err == nil || !strings.Contains(err.Error(), "world 2 is gone") {
		t.Errorf("with a world that is gone: %v", err)
	}
}
