// Package harness is the controller: it runs the programs of a test on nodes
// that see one share, holds their calls, and lets a strategy decide which of
// them happens next, and when something goes wrong.
//
// A schedule is played in run.go. What can be decided is in options.go, what a
// decision does in decisions.go, where calls are held in gate.go, when nothing
// runs any more in rest.go, and what time is to programs in time.go, wait.go and
// timer.go. A test's schedules are searched in explore.go.
package harness

import (
	"time"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
)

// Epoch is where every node's clock stands when a schedule begins: the moment
// at which the thread that this project is about was written.
var Epoch = time.Date(2012, 10, 25, 20, 47, 9, 0, time.UTC)

// A Test is a system, a workload and what may go wrong, on some nodes.
type Test struct {
	Name     string
	Header   schedule.Header // what a tape needs to make this test again
	Nodes    []string        // their names, in order
	Programs []Program
	// Prepared are processes of which programs are forked (Program.Fork), at
	// most one on a node. Each is started once; see prepared.go for what it
	// has to do.
	Prepared []Program
	Workload Workload
	Nemeses  []Nemesis
	// Scratch are directories of the machine in whose places each node has one
	// of its own, which is empty when a schedule begins. Calls there are no
	// decisions.
	Scratch []string
	// Ports are those on which programs listen for clients of their own node. What
	// is sent on a connection to one, by either side, is a decision.
	Ports []int
	// MaxDecisions bounds a schedule; one that reaches it is unknown unless
	// something is broken already. 0 is 5,000.
	MaxDecisions int
}

// A Program is something to run on a node.
type Program struct {
	Node, Name string
	Path       string   // "/proc/self/exe" is screwtape itself
	Args       []string // with argv[0]
	Env        []string // as environ(7), and nothing else
	Dir        string   // its working directory
	// Fork is the line that the node's prepared process is told to fork the
	// program; "" starts the program by Path, Args, Env and Dir, which it has
	// from the prepared process otherwise.
	Fork string
	// Horizon is the virtual time, since the schedule's beginning, up to which
	// the program is woken although nothing has changed since it last looked:
	// long enough for the locks and limits that it waits for. 0 is 60 hours; for
	// a Single program it is none, and only a change wakes it, as with any that
	// is negative.
	Horizon time.Duration
	// Timed programs are in virtual time: every clock that they read is the
	// node's, and every wait ends by decision. What that costs is in docs/gate.md;
	// without it only clock_nanosleep(2) and clock reads that are system
	// calls are caught.
	Timed bool
	// Late programs are not running when a schedule begins; they start by
	// decision.
	Late bool
	// Once programs do one thing and end; they are not started again when
	// everything is mended.
	Once bool
	// OneThread promises, of a Go program and its children, that in each only
	// the first thread acts: none of its goroutines waits for the processor
	// of another, which costs a wait for Go's sysmon at every decision.
	OneThread bool
	// After is a program, by its label, or a node: this one, which is Once, does
	// not start before that program has run and ended, or that node has crashed.
	// "" waits for nothing.
	After string
	// Port is for a client of a server on its own node: it is started only while
	// somebody listens there. 0 waits for nothing.
	Port int
	// Single promises that only the program's first thread acts, that it ends
	// each of its steps in a call that can be held, and that it makes all such
	// calls by package direct: the built-in programs do. What such a program is
	// doing need not be looked up in /proc, and what its runtime does is not
	// trapped.
	Single bool
	// Numberless promises, of a Single program, that it never asks for its pid,
	// and keeps nothing of what it did: nothing that it does tells its second
	// start from its first.
	Numberless bool
	// Anew is for a program that remembers what it did, in memory or in files
	// that it keeps open: it is started anew for each schedule.
	Anew bool
	// Signals are those that an administrator may send it, of AdminSignals.
	Signals []string
	// Pids is which pids the program has on its node, from 1: those of programs
	// of different nodes with the same number here are the same, as they can be on
	// any two hosts. 0 are pids that no other program of the test has.
	Pids int
}

// Label is how tapes name the program's process: NODE/NAME.
func (p Program) Label() string { return p.Node + "/" + p.Name }

// A Workload says what lies on the share at the beginning, what clients do,
// and what must hold in the end.
type Workload interface {
	// Prepare lays out the share as programs find it when they start.
	Prepare(s *share.Store) error
	// Act does what clients do once the programs are up and idle.
	Act(a *Acts) error
	// Judge judges one schedule by its history and by what lies on the share
	// now, never by its decisions.
	Judge(e *End) check.Verdict
	// Note says in a few words what lies at a path, for people: "m0".
	Note(path string, data []byte) string
}

// An Observer is a workload that notes operations in the history which only
// calls on the share show.
type Observer interface {
	// Observe is told of each decision once it was carried out.
	Observe(d schedule.Decision, s *share.Store, h *history.Recorder)
}

// Acts is what a workload's clients act on.
type Acts struct {
	Share   *share.Store
	History *history.Recorder
	Now     time.Time // by the clients' clocks
}

// An End is all that a workload judges by.
type End struct {
	Share   *share.Store
	History []history.Op
	Steps   []history.Step // for when something came about, not for whether
	Logs    []history.Line // all output of programs, in the order of the schedule
	Down    []string       // programs that ended by themselves too often to be started again
	Bounded string         // which bound was hit, or ""
}

// A Nemesis is one kind of thing that goes wrong.
type Nemesis interface {
	// Name is what the command line calls it.
	Name() string
	// Reset begins a new schedule.
	Reset()
	// Faults are those that could happen now.
	Faults(s Situation) []schedule.Option
	// Took tells what was decided.
	Took(d schedule.Decision)
}

// A Situation is what a nemesis may know when it offers faults.
type Situation struct {
	Processes []ProcessState // in canonical order
}

// A ProcessState is one program as a nemesis sees it.
type ProcessState struct {
	Label string // NODE/PROGRAM
	Node  string
	Alive bool // it runs, or is paused
	// Paused says that it stands still.
	Paused bool
	// Signals are Program.Signals.
	Signals []string
	// Orphaned says that the program has ended, and a child of it runs on.
	Orphaned bool
	// Mutated says that the last thing the process did changed the share, or
	// what a mail sink knows: the only points at which a crash makes a
	// difference, since a process loses its own state anyway. So does one
	// before it does anything: it is down then until it is started, and what
	// a start does comes in the midst of what others do.
	Mutated bool
	// Delivering is the id of the message that it has handed to the mail
	// sink and that the sink has not answered, or "".
	Delivering string
}
