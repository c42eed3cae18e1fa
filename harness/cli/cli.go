// Package cli is the command line, one file for each verb.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"screwtape/harness/check"
	"screwtape/harness/node"
	"screwtape/results"
)

// Exit codes, as Jepsen has them.
const (
	exitAnomaly = 1   // something broke its promise
	exitUnknown = 2   // it cannot be told
	exitArgs    = 254 // the arguments make no sense; nothing was done
	exitFailure = 255 // the harness itself failed
)

// An exit is an error that has been told already, and that is left to be the
// exit code.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// exitFor is what a verb returns for a verdict.
func exitFor(v check.Validity) error {
	switch v {
	case check.Valid:
		return nil
	case check.Invalid:
		return exit(exitAnomaly)
	}
	return exit(exitUnknown)
}

// badArgs is an error in what the command was given: a flag, an argument, or a
// file that an argument names.
type badArgs struct{ error }

// A command is one call of screwtape.
type command struct {
	out, err io.Writer
	root     string       // --results: where runs are kept
	parsed   bool         // flags and arguments are understood, and a verb runs
	run      *results.Run // what is being written, for the log of a failure
}

// Main is the main function of screwtape. It returns the exit code.
func Main() int {
	c := &command{out: os.Stdout, err: os.Stderr}
	return c.execute(interruptible(), os.Args[1:])
}

// interruptible is cancelled by the first signal that asks us to end. The
// second one ends us at once.
func interruptible() context.Context {
	// A reader that has gone away must not take the verdict's exit code along.
	// (Not by Ignore: what we start would inherit that.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitFailure)
	}()
	return ctx
}

func (c *command) execute(ctx context.Context, args []string) int {
	root := c.newRoot()
	root.SetArgs(args)
	return c.guard(func() error { return root.ExecuteContext(ctx) })
}

// guard makes an exit code of whatever comes of f.
func (c *command) guard(f func() error) (code int) {
	defer func() {
		if p := recover(); p != nil {
			code = c.failed(fmt.Errorf("panic: %v", p), debug.Stack())
		}
	}()
	err := f()
	var status exit
	var bad badArgs
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case !c.parsed || errors.As(err, &bad):
		fmt.Fprintln(c.err, "screwtape:", err)
		return exitArgs
	}
	return c.failed(err, nil)
}

// failed says in one line that the harness has failed, and where its log is.
func (c *command) failed(err error, stack []byte) int {
	line, _, _ := strings.Cut(err.Error(), "\n")
	log, logErr := c.logFailure(err, stack)
	if logErr != nil {
		fmt.Fprintf(c.err, "screwtape: the harness failed: %s (and its log cannot be written: %v)\n%s", line, logErr, stack)
		return exitFailure
	}
	fmt.Fprintf(c.err, "screwtape: the harness failed: %s; its log is %s\n", line, log)
	return exitFailure
}

// logFailure writes the failure to the log of the run, or of its own where
// there is no run.
func (c *command) logFailure(err error, stack []byte) (string, error) {
	text := fmt.Sprintf("%s\nfailed: %v\n%s", strings.Join(os.Args, " "), err, stack)
	if c.run != nil {
		return filepath.Join(c.run.Dir, "log"), c.run.Logf("%s", text)
	}
	if err := os.MkdirAll(c.root, 0o777); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(c.root, "failure-*.log")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	return f.Name(), errors.Join(err, f.Close())
}

// begin starts a run, once the arguments are known to be good.
func (c *command) begin(t results.Test) (*results.Run, error) {
	t.Args = os.Args[1:]
	run, err := results.Create(c.root, t)
	if err != nil {
		return nil, badArgs{err}
	}
	c.run = run
	return run, run.Logf("screwtape %s", strings.Join(os.Args[1:], " "))
}

// enter puts us where nodes can be made. In the outer process it does not
// return, so whatever can be wrong with the arguments is to be found before.
//
// A terminal's Ctrl-C goes to every process of its foreground group, and a
// node's agent would die of it. So the inner process leaves the terminal with
// all that it starts, and the outer one, which takes its standard input for
// that of no terminal, hands each signal on.
func enter() error {
	if node.Outside() {
		null, err := os.Open(os.DevNull) // nothing is ever read from standard input
		if err != nil {
			return err
		}
		if err := unix.Dup2(int(null.Fd()), 0); err != nil {
			return err
		}
	}
	if err := node.Enter(); err != nil {
		return fmt.Errorf("enter namespaces: %w", err)
	}
	if _, err := unix.Setsid(); err != nil {
		return fmt.Errorf("leave the terminal: %w", err)
	}
	return nil
}

const long = `Screwtape runs programs that share a directory, decides which of their calls
happens when and what goes wrong, and says what became of their messages.

Exit codes: 0 valid, 1 an anomaly, 2 unknown, 254 bad arguments, 255 the
harness itself failed.`

const examples = `  screwtape doctor                                   is all there that it needs?
  screwtape reproduce                                what the thread claims, each claim played
  screwtape test --nemesis crash,overlap --seed 7    search for what goes wrong
  screwtape replay C4                                play one schedule, step by step
  screwtape serve                                    browse what was run`

// helpWidth is how many columns a line of help has at most.
const helpWidth = 100

func (c *command) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "screwtape VERB",
		Short:         "A fault-injection harness for programs that coordinate through files",
		Long:          long,
		Example:       examples,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return noVerb(cmd, args[0])
		},
		RunE:              func(cmd *cobra.Command, args []string) error { return cmd.Help() },
		PersistentPreRun:  func(*cobra.Command, []string) { c.parsed = true },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SuggestionsMinimumDistance = 2
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", helpWidth)))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", flagError(err), cmd.CommandPath())
	})
	root.SetHelpCommand(newHelp(root))
	root.PersistentFlags().StringVar(&c.root, "results", results.DefaultRoot, "keep runs below this `directory`")
	root.AddCommand(c.newReproduce(), c.newSetUps(), c.newTruth(), c.newTest(), c.newReplay(), c.newShrink(), c.newAnalyze(),
		c.newServe(), c.newList(), c.newDoctor(), c.newRunner(), c.newWorld())
	return root
}

func noVerb(root *cobra.Command, name string) error {
	mend := "see screwtape --help"
	if s := root.SuggestionsFor(name); len(s) > 0 {
		mend = "did you mean " + strings.Join(s, " or ") + "?"
	}
	return fmt.Errorf("there is no verb %q; %s", name, mend)
}

// newHelp is cobra's help, but that a verb which is not there is an error.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Say what a verb does, as --help does",
		RunE: func(_ *cobra.Command, args []string) error {
			verb, _, err := root.Find(args)
			if err != nil || verb == root && len(args) > 0 {
				return badArgs{noVerb(root, args[0])}
			}
			return verb.Help()
		},
	}
}

// flagValues are what flags take, by their types.
var flagValues = map[string]string{
	"int":      "a whole number",
	"uint":     "a whole number, 0 or more",
	"uint64":   "a whole number, 0 or more",
	"duration": "a length of time, such as 30s or 10m",
	"bool":     "true or false",
}

// flagError says of a value what the flag takes instead, where the parser would
// say which function of Go refused it.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	f := invalid.GetFlag()
	switch takes := flagValues[f.Value.Type()]; {
	case takes == "":
		return err
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("--%s: %s is too large a number", f.Name, invalid.GetValue())
	default:
		return fmt.Errorf("--%s: %q is not %s", f.Name, invalid.GetValue(), takes)
	}
}

// arguments checks how many arguments there are, and names them in the error.
func arguments(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("%s given; write %s %s", plural(len(args), "argument was", "arguments were"), cmd.CommandPath(), names)
		}
		return nil
	}
}
