package harness

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// A timer is one that a program has set, by alarm(2), setitimer(2),
// timer_settime(2) or timerfd_settime(2). The kernel's own is not armed: that it
// expires is a decision.
type timer struct {
	name  string
	until time.Duration // virtual time; 0 while it is not set
	every time.Duration // period; 0 is once
	sig   unix.Signal   // what it sends, unless it is a file
	tid   int           // to which thread; 0 is the process
	file  int           // our descriptor of a timerfd, or -1
	clock int32         // which clock its absolute times are of
}

// timer is the process's timer of that name, made if need be.
func (p *Process) timer(name string) *timer {
	for _, t := range p.timers {
		if t.name == name {
			return t
		}
	}
	t := &timer{name: name, file: -1, sig: unix.SIGALRM}
	p.timers = append(p.timers, t)
	slices.SortFunc(p.timers, func(a, b *timer) int { return strings.Compare(a.name, b.name) })
	return t
}

// set sets the timer, and gives how long it still had.
func (t *timer) set(in, every, now time.Duration) (left time.Duration) {
	if t.until != 0 {
		left = max(t.until-now, time.Microsecond)
	}
	t.until, t.every = 0, every
	if in > 0 {
		t.until = now + in
	}
	return left
}

// ring lets the process's timer expire: time moves to it, and the signal comes,
// or its file becomes readable.
func (w *World) ring(p *Process, name string) error {
	t := p.timer(name)
	w.now = max(w.now, t.until)
	t.until = 0
	if t.every > 0 {
		t.until = w.now + t.every
	}
	if t.file >= 0 {
		return expire(t.file)
	}
	if t.tid != 0 {
		unix.Tgkill(p.pid, t.tid, t.sig)
	} else {
		unix.Kill(p.pid, t.sig)
	}
	w.signalled(p, t.sig)
	return nil
}

// expire makes a timerfd readable, and waits until it has been; who waits for
// it may have read it by then.
func expire(fd int) error {
	now := unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}
	if err := unix.TimerfdSettime(fd, 0, &now, nil); err != nil {
		return fmt.Errorf("let a timer expire: %w", err)
	}
	for {
		var left unix.ItimerSpec
		if err := unix.TimerfdGettime(fd, &left); err != nil {
			return fmt.Errorf("let a timer expire: %w", err)
		}
		if left.Value == (unix.Timespec{}) {
			return nil
		}
		time.Sleep(time.Microsecond)
	}
}

// setAlarm keeps alarm(2) and setitimer(2).
func (w *World) setAlarm(t *Thread, h *node.Held) error {
	alarm := t.proc.timer("alarm")
	if h.Nr == unix.SYS_ALARM {
		left := alarm.set(t.proc.host.lasts(time.Duration(uint32(h.Args[0]))*time.Second), 0, w.now)
		h.Return(int64((left+time.Second-1)/time.Second), 0)
		return nil
	}
	if h.Args[0] != 0 { // ITIMER_VIRTUAL and ITIMER_PROF count CPU time
		h.Continue()
		return nil
	}
	every, in, err := readInterval(t.tid, h.Args[1], time.Microsecond)
	if err != nil {
		h.Return(0, unix.EFAULT)
		return nil
	}
	before := alarm.every
	left := alarm.set(t.proc.host.lasts(in), t.proc.host.lasts(every), w.now)
	if h.Args[2] != 0 {
		writeInterval(t.tid, h.Args[2], before, left, time.Microsecond)
	}
	h.Return(0, 0)
	return nil
}

// setTimer keeps timers of timer_create(2) and timerfd_create(2).
func (w *World) setTimer(t *Thread, h *node.Held) error {
	p := t.proc
	switch h.Nr {
	case unix.SYS_TIMER_CREATE:
		p.created++
		made := p.timer(fmt.Sprintf("timer%d", p.created-1))
		made.clock = int32(h.Args[0])
		if h.Args[1] != 0 {
			// struct sigevent: a value of 8 bytes, the signal, how to
			// notify, and then the thread.
			b, err := node.ReadBytes(t.tid, h.Args[1], 20)
			if err != nil {
				h.Return(0, unix.EFAULT)
				return nil
			}
			made.sig = unix.Signal(binary.LittleEndian.Uint32(b[8:]))
			if binary.LittleEndian.Uint32(b[12:])&sigevThreadID != 0 {
				made.tid = int(binary.LittleEndian.Uint32(b[16:]))
			}
		}
		id := binary.LittleEndian.AppendUint32(nil, uint32(p.created-1))
		if node.WriteBytes(t.tid, h.Args[2], id) != nil {
			h.Return(0, unix.EFAULT)
			return nil
		}
	case unix.SYS_TIMER_DELETE:
		name := fmt.Sprintf("timer%d", int32(h.Args[0]))
		p.timers = slices.DeleteFunc(p.timers, func(t *timer) bool { return t.name == name })
	default:
		return w.armTimer(t, h)
	}
	h.Return(0, 0)
	return nil
}

const sigevThreadID = 4 // SIGEV_THREAD_ID

func (w *World) armTimer(t *Thread, h *node.Held) error {
	p := t.proc
	every, in, err := readInterval(t.tid, h.Args[2], time.Nanosecond)
	if err != nil {
		h.Return(0, unix.EFAULT)
		return nil
	}
	id := int(int32(h.Args[0]))
	var set *timer
	if h.Nr == unix.SYS_TIMERFD_SETTIME {
		set = p.timer(fmt.Sprintf("timerfd%d", id))
		if set.file < 0 {
			if set.file, err = node.CloneFile(p.pid, id); err != nil {
				h.Continue() // no timer: the kernel will say so
				return nil
			}
		}
		set.clock = timerClock(t.tid, id)
		unix.TimerfdSettime(set.file, 0, &unix.ItimerSpec{}, nil) // forget what has expired
	} else {
		set = p.timer(fmt.Sprintf("timer%d", id))
	}
	if h.Args[1]&1 != 0 && in > 0 { // TIMER_ABSTIME, TFD_TIMER_ABSTIME
		in = max(in-w.reads(p, set.clock), time.Nanosecond)
	}
	before := set.every
	left := set.set(p.host.lasts(in), p.host.lasts(every), w.now)
	if h.Args[3] != 0 {
		writeInterval(t.tid, h.Args[3], before, left, time.Nanosecond)
	}
	h.Return(0, 0)
	return nil
}

// timerClock is the clock of a timerfd, from proc_pid_fdinfo(5).
func timerClock(tid, fd int) int32 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", tid, fd))
	_, rest, _ := strings.Cut(string(b), "clockid:")
	line, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.Atoi(strings.TrimSpace(line))
	return int32(n)
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

// closeTimers gives up what the process's timers hold.
func (p *Process) closeTimers() {
	for _, t := range p.timers {
		if t.file >= 0 {
			unix.Close(t.file)
		}
	}
	p.timers, p.created = nil, 0
}
