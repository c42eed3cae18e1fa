package results

import (
	"fmt"
	"strings"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// callsExt ends the name of a file with what one program did.
const callsExt = ".calls"

// callsByProgram tells, for each program of a schedule, what it, its threads and
// its children did, wrote, and had done to them: a line each, with the number of
// the decision, from 1, and the virtual time. What happens to a node stands
// with each of its programs.
func callsByProgram(steps []history.Step) map[string]string {
	texts := map[string]string{}
	for _, s := range steps {
		if strings.Contains(s.Process, "/") {
			texts[schedule.Program(s.Process)] = ""
		}
	}
	for _, s := range steps {
		head := fmt.Sprintf("%4d %10.3fs  ", s.Index+1, s.Time.Seconds())
		for p := range texts {
			if p == schedule.Program(s.Process) || strings.HasPrefix(p, s.Process+"/") {
				texts[p] += head + s.Decision.String() + "\n"
			}
		}
		for _, l := range s.Lines {
			texts[schedule.Program(l.Process)] += head + l.Process + " says: " + oneLine(l.Text) + "\n"
		}
	}
	return texts
}
