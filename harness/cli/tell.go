package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"screwtape/harness"
	"screwtape/results"
)

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// endings are what ends a campaign.
var endings = map[string]string{
	"schedules":   "as many as were asked for",
	"budget":      "as long as was asked for",
	"stale":       "for nothing new came any more",
	"over":        "there are no more",
	"interrupted": "INTERRUPTED",
}

// tell tells in words what came of a test.
func (o *testOptions) tell(w io.Writer, run *results.Run, r results.Report, out *harness.Outcome) {
	fmt.Fprintf(w, "%s: %s", r.Test, r.Verdict)
	if r.Why != "" {
		fmt.Fprintf(w, ": %s", r.Why)
	}
	fmt.Fprintf(w, "\n%s in %.1f s, seed %d, strategy %s; %s\n", count(r.Schedules, "schedule"), r.Seconds, r.Seed, o.strategy, endings[out.Stopped])
	if out.Exhaustive != nil {
		fmt.Fprintln(w, out.Exhaustive)
	} else {
		fmt.Fprintf(w, "%s; by Good and Turing's estimate the next schedule is a new one with a chance of %.2g\n",
			count(r.Traces, "distinct trace"), out.Coverage.Residual())
	}
	all, both := out.Cover.Pairs()
	fmt.Fprintf(w, "%s; %s met whose order can matter, %d of them in both orders\n",
		count(len(out.Cover.Ends), "different end"), plural(all, "pair of calls", "pairs of calls"), both)
	for i, chance := range out.Missed {
		if chance < 1 {
			fmt.Fprintf(w, "a bug that needs %s in order, and no fault, was missed with a chance of at most %.2g, by PCT's bound\n", count(i+1, "step"), chance)
		}
	}
	fmt.Fprintf(w, "faults: %s; %s played twice, %s; %d hit a bound; %d unconfirmed\n", r.FaultText(),
		count(out.Twice, "schedule"), count(r.Divergences, "divergence"), r.Bounded, out.Unconfirmed)
	tellOutside(w, r)
	for _, d := range out.Divergences {
		fmt.Fprintf(w, "divergence: %s\n", d)
	}
	for _, a := range r.Anomalies {
		o.tellAnomaly(w, "", a, out)
	}
	for _, a := range r.Allowed {
		o.tellAnomaly(w, ", "+within(r.Promise), a, out)
	}
	fmt.Fprintf(w, "\nrun: %s\nreport: %s\n", run.Dir, filepath.Join(run.Dir, "report.html"))
}

func (o *testOptions) tellAnomaly(w io.Writer, allowed string, a results.Anomaly, out *harness.Outcome) {
	f := finding(out, a.Kind)
	short := results.Shortener(nil, nil)
	if f.Result != nil {
		short = results.Shortener(f.Result.Initial, f.Result.Steps)
	}
	fmt.Fprintf(w, "\n%s%s: %s\n", a.Kind, allowed, short(a.Explanation))
	fmt.Fprintf(w, "  %d of %s; first in schedule %d, after %.1f s; %s\n", a.Count, count(out.Schedules, "schedule"), f.Schedule, f.Seconds, o.status(f))
	if f.Confirmed {
		tellStory(w, "    ", f.Result)
	}
	if a.Cause != "" {
		fmt.Fprintf(w, "  cause: %s\n", a.Cause)
	}
	fmt.Fprintf(w, "  replay: %s\n", a.Replay)
}

// within says of an anomaly that it is within what is promised; a lock's promise
// has no name.
func within(promise string) string {
	return strings.TrimSpace("within the promise " + promise)
}

// tellOutside notes what programs left on the machine itself.
func tellOutside(w io.Writer, r results.Report) {
	if text := r.OutsideText(); text != "" {
		fmt.Fprintf(w, "wrote outside the share: %s; it stays there from schedule to schedule, see docs/systems.md\n", text)
	}
}

// status says how sure and how small a finding is.
func (o *testOptions) status(f harness.Finding) string {
	switch {
	case !f.Confirmed:
		return "UNCONFIRMED: it did not come back on fresh processes"
	case o.noShrink:
		return "confirmed on fresh processes"
	}
	text := fmt.Sprintf("confirmed on fresh processes, shrunk to %s in %s", count(len(f.Result.Tape.Lines), "line"), plural(f.Tries, "try", "tries"))
	if !f.Minimal {
		text += " (maybe not the fewest)"
	}
	return text
}

func finding(out *harness.Outcome, kind string) harness.Finding {
	for _, f := range out.Findings {
		if f.Anomaly.Kind == kind {
			return f
		}
	}
	return harness.Finding{}
}

func tellStory(w io.Writer, indent string, r *harness.Result) {
	for _, line := range results.Story(r.Initial, r.Steps, r.History, r.Verdict) {
		fmt.Fprintf(w, "%s%s\n", indent, line)
	}
}

func count(n int, what string) string { return plural(n, what, what+"s") }

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func join[T ~string](list []T, sep string) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return strings.Join(texts, sep)
}
