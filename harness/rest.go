package harness

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// How long, in real time, something may run before it is given up; see starved for
// what does not count. No verdict hangs on these: a schedule that runs into one is
// not judged.
const (
	patience     = 30 * time.Second // without coming to rest
	longPatience = 5 * time.Minute  // while a process prepares itself: it may import all there is
)

// A restless program does not come to rest: it spins, or waits for something
// that is neither on the share nor a matter of time. Its schedule is cut off.
type restless struct {
	label, doing string
	after        time.Duration
}

func (r *restless) Error() string {
	return fmt.Sprintf("%s did not come to rest within %v: %s", r.label, r.after, r.doing)
}

// settle lets everything run until nothing runs any more: every thread is held
// at a call, asleep, blocked, or gone.
//
// A program that is Single has come to rest when its one thread is held: that
// is an event, and needs no look. Of any other the threads are looked at in
// /proc, twice: when none runs in either look, none has been scheduled between
// the two, and no event came, then there was a moment at which all were
// blocked, and whoever could wake them is us.
func (w *World) settle() error {
	began := time.Now()
	wait := 20 * time.Microsecond
	for {
		if w.failed != nil {
			return w.failed
		}
		handled, err := w.events(0)
		if err != nil {
			return err
		}
		if handled {
			wait = 20 * time.Microsecond
			continue
		}
		rest, why := w.atRest()
		if rest {
			left, err := w.leave()
			if err != nil {
				return err
			}
			refused, woken := w.abandonMail(), w.goOn()
			if !left && !refused && !woken {
				return nil
			}
			continue
		}
		if why == nil {
			continue
		}
		if time.Since(began) > w.patience && (w.play == nil || !w.play.patient) {
			if !why.starved(w.patience) {
				return &restless{why.label, describe(why), w.patience}
			}
			began = time.Now()
		}
		if why.killed || why.program != nil && why.program.Single {
			wait = 100 * time.Millisecond // its next step is an event
		}
		if _, err := w.events(wait); err != nil {
			return err
		}
		wait = min(2*wait, 2*time.Millisecond)
	}
}

// abandonMail refuses what those have handed to the mail sinks that have ended, and
// reports whether there was any.
func (w *World) abandonMail() bool {
	any := false
	for _, h := range w.hosts {
		any = h.mail.abandon(func(label string) bool {
			p := w.actor(label)
			return p != nil && p.alive
		}) || any
	}
	return any
}

// talking reports whether a mail sink will go on by itself.
func (w *World) talking() bool {
	return slices.ContainsFunc(w.hosts, func(h *host) bool { return h.mail.talking() })
}

// atRest reports whether nothing runs, or else a process that does.
func (w *World) atRest() (bool, *Process) {
	for _, h := range w.hosts {
		if len(h.forks) > 0 {
			return false, w.anyProcess()
		}
	}
	for _, p := range w.programs {
		if !p.alive {
			continue
		}
		if p.starting || p.killed || (p.program.Single && !p.held() && p.host.mail.holding(p.label) == nil) {
			return false, p
		}
	}
	if len(w.looked()) == 0 {
		return !w.talking(), w.anyProcess()
	}
	w.findChildren()
	looked := w.looked()
	if p := w.look(looked); p != nil {
		return false, p
	}
	if handled, err := w.events(0); handled || err != nil {
		w.failed = err
		return false, w.anyProcess()
	}
	if w.talking() { // nobody that could yet say something to a sink runs
		return false, w.anyProcess()
	}
	if p := lookAgain(looked); p != nil {
		return false, p
	}
	// Whoever was born since the first look began was born of one that ran
	// before that look came to it.
	known := len(w.threads)
	w.findChildren()
	for _, p := range looked {
		w.listThreads(p)
	}
	if len(w.threads) != known {
		return false, w.anyProcess()
	}
	return true, nil
}

// A look is what /proc says of a thread at one moment.
type look struct {
	state byte   // as in proc_pid_stat(5)
	runs  uint64 // how often it was scheduled, from schedstat
}

// look looks at every thread of the processes, learning of new ones, and returns
// a process that runs, or nil.
func (w *World) look(looked []*Process) *Process {
	for _, p := range looked {
		w.listThreads(p)
	}
	for _, p := range looked {
		for _, t := range slices.Clone(p.threads) {
			l, err := lookAt(p.pid, t.tid)
			if err != nil {
				w.forget(t)
				continue
			}
			t.seen, t.sysmon = l, false
			if l.runs == 0 && l.state == 0 {
				continue
			}
			if !t.held() && t.runs(l) {
				return p
			}
		}
		switch {
		case len(p.threads) > 0:
			if p.ticks() {
				return p
			}
		case p.program == nil:
			w.ended(p)
		default:
			return p // its agent is about to tell its end
		}
	}
	return nil
}

// lookAgain reports a process of which something has run since look.
func lookAgain(looked []*Process) *Process {
	for _, p := range looked {
		for _, t := range p.threads {
			if l, err := lookAt(p.pid, t.tid); err != nil || l != t.seen && !t.sysmon {
				return p
			}
		}
	}
	return nil
}

// looked are the processes that must be looked at, in canonical order. One of
// which only the first thread acts is at rest while that is held.
func (w *World) looked() []*Process {
	var list []*Process
	for _, p := range w.all() {
		if p.program != nil && (!p.alive || p.program.Single || p.pid == 0) {
			continue
		}
		if p.oneThread() && len(p.threads) > 0 && p.threads[0].held() {
			continue
		}
		list = append(list, p)
	}
	return list
}

// runs reports whether the thread, which we do not hold, runs or will go on
// without any other thread's doing.
//
// Its state alone does not tell: a thread that is about to sleep, and was
// preempted before it did, has the state of a sleeper already, and may yet find
// that what it is to wait for has come. Reading its system call waits until it
// has left the processor. One in uninterruptible sleep waits for a disk, unless
// it waits for its child in vfork(2), or is frozen (cgroups of version 1).
func (t *Thread) runs(l look) bool {
	if l.state == 't' {
		return true // a debugger has stopped it, and will let it go on
	}
	if l.state == 'R' || l.state == 'W' {
		return true // were it to sleep and be woken before the second look, that would see no difference
	}
	nr, err := node.CurrentCall(t.tid)
	if err != nil {
		return true
	}
	t.sysmon = nr == unix.SYS_NANOSLEEP && t.proc.goProgram()
	switch nr {
	case unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_CLONE, unix.SYS_CLONE3:
		// Before its child is there it waits for memory, or the like.
		return t.call != nil && t.call.birth != nil && !t.call.birth.seen
	}
	return l.state == 'D' && !t.proc.paused
}

// ticks reports whether the process is a Go program whose runtime may yet let
// something run: a goroutine that waits for the processor of one whose call is
// held gets it from a thread that makes rounds every 20 us to 10 ms (sysmon).
// That takes two rounds; one more is for a round that had begun.
func (p *Process) ticks() bool {
	if p.oneThread() {
		return false
	}
	const rounds = 3
	var others uint64
	var sysmon *Thread
	for _, t := range p.threads {
		if t.sysmon {
			sysmon = t
		} else {
			others += t.seen.runs
		}
	}
	if sysmon == nil {
		return false
	}
	if others != p.ran {
		p.ran, p.round = others, sysmon.seen.runs
	}
	return sysmon.seen.runs < p.round+rounds
}

// lookAt reads what a thread is doing. A zombie counts as gone.
func lookAt(pid, tid int) (look, error) {
	base := "/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid)
	stat, err := node.ReadProc(base + "/stat")
	if err != nil {
		return look{}, err
	}
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 || end+2 >= len(stat) {
		return look{}, fmt.Errorf("%s/stat: not understood", base)
	}
	l := look{state: stat[end+2]}
	if l.state == 'Z' || l.state == 'X' {
		return look{}, os.ErrProcessDone
	}
	sched, err := node.ReadProc(base + "/schedstat")
	if err != nil {
		return l, nil
	}
	if f := bytes.Fields(sched); len(f) == 3 {
		l.runs, _ = strconv.ParseUint(string(f[2]), 10, 64)
	}
	return l, nil
}

// starved reports whether it is the machine that keeps the process from coming to
// rest: a thread that could run has waited for a CPU for longer than it has run
// (sched-stats.rst of the kernel), and has not run for as long as it may.
func (p *Process) starved(patience time.Duration) bool {
	for _, t := range p.threads {
		var ran, waited time.Duration
		sched, err := node.ReadProc("/proc/" + strconv.Itoa(t.tid) + "/schedstat")
		if _, scanErr := fmt.Sscan(string(sched), &ran, &waited); err != nil || scanErr != nil {
			continue
		}
		if l, err := lookAt(p.pid, t.tid); err == nil && l.state == 'R' && waited > ran && ran < patience {
			return true
		}
	}
	return false
}

// describe says what a process that does not come to rest is doing.
func describe(p *Process) string {
	if p.starting && p.program.Fork != "" {
		return "its prepared process was told to fork it, and no child of a child of that came about"
	}
	if p.starting {
		return "its start was asked for and its exec did not come"
	}
	what, err := node.ReadProc("/proc/" + strconv.Itoa(p.pid) + "/syscall")
	if err != nil {
		return "it is gone"
	}
	l, _ := lookAt(p.pid, p.pid)
	return fmt.Sprintf("state %c, in system call %q", l.state, bytes.TrimSpace(what))
}

// events handles what has come on all descriptors, waiting up to d for the
// first, and reports whether anything had.
func (w *World) events(d time.Duration) (bool, error) {
	var list [32]unix.EpollEvent
	n, err := epollWait(w.poll, list[:], d)
	if err == unix.EINTR {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("wait for events: %w", err)
	}
	// In order of the descriptors, so that nothing depends on the kernel's.
	ready := list[:n]
	slices.SortFunc(ready, func(a, b unix.EpollEvent) int { return int(a.Fd) - int(b.Fd) })
	for _, e := range ready {
		if s := w.sources[int(e.Fd)]; s != nil {
			if err := s(); err != nil {
				return true, err
			}
		}
	}
	return n > 0, nil
}

// epollWait is epoll_pwait2(2), which takes nanoseconds.
func epollWait(fd int, events []unix.EpollEvent, d time.Duration) (int, error) {
	ts := unix.NsecToTimespec(int64(d))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
