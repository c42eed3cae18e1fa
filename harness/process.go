package harness

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/history"
	"screwtape/harness/node"
	"screwtape/harness/share"
)

// A Process is a program of the test or a child of one.
type Process struct {
	label   string
	program *Program // nil for a child
	parent  *Process // nil for a program
	host    *host
	index   int // of the program in the test
	life

	starts int         // in this life of the world since it was last fresh
	exits  int         // of these, how many ended by themselves
	part   *node.Group // of a program that was paused: where it is frozen, with its children

	output  int      // read end of its output; 0 when closed
	partial []byte   // of a line that has not ended yet
	unborn  *os.File // the other end, for the process that will be forked
	// greeting is what it wrote while it started, before the schedule began.
	greeting []history.Line
}

// A life is what there is of a process from its start to its end, and of it alone.
type life struct {
	alive    bool
	starting bool // launched, and its exec has not come yet
	killed   bool // and its end was not reported yet
	pid      int  // as the controller sees it; 0 while starting
	inner    int  // in its node
	status   unix.WaitStatus
	said     string // the last line of its output

	threads  []*Thread // in order of birth
	born     int       // threads so far, for labels
	children int       // children so far, for labels
	settled  int       // of these, how many when it was first idle
	laidOut  bool      // it has changed the share before that
	forks    int       // of a program: threads and children of all its tree so far, for pids
	ran      uint64    // how often its threads have run, but for sysmon
	round    uint64    // how often sysmon had, when any of the others last ran
	relist   bool      // it may have threads or children that are not known
	exiting  bool      // it has called exit_group(2)

	mutated bool // its last step changed something that others can see, or it has taken none in this schedule
	paused  bool // nothing of it goes on, see pause
	told    bool // an administrator sent it a signal
	poked   bool // a signal was sent to it, or one that it has pending may have been unblocked, since all was at rest

	timed    bool       // it is in virtual time
	begun    bool       // timed: its vDSO is switched off
	compiled int        // whether its program is a Go program, see goProgram
	timers   []*timer   // that it has set, by name
	created  int        // timers that it has made by timer_create(2)
	random   *rand.Rand // what it gets from getrandom(2)
	acted    bool       // it has made a call on the share
}

// A Thread is one thread of a process, and the call that it is in.
type Thread struct {
	tid   int
	label string
	proc  *Process

	call    *call          // what it is about to do or is doing
	trap    *node.Held     // the call waits at its entry
	request *share.Request // the call waits at this request
	mount   *share.Mount   // of request
	asleep  bool           // the call is a sleep
	until   time.Duration  // asleep: the virtual time of its wake-up
	sleep   time.Duration  // asleep: how long
	remain  uint64         // asleep: where a signal has what is left of it written; 0 is nowhere
	wait    *wait          // asleep: what else it waits for, or nil
	seen    look           // what the last look showed
	sysmon  bool           // it was Go's sysmon, between two rounds
	maker   *Thread        // the one that forked it; nil for a program's first
	rounds
}

// held reports whether the thread waits for a decision.
func (t *Thread) held() bool { return t.trap != nil || t.request != nil }

// held reports whether any thread of the process waits for a decision.
func (p *Process) held() bool {
	for _, t := range p.threads {
		if t.held() {
			return true
		}
	}
	return false
}

// idle reports whether the program and its children do nothing but sleep, or wait
// in the kernel for one that does, as a shell waits for its child: were all at
// rest now, only time could make a difference to them, or a client to one that
// listens for some.
func (w *World) idle(p *Process) bool {
	asleep := false
	for _, q := range w.family(p) {
		if q.host.mail.holding(q.label) != nil {
			return false
		}
		for _, t := range q.threads {
			if t.held() && !t.asleep {
				return false
			}
			asleep = asleep || t.asleep
		}
	}
	return asleep || slices.ContainsFunc(w.family(p), w.listens)
}

// sleeper is a thread of the process that sleeps, or nil.
func (p *Process) sleeper() *Thread {
	for _, t := range p.threads {
		if t.asleep {
			return t
		}
	}
	return nil
}

// oneThread reports whether the process is one of a program that is OneThread.
func (p *Process) oneThread() bool {
	root := p.root()
	return root.program != nil && root.program.OneThread
}

// root is the program that the process is, or comes from; of an orphan, itself.
func (p *Process) root() *Process {
	for p.parent != nil {
		p = p.parent
	}
	return p
}

func (p *Process) descends(from *Process) bool {
	for q := p.parent; q != nil; q = q.parent {
		if q == from {
			return true
		}
	}
	return false
}

// family is the program and what has come of it and lives.
func (w *World) family(p *Process) []*Process {
	list := []*Process{p}
	for _, q := range w.others {
		if q.alive && !q.killed && q.descends(p) {
			list = append(list, q)
		}
	}
	return list
}

func (w *World) all() []*Process { return append(slices.Clone(w.programs), w.others...) }

// actor is the process with that label, or the one that the thread with that
// label belongs to.
func (w *World) actor(label string) *Process {
	label, _, _ = strings.Cut(label, "#")
	for _, p := range w.all() {
		if p.label == label {
			return p
		}
	}
	return nil
}

// process finds a living process by its number.
func (w *World) process(pid int) *Process {
	for _, p := range w.programs {
		if p.alive && p.pid == pid {
			return p
		}
	}
	for _, p := range w.others {
		if p.pid == pid {
			return p
		}
	}
	for _, h := range w.hosts {
		if h.forker != nil && h.forker.proc.pid == pid {
			return h.forker.proc
		}
	}
	return nil
}

func (w *World) anyProcess() *Process {
	for _, p := range w.programs {
		if p.alive {
			return p
		}
	}
	if len(w.others) > 0 {
		return w.others[0]
	}
	return nil // the last one has just ended
}

// lastLine is the last line that the process has written, for an error to end
// with.
func (p *Process) lastLine() string {
	if p.said == "" {
		return ""
	}
	return "; it said: " + p.said
}
