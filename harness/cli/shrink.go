package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/node"
	"screwtape/harness/schedule"
	"screwtape/results"
)

type shrinkOptions struct {
	kind   string
	out    string
	worlds int
	json   bool
}

func (c *command) newShrink() *cobra.Command {
	var o shrinkOptions
	cmd := &cobra.Command{
		Use:   "shrink FILE|CLAIM",
		Short: "Make a tape as short as it gets and still show its anomaly",
		Long: `Make a tape as short as it gets and still show its anomaly. Each candidate is
played on fresh processes. The result goes to standard output, or to a file.

Exit code 0 when a tape was made, 2 when the tape given does not show the
anomaly, or cannot be played.`,
		Example: `  screwtape shrink found.tape -o small.tape
  screwtape shrink found.tape --kind lost-message | diff found.tape -`,
		Args: arguments(1, 1, "FILE, or the name of a claim"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.shrink(cmd.Context(), args[0], &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kind, "kind", "", "the `anomaly` to keep (default: the one in the tape's header, or the worst it shows)")
	f.StringVarP(&o.out, "output", "o", "", "write the tape to this `file`")
	f.IntVar(&o.worlds, "worlds", 0, "play so many candidates at a time (default: one for each CPU); what comes of it is the same")
	f.BoolVar(&o.json, "json", false, "print the verdict as one JSON object; needs --output")
	return cmd
}

func (c *command) shrink(ctx context.Context, name string, o *shrinkOptions) error {
	tape, test, err := openTape(name)
	switch {
	case err != nil:
	case o.kind != "" && !slices.Contains(check.Kinds, o.kind):
		err = fmt.Errorf("--kind: no anomaly %q; there are %s", o.kind, strings.Join(check.Kinds, ", "))
	case o.worlds < 0:
		err = fmt.Errorf("--worlds cannot be negative")
	case o.json && o.out == "":
		err = fmt.Errorf("--json: standard output is for the object; give --output for the tape")
	default:
		err = canWrite("--output", o.out)
	}
	if err != nil {
		return badArgs{err}
	}
	if err := enter(); err != nil {
		return err
	}
	w, err := harness.NewWorld(test)
	if err != nil {
		return err
	}
	defer w.Close()
	began := time.Now()
	first, err := w.Replay(tape, harness.Options{Fresh: true})
	switch {
	case harness.Diverged(err):
		fmt.Fprintln(c.err, err)
		return exit(exitUnknown)
	case err != nil:
		return err
	}
	kind := o.choose(tape, first)
	if !first.Shows(kind) {
		fmt.Fprintf(c.err, "%s shows %s; there is nothing to shrink it by\n", name, showsText(first.Kinds(), kind))
		return exit(exitUnknown)
	}
	shrunk, err := o.search(ctx, c, w, tape, test.Header, kind)
	if err != nil {
		return err
	}
	shrunk.Tape.Header.Set("anomaly", kind)
	file, err := c.writeTape(o.out, shrunk.Tape)
	if err != nil {
		return err
	}
	again, err := w.Replay(shrunk.Tape, harness.Options{Fresh: true})
	if err != nil {
		return fmt.Errorf("the shrunk tape: %w", err)
	}
	if o.json {
		report := (&replayOptions{times: 1}).judged(file, shrunk.Tape, test, again)
		report.Schedules, report.Seconds = shrunk.Tries+2, time.Since(began).Seconds()
		return printJSON(c.out, report)
	}
	o.tell(c.err, kind, len(tape.Lines), shrunk, ctx.Err() != nil)
	return nil
}

// search makes the tape short with the help of other worlds, and shows how far it is.
func (o *shrinkOptions) search(ctx context.Context, c *command, w *harness.World, tape *schedule.Tape, h schedule.Header, kind string) (shrunk schedule.Result, err error) {
	others, err := startWorlds(harness.Campaign{}.Worlds(cmp.Or(o.worlds, node.CPUs())), h)
	defer func() { err = others.end(err) }()
	if err != nil {
		return shrunk, err
	}
	began := time.Now()
	s := newStatus(c.err)
	defer s.clear()
	return w.ShrinkTape(ctx, others.peers(), tape, kind, func(now harness.Shrinking) {
		if elapsed := time.Since(began); s.due(elapsed) {
			s.tell(elapsed, now.String())
		}
	})
}

// choose is the kind of anomaly that is to be kept.
func (o *shrinkOptions) choose(t *schedule.Tape, r *harness.Result) string {
	if o.kind != "" {
		return o.kind
	}
	if kind := t.Header.Get("anomaly"); kind != "" {
		return kind
	}
	if shown := r.Kinds(); len(shown) > 0 {
		return shown[0]
	}
	return ""
}

func showsText(shown []string, kind string) string {
	if kind == "" {
		return "no anomaly"
	}
	return fmt.Sprintf("no %s (but %s)", kind, kinds(shown))
}

// writeTape writes a tape to a file, or without one to standard output.
func (c *command) writeTape(file string, t *schedule.Tape) (string, error) {
	if file == "" {
		_, err := io.WriteString(c.out, t.String())
		return "", err
	}
	return file, os.WriteFile(file, []byte(t.String()), 0o666)
}

func (o *shrinkOptions) tell(w io.Writer, kind string, before int, r schedule.Result, interrupted bool) {
	fmt.Fprintf(w, "%s: %s, of %d, in %s", kind, count(len(r.Tape.Lines), "line"), before, plural(r.Tries, "try", "tries"))
	switch {
	case interrupted:
		fmt.Fprint(w, "; interrupted, so maybe not the fewest")
	case r.Minimal:
		fmt.Fprint(w, "; none can be left out")
	default:
		fmt.Fprint(w, "; maybe not the fewest")
	}
	fmt.Fprintln(w)
	if o.out != "" {
		fmt.Fprintln(w, results.ReplayCommand(o.out))
	}
}
