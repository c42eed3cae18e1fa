package workloads

import (
	"strings"
	"testing"

	"screwtape/harness/check"
	"screwtape/harness/schedule"
	"screwtape/runner/bounce"
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
