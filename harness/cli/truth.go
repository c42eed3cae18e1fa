package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"screwtape/harness/check"
	"screwtape/results"
	"screwtape/workloads"
)

type truthOptions struct {
	json  bool
	junit string
}

func (c *command) newTruth() *cobra.Command {
	var o truthOptions
	cmd := &cobra.Command{
		Use:   "truth",
		Short: "Try what each version's cleanup flags do with another master's lock",
		Long: `Start a master with and without each version's flag for stale locks, while the
lock is held by nobody, by a living or a dead master of this host or of another,
expired or not, or by one whose pid was given out again; and print the table of
what came of it, and whether that is what the help text says, as docs/truth-table.md
has it. Every cell is played with real processes, which takes a minute or two.
Ctrl-C ends it with what there is by then.`,
		Example: `  screwtape truth >truth.md
  screwtape truth --json | jq '.cells[] | select(.anomalies != [])'
  screwtape truth --json | jq '.cells[] | select(.outcome != .promised)'`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.truth(cmd.Context(), &o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.json, "json", false, "print the table as one JSON object")
	f.StringVar(&o.junit, "junit", "", "write the table as JUnit XML to this `file` too; a start that led to an anomaly is a failure there")
	return cmd
}

func (c *command) truth(ctx context.Context, o *truthOptions) error {
	if err := canWrite("--junit", o.junit); err != nil {
		return badArgs{err}
	}
	if err := enter(); err != nil {
		return err
	}
	run, err := c.begin(results.Test{Name: "truth"})
	if err != nil {
		return err
	}
	began := time.Now()
	progress := results.Progress{Unit: "cell"}
	var noProgress error
	cells, err := workloads.TruthTable(ctx, func(cell workloads.Cell) {
		fmt.Fprintf(c.err, "%s %s, %s: %s\n", cell.Profile, cell.Flag, cell.Holder, cell.Outcome)
		progress.Done, progress.Seconds = progress.Done+1, time.Since(began).Seconds()
		noProgress = cmp.Or(noProgress, run.WriteProgress(progress))
	})
	report := results.Report{Test: "truth", Run: run.Dir, Verdict: check.Valid, Schedules: len(cells), Seconds: time.Since(began).Seconds()}
	if err != nil && errors.Is(err, ctx.Err()) {
		report.Verdict, report.Why, err = check.Unknown, "interrupted after "+count(len(cells), "cell"), nil
		fmt.Fprintf(c.err, "unknown: %s\n", report.Why)
	}
	if err = cmp.Or(err, noProgress); err != nil {
		return err
	}
	if err := keepTruth(run, &report, cells, o.junit); err != nil {
		return err
	}
	if o.json {
		err = printJSON(c.out, report)
	} else {
		_, err = fmt.Fprint(c.out, workloads.MarkdownTruth(cells))
	}
	if err != nil {
		return err
	}
	return exitFor(report.Verdict)
}

// keepTruth puts the cells into the report, and writes the run.
func keepTruth(run *results.Run, report *results.Report, cells []workloads.Cell, junit string) error {
	for i, cell := range cells {
		tape, err := run.WriteTape(fmt.Sprintf("cell-%02d", i+1), cell.How.String(), nil)
		if err != nil {
			return err
		}
		report.Cells = append(report.Cells, results.Cell{Profile: cell.Profile, Flag: cell.Flag, Holder: cell.Holder,
			Outcome: cell.Outcome, Help: cell.Help(), Promised: cell.Promised(), Exit: exitCode(cell.Exit), Removed: cell.Removed, Anomalies: cell.Anomalies, Delay: cell.Delay(), Control: cell.Control, Tape: tape})
	}
	return finish(run, *report, junit)
}

// exitCode is the number in "exit 0", or -1 for a command that runs on as the
// master.
func exitCode(text string) int {
	code := -1
	fmt.Sscanf(text, "exit %d", &code)
	return code
}
