package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// A Campaign says how a test's schedules are to be searched.
type Campaign struct {
	Search    schedule.Search
	Schedules int           // at most so many; 0 is no bound
	Budget    time.Duration // at most so long, in real time; 0 is no bound
	Stale     int           // end after so many schedules without a new trace; 0 is never
	Fresh     bool          // start every program anew for each schedule
	Shrink    bool          // make each finding's tape as small as it gets
	Cause     bool          // look for the cause of each finding
	// Checkpoint is a file that tells how far an exhaustive search has come, for
	// it to be resumed; "" is none. Before is what was found before it was. See
	// Resume.
	Checkpoint string
	Before     []string
	// Progress is told after each schedule, or is nil.
	Progress func(Progress)
}

// Progress is how far a campaign has come.
type Progress struct {
	Schedules, Traces int
	Found             []string // kinds, in the order in which they were found
	Elapsed           time.Duration
}

// A Finding is the first schedule that showed an anomaly of its kind.
type Finding struct {
	Anomaly   check.Anomaly
	Allowed   bool // within what the test promises
	Schedule  int  // its number, from 1
	Seconds   float64
	Confirmed bool    // its tape, played on fresh processes, showed it again
	Result    *Result // of the tape's last play: as found, or as confirmed and shrunk
	Tries     int     // schedules that shrinking took
	Minimal   bool    // no line of the shrunk tape can be deleted
	Cause     *Cause  // or nil, where it was not looked for
}

// An Outcome is what came of a campaign.
type Outcome struct {
	Schedules   int
	Steps       int // decisions, of all schedules
	Coverage    schedule.Coverage
	Cover       Cover
	Findings    []Finding      // one of each kind, in the order in which they were found; two where the first was within the promise
	Counts      map[string]int // schedules that showed each kind
	Faults      map[string]int // injected, by verb
	Twice       int            // schedules that were run twice
	Divergences []string       // of those, and of confirmations: what differed
	Bounded     int            // schedules that hit a bound
	Unconfirmed int            // findings that did not come back
	Stopped     string         // what ended the campaign: "schedules", "budget", "stale", "interrupted", or "over": there are no more schedules
	// Missed is, by depth from 1, the greatest chance with which a bug that needs
	// that many steps in order, and no fault, was missed; see schedule.PCTMiss.
	Missed     []float64
	Exhaustive *schedule.Account // how far an exhaustive search has come, or nil
	Outside    []history.Outside // what programs changed outside the share; see World.Outside
	Seconds    float64
}

// twiceEvery is how often a schedule is run a second time on fresh processes,
// from its tape, to see that it goes the same way: 5 %.
const twiceEvery = 20

// Explore searches the schedules of a test for anomalies. Of each kind the
// first is confirmed on fresh processes. It ends early, with what there is, when
// ctx is cancelled. An error is a failure of the harness.
func (w *World) Explore(ctx context.Context, c Campaign) (*Outcome, error) {
	o := &Outcome{Counts: map[string]int{}, Faults: map[string]int{}}
	began := time.Now()
	stale := 0
	exhaustive, _ := c.Search.(*schedule.Exhaustive)
	for {
		if o.Stopped = c.over(ctx, o, stale, began); o.Stopped != "" {
			break
		}
		r, err := w.Play(c.Search.Next(), Options{Fresh: c.Fresh})
		if err != nil {
			return o, fmt.Errorf("schedule %d: %w", o.Schedules+1, err)
		}
		end := o.Cover.add(w, r)
		fresh := o.add(r)
		c.Search.Learn(fresh, len(r.Steps))
		if stale++; fresh {
			stale = 0
		}
		if o.Schedules%twiceEvery == 0 {
			if err := w.again(o, r, end); err != nil {
				return o, err
			}
		}
		if err := w.collect(ctx, c, o, r, began); err != nil {
			return o, err
		}
		if exhaustive != nil && o.Schedules%checkpointEvery == 0 {
			if err := c.checkpoint(w.test, o, exhaustive); err != nil {
				return o, err
			}
		}
		if c.Progress != nil {
			c.Progress(Progress{o.Schedules, o.Coverage.Traces(), o.kinds(), time.Since(began)})
		}
	}
	o.Seconds = time.Since(began).Seconds()
	if c.Cause {
		if err := w.explain(ctx, o); err != nil {
			return o, err
		}
	}
	o.Outside = w.Outside()
	if o.Schedules > 0 {
		for depth := 1; depth <= 3; depth++ {
			o.Missed = append(o.Missed, schedule.PCTMiss(c.Search, len(w.programs), o.Steps/o.Schedules, depth))
		}
	}
	if exhaustive != nil {
		a := exhaustive.Account()
		o.Exhaustive = &a
		return o, c.checkpoint(w.test, o, exhaustive)
	}
	return o, nil
}

func (c *Campaign) over(ctx context.Context, o *Outcome, stale int, began time.Time) string {
	x, exhaustive := c.Search.(*schedule.Exhaustive)
	switch {
	case exhaustive && x.Over():
		return "over"
	case ctx.Err() != nil:
		return "interrupted"
	case c.Schedules > 0 && o.Schedules >= c.Schedules:
		return "schedules"
	case c.Budget > 0 && time.Since(began) >= c.Budget:
		return "budget"
	case c.Stale > 0 && stale >= c.Stale:
		return "stale"
	}
	return ""
}

// add counts a schedule and reports whether its trace is new.
func (o *Outcome) add(r *Result) bool {
	o.Schedules++
	o.Steps += len(r.Steps)
	for verb, n := range r.Faults {
		o.Faults[verb] += n
	}
	if r.Bounded != "" {
		o.Bounded++
	}
	seen := map[string]bool{}
	for _, a := range slices.Concat(r.Verdict.Anomalies, r.Verdict.Allowed) {
		if !seen[a.Kind] {
			seen[a.Kind] = true
			o.Counts[a.Kind]++
		}
	}
	return o.Coverage.Add(r.Trace)
}

// Complete reports whether every schedule was played, to its end.
func (o *Outcome) Complete() bool {
	return o.Exhaustive != nil && o.Exhaustive.Complete && o.Bounded == 0 && len(o.Divergences) == 0
}

func (o *Outcome) kinds() []string {
	var list []string
	for _, f := range o.Findings {
		list = append(list, f.Anomaly.Kind)
	}
	return list
}

// has reports whether a finding of the kind is there already; one within the
// promise does not stand for one that breaks it.
func (o *Outcome) has(kind string, allowed bool) bool {
	return slices.ContainsFunc(o.Findings, func(f Finding) bool {
		return f.Anomaly.Kind == kind && (!f.Allowed || allowed)
	})
}

// Broken reports whether a finding breaks what the test promises.
func (o *Outcome) Broken() bool {
	return slices.ContainsFunc(o.Findings, func(f Finding) bool { return !f.Allowed })
}

// again plays a schedule's tape once more, on fresh processes, and notes where
// it goes another way, or comes to another end. So processes that were kept alive
// are held against fresh ones too.
func (w *World) again(o *Outcome, r *Result, end uint64) error {
	o.Twice++
	second, err := w.Replay(r.Tape, Options{Fresh: true})
	switch {
	case Diverged(err):
		o.Divergences = append(o.Divergences, fmt.Sprintf("schedule %d: %v", o.Schedules, err))
	case err != nil:
		return fmt.Errorf("schedule %d, a second time: %w", o.Schedules, err)
	case second.Log() != r.Log():
		o.Divergences = append(o.Divergences, fmt.Sprintf("schedule %d: %s", o.Schedules, firstDifference(r.Log(), second.Log())))
	case w.end(second) != end:
		o.Divergences = append(o.Divergences, fmt.Sprintf("schedule %d: it left other things on the share", o.Schedules))
	}
	return nil
}

// Replay plays a tape.
func (w *World) Replay(t *schedule.Tape, o Options) (*Result, error) {
	return w.Play(schedule.Replay(t), o)
}

// firstDifference shows the first line in which two logs differ.
func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d of the log was %q and is %q", i+1, x[i], y[i])
		}
	}
	return fmt.Sprintf("the log had %d lines and has %d", len(x), len(y))
}

// collect keeps the first finding of each kind that the schedule shows.
func (w *World) collect(ctx context.Context, c Campaign, o *Outcome, r *Result, began time.Time) error {
	for i, a := range slices.Concat(r.Verdict.Anomalies, r.Verdict.Allowed) {
		allowed := i >= len(r.Verdict.Anomalies)
		if o.has(a.Kind, allowed) {
			continue
		}
		f := Finding{Anomaly: a, Allowed: allowed, Schedule: o.Schedules, Seconds: time.Since(began).Seconds(), Result: r}
		if err := w.confirm(ctx, c, o, &f); err != nil {
			return err
		}
		o.Findings = append(o.Findings, f)
	}
	return nil
}

// confirm plays the finding's tape on fresh processes, shrinks it if that is
// asked for, and plays what is left once more for the record.
func (w *World) confirm(ctx context.Context, c Campaign, o *Outcome, f *Finding) error {
	r, shows, err := w.shows(f.Result.Tape, f.Anomaly.Kind)
	if err != nil {
		return err
	}
	if !shows {
		o.Unconfirmed++
		return nil
	}
	f.Confirmed, f.Result = true, r
	if !c.Shrink {
		return nil
	}
	tape := w.ShrinkTape(ctx, r.Tape, f.Anomaly.Kind)
	f.Tries = tape.Tries
	r, shows, err = w.shows(tape.Tape, f.Anomaly.Kind)
	if err != nil {
		return err
	}
	if shows {
		f.Result = r
		f.Result.Tape, f.Minimal = tape.Tape, tape.Minimal
	}
	return nil
}

// ShrinkTape makes a tape that shows an anomaly as small as it gets.
func (w *World) ShrinkTape(ctx context.Context, t *schedule.Tape, kind string) schedule.Result {
	return schedule.Shrink(t, func(t *schedule.Tape) (*schedule.Tape, bool) {
		if ctx.Err() != nil {
			return nil, false
		}
		r, shows, err := w.shows(t, kind)
		if err != nil || !shows {
			return nil, false
		}
		return r.Tape, true
	})
}

// shows plays a tape on fresh processes and reports whether it shows an anomaly
// of the kind. A tape that does not fit shows nothing.
func (w *World) shows(t *schedule.Tape, kind string) (*Result, bool, error) {
	r, err := w.Replay(t, Options{Fresh: true, Record: true})
	if Diverged(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return r, r.Shows(kind), nil
}

// Diverged reports whether the error is a *schedule.Divergence: the programs
// did not do what the tape says.
func Diverged(err error) bool {
	var d *schedule.Divergence
	return errors.As(err, &d)
}

// Kinds are the kinds of anomalies that the schedule shows, breaking the
// promise or not, the worst first.
func (r *Result) Kinds() []string {
	var list []string
	for _, a := range slices.Concat(r.Verdict.Anomalies, r.Verdict.Allowed) {
		list = append(list, a.Kind)
	}
	slices.SortFunc(list, check.CompareKinds)
	return slices.Compact(list)
}

// Shows reports whether the schedule has an anomaly of the kind, breaking the
// promise or not.
func (r *Result) Shows(kind string) bool {
	return slices.Contains(r.Kinds(), kind)
}
