package workloads

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"screwtape/harness"
	"screwtape/harness/schedule"
	"screwtape/runner/profile"
)

// A Cell is one cell of the truth table of the flags that clean up a master's
// lock: what a start does, in this version, with this flag, when that is the
// lock's holder. It comes from real processes.
type Cell struct {
	Profile string `json:"profile"`
	Flag    string `json:"flag"`    // "start", "start -s", ...
	Holder  string `json:"holder"`  // one of Holders
	Outcome string `json:"outcome"` // "started" or "refused"
	Exit    string `json:"exit"`    // of the command: "exit 0"; or "runs", when it is the master itself
	// Removed are the files of others that the start removed.
	Removed []string `json:"removed"`
	// Says is what the command, and its child, wrote.
	Says []string `json:"says"`
	// Later is what became of the same command 31 hours later, when the lock
	// of a dead holder has expired; "" where the holder lives, which
	// refreshes its lock.
	Later string `json:"later,omitempty"`
	// Anomalies are the kinds of them that the start led to: none is safe.
	Anomalies []string `json:"anomalies"`
	// Control is a cell of the same version that comes out the other way:
	// "FLAG, HOLDER".
	Control string `json:"control"`
	// How is the tape that brought it about.
	How *schedule.Tape `json:"-"`
}

// Safe reports whether no second master came of the start.
func (c Cell) Safe() bool { return !slices.Contains(c.Anomalies, "split-brain") }

// Delay says how long it takes until such a start succeeds. That a lock expires
// after 30 hours is seen by a start that is refused at first, and is not 31 hours
// later.
func (c Cell) Delay() string {
	switch {
	case c.Outcome == cellStarted:
		return "none"
	case c.Later == cellStarted:
		return "30 h"
	case c.Later == "":
		return "as long as it lives"
	}
	return "for ever"
}

// Holders are the states of the lock's holder, in the table's order.
var Holders = []string{"none", "alive here", "dead here", "pid reused here", "alive elsewhere", "dead elsewhere", "dead elsewhere, expired"}

// Flags are the ways to start a version's master, in the table's order.
func Flags(p profile.Profile) []string {
	list := []string{"start", "start " + p.Master.Flag}
	if p.Master.FrontEnd {
		list = append(list, "master", "master "+p.Master.Flag)
	}
	return list
}

// starts are those ways as a command of MasterConfig.
var starts = map[string]string{"start": "start", "start -s": "start:-s", "start --force": "start:--force",
	"master": "start:--direct", "master --force": "start:--direct:--force"}

// TruthTable plays every cell, and tells done of each as it comes out. When ctx is
// cancelled, the error is ctx's, and the cells are those that came out by then.
func TruthTable(ctx context.Context, done func(Cell)) ([]Cell, error) {
	cells, err := playCells(ctx, done)
	for i := range cells {
		cells[i].Control = controlOf(cells, cells[i])
	}
	return cells, err
}

func playCells(ctx context.Context, done func(Cell)) (cells []Cell, err error) {
	for _, version := range profile.All() {
		p, err := profile.Get(version)
		if err != nil {
			return nil, err
		}
		for _, flag := range Flags(p) {
			for _, holder := range Holders {
				if ctx.Err() != nil {
					return cells, ctx.Err()
				}
				c, err := playCell(version, flag, holder)
				if err != nil {
					return nil, fmt.Errorf("truth table, %s %s, %s: %w", version, flag, holder, err)
				}
				cells = append(cells, c)
				done(c)
			}
		}
	}
	return cells, nil
}

// controlOf finds a cell that comes out the other way than c: one that differs
// from it in the holder alone, or else in the flag alone, or else in both.
func controlOf(cells []Cell, c Cell) string {
	for _, same := range []func(Cell) bool{
		func(o Cell) bool { return o.Flag == c.Flag },
		func(o Cell) bool { return o.Holder == c.Holder },
		func(Cell) bool { return true },
	} {
		for _, o := range cells {
			if o.Profile == c.Profile && same(o) && o.Outcome != c.Outcome {
				return o.Flag + ", " + o.Holder
			}
		}
	}
	return ""
}

// afterExpiry is how long the time is moved on for a lock to expire: it lives 30
// hours, and 10 seconds are given to it.
const afterExpiry = "31h"

// cellTape writes the schedule that brings a cell about, with the time moved on
// before the start if it is to come later, and names the program that starts.
// Node a has the holder; the start that the cell is about comes last.
func cellTape(version, flag, holder string, later bool) (tape *schedule.Tape, starter string, err error) {
	p, err := profile.Get(version)
	if err != nil {
		return nil, "", err
	}
	c := DefaultMaster()
	c.Profile, c.Commands = version, nil
	alive, claim := strings.HasPrefix(holder, "alive"), "locks/"+p.Master.LockName+".a.*"
	node, expires := "b", later || strings.HasSuffix(holder, ", expired")
	if holder == "none" || strings.HasSuffix(holder, " here") {
		node = "a"
	}
	var lines []string
	if holder != "none" {
		c.Commands = append(c.Commands, "a:start")
		lines = append(lines, "a/start start")
		if p.Master.FrontEnd {
			lines = append(lines, "a/start open locks/"+p.Master.LockName+" = ENOENT")
		} else {
			lines = append(lines, "a/start unlink "+claim+" = ok")
		}
		lines = append(lines, "a/start.1 write data/*.pid = ok")
		if !alive {
			lines = append(lines, "a crash")
		}
	}
	starter = programLabel(c.Commands, node, "start")
	c.Commands = append(c.Commands, node+":"+starts[flag])
	if holder == "pid reused here" {
		c.Commands = append(c.Commands, fmt.Sprintf("a:idle:%d", masterPID(0)))
		lines = append(lines, "a/idle start")
	}
	if expires {
		c.Commands = append(c.Commands, "b:wait:"+afterExpiry)
		wait := []string{"b/wait start", "b/wait wake"}
		if alive { // it refreshes its lock meanwhile, when all that is to be done now is done
			c.After = []string{starter + ":b/wait"}
			wait = slices.Insert(wait, 1, "a/start read "+claim+" = ok", "a/start.1 alarm alarm", "a/start.1 read "+claim+" = ok")
		}
		lines = append(lines, wait...)
	}
	head := schedule.Tape{Header: c.Header(), Sparse: true}
	text := head.String() + "\n" + strings.Join(append(lines, starter+" start"), "\n") + "\n"
	tape, err = schedule.Parse("the cell's tape", strings.NewReader(text))
	return tape, starter, err
}

// programLabel is the label that the next command of a node will have.
func programLabel(commands []string, node, name string) string {
	var others []harness.Program
	for _, text := range commands {
		words := strings.Split(text, ":")
		others = append(others, harness.Program{Node: words[0], Name: programName(others, words[0], words[1])})
	}
	return node + "/" + programName(others, node, name)
}

// playCell plays a cell on fresh processes; where a start is refused that would
// not be for ever, it plays it again with the start at a later time.
func playCell(version, flag, holder string) (Cell, error) {
	c := Cell{Profile: version, Flag: flag, Holder: holder}
	tape, starter, err := cellTape(version, flag, holder, false)
	if err != nil {
		return c, err
	}
	r, err := replay(tape)
	if err != nil {
		return c, err
	}
	c.How = tape
	c.read(r, starter)
	if c.Outcome == cellStarted || strings.HasPrefix(holder, "alive") {
		return c, nil
	}
	if tape, starter, err = cellTape(version, flag, holder, true); err != nil {
		return c, err
	}
	if r, err = replay(tape); err != nil {
		return c, err
	}
	c.Later = outcome(r, starter)
	return c, nil
}

// replay plays a tape in a world of its own.
func replay(t *schedule.Tape) (*harness.Result, error) {
	test, err := FromTape(t)
	if err != nil {
		return nil, err
	}
	w, err := harness.NewWorld(test)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.Replay(t, harness.Options{Fresh: true})
}

// What can come of a start.
const (
	cellStarted = "started"
	cellRefused = "refused"
)

// outcome is started if the command, or a child of it, became master.
func outcome(r *harness.Result, starter string) string {
	for _, op := range r.History {
		if op.F == "acquire" && covers(starter, op.Process) {
			return cellStarted
		}
	}
	return cellRefused
}

// read takes the cell's contents from what came of its tape.
func (c *Cell) read(r *harness.Result, starter string) {
	c.Outcome, c.Exit, c.Anomalies = outcome(r, starter), "runs", append([]string{}, r.Kinds()...)
	for _, op := range r.History {
		if op.F == "exit" && op.Process == starter {
			c.Exit = op.Value
		}
	}
	for _, s := range r.Steps {
		for _, l := range s.Lines {
			if covers(starter, l.Process) {
				c.Says = append(c.Says, l.Text)
			}
		}
	}
	c.Removed = removed(r, starter)
}

// removed are the files that the command, or its child, removed and had not made: the
// lock that was in its way, and the claim to it. (Its own claim it made with its first
// write.)
func removed(r *harness.Result, starter string) []string {
	list := []string{}
	own := map[string]bool{}
	for _, s := range r.Steps {
		if !covers(starter, s.Process) || s.Outcome != "ok" || len(s.Names) == 0 {
			continue
		}
		name := s.Names[len(s.Names)-1]
		switch s.Verb {
		case "write", "link":
			own[name] = true
		case "unlink":
			if !own[name] {
				list = append(list, path.Base(name))
			}
			delete(own, name)
		}
	}
	return list
}

// MarkdownTruth is the table as docs/truth-table.md has it.
func MarkdownTruth(cells []Cell) string {
	var b strings.Builder
	b.WriteString(truthHead)
	version := ""
	for _, c := range cells {
		if c.Profile != version {
			version = c.Profile
			fmt.Fprintf(&b, "\n## %s\n\n%s\n| command | the lock's holder | outcome | its help text says | exit | removes | delay | safe | anomalies | control |\n|---|---|---|---|---|---|---|---|---|---|\n", version, truthNotes[version])
		}
		safe := "yes"
		if !c.Safe() {
			safe = "**no**"
		}
		says := c.Promised()
		if !c.AsPromised() {
			says += ": **not so**"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", c.Flag, c.Holder, c.Outcome, says, strings.TrimPrefix(c.Exit, "exit "),
			orDash(withoutNumbers(c.Removed)), c.Delay(), safe, orDash(strings.Join(c.Anomalies, ", ")), c.Control)
	}
	return b.String()
}

var truthHead = `# What a start does with the lock of another master

Each row was brought about with real processes on two nodes: the command is given
on one of them when the lock's holder is as the second column says. "Here" is the
same host, "elsewhere" the other. The delay is how long it takes until the command
succeeds: a master's lock lives 30 hours, is refreshed once a day, and is taken for
expired ten seconds after that; so each command that was refused because of a dead
holder was given again 31 hours later. "Safe" says that no two masters came of it.
The control is a row of the same version that comes out the other way. How each row
was brought about is a tape: ` + "`screwtape truth`" + ` keeps them in their order, as
` + "`tapes/cell-01.tape`" + ` and so on.

What the help texts say is the same in all versions, in our words:

- without a flag: ` + withoutFlag.says + `
- with ` + "`-s` or `--force`" + `: ` + withFlag.says + `

Where the outcome is another one than this says, it is marked as not so. Whose number
was given out again counts as running, and that a lock expires is said nowhere.

The exit status is that of the command; "runs" is a command that became the
master. ` + "`screwtape reproduce`" + ` plays the claims C1, C2 and N13, which are about the
same.
`

// truthNotes say for each version what it does, whatever its help text says.
var truthNotes = map[string]string{
	"2.1.15": "The flag removes the lock, whosever it is.\n",
	"2.1.39": "The flag removes the lock only of a process of this host that is dead. For the\nlock of another host it still says to use the flag, which does nothing there.\n",
	"thread": "The thread speaks of 2.1.15, and says of its start what that does: all is as there.\n",
	"3.3.8":  "`start` is \"mailman start\", which looks at the lock before it starts the program\nmaster, for which it does not wait; `master` is that program itself, whose --force does\nnot look whether the holder lives. For the lock of another host, alive or dead, `start` says\nthat Mailman did not exit cleanly the last time, and to use the flag. (The real ones say\nand end so, tried with such locks.)\n",
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// withoutNumbers names files without what is random in them.
func withoutNumbers(names []string) string {
	var list []string
	for _, n := range names {
		parts := strings.Split(n, "|")
		if len(parts) > 1 {
			n = strings.Join(parts[:2], "\\|") + "\\|..."
		}
		list = append(list, "`"+n+"`")
	}
	return strings.Join(list, ", ")
}
