package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/results"
	"screwtape/workloads"
)

type reproduceOptions struct {
	strict  bool
	verbose bool
	system  string
	leftOut []string // claims that cannot be played on the system
	json    bool
	junit   string
}

func (c *command) newReproduce() *cobra.Command {
	var o reproduceOptions
	cmd := &cobra.Command{
		Use:   "reproduce [CLAIM...]",
		Short: "Play the claims of the thread, and compare what comes of them",
		Long: `Play the claims of the thread (and some that are not in it), each as a tape on
fresh processes, and compare what comes of them with what was claimed.

With --system the claims are played on the programs of that system (docs/systems.md),
and on the built-in ones that are held to do the same; what comes of those is what
is expected.

Exit code 0 when every claim came out as expected. A claim that is still open
is counted and shown, and fails only with --strict.`,
		Example: `  screwtape reproduce
  screwtape reproduce C3 -v           one claim, and the story of it
  screwtape reproduce --system mailman3  is the real Mailman as its model says?
  screwtape reproduce --json --junit reproduce.xml`,
		Args: arguments(0, 1000, "[CLAIM...]"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.reproduce(cmd.Context(), args, &o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.strict, "strict", false, "claims that are still open fail too")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "tell each claim's story")
	f.StringVar(&o.system, "system", "", "play them on this `system`, and compare it with its profile")
	f.BoolVar(&o.json, "json", false, "print the verdict as one JSON object")
	f.StringVar(&o.junit, "junit", "", "write the verdict as JUnit XML to this `file` too")
	return cmd
}

func (c *command) reproduce(ctx context.Context, ids []string, o *reproduceOptions) error {
	claims, err := pickClaims(ids)
	if err == nil && o.system != "" {
		claims, o.leftOut, err = workloads.OnSystem(claims, o.system)
	}
	if err == nil && len(claims) == 0 {
		err = fmt.Errorf("none of the claims can be played on %s: %s", o.system, strings.Join(o.leftOut, ", "))
	}
	if err == nil {
		err = canWrite("--junit", o.junit)
	}
	if err != nil {
		return badArgs{err}
	}
	if err := enter(); err != nil {
		return err
	}
	run, err := c.begin(results.Test{Name: "reproduce"})
	if err != nil {
		return err
	}
	began := time.Now()
	var tried []*workloads.Observation
	for i, claim := range claims {
		if ctx.Err() != nil {
			break
		}
		if err := run.WriteProgress(results.Progress{Done: i, Of: len(claims), Unit: "claim", Seconds: time.Since(began).Seconds()}); err != nil {
			return err
		}
		observed, err := claim.Try(ctx)
		if err != nil {
			return fmt.Errorf("claim %s: %w", claim.ID, err)
		}
		tried = append(tried, observed)
	}
	report := results.Report{Test: "reproduce", Run: run.Dir, Seconds: time.Since(began).Seconds()}
	if err := o.keep(run, &report, claims, tried); err != nil {
		return err
	}
	if o.json {
		if err := printJSON(c.out, report); err != nil {
			return err
		}
	} else {
		o.tell(c.out, report, tried)
	}
	return exitFor(report.Verdict)
}

// pickClaims are the claims of these names, or all.
func pickClaims(ids []string) ([]workloads.Claim, error) {
	all, err := workloads.Claims()
	if err != nil || len(ids) == 0 {
		return all, err
	}
	var picked []workloads.Claim
	for _, id := range ids {
		i := slices.IndexFunc(all, func(c workloads.Claim) bool { return strings.EqualFold(c.ID, id) })
		if i < 0 {
			return nil, fmt.Errorf("there is no claim %q; there are %s", id, strings.Join(claimNames(all), ", "))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

func claimNames(claims []workloads.Claim) []string {
	var names []string
	for _, c := range claims {
		names = append(names, c.ID)
	}
	return names
}

// keep fills in the report, and writes the run.
func (o *reproduceOptions) keep(run *results.Run, report *results.Report, claims []workloads.Claim, tried []*workloads.Observation) error {
	report.Faults = map[string]int{}
	for _, t := range tried {
		claim, err := o.keepClaim(run, t)
		if err != nil {
			return err
		}
		report.Claims = append(report.Claims, claim)
		addCounts(report, t)
	}
	report.Verdict, report.Why = o.verdict(claims, tried)
	for i, t := range slices.Backward(tried) {
		if t.Result == nil {
			continue
		}
		p := page(t.ID+": "+t.Says, report.Claims[i].Tape, claimReport(*report, i, t), t.Result)
		if err := keepSchedule(run, "findings/"+t.ID, report.Claims[i].Tape, t.Result, p); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		// The run's own history is that of the first claim.
		if err := run.WriteHistory(t.Result.History); err != nil {
			return err
		}
		p.Title, p.Report, p.About = "reproduce", *report, "claim "+t.ID
		if err := keepSchedule(run, ".", report.Claims[i].Tape, t.Result, p); err != nil {
			return err
		}
	}
	return finish(run, *report, o.junit)
}

// claimReport is what the page of one claim tells: what its schedule shows, and
// whether that was expected.
func claimReport(all results.Report, i int, t *workloads.Observation) results.Report {
	claim := all.Claims[i]
	r := results.Report{Test: t.ID, Workload: t.Tape.Header.Get("workload"), Profile: t.Tape.Header.Get("profile"), Promise: t.Tape.Header.Get("promise"),
		Verdict: t.Result.Verdict.Verdict, Why: t.Result.Verdict.Why, Faults: map[string]int{}, Claims: []results.Claim{claim},
		Anomalies: withTape(t.Result.Verdict.Anomalies, claim.Tape), Allowed: withTape(t.Result.Verdict.Allowed, claim.Tape), Run: all.Run, Seconds: claim.Seconds}
	addCounts(&r, t)
	return r
}

// addCounts adds what was played for a claim: one schedule, or many.
func addCounts(report *results.Report, t *workloads.Observation) {
	report.Schedules += t.Schedules
	switch {
	case t.Outcome != nil:
		report.Traces += t.Outcome.Coverage.Traces()
		report.Divergences += len(t.Outcome.Divergences)
		report.Bounded += t.Outcome.Bounded
		addFaults(report.Faults, t.Outcome.Faults)
	case t.Result.Bounded != "":
		report.Bounded++
		report.Traces++
		addFaults(report.Faults, t.Result.Faults)
	case t.Problem != "":
		report.Divergences++
	default:
		report.Traces++
		addFaults(report.Faults, t.Result.Faults)
	}
}

func addFaults(sum, more map[string]int) {
	for kind, n := range more {
		sum[kind] += n
	}
}

// keepClaim writes the tape of what was observed.
func (o *reproduceOptions) keepClaim(run *results.Run, t *workloads.Observation) (results.Claim, error) {
	c := results.Claim{ID: t.ID, Versions: t.Versions, Expected: kinds(t.Expected), Observed: kinds(t.Observed), OK: t.OK,
		Open: t.Open(), System: o.system, Schedules: t.Schedules, Seconds: t.Seconds}
	switch {
	case !t.OK && c.Open:
		c.Observed = "needs " + t.Tape.Header.Get("needs")
	case t.Problem != "":
		c.Observed = t.Problem
	}
	tape, steps := t.Tape, []history.Step(nil)
	if t.Result != nil && t.Result.Tape != nil {
		tape, steps = t.Result.Tape, t.Result.Steps
		// The tape as it was played, with what the claim says of itself.
		tape.Header = t.Tape.Header
	}
	var err error
	c.Tape, err = run.WriteTape(t.ID, tape.String(), steps)
	return c, err
}

func kinds(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

func (o *reproduceOptions) verdict(claims []workloads.Claim, tried []*workloads.Observation) (check.Validity, string) {
	var problems []string
	for _, t := range tried {
		switch {
		case t.OK || t.Open() && !o.strict:
		case t.Problem != "":
			problems = append(problems, t.ID+": "+t.Problem)
		default:
			return check.Invalid, ""
		}
	}
	switch {
	case len(problems) > 0:
		return check.Unknown, strings.Join(problems, "; ")
	case len(tried) < len(claims):
		return check.Unknown, fmt.Sprintf("interrupted after %d of %s", len(tried), count(len(claims), "claim"))
	}
	return check.Valid, ""
}

func (o *reproduceOptions) tell(w io.Writer, report results.Report, tried []*workloads.Observation) {
	expected, observed := "expected", "observed"
	if o.system != "" && len(tried) > 0 {
		expected, observed = "as "+tried[0].Model.Header.Get("profile"), o.system
	}
	t := table{head: []string{"claim", "the thread says", "holds for", expected, observed, "", "decisions", "seconds"}}
	ok, stillOpen := 0, 0
	for i, c := range report.Claims {
		mark := "ok"
		switch {
		case c.OK:
			ok++
		case c.Open:
			stillOpen++
			mark = "open"
		default:
			mark = "NOT AS EXPECTED"
		}
		t.add(c.ID, tried[i].Says, strings.Join(c.Versions, "\n"), strings.ReplaceAll(c.Expected, ", ", "\n"), strings.ReplaceAll(c.Observed, ", ", "\n"),
			mark, fmt.Sprint(tried[i].Decisions), fmt.Sprintf("%.2f", c.Seconds))
	}
	t.print(w)
	if o.verbose {
		for _, t := range tried {
			if t.Result != nil {
				fmt.Fprintf(w, "\n%s: %s\n", t.ID, t.Says)
				tellStory(w, "  ", t.Result)
			}
		}
	}
	if len(o.leftOut) > 0 {
		fmt.Fprintf(w, "\nnot played on %s: %s\n", o.system, strings.Join(o.leftOut, ", "))
	}
	fmt.Fprintf(w, "\n%d of %s as expected", ok, count(len(tried), "claim"))
	if stillOpen > 0 {
		fmt.Fprintf(w, ", %d still open", stillOpen)
	}
	if report.Why != "" {
		fmt.Fprintf(w, "; unknown: %s", report.Why)
	}
	fmt.Fprintf(w, "\nrun: %s\nreport: %s\n", report.Run, filepath.Join(report.Run, reportFile))
	fmt.Fprintln(w, "play one again, step by step:")
	for _, c := range report.Claims {
		fmt.Fprintf(w, "  %s\n", results.ReplayCommand(c.Tape))
	}
}
