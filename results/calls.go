package results

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// callsExt ends the name of a file with what one program did.
const callsExt = ".calls"

// programs are those that did or wrote something in a schedule, sorted.
func programs(steps []history.Step) []string {
	seen := map[string]bool{}
	for _, s := range steps {
		if strings.Contains(s.Process, "/") {
			seen[schedule.Program(s.Process)] = true
		}
		for _, l := range s.Lines {
			seen[schedule.Program(l.Process)] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// callsByProgram tells, for each program of a schedule, what it, its threads and
// its children did, wrote, and had done to them: a line each, with the number of
// the decision, from 1, and the virtual time. What happens to a node, or to all,
// stands with each of its programs.
func callsByProgram(steps []history.Step) map[string]string {
	texts := map[string]string{}
	for _, p := range programs(steps) {
		var b strings.Builder
		for _, s := range steps {
			head := fmt.Sprintf("%4d %10.3fs  ", s.Index+1, s.Time.Seconds())
			if s.Concerns(p) {
				b.WriteString(head + s.Decision.String() + "\n")
			}
			for _, l := range s.Lines {
				if schedule.Program(l.Process) == p {
					b.WriteString(head + l.Process + " says: " + oneLine(l.Text) + "\n")
				}
			}
		}
		texts[p] = b.String()
	}
	return texts
}
