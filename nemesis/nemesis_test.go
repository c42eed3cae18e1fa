package nemesis

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// What a nemesis offers after what was taken: of a program a/x, and of the others.
func TestOffers(t *testing.T) {
	up := func(label string) harness.ProcessState {
		return harness.ProcessState{Label: label, Node: label[:1], Alive: true, Mutated: true}
	}
	down := func(label string) harness.ProcessState {
		return harness.ProcessState{Label: label, Node: label[:1]}
	}
	still := func(label string) harness.ProcessState {
		p := up(label)
		p.Paused = true
		return p
	}
	told := func(label string, signals ...string) harness.ProcessState {
		p := up(label)
		p.Mutated, p.Signals = false, signals
		return p
	}
	deaf := still("b/x")
	deaf.Signals = []string{"HUP"}
	type taken struct{ process, verb string }
	for _, tc := range []struct {
		name    string
		nemesis harness.Nemesis
		taken   []taken
		then    []harness.ProcessState
		want    []string
	}{
		{"a crash", &Crash{Budget: 1}, nil, []harness.ProcessState{up("a/x"), up("b/x")}, []string{"a/x crash", "b/x crash"}},
		{"a start of what crashed", &Crash{Budget: 1}, []taken{{"a/x", schedule.Crash}}, []harness.ProcessState{down("a/x"), down("a/y"), up("b/x")}, []string{"a/x start"}},
		{"a crash after which nothing is started", &CrashStop{Crash{Budget: 1}}, nil, []harness.ProcessState{up("a/x"), up("b/x")}, []string{"a/x crash", "b/x crash"}},
		{"no start of what stays down", &CrashStop{Crash{Budget: 2}}, []taken{{"a/x", schedule.Crash}}, []harness.ProcessState{down("a/x"), up("b/x")}, []string{"b/x crash"}},
		{"a node that crashes is no crash", &Crash{Budget: 1}, []taken{{"a", schedule.Crash}}, []harness.ProcessState{down("a/x"), up("b/x")}, []string{"b/x crash"}},
		{"a node that crashes stays down, with what had crashed on it", &Crash{Budget: 2}, []taken{{"a/x", schedule.Crash}, {"b/x", schedule.Crash}, {"a", schedule.Crash}},
			[]harness.ProcessState{down("a/x"), down("b/x")}, []string{"b/x start"}},
		{"a start of what lost power", &PowerLoss{Budget: 1}, []taken{{schedule.Server, schedule.PowerLoss}}, []harness.ProcessState{down("a/x"), down("b/x")}, []string{"a/x start", "b/x start"}},
		{"a node that crashes stays down after a loss of power too", &PowerLoss{Budget: 1}, []taken{{schedule.Server, schedule.PowerLoss}, {"a", schedule.Crash}},
			[]harness.ProcessState{down("a/x"), down("b/x")}, []string{"b/x start"}},
		{"a pause", &Pause{Budget: 1}, nil, []harness.ProcessState{up("a/x"), down("b/x")}, []string{"a/x pause"}},
		{"the end of a pause", &Pause{Budget: 1}, []taken{{"a/x", schedule.Pause}}, []harness.ProcessState{still("a/x"), up("b/x")}, []string{"a/x resume"}},
		{"what was paused, and started anew since, can be paused again", &Pause{Budget: 2}, []taken{{"a/x", schedule.Pause}, {"a", schedule.Crash}, {"a/x", schedule.Start}},
			[]harness.ProcessState{up("a/x")}, []string{"a/x pause"}},
		{"a signal", &Signal{Budget: 1}, nil, []harness.ProcessState{told("a/x", "HUP", "USR1"), told("a/y"), deaf}, []string{"a/x signal HUP", "a/x signal USR1"}},
		{"no more signals", &Signal{Budget: 1}, []taken{{"a/x", schedule.Signal}}, []harness.ProcessState{told("a/x", "HUP", "USR1")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.nemesis.Reset()
			tc.nemesis.Faults(harness.Situation{Processes: []harness.ProcessState{up("a/x"), up("b/x")}})
			for _, d := range tc.taken {
				tc.nemesis.Took(schedule.Decision{Process: d.process, Verb: d.verb})
			}
			var got []string
			for _, o := range tc.nemesis.Faults(harness.Situation{Processes: tc.then}) {
				got = append(got, strings.Join(append([]string{o.Process, o.Verb}, o.Names...), " "))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("offered (-want +got):\n%s", diff)
			}
		})
	}
}
