package harness

import (
	"slices"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// A touch is who touched a resource last, in one way.
type touch struct {
	step    int
	process string
}

// A way is how a step touches a resource; see schedule.Footprint.
type way int

const (
	read way = iota
	wrote
	added
)

// append puts a step that was taken on the tape and into the record.
func (p *play) append(w *World, d schedule.Decision, f schedule.Footprint) {
	step := history.Step{Decision: d, Index: len(p.Steps), Time: w.now, Lines: p.lines, Conflict: p.conflict(d, f)}
	if p.record {
		step.Changes = p.changes(w)
	}
	p.Logs = append(p.Logs, p.lines...)
	p.lines = nil
	p.Steps = append(p.Steps, step)
	p.trace.Step(d.Process, d.String(), f)
}

// belated puts lines that were written when the last step seemed to be over to
// that step, and those from before the first step to the programs' starts.
func (p *play) belated(w *World) {
	if !p.begun {
		p.begun = true
		for _, q := range w.programs {
			p.WarmUp = append(p.WarmUp, q.greeting...)
		}
	}
	if n := len(p.Steps); n > 0 {
		p.Steps[n-1].Lines = append(p.Steps[n-1].Lines, p.lines...)
		p.Logs = append(p.Logs, p.lines...)
	}
	p.lines = nil
}

// conflict is the last earlier step of another process with which this one
// conflicts, or -1; it also notes what this one touches.
func (p *play) conflict(d schedule.Decision, f schedule.Footprint) int {
	last := -1
	look := func(list []schedule.Resource, ways ...way) {
		for _, r := range list {
			for _, w := range ways {
				if t, ok := p.touched[r][w]; ok && t.process != d.Process {
					last = max(last, t.step)
				}
			}
		}
	}
	look(f.Reads, wrote, added)
	look(f.Writes, read, wrote, added)
	look(f.Adds, read, wrote)
	note := func(list []schedule.Resource, w way) {
		for _, r := range list {
			if p.touched[r] == nil {
				p.touched[r] = map[way]touch{}
			}
			p.touched[r][w] = touch{len(p.Steps), d.Process}
		}
	}
	note(f.Reads, read)
	note(f.Writes, wrote)
	note(f.Adds, added)
	return last
}

// at stamps the history's next operations with where the schedule is.
func (p *play) at(w *World) *history.Recorder {
	p.recorder.Step, p.recorder.Now = len(p.Steps), w.now
	return &p.recorder
}

// ended notes that a program has ended.
func (p *play) ended(w *World, q *Process) {
	switch {
	case q.program == nil:
	case q.killed:
		p.killed = append(p.killed, q)
	default:
		p.at(w).Add(q.label, history.Info, "exit", exitText(q), "")
	}
}

// noteKilled notes the ends of the programs that were killed in this step, in the
// order of the test: which of them the kernel ends first is chance.
func (p *play) noteKilled(w *World) {
	slices.SortFunc(p.killed, func(a, b *Process) int { return a.index - b.index })
	for _, q := range p.killed {
		p.at(w).Add(q.label, history.Info, "exit", exitText(q), "")
	}
	p.killed = nil
}
