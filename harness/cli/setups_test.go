package cli

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"screwtape/results"
	"screwtape/workloads"
)

// asExpected is what a run would tell in which every set-up came out as expected.
// That one does, the script setups looks.
func asExpected() []results.SetUp {
	var list []results.SetUp
	for _, s := range workloads.SetUps {
		list = append(list, results.SetUp{ID: s.ID, Is: s.Is, Promise: s.Promise, Faults: s.Faults, Expected: s.Shows, OK: true})
	}
	return list
}

// README.md has the table of the set-ups.
func TestSetUpsInReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := setUpsTable(asExpected()); !strings.Contains(string(readme), table) {
		t.Errorf("README.md does not have this table:\n%s", table)
	}
}

// docs/setups.md is the page, but for what is different in each run.
func TestSetUpsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/setups.md")
	if err != nil {
		t.Fatal(err)
	}
	r := results.Report{SetUps: asExpected(), Verdict: "valid"}
	for i := range r.SetUps {
		if r.SetUps[i].Expected != "" {
			r.SetUps[i].Tape = "x"
		}
	}
	runs := regexp.MustCompile(`\| (all \d+ traces|shown by schedule|\d+ schedules?, ).* \|\n|a run of \d+ s with seed \d+`)
	if diff := cmp.Diff(runs.ReplaceAllString(setUpsPage(r), "|\n"), runs.ReplaceAllString(string(page), "|\n")); diff != "" {
		t.Errorf("docs/setups.md is not what screwtape setups --markdown prints:\n%s", diff)
	}
}

// What was shown is told only of what was.
func TestExplored(t *testing.T) {
	for _, c := range []struct {
		want string
		s    results.SetUp
	}{
		{"all 16 traces", results.SetUp{OK: true, Complete: true, Traces: 16}},
		{"shown by schedule 7", results.SetUp{OK: true, Expected: "split-brain", Schedules: 7}},
		{"3 schedules, 2 traces; the next is a new one with a chance of 0.5", results.SetUp{Expected: "split-brain", Schedules: 3, Traces: 2, Residual: 0.5}},
	} {
		if got := explored(c.s); got != c.want {
			t.Errorf("%+v: %q, not %q", c.s, got, c.want)
		}
	}
}

// A page tells of what did not come out as expected, and of what is not known.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		want string
		s    results.SetUp
	}{
		{"safe", results.SetUp{OK: true}},
		{"**not safe**: split-brain", results.SetUp{OK: true, Expected: "split-brain", Observed: []string{"split-brain"}}},
		{"**not as expected**: lost-message, stray-copy", results.SetUp{Observed: []string{"lost-message", "stray-copy"}}},
		{"**unknown**: crash never happened", results.SetUp{Why: "crash never happened"}},
		{"**unknown**: lost-message did not come in 9 schedules; seen: stray-copy", results.SetUp{Expected: "lost-message",
			Observed: []string{"stray-copy"}, Why: "lost-message did not come in 9 schedules"}},
	} {
		if got := outcome(c.s); got != c.want {
			t.Errorf("%+v: %q, not %q", c.s, got, c.want)
		}
	}
}

// setUpsTable is the table as README.md has it: without what is different in each
// run.
func setUpsTable(list []results.SetUp) string {
	var b strings.Builder
	b.WriteString("| set-up | what holds | whatever of this happens | |\n|---|---|---|---|\n")
	for _, s := range list {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.Is, s.Promise, s.Faults, outcome(s))
	}
	return b.String()
}
