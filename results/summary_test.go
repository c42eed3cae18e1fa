package results

import (
	"strings"
	"testing"

	"screwtape/harness/check"
)

func TestSummary(t *testing.T) {
	r := lostReport(t, t.TempDir())
	r.Allowed = []Anomaly{{Anomaly: check.Anomaly{Kind: "stray-copy"}}}
	got := Summary(r)
	for _, want := range []string{"❌ invalid", "1 lost-message, 1 misleading-error", "300 schedules", "<details><summary><b>lost-message</b> m0", "screwtape replay ", "a/runner rename *.pck *.bak", "Within the promise: 1 stray-copy"} {
		if !strings.Contains(got, want) {
			t.Errorf("the summary lacks %q:\n%s", want, got)
		}
	}
}

// However much there is to say, and whatever things are called, a summary is
// short and has no markup but its own.
func TestSummaryOfHostileNames(t *testing.T) {
	r := Report{Test: "x|`y`", Verdict: check.Invalid, Why: "a\n# heading\n<img src=x>"}
	for range 2000 {
		r.Anomalies = append(r.Anomalies, Anomaly{
			Anomaly: check.Anomaly{Kind: "lost-message", Subject: "</summary><script>", Explanation: "[x](javascript:1) <img src=x onerror=1>\n\n- item"},
			Replay:  "```\n<script>",
		})
	}
	got := Summary(r)
	if len(got) > MaxSummary {
		t.Errorf("%d bytes", len(got))
	}
	if !strings.Contains(got, "more parts are left out here") {
		t.Error("does not say what is left out")
	}
	for _, bad := range []string{"</summary><script>", "<img", "\n# heading", "\n- item", "[x]("} {
		if strings.Contains(got, bad) {
			t.Errorf("contains %q", bad)
		}
	}
	if !strings.Contains(got, "````text\n```\n<script>\n````") {
		t.Error("the block's fence is no longer than what it holds")
	}
}
