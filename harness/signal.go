package harness

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// A signal is what a call sends, and to whom.
type signal struct {
	number  unix.Signal
	sender  *Thread
	targets []*Process
	thread  *Thread    // of the only target: it alone gets it; nil where the process does
	dying   []*Process // of the targets, once it is let happen: whom it kills
}

// addressee is to whom a call sends a signal: a process as kill(2) takes it, or
// one of its threads.
type addressee struct{ pid, tid int }

func addressed(h *node.Held) (addressee, unix.Signal) {
	arg := func(i int) int { return int(int32(h.Args[i])) }
	switch h.Nr {
	case unix.SYS_TKILL:
		return addressee{tid: arg(0)}, unix.Signal(arg(1))
	case unix.SYS_TGKILL, unix.SYS_RT_TGSIGQUEUEINFO:
		return addressee{pid: arg(0), tid: arg(1)}, unix.Signal(arg(2))
	}
	return addressee{pid: arg(0)}, unix.Signal(arg(1)) // kill(2), sigqueue(3), pidfd_send_signal(2)
}

// signalOf is the signal that a call sends, and its names on a tape: to whom, and
// which it is. kill(2) reaches only processes of its own pid namespace, which is a
// node's. What a process sends to a thread of its own, as raise(3) and many a
// runtime do, is ordinary.
func (w *World) signalOf(t *Thread, h *node.Held) (s *signal, names []string, ordinary bool) {
	a, sig := addressed(h)
	s = &signal{number: sig, sender: t}
	name := unix.SignalName(sig)
	if name == "" {
		name = strconv.Itoa(int(sig)) // 0 only asks whether it is there
	}
	to := fmt.Sprintf("pid-%d", a.pid)
	var p *Process
	switch {
	case h.Nr == unix.SYS_PIDFD_SEND_SIGNAL:
		to = "pidfd"
		if pid := fdinfo(strconv.Itoa(t.tid), a.pid, "Pid"); pid > 0 {
			p = w.process(pid)
		}
	case a.tid != 0:
		to = fmt.Sprintf("tid-%d", a.tid)
		if a.pid == t.proc.inner {
			p, ordinary = t.proc, true
		} else if s.thread = w.threadInNode(t.proc.host, a); s.thread != nil {
			p, ordinary = s.thread.proc, s.thread.proc == t.proc
		}
	case a.pid > 0:
		if p = w.inNode(t.proc.host, a.pid); p == nil {
			w.discover() // it may be a child that has done nothing yet
			p = w.inNode(t.proc.host, a.pid)
		}
	default:
		w.discover()
		s.targets = w.group(t.proc, a.pid)
		return s, []string{"group", name}, false
	}
	if p != nil {
		s.targets, to = []*Process{p}, p.label
	}
	return s, []string{to, name}, ordinary
}

// group are the living processes that kill(2) reaches by a pid that is not that of
// one of them: 0, -1 or that of a process group with a minus.
func (w *World) group(sender *Process, pid int) (list []*Process) {
	leader := func(p *Process) int {
		s, _ := readStatus(p.pid)
		return s.leader
	}
	want := -pid
	if pid == 0 {
		want = leader(sender)
	}
	for _, p := range w.all() {
		if p.host == sender.host && p.alive && (pid == -1 && p != sender || pid != -1 && leader(p) == want) {
			list = append(list, p)
		}
	}
	return list
}

// inNode is the living process that has this pid in its node.
func (w *World) inNode(h *host, pid int) *Process {
	for _, p := range w.all() {
		if p.host == h && p.alive && p.inner == pid {
			return p
		}
	}
	return nil
}

// threadInNode is the thread of a living process that a signal is for; its process
// need not be said.
func (w *World) threadInNode(h *host, a addressee) *Thread {
	for _, p := range w.all() {
		if p.host != h || !p.alive || a.pid != 0 && p.inner != a.pid {
			continue
		}
		w.listThreads(p)
		if t := p.threadInNode(a.tid); t != nil {
			return t
		}
	}
	return nil
}

// threadInNode is the process's thread that has this number in its node.
func (p *Process) threadInNode(tid int) *Thread {
	for _, t := range p.threads {
		if s, err := readStatus(t.tid); err == nil && s.inner == tid {
			return t
		}
	}
	return nil
}

// aim notes whom the signal will kill when it is sent now, and is the error with
// which the kernel refuses to send it.
func (s *signal) aim() (refused unix.Errno) {
	s.dying, refused = nil, unix.ESRCH
	for _, p := range s.targets {
		if !p.alive || s.thread != nil && !slices.Contains(p.threads, s.thread) {
			continue
		}
		if !s.permitted(p) {
			refused = min(refused, unix.EPERM)
			continue
		}
		refused = 0
		if p.diesOf(s.number, s.thread) {
			s.dying = append(s.dying, p)
		}
	}
	if refused == 0 && s.number != 0 && !valid(s.number) {
		return unix.EINVAL
	}
	return refused
}

// permitted reports whether the sender may send the process the signal, as kill(2)
// has it.
func (s *signal) permitted(p *Process) bool {
	if p == s.sender.proc {
		return true
	}
	from, err := readStatus(s.sender.tid)
	to, err2 := readStatus(p.pid)
	if err != nil || err2 != nil {
		return true // one of them has ended
	}
	return from.capabilities&(1<<unix.CAP_KILL) != 0 ||
		slices.Contains([]int{to.uid.real, to.uid.saved}, from.uid.real) ||
		slices.Contains([]int{to.uid.real, to.uid.saved}, from.uid.effective) ||
		s.number == unix.SIGCONT && from.session == to.session
}

// sent deals with what a signal that a call has sent does to its targets.
func (w *World) sent(s *signal) {
	for _, p := range s.targets {
		if p.alive && s.number != 0 {
			w.signalled(p, slices.Contains(s.dying, p))
		}
	}
}

// AdminSignals are the signals that an administrator sends to daemons, by their
// names in signal(7) without SIG. Of the others SIGKILL is a crash, those that stop
// a process are a pause, and the rest come from the kernel.
var AdminSignals = []string{"HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"}

// tell sends the program a signal from outside its node, by its name.
func (w *World) tell(p *Process, name string) error {
	sig := unix.SignalNum("SIG" + name)
	dies := p.diesOf(sig, nil)
	if err := unix.Kill(p.pid, sig); err != nil {
		return fmt.Errorf("send %s to %s: %w", name, p.label, err)
	}
	p.told = true
	w.signalled(p, dies)
	return nil
}

// signalled deals with what a signal does to a process: one that dies of it is
// waited for, and a sleep that a handler interrupts will be found when all is at
// rest. One that it merely has pending finds it in its own time.
func (w *World) signalled(p *Process, dies bool) {
	p.poked = true
	if !dies {
		return
	}
	if p.paused && p.root().part != nil {
		p.host.Group.Add(p.pid) // with cgroups of version 1 it dies only when it goes on
	}
	w.doomed(p)
}

// diesOf reports whether the process will die of a signal that is sent to it, or
// to this one of its threads. Ask before that, when all is at rest: afterwards who
// waited for it has taken it, and a handler for one signal alone is there no more.
func (p *Process) diesOf(sig unix.Signal, to *Thread) bool {
	if !fatal(sig) || p.paused && sig != unix.SIGKILL {
		return false
	}
	threads := p.threads
	if to != nil {
		threads = []*Thread{to}
	}
	dies := false
	for _, t := range threads {
		s, err := readSignals(t.tid)
		if err != nil {
			continue // it has ended
		}
		if (s.ignored|s.caught)&bit(sig) != 0 {
			return false
		}
		// While a thread waits for signals the kernel does not block them.
		dies = dies || (s.blocked|node.AwaitedSignals(t.tid))&bit(sig) == 0
	}
	return dies
}

// diesNow reports whether the process will die of a signal that it was sent while
// it was paused.
func (p *Process) diesNow() bool {
	for _, t := range p.threads {
		s, err := readSignals(t.tid)
		if err != nil {
			continue
		}
		for sig := unix.Signal(1); valid(sig); sig++ {
			if s.own&bit(sig) != 0 && p.diesOf(sig, t) || s.shared&bit(sig) != 0 && p.diesOf(sig, nil) {
				return true
			}
		}
	}
	return false
}

// bit is a signal's place in a set of signals.
func bit(sig unix.Signal) uint64 { return 1 << (sig - 1) }

// valid reports whether there is such a signal.
func valid(sig unix.Signal) bool { return 1 <= sig && sig <= 64 }

// runtimes are the signals that a language's runtime sends to its own threads at
// times that nobody decides; Go preempts by SIGURG. They end no sleep.
const runtimes = 1 << (unix.SIGURG - 1)

// interrupted ends those sleeps of a process to which signals were sent that a
// handler interrupts, with EINTR (signal(7)), and reports whether there were
// any. Of a signal for the whole process the kernel chooses the first thread
// that does not block it; if that does not sleep it goes there and interrupts
// nobody.
func (p *Process) interrupted(now time.Duration) bool {
	if !p.poked {
		return false
	}
	p.poked = false
	any := false
	taken := uint64(0) // of those for the process
	for _, t := range p.threads {
		s, err := readSignals(t.tid)
		if err != nil {
			continue
		}
		awaited := uint64(0)
		if t.asleep && t.wait != nil {
			awaited = t.wait.signals
			if t.wait.mask != nil {
				s.blocked = *t.wait.mask
			}
		}
		pending := (s.own | s.shared&^taken) & (awaited | s.caught&^s.blocked) &^ runtimes
		taken |= awaited | ^s.blocked
		switch {
		case pending == 0 || !t.asleep:
			continue
		case awaited != 0 || t.wait != nil && t.wait.mask != nil:
			t.stopWaiting() // the kernel will find it under the mask
		default:
			if left := t.proc.host.counts(max(t.until-now, 0)); t.remain != 0 {
				node.WriteWords(t.tid, t.remain, uint64(left/time.Second), uint64(left%time.Second))
			}
			t.endSleep(unix.EINTR)
		}
		any = true
	}
	return any
}

// fatal reports whether there is such a signal and it ends a process that does not
// handle it.
func fatal(sig unix.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return false
	}
	return valid(sig)
}

// signals are what proc_pid_status(5) says of a thread's signals, each a set.
type signals struct {
	own, shared uint64 // pending, for the thread and for its process
	blocked     uint64
	ignored     uint64
	caught      uint64
}

func readSignals(tid int) (s signals, err error) {
	b, err := node.ReadProc("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return s, err
	}
	sets := map[string]*uint64{"SigPnd": &s.own, "ShdPnd": &s.shared, "SigBlk": &s.blocked, "SigIgn": &s.ignored, "SigCgt": &s.caught}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		if set := sets[key]; set != nil {
			*set, _ = strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return s, nil
}
