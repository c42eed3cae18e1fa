package workloads

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"screwtape/harness"
	"screwtape/harness/schedule"
	"screwtape/runner/profile"
)

var update = flag.Bool("update", false, "write docs/planted-bugs.md (scripts/mutants)")

// A planting is the set-up in which a planted bug is to be found.
type planting struct {
	bug    string
	setUp  string // in words
	config func(*QueueConfig)
	search func() schedule.Search // instead of the portfolio
	// found says whether a schedule shows the bug, where its kind of anomaly
	// alone does not tell.
	found func(*harness.Result) bool
	shows string // what found looks for, in words
	// survives says why the bug is not found.
	survives string
}

// plantings is the table: what each bug of profile.Bugs needs, as a set-up.
var plantings = []planting{
	{bug: "bak-count-never", setUp: "one runner, eight crashes", config: oneRunner("crash", 8), search: func() schedule.Search { return &walks{points: 6} },
		found: func(r *harness.Result) bool { return deliveries(r, "m0") > 3 }, shows: "a fourth delivery"},
	{bug: "bad-name-skips-all", setUp: "one runner, a file with a bad name", config: func(c *QueueConfig) { oneRunner("", 0)(c); c.BadName = true }},
	{bug: "deliver-before-rename", setUp: "two runners of the same slice", config: overlap},
	{bug: "deliver-twice-on-421", setUp: "one runner, one of the queue retry, a hang-up", config: func(c *QueueConfig) { oneRunner("hangup", 0)(c); c.Queues = []string{"out", "retry"} }},
	{bug: "double-finish", setUp: "one runner", config: oneRunner("", 0)},
	{bug: "enqueue-without-tmp", setUp: "two runners, a program that enqueues", config: func(c *QueueConfig) { c.Inject = true }},
	{bug: "finish-deletes-psv", setUp: "one runner, an entry that cannot be read", config: damaged("unreadable")},
	{bug: "ignore-rename-error", setUp: "two runners of the same slice", config: overlap},
	{bug: "no-recovery", setUp: "one runner, a crash", config: oneRunner("crash", 1)},
	{bug: "preserve-on-success", setUp: "one runner", config: oneRunner("", 0)},
	{bug: "recover-other-slices", setUp: "two runners, a slice each, a crash", config: func(c *QueueConfig) { c.Messages = 4; c.Nemeses = []string{"crash"} }},
	{bug: "recover-without-rename", setUp: "one runner, a crash", config: oneRunner("crash", 1)},
	{bug: "rename-after-read", setUp: "two runners of the same slice", config: overlap,
		survives: "no order of events tells it from the original: whoever has the file open reads the same before its rename and after it"},
	{bug: "requeue-unlinks-first", setUp: "one runner, a delivery deferred, a crash", config: func(c *QueueConfig) { oneRunner("", 1)(c); c.Nemeses = []string{"crash", "tempfail"} }},
	{bug: "shunt-lost", setUp: "one runner, an entry that cannot be processed", config: damaged("unprocessable")},
	{bug: "skip-fsync", setUp: "one runner, a program that enqueues, a loss of power", config: func(c *QueueConfig) { oneRunner("powerloss", 0)(c); c.Inject = true }},
	{bug: "slice-last-missing", setUp: "two runners, a slice each", config: func(c *QueueConfig) { c.Messages = 4 }},
	{bug: "slice-off-by-one", setUp: "two runners, a slice each", config: func(c *QueueConfig) { c.Messages = 4 }},
	{bug: "swallow-delivery-error", setUp: "one runner, a delivery deferred", config: oneRunner("tempfail", 0)},
	{bug: "tmp-listed", setUp: "two runners, a program that enqueues", config: func(c *QueueConfig) { c.Inject = true }},
	{bug: "unlink-before-deliver", setUp: "one runner, a crash", config: oneRunner("crash", 1)},
}

// oneRunner has one node, with one message and a nemesis.
func oneRunner(nemesis string, crashes int) func(*QueueConfig) {
	return func(c *QueueConfig) {
		c.Nodes, c.Crashes = []string{"a"}, crashes
		if nemesis != "" {
			c.Nemeses = []string{nemesis}
		}
	}
}

func overlap(c *QueueConfig) { c.Nemeses = []string{"overlap"} }

func damaged(how string) func(*QueueConfig) {
	return func(c *QueueConfig) { oneRunner("", 0)(c); c.Damage = how }
}

func deliveries(r *harness.Result, id string) int {
	n := 0
	for _, op := range r.History {
		if op.F == "deliver" && op.Type == "ok" && op.Value == id {
			n++
		}
	}
	return n
}

// walks are random walks that expect so many points for a fault between one
// fault and the next. NewRandom learns that from schedules without a fault, which
// have fewer points than a recovery with a delivery after it.
type walks struct{ points, next int }

func (*walks) Name() string                { return "random" }
func (*walks) Learn(bool, schedule.Lesson) {}
func (w *walks) Next() (schedule.Plan, bool) {
	w.next++
	return schedule.Plan{Search: "random", Draw: schedule.Draw{Seed: 1, Schedule: w.next, Points: w.points}}, true
}

func portfolio() schedule.Search {
	s, err := schedule.NewSearch("portfolio", 1)
	if err != nil {
		panic(err)
	}
	return s
}

// hunt draws up to n schedules and returns the number of the first,
// from 1, that shows the bug, 0 for none.
func hunt(t *testing.T, c QueueConfig, search schedule.Search, n int, found func(*harness.Result) bool) int {
	t.Helper()
	w := open(t, c)
	for i := range n {
		strategy, learn := schedule.Turn(search)
		r, err := w.Play(strategy, harness.Options{})
		if err != nil {
			t.Fatalf("schedule %d: %v", i+1, err)
		}
		learn(true)
		if !found(r) {
			continue
		}
		again, err := w.Replay(r.Tape, harness.Options{Fresh: true})
		if err != nil || !found(again) {
			t.Fatalf("schedule %d shows it, and its tape on fresh processes does not: %v\n%s", i+1, err, r.Tape)
		}
		return i + 1
	}
	return 0
}

// Every planted bug is found, but for those of which the table says why not;
// and without the bug, the same schedules do not show what gave it away.
func TestPlantedBugs(t *testing.T) {
	bound, controls := long(600, 5000), long(20, 300)
	var rows []string
	for _, bug := range profile.Bugs {
		i := slices.IndexFunc(plantings, func(p planting) bool { return p.bug == bug.Name })
		if i < 0 {
			t.Errorf("no set-up for %s", bug.Name)
			continue
		}
		p := plantings[i]
		t.Run(bug.Name, func(t *testing.T) {
			with := DefaultQueue()
			p.config(&with)
			without := with
			with.Bugs = bug.Name
			found, shows := p.found, p.shows
			if found == nil {
				found, shows = func(r *harness.Result) bool { return r.Shows(bug.Shows) }, bug.Shows
			}
			if p.survives != "" {
				rows = append(rows, row(bug, "survives: "+p.survives, p.setUp, "-", "-"))
				if bug, none := kindsSeen(t, with, long(60, controls)), kindsSeen(t, without, long(60, controls)); !slices.Equal(bug, none) {
					t.Errorf("it shows %v, and the original %v: it does not survive", bug, none)
				}
				return
			}
			search := p.search
			if search == nil {
				search = portfolio
			}
			at := hunt(t, with, search(), bound, found)
			if at == 0 {
				t.Errorf("not found in %d schedules", bound)
			}
			if false := hunt(t, without, search(), controls, found); false != 0 {
				t.Errorf("schedule %d shows it without the bug", false)
			}
			t.Logf("%s, found in schedule %d", shows, at)
			rows = append(rows, row(bug, shows, p.setUp, fmt.Sprint(at), fmt.Sprintf("none in %d", controls)))
		})
	}
	writeTable(t, "The queue", rows)
}

func row(b profile.Bug, shows, setUp, at, control string) string {
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", b.Name, b.Does, shows, setUp, at, control)
}

// writeTable puts a table of docs/planted-bugs.md in its place, with -update.
func writeTable(t *testing.T, title string, rows []string) {
	t.Helper()
	if !*update || t.Failed() {
		return
	}
	const file = "../docs/planted-bugs.md"
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := tablesHead
	for _, name := range []string{"The queue", "The lock", "The list", "The master", "Bounces"} {
		head := "\n## " + name + "\n\n"
		_, table, _ := strings.Cut(string(old), head)
		table, _, _ = strings.Cut(table, "\n## ")
		if name == title {
			table = tableHead + strings.Join(rows, "")
		}
		text += head + table
	}
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

const tablesHead = `# Planted bugs

A search that finds nothing may be a search that is blind. So bugs can be
planted in the programs (` + "`screwtape test --bugs NAME`" + `; those of the lock, the list,
the master and of bounces with the workloads lock, config, master and bounces), and
each has to be found, in the set-up that it needs. *Schedules* is the number of the
first schedule of the search with seed 1 that shows the bug. *Control* is the same
search without the bug. What survives is a gap, or no bug, and the table says which.
Bugs of the master's start are no matter of order: each shows in the one schedule of a cell
of [the truth table](truth-table.md).

The tables are written by ` + "`scripts/mutants`" + `; tests run a shorter form of it.
`

const tableHead = `| bug | what the program does | shown by | set-up | schedules | control |
|---|---|---|---|---|---|
`
