package workloads

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
	"screwtape/runner/lock"
	"screwtape/runner/profile"
)

// Lock is the workload of contenders for one lock: on each node a program takes
// it, works for a while in a section where only one may be, and lets it go.
// That it is in the section everybody can see by a file of its own there; the
// checker looks at those files alone, whatever kind the lock is.
type Lock struct{ config LockConfig }

// A LockConfig says how a lock test is set up. Its text form is a tape's
// header.
type LockConfig struct {
	Nodes    []string      // a contender on each
	Kind     string        // one of lock.Kinds
	Lifetime time.Duration // end of the lock from now, each time that it is refreshed
	Timeout  time.Duration // after which a contender gives up; 0 is never
	Hold     time.Duration // how long one works in the section
	Refresh  int           // how often one refreshes the lock meanwhile
	Rounds   int           // how often each contender does that
	Bugs     string        // planted in the lock, with commas
	Nemeses  []string
	Faults   int // of each nemesis, at most so many in a schedule
}

// The lock, and the directory of who is in the section, on the share.
const (
	lockFile   = "locks/test.lock"
	sectionDir = "section"
)

// DefaultLock is two contenders for a lock of Mailman 2.1, once each.
func DefaultLock() LockConfig {
	return LockConfig{Nodes: []string{"a", "b"}, Kind: "2.1", Lifetime: 15 * time.Second,
		Hold: time.Second, Rounds: 1, Faults: 1}
}

func (c *LockConfig) options() []option {
	return []option{
		{"nodes", &c.Nodes, "a contender runs on each"},
		{"kind", &c.Kind, "of lock: " + strings.Join(lock.Kinds, ", ")},
		{"lifetime", &c.Lifetime, "how long a lock that is not refreshed lives"},
		{"timeout", &c.Timeout, "after so long a contender gives up; 0s is never"},
		{"hold", &c.Hold, "how long the work under the lock takes"},
		{"refresh", &c.Refresh, "how often the lock is refreshed meanwhile"},
		{"rounds", &c.Rounds, "how often each contender does that"},
		{"bugs", &c.Bugs, meansBugs},
		{"nemesis", &c.Nemeses, meansNemesis},
		{"crashes", &c.Faults, meansCrashes},
	}
}

// Header is the configuration as a tape's header has it.
func (c LockConfig) Header() schedule.Header { return header("lock", c.options()) }

// ParseLock reads a configuration from a tape's header; what the header does
// not say is as in DefaultLock.
func ParseLock(h schedule.Header) (LockConfig, error) {
	c := DefaultLock()
	err := read(h, c.options())
	return c, err
}

// NewLock makes the test. Errors name what in the configuration is wrong.
func NewLock(c LockConfig) (*harness.Test, error) {
	if !slices.Contains(lock.Kinds, c.Kind) {
		return nil, about("kind", fmt.Errorf("no kind of lock %q; there are %s", c.Kind, strings.Join(lock.Kinds, ", ")))
	}
	if _, err := profile.ParseSet(c.Bugs, lock.Bugs); err != nil {
		return nil, about("bugs", err)
	}
	if c.Rounds == 0 {
		return nil, about("rounds", fmt.Errorf("rounds: 0; a contender takes the lock once at least"))
	}
	t := &harness.Test{Name: "lock", Nodes: c.Nodes, Workload: &Lock{c}, Header: c.Header()}
	var err error
	if t.Nemeses, err = makeNemeses(c.Nemeses, c.Faults); err != nil {
		return nil, about("nemesis", err)
	}
	for _, n := range c.Nodes {
		t.Programs = append(t.Programs, once(n, "locker", "lock", "--file", "/shared/"+lockFile, "--section", "/shared/"+sectionDir,
			"--kind", c.Kind, "--lifetime", c.Lifetime.String(), "--timeout", c.Timeout.String(), "--hold", c.Hold.String(),
			"--refresh", strconv.Itoa(c.Refresh), "--rounds", strconv.Itoa(c.Rounds), "--bugs", c.Bugs))
	}
	return t, nil
}

// Prepare makes the directories.
func (l *Lock) Prepare(s *share.Store) error {
	for _, dir := range []string{path.Dir(lockFile), sectionDir} {
		if err := s.MkdirAll("/shared/"+dir, 0o2770); err != nil {
			return err
		}
	}
	return nil
}

// Act does nothing: the contenders are clients.
func (l *Lock) Act(*harness.Acts) error { return nil }

// Observe notes who enters and leaves the section, and who makes the lock's
// file and who removes it.
func (l *Lock) Observe(d schedule.Decision, _ *share.Store, h *history.Recorder) {
	if d.Verb == schedule.Start && strings.Contains(d.Process, "/") {
		h.Add(d.Process, history.Invoke, "acquire", lockFile, "")
	}
	if d.Outcome != "ok" || len(d.Names) == 0 {
		return
	}
	inside := path.Dir(d.Names[0]) == sectionDir
	switch {
	case inside && d.Verb == "open":
		h.Add(d.Process, history.OK, "acquire", lockFile, "")
	case inside && d.Verb == "unlink":
		h.Did(d.Process, "release", lockFile)
	}
	observeLockFile(d, lockFile, l.config.Kind, h)
}

// observeLockFile notes who makes a lock's file and who removes it.
func observeLockFile(d schedule.Decision, file, kind string, h *history.Recorder) {
	made := map[string]bool{"link": true, "mkdir": true, "open": kind == "excl" || kind == "naive"}
	switch last := d.Names[len(d.Names)-1]; {
	case d.Outcome != "ok" || last != file:
	case made[d.Verb]:
		h.Did(d.Process, "make-lock", file)
	case d.Verb == "unlink" || d.Verb == "rmdir":
		h.Did(d.Process, "remove-lock", file)
	}
}

// Note says whose claim the lock's file holds.
func (l *Lock) Note(name string, data []byte) string {
	if name == lockFile && len(data) > 0 {
		return "claim " + path.Base(string(data))
	}
	return ""
}

// Judge looks whether two were in the section at once, whether a lock was taken
// from a living holder, and whether someone waits for ever.
func (l *Lock) Judge(e *harness.End) check.Verdict {
	var list []check.Anomaly
	list = append(list, splitBrain(e.History, lockFile)...)
	list = append(list, stolenLocks(e.History, lockFile)...)
	if e.Bounded == "" {
		list = append(list, waiting(e.History)...)
	}
	return verdict(list)
}

// verdict is valid without anomalies.
func verdict(list []check.Anomaly) check.Verdict {
	v := check.Verdict{Verdict: check.Valid, Anomalies: []check.Anomaly{}, Allowed: []check.Anomaly{}}
	if len(list) > 0 {
		v.Verdict, v.Anomalies = check.Invalid, list
	}
	return v
}
