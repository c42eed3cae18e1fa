package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// signalNames are the names of a call that sends a signal: to whom, and which.
// kill(2) reaches only processes of its own pid namespace, which is a node's.
func (w *World) signalNames(t *Thread, h *node.Held) []string {
	sig := unix.SignalName(unix.Signal(h.Args[1]))
	if sig == "" {
		sig = strconv.Itoa(int(h.Args[1])) // 0 only asks whether it is there
	}
	if h.Nr != unix.SYS_KILL {
		return []string{"pidfd", sig}
	}
	pid := int(int32(h.Args[0]))
	if p := w.inNode(t.proc.host, pid); p != nil {
		return []string{p.label, sig}
	}
	return []string{fmt.Sprintf("pid-%d", pid), sig}
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

// sent deals with what a kill(2) that was let happen does to its target.
func (w *World) sent(names []string) {
	if p := w.actor(names[0]); p != nil && p.alive {
		w.signalled(p, unix.SignalNum(names[1]))
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
