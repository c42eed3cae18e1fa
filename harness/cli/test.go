package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/node"
	"screwtape/harness/schedule"
	"screwtape/results"
)

type testOptions struct {
	setUp setUp

	strategy  string
	seed      uint64
	schedules int
	budget    time.Duration
	stale     int
	worlds    int
	fresh     bool
	noShrink  bool

	// of an exhaustive search
	preemptions int
	depth       int
	checkpoint  string
	before      []string // kinds found before the checkpoint

	json  bool
	junit string
}

func (c *command) newTest() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Search the schedules of a test for anomalies",
		Long: `Search the schedules of a test for anomalies. Of each kind that is found, the
first schedule is played again on fresh processes, made as short as it gets,
and kept as a tape with its story and a report.

The search is the same for the same seed. Ctrl-C ends it, and what there is by
then is told and kept; a second Ctrl-C ends it at once.`,
		Example: `  screwtape test --nemesis crash,overlap --strategy random --schedules 500 --seed 7
  screwtape test --slices a:0/2,b:0/4 --messages 8
  screwtape test --nemesis crash --promise at-least-once --budget 30s
  screwtape test --bugs no-recovery --nemesis crash --json
  screwtape test --lock 'flock {file} {critical}' --nemesis crash --schedules 100
  screwtape test --acquire 'mkdir {file}' --release 'rmdir {file}' --contenders 2
  screwtape test --system git --schedules 20`,
		Args: arguments(0, 0, "without any"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (o.budget > 0 || o.strategy == exhaustive) && !cmd.Flags().Changed("schedules") {
				o.schedules = 0
			}
			return c.test(cmd.Context(), cmd.Flags(), &o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.setUp.define(f)
	f.StringVar(&o.strategy, "strategy", "portfolio", "how schedules are drawn: "+strings.Join(schedule.SearchNames(), ", ")+" (pct is pct3)")
	f.Uint64Var(&o.seed, "seed", 1, "draw the schedules that belong to this number")
	f.IntVar(&o.schedules, "schedules", 500, "end after so many; 0 for no bound, as with --budget or --strategy exhaustive unless it is given")
	f.DurationVar(&o.budget, "budget", 0, "end after so long, such as 30s")
	f.IntVar(&o.stale, "until-stale", 0, "end after so many schedules without a new trace")
	f.IntVar(&o.worlds, "worlds", 0, "play so many schedules at a time (default: one for each CPU); what is found is the same")
	f.BoolVar(&o.fresh, "fresh", false, "start all programs anew for each schedule")
	f.BoolVar(&o.noShrink, "no-shrink", false, "leave the tapes as long as they were recorded, and look for no causes")
	f.IntVar(&o.preemptions, "preemptions", -1, "exhaustive: let a program that could go on wait at most so often")
	f.IntVar(&o.depth, "depth", -1, "exhaustive: try nothing else after so many steps")
	f.StringVar(&o.checkpoint, "checkpoint", "", "exhaustive: note in this `file` how far it has come, and go on from there")
	f.BoolVar(&o.json, "json", false, "print the verdict as one JSON object")
	f.StringVar(&o.junit, "junit", "", "write the verdict as JUnit XML to this `file` too")
	return cmd
}

// search makes the search, or says what is wrong with the flags.
func (o *testOptions) search() (schedule.Search, error) {
	if o.schedules < 0 || o.stale < 0 || o.budget < 0 || o.worlds < 0 {
		return nil, fmt.Errorf("--schedules, --until-stale, --budget and --worlds cannot be negative")
	}
	if o.strategy == exhaustive {
		if err := canWrite("--checkpoint", o.checkpoint); err != nil {
			return nil, err
		}
		return schedule.NewExhaustive(schedule.Bounds{Preemptions: o.preemptions, Depth: o.depth}), canWrite("--junit", o.junit)
	}
	if o.preemptions >= 0 || o.depth >= 0 || o.checkpoint != "" {
		return nil, fmt.Errorf("--preemptions, --depth and --checkpoint belong to --strategy exhaustive")
	}
	if o.schedules == 0 && o.budget == 0 && o.stale == 0 {
		return nil, fmt.Errorf("nothing ends the search; give --schedules, --budget or --until-stale")
	}
	search, err := schedule.NewSearch(searchName(o.strategy), o.seed)
	if err != nil {
		return nil, fmt.Errorf("--strategy: %w", err)
	}
	return search, canWrite("--junit", o.junit)
}

// exhaustive is the strategy that plays every schedule once.
const exhaustive = "exhaustive"

// searchName lets pct stand for the depth that finds the most.
func searchName(name string) string {
	if name == "pct" {
		return "pct3"
	}
	return name
}

func (c *command) test(ctx context.Context, flags *pflag.FlagSet, o *testOptions) error {
	search, err := o.search()
	if err != nil {
		return badArgs{err}
	}
	test, err := o.setUp.make(flags)
	if err != nil {
		return badArgs{err}
	}
	if x, ok := search.(*schedule.Exhaustive); ok && o.checkpoint != "" {
		if o.before, err = harness.Resume(o.checkpoint, test, x); err != nil {
			return badArgs{err}
		}
	}
	if err := enter(); err != nil {
		return err
	}
	run, err := c.begin(results.Test{Name: test.Name, Workload: test.Header.Get("workload"), Profile: test.Header.Get("profile"),
		Promise: test.Header.Get("promise"), Nodes: test.Nodes, Seed: o.seed})
	if err != nil {
		return err
	}
	w, out, err := c.explore(ctx, run, test, cmp.Or(o.worlds, node.CPUs()), harness.Campaign{Search: search, Schedules: o.schedules, Budget: o.budget,
		Stale: o.stale, Fresh: o.fresh, Shrink: !o.noShrink, Cause: !o.noShrink, Checkpoint: o.checkpoint, Before: o.before})
	if err != nil {
		return err
	}
	defer w.Close()
	calm, err := undisturbed(w, test)
	if err != nil {
		return err
	}
	report, err := o.keep(run, test, out, calm)
	if err != nil {
		return err
	}
	if o.json {
		if err := printJSON(c.out, report); err != nil {
			return err
		}
	} else {
		o.tell(c.out, run, report, out)
	}
	return exitFor(report.Verdict)
}

// explore searches a test with so many worlds at most, and shows how far it is. The
// first of them is for the caller, to close.
func (c *command) explore(ctx context.Context, run *results.Run, t *harness.Test, most int, campaign harness.Campaign) (_ *harness.World, _ *harness.Outcome, err error) {
	others, err := startWorlds(campaign.Worlds(most), t.Header)
	defer func() { err = others.end(err) }()
	if err != nil {
		return nil, nil, err
	}
	w, err := harness.NewWorld(t)
	if err != nil {
		return nil, nil, err
	}
	progress := newProgress(c.err, run, campaign.Schedules)
	defer progress.clear()
	campaign.Peers, campaign.Progress = others.peers(), progress.show
	out, err := w.Explore(ctx, campaign)
	if err != nil {
		w.Close()
		return nil, nil, err
	}
	return w, out, nil
}

// undisturbed plays the schedule in which nothing goes wrong, for the record
// of a run that found nothing.
func undisturbed(w *harness.World, t *harness.Test) (*harness.Result, error) {
	tape := &schedule.Tape{Header: t.Header, Sparse: true}
	r, err := w.Replay(tape, harness.Options{Fresh: true, Record: true})
	if err != nil {
		return nil, fmt.Errorf("the undisturbed schedule: %w", err)
	}
	return r, nil
}

// keep writes the run, and returns its report.
func (o *testOptions) keep(run *results.Run, t *harness.Test, out *harness.Outcome, calm *harness.Result) (results.Report, error) {
	findings := slices.Clone(out.Findings)
	slices.SortStableFunc(findings, func(a, b harness.Finding) int { return check.CompareKinds(a.Anomaly.Kind, b.Anomaly.Kind) })
	report := results.Report{Test: t.Name, Workload: run.Test.Workload, Profile: run.Test.Profile, Promise: run.Test.Promise,
		Schedules: out.Schedules, Traces: out.Coverage.Traces(), Faults: out.Faults, Divergences: len(out.Divergences),
		Bounded: out.Bounded, Seconds: out.Seconds, Seed: o.seed, Run: run.Dir, Outside: out.Outside}
	report.Complete = out.Complete()
	report.Verdict, report.Why = verdict(t, out)
	if report.Verdict == check.Valid && len(o.before) > 0 {
		report.Verdict, report.Why = check.Unknown, "what was explored before the checkpoint showed "+strings.Join(o.before, ", ")+"; that run has the tapes"
	}
	found := make([]results.Anomaly, len(findings))
	for i, f := range findings {
		var err error
		if found[i], err = o.keepTape(run, out, &f); err != nil {
			return report, err
		}
		if f.Allowed {
			report.Allowed = append(report.Allowed, found[i])
		} else {
			report.Anomalies = append(report.Anomalies, found[i])
		}
	}
	// The run's own history is that of the worst that was confirmed.
	shown, tape, p := calm, "", page(t.Name, "", report, calm)
	for i, f := range slices.Backward(findings) {
		if !f.Confirmed {
			continue
		}
		shown, tape = f.Result, found[i].Tape
		p = page(f.Anomaly.Kind, tape, report, shown)
		if err := keepSchedule(run, "findings/"+f.Anomaly.Kind, tape, shown, p); err != nil {
			return report, err
		}
	}
	if err := run.WriteHistory(shown.History); err != nil {
		return report, err
	}
	if err := run.WriteLogs(slices.Concat(shown.WarmUp, shown.Logs)); err != nil {
		return report, err
	}
	if err := keepSchedule(run, ".", tape, shown, p); err != nil {
		return report, err
	}
	return report, finish(run, report, o.junit)
}

// keepTape writes a finding's tape, and says what the finding is.
func (o *testOptions) keepTape(run *results.Run, out *harness.Outcome, f *harness.Finding) (results.Anomaly, error) {
	tape := *f.Result.Tape
	tape.Header = slices.Clone(tape.Header)
	tape.Header.Set("anomaly", f.Anomaly.Kind)
	tape.Header.Set("found", fmt.Sprintf("strategy %s, seed %d, schedule %d", o.strategy, o.seed, f.Schedule))
	file, err := run.WriteTape(f.Anomaly.Kind, tape.String(), f.Result.Steps)
	a := results.Anomaly{Anomaly: f.Anomaly, Tape: file, Replay: results.ReplayCommand(file),
		Unconfirmed: !f.Confirmed, Count: out.Counts[f.Anomaly.Kind], Schedule: f.Schedule, Seconds: f.Seconds}
	if f.Cause != nil {
		a.Cause = f.Cause.Text
	}
	// The step is that of the schedule that is kept.
	for _, shown := range slices.Concat(f.Result.Verdict.Anomalies, f.Result.Verdict.Allowed) {
		if shown.Kind == f.Anomaly.Kind {
			a.Anomaly = shown
			break
		}
	}
	return a, err
}

// verdict judges the campaign: a promise is broken only by what came back on
// fresh processes, and kept only where all was seen that was asked for.
func verdict(t *harness.Test, out *harness.Outcome) (check.Validity, string) {
	var unconfirmed []string
	for _, f := range out.Findings {
		switch {
		case f.Allowed:
		case f.Confirmed:
			return check.Invalid, ""
		default:
			unconfirmed = append(unconfirmed, f.Anomaly.Kind)
		}
	}
	switch {
	case len(unconfirmed) > 0:
		return check.Unknown, strings.Join(unconfirmed, ", ") + " did not come back on fresh processes"
	case out.Stopped == "interrupted":
		return check.Unknown, fmt.Sprintf("interrupted after %s", count(out.Schedules, "schedule"))
	case out.Schedules == 0 && !out.Complete():
		return check.Unknown, "no schedule was played"
	case len(out.Divergences) > 0:
		return check.Unknown, fmt.Sprintf("played twice: %s, of which %d went another way the second time", count(out.Twice, "schedule"), len(out.Divergences))
	case out.Bounded > 0:
		return check.Unknown, count(out.Bounded, "schedule") + " hit a bound, and their ends were not seen"
	}
	if missing := notInjected(t, out); len(missing) > 0 {
		mend := "draw more schedules"
		if out.Exhaustive != nil {
			mend = "take another strategy"
		}
		return check.Unknown, strings.Join(missing, " and ") + " was asked for and never happened; " + mend
	}
	return check.Valid, ""
}

// notInjected are the nemeses that did nothing in any schedule.
func notInjected(t *harness.Test, out *harness.Outcome) []string {
	var missing []string
	for _, name := range strings.Fields(t.Header.Get("nemesis")) {
		kind := name
		switch name {
		case "overlap": // no fault, but a way to set up the runners
			continue
		case "tempfail":
			kind = schedule.Defer
		case "crash-stop":
			kind = schedule.Crash
		}
		if out.Faults[kind] == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}
