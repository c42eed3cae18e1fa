package workloads

import (
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/runner/bounce"
	"screwtape/runner/queue"
)

// Runners that share a file of events count bounces twice. Those that have one each,
// by their pids, count each once, on one host or on two; one that dies before it has
// counted leaves a file for which nobody looks.
func TestBouncesAreCountedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*BouncesConfig)
		shows  bool
	}{
		"two hosts, the same pids":  {func(*BouncesConfig) {}, true},
		"two hosts, different pids": {func(c *BouncesConfig) { c.Pids = "different" }, false},
		"one host":                  {func(c *BouncesConfig) { c.Runners = []string{"a", "a"} }, false},
		"two of each host, 2.1.15": {func(c *BouncesConfig) {
			c.Profile, c.Runners, c.Messages, c.Pids = "2.1.15", []string{"a", "a", "b", "b"}, 4, "different"
		}, false},
		"one stands still": {func(c *BouncesConfig) { c.Pids, c.Nemeses = "different", []string{"pause"} }, false},
		"one dies":         {func(c *BouncesConfig) { c.Pids, c.Nemeses = "different", []string{"crash"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultBounces()
			c.config(&config)
			test, err := NewBounces(config)
			if err != nil {
				t.Fatal(err)
			}
			schedules := long(3, 1000)
			if c.shows {
				schedules = 2000
			}
			if at := first(t, test, check.Miscounted, schedules); (at > 0) != c.shows {
				t.Errorf("shown in schedule %d of %d", at, schedules)
			}
		})
	}
}

// A run's history and its pictures of the share say what became of each bounce: that
// it was taken out of the queue, into which file of events, and who is on the list.
func TestBouncesAreTold(t *testing.T) {
	c := DefaultBounces()
	c.Nodes, c.Runners, c.Messages = []string{"a"}, []string{"a"}, 2
	test, err := NewBounces(c)
	w := world(t, test, err)
	defer w.Close()
	r, err := w.Replay(&schedule.Tape{Header: test.Header, Sparse: true}, harness.Options{Fresh: true, Record: true})
	if err != nil {
		t.Fatal(err)
	}
	removed := map[string]string{}
	for _, op := range r.History {
		if op.F == "remove" && op.Type == history.OK {
			removed[op.Value] += op.Process + " by " + r.Steps[op.Step].Verb
		}
	}
	if diff := cmp.Diff(map[string]string{"m0": "a/bounces by unlink", "m1": "a/bounces by unlink"}, removed); diff != "" {
		t.Error(diff)
	}
	notes := map[string][]string{} // by directory
	for _, s := range r.Steps {
		for _, change := range s.Changes {
			if dir := path.Dir(change.Path); change.Note != "" && !slices.Contains(notes[dir], change.Note) {
				notes[dir] = append(notes[dir], change.Note)
			}
		}
	}
	want := map[string][]string{"data": {"no bounces", "bounces of m0", "bounces of m0, m1"}, "qfiles/bounces": {"m0", "m1"}, "lists/test": {"no state", "members " + queue.Member}}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Error(diff)
	}
	b := test.Workload.(*Bounces)
	name, data, err := b.entry(time.Unix(0, 0), "m7", 0)
	if err != nil {
		t.Fatal(err)
	}
	b.entries = map[string]string{strings.TrimSuffix(name, ".pck"): "m7"}
	for _, c := range []struct{ name, data, note string }{
		{"qfiles/shunt/1.5+00.pck", string(data), "m7"},
		{"qfiles/bounces/" + name, "damaged", "m7"},
		{"qfiles/bounces/1.5+00.pck", "damaged", ""},
		{"data/bounce-events-7.pck", "(dS'a'", "bounces of (damaged)"},
	} {
		if note := b.Note(c.name, []byte(c.data)); note != c.note {
			t.Errorf("%s is noted as %q, not %q", c.name, note, c.note)
		}
	}
}

func TestPlantedInBounces(t *testing.T) {
	type planting struct {
		setUp  string
		config func(*BouncesConfig)
	}
	plantings := map[string]planting{
		"forgets-last": {"one runner", func(c *BouncesConfig) { c.Nodes, c.Runners = []string{"a"}, []string{"a"} }},
		"no-lock":      {"two hosts, a runner each, of different pids", func(c *BouncesConfig) { c.Pids = "different" }},
		"no-pid":       {"two runners of one host", func(c *BouncesConfig) { c.Nodes, c.Runners = []string{"a"}, []string{"a", "a"} }},
	}
	var rows []string
	for _, b := range bounce.Bugs {
		t.Run(b.Name, func(t *testing.T) {
			p, ok := plantings[b.Name]
			if !ok {
				t.Fatal("no set-up for it")
			}
			c := DefaultBounces()
			p.config(&c)
			sound, err := NewBounces(c)
			c.Bugs = b.Name
			planted, perr := NewBounces(c)
			rows = append(rows, catch(t, b, p.setUp, 100, planted, perr, sound, err))
		})
	}
	writeTable(t, "Bounces", rows)
}

// What a header says wrong of bounces is told.
func TestBouncesHeader(t *testing.T) {
	for line, want := range map[string]string{
		"profile: 3.3.8":       "database",
		"runners: c":           "no node c",
		"messages: 0":          "there can be 1",
		"pids: equal":          "same and different",
		"bugs: no-recovery":    "there are forgets-last",
		"nodes: a\nrunners: b": "no node b",
	} {
		tape, err := schedule.Parse("x.tape", strings.NewReader("screwtape tape 1\nworkload: bounces\n"+line+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := FromTape(tape); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.tape:") {
			t.Errorf("%q: %v", line, err)
		}
	}
}
