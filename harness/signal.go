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

// signalTargets are the processes that a call sends a signal to, and its names
// on a tape: to whom, and which signal. kill(2) reaches only processes of its own
// pid namespace, which is a node's.
func (w *World) signalTargets(t *Thread, h *node.Held) (targets []*Process, names []string) {
	sig := unix.SignalName(unix.Signal(h.Args[1]))
	if sig == "" {
		sig = strconv.Itoa(int(h.Args[1])) // 0 only asks whether it is there
	}
	pid := int(int32(h.Args[0]))
	to := fmt.Sprintf("pid-%d", pid)
	switch {
	case h.Nr == unix.SYS_PIDFD_SEND_SIGNAL:
		to = "pidfd"
		if p := w.process(pidOf(t.tid, pid)); p != nil {
			targets = append(targets, p)
		}
	case pid > 0:
		if p := w.inNode(t.proc.host, pid); p != nil {
			targets = append(targets, p)
		}
	default:
		to = "group"
		group := groupOf(t.proc.pid)
		if leader := w.inNode(t.proc.host, -pid); pid < -1 && leader != nil {
			group = leader.pid
		}
		for _, p := range w.all() {
			if p.host == t.proc.host && p.alive && (pid == -1 && p != t.proc || pid != -1 && groupOf(p.pid) == group) {
				targets = append(targets, p)
			}
		}
	}
	if len(targets) == 1 && to != "group" {
		to = targets[0].label
	}
	return targets, []string{to, sig}
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
		s, err := readSignals(p.pid)
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
// waited for, and a sleep that a handler interrupts ends with EINTR
// (signal(7)). One that it merely has pending finds it in its own time.
func (w *World) signalled(p *Process, sig unix.Signal) {
	s, err := readSignals(p.pid)
	if err != nil || sig == 0 {
		return
	}
	bit := uint64(1) << (sig - 1)
	switch {
	case s.blocked&bit != 0 || s.ignored&bit != 0:
	case s.caught&bit != 0:
		for _, t := range p.threads {
			if t.asleep {
				if left := max(t.until-w.now, 0); t.remain != 0 {
					node.WriteWords(t.tid, t.remain, uint64(left/time.Second), uint64(left%time.Second))
				}
				t.endSleep(unix.EINTR)
				break // the kernel picks one thread of the process
			}
		}
	case fatal(sig):
		w.doomed(p)
	}
}

// fatal reports whether a signal that is not handled ends a process.
func fatal(sig unix.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return false
	}
	return true
}

// signals are the masks of a process, from proc_pid_status(5).
type signals struct {
	inner                    int
	blocked, ignored, caught uint64
}

func readSignals(pid int) (s signals, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "NSpid":
			f := strings.Fields(value)
			s.inner, _ = strconv.Atoi(f[len(f)-1])
		case "SigBlk":
			s.blocked, _ = strconv.ParseUint(value, 16, 64)
		case "SigIgn":
			s.ignored, _ = strconv.ParseUint(value, 16, 64)
		case "SigCgt":
			s.caught, _ = strconv.ParseUint(value, 16, 64)
		}
	}
	return s, nil
}
