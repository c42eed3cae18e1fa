package harness

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
	"screwtape/harness/schedule"
)

// A timer is one that a program has set, by alarm(2), setitimer(2),
// timer_settime(2) or timerfd_settime(2). The kernel's own is not armed: that it
// expires is a decision.
type timer struct {
	name    string
	until   time.Duration // virtual time; 0 while it is not set
	every   time.Duration // period; 0 is once
	clock   int32         // which clock its absolute times are of
	file    int           // our descriptor of a timerfd, or -1
	fd      int           // and the program's
	id      int32         // of timer_create(2); or -1
	event   sigevent      // what it sends then
	overrun int           // how often it expired while that waited to be taken
	rounds
}

// A sigevent is how a timer of timer_create(2) tells that it has expired; see
// sigevent(3type).
type sigevent struct {
	value  uint64
	sig    unix.Signal
	notify uint32
	tid    int // in the node, for sigevThreadID
}

const (
	sigevSignal   = 0 // SIGEV_SIGNAL
	sigevNone     = 1 // SIGEV_NONE
	sigevThreadID = 4 // SIGEV_THREAD_ID: what SIGEV_THREAD is made of
)

// timer is the process's timer of that name, made if need be.
func (p *Process) timer(name string) *timer {
	for _, t := range p.timers {
		if t.name == name {
			return t
		}
	}
	t := &timer{name: name, file: -1, id: -1, event: sigevent{sig: unix.SIGALRM}}
	p.timers = append(p.timers, t)
	slices.SortFunc(p.timers, func(a, b *timer) int { return strings.Compare(a.name, b.name) })
	return t
}

// timeout reports whether the timer is there to end something that takes too
// long: it sends a signal, once.
func (t *timer) timeout() bool { return t.file < 0 && t.every == 0 }

// timesOut reports whether the process's timer is a time-out that is set and runs.
func (p *Process) timesOut(t *timer) bool {
	return p.alive && !p.paused && t.until != 0 && t.timeout()
}

// nextTimeouts are the times of the next time-outs, by program: its sleepers do not
// wake after that before it has come. One beyond the program's horizon does not come,
// and they sleep on.
func (w *World) nextTimeouts() map[string]time.Duration {
	next := map[string]time.Duration{}
	for _, p := range w.all() {
		program := schedule.Program(p.label)
		for _, t := range p.timers {
			if at, ok := next[program]; p.timesOut(t) && (!ok || t.until < at) {
				next[program] = t.until
			}
		}
	}
	return next
}

// timeouts are the next time-outs to come, unless a sleeper wakes sooner. They
// come in their time, when nothing else can be done: whoever gives something
// five minutes means a machine on which what it does takes none. That a program
// takes longer is what a pause is for.
func (w *World) timeouts(soonest time.Duration) []schedule.Option {
	var list []schedule.Option
	for _, p := range w.all() {
		for _, t := range p.timers {
			switch {
			case !p.timesOut(t), t.until > soonest, w.waking(p, &t.rounds) == fast:
				continue
			case t.until < soonest:
				list, soonest = nil, t.until
			}
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.label, Verb: schedule.Alarm, Names: []string{t.name}}})
		}
	}
	return list
}

// set sets the timer to expire in so long by the node's clock, and then every so
// often; 0 is never.
func (t *timer) set(h *host, in, every, now time.Duration) {
	t.until, t.every = 0, 0
	if in > 0 {
		t.until = now + max(h.lasts(in), 1)
	}
	if every > 0 {
		t.every = max(h.lasts(every), 1)
	}
}

// left is how long it is until the timer expires, by the node's clock; 0 is
// never.
func (w *World) left(p *Process, t *timer) time.Duration {
	if t.until == 0 {
		return 0
	}
	return max(p.host.counts(t.until-w.now), time.Microsecond)
}

// ring lets the process's timer expire: time moves to it, and the signal comes,
// or its file becomes readable. Of a timer that is late by more than its period
// the periods that were missed are counted, as the kernel does.
func (w *World) ring(p *Process, name string) error {
	t := p.timer(name)
	w.now = max(w.now, t.until)
	w.goRound(p, &t.rounds)
	missed, due := 0, t.until
	t.until = 0
	if t.every > 0 {
		missed = int((w.now - due) / t.every)
		t.until = due + time.Duration(missed+1)*t.every
	}
	if t.file >= 0 {
		return expire(t.file, uint64(1+missed))
	}
	var to *Thread
	if t.event.notify == sigevThreadID {
		if to = p.threadInNode(t.event.tid); to == nil {
			return nil // it has ended
		}
	}
	if dies := p.diesOf(t.event.sig, to); t.send(p, to, missed) {
		w.signalled(p, dies)
	}
	return nil
}

// send sends the timer's signal to the process, or to this one of its threads, and
// reports whether it has. That of timer_create(2) has the marks that show the C
// library which timer it was; where it still waits to be taken it only gets another
// overrun (timer_getoverrun(2)).
func (t *timer) send(p *Process, to *Thread, missed int) bool {
	switch {
	case t.id < 0:
		return unix.Kill(p.pid, t.event.sig) == nil
	case t.event.notify != sigevSignal && to == nil:
		return false
	}
	tid := p.pid
	if to != nil {
		tid = to.tid
	}
	s, err := readSignals(tid)
	pending := s.shared
	if to != nil {
		pending = s.own
	}
	if err != nil || pending&bit(t.event.sig) != 0 {
		t.overrun += 1 + missed
		return false
	}
	t.overrun = missed
	const siTimer = -2 // SI_TIMER
	info := struct {
		sig, errno, code, _ int32
		id, overrun         int32
		value               uint64
		_                   [96]byte
	}{sig: int32(t.event.sig), code: siTimer, id: t.id, overrun: int32(missed), value: t.event.value}
	var errno unix.Errno
	if to != nil {
		_, _, errno = unix.Syscall6(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(p.pid), uintptr(tid), uintptr(t.event.sig), uintptr(unsafe.Pointer(&info)), 0, 0)
	} else {
		_, _, errno = unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(p.pid), uintptr(t.event.sig), uintptr(unsafe.Pointer(&info)))
	}
	return errno == 0
}

// expire lets a timerfd have expired so many times more (ioctl(2) of
// timerfd_create(2)), and whoever waits for it read that.
func expire(fd int, times uint64) error {
	times += uint64(fdinfo("self", fd, "ticks"))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), setTicks, uintptr(unsafe.Pointer(&times)))
	if errno != 0 {
		return fmt.Errorf("let a timer expire: %w (it takes a kernel with CONFIG_CHECKPOINT_RESTORE)", errno)
	}
	return nil
}

const setTicks = 0x40085400 // TFD_IOC_SET_TICKS

// fdinfo is a number in what proc_pid_fdinfo(5) says of a descriptor.
func fdinfo(pid string, fd int, key string) int {
	b, _ := os.ReadFile("/proc/" + pid + "/fdinfo/" + strconv.Itoa(fd))
	for line := range strings.Lines(string(b)) {
		if k, value, _ := strings.Cut(line, ":"); k == key {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}

// setAlarm keeps alarm(2), setitimer(2) and getitimer(2).
func (w *World) setAlarm(t *Thread, h *node.Held) error {
	p := t.proc
	alarm := p.timer("alarm")
	left, before := w.left(p, alarm), alarm.every
	if h.Nr == unix.SYS_ALARM {
		alarm.set(p.host, time.Duration(uint32(h.Args[0]))*time.Second, 0, w.now)
		h.Return(int64((left+time.Second-1)/time.Second), 0)
		return nil
	}
	if h.Args[0] != 0 { // ITIMER_VIRTUAL and ITIMER_PROF count CPU time
		h.Continue()
		return nil
	}
	old := h.Args[1]
	if h.Nr == unix.SYS_SETITIMER {
		every, in, err := readInterval(t.tid, h.Args[1], time.Microsecond)
		if err != nil {
			h.Return(0, unix.EFAULT)
			return nil
		}
		alarm.set(p.host, in, every, w.now)
		old = h.Args[2]
	}
	if old != 0 {
		writeInterval(t.tid, old, p.host.counts(before), left, time.Microsecond)
	}
	h.Return(0, 0)
	return nil
}

// setTimer keeps timers of timer_create(2) and timerfd_create(2).
func (w *World) setTimer(t *Thread, h *node.Held) error {
	switch h.Nr {
	case unix.SYS_TIMER_CREATE:
		return w.createTimer(t, h)
	case unix.SYS_TIMERFD_SETTIME, unix.SYS_TIMERFD_GETTIME:
		if set := t.proc.timerfd(int(int32(h.Args[0])), h.Nr == unix.SYS_TIMERFD_SETTIME); set != nil {
			return w.armTimer(t, h, set)
		}
		h.Continue() // no timer, or one that was never set
		return nil
	}
	i := slices.IndexFunc(t.proc.timers, func(o *timer) bool { return o.id >= 0 && o.id == int32(h.Args[0]) })
	if i < 0 {
		h.Continue() // of a clock that counts CPU time, or none
		return nil
	}
	switch h.Nr {
	case unix.SYS_TIMER_DELETE:
		t.proc.timers = slices.Delete(t.proc.timers, i, i+1)
		h.Return(0, 0)
		return nil
	case unix.SYS_TIMER_GETOVERRUN:
		h.Return(int64(t.proc.timers[i].overrun), 0)
		return nil
	}
	return w.armTimer(t, h, t.proc.timers[i])
}

// firstTimer is the number of the first timer that a process makes: the kernel,
// which makes those that count CPU time, begins at 0.
const firstTimer = 1 << 16

func (w *World) createTimer(t *Thread, h *node.Held) error {
	clock := int32(h.Args[0])
	if !hasTimers(clock) {
		h.Continue()
		return nil
	}
	id := int32(firstTimer + t.proc.created)
	event := sigevent{sig: unix.SIGALRM, value: uint64(id)}
	if h.Args[1] != 0 {
		b, err := node.ReadBytes(t.tid, h.Args[1], 20) // of struct sigevent
		if err != nil {
			h.Return(0, unix.EFAULT)
			return nil
		}
		word := binary.LittleEndian.Uint32
		event = sigevent{binary.LittleEndian.Uint64(b), unix.Signal(word(b[8:])), word(b[12:]), int(word(b[16:]))}
	}
	if event.notify != sigevNone && !valid(event.sig) {
		h.Continue() // the kernel will refuse it
		return nil
	}
	if node.WriteBytes(t.tid, h.Args[2], binary.LittleEndian.AppendUint32(nil, uint32(id))) != nil {
		h.Return(0, unix.EFAULT)
		return nil
	}
	made := t.proc.timer(fmt.Sprintf("timer%d", t.proc.created))
	made.id, made.clock, made.event = id, clock, event
	t.proc.created++
	h.Return(0, 0)
	return nil
}

// hasTimers reports whether we keep the timers of that clock. The kernel keeps those
// that count CPU time, and refuses all others.
func hasTimers(clock int32) bool {
	switch clock {
	case unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_ALARM, unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME, unix.CLOCK_BOOTTIME_ALARM, unix.CLOCK_TAI:
		return true
	}
	return false
}

// timerfd is the process's timer with this descriptor, by whatever number it was
// set; nil where there is none. It is made if make is set.
func (p *Process) timerfd(fd int, make bool) *timer {
	for _, t := range p.timers {
		if t.file >= 0 && sameFile(t.file, p.pid, fd) {
			return t
		}
	}
	if !make {
		return nil
	}
	file, err := node.CloneFile(p.pid, fd)
	if err != nil {
		return nil
	}
	name := fmt.Sprintf("timerfd%d", fd)
	p.dropTimers(func(t *timer) bool { return t.name != name }) // that was closed
	t := p.timer(name)
	t.file, t.fd = file, fd
	t.clock = int32(fdinfo(strconv.Itoa(p.pid), fd, "clockid"))
	return t
}

// sameFile reports whether our descriptor and one of a process are of one open
// file (kcmp(2)).
func sameFile(ours, pid, fd int) bool {
	const kcmpFile = 0 // KCMP_FILE
	r, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), kcmpFile, uintptr(ours), uintptr(fd), 0)
	return errno == 0 && r == 0
}

// armTimer sets a timer, or tells what it is set to.
func (w *World) armTimer(t *Thread, h *node.Held, set *timer) error {
	p := t.proc
	left, before, old := w.left(p, set), set.every, h.Args[1]
	if h.Nr == unix.SYS_TIMER_SETTIME || h.Nr == unix.SYS_TIMERFD_SETTIME {
		every, in, err := readInterval(t.tid, h.Args[2], time.Nanosecond)
		if err != nil {
			h.Return(0, unix.EFAULT)
			return nil
		}
		if h.Args[1]&1 != 0 && in > 0 { // TIMER_ABSTIME, TFD_TIMER_ABSTIME
			in = max(in-w.reads(p, set.clock), time.Nanosecond)
		}
		if set.file >= 0 {
			unix.TimerfdSettime(set.file, 0, &unix.ItimerSpec{}, nil) // forget what has expired
		}
		set.set(p.host, in, every, w.now)
		set.overrun, old = 0, h.Args[3]
	}
	if old != 0 {
		writeInterval(t.tid, old, p.host.counts(before), left, time.Nanosecond)
	}
	h.Return(0, 0)
	return nil
}

// readInterval reads a struct itimerspec, or itimerval with a unit of
// microseconds: the period, and the time until the timer expires.
func readInterval(tid int, addr uint64, unit time.Duration) (every, in time.Duration, err error) {
	words, err := node.ReadWords(tid, addr, 4)
	if err != nil {
		return 0, 0, err
	}
	every = time.Duration(words[0])*time.Second + time.Duration(words[1])*unit
	in = time.Duration(words[2])*time.Second + time.Duration(words[3])*unit
	return every, in, nil
}

func writeInterval(tid int, addr uint64, every, in, unit time.Duration) {
	node.WriteWords(tid, addr, uint64(every/time.Second), uint64(every%time.Second/unit),
		uint64(in/time.Second), uint64(in%time.Second/unit))
}

// dropTimers gives up the process's timers that keep says false of, and what
// they hold.
func (p *Process) dropTimers(keep func(*timer) bool) {
	p.timers = slices.DeleteFunc(p.timers, func(t *timer) bool {
		if keep(t) {
			return false
		}
		if t.file >= 0 {
			unix.Close(t.file)
		}
		return true
	})
}
