package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/node"
	"screwtape/harness/schedule"
	"screwtape/results"
	"screwtape/workloads"
)

type setUpsOptions struct {
	budget    time.Duration
	schedules int
	seed      uint64
	json      bool
	markdown  bool
	junit     string
}

func (c *command) newSetUps() *cobra.Command {
	var o setUpsOptions
	cmd := &cobra.Command{
		Use:   "setups [SET-UP...]",
		Short: "Hold ways to run Mailman on several hosts to what can be relied on in them",
		Long: `Search each way to run Mailman on hosts that share its files for what can go wrong
in it, and print one page: what can be relied on in which set-up, under which
faults, how much of it was explored; and for those that are not safe what comes of
them, with a tape.

A set-up that is not safe is searched until it shows that, in at most 2,000
schedules. The others share the budget; one of which every schedule was played is
complete before that, and 10 schedules at least are drawn of each. Exit code 0 when
every set-up came out as expected. Ctrl-C ends it, and what there is by then is told
and kept.`,
		Example: `  screwtape setups
  screwtape setups --budget 10m --markdown >setups.md
  screwtape setups same-slice lists-shared --json`,
		Args: arguments(0, len(workloads.SetUps), "[SET-UP...]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.schedules > 0 && !cmd.Flags().Changed("budget") {
				o.budget = 0
			}
			return c.setUps(cmd.Context(), args, &o)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.budget, "budget", time.Minute, "take about so long for all")
	f.IntVar(&o.schedules, "schedules", 0, "draw so many of each set-up that is safe; then there is no budget but one that is given")
	f.Uint64Var(&o.seed, "seed", 1, "draw the schedules that belong to this number")
	f.BoolVar(&o.json, "json", false, "print the verdict as one JSON object")
	f.StringVar(&o.junit, "junit", "", "write the verdict as JUnit XML to this `file` too")
	f.BoolVar(&o.markdown, "markdown", false, "print the page as docs/setups.md has it")
	return cmd
}

// leastOfSafe is how many schedules are drawn of a set-up that is safe, however
// little of the budget is left for it: enough for its faults to happen.
const leastOfSafe = 10

// mostUntilShown is how many schedules it may take for a set-up that is not safe
// to show that.
const mostUntilShown = 2000

func (c *command) setUps(ctx context.Context, ids []string, o *setUpsOptions) error {
	list, err := workloads.FindSetUps(ids)
	switch {
	case err != nil:
		return badArgs{err}
	case o.schedules < 0 || o.budget < 0:
		return badArgs{fmt.Errorf("--schedules and --budget cannot be negative")}
	case o.schedules == 0 && o.budget == 0:
		return badArgs{fmt.Errorf("nothing ends the search; give --schedules or --budget")}
	case o.json && o.markdown:
		return badArgs{fmt.Errorf("--json and --markdown are two ways to print the same; choose one")}
	}
	if err := canWrite("--junit", o.junit); err != nil {
		return badArgs{err}
	}
	if err := enter(); err != nil {
		return err
	}
	run, err := c.begin(results.Test{Name: "setups", Seed: o.seed})
	if err != nil {
		return err
	}
	began := time.Now()
	report := results.Report{Test: "setups", Run: run.Dir, Seed: o.seed, Faults: map[string]int{}}
	for i, s := range list {
		if ctx.Err() != nil {
			break
		}
		share := max(0, o.budget-time.Since(began)) / time.Duration(len(list)-i)
		tried, err := o.try(ctx, c, run, s, share, &report)
		if err != nil {
			return fmt.Errorf("set-up %s: %w", s.ID, err)
		}
		report.SetUps = append(report.SetUps, tried)
		fmt.Fprintf(c.err, "%s: %s (%s)\n", s.ID, comesOut(tried), explored(tried))
	}
	report.Seconds = time.Since(began).Seconds()
	report.Verdict, report.Why = setUpsVerdict(list, report.SetUps)
	if err := finish(run, report, o.junit); err != nil {
		return err
	}
	switch {
	case o.json:
		err = printJSON(c.out, report)
	case o.markdown:
		_, err = fmt.Fprint(c.out, setUpsPage(report))
	default:
		tellSetUps(c.out, report)
	}
	if err != nil {
		return err
	}
	return exitFor(report.Verdict)
}

// try searches one set-up, for as long as its share of the budget if it is safe.
func (o *setUpsOptions) try(ctx context.Context, c *command, run *results.Run, s workloads.SetUp, share time.Duration, report *results.Report) (results.SetUp, error) {
	tried := results.SetUp{ID: s.ID, Is: s.Is, Promise: s.Promise, Faults: s.Faults, Expected: s.Shows}
	test, err := s.Test()
	if err != nil {
		return tried, err
	}
	campaign := harness.Campaign{Schedules: o.schedules, Least: leastOfSafe}
	if o.budget > 0 {
		campaign.Budget = max(share, 1) // 0 would be no bound
	}
	if s.Shows != "" {
		campaign.Schedules, campaign.Budget, campaign.Until = mostUntilShown, 0, s.Shows
	}
	if s.Every {
		campaign.Schedules, campaign.Search = 0, schedule.NewExhaustive(schedule.Unbounded)
	} else {
		if campaign.Search, err = schedule.NewSearch("portfolio", o.seed); err != nil {
			return tried, err
		}
	}
	w, out, err := c.explore(ctx, run, test, node.CPUs(), campaign)
	if err != nil {
		return tried, err
	}
	defer w.Close()
	tried.Schedules, tried.Traces, tried.Complete, tried.Residual = out.Schedules, out.Coverage.Traces(), out.Complete(), out.Coverage.Residual()
	if tried.Complete {
		tried.Traces = out.Exhaustive.Traces
	}
	tried.Injected, tried.Seconds = out.Faults, out.Seconds
	report.Schedules += out.Schedules
	report.Traces += tried.Traces
	report.Divergences += len(out.Divergences)
	report.Bounded += out.Bounded
	addFaults(report.Faults, out.Faults)
	for _, f := range out.Findings {
		if f.Allowed {
			tried.Allowed = append(tried.Allowed, f.Anomaly.Kind)
		} else {
			tried.Observed = append(tried.Observed, f.Anomaly.Kind)
		}
		if f.Confirmed && !f.Allowed && (f.Anomaly.Kind == s.Shows || s.Shows == "" && tried.Tape == "") {
			if err := keepSetUp(run, &tried, &f); err != nil {
				return tried, err
			}
		}
	}
	slices.SortFunc(tried.Observed, check.CompareKinds)
	slices.SortFunc(tried.Allowed, check.CompareKinds)
	var v check.Validity
	v, tried.Why = verdict(test, out)
	switch {
	case s.Shows == "":
		tried.OK = v == check.Valid
	case tried.Tape != "":
		tried.OK = true
	case tried.Why == "":
		tried.Why = fmt.Sprintf("%s did not come in %s", s.Shows, count(out.Schedules, "schedule"))
	}
	return tried, nil
}

// keepSetUp writes the tape that shows why a set-up is not safe, or not as
// expected, and its page.
func keepSetUp(run *results.Run, s *results.SetUp, f *harness.Finding) error {
	tape := *f.Result.Tape
	tape.Header = slices.Clone(tape.Header)
	tape.Header.Set("anomaly", f.Anomaly.Kind)
	var err error
	if s.Tape, err = run.WriteTape(s.ID, tape.String(), f.Result.Steps); err != nil {
		return err
	}
	s.Replay = results.ReplayCommand(s.Tape)
	v := f.Result.Verdict
	return keepSchedule(run, "findings/"+s.ID, s.Tape, f.Result, page(s.ID+": "+s.Is, s.Tape, results.Report{Test: s.ID, Verdict: v.Verdict, Why: v.Why,
		Anomalies: withTape(v.Anomalies, s.Tape), Allowed: withTape(v.Allowed, s.Tape), Schedules: 1, Traces: 1, Faults: f.Result.Faults, Run: run.Dir}, f.Result))
}

// setUpsVerdict is valid where every set-up came out as expected.
func setUpsVerdict(list []workloads.SetUp, tried []results.SetUp) (check.Validity, string) {
	var unknown []string
	for _, s := range tried {
		switch {
		case s.OK:
		case s.Expected == "" && s.Why == "":
			return check.Invalid, ""
		default:
			unknown = append(unknown, s.ID+": "+s.Why)
		}
	}
	if len(tried) < len(list) {
		unknown = append(unknown, fmt.Sprintf("interrupted after %d of %s", len(tried), count(len(list), "set-up")))
	}
	if len(unknown) > 0 {
		return check.Unknown, strings.Join(unknown, "; ")
	}
	return check.Valid, ""
}

// comesOut says in a few words whether a set-up is safe.
func comesOut(s results.SetUp) string {
	switch {
	case s.OK && s.Expected == "":
		return "safe"
	case s.OK:
		return "NOT SAFE: " + s.Expected
	case s.Why != "" && len(s.Observed) > 0:
		return "unknown: " + s.Why + "; seen: " + strings.Join(s.Observed, ", ")
	case s.Why != "":
		return "unknown: " + s.Why
	}
	return "NOT AS EXPECTED: " + strings.Join(s.Observed, ", ")
}

// explored says how much of a set-up was looked at.
func explored(s results.SetUp) string {
	switch {
	case s.Complete:
		return fmt.Sprintf("all %s", count(s.Traces, "trace"))
	case s.OK && s.Expected != "":
		return fmt.Sprintf("shown by schedule %d", s.Schedules)
	}
	return fmt.Sprintf("%s, %s; the next is a new one with a chance of %.2g", count(s.Schedules, "schedule"), count(s.Traces, "trace"), s.Residual)
}
