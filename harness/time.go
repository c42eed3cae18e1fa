package harness

import (
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// Time passes only by decision. Every node has a clock, Epoch when a schedule
// begins; a sleep ends when its wake-up is decided, and that moves the time to
// it.

// uptime is how long a node has been up when a schedule begins.
const uptime = time.Hour

// clock is what the node's real-time clock shows. Each look finds it a
// microsecond on, as it would on any machine, so that two names that are made
// of the time differ.
func (w *World) clock(h *host) time.Duration {
	h.ticks += time.Microsecond
	return w.now + h.ticks + h.skew
}

// answerClock answers a clock read.
func (w *World) answerClock(t *Thread, h *node.Held) error {
	host := t.proc.host
	real := w.clock(host)
	now := Epoch.Add(real)
	sec, nsec := uint64(now.Unix()), uint64(now.Nanosecond())
	var err error
	value := int64(0)
	switch h.Nr {
	case unix.SYS_CLOCK_GETTIME:
		if monotonic(int32(h.Args[0])) {
			up := real - host.skew + uptime
			sec, nsec = uint64(up/time.Second), uint64(up%time.Second)
		}
		err = node.WriteWords(t.tid, h.Args[1], sec, nsec)
	case unix.SYS_GETTIMEOFDAY:
		err = node.WriteWords(t.tid, h.Args[0], sec, nsec/1000)
	case unix.SYS_TIME:
		value = int64(sec)
		if h.Args[0] != 0 {
			err = node.WriteWords(t.tid, h.Args[0], sec)
		}
	}
	if errors.Is(err, unix.EFAULT) {
		host.Trap.Return(h.ID, 0, unix.EFAULT)
		return nil
	}
	host.Trap.Return(h.ID, value, 0)
	return nil
}

func monotonic(clock int32) bool {
	switch clock {
	case unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_TAI:
		return false
	}
	return true
}

// fallAsleep holds a clock_nanosleep(2) until its wake-up is decided.
func (w *World) fallAsleep(t *Thread, h *node.Held, c *call) error {
	words, err := node.ReadWords(t.tid, h.Args[2], 2)
	if err != nil {
		t.proc.host.Trap.Continue(h.ID) // the kernel will refuse it
		return nil
	}
	d := time.Duration(words[0])*time.Second + time.Duration(words[1])
	if h.Args[1]&unix.TIMER_ABSTIME != 0 {
		d -= realClock(int32(h.Args[0]))
		// What the program's own way to this call took is not part of it.
		d = max(0, d+time.Millisecond-1).Truncate(time.Millisecond)
	}
	t.call, t.trap, t.asleep, t.sleep, t.until = c, h, true, d, w.now+d
	return nil
}

// realClock reads one of the machine's clocks: absolute sleeps of programs
// that read their clock without a system call refer to it.
func realClock(clock int32) time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(clock, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// A rest is whether a sleeper may wake, and when.
type rest int

const (
	fast  rest = iota // it sees no change since it last went round: it sleeps on
	fresh             // something has changed, or it has not gone round yet
	later             // nothing has changed, but its horizon lets more time pass
)

// waking says whether the process, asleep, may wake up now.
//
// A program that polls, and has gone round once without any change on the
// share since, would go round again and find what it found: it reads the same
// bytes. So it waits for a change. Only time can make a difference to it: a
// lock that expires, a limit of tries. Programs with a horizon are therefore
// woken later and later, each time after twice as long, until the horizon: a
// sleep may take longer than was asked for, so no program can object. A
// program that counts its own rounds sees as many as there are doublings.
func (w *World) waking(p *Process) rest {
	switch {
	case p.woke == 0 || p.woke != w.store.Version():
		return fresh
	case p.program != nil && w.now+w.jump(p) <= p.program.Horizon:
		return later
	}
	return fast
}

// jump is how long a sleeper that sees no change oversleeps.
func (w *World) jump(p *Process) time.Duration { return time.Second << p.idle }

// wake moves the time to the thread's wake-up, and wakes it.
func (w *World) wake(t *Thread) {
	p := t.proc
	w.now = max(w.now, t.until)
	switch w.waking(p) {
	case later:
		w.now += w.jump(p)
		p.idle++
	default:
		p.idle = 0
	}
	p.woke = w.store.Version()
	w.endSleep(t, 0)
}

// endSleep lets the thread's sleep return.
func (w *World) endSleep(t *Thread, errno unix.Errno) {
	h := t.trap
	t.trap, t.asleep = nil, false
	t.proc.host.Trap.Return(h.ID, 0, errno)
}

// setAlarm keeps alarm(2) and setitimer(2): the signal comes by decision.
func (w *World) setAlarm(t *Thread, h *node.Held) error {
	p := t.proc
	left := time.Duration(0)
	if p.alarm != 0 {
		left = max(p.alarm-w.now, time.Second)
	}
	var in, every time.Duration
	switch h.Nr {
	case unix.SYS_ALARM:
		in = time.Duration(uint32(h.Args[0])) * time.Second
	case unix.SYS_SETITIMER:
		if h.Args[0] != 0 { // ITIMER_VIRTUAL and ITIMER_PROF count CPU time
			p.host.Trap.Continue(h.ID)
			return nil
		}
		words, err := node.ReadWords(t.tid, h.Args[1], 4)
		if err != nil {
			p.host.Trap.Return(h.ID, 0, unix.EFAULT)
			return nil
		}
		every = time.Duration(words[0])*time.Second + time.Duration(words[1])*time.Microsecond
		in = time.Duration(words[2])*time.Second + time.Duration(words[3])*time.Microsecond
		if h.Args[2] != 0 {
			node.WriteWords(t.tid, h.Args[2], 0, 0, uint64(left/time.Second), uint64(left%time.Second/time.Microsecond))
		}
	}
	p.alarm, p.every = 0, every
	if in > 0 {
		p.alarm = w.now + in
	}
	value := int64(0)
	if h.Nr == unix.SYS_ALARM {
		value = int64(left / time.Second)
	}
	p.host.Trap.Return(h.ID, value, 0)
	return nil
}

// ring lets the process's timer expire: time moves to it, and the signal comes.
func (w *World) ring(p *Process) {
	w.now = max(w.now, p.alarm)
	p.alarm = 0
	if p.every > 0 {
		p.alarm = w.now + p.every
	}
	unix.Kill(p.pid, unix.SIGALRM)
	w.signalled(p, unix.SIGALRM)
}

// answerRandom fills a buffer from the process's own stream, which begins anew
// at each start and depends on nothing but its label and the number of the
// start.
func (w *World) answerRandom(t *Thread, h *node.Held) error {
	p := t.proc
	if p.random == nil {
		f := fnv.New64a()
		f.Write([]byte(p.label + " " + strconv.Itoa(p.starts)))
		p.random = rand.New(rand.NewPCG(f.Sum64(), 0))
	}
	buf := make([]byte, min(h.Args[1], 1<<20))
	for i := range buf {
		buf[i] = byte(p.random.Uint32())
	}
	if node.WriteBytes(t.tid, h.Args[0], buf) != nil {
		p.host.Trap.Return(h.ID, 0, unix.EFAULT)
		return nil
	}
	p.host.Trap.Return(h.ID, int64(len(buf)), 0)
	return nil
}
