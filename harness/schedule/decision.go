// Package schedule holds what a schedule is made of: decisions, the tapes that
// record them, the strategies that choose them, and the shrinker that takes
// away what a finding does not need.
package schedule

import "strings"

// A Decision is one step of a schedule, and one line of a tape: a process does
// something, or something is done to it.
type Decision struct {
	// Process is who: NODE/PROGRAM ("a/runner"), a child of it
	// ("a/runner.1"), a further thread ("a/runner#2"), a node ("a"), or Server.
	Process string
	// Verb is what: the name of a system call, or one of the verbs below.
	Verb string
	// Names are the paths that the call names, below the root of the share,
	// or what else the verb is about (the message that is delivered).
	Names []string
	// Outcome is "ok", the name of an error such as "ENOENT", the code of a
	// mail reply, or "" where it is not said.
	Outcome string
}

// Program is the label of the program that a process or thread with that label
// belongs to: "a/runner" for "a/runner.1#2". A node's is its own.
func Program(label string) string {
	node, program, ok := strings.Cut(label, "/")
	if !ok {
		return node
	}
	if i := strings.IndexAny(program, ".#"); i >= 0 {
		program = program[:i]
	}
	return node + "/" + program
}

// Concerns reports whether the decision is about a program, by its label: about
// that itself, or its node, or all nodes.
func (d Decision) Concerns(program string) bool {
	who := Program(d.Process)
	return who == program || strings.HasPrefix(program, who+"/") || d.Verb == PowerLoss
}

// Verbs that are no system calls.
const (
	Deliver = "deliver" // the mail sink takes the message: Names[0] is its id
	Defer   = "defer"   // the mail sink refuses it for now (a fault)
	Hangup  = "hangup"  // the mail sink says that it is closing, and does (a fault)
	Wake    = "wake"    // time moves to the process's wake-up, and it wakes
	Crash   = "crash"   // the process, or all of a node, is killed (a fault)
	// PowerLoss is a loss of power of the file server and of all nodes (a
	// fault); its process is Server.
	PowerLoss = "powerloss"
	Start     = "start"  // the program, or all of a node, is started (again)
	Alarm     = "alarm"  // time moves to the process's timer Names[0], which runs out
	Skew      = "skew"   // a node's clocks are set by Names[0], or run so fast (a fault)
	Pause     = "pause"  // a program, or all of a node, stands still (a fault)
	Resume    = "resume" // and goes on
	Signal    = "signal" // an administrator sends the program the signal Names[0], such as "HUP" (a fault)
	Exit      = "exit"   // a child ends, and its parent learns of it
	// Send is what a process says on a connection to a mail server of its own
	// node, or is told there, by whichever system call: Names[0] is its first
	// word, or the message's id.
	Send = "send"
)

// Verbs are all of these.
var Verbs = []string{Deliver, Defer, Hangup, Wake, Crash, PowerLoss, Start, Alarm, Skew, Pause, Resume, Signal, Exit, Send}

// Fault reports whether the decision is something going wrong, rather than
// a program going on.
func (d Decision) Fault() bool {
	switch d.Verb {
	case Crash, PowerLoss, Defer, Hangup, Skew, Pause, Signal:
		return true
	}
	return false
}

// FaultKind is what counts of faults call this one: its verb, or "node-crash".
func (d Decision) FaultKind() string {
	if d.Verb == Crash && d.OfNode() {
		return "node-crash"
	}
	return d.Verb
}

// OfNode reports whether the decision is about a whole node, or the server, not
// about one program.
func (d Decision) OfNode() bool { return !strings.Contains(d.Process, "/") }

// timely reports whether the decision moves the time to when a process is due.
func (d Decision) timely() bool { return d.Verb == Wake || d.Verb == Alarm }

// interrupts reports whether a program, by its label, gets a signal by the decision,
// or a timer of it runs out: what it does next may be another thing then.
func (d Decision) interrupts(program string) bool {
	switch d.Verb {
	case Signal, Alarm:
		return Program(d.Process) == program
	case "kill":
		return len(d.Names) > 0 && Program(d.Names[0]) == program
	}
	return false
}

// Answer reports whether the decision is what the mail sink answers to a
// message.
func (d Decision) Answer() bool {
	return d.Verb == Deliver || d.Verb == Defer || d.Verb == Hangup
}

// A Resource is what a step reads or writes: a directory entry, an inode's
// data or attributes, a clock, a mail sink. Equal strings are the same
// resource.
type Resource string

// A Footprint is all that a step reads and writes. Two steps of different
// processes are independent when neither writes what the other touches, unless
// both only add to it.
type Footprint struct {
	Reads, Writes []Resource
	// Adds are writes of which each leaves the other's effect alone, so that
	// their order cannot matter: entries that two steps add to one directory,
	// under different names. With a read or a write of the same resource
	// their order matters.
	Adds []Resource
}

// Conflicts reports whether the order of two steps with these footprints can
// matter.
func (f Footprint) Conflicts(g Footprint) bool {
	return meets(f.Writes, g.Writes) ||
		meets(f.Writes, g.Reads) || meets(f.Reads, g.Writes) ||
		meets(f.Adds, g.Reads) || meets(f.Reads, g.Adds) ||
		meets(f.Adds, g.Writes) || meets(f.Writes, g.Adds)
}

func meets(a, b []Resource) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

// An Option is a decision that is possible now.
type Option struct {
	Decision
	// Restart says that a start brings back what a crash took; strategies
	// treat it as part of the fault's cost, not as a fault of its own.
	Restart bool
	// Early says that this wake-up need not come yet: something else can
	// still happen without it. A program may be slow, never early, so
	// choosing it now is allowed.
	Early bool
	// Wide says that this fault is not of one program: it is of a node, or of the
	// server.
	Wide bool
}
