package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/results"
	"screwtape/workloads"
)

type replayOptions struct {
	quiet  bool
	times  int
	json   bool
	report string
	attach int
}

func (c *command) newReplay() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay FILE|CLAIM",
		Short: "Play a tape on fresh processes",
		Long: `Play a tape, or a claim's, on fresh processes; show each step, what the programs
wrote, and what came of it. docs/tapes.md says how to write a tape.

Where the programs do not do what a line wants, the replay ends there with one
line FILE:LINE: what was wanted and what is on offer, and exit code 2.

--attach N stands still before decision N, says how to attach a debugger to the
process that makes it, and goes on after Enter, the end of standard input, or
Ctrl-C. The share is served meanwhile. docs/tapes.md says what that may disturb.`,
		Example: `  screwtape replay C4
  screwtape replay results/runs/queue/latest/tapes/lost-message.tape
  screwtape replay my.tape --times 20 -q      does it always go the same way?
  screwtape replay C4 --attach 12             look at the program with a debugger`,
		Args: arguments(1, 1, "FILE, or the name of a claim"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.replay(cmd.Context(), args[0], &o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.quiet, "quiet", "q", false, "do not show the steps")
	f.IntVar(&o.times, "times", 1, "play it so often, and compare the logs byte for byte")
	f.BoolVar(&o.json, "json", false, "print the verdict as one JSON object")
	f.IntVar(&o.attach, "attach", 0, "stand still before this decision, for a debugger")
	f.StringVar(&o.report, "report", "", "write a report (HTML) to this `file`")
	return cmd
}

func (c *command) replay(ctx context.Context, name string, o *replayOptions) error {
	tape, test, err := openTape(name)
	if err != nil {
		return badArgs{err}
	}
	if o.times < 1 {
		return badArgs{fmt.Errorf("--times: %d; give 1 or more", o.times)}
	}
	if o.attach < 0 || o.attach > 0 && o.times > 1 {
		return badArgs{fmt.Errorf("--attach: give the number of a decision, from 1, and leave out --times")}
	}
	if err := canWrite("--report", o.report); err != nil {
		return badArgs{err}
	}
	options := harness.Options{Fresh: true, Record: true}
	if o.attach == 0 {
		err = enter()
	} else {
		var in *os.File
		if in, err = enterWithInput(); err == nil {
			options.Stop = newStop(ctx, o.attach, in, c.err)
		}
	}
	if err != nil {
		return err
	}
	w, err := harness.NewWorld(test)
	if err != nil {
		return err
	}
	defer w.Close()
	began := time.Now()
	first, differs, err := playTimes(w, tape, options, o.times)
	if err != nil && !harness.Diverged(err) {
		return err
	}
	if n := len(first.Steps); err == nil && o.attach > n {
		return badArgs{fmt.Errorf("--attach: there is no decision %d; the schedule has %d", o.attach, n)}
	}
	report := o.judged(name, tape, test, first)
	report.Seconds, report.Outside = time.Since(began).Seconds(), w.Outside()
	switch {
	case err != nil:
		report.Verdict, report.Why, report.Divergences = check.Unknown, err.Error(), 1
		report.Anomalies, report.Allowed = nil, nil
	case differs != "":
		report.Verdict, report.Why, report.Divergences = check.Unknown, differs, 1
	}
	if o.report != "" {
		html, err := results.HTML(page(name, name, report, first))
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.report, html, 0o666); err != nil {
			return err
		}
	}
	if o.json {
		if err := printJSON(c.out, report); err != nil {
			return err
		}
		return exitFor(report.Verdict)
	}
	if !o.quiet {
		printSteps(c.out, first)
	}
	if err != nil {
		fmt.Fprintln(c.err, err)
		return exit(exitUnknown)
	}
	o.tell(c.out, report, first)
	return exitFor(report.Verdict)
}

// openTape reads the tape of that file, or else of that claim, and makes the
// test that it belongs to.
func openTape(name string) (*schedule.Tape, *harness.Test, error) {
	tape, err := readTape(name)
	if err != nil {
		return nil, nil, err
	}
	test, err := workloads.FromTape(tape)
	return tape, test, err
}

func readTape(name string) (*schedule.Tape, error) {
	f, err := os.Open(name)
	if err == nil {
		defer f.Close()
		return schedule.Parse(name, f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	claims, err := workloads.Claims()
	if err != nil {
		return nil, err
	}
	for _, c := range claims {
		if c.ID == name {
			return c.Tape, nil
		}
	}
	return nil, fmt.Errorf("there is no file %s, and no claim of that name; screwtape list names the claims", name)
}

// playTimes plays the tape that often. It returns the first result, and how the
// first of the others that is not like it differs from it.
func playTimes(w *harness.World, tape *schedule.Tape, o harness.Options, times int) (first *harness.Result, differs string, err error) {
	for n := range times {
		r, err := w.Replay(tape, o)
		if err != nil {
			return r, "", err
		}
		if n == 0 {
			first = r
		} else if a, b := first.Log(), r.Log(); a != b {
			return first, fmt.Sprintf("play %d went another way than the first: %s", n+1, firstDifference(a, b)), nil
		}
	}
	return first, "", nil
}

// firstDifference shows the first line in which two logs differ.
func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d of the log was %q and is %q", i+1, x[i], y[i])
		}
	}
	return fmt.Sprintf("the log had %d lines and has %d", len(x), len(y))
}

// judged is the report of a tape.
func (o *replayOptions) judged(name string, tape *schedule.Tape, t *harness.Test, r *harness.Result) results.Report {
	report := results.Report{Test: t.Name, Workload: tape.Header.Get("workload"), Profile: t.Header.Get("profile"),
		Promise: t.Header.Get("promise"), Schedules: o.times, Traces: 1, Faults: r.Faults,
		Verdict: r.Verdict.Verdict, Why: r.Verdict.Why}
	if r.Bounded != "" {
		report.Bounded = 1
	}
	report.Anomalies = withTape(r.Verdict.Anomalies, name)
	report.Allowed = withTape(r.Verdict.Allowed, name)
	return report
}

func withTape(list []check.Anomaly, name string) []results.Anomaly {
	var out []results.Anomaly
	for _, a := range list {
		out = append(out, results.Anomaly{Anomaly: a, Tape: name, Replay: results.ReplayCommand(name)})
	}
	return out
}

func (o *replayOptions) tell(w io.Writer, report results.Report, r *harness.Result) {
	if o.times > 1 && report.Divergences == 0 {
		fmt.Fprintf(w, "played %d times: the same, byte for byte\n", o.times)
	}
	tellVerdict(w, report, results.Shortener(r.Initial, r.Steps))
	tellOutside(w, report)
	if r.Bounded != "" && report.Why == "" {
		fmt.Fprintf(w, "  the schedule was cut off at %s, and its end was not seen\n", r.Bounded)
	}
	fmt.Fprintln(w)
	tellStory(w, "  ", r)
}

// tellVerdict tells the verdict, and each anomaly on a line. short puts short
// names into what is said of them.
func tellVerdict(w io.Writer, report results.Report, short func(string) string) {
	fmt.Fprint(w, report.Verdict)
	if report.Why != "" {
		fmt.Fprintf(w, ": %s", report.Why)
	}
	fmt.Fprintln(w)
	for _, a := range report.Anomalies {
		fmt.Fprintf(w, "  %s: %s\n", a.Kind, short(a.Explanation))
	}
	for _, a := range report.Allowed {
		fmt.Fprintf(w, "  %s, %s: %s\n", a.Kind, within(report.Promise), short(a.Explanation))
	}
}

// printSteps prints each step with the virtual time, and what programs wrote:
// while they started, before the first step, and because of each.
func printSteps(w io.Writer, r *harness.Result) {
	short := results.Shortener(r.Initial, r.Steps)
	said := func(lines []history.Line) {
		for _, l := range lines {
			fmt.Fprintf(w, "%16s| %s: %s\n", "", l.Process, short(l.Text))
		}
	}
	said(r.WarmUp)
	for _, s := range r.Steps {
		d := s.Decision
		d.Names = slices.Clone(d.Names)
		for i, n := range d.Names {
			d.Names[i] = short(n)
		}
		fmt.Fprintf(w, "%4d %8.3fs  %s\n", s.Index+1, s.Time.Seconds(), d)
		said(s.Lines)
	}
	if len(r.Steps) > 0 {
		fmt.Fprintln(w)
	}
}
