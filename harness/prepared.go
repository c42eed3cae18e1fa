package harness

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// A forker is the prepared process of a node: one that has done once what every
// start of a program has in common, such as an interpreter's start and imports,
// and of which the programs are then forked.
//
// It does that by reading lines from the descriptor $SCREWTAPE_FORK (3). For
// each it forks, and the child forks again and ends, so that what is forked in
// the end is a child of the node's agent, as any program. That one is the
// program; what to do it has from the line. Its label, its pid, its output, its
// cgroup and its random numbers are those of a program that was started.
type forker struct {
	proc  *Process
	lines *os.File // where it reads, until it was started
	said  *os.File // where we write
	ready bool     // it has prepared itself: programs can be forked of it
}

// addForker makes the prepared process of a node, which is started with the
// first schedule.
func (w *World) addForker(p Program, index int) error {
	h := w.host(p.Node)
	if h == nil || h.forker != nil {
		return fmt.Errorf("prepared process %s: no node %q in the test, or one that has one already", p.Label(), p.Node)
	}
	lines, said, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe for %s: %w", p.Label(), err)
	}
	p.Env = append(slices.Clone(p.Env), "SCREWTAPE_FORK=3") // the first after standard error
	h.forker = &forker{proc: &Process{label: p.Label(), program: &p, host: h, index: index}, lines: lines, said: said}
	return nil
}

// prepareForkers starts the prepared processes that have not been started yet.
// What they do on the share belongs to how every schedule finds it.
func (w *World) prepareForkers() error {
	for _, h := range w.hosts {
		if h.forker == nil || h.forker.ready {
			continue
		}
		// While it prepares itself it is looked at as a program is.
		w.programs = append(w.programs, h.forker.proc)
		err := w.awaitForker(h.forker)
		w.programs = w.programs[:len(w.programs)-1]
		if err != nil {
			return err
		}
		h.forker.ready = true
		h.forker.lines.Close()
		w.prepared = w.store.Snapshot()
	}
	return nil
}

// awaitForker starts a prepared process and lets it do what it does, until it
// waits for a line. Mail that it sends is taken, and is nobody's.
func (w *World) awaitForker(f *forker) error {
	p := f.proc
	w.patience = longPatience
	defer func() { w.patience = patience }()
	if err := w.start(p); err != nil {
		return err
	}
	for range 10_000 {
		if err := w.settle(); err != nil {
			return err
		}
		if !p.alive {
			return fmt.Errorf("%s ended while it prepared itself: %s%s", p.label, exitText(p), p.lastLine())
		}
		if t := w.ready(p); t != nil {
			if err := w.release(t); err != nil {
				return err
			}
			continue
		}
		if m := p.host.mail.holding(p.label); m != nil {
			p.host.mail.answer(m, nil)
			continue
		}
		if t := p.sleeper(); t != nil {
			w.wake(t)
			continue
		}
		if f.waits() {
			return nil
		}
		return fmt.Errorf("%s does not come to read a line from $SCREWTAPE_FORK: it is %s", p.label, describe(p))
	}
	return fmt.Errorf("%s does not come to read a line from $SCREWTAPE_FORK: 10,000 calls on the share, sleeps and mails came before", p.label)
}

// waits reports whether the prepared process is blocked in a read(2) of its lines.
func (f *forker) waits() bool {
	what, err := node.ReadProc("/proc/" + strconv.Itoa(f.proc.pid) + "/syscall")
	var nr, fd int
	if _, scanErr := fmt.Sscanf(string(what), "%d 0x%x", &nr, &fd); err != nil || scanErr != nil {
		return false
	}
	return nr == unix.SYS_READ && sameFile(int(f.lines.Fd()), f.proc.pid, fd)
}

// tell has a program forked.
func (f *forker) tell(line string) error {
	if _, err := f.said.WriteString(line + "\n"); err != nil {
		return fmt.Errorf("tell %s to fork: %w", f.proc.label, err)
	}
	return nil
}

// midwife reports whether the process is the one between the prepared process
// and the program.
func (f *forker) midwife(p *Process) bool {
	return f != nil && f.ready && p.parent == f.proc
}

// unborn is the program that a node's prepared process was told to fork first
// of those that are not there yet, or nil.
func (w *World) unborn(h *host) *Process {
	for _, p := range w.programs {
		if p.host == h && p.starting && p.pid == 0 && p.program.Fork != "" {
			return p
		}
	}
	return nil
}

// forkProgram lets the fork happen by which a program comes about, with the pid
// and the output that are the program's.
func (w *World) forkProgram(h *host, held *node.Held) error {
	p := w.unborn(h)
	if p == nil || p.unborn == nil {
		return fmt.Errorf("%s forks more often than it was told to", h.forker.proc.label)
	}
	for _, fd := range []int{unix.Stdout, unix.Stderr} {
		if err := held.SetFile(p.unborn, fd); err != nil {
			return fmt.Errorf("give %s its output: %w", p.label, err)
		}
	}
	p.unborn.Close()
	p.unborn = nil
	return w.forkAs(h, fork{held, p.inner})
}

// forkedProgram is the program that has been forked, and has this pid.
func (w *World) forkedProgram(h *host, pid int) *Process {
	p := w.unborn(h)
	if p == nil {
		return nil
	}
	p.starting, p.begun, p.relist = false, true, true
	if s, err := readStatus(pid); err == nil {
		p.inner = s.inner // what the agent will call it
	}
	if h.Group != nil {
		w.grouped(p, h.Group.Add(pid))
	}
	return p
}

func (f *forker) close(w *World) {
	if f == nil {
		return
	}
	f.proc.closeOutput(w)
	f.lines.Close()
	f.said.Close()
}
