package workloads

import (
	"testing"
	"time"

	"screwtape/harness"
	"screwtape/harness/schedule"
	"screwtape/runner/list"
	"screwtape/runner/lock"
	"screwtape/runner/master"
	"screwtape/runner/profile"
)

// lockSetUps are in what a bug of lock.Bugs is looked for, where it is not two
// rounds of two contenders for the lock of flufl.
var lockSetUps = map[string]func(*LockConfig){
	"never-break":   func(c *LockConfig) { c.Nemeses = []string{"crash"} },
	"refresh-never": func(c *LockConfig) { c.Hold, c.Refresh = time.Minute, 3 },
}

func TestPlantedInLocks(t *testing.T) {
	for _, b := range lock.Bugs {
		t.Run(b.Name, func(t *testing.T) {
			c := DefaultLock()
			c.Kind, c.Rounds = "flufl", 2
			if setUp := lockSetUps[b.Name]; setUp != nil {
				setUp(&c)
			}
			sound, err := NewLock(c)
			c.Bugs = b.Name
			planted, perr := NewLock(c)
			catch(t, b, planted, perr, sound, err)
		})
	}
}

// listSetUps are in what a bug of list.Bugs is looked for, where it is not two
// clients that each add a member.
var listSetUps = map[string]func(*ConfigConfig){
	"no-reload":          func(c *ConfigConfig) { c.Preload = true },
	"requests-not-saved": func(c *ConfigConfig) { c.Clients = []string{"a:hold:m0", "b:hold:m1"} },
	"rename-to-last":     withCrash,
	"stamp-after-load": func(c *ConfigConfig) {
		c.Preload, c.Nodes, c.Clients = true, []string{"a", "b", "c"}, []string{"a:add:x", "b:add:y", "c:add:first"}
	},
	"save-in-place": withCrash,
	"unlink-first":  withCrash,
}

// withCrash is one client, which may die at any step.
func withCrash(c *ConfigConfig) { c.Clients, c.Nemeses = []string{"a:add:x"}, []string{"crash"} }

func TestPlantedInLists(t *testing.T) {
	for _, b := range list.Bugs {
		t.Run(b.Name, func(t *testing.T) {
			c := DefaultConfig()
			if setUp := listSetUps[b.Name]; setUp != nil {
				setUp(&c)
			}
			sound, err := NewConfig(c)
			c.Bugs = b.Name
			planted, perr := NewConfig(c)
			catch(t, b, planted, perr, sound, err)
		})
	}
}

// masterCells are the cells of the truth table, of 2.1.39, in which a bug of
// master.Bugs shows.
var masterCells = map[string]struct{ flag, holder string }{
	"held-is-ours":  {"start", "alive elsewhere"},
	"no-host-check": {"start -s", "alive elsewhere"},
	"no-pid-check":  {"start -s", "alive here"},
}

func TestPlantedInMaster(t *testing.T) {
	for _, b := range master.Bugs {
		t.Run(b.Name, func(t *testing.T) {
			for _, planted := range []bool{false, true} {
				cell := masterCells[b.Name]
				tape, _, err := cellTape("2.1.39", cell.flag, cell.holder, false)
				if err != nil {
					t.Fatal(err)
				}
				if planted {
					tape.Header.Set("bugs", b.Name)
				}
				r, err := replay(tape)
				if err != nil {
					t.Fatal(err)
				}
				if r.Shows(b.Shows) != planted {
					t.Errorf("planted %v: %v", planted, r.Kinds())
				}
			}
		})
	}
}

// catch looks for the planted bug, and then in as many schedules of the same
// set-up without it for what must not be there.
func catch(t *testing.T, b profile.Bug, planted *harness.Test, perr error, sound *harness.Test, serr error) {
	t.Helper()
	if perr != nil || serr != nil {
		t.Fatal(perr, serr)
	}
	const most = 2000
	n := first(t, planted, b.Shows, most)
	if n == 0 {
		t.Fatalf("no %s in %d schedules", b.Shows, most)
	}
	t.Logf("%s in schedule %d", b.Shows, n)
	if at := first(t, sound, b.Shows, min(n, long(5, most))); at > 0 {
		t.Errorf("without the bug there is %s in schedule %d too", b.Shows, at)
	}
}

// first is the number of the first schedule that shows the kind, 0 if none of
// so many does.
func first(t *testing.T, test *harness.Test, kind string, schedules int) int {
	t.Helper()
	w, err := harness.NewWorld(test)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	search, err := schedule.NewSearch("portfolio", 1)
	if err != nil {
		t.Fatal(err)
	}
	for n := range schedules {
		strategy, learn := schedule.Turn(search)
		r, err := w.Play(strategy, harness.Options{})
		if err != nil {
			t.Fatalf("schedule %d: %v", n+1, err)
		}
		if r.Shows(kind) {
			return n + 1
		}
		learn(true)
	}
	return 0
}
