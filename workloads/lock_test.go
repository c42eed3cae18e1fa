package workloads

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// search draws schedules of a test by all strategies in turn, and gives what came of them.
func search(t *testing.T, test *harness.Test, err error, schedules int) *harness.Outcome {
	t.Helper()
	w := world(t, test, err)
	defer w.Close()
	portfolio, err := schedule.NewSearch("portfolio", 1)
	if err != nil {
		t.Fatal(err)
	}
	o, err := w.Explore(context.Background(), harness.Campaign{Search: portfolio, Schedules: schedules})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Divergences) > 0 {
		t.Errorf("played again, a schedule went another way: %s", o.Divergences[0])
	}
	if o.Bounded > 0 {
		t.Errorf("%d of %d schedules did not end", o.Bounded, o.Schedules)
	}
	return o
}

// describe shows the findings of a search.
func describe(o *harness.Outcome) string {
	s := fmt.Sprintf("%d schedules, %d traces, %.1f s: %v\n", o.Schedules, o.Coverage.Traces(), o.Seconds, o.Counts)
	for _, f := range o.Findings {
		s += fmt.Sprintf("schedule %d: %s\n%s\n", f.Schedule, f.Anomaly.Explanation, f.Result.Log())
	}
	return s
}

// What each kind of lock lets happen, and what not.
func TestLockKinds(t *testing.T) {
	for _, c := range []struct {
		name      string
		config    func(*LockConfig)
		schedules int
		finds     []string // at least one of them, and others only among it
	}{
		{"2.1", func(c *LockConfig) { c.Rounds = 2 }, long(30, 3000), []string{check.SplitBrain, check.StolenLock}},
		{"flufl", func(c *LockConfig) { c.Rounds = 2 }, long(30, 10000), nil},
		{"flock", func(c *LockConfig) { c.Nemeses = []string{"crash"} }, long(30, 10000), nil},
		{"excl", nil, long(30, 10000), nil},
		{"mkdir", func(c *LockConfig) { c.Nemeses = []string{"crash"} }, long(20, 3000), []string{check.Stuck}},
		{"naive", nil, long(30, 3000), []string{check.SplitBrain, check.StolenLock}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultLock()
			config.Kind = c.name
			if c.config != nil {
				c.config(&config)
			}
			test, err := NewLock(config)
			o := search(t, test, err, c.schedules)
			t.Logf("%d schedules, %d traces, %.1f s: %v", o.Schedules, o.Coverage.Traces(), o.Seconds, o.Counts)
			if len(c.finds) > 0 && len(o.Findings) == 0 {
				t.Errorf("nothing found, want one of %v", c.finds)
			}
			for kind := range o.Counts {
				if !contains(c.finds, kind) {
					t.Errorf("found %s\n%s", kind, describe(o))
				}
			}
		})
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// The linear-time checker and the model agree on random histories.
func TestHolderCheckersAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	broken := 0
	for n := range 3000 {
		ops := randomHolders(r)
		linear := len(splitBrain(ops, "l")) == 0
		if model := oneHolder(ops, "l"); model != linear {
			t.Fatalf("history %d: in linear time %v, by the model %v\n%v", n, linear, model, ops)
		}
		if !linear {
			broken++
		}
	}
	if broken < 300 || broken > 2700 {
		t.Errorf("%d of 3000 histories are broken: the test tells little", broken)
	}
}

// randomHolders is a history of three processes that enter and leave as they
// like, and of crashes.
func randomHolders(r *rand.Rand) []history.Op {
	var h history.Recorder
	state := map[string]int{} // 0 outside, 1 has asked, 2 inside
	for range 3 + r.IntN(10) {
		p := []string{"a/l", "a/l.1", "b/l"}[r.IntN(3)]
		if r.IntN(8) == 0 {
			who := []string{"a", "a/l", "b"}[r.IntN(3)]
			h.Add("nemesis", history.Info, "crash", who, "")
			for q := range state {
				if covers(who, q) {
					state[q] = 0
				}
			}
			continue
		}
		switch state[p] {
		case 0:
			h.Add(p, history.Invoke, "acquire", "l", "")
		case 1:
			h.Add(p, history.OK, "acquire", "l", "")
		case 2:
			h.Did(p, "release", "l")
		}
		state[p] = (state[p] + 1) % 3
	}
	return h.Ops()
}

// The lock of a node that died is taken when its 30 hours, and the ten seconds
// for clocks that differ, are over; not before, and at once.
func TestExpiry(t *testing.T) {
	for _, kind := range []string{"2.1", "flufl"} {
		t.Run(kind, func(t *testing.T) {
			c := DefaultLock()
			c.Kind, c.Lifetime = kind, 30*time.Hour
			test, err := NewLock(c)
			w := world(t, test, err)
			defer w.Close()
			tape, err := schedule.Parse("expiry.tape", strings.NewReader("screwtape tape 1\ncalls: named\n\na/locker start\na/locker open section/* = ok\nb/locker start\na crash\n"))
			if err != nil {
				t.Fatal(err)
			}
			r, err := w.Replay(tape, harness.Options{Fresh: true})
			if err != nil {
				t.Fatalf("%v\n%s", err, r.Log())
			}
			var taken time.Duration
			for _, op := range r.History {
				if op.Process == "b/locker" && op.F == "acquire" && op.Type == history.OK {
					taken = op.Time
				}
			}
			if r.Verdict.Verdict != check.Valid || taken < 30*time.Hour+10*time.Second || taken > 60*time.Hour {
				t.Errorf("b took the lock after %v: %+v", taken, r.Verdict)
			}
			t.Logf("taken after %v; %d decisions, %.0f ms", taken, len(r.Steps), 1000*r.Seconds)
		})
	}
}

// oneHolder judges by holderModel whether a lock never had two holders.
func oneHolder(ops []history.Op, lock string) bool {
	return porcupine.CheckOperations(holderModel, holderOperations(ops, lock))
}
