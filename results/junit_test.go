package results

import (
	"encoding/xml"
	"strings"
	"testing"

	"screwtape/harness/check"
)

func TestJUnit(t *testing.T) {
	found := lostReport(t, t.TempDir())
	found.Anomalies[1].Unconfirmed = true
	found.Anomalies[1].Explanation = "bad bytes \x00\x1b ]]> <b>"
	text, err := JUnit(found,
		Report{Test: "fine", Verdict: check.Valid, Seconds: 2},
		Report{Test: "open", Verdict: check.Unknown, Why: "hit the bound"},
		Report{Test: "reproduce", Verdict: check.Invalid, Claims: []Claim{
			{ID: "C3", Expected: "stray-copy", Observed: "stray-copy", OK: true},
			{ID: "C7", Expected: "none", Observed: "corrupt-state", Tape: "it's.tape"},
			{ID: "N4", Expected: "lost-message", Observed: "none", Open: true},
		}, SetUps: []SetUp{
			{ID: "slices", OK: true},
			{ID: "one-host", Observed: []string{"lost-message"}, Tape: "one-host.tape", Replay: "screwtape replay one-host.tape"},
			{ID: "same-slice", Expected: "stray-copy", Why: "it did not come"},
		}, Cells: []Cell{{Profile: "2.1.15", Anomalies: []string{"split-brain"}}}})
	if err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 11 || got.Failures != 4 || got.Errors != 3 || got.Skipped != 1 || len(got.Suites) != 4 {
		t.Errorf("%d tests, %d failures, %d errors, %d skipped, %d suites", got.Tests, got.Failures, got.Errors, got.Skipped, len(got.Suites))
	}
	failure := got.Suites[0].Cases[0].Failure.Text
	for _, want := range []string{found.Anomalies[0].Replay, "a/runner rename *.pck *.bak", found.Anomalies[0].Explanation} {
		if !strings.Contains(failure, want) {
			t.Errorf("the failure lacks %q:\n%s", want, failure)
		}
	}
	if text := got.Suites[3].Cases[1].Failure.Text; !strings.Contains(text, `screwtape replay 'it'\''s.tape'`) {
		t.Error(text)
	}
}
