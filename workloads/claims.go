package workloads

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/schedule"
)

//go:embed claims/*.tape
var claimFiles embed.FS

// A Claim is one sentence of the thread, or one like it, as a tape: what the
// order of events is in which it comes true.
type Claim struct {
	ID       string
	Says     string   // the sentence
	Versions []string // of Mailman, for which it holds
	Expected []string // see Observed
	Tape     *schedule.Tape
	// Schedules is how many are drawn at random instead of the one of the
	// tape; 0 is none.
	Schedules int
	// Model is, of a claim that is played on a system, the tape for the
	// profile that is held to do as the system does: what comes of it is what
	// is expected. See OnSystem.
	Model *schedule.Tape
}

// Open reports whether the claim cannot be shown yet: what it needs of the share is
// not there, and its tape says what.
func (c Claim) Open() bool { return c.Tape.Header.Get("open") == "yes" }

// Claims are all claims, in the order in which reproduce shows them: first
// those of the thread.
func Claims() ([]Claim, error) {
	entries, err := claimFiles.ReadDir("claims")
	if err != nil {
		return nil, err
	}
	var list []Claim
	for _, e := range entries {
		c, err := readClaim("claims/" + e.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Claim) int { return compareIDs(a.ID, b.ID) })
	return list, nil
}

// compareIDs orders "C3", "C3b", "C5", "N1", "N15".
func compareIDs(a, b string) int {
	split := func(id string) (letter string, n int, rest string) {
		digits := strings.TrimLeft(id[1:], "0123456789")
		n, _ = strconv.Atoi(id[1 : len(id)-len(digits)])
		return id[:1], n, digits
	}
	al, an, ar := split(a)
	bl, bn, br := split(b)
	if c := strings.Compare(al, bl); c != 0 {
		return c
	}
	if an != bn {
		return an - bn
	}
	return strings.Compare(ar, br)
}

func readClaim(name string) (Claim, error) {
	f, err := claimFiles.Open(name)
	if err != nil {
		return Claim{}, err
	}
	defer f.Close()
	t, err := schedule.Parse(name, f)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{ID: t.Header.Get("claim"), Says: t.Header.Get("says"), Tape: t,
		Versions: strings.Fields(t.Header.Get("versions")), Expected: strings.Fields(t.Header.Get("expect"))}
	slices.SortFunc(c.Expected, check.CompareKinds)
	if n := t.Header.Get("schedules"); n != "" {
		if c.Schedules, err = strconv.Atoi(n); err != nil {
			return Claim{}, fmt.Errorf("%s: schedules: %w", name, err)
		}
	}
	if c.ID == "" || c.Says == "" || len(c.Expected) == 0 {
		return Claim{}, fmt.Errorf("%s: a claim needs the headers claim, says and expect", name)
	}
	return c, nil
}

// FromTape makes the test that a tape's header describes.
func FromTape(t *schedule.Tape) (*harness.Test, error) {
	name := t.Header.Get("workload")
	if name == "" {
		return nil, fmt.Errorf("%s: the header names no workload; add a line such as \"workload: queue\"", t.File)
	}
	for _, w := range catalogue {
		if w.name == name {
			if err := checkHeader(t.Header, w.options()); err != nil {
				return nil, placed(t, err)
			}
			test, err := w.make(t.Header)
			if err != nil {
				return nil, placed(t, err)
			}
			if err := checkSignals(test); err != nil {
				return nil, placed(t, err)
			}
			return test, harness.CheckTape(test, t)
		}
	}
	return nil, placed(t, about("workload", fmt.Errorf("header workload: no workload %q; there are %s", name, strings.Join(Names(), ", "))))
}

// checkSignals refuses the nemesis signal where no program is made for signals.
func checkSignals(t *harness.Test) error {
	asked := slices.ContainsFunc(t.Nemeses, func(n harness.Nemesis) bool { return n.Name() == schedule.Signal })
	if asked && !slices.ContainsFunc(t.Programs, func(p harness.Program) bool { return len(p.Signals) > 0 }) {
		return about("nemesis", fmt.Errorf(`nemesis signal: no program of the test has signals; write signals = ["HUP"] in a [[program]] of a system file`))
	}
	return nil
}

// placed says where in a tape what is wrong with its header stands. What the
// machine lacks stands nowhere in it.
func placed(t *schedule.Tape, err error) error {
	if m := (*Missing)(nil); errors.As(err, &m) {
		return err
	}
	var e *keyError
	if errors.As(err, &e) {
		if line := t.Header.Line(e.key); line > 0 {
			return fmt.Errorf("%s:%d: %w", t.File, line, err)
		}
	}
	return fmt.Errorf("%s: %w", t.File, err)
}

// catalogue is every workload, the lines of a header that it reads, and how its
// test is made from a header.
var catalogue = []struct {
	name    string
	options func() []option
	make    func(schedule.Header) (*harness.Test, error)
}{
	{"queue", defaults(DefaultQueue, (*QueueConfig).options), from(ParseQueue, NewQueue)},
	{"lock", defaults(DefaultLock, (*LockConfig).options), from(ParseLock, NewLock)},
	{"config", defaults(DefaultConfig, (*ConfigConfig).options), from(ParseConfig, NewConfig)},
	{"master", defaults(DefaultMaster, (*MasterConfig).options), from(ParseMaster, NewMaster)},
	{"bounces", defaults(DefaultBounces, (*BouncesConfig).options), from(ParseBounces, NewBounces)},
	{"program", defaults(DefaultProgram, (*ProgramConfig).options), from(ParseProgram, NewProgram)},
	{"system", defaults(DefaultSystem, (*SystemConfig).options), from(ParseSystem, NewSystem)},
}

// noteKeys are the keys of a header that change nothing in the test: what a
// claim says of itself (and which programs it needs), what is noted of a tape that
// was found, and "test" and "note", which are free to whoever writes one.
var noteKeys = []string{"test", "note", "claim", "says", "versions", "expect", "observe", "control", "needs", "schedules", "open",
	"anomaly", "found", "seed", "strategy"}

// checkHeader finds what is wrong with a header for every workload alike; options
// are the lines that the workload reads.
func checkHeader(h schedule.Header, options []option) error {
	var keys []string
	for _, o := range options {
		keys = append(keys, o.key)
	}
	for _, f := range h {
		if f.Key != "workload" && !slices.Contains(keys, f.Key) && !slices.Contains(noteKeys, f.Key) {
			return about(f.Key, fmt.Errorf("header %s: the workload %s has no such key; there are %s, and for notes %s",
				f.Key, h.Get("workload"), strings.Join(keys, ", "), strings.Join(noteKeys, ", ")))
		}
	}
	if err := checkNodes(strings.Fields(h.Get("nodes"))); err != nil {
		return about("nodes", err)
	}
	return nil
}

// maxNodes is how many nodes a test has at most.
const maxNodes = 26

// checkNodes finds what is wrong with the names of nodes. None at all are left
// to the workload.
func checkNodes(names []string) error {
	for i, name := range names {
		switch {
		case !isNodeName(name):
			return fmt.Errorf("header nodes: %q is no name of a node; write small letters, digits and -, a letter first", name)
		case slices.Contains(names[:i], name):
			return fmt.Errorf("header nodes: %s is said twice; each needs a name of its own", name)
		}
	}
	if len(names) > maxNodes {
		return fmt.Errorf("header nodes: %d of them; there can be %d", len(names), maxNodes)
	}
	return nil
}

func isNodeName(s string) bool {
	for i, r := range s {
		letter, other := 'a' <= r && r <= 'z', '0' <= r && r <= '9' || r == '-'
		if !letter && (i == 0 || !other) {
			return false
		}
	}
	return s != ""
}

// from puts together the reading of a configuration and the making of its test.
func from[C any](parse func(schedule.Header) (C, error), test func(C) (*harness.Test, error)) func(schedule.Header) (*harness.Test, error) {
	return func(h schedule.Header) (*harness.Test, error) {
		c, err := parse(h)
		if err != nil {
			return nil, err
		}
		return test(c)
	}
}

// Names are the workloads' names.
func Names() []string {
	var names []string
	for _, w := range catalogue {
		names = append(names, w.name)
	}
	return names
}

// A HeaderLine is a line of a tape's header that a workload reads.
type HeaderLine struct{ Key, Default, Means string }

// HeaderLines are those of the workload of that name.
func HeaderLines(name string) []HeaderLine {
	var lines []HeaderLine
	for _, w := range catalogue {
		if w.name == name {
			for _, o := range w.options() {
				lines = append(lines, HeaderLine{o.key, o.text(), o.means})
			}
		}
	}
	return lines
}

// An Observation is what came of a claim when it was tried.
type Observation struct {
	Claim
	Observed  []string         // see the function
	OK        bool             // they are the expected ones
	Problem   string           // why what was observed counts for nothing
	Schedules int              // that were played
	Decisions int              // of all of them
	Seconds   float64          // real time
	Result    *harness.Result  // of the tape; of a random claim the first finding's
	Outcome   *harness.Outcome // of a random claim
}

// Try plays the claim on nodes of its own. An error is a failure of the
// harness.
func (c Claim) Try(ctx context.Context) (*Observation, error) {
	began := time.Now()
	problem := ""
	if c.Model != nil {
		m, err := Claim{ID: c.ID, Tape: c.Model}.Try(ctx)
		if err != nil {
			return nil, err
		}
		if c.Expected = m.Observed; m.Problem != "" {
			problem = "as " + c.Model.Header.Get("profile") + ": " + m.Problem
		}
	}
	test, err := FromTape(c.Tape)
	if err != nil {
		return nil, err
	}
	test.Name = c.ID
	w, err := harness.NewWorld(test)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	o := &Observation{Claim: c, Schedules: 1}
	if c.Schedules > 0 {
		err = o.explore(ctx, w)
	} else {
		err = o.play(w)
	}
	o.Problem = cmp.Or(o.Problem, problem)
	o.OK = o.Problem == "" && slices.Equal(o.Observed, o.Expected)
	o.Seconds = time.Since(began).Seconds()
	return o, err
}

// play plays the claim's tape once.
func (o *Observation) play(w *harness.World) error {
	r, err := w.Replay(o.Tape, harness.Options{Fresh: true, Record: true})
	o.Result = r
	if err != nil && r != nil && harness.Diverged(err) {
		o.Problem = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	o.Decisions = len(r.Steps)
	o.Observed = Observed(o.Tape.Header, r)
	if r.Bounded != "" {
		o.Problem = "the schedule was cut off at " + r.Bounded
	}
	return nil
}

// Observed are what a claim speaks of: the kinds of anomalies that a schedule
// shows, the worst first; with the header "observe: locks" who has touched which
// lock, as PROCESS=LOCK; and with "observe: starts" what came of each start of a
// master, as PROCESS=OUTCOME.
func Observed(h schedule.Header, r *harness.Result) []string {
	list := r.Kinds()
	switch h.Get("observe") {
	case "locks":
		list = append(list, touched(r)...)
	case "starts":
		list = append(list, started(h, r)...)
	}
	slices.SortFunc(list, check.CompareKinds)
	return slices.Compact(list)
}

// started are the starts of a test of masters, each with "started" or "refused".
func started(h schedule.Header, r *harness.Result) []string {
	c, err := ParseMaster(h)
	if err != nil {
		return []string{err.Error()}
	}
	var list []string
	for label, command := range c.labels() {
		if strings.HasPrefix(command, label[:strings.Index(label, "/")]+":start") {
			list = append(list, label+"="+outcome(r, label))
		}
	}
	return list
}

// touched are the locks that processes have touched.
func touched(r *harness.Result) []string {
	var list []string
	for _, s := range r.Steps {
		for _, name := range s.Names {
			if lock := lockOf(name); lock != "" {
				list = append(list, s.Process+"="+lock)
			}
		}
	}
	return list
}

// lockOf is the lock that a file is, or is a claim to: whatever lies in a
// directory locks, without what a claim's name adds to its lock's.
func lockOf(name string) string {
	if dir, _ := path.Split(name); !strings.HasSuffix(dir, "locks/") {
		return ""
	}
	name = path.Base(name)
	for _, lock := range append(slices.Clone(masterLocks()), ".lock") {
		if i := strings.Index(name, lock); i >= 0 {
			return name[:i+len(lock)]
		}
	}
	return name
}

// explore draws schedules at random, always the same ones.
func (o *Observation) explore(ctx context.Context, w *harness.World) error {
	out, err := w.Explore(ctx, harness.Campaign{Search: schedule.NewRandom(1), Schedules: o.Claim.Schedules})
	if err != nil {
		return err
	}
	o.Outcome, o.Schedules, o.Decisions = out, out.Schedules, out.Steps
	for _, f := range out.Findings {
		o.Observed = append(o.Observed, f.Anomaly.Kind)
		if o.Result == nil {
			o.Result = f.Result
		}
	}
	slices.SortFunc(o.Observed, check.CompareKinds)
	o.Observed = slices.Compact(o.Observed)
	switch {
	case len(out.Divergences) > 0:
		o.Problem = out.Divergences[0]
	case out.Bounded > 0:
		o.Problem = fmt.Sprintf("%d of %d schedules hit a bound, and their ends were not seen", out.Bounded, out.Schedules)
	case out.Stopped == "interrupted":
		o.Problem = "interrupted"
	}
	return nil
}
