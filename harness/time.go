package harness

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// Time passes only by decision. Every node has a clock, Epoch when a schedule
// begins; a sleep ends when its wake-up is decided, and that moves the time to
// it.

// uptime is how long a node has been up when a schedule begins.
const uptime = time.Hour

// elapsed is what the node's clocks have counted since the schedule began, when
// the virtual time is now.
func (h *host) elapsed(now time.Duration) time.Duration {
	return now + h.ticks + h.gained + time.Duration(h.rate*float64(now-h.since))
}

// lasts is how long it takes until the node's clocks have counted d.
func (h *host) lasts(d time.Duration) time.Duration {
	if h.rate == 0 {
		return d
	}
	return time.Duration(float64(d) / (1 + h.rate))
}

// counts is what the node's clocks count while d passes.
func (h *host) counts(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + h.rate))
}

// setClock sets the node's real-time clock by so much ("1h0m0s", "-5m0s"), or
// lets all its clocks run so fast from now on ("x1.5", "x0.5").
func (w *World) setClock(h *host, how string) error {
	if factor, ok := strings.CutPrefix(how, "x"); ok {
		f, err := strconv.ParseFloat(factor, 64)
		if err != nil || f <= 0 || f > 1000 {
			return fmt.Errorf("a clock cannot run %q as fast; say how fast as x1.5 or x0.5", how)
		}
		h.gained = h.elapsed(w.now) - w.now - h.ticks
		h.rate, h.since = f-1, w.now
		return nil
	}
	by, err := time.ParseDuration(how)
	if err != nil {
		return fmt.Errorf("a clock cannot be set by %q; say by how much as 1h30m or -5s", how)
	}
	h.skew += by
	return nil
}

// answerClock answers a clock read.
func (w *World) answerClock(t *Thread, h *node.Held) error {
	if h.Nr == unix.SYS_CLOCK_GETTIME && countsCPU(int32(h.Args[0])) {
		h.Continue() // CPU time is what it is
		return nil
	}
	host := t.proc.host
	// Each look finds the clock a microsecond on, as it would on any machine,
	// so that two names that are made of the time differ.
	host.ticks += time.Microsecond
	real := host.elapsed(w.now) + host.skew
	w.readsClock(host)
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
		h.Return(0, unix.EFAULT)
		return nil
	}
	h.Return(value, 0)
	return nil
}

func countsCPU(clock int32) bool {
	return clock == unix.CLOCK_PROCESS_CPUTIME_ID || clock == unix.CLOCK_THREAD_CPUTIME_ID || clock < 0
}

func monotonic(clock int32) bool {
	switch clock {
	case unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_REALTIME_ALARM, unix.CLOCK_TAI:
		return false
	}
	return true
}

// fallAsleep holds a sleep until its wake-up is decided.
func (w *World) fallAsleep(t *Thread, h *node.Held, c *call) error {
	request, clock, absolute := h.Args[2], int32(h.Args[0]), h.Args[1]&unix.TIMER_ABSTIME != 0
	if h.Nr == unix.SYS_NANOSLEEP {
		request, clock, absolute = h.Args[0], unix.CLOCK_MONOTONIC, false
	}
	d, err := readTimespec(t.tid, request)
	if err != nil {
		h.Continue() // the kernel will refuse it
		return nil
	}
	if absolute {
		d -= w.reads(t.proc, clock)
		if !t.proc.timed {
			d = coarse(d)
		}
	}
	if h.Nr == unix.SYS_NANOSLEEP && t.proc.runtime(d) {
		return t.pass(h, c)
	}
	t.call, t.trap = c, h
	t.sleepFor(d, w.now)
	switch {
	case h.Nr == unix.SYS_NANOSLEEP:
		t.remain = h.Args[1]
	case !absolute:
		t.remain = h.Args[3]
	}
	w.beginsSleep()
	return nil
}

// begin is told of the first call that a program makes; in virtual time its
// vDSO is switched off, and the kernel's random bytes become the process's own.
func (w *World) begin(p *Process, h *node.Held) error {
	if !p.begun {
		p.begun = true
		p.dropTimers(func(t *timer) bool { return t.id < 0 }) // the others do not survive an exec
		var random [16]byte
		p.fill(random[:])
		if err := node.PrepareTimed(p.pid, random); err != nil {
			return fmt.Errorf("%s: %w", p.label, err)
		}
	}
	h.Continue()
	return nil
}

// runtime reports whether a nanosleep(2) is a language runtime's own pause. Go's
// sysmon sleeps between 20 us and 10 ms, in a thread of its own and for nobody;
// C libraries and interpreters sleep by clock_nanosleep(2).
func (p *Process) runtime(d time.Duration) bool {
	return d <= 10*time.Millisecond && p.goProgram()
}

// goProgram reports whether the process runs a program made by Go.
func (p *Process) goProgram() bool {
	const yes, no = 1, 2
	if p.compiled == 0 {
		p.compiled = no
		exe := fmt.Sprintf("/proc/%d/exe", p.pid)
		if name, err := os.Readlink(exe); err == nil && !onShare(name) {
			if _, err := buildinfo.ReadFile(exe); err == nil {
				p.compiled = yes
			}
		}
	}
	return p.compiled == yes
}

// sleepFor makes the thread, held at a call that waits, a sleeper.
func (t *Thread) sleepFor(d, now time.Duration) {
	d = t.proc.host.lasts(max(d, 0))
	t.asleep, t.sleep, t.until, t.remain = true, d, now+d, 0
}

// coarse rounds a sleep up, so that it does not depend on how long the program
// was on its way from reading the machine's clock to the call.
func coarse(d time.Duration) time.Duration {
	step := 250 * time.Millisecond
	if d < step {
		step = 25 * time.Millisecond
	}
	return (d + step - 1) / step * step
}

// reads is what the process reads as that clock: an absolute time refers to it.
// One that is not in virtual time reads its monotonic clock from the vDSO.
func (w *World) reads(p *Process, clock int32) time.Duration {
	switch {
	case !p.timed:
		var ts unix.Timespec
		unix.ClockGettime(clock, &ts)
		return time.Duration(ts.Nano())
	case monotonic(clock):
		return p.host.elapsed(w.now) + uptime
	}
	return Epoch.Add(p.host.elapsed(w.now) + p.host.skew).Sub(time.Unix(0, 0))
}

// readTimespec reads a struct timespec.
func readTimespec(tid int, addr uint64) (time.Duration, error) {
	words, err := node.ReadWords(tid, addr, 2)
	if err != nil {
		return 0, err
	}
	const most = 1 << 62 / uint64(time.Second) // what a Duration holds
	return time.Duration(min(words[0], most))*time.Second + time.Duration(words[1]), nil
}

// Rounds are what a sleeper, or a timer, has seen since it last went round.
type rounds struct {
	woke      uint64 // version of the share when it last woke; 0 if it has not
	turns     int    // how often it has woken
	contents  uint64 // of the share when it last woke, once it has woken often
	idle      int    // how often it has woken since without any change
	overslept int    // the world's, when it last woke
}

// A wakeUp is whether a sleeper may wake, and when.
type wakeUp int

const (
	fast      wakeUp = iota // it sees no change since it last went round: it sleeps on
	fresh                   // something has changed, or it has not gone round yet
	overtaken               // nothing has changed, but another has overslept meanwhile
	later                   // nothing has changed, but its horizon lets more time pass
)

// waking says whether a sleeper of the process may wake up now.
//
// A program that polls, and has gone round once without any change on the
// share since, would go round again and find what it found: it reads the same
// bytes. So it waits for a change. Only time can make a difference to it: a
// lock that expires, a limit of tries. Programs with a horizon are therefore
// woken later and later, each time after twice as long, until the horizon: a
// sleep may take longer than was asked for, so no program can object. A
// program that counts its own rounds sees as many as there are doublings. A
// timer that expires again and again is such a sleeper too. When one has
// overslept, the others may wake at that time too: what expires then expires for
// all.
//
// Many a lock is tried for with a file of its own that is made and removed each
// time. Such a change is none: of who has woken often, what lies on the share
// now is held against what lay there then. It wakes no more while others are at
// work, whose files of that kind would be there.
func (w *World) waking(p *Process, r *rounds) wakeUp {
	changed := r.woke != w.store.Version() && (r.turns < often || r.contents != w.contents())
	switch {
	case r.woke == 0 || changed:
		return fresh
	case p.horizon() > 0 && r.overslept != w.overslept:
		return overtaken
	case w.now+r.jump() <= p.horizon():
		return later
	}
	return fast
}

// horizon is that of the program that the process is, or comes from.
func (p *Process) horizon() time.Duration {
	root := p.root()
	if root.program == nil {
		return 0
	}
	if root.program.Horizon == 0 && !root.program.Single {
		return defaultHorizon
	}
	return root.program.Horizon
}

// defaultHorizon is twice the lifetime of the longest of Mailman's locks. What a
// program that we did not write waits for, we do not know.
const defaultHorizon = 60 * time.Hour

// jump is how long a sleeper that sees no change oversleeps. The first few
// times it does not: many a program sleeps a few times and is done.
func (r *rounds) jump() time.Duration {
	const punctual = 10
	if r.idle < punctual {
		return 0
	}
	return time.Second << (r.idle - punctual)
}

// wake moves the time to the thread's wake-up, and wakes it. Who polls by
// children that sleep, as a shell does, goes round with them, unless it sleeps
// itself.
func (w *World) wake(t *Thread) {
	w.now = max(w.now, t.until)
	w.goRound(t.proc, &t.rounds)
	for m := t.maker; m != nil && !m.asleep; m = m.maker {
		m.rounds = t.rounds
	}
	t.timeOut()
}

// goRound lets a sleeper oversleep if it sees no change, and notes what it will
// see.
func (w *World) goRound(p *Process, r *rounds) {
	switch w.waking(p, r) {
	case later:
		if by := r.jump(); by > 0 {
			w.now += by
			w.overslept++
		}
		r.idle++
	case fresh:
		r.idle = 0
	}
	r.woke, r.overslept = w.store.Version(), w.overslept
	if r.turns++; r.turns >= often {
		r.contents = w.contents()
	}
}

// often is after how many rounds a sleeper's changes are looked at more closely,
// for that takes its time.
const often = 20

// endSleep ends the thread's sleep: its call returns with an error, or with 0.
func (t *Thread) endSleep(errno unix.Errno) {
	h := t.trap
	t.trap, t.asleep = nil, false
	t.wait.close()
	t.wait = nil
	h.Return(0, errno)
}

// answerRandom fills a buffer from the process's own stream.
func (w *World) answerRandom(t *Thread, h *node.Held) error {
	buf := make([]byte, min(h.Args[1], 1<<20))
	t.proc.fill(buf)
	if node.WriteBytes(t.tid, h.Args[0], buf) != nil {
		h.Return(0, unix.EFAULT)
		return nil
	}
	h.Return(int64(len(buf)), 0)
	return nil
}

// openRandom lets a process that opens the kernel's random device have a file
// with bytes of its own stream instead.
func (w *World) openRandom(t *Thread, h *node.Held) error {
	fd, err := unix.MemfdCreate("random", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("%s opens the random device: %w", t.label, err)
	}
	file := os.NewFile(uintptr(fd), "random")
	defer file.Close()
	buf := make([]byte, 64<<10)
	t.proc.fill(buf)
	if _, err := file.WriteAt(buf, 0); err != nil {
		return fmt.Errorf("%s opens the random device: %w", t.label, err)
	}
	flags := h.Args[1]
	if h.Nr == unix.SYS_OPENAT {
		flags = h.Args[2]
	}
	h.ReturnFile(file, flags&unix.O_CLOEXEC != 0)
	return nil
}

// act notes that the process makes a call on the share. With its first one its
// stream of random bytes begins anew: how many a language's runtime takes before
// that differs with how the program was linked.
func (p *Process) act() {
	if !p.acted {
		p.acted, p.random = true, nil
	}
}

// fill gives the process's next random bytes. Its stream begins anew at each
// start, and with its first call on the share, and depends on nothing but its
// label and the number of the start.
func (p *Process) fill(buf []byte) {
	if p.random == nil {
		f := fnv.New64a()
		f.Write([]byte(p.label + " " + strconv.Itoa(p.starts) + " " + strconv.FormatBool(p.acted)))
		p.random = rand.New(rand.NewPCG(f.Sum64(), 0))
	}
	for i := range buf {
		buf[i] = byte(p.random.Uint32())
	}
}
