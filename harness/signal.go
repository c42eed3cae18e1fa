package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// A signalling is what a call asks for that sends a signal.
type signalling struct {
	pid, tid int // to whom: a process as kill(2) takes it, or one of its threads
	sig      unix.Signal
}

func signallingOf(h *node.Held) signalling {
	arg := func(i int) int { return int(int32(h.Args[i])) }
	switch h.Nr {
	case unix.SYS_TKILL:
		return signalling{tid: arg(0), sig: unix.Signal(arg(1))}
	case unix.SYS_TGKILL, unix.SYS_RT_TGSIGQUEUEINFO:
		return signalling{pid: arg(0), tid: arg(1), sig: unix.Signal(arg(2))}
	}
	return signalling{pid: arg(0), sig: unix.Signal(arg(1))} // kill(2), sigqueue(3), pidfd_send_signal(2)
}

// signalTargets are the processes that a call sends a signal to, and its names
// on a tape: to whom, and which signal. kill(2) reaches only processes of its own
// pid namespace, which is a node's. What a process sends to a thread of its own,
// as raise(3) and many a runtime do, is ordinary.
func (w *World) signalTargets(t *Thread, h *node.Held) (targets []*Process, names []string, ordinary bool) {
	s := signallingOf(h)
	sig := unix.SignalName(s.sig)
	if sig == "" {
		sig = strconv.Itoa(int(s.sig)) // 0 only asks whether it is there
	}
	to := fmt.Sprintf("pid-%d", s.pid)
	switch {
	case h.Nr == unix.SYS_PIDFD_SEND_SIGNAL:
		to = "pidfd"
		if p := w.process(pidOf(t.tid, s.pid)); p != nil {
			targets = append(targets, p)
		}
	case s.tid != 0:
		to = fmt.Sprintf("tid-%d", s.tid)
		if p := w.ofThread(t, s); p != nil {
			targets = append(targets, p)
			ordinary = p == t.proc
		}
	case s.pid > 0:
		if p := w.inNode(t.proc.host, s.pid); p != nil {
			targets = append(targets, p)
		}
	default:
		to = "group"
		group := groupOf(t.proc.pid)
		if leader := w.inNode(t.proc.host, -s.pid); s.pid < -1 && leader != nil {
			group = leader.pid
		}
		for _, p := range w.all() {
			if p.host == t.proc.host && p.alive && (s.pid == -1 && p != t.proc || s.pid != -1 && groupOf(p.pid) == group) {
				targets = append(targets, p)
			}
		}
	}
	if len(targets) == 1 && to != "group" {
		to = targets[0].label
	}
	return targets, []string{to, sig}, ordinary
}

// ofThread is the living process of the thread that a signal is for; the
// sender's own in most cases.
func (w *World) ofThread(sender *Thread, s signalling) *Process {
	if s.pid == sender.proc.innerPID() {
		return sender.proc
	}
	for _, p := range w.all() {
		if p.host == sender.proc.host && p.alive && p.inner != 0 && p.threadInNode(s.tid) != nil {
			return p
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

// pidOf is the process that a pidfd of a thread stands for, as we see it, or 0.
func pidOf(tid, fd int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", tid, fd))
	_, rest, _ := strings.Cut(string(b), "\nPid:")
	line, _, _ := strings.Cut(rest, "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	return pid
}

// groupOf is the process group of a process, as we see it; see
// proc_pid_stat(5).
func groupOf(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	if f := strings.Fields(rest); len(f) > 2 {
		group, _ := strconv.Atoi(f[2])
		return group
	}
	return 0
}

// inNode is the living process that has this pid in its node.
func (w *World) inNode(h *host, pid int) *Process {
	for _, p := range w.all() {
		if p.host == h && p.alive && p.innerPID() == pid {
			return p
		}
	}
	return nil
}

// innerPID is the process's pid in its node.
func (p *Process) innerPID() int {
	if p.inner == 0 {
		s, err := readStatus(p.pid)
		if err == nil {
			p.inner = s.inner
		}
	}
	return p.inner
}

// sent deals with what a kill(2) that was let happen does to its targets.
func (w *World) sent(c *call) {
	for _, p := range c.targets {
		if p.alive {
			w.signalled(p, unix.SignalNum(c.names[1]))
		}
	}
}

// signalled deals with what a signal does to a process: one that it kills is
// waited for, and a sleep that a handler interrupts will be found when all is at
// rest. One that it merely has pending finds it in its own time.
func (w *World) signalled(p *Process, sig unix.Signal) {
	if sig == 0 || len(p.threads) == 0 {
		return
	}
	p.poked = true
	if !fatal(sig) || p.paused && sig != unix.SIGKILL {
		return
	}
	bit := uint64(1) << (sig - 1)
	blocked := bit
	for _, t := range p.threads {
		s, err := readSignals(t.tid)
		if err != nil {
			continue // it has ended
		}
		if (s.ignored|s.caught)&bit != 0 {
			return
		}
		blocked &= s.blocked
	}
	if blocked == 0 {
		w.doomed(p)
	}
}

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

// fatal reports whether a signal that is not handled ends a process.
func fatal(sig unix.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return false
	}
	return true
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
