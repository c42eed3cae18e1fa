package workloads

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/runner/profile"
)

// Some cells of the truth table, as the versions were seen to do.
func TestTruthCells(t *testing.T) {
	for _, want := range []Cell{
		{Profile: "2.1.15", Flag: "start -s", Holder: "alive elsewhere", Outcome: "started", Exit: "exit 0", Anomalies: []string{"split-brain", "stolen-lock"}},
		{Profile: "2.1.39", Flag: "start -s", Holder: "alive elsewhere", Outcome: "refused", Exit: "exit 0", Anomalies: []string{"misleading-error"}},
		{Profile: "2.1.39", Flag: "start -s", Holder: "pid reused here", Outcome: "refused", Exit: "exit 0", Later: "started", Anomalies: []string{"misleading-error"}},
		{Profile: "thread", Flag: "start -s", Holder: "alive here", Outcome: "started", Exit: "exit 0", Anomalies: []string{"split-brain", "stolen-lock"}},
		{Profile: "3.3.8", Flag: "start", Holder: "alive elsewhere", Outcome: "refused", Exit: "exit 2", Anomalies: []string{"misleading-error"}},
		{Profile: "3.3.8", Flag: "start", Holder: "dead elsewhere, expired", Outcome: "refused", Exit: "exit 2", Later: "refused"},
		{Profile: "3.3.8", Flag: "master --force", Holder: "alive here", Outcome: "started", Exit: "runs", Anomalies: []string{"split-brain", "stolen-lock"}},
	} {
		t.Run(want.Profile+" "+want.Flag+" "+want.Holder, func(t *testing.T) {
			got, err := playCell(want.Profile, want.Flag, want.Holder)
			if err != nil {
				t.Fatal(err)
			}
			if took := len(got.Removed) > 0; took != (want.Outcome == "started" && want.Holder != "none") {
				t.Errorf("removed %v", got.Removed)
			}
			got.Removed, got.Says, got.How = nil, nil, nil
			if want.Anomalies == nil {
				want.Anomalies = []string{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the help text says of a start, and where that is not so.
func TestHelpTexts(t *testing.T) {
	for _, want := range []struct {
		version, flag, holder, outcome string
		asPromised                     bool
	}{
		{"2.1.39", "start", "alive here", cellRefused, true},
		{"2.1.39", "start", "dead elsewhere, expired", cellStarted, false},
		{"2.1.15", "start -s", "alive elsewhere", cellStarted, false},
		{"2.1.39", "start -s", "alive elsewhere", cellRefused, true},
		{"2.1.39", "start -s", "dead elsewhere", cellRefused, false},
		{"2.1.39", "start -s", "pid reused here", cellRefused, true},
		{"3.3.8", "start --force", "alive here", cellRefused, true},
		{"3.3.8", "master --force", "alive here", cellStarted, false},
		{"3.3.8", "master --force", "dead here", cellStarted, true},
	} {
		c := Cell{Profile: want.version, Flag: want.flag, Holder: want.holder, Outcome: want.outcome}
		if c.AsPromised() != want.asPromised {
			t.Errorf("%+v: as promised %v; the help text: %s %s", want, c.AsPromised(), c.Promised(), c.Help())
		}
		if marked := strings.Contains(MarkdownTruth([]Cell{c}), ": **not so** |"); marked == want.asPromised {
			t.Errorf("%+v: marked %v", want, marked)
		}
	}
	for _, version := range profile.All() {
		p, err := profile.Get(version)
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range Flags(p) {
			for _, holder := range helpFor(flag).starts {
				if !slices.Contains(Holders, holder) {
					t.Errorf("%s %s: no holder %q", version, flag, holder)
				}
			}
		}
	}
}

// Two starts at the same time make one master, whatever the order of events;
// and none is misled by the other.
func TestTwoStarts(t *testing.T) {
	test, err := NewMaster(DefaultMaster())
	o := search(t, test, err, long(4, 300))
	if len(o.Findings) > 0 {
		t.Error(describe(o))
	}
}

// A start that waits for the death of a node comes after it, and then its program
// is master, or the master says that nobody is.
func TestTakeOver(t *testing.T) {
	for _, version := range []string{"2.1.15", "2.1.39"} {
		c := DefaultMaster()
		c.Profile, c.Commands, c.After, c.Nemeses = version, []string{"a:start", "b:start:-s"}, []string{"b/start:a"}, []string{"node-crash"}
		test, err := NewMaster(c)
		w := world(t, test, err)
		defer w.Close()
		taken := 0
		for search := portfolio(); taken < 2; {
			strategy, learn := schedule.Turn(search)
			r, err := w.Play(strategy, harness.Options{})
			if err != nil {
				t.Fatal(err)
			}
			learn(true)
			place := func(d schedule.Decision) int {
				return slices.IndexFunc(r.Steps, func(s history.Step) bool { return s.Process == d.Process && s.Verb == d.Verb })
			}
			died, started := place(schedule.Decision{Process: "a", Verb: schedule.Crash}), place(schedule.Decision{Process: "b/start", Verb: schedule.Start})
			if (died < 0) != (started < 0) || started < died {
				t.Errorf("a dies in step %d, b starts in step %d", died, started)
			}
			if died < 0 {
				continue
			}
			taken++
			// a may have died before it had the lock; then any start takes over.
			hadLock := slices.ContainsFunc(r.Steps[:died], func(s history.Step) bool { return s.Verb == "link" })
			if want := version == "2.1.39" && hadLock; r.Shows(check.Stuck) != want {
				t.Errorf("%s: %v", version, r.Kinds())
			}
		}
	}
}

func TestAfterErrors(t *testing.T) {
	for _, after := range []string{"b/start", "b/start:c", "b/stop:a", ":a"} {
		c := DefaultMaster()
		c.After = []string{after}
		if _, err := NewMaster(c); err == nil || !strings.Contains(err.Error(), "write PROGRAM:AFTER") {
			t.Errorf("%q: %v", after, err)
		}
	}
}

const truthFile = "../docs/truth-table.md"

// The document has what the table says, with no cell empty.
func TestTruthTable(t *testing.T) {
	if long(0, 1) == 0 && !*update {
		t.Skip("the whole truth table is played in the long tests alone (SCREWTAPE_LONG)")
	}
	cells, err := TruthTable(context.Background(), func(c Cell) { t.Logf("%s %s, %s: %s", c.Profile, c.Flag, c.Holder, c.Outcome) })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cells {
		if c.Outcome == "" || c.Exit == "" || c.Control == "" || slices.Contains(c.Anomalies, "") {
			t.Errorf("an empty cell: %+v", c)
		}
	}
	text := MarkdownTruth(cells)
	if *update {
		if err := os.WriteFile(truthFile, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(truthFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(file), text); diff != "" {
		t.Errorf("%s is not what is so (go test -run TestTruthTable -update writes it):\n%s", truthFile, diff)
	}
}

// A start that was to take over is stuck if nobody was master when it was given,
// nobody became it, and nothing was in its way.
func TestNotTakenOver(t *testing.T) {
	type op struct{ who, f, value string }
	starts := func(p string) op { return op{"nemesis", "start", p} }
	crash := func(p string) op { return op{"nemesis", "crash", p} }
	is := func(p string) op { return op{p, "acquire", theMaster} }
	for _, c := range []struct {
		name  string
		ops   []op
		stuck bool
	}{
		{"nobody is in its way", []op{starts("a/start"), is("a/start.1"), crash("a"), starts("b/start"), {"b/start", "exit", "exit 0"}}, true},
		{"it does not start", []op{starts("a/start"), is("a/start.1")}, false},
		{"it takes over", []op{starts("a/start"), is("a/start.1"), crash("a"), starts("b/start"), is("b/start.1")}, false},
		{"it takes over, and dies", []op{starts("b/start"), is("b/start.1"), crash("b")}, false},
		{"it takes over, and stops", []op{starts("b/start"), is("b/start.1"), {"b/start.1", "release", theMaster}}, false},
		{"it dies before", []op{starts("b/start"), crash("b/start")}, false},
		{"another is master", []op{starts("a/start"), is("a/start.1"), starts("b/start"), {"b/start", "exit", "exit 1"}}, false},
		{"another is master, and dies later", []op{starts("a/start"), is("a/start.1"), starts("b/start"), {"b/start", "exit", "exit 1"}, crash("a")}, false},
		{"another was faster, and dies", []op{starts("c/start"), starts("b/start"), is("c/start.1"), crash("c")}, false},
		{"another is about to be master, and dies", []op{starts("a/start"), {"a/start", "exit", "exit 0"}, starts("b/start"), {"b/start", "exit", "exit 1"}, crash("a")}, false},
		{"another has given up, and dies", []op{starts("a/start"), {"a/start", "exit", "exit 1"}, starts("b/start"), {"b/start", "exit", "exit 1"}, crash("a")}, true},
		{"another's child has ended, and its node dies", []op{starts("a/start"), {"a/start.1", "exit", "exit 0"}, starts("b/start"), {"b/start", "exit", "exit 1"}, crash("a")}, true},
		{"another was no start, and dies", []op{starts("a/stop"), starts("b/start"), {"b/start", "exit", "exit 1"}, crash("a")}, true},
		{"another has died before, and its node again", []op{starts("a/start"), crash("a"), starts("b/start"), {"b/start", "exit", "exit 1"}, crash("a")}, true},
		{"it is stopped before", []op{starts("b/start"), {"b/stop", "signal", "b/start.1 SIGTERM"}}, false},
		{"it is sent a signal before", []op{starts("b/start"), {"nemesis", "signal", "b/start TERM"}}, false},
		{"another is stopped", []op{starts("b/start"), {"c/stop", "signal", "c/start.1 SIGTERM"}}, true},
		{"it is stopped when it has gone", []op{starts("b/start"), {"b/stop", "no signal", "b/start.1 SIGTERM"}}, true},
		{"it is looked for", []op{starts("b/start"), {"c/start", "signal", "b/start.1 0"}}, true},
		{"it stops its runners", []op{starts("b/start"), {"b/start.1", "signal", "b/start.1.1 SIGTERM"}}, true},
	} {
		var h history.Recorder
		for _, o := range c.ops {
			kind, outcome := history.Info, ""
			switch o.f {
			case "acquire", "release":
				kind = history.OK
			case "no signal":
				o.f, outcome = "signal", "ESRCH"
			case "signal":
				if o.who != "nemesis" {
					outcome = "ok"
				}
			}
			h.Add(o.who, kind, o.f, o.value, outcome)
		}
		m := &Master{config: MasterConfig{After: []string{"b/start:a"}}}
		if got := len(m.notTakenOver(h.Ops())) > 0; got != c.stuck {
			t.Errorf("%s: stuck %v, want %v", c.name, got, c.stuck)
		}
	}
}

// A signal that an administrator sends misleads nobody, whoever is master; one by a
// command that goes to another than the master does.
func TestMisledBySignals(t *testing.T) {
	for _, c := range []struct {
		who, signal string
		misled      bool
	}{
		{"nemesis", "b/start TERM", false},
		{"b/stop", "b/start SIGTERM", true},
		{"b/stop", "a/start.1 SIGTERM", false},
		{"b/start", "b/idle 0", false},
	} {
		var h history.Recorder
		h.Add("a/start.1", history.OK, "acquire", theMaster, "")
		h.Step++
		h.Add(c.who, history.Info, "signal", c.signal, "ok")
		if got := len((&Master{}).misled(&harness.End{History: h.Ops()})) > 0; got != c.misled {
			t.Errorf("%s, %s: misled %v, want %v", c.who, c.signal, got, c.misled)
		}
	}
}
