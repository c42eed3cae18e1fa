package harness

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"screwtape/harness/node"
	"screwtape/harness/schedule"
)

// CheckTape finds the first line of a tape that no schedule of the test can have:
// one of a program or node that the test has not, or of something that nothing
// does. The error is a *schedule.SyntaxError.
func CheckTape(t *Test, tape *schedule.Tape) error {
	var programs []string
	for _, p := range t.Programs {
		programs = append(programs, p.Label())
	}
	verbs := verbs()
	for _, l := range tape.Lines {
		ofProgram := func(p string) bool { // or of a thread or child of it
			return l.Process == p || strings.HasPrefix(l.Process, p+".") || strings.HasPrefix(l.Process, p+"#")
		}
		wrong := func(mend, problem string, args ...any) error {
			return &schedule.SyntaxError{File: tape.File, Line: l.Number, Problem: fmt.Sprintf(problem, args...), Mend: mend}
		}
		ofNode := l.OfNode()
		switch {
		case !slices.Contains(verbs, l.Verb):
			return wrong("write one of "+strings.Join(verbs, ", "), "there is no %q", l.Verb)
		case l.Verb == schedule.PowerLoss && l.Process == schedule.Server:
		case l.Verb == schedule.PowerLoss:
			return wrong("write "+schedule.Server+" "+schedule.PowerLoss, "power fails for all nodes at once, not for %s", l.Process)
		case l.Verb == schedule.Signal && !slices.Contains(programs, l.Process):
			return wrong("there are "+strings.Join(programs, ", "), "a signal goes to a program, and %q is none", l.Process)
		case l.Verb == schedule.Signal && (len(l.Names) != 1 || !slices.Contains(AdminSignals, l.Names[0])):
			return wrong("write one of "+strings.Join(AdminSignals, ", "), "%q is not one signal that an administrator sends", strings.Join(l.Names, " "))
		case ofNode && !slices.Contains(t.Nodes, l.Process):
			return wrong("there are "+strings.Join(t.Nodes, ", "), "there is no node %q", l.Process)
		case ofNode && !slices.Contains(schedule.Verbs, l.Verb):
			return wrong("name the program that does it, as in "+l.Process+"/runner", "node %s makes no call %q", l.Process, l.Verb)
		case !ofNode && !slices.ContainsFunc(programs, ofProgram):
			return wrong("there are "+strings.Join(programs, ", "), "there is no program of the name %q", l.Process)
		}
	}
	return nil
}

// verbs are all that a line can say that happens, sorted.
func verbs() []string {
	all := map[string]bool{}
	for _, c := range node.Calls {
		switch c.Kind {
		case node.OnPath, node.OnFile, node.Signal, node.Exec, node.Send: // those that are held
			all[c.Verb] = true
		}
	}
	for _, v := range slices.Concat(requestVerbs, schedule.Verbs) {
		all[v] = true
	}
	return slices.Sorted(maps.Keys(all))
}
