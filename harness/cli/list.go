package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"screwtape/harness/schedule"
	"screwtape/nemesis"
	"screwtape/results"
	"screwtape/runner/bounce"
	mailinglist "screwtape/runner/list"
	"screwtape/runner/lock"
	"screwtape/runner/master"
	"screwtape/runner/profile"
	"screwtape/runner/samples"
	"screwtape/workloads"
)

// A listing is one part of what list prints.
type listing struct {
	name  string
	print func(c *command, w io.Writer) error
}

var listings = []listing{
	{"claims", (*command).listClaims},
	{"workloads", listWorkloads},
	{"keys", listKeys},
	{"nemeses", listNemeses},
	{"strategies", listStrategies},
	{"profiles", listProfiles},
	{"facts", listFacts},
	{"samples", func(_ *command, w io.Writer) error { return names(w, samples.Names()) }},
	{"bugs", listBugs},
	{"runs", (*command).listRuns},
}

func (c *command) newList() *cobra.Command {
	var parts []string
	for _, l := range listings {
		parts = append(parts, l.name)
	}
	return &cobra.Command{
		Use:   "list [" + strings.Join(parts, "|") + "]",
		Short: "List what there is to choose from, and the runs that are kept",
		Example: `  screwtape list
  screwtape list claims
  screwtape list bugs`,
		ValidArgs: parts,
		Args:      arguments(0, len(parts), "["+strings.Join(parts, "|")+"]"),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, name := range args {
				if !slices.Contains(parts, name) {
					return badArgs{fmt.Errorf("there is no list of %q; there are %s", name, strings.Join(parts, ", "))}
				}
			}
			for _, l := range listings {
				if len(args) > 0 && !slices.Contains(args, l.name) {
					continue
				}
				if len(args) != 1 {
					fmt.Fprintf(c.out, "%s:\n", l.name)
				}
				if err := l.print(c, c.out); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// about says what each workload is about.
var about = map[string]string{
	"queue":   "a mail queue: messages are put in, runners on several nodes deliver them",
	"lock":    "contenders for one lock: each takes it, works for a while, and lets it go",
	"config":  "a mailing list's state: clients on several nodes change it and look at it",
	"bounces": "mail that came back: runners on several nodes collect it, and count it in the list's state",
	"master":  "an administrator who starts and stops Mailman on several nodes: only one master may be",
	"program": "anybody's lock: contenders on all nodes take it by a command or script",
	"system":  "anybody's programs, as a system file describes them",
}

func listWorkloads(_ *command, w io.Writer) error { return described(w, workloads.Names(), about) }

// versions says what each profile is of.
var versions = map[string]string{
	"2.1.15": "GNU Mailman 2.1.15, of 2012, of which the thread speaks",
	"2.1.39": "GNU Mailman 2.1.39, the last of 2.1",
	"3.3.8":  "GNU Mailman 3.3.8 with flufl.lock 5.0.1, as Debian 12 has them",
	"thread": "2.1.15 with the one step that the thread has otherwise: config.pck is renamed",
}

func listProfiles(_ *command, w io.Writer) error { return described(w, profile.All(), versions) }

// listFacts is what differs between the profiles: docs/profiles.md, on a terminal.
func listFacts(_ *command, w io.Writer) error {
	var list [][2]string
	for _, f := range profile.Facts() {
		var values []string
		for _, name := range profile.All() {
			p, err := profile.Get(name)
			if err != nil {
				return err
			}
			values = append(values, name+" "+f.Text(p))
		}
		list = append(list, [2]string{f.Name, fmt.Sprintf("%s: %s [%s]", strings.Join(values, ", "), f.Means, f.Source)})
	}
	return rows(w, list)
}

// listKeys names the keys of each workload's header, those of --set, with what they are
// where it does not say them.
func listKeys(_ *command, w io.Writer) error {
	for _, name := range workloads.Names() {
		fmt.Fprintf(w, "  workload: %s\n", name)
		var list [][2]string
		for _, l := range workloads.HeaderLines(name) {
			list = append(list, [2]string{strings.TrimSpace("  " + l.Key + ": " + l.Default), l.Means})
		}
		for i := range list {
			list[i][0] = "  " + list[i][0]
		}
		if err := rows(w, list); err != nil {
			return err
		}
	}
	return nil
}

// nemeses says what each nemesis does.
var nemeses = map[string]string{
	"crash":      "a program is killed, and may be started again",
	"crash-stop": "a program is killed, and stays down until all is mended",
	"overlap":    "every node's runner serves all of the queue",
	"tempfail":   "the mail sink refuses a message for now (451)",
	"hangup":     "the mail sink answers a message with 421, and hangs up",
	"skew":       "a node's clocks are set, or run faster or slower",
	"pause":      "a program stands still, and goes on later",
	"signal":     "a program is sent a signal that its system file names",
	"powerloss":  "the file server and all nodes lose power, and what was not synced is gone",
	"node-crash": "all that runs on a node is killed at once, and the node stays down",
}

// strategies says how each strategy draws schedules.
var strategies = map[string]string{
	"portfolio":  "random, pct2, pct3 and pos in turn, and more often what brings new traces",
	"random":     "each decision goes to a process that is drawn from those that can go on",
	"pct2":       "programs have priorities, and one drawn change of them: finds what needs 2 steps in order",
	"pct3":       "the same with two changes: finds what needs 3 steps in order",
	"pos":        "each step has a priority, drawn anew when another step that it conflicts with is done",
	"exhaustive": "every schedule once, up to the order of steps that do not conflict",
}

func listStrategies(_ *command, w io.Writer) error {
	return described(w, schedule.SearchNames(), strategies)
}

// nemesisNames are those that test knows.
func nemesisNames() []string { return append(nemesis.Names(), "overlap") }

func listNemeses(_ *command, w io.Writer) error { return described(w, nemesisNames(), nemeses) }

// described prints names with what is said of each.
func described(w io.Writer, names []string, about map[string]string) error {
	var list [][2]string
	for _, name := range names {
		list = append(list, [2]string{name, about[name]})
	}
	return rows(w, list)
}

func names(w io.Writer, list []string) error {
	for _, n := range list {
		fmt.Fprintf(w, "  %s\n", n)
	}
	return nil
}

func rows(w io.Writer, list [][2]string) error {
	width := 0
	for _, r := range list {
		width = max(width, len(r[0]))
	}
	for _, r := range list {
		fmt.Fprintf(w, "  %-*s  %s\n", width, r[0], r[1])
	}
	return nil
}

func (c *command) listClaims(w io.Writer) error {
	claims, err := workloads.Claims()
	if err != nil {
		return err
	}
	var list [][2]string
	for _, c := range claims {
		list = append(list, [2]string{c.ID, fmt.Sprintf("%s: %s [holds for %s]", kinds(c.Expected), c.Says, strings.Join(c.Versions, ", "))})
	}
	return rows(w, list)
}

// listBugs names each bug with the workload that plants it.
func listBugs(_ *command, w io.Writer) error {
	var list [][2]string
	for _, of := range []struct {
		workload string
		bugs     []profile.Bug
	}{{"queue", profile.Bugs}, {"lock", lock.Bugs}, {"config", mailinglist.Bugs}, {"master", master.Bugs}, {"bounces", bounce.Bugs}} {
		for _, b := range of.bugs {
			text := of.workload + ": " + b.Does + " -> "
			if b.Shows == "" {
				text += "nothing that anyone could see"
			} else {
				text += b.Shows
			}
			if b.Needs != "" {
				text += " (with " + b.Needs + ")"
			}
			list = append(list, [2]string{b.Name, text})
		}
	}
	return rows(w, list)
}

func (c *command) listRuns(w io.Writer) error {
	runs, err := results.List(c.root)
	if err != nil {
		return badArgs{err}
	}
	var list [][2]string
	for _, r := range runs {
		text := "unfinished: killed in phase " + string(r.Phase)
		switch {
		case r.Problem != "":
			text = r.Problem
		case r.Report != nil:
			text = string(r.Report.Verdict)
			if kinds := r.Report.Kinds(); len(kinds) > 0 {
				text += ": " + strings.Join(kinds, ", ")
			}
			if n := len(r.Report.Claims); n > 0 {
				text += ": " + count(n, "claim")
			}
		}
		list = append(list, [2]string{r.Dir, text})
	}
	return rows(w, list)
}
