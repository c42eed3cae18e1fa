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
	Least     int           // so many at least, however long they take
	Stale     int           // end after so many schedules without a new trace; 0 is never
	Until     string        // end once an anomaly of this kind was found; "" is never
	Fresh     bool          // start every program anew for each schedule
	Shrink    bool          // make each finding's tape as small as it gets
	Cause     bool          // look for the cause of each finding
	Peers     []*Peer       // play schedules beside this world; what comes of the search is the same without
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
	Schedules, Traces int           // played, and distinct ones among them
	Found             []string      // kinds, in the order in which they were found
	Elapsed           time.Duration // real time since the campaign began
	// Open is at how many points of an exhaustive search choices are known to be
	// left, as of the last batch; 0 where none is, or the search is another.
	Open int
	// Doing is what is done between two schedules, or "".
	Doing string
}

// A Finding is the first schedule that showed an anomaly of its kind.
type Finding struct {
	Anomaly   check.Anomaly
	Allowed   bool    // within what the test promises
	Schedule  int     // its number, from 1
	Seconds   float64 // real time from the campaign's beginning until it was found
	Confirmed bool    // its tape, played on fresh processes, showed it again
	Result    *Result // of the tape's last play, confirmed and shrunk; where it is not confirmed, tape and verdict alone
	Tries     int     // schedules that shrinking took
	Minimal   bool    // no line of the shrunk tape can be deleted
	Cause     *Cause  // or nil, where it was not looked for
}

// An Outcome is what came of a campaign.
type Outcome struct {
	Schedules   int
	Steps       int               // decisions, of all schedules
	Coverage    schedule.Coverage // its traces
	Cover       Cover             // its ends, and which calls met
	Findings    []Finding         // one of each kind, in the order in which they were found; two where the first was within the promise
	Counts      map[string]int    // schedules that showed each kind
	Faults      map[string]int    // injected, by verb
	Twice       int               // schedules that were run twice
	Divergences []string          // of those, and of confirmations: what differed
	Bounded     int               // schedules that hit a bound
	Unconfirmed int               // findings that did not come back
	Stopped     string            // what ended the campaign: "schedules", "budget", "stale", "found", "interrupted", or "over": there are no more schedules
	// Missed is, by depth from 1, the greatest chance with which a bug that needs
	// that many steps in order, and no fault, was missed; see schedule.PCTMiss.
	Missed     []float64
	Exhaustive *schedule.Account // how far an exhaustive search has come, or nil
	Outside    []history.Outside // what programs changed outside the share; see World.Outside
	Seconds    float64           // real time, without what looking for causes took
}

// twiceEvery is how often a schedule is run a second time on fresh processes,
// from its tape, to see that it goes the same way: 5 %.
const twiceEvery = 20

// Explore searches the schedules of a test for anomalies. Of each kind the
// first is confirmed on fresh processes. It ends early, with what there is, when
// ctx is cancelled. An error is a failure of the harness.
//
// Schedules are planned and played in batches, whose size does not hang on how
// many worlds play them; the search learns from them in the order in which they
// were planned, once all of a batch are over. So the same seed comes to the same
// with any number of worlds.
func (w *World) Explore(ctx context.Context, c Campaign) (*Outcome, error) {
	o := &Outcome{Counts: map[string]int{}, Faults: map[string]int{}}
	s := &exploration{World: w, ctx: ctx, Campaign: c, out: o, began: time.Now()}
	s.exhaustive, _ = c.Search.(*schedule.Exhaustive)
	for o.Stopped == "" {
		if err := s.batch(); err != nil {
			return o, err
		}
	}
	o.Seconds = time.Since(s.began).Seconds()
	if c.Cause {
		if err := s.explain(); err != nil {
			return o, err
		}
	}
	o.Outside = w.Outside()
	for _, p := range c.Peers {
		o.Outside = addOutside(o.Outside, p.outside)
	}
	if o.Schedules > 0 {
		for depth := 1; depth <= 3; depth++ {
			o.Missed = append(o.Missed, schedule.PCTMiss(c.Search, len(w.programs), o.Steps/o.Schedules, depth))
		}
	}
	if s.exhaustive != nil {
		if err := c.checkpoint(w.test, o, s.exhaustive); err != nil {
			return o, err
		}
		a := s.exhaustive.Account()
		o.Exhaustive = &a
	}
	return o, nil
}

// An exploration is a campaign that is under way.
type exploration struct {
	*World
	Campaign
	ctx        context.Context
	exhaustive *schedule.Exhaustive // the search, or nil
	out        *Outcome
	began      time.Time
	stale      int // schedules since the last new trace
	open       int // see Progress
}

// batch plays some schedules, and says in the outcome's Stopped if these were
// the last.
func (s *exploration) batch() error {
	o := s.out
	if o.Stopped = s.over(); o.Stopped != "" {
		return nil
	}
	tasks := s.plan()
	first := o.Schedules
	list, failed := s.playAll(s.Peers, tasks, func() bool { return s.hurried() != "" })
	if err := s.takeAll(list, failed); err != nil {
		return err
	}
	if s.exhaustive == nil {
		return nil
	}
	s.open = s.exhaustive.Account().Open
	if o.Schedules/checkpointEvery > first/checkpointEvery {
		return s.checkpoint(s.test, o, s.exhaustive)
	}
	return nil
}

// A batch has as many schedules as there were before it, within these bounds: a
// search learns the most from its first ones.
const (
	leastBatch = 4
	mostBatch  = 16
)

// Worlds is how many of so many worlds, the campaign's own among them, have
// something to do: there are no more schedules at a time than a batch has.
func (c Campaign) Worlds(n int) int {
	if c.Schedules > 0 {
		n = min(n, c.Schedules)
	}
	return min(n, mostBatch)
}

// plan plans a batch.
func (s *exploration) plan() (tasks []task) {
	size := min(max(s.out.Schedules, leastBatch), mostBatch)
	if s.Schedules > 0 {
		size = min(size, s.Schedules-s.out.Schedules)
	}
	for len(tasks) < size {
		p, ok := s.Search.Next()
		if !ok {
			break
		}
		number := s.out.Schedules + len(tasks) + 1
		tasks = append(tasks, task{Plan: &p, Fresh: s.Fresh, Twice: number%twiceEvery == 0})
	}
	return tasks
}

// takeAll takes in what came of schedules, and that the one after them failed, if it
// did. What was played when no more was wanted is as if it had not been.
func (s *exploration) takeAll(list []*played, failed error) error {
	for _, p := range list {
		if s.contented() {
			break
		}
		if err := s.take(p); err != nil {
			return fmt.Errorf("schedule %d: %w", s.out.Schedules, err)
		}
	}
	if failed != nil && !s.contented() {
		return fmt.Errorf("schedule %d: %w", s.out.Schedules+1, failed)
	}
	return nil
}

// take takes in what came of a schedule.
func (s *exploration) take(p *played) error {
	o := s.out
	o.Cover.add(p.End, p.Pairs)
	fresh := o.add(p)
	s.Search.Learn(fresh, p.Lesson)
	if s.stale++; fresh {
		s.stale = 0
	}
	if p.Twice {
		o.Twice++
		if p.Divergence != "" {
			o.Divergences = append(o.Divergences, fmt.Sprintf("schedule %d: %s", o.Schedules, p.Divergence))
		}
	}
	if err := s.collect(p); err != nil {
		return err
	}
	s.tell("")
	return nil
}

// tell tells how far the search has come, and what is done between two schedules.
func (s *exploration) tell(doing string) {
	if s.Progress != nil {
		s.Progress(Progress{s.out.Schedules, s.out.Coverage.Traces(), s.out.kinds(), time.Since(s.began), s.open, doing})
	}
}

// over says what ends the campaign, or "".
func (s *exploration) over() string {
	switch {
	case s.exhaustive != nil && s.exhaustive.Over():
		return "over"
	case s.shown():
		return "found"
	case s.Schedules > 0 && s.out.Schedules >= s.Schedules:
		return "schedules"
	case s.withered():
		return "stale"
	}
	return s.hurried()
}

// shown reports whether what was looked for was found.
func (s *exploration) shown() bool { return s.Until != "" && s.out.has(s.Until, true) }

// withered reports whether nothing new came for as long as was asked for.
func (s *exploration) withered() bool { return s.Stale > 0 && s.stale >= s.Stale }

// contented reports whether no more schedules are wanted, in the middle of a batch
// too.
func (s *exploration) contented() bool { return s.shown() || s.withered() }

// hurried says what ends the campaign in the middle of a batch, or "".
func (s *exploration) hurried() string {
	switch {
	case s.ctx.Err() != nil:
		return "interrupted"
	case s.Budget > 0 && s.out.Schedules >= s.Least && time.Since(s.began) >= s.Budget:
		return "budget"
	}
	return ""
}

// add counts a schedule and reports whether its trace is new.
func (o *Outcome) add(r *played) bool {
	o.Schedules++
	o.Steps += r.Steps
	for kind, n := range r.Faults {
		o.Faults[kind] += n
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

// again plays a schedule's tape once more, on fresh processes, and says where it
// goes another way, or comes to another end. So processes that were kept alive are
// held against fresh ones too.
func (w *World) again(r *Result, end uint64) (divergence string, err error) {
	second, err := w.Replay(r.Tape, Options{Fresh: true})
	switch {
	case Diverged(err):
		return err.Error(), nil
	case err != nil:
		return "", fmt.Errorf("a second time: %w", err)
	case second.Log() != r.Log():
		return firstDifference(r.Log(), second.Log()), nil
	case w.end(second) != end:
		return "it left other things on the share", nil
	}
	return "", nil
}

// Replay plays a tape; errors are as those of Play, a *schedule.Divergence where the
// programs did not do what it says.
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
func (s *exploration) collect(p *played) error {
	for i, a := range slices.Concat(p.Verdict.Anomalies, p.Verdict.Allowed) {
		allowed := i >= len(p.Verdict.Anomalies)
		if s.out.has(a.Kind, allowed) {
			continue
		}
		f := Finding{Anomaly: a, Allowed: allowed, Schedule: s.out.Schedules, Seconds: time.Since(s.began).Seconds(),
			Result: &Result{Tape: p.Tape, Verdict: p.Verdict}}
		if err := s.confirm(&f); err != nil {
			return err
		}
		s.out.Findings = append(s.out.Findings, f)
	}
	return nil
}

// confirm plays the finding's tape on fresh processes, shrinks it if that is
// asked for, and plays what is left once more for the record.
func (s *exploration) confirm(f *Finding) error {
	r, shows, err := s.shows(f.Result.Tape, f.Anomaly.Kind)
	if err != nil {
		return err
	}
	if !shows {
		s.out.Unconfirmed++
		return nil
	}
	f.Confirmed, f.Result = true, r
	if !s.Shrink {
		return nil
	}
	tape, err := s.ShrinkTape(s.ctx, s.Peers, r.Tape, f.Anomaly.Kind, func(now Shrinking) { s.tell("shrinking " + f.Anomaly.Kind + ": " + now.String()) })
	if err != nil {
		return err
	}
	f.Tries = tape.Tries
	r, shows, err = s.shows(tape.Tape, f.Anomaly.Kind)
	if err != nil {
		return err
	}
	if shows {
		f.Result = r
		f.Result.Tape, f.Minimal = tape.Tape, tape.Minimal
	}
	return nil
}

// A Shrinking is how far the shrinking of a tape has come.
type Shrinking struct {
	Tries     int // schedules that were played
	Lines, Of int // that are left, and that the tape had
}

func (s Shrinking) String() string {
	return fmt.Sprintf("try %d, %d of %d lines are left", s.Tries, s.Lines, s.Of)
}

// ShrinkTape makes a tape that shows an anomaly as small as it gets, or until ctx is
// cancelled. Peers help; what comes of it is the same without. It tells how far it
// has come.
func (w *World) ShrinkTape(ctx context.Context, peers []*Peer, t *schedule.Tape, kind string, tell func(Shrinking)) (schedule.Result, error) {
	var failed error
	now := Shrinking{Lines: len(t.Lines), Of: len(t.Lines)}
	shrunk := schedule.Shrink(t, 1+len(peers), func(candidates []*schedule.Tape) ([]*schedule.Tape, bool) {
		var tasks []task
		for _, c := range candidates {
			tasks = append(tasks, task{Tape: c, Fresh: true})
		}
		list, err := w.playAll(peers, tasks, func() bool { return ctx.Err() != nil })
		if failed = err; err != nil || ctx.Err() != nil {
			return nil, false
		}
		played, found := make([]*schedule.Tape, len(list)), false
		for i, p := range list {
			if !p.shows(kind) {
				continue
			}
			if played[i] = p.Tape; !found {
				found, now.Lines = true, len(candidates[i].Lines)
			}
		}
		now.Tries += len(list)
		tell(now)
		return played, true
	})
	return shrunk, failed
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
