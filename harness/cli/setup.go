package cli

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/schedule"
	"screwtape/runner/profile"
	"screwtape/runner/samples"
	"screwtape/workloads"
)

// A setUp is the part of test's flags that says what is tested. They become
// what a tape's header says, so that each workload reads them in its own way,
// and a tape that is found needs no flag.
type setUp struct {
	workload string
	nodes    int
	set      []string
	flags    *pflag.FlagSet // those that are lines of the header under their own name
}

// define adds the flags. Their defaults are the queue's.
func (s *setUp) define(all *pflag.FlagSet) {
	queue := workloads.DefaultQueue()
	all.StringVar(&s.workload, "workload", "queue", "what clients do and what must hold; screwtape list workloads")
	all.IntVar(&s.nodes, "nodes", len(queue.Nodes), "how many nodes; they are called a, b, c, ...")
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SortFlags = false
	f.String("profile", queue.Profile, "the programs do as this `version`: "+strings.Join(profile.All(), ", "))
	f.Uint("messages", uint(queue.Messages), "how many messages are put into the queue")
	f.String("sample", queue.Sample, "put in this `message`: "+strings.Join(samples.Names(), ", "))
	f.String("slices", "", "a runner for each slice of the queue, a `list` NODE:INDEX/COUNT,...\n(default: a slice for each node, or with the nemesis overlap all of the queue)")
	f.String("late", "", "a `list` of programs that start in the middle, such as b/runner")
	f.Bool("inject", false, "a program on the last node puts the message in")
	f.Bool("bad-name", false, "a file with a bad name lies in the queue")
	f.Bool("save-bad", queue.SaveBad, "runners preserve what they cannot read")
	f.String("bugs", "", "plant these bugs in the programs, a `list`; docs/planted-bugs.md names them all")
	f.String("nemesis", "", "what goes wrong, a `list` of: "+strings.Join(nemesisNames(), ", "))
	f.Uint("crashes", uint(queue.Crashes), "at most so many faults of each nemesis in a schedule")
	f.String("promise", string(queue.Promise), "what must hold: "+join(check.Promises, ", "))
	f.String("lock", "", "test this lock: a `command` that runs {critical} under the lock {file}; see docs/systems.md")
	f.String("acquire", "", "test a lock that this `command` takes ...")
	f.String("release", "", "... and this `command` lets go")
	f.String("script", "", "test the lock of this script `file`, which runs {critical}, or makes and removes {mark}")
	f.String("system", "", "test the programs that this `file` describes, or one of "+strings.Join(workloads.SystemNames(), ", ")+"; see docs/systems.md")
	f.Uint("contenders", uint(workloads.DefaultProgram().Contenders), "how many contend for the lock, dealt to the nodes in turn")
	s.flags = f
	all.AddFlagSet(f)
	all.StringArrayVar(&s.set, "set", nil, "a line `KEY=VALUE` for the header, such as damage=unreadable; screwtape list keys")
}

// make makes the test, or says what is wrong with the flags.
func (s *setUp) make(all *pflag.FlagSet) (*harness.Test, error) {
	header, err := s.header(all)
	if err != nil {
		return nil, err
	}
	test, err := workloads.FromTape(&schedule.Tape{File: "the flags", Header: header})
	if err != nil {
		return nil, err
	}
	for _, f := range header {
		if test.Header.Get(f.Key) == "" && f.Value != "yes" && f.Value != "no" {
			return nil, fmt.Errorf("the flags: %s changes nothing here; leave it out", f.Key)
		}
	}
	return test, nil
}

// header is the flags that were given as a tape's header.
func (s *setUp) header(all *pflag.FlagSet) (schedule.Header, error) {
	var h schedule.Header
	h.Set("workload", s.workloadFor(all))
	if s.nodes < 1 || s.nodes > 26 {
		return nil, fmt.Errorf("--nodes: %d; there can be 1 to 26", s.nodes)
	}
	if all.Changed("nodes") {
		var names []string
		for i := range s.nodes {
			names = append(names, string(rune('a'+i)))
		}
		h.Set("nodes", strings.Join(names, " "))
	}
	s.flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			h.Set(f.Name, headerValue(f))
		}
	})
	if file := h.Get("script"); file != "" {
		text, err := os.ReadFile(file) // a tape holds the script itself
		if err != nil {
			return nil, fmt.Errorf("--script: %w", err)
		}
		h.Set("script", string(text))
	}
	if file := h.Get("system"); file != "" {
		text, err := workloads.ReadSystem(file)
		if err != nil {
			return nil, err
		}
		h.Set("system", text)
	}
	for _, line := range s.set {
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" || value == "" {
			return nil, fmt.Errorf("--set: %q is no line of a header; write KEY=VALUE", line)
		}
		h.Set(key, value)
	}
	return h, nil
}

// workloadFor is the workload that is asked for, or the one to which the flags
// belong that are given.
func (s *setUp) workloadFor(all *pflag.FlagSet) string {
	if all.Changed("workload") {
		return s.workload
	}
	for _, name := range []string{"lock", "acquire", "release", "script"} {
		if all.Changed(name) {
			return "program"
		}
	}
	if all.Changed("system") {
		return "system"
	}
	return s.workload
}

// headerValue is a flag's value as a header has it: lists have blanks there
// (but for bugs, which go to the programs as they are), and a bool is yes or no.
func headerValue(f *pflag.Flag) string {
	value := f.Value.String()
	if on, err := strconv.ParseBool(value); err == nil && f.Value.Type() == "bool" {
		if on {
			return "yes"
		}
		return "no"
	}
	if slices.Contains([]string{"slices", "late", "nemesis"}, f.Name) {
		return strings.Join(strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' }), " ")
	}
	return value
}
