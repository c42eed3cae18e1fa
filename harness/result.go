package harness

import (
	"fmt"
	"slices"
	"strings"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// A Result is all that came of one schedule.
type Result struct {
	Tape    *schedule.Tape    // every decision, as it came out
	Steps   []history.Step    // the decisions, with what came of each
	Initial []history.Change  // what lay on the share before the first step
	Files   map[string][]byte // what was in the files there when it was judged, by path; of schedules that are recorded
	History []history.Op
	WarmUp  []history.Line // what programs wrote while they started, before the first step
	Logs    []history.Line // programs' output since
	Faults  map[string]int // what was injected, by kind
	Trace   uint64         // digest of the schedule up to the order of independent steps
	Bounded string         // which bound was hit, or ""
	Verdict check.Verdict  // the workload's
	Seconds float64        // real time
}

// finish makes the tape and has the workload judge.
func (p *play) finish(w *World) {
	p.belated(w)
	p.noteKilled(w)
	p.History = p.recorder.Ops()
	p.Tape = &schedule.Tape{}
	p.Tape.Header = append(p.Tape.Header, w.test.Header...)
	for _, s := range p.Steps {
		p.Tape.Lines = append(p.Tape.Lines, schedule.Line{Decision: s.Decision})
	}
	p.Trace = p.trace.Digest()
	end := End{Share: w.store, History: p.History, Steps: p.Steps, Logs: p.Logs, Bounded: p.Bounded}
	for _, q := range w.programs {
		if q.exits > restartLimit {
			end.Down = append(end.Down, q.label)
		}
	}
	if p.record {
		p.Files = w.files()
	}
	p.Verdict = w.test.Workload.Judge(&end)
	if p.Bounded == "" && p.Verdict.Verdict == check.Valid {
		p.Bounded = w.unfinished()
	}
	if p.Bounded != "" && p.Verdict.Verdict == check.Valid {
		p.Verdict.Verdict, p.Verdict.Why = check.Unknown, "the schedule was cut off at "+p.Bounded
	}
}

// unfinished names a program that should have ended and polls up to its horizon,
// by itself or by its children, so that what it would do later was not seen; ""
// where there is none. What one that has ended left behind serves for ever.
func (w *World) unfinished() string {
	for _, p := range w.all() {
		root := p.root()
		if !p.alive || !root.alive || root.program == nil || !root.program.Once || p.horizon() <= 0 {
			continue
		}
		polls := slices.ContainsFunc(p.threads, func(t *Thread) bool { return t.asleep }) ||
			slices.ContainsFunc(p.timers, func(t *timer) bool { return t.until != 0 })
		if polls {
			return fmt.Sprintf("the horizon of %s, %v", root.label, p.horizon())
		}
	}
	return ""
}

// Log is the schedule as it went, with what programs wrote: two runs of one
// tape must agree in every byte of it.
func (r *Result) Log() string {
	var b strings.Builder
	for _, l := range r.WarmUp {
		fmt.Fprintf(&b, "\t%s: %s\n", l.Process, l.Text)
	}
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "%v %s\n", s.Time, s.Decision)
		for _, l := range s.Lines {
			fmt.Fprintf(&b, "\t%s: %s\n", l.Process, l.Text)
		}
	}
	for _, o := range r.History {
		fmt.Fprintf(&b, "%d %s %s %s %s %s\n", o.Step, o.Process, o.Type, o.F, o.Value, o.Error)
	}
	fmt.Fprintf(&b, "%+v\n", r.Verdict)
	return b.String()
}
