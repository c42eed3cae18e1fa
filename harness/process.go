package harness

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
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

	alive    bool
	starting bool // launched, and its exec has not come yet
	killed   bool // and its end was not reported yet
	pid      int  // as the controller sees it; 0 while starting
	inner    int  // in its node
	starts   int  // in this life of the world since it was last fresh
	exits    int  // of these, how many ended by themselves
	status   unix.WaitStatus

	threads  []*Thread // in order of birth
	born     int       // threads so far, for labels
	children int       // children so far, for labels
	settled  int       // of these, how many when it was first idle
	forks    int       // of a program: threads and children of all its tree so far, for pids
	ran      uint64    // how often its threads have run, but for sysmon
	round    uint64    // how often sysmon had, when any of the others last ran
	relist   bool      // it may have threads or children that are not known
	exiting  bool      // it has called exit_group(2)

	part *node.Group // of a program that was paused: where it is frozen, with its children

	output  int      // read end of its output; 0 when closed
	partial []byte   // of a line that has not ended yet
	said    string   // the last line of it
	unborn  *os.File // the other end, for the process that will be forked
	// greeting is what it wrote while it started, before the schedule began.
	greeting []history.Line

	mutated bool // its last step changed something that others can see, or it has taken none in this schedule
	paused  bool // nothing of it goes on, see pause
	poked   bool // a signal was sent to it, or one that it has pending may have been unblocked, since all was at rest

	timed    bool       // it is in virtual time
	begun    bool       // timed: its vDSO is switched off
	compiled int        // whether its program is a Go program, see goProgram
	timers   []*timer   // that it has set, by name
	created  int        // timers that it has made by timer_create(2)
	random   *rand.Rand // what it gets from getrandom(2)
	acted    bool       // it has made a call on the share since it was started
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

// sleeping reports whether the process does nothing but sleep.
func (p *Process) sleeping() bool {
	asleep := false
	for _, t := range p.threads {
		if t.held() && !t.asleep {
			return false
		}
		asleep = asleep || t.asleep
	}
	return asleep
}

// lastLine is the last line that the process has written, for an error to end
// with.
func (p *Process) lastLine() string {
	if p.said == "" {
		return ""
	}
	return "; it said: " + p.said
}

// start launches the program. Its pid in the node depends on nothing but how
// often it was started since the world was last fresh, so it repeats.
func (w *World) start(p *Process) error {
	if p.alive {
		return fmt.Errorf("%s is running already", p.label)
	}
	r, wr, err := outputPipe()
	if err != nil {
		return err
	}
	p.closeOutput(w) // what an earlier start left behind may still hold the other end
	p.output = r
	if err := w.watch(r, func() error { return w.onOutput(p) }); err != nil {
		wr.Close()
		return err
	}
	p.alive, p.starting, p.killed, p.pid, p.threads = true, true, false, 0, nil
	p.born, p.children, p.settled, p.mutated, p.paused, p.said = 0, 0, 0, false, false, ""
	p.random, p.poked = nil, false
	p.timed, p.begun, p.compiled, p.acted = p.program.Timed, false, 0, false
	p.inner = pidsOfProgram*(p.index+1) + pidsOfStart*p.starts
	p.forks, p.exiting = 0, false
	p.starts++
	if p.program.Fork != "" {
		p.unborn = wr
		return p.host.forker.tell(p.program.Fork)
	}
	defer wr.Close()
	p.host.launching++
	l := node.Launch{
		Path: p.program.Path, Args: p.program.Args, Dir: cmp.Or(p.program.Dir, "/"),
		Env: p.program.Env, PID: p.inner, Output: wr, Filter: p.program.filter(),
	}
	if f := p.host.forker; f != nil && f.proc == p {
		l.Input, l.Apart = f.lines, true
	}
	return p.host.Launch(l)
}

// filter says which calls of the program are trapped.
func (p *Program) filter() node.Filter {
	switch {
	case p.Single:
		return node.Direct
	case p.Timed:
		return node.Timed
	}
	return node.Plain
}

// began notes that a process which was being started has begun its program.
func (w *World) began(p *Process) {
	p.starting = false
	if p.host.Group != nil {
		p.host.Group.Join(p.pid)
	}
}

// pidsOfStart is how many pids each start of a program has for itself and what
// it forks; those of any further children follow from what else runs.
// A program has room for so many starts that they do not reach the next one's.
const (
	pidsOfStart   = 50
	pidsOfProgram = 1000
)

// kill ends the process and its children now; what they were held at does not
// happen.
func (w *World) kill(p *Process) {
	if p.alive && p.pid != 0 {
		// Before its children, lest it says something of their end.
		unix.Kill(p.pid, unix.SIGKILL)
		w.doomed(p)
	}
	for _, c := range w.family(p)[1:] {
		w.kill(c)
	}
	if p.part != nil {
		p.part.Thaw() // lest they die only then
	}
}

// doomed notes that a process is about to die of a signal. What it was held at
// does not happen.
func (w *World) doomed(p *Process) {
	p.host.mail.abandon(p.label)
	p.killed = true
	for _, t := range p.threads {
		if t.request != nil {
			// A request that is not answered keeps its process from dying.
			t.mount.Refuse(t.request, unix.EINTR)
		}
		t.wait.close()
		t.trap, t.request, t.call, t.asleep, t.wait = nil, nil, nil, false, nil
	}
}

// gone notes that the process has ended.
func (w *World) gone(p *Process) {
	for _, t := range p.threads {
		if w.threads[t.tid] == t {
			delete(w.threads, t.tid)
		}
	}
	for _, t := range p.threads {
		t.wait.close()
	}
	p.dropTimers(func(*timer) bool { return false })
	p.created = 0
	p.alive, p.starting, p.threads = false, false, nil
	if p.program == nil {
		w.others = slices.DeleteFunc(w.others, func(o *Process) bool { return o == p })
	}
}

// thread finds the thread with this number, or learns of it: a thread or a
// child that has not been seen yet. It is nil for one that belongs to no
// program, such as a node's agent, or has died.
func (w *World) thread(h *host, tid int) *Thread {
	if t := w.threads[tid]; t != nil {
		return t
	}
	status, err := readStatus(tid)
	if err != nil || status.group == h.AgentPID() || tid == h.AgentPID() {
		return nil
	}
	p := w.process(status.group)
	if p == nil {
		if p = w.newborn(h, status); p == nil {
			return nil
		}
	}
	if p.pid == 0 {
		p.pid = status.group
	}
	if tid != p.pid && p.born == 0 {
		w.thread(h, p.pid) // it was born first
	}
	return w.addThread(p, tid, status.inner)
}

// addThread adds a thread to its process. Inner is its number in the node.
func (w *World) addThread(p *Process, tid, inner int) *Thread {
	p.born++
	t := &Thread{tid: tid, proc: p, label: p.label}
	makers := p.threads
	if p.born > 1 {
		t.label += "#" + strconv.Itoa(p.born)
	} else if p.parent != nil {
		makers = p.parent.threads
	}
	if len(makers) > 0 {
		t.maker = makers[0]
	}
	if b := p.host.births[inner]; b != nil {
		t.maker, b.seen = b.maker, true
	}
	if t.maker != nil {
		t.rounds = t.maker.rounds
	}
	p.threads = append(p.threads, t)
	w.threads[tid] = t
	return t
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

// newborn says which process a number that was not known stands for: the
// program that is being started, or a new child of a known process.
func (w *World) newborn(h *host, s status) *Process {
	if s.parent == h.AgentPID() {
		for _, p := range w.programs {
			if p.host == h && p.starting && p.pid == 0 && p.program.Fork == "" {
				return p
			}
		}
	}
	parent := w.process(s.parent)
	if parent != nil && h.forker.midwife(parent) {
		return w.forkedProgram(h, s.group)
	}
	label := h.Name + "/orphan"
	if b := h.births[s.inner]; b != nil && b.label != "" {
		parent, label = b.maker.proc, b.label
	} else if parent != nil {
		label = parent.label + "." + strconv.Itoa(parent.children)
	} else if s.parent != h.AgentPID() {
		return nil
	}
	child := &Process{label: label, parent: parent, host: h, alive: true, pid: s.group, inner: s.inner, relist: true}
	if parent != nil {
		child.timed = parent.timed
	}
	w.others = append(w.others, child)
	return child
}

// fork notes that a thread makes another, or a child, and lets it do so with a
// pid that repeats. Children are numbered as they are asked for: those from
// before are known by now, so that one that is not is the last one.
func (w *World) fork(t *Thread, h *node.Held) error {
	p := t.proc
	p.relist = true
	if p.program != nil && p.program.Single {
		return w.forkAs(p.host, fork{h, 0}) // it makes threads alone, which nobody sees
	}
	b := &birth{maker: t}
	if !newThread(t.tid, h) {
		if p.children > 0 {
			w.discover()
		}
		p.children++
		b.label = p.label + "." + strconv.Itoa(p.children)
	}
	if forker := p.host.forker; forker != nil && forker.ready {
		switch {
		case p == forker.proc:
			return w.forkAs(p.host, fork{h, p.inner + 1})
		case forker.midwife(p):
			return w.forkProgram(p.host, h)
		}
	}
	if pid := chosenPID(t.tid, h); pid != 0 {
		p.host.births[pid], t.call.birth = b, b
		return w.forkAs(p.host, fork{h, 0})
	}
	root := p.root()
	root.forks++
	if root.program == nil || root.forks >= pidsOfStart {
		return w.forkAs(p.host, fork{h, 0})
	}
	pid := root.inner + root.forks
	p.host.births[pid], t.call.birth = b, b
	return w.forkAs(p.host, fork{h, pid})
}

// A birth is what a fork that was asked for will make: by its pid it is known
// whose child it is, also when several threads fork at once.
type birth struct {
	maker *Thread
	label string // of a process
	seen  bool   // it has come about
}

// root is the program that the process is, or comes from; of an orphan, itself.
func (p *Process) root() *Process {
	for p.parent != nil {
		p = p.parent
	}
	return p
}

// A fork waits for the node's agent to set the pid that it will get; with 0 it
// may have any, and waits only for those before it.
type fork struct {
	held *node.Held
	pid  int
}

// forkAs lets a fork go on in its turn. Whatever takes a pid on a node does so
// one after the other, starts of programs too: in between, one could take the
// other's.
func (w *World) forkAs(h *host, f fork) error {
	h.forks = append(h.forks, f)
	if len(h.forks) == 1 && h.launching == 0 {
		return w.forkNext(h)
	}
	return nil
}

// forkNext has the pid set for the first of the forks that wait, and lets those
// go on that need none.
func (w *World) forkNext(h *host) error {
	for len(h.forks) > 0 {
		if pid := h.forks[0].pid; pid != 0 {
			return h.SetNextPID(pid)
		}
		w.forked(h)
	}
	return nil
}

// forked lets the first of the forks that wait go on.
func (w *World) forked(h *host) {
	h.forks[0].held.Continue()
	h.forks = h.forks[1:]
}

// newThread reports whether a call makes a thread, not a process.
func newThread(tid int, h *node.Held) bool {
	switch h.Nr {
	case unix.SYS_CLONE:
		return h.Args[0]&unix.CLONE_THREAD != 0
	case unix.SYS_CLONE3:
		words, err := node.ReadWords(tid, h.Args[0], 1)
		return err == nil && words[0]&unix.CLONE_THREAD != 0
	}
	return false
}

// chosenPID is the pid that a program chooses itself for what it forks, by
// set_tid of clone3(2); 0 is none.
func chosenPID(tid int, h *node.Held) int {
	const setTID, words = 8, 10 // in struct clone_args
	if h.Nr != unix.SYS_CLONE3 || h.Args[1] < 8*words {
		return 0
	}
	args, err := node.ReadWords(tid, h.Args[0], words)
	if err != nil || args[setTID+1] == 0 {
		return 0
	}
	list, err := node.ReadBytes(tid, args[setTID], 4)
	if err != nil {
		return 0
	}
	return int(binary.LittleEndian.Uint32(list))
}

// status is what /proc/TID/status says of a thread.
type status struct {
	group, parent int
	inner         int // its number in its node
	leader        int // its process group's there
}

func readStatus(tid int) (status, error) {
	b, err := node.ReadProc("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return status{}, err
	}
	var s status
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Tgid":
			s.group, _ = strconv.Atoi(strings.TrimSpace(value))
		case "PPid":
			s.parent, _ = strconv.Atoi(strings.TrimSpace(value))
		case "NSpid":
			f := strings.Fields(value)
			s.inner, _ = strconv.Atoi(f[len(f)-1])
		case "NSpgid":
			f := strings.Fields(value)
			s.leader, _ = strconv.Atoi(f[len(f)-1])
		}
	}
	return s, nil
}

// onOutput takes in what a program has written, line by line.
func (w *World) onOutput(p *Process) error {
	var buf [32 << 10]byte
	n, err := unix.Read(p.output, buf[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if n <= 0 {
		if len(p.partial) > 0 {
			w.say(p, string(p.partial))
			p.partial = nil
		}
		p.closeOutput(w)
		return nil
	}
	p.partial = append(p.partial, buf[:n]...)
	for {
		line, rest, ok := bytes.Cut(p.partial, []byte("\n"))
		if !ok {
			return nil
		}
		w.say(p, string(line))
		p.partial = rest
	}
}

// closeOutput closes both ends of the program's output that we have.
func (p *Process) closeOutput(w *World) {
	if p.unborn != nil {
		p.unborn.Close()
		p.unborn = nil
	}
	if p.output != 0 {
		w.unwatch(p.output)
		unix.Close(p.output)
		p.output, p.partial = 0, nil
	}
}

// onEvent takes what a node's agent says of its programs.
func (w *World) onEvent(h *host) error {
	e, ok, err := h.Next()
	if err != nil || !ok {
		return err
	}
	if e.Set {
		w.forked(h)
		return w.forkNext(h)
	}
	if e.Started {
		if h.launching--; h.launching == 0 {
			if err := w.forkNext(h); err != nil {
				return err
			}
		}
	}
	if f := h.forker; f != nil && f.ready && f.proc.inner == e.PID && !e.Started {
		f.proc.status = e.Status
		return fmt.Errorf("%s, of which programs are forked, ended: %s%s", f.proc.label, exitText(f.proc), f.proc.lastLine())
	}
	for _, p := range w.programs {
		if p.host != h || !p.alive || p.inner != e.PID {
			continue
		}
		if e.Err != nil {
			w.gone(p)
			return e.Err
		}
		if !e.Started {
			p.status = e.Status
			w.ended(p)
		}
		return nil
	}
	return nil // a child that was left behind: a look at /proc shows it
}

// ended notes that a process has ended by itself or was killed, and drops what
// the mail sink still holds of it.
func (w *World) ended(p *Process) {
	p.host.mail.abandon(p.label)
	if w.play != nil {
		w.play.ended(w, p)
	}
	if !p.killed {
		p.exits++
	}
	if p.program == nil {
		w.buried[p.pid] = true
	}
	if p.parent != nil && p.parent.alive {
		w.signalled(p.parent, false) // SIGCHLD
	}
	w.gone(p)
}

// say notes a line of a program's output.
func (w *World) say(p *Process, text string) {
	p.said = text
	line := history.Line{Process: p.label, Text: text}
	if w.play == nil || !w.play.begun {
		p.greeting = append(p.greeting, line)
		return
	}
	w.play.lines = append(w.play.lines, line)
}
