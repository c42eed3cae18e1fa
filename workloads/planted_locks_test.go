package workloads

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"screwtape/harness"
	"screwtape/harness/schedule"
	"screwtape/runner/list"
	"screwtape/runner/lock"
	"screwtape/runner/master"
	"screwtape/runner/profile"
)

// A lockPlanting is the set-up in which a bug of lock.Bugs is to be found.
type lockPlanting struct {
	setUp  string // in words
	config func(*LockConfig)
	// controls are how many schedules without the bug may not show it; 0 is 100.
	// A holder that is slow enough loses its lock with no bug too.
	controls int
}

// twoRounds is what suits most of them.
var twoRounds = lockPlanting{setUp: "two contenders, twice each", config: func(*LockConfig) {}}

var lockPlantings = map[string]lockPlanting{
	"first-end":     longWork,
	"never-break":   {setUp: "two contenders, twice each, a crash", config: func(c *LockConfig) { c.Nemeses = []string{"crash"} }},
	"refresh-never": longWork,
	// It needs two rounds of a waiter in which nothing changes.
	"same-end": {setUp: "work of a minute, a lock that lives an hour",
		config: func(c *LockConfig) { c.Lifetime, c.Hold, c.Rounds = time.Hour, time.Minute, 1 }},
	"timeout-unlinks-lock": {setUp: "work of a minute, a time-out of a second",
		config: func(c *LockConfig) { c.Lifetime, c.Hold, c.Timeout, c.Rounds = time.Hour, time.Minute, time.Second, 1 }},
}

var longWork = lockPlanting{"work of a minute, a lock that lives 15 s, 11 refreshes", func(c *LockConfig) { c.Hold, c.Refresh = time.Minute, 11 }, 50}

func TestPlantedInLocks(t *testing.T) {
	var rows []string
	for _, b := range lock.Bugs {
		t.Run(b.Name, func(t *testing.T) {
			p, ok := lockPlantings[b.Name]
			if !ok {
				p = twoRounds
			}
			c := DefaultLock()
			c.Kind, c.Rounds = "flufl", 2
			p.config(&c)
			sound, err := NewLock(c)
			c.Bugs = b.Name
			planted, perr := NewLock(c)
			rows = append(rows, catch(t, b, p.setUp, cmp.Or(p.controls, 100), planted, perr, sound, err))
		})
	}
	writeTable(t, "The lock", rows)
}

// A listPlanting is the set-up in which a bug of list.Bugs is to be found.
type listPlanting struct {
	setUp  string
	config func(*ConfigConfig)
}

var (
	// twoAdd is what suits most of them.
	twoAdd   = listPlanting{"two clients that each add a member", func(*ConfigConfig) {}}
	twoHold  = listPlanting{"two clients that each hold a message", func(c *ConfigConfig) { c.Clients = []string{"a:hold:m0", "b:hold:m1"} }}
	addKill  = listPlanting{"one client, a crash", func(c *ConfigConfig) { c.Clients, c.Nemeses = []string{"a:add:x"}, []string{"crash"} }}
	holdKill = listPlanting{"one client that holds a message, a crash", func(c *ConfigConfig) { c.Clients, c.Nemeses = []string{"a:hold:m0"}, []string{"crash"} }}
)

var listPlantings = map[string]listPlanting{
	"id-not-advanced":    twoHold,
	"no-reload":          {"two clients that read the list before they lock it", func(c *ConfigConfig) { c.Preload = true }},
	"rename-to-last":     addKill,
	"requests-in-place":  holdKill,
	"requests-not-saved": twoHold,
	"requests-unlink-first": {"two clients of a node that each hold a message, one of another that looks, local locks", func(c *ConfigConfig) {
		c.Locks, c.Clients = "local", []string{"a:requests", "b:hold:m0", "b:hold:m1"}
	}},
	"save-in-place": addKill,
	"stamp-after-load": {"three clients that read the list before they lock it", func(c *ConfigConfig) {
		c.Preload, c.Nodes, c.Clients = true, []string{"a", "b", "c"}, []string{"a:add:x", "b:add:y", "c:add:first"}
	}},
	"unlink-first": addKill,
}

func TestPlantedInLists(t *testing.T) {
	var rows []string
	for _, b := range list.Bugs {
		t.Run(b.Name, func(t *testing.T) {
			p, ok := listPlantings[b.Name]
			if !ok {
				p = twoAdd
			}
			c := DefaultConfig()
			p.config(&c)
			sound, err := NewConfig(c)
			c.Bugs = b.Name
			planted, perr := NewConfig(c)
			rows = append(rows, catch(t, b, p.setUp, 100, planted, perr, sound, err))
		})
	}
	writeTable(t, "The list", rows)
}

// masterCells are the cells of the truth table in which a bug of master.Bugs
// shows.
var masterCells = map[string]struct {
	version, flag, holder string
	later                 bool // 31 hours
}{
	"clean-forgets-lock": {"2.1.39", "start -s", "dead here", false},
	"held-is-ours":       {"2.1.39", "start", "alive elsewhere", false},
	"never-expires":      {"2.1.39", "start", "dead elsewhere, expired", false},
	"no-conflict-check":  {"3.3.8", "start --force", "alive here", false},
	"no-daily-refresh":   {"2.1.39", "start", "alive elsewhere", true},
	"no-host-check":      {"2.1.39", "start -s", "alive elsewhere", false},
	"no-pid-check":       {"2.1.39", "start -s", "alive here", false},
}

func TestPlantedInMaster(t *testing.T) {
	var rows []string
	for _, b := range master.Bugs {
		t.Run(b.Name, func(t *testing.T) {
			cell := masterCells[b.Name]
			for _, planted := range []bool{false, true} {
				tape, _, err := cellTape(cell.version, cell.flag, cell.holder, cell.later)
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
			setUp := fmt.Sprintf("the truth table's cell %s, %s, %s", cell.version, cell.flag, cell.holder)
			if cell.later {
				setUp += ", 31 hours later"
			}
			rows = append(rows, row(b, b.Shows, setUp, "1", "none in 1"))
		})
	}
	writeTable(t, "The master", rows)
}

// catch looks for the planted bug, and in so many schedules of the same set-up
// without it, or fewer in a short test, for what must not be there; and gives the
// table's row.
func catch(t *testing.T, b profile.Bug, setUp string, controls int, planted *harness.Test, perr error, sound *harness.Test, serr error) string {
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
	controls = long(min(n, 5), controls)
	if at := first(t, sound, b.Shows, controls); at > 0 {
		t.Errorf("without the bug there is %s in schedule %d too", b.Shows, at)
	}
	return row(b, b.Shows, setUp, fmt.Sprint(n), fmt.Sprintf("none in %d", controls))
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
