package workloads

import (
	"slices"
	"strings"
	"testing"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/runner/profile"
)

// An entry that was put into the queue, and whose program has ended, survives a loss
// of power if it was synced, and is empty if it was not: the runner sets it aside.
func TestPowerLossAfterEnqueue(t *testing.T) {
	for _, version := range profile.Names() {
		for bug, want := range map[string][]string{"": nil, "skip-fsync": {check.LostMessage}} {
			t.Run(version+"/"+bug, func(t *testing.T) {
				header := "nodes: a\nmessages: 0\ninject: yes\nprofile: " + version
				if bug != "" {
					header += "\nbugs: " + bug
				}
				r := playLines(t, header, "a/inject rename *.tmp *.pck = ok\nserver powerloss\n")
				if kinds := r.Kinds(); !slices.Equal(kinds, want) || r.Faults[schedule.PowerLoss] != 1 {
					t.Errorf("shows %v, want %v; faults %v\n%s", kinds, want, r.Faults, r.Log())
				}
				// Its order with every step matters, an fsync too.
				for i, s := range r.Steps {
					if s.Verb == schedule.PowerLoss && s.Conflict != i-1 {
						t.Errorf("it conflicts with step %d, and is step %d", s.Conflict, i)
					}
				}
				// Its tape goes the same way.
				if again, err := replay(r.Tape); err != nil || again.Log() != r.Log() {
					t.Errorf("its tape goes another way: %v\n%s", err, r.Tape)
				}
			})
		}
	}
}

// A loss of power ends every program on every node at once, and each can be started
// again; what it does between delivery and removal is a crash.
func TestPowerLossTakesAllNodes(t *testing.T) {
	r := playLines(t, "nodes: a b\nslices: a:0/1 b:0/1\npromise: at-least-once", `
a/runner wake
a/runner deliver m0 = 250
server powerloss
b/runner start
`)
	var down []string
	for _, op := range r.History {
		if op.F == "exit" && op.Type == history.Info && op.Value == "killed by SIGKILL" {
			down = append(down, op.Process)
		}
	}
	// In that order in each run, whichever of them the kernel ended first.
	if got := strings.Join(down, " "); got != "a/runner b/runner" {
		t.Errorf("it took %s", got)
	}
	if kinds := r.Kinds(); r.Verdict.Verdict != check.Valid || !slices.Equal(kinds, []string{check.DoubleDeliveryAfterCrash}) {
		t.Errorf("%s, shows %v\n%s", r.Verdict.Verdict, kinds, r.Log())
	}
}

// Runners and programs that enqueue keep their promise, at least once, wherever the
// power fails.
func TestSoundUnderPowerLoss(t *testing.T) {
	for _, version := range profile.Names() {
		t.Run(version, func(t *testing.T) {
			c := DefaultQueue()
			c.Profile, c.Inject, c.Promise, c.Nemeses = version, true, check.AtLeastOnce, []string{"powerloss"}
			losses := 0
			draw(t, c, portfolio(), long(30, 1000), func(r *harness.Result) bool {
				losses += r.Faults[schedule.PowerLoss]
				if r.Verdict.Verdict != check.Valid {
					t.Fatalf("%+v\n%s", r.Verdict, r.Tape)
				}
				return true
			})
			if losses == 0 {
				t.Error("the power never failed")
			}
		})
	}
}
