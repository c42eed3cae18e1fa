package harness

import (
	"encoding/binary"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// A wait is a call of a program in virtual time that waits for something or
// for a time. It is held at its entry, so the kernel waits for nothing: we look
// whether what it waits for has come, with descriptors of our own for the same
// open files, and then let the call happen, which finds it; or the time has
// come, by decision, and the call returns as the kernel would have it return.
type wait struct {
	files   []unix.PollFd // any of these
	word    uint64        // or this address of 4 bytes ...
	value   uint32        // ... holding another value; 0 is none
	signals uint64        // or any signal of this set: sigtimedwait(2)
	mask    *uint64       // the signals that are blocked meanwhile, if not the thread's: ppoll(2) and its kin
	expired func() unix.Errno
}

func (w *wait) close() {
	if w == nil {
		return
	}
	for _, f := range w.files {
		unix.Close(int(f.Fd))
	}
	w.files = nil
}

// timeOut lets the thread's call return as if its time had come.
func (t *Thread) timeOut() {
	errno := unix.Errno(0)
	if t.wait != nil && t.wait.expired != nil {
		errno = t.wait.expired()
	}
	t.endSleep(errno)
}

// goOn lets the calls go on that wait for nothing any more, and reports whether
// there were any.
func (w *World) goOn() bool {
	any := false
	for _, p := range w.all() {
		if p.paused {
			continue
		}
		any = p.interrupted(w.now) || any
		for _, t := range p.threads {
			any = t.find() || any
		}
	}
	return any
}

// find lets the thread's wait find that what it waits for has come, if it has.
func (t *Thread) find() bool {
	if !t.asleep || t.wait == nil {
		return false
	}
	if t.wait.word != 0 {
		b, err := node.ReadBytes(t.tid, t.wait.word, 4)
		if err != nil || binary.LittleEndian.Uint32(b) == t.wait.value {
			return false
		}
		t.endSleep(unix.EAGAIN)
		return true
	}
	if n, err := unix.Poll(t.wait.files, 0); n <= 0 || err != nil {
		return false
	}
	t.stopWaiting()
	return true
}

// stopWaiting lets the thread's wait happen: the kernel will find what it waits
// for.
func (t *Thread) stopWaiting() {
	h := t.trap
	t.trap, t.asleep = nil, false
	t.wait.close()
	t.wait = nil
	h.Continue()
}

// pass lets a call happen that is no decision.
func (t *Thread) pass(h *node.Held, c *call) error {
	c.ordinary, t.call = true, c
	h.Continue()
	return nil
}

// await holds a call that waits, for so long at most.
func (w *World) await(t *Thread, h *node.Held, c *call, wt *wait, d time.Duration) error {
	t.call, t.trap, t.wait = c, h, wt
	t.sleepFor(d, w.now)
	w.beginsSleep()
	return nil
}

// holdWait holds select(2), poll(2), epoll_wait(2) and their kin when they have
// a time-out. Without one they wait in the kernel, where they are seen.
func (w *World) holdWait(t *Thread, h *node.Held, c *call) error {
	d, limited := waitTime(t.tid, h)
	if !limited || d == 0 {
		return t.pass(h, c)
	}
	wanted, expired, err := waitFiles(t.tid, h)
	if err != nil {
		return t.pass(h, c) // the kernel will refuse it
	}
	wt := &wait{expired: expired}
	if wt.mask, err = waitMask(t.tid, h); err != nil {
		return t.pass(h, c)
	}
	t.proc.poked = t.proc.poked || wt.mask != nil // it may unblock what has come already
	for _, f := range wanted {
		// We must not touch a file on the share, and need not: it is always
		// ready.
		if name, err := node.FilePath(t.tid, int(f.Fd)); err != nil || onShare(name) {
			wt.close()
			return t.pass(h, c)
		}
		ours, err := node.CloneFile(t.proc.pid, int(f.Fd))
		if err != nil {
			wt.close()
			return t.pass(h, c)
		}
		f.Fd = int32(ours)
		wt.files = append(wt.files, f)
	}
	return w.await(t, h, c, wt, d)
}

func onShare(path string) bool {
	_, shared := shareName(strings.TrimSuffix(path, " (deleted)"))
	return shared
}

// waitTime is a waiting call's time-out; limited is false when it has none.
func waitTime(tid int, h *node.Held) (d time.Duration, limited bool) {
	millis := func(arg uint64) (time.Duration, bool) {
		return time.Duration(int32(arg)) * time.Millisecond, int32(arg) >= 0
	}
	pointer := func(arg uint64, unit time.Duration) (time.Duration, bool) {
		words, err := node.ReadWords(tid, arg, 2)
		if arg == 0 || err != nil {
			return 0, false
		}
		return time.Duration(words[0])*time.Second + time.Duration(words[1])*unit, true
	}
	switch h.Nr {
	case unix.SYS_POLL:
		return millis(h.Args[2])
	case unix.SYS_EPOLL_WAIT, unix.SYS_EPOLL_PWAIT:
		return millis(h.Args[3])
	case unix.SYS_PPOLL:
		return pointer(h.Args[2], time.Nanosecond)
	case unix.SYS_EPOLL_PWAIT2:
		return pointer(h.Args[3], time.Nanosecond)
	case unix.SYS_SELECT:
		return pointer(h.Args[4], time.Microsecond)
	case unix.SYS_PSELECT6:
		return pointer(h.Args[4], time.Nanosecond)
	}
	return 0, false
}

// waitMask is the set of signals that a waiting call blocks while it waits, or
// nil where it has none of its own.
func waitMask(tid int, h *node.Held) (*uint64, error) {
	at := uint64(0)
	switch h.Nr {
	case unix.SYS_PPOLL:
		at = h.Args[3]
	case unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2:
		at = h.Args[4]
	case unix.SYS_PSELECT6: // a struct with the pointer, and the set's size
		if h.Args[5] != 0 {
			words, err := node.ReadWords(tid, h.Args[5], 1)
			if err != nil {
				return nil, err
			}
			at = words[0]
		}
	}
	if at == 0 {
		return nil, nil
	}
	words, err := node.ReadWords(tid, at, 1)
	if err != nil {
		return nil, err
	}
	return &words[0], nil
}

// waitFiles is what a waiting call waits for, and what it leaves in the
// program's memory when its time is over: that nothing is ready.
func waitFiles(tid int, h *node.Held) ([]unix.PollFd, func() unix.Errno, error) {
	switch h.Nr {
	case unix.SYS_POLL, unix.SYS_PPOLL:
		return pollFiles(tid, h.Args[0], int(h.Args[1]))
	case unix.SYS_SELECT, unix.SYS_PSELECT6:
		return selectFiles(tid, int(int32(h.Args[0])), h.Args[1:4])
	}
	return []unix.PollFd{{Fd: int32(h.Args[0]), Events: unix.POLLIN}}, nil, nil
}

const pollSize = 8 // of struct pollfd: int fd, short events, short revents

func pollFiles(tid int, addr uint64, n int) ([]unix.PollFd, func() unix.Errno, error) {
	b, err := node.ReadBytes(tid, addr, min(n, 1<<16)*pollSize)
	if err != nil {
		return nil, nil, err
	}
	var list []unix.PollFd
	for i := 0; i < len(b); i += pollSize {
		fd := int32(binary.LittleEndian.Uint32(b[i:]))
		if fd >= 0 {
			list = append(list, unix.PollFd{Fd: fd, Events: int16(binary.LittleEndian.Uint16(b[i+4:]))})
		}
		b[i+6], b[i+7] = 0, 0
	}
	return list, func() unix.Errno { node.WriteBytes(tid, addr, b); return 0 }, nil
}

func selectFiles(tid, n int, sets []uint64) ([]unix.PollFd, func() unix.Errno, error) {
	size := (max(n, 0) + 63) / 64 * 8
	events := []int16{unix.POLLIN, unix.POLLOUT, unix.POLLPRI}
	var list []unix.PollFd
	for i, addr := range sets {
		if addr == 0 {
			continue
		}
		b, err := node.ReadBytes(tid, addr, size)
		if err != nil {
			return nil, nil, err
		}
		for fd := range n {
			if b[fd/8]&(1<<(fd%8)) != 0 {
				list = append(list, unix.PollFd{Fd: int32(fd), Events: events[i]})
			}
		}
	}
	return list, func() unix.Errno {
		for _, addr := range sets {
			if addr != 0 {
				node.WriteBytes(tid, addr, make([]byte, size))
			}
		}
		return 0
	}, nil
}

// holdFutex holds a futex(2) that waits with a time-out.
func (w *World) holdFutex(t *Thread, h *node.Held, c *call) error {
	d, err := readTimespec(t.tid, h.Args[3])
	if err != nil || t.proc.goProgram() {
		// Go's runtime sleeps so in its own threads, for nobody.
		return t.pass(h, c)
	}
	if h.Args[1]&0x7f != 0 { // FUTEX_WAIT_BITSET: an absolute time
		clock := int32(unix.CLOCK_MONOTONIC)
		if h.Args[1]&futexClockRealtime != 0 {
			clock = unix.CLOCK_REALTIME
		}
		d -= w.reads(t.proc, clock)
	}
	wt := &wait{word: h.Args[0], value: uint32(h.Args[2]), expired: func() unix.Errno { return unix.ETIMEDOUT }}
	return w.await(t, h, c, wt, d)
}

const futexClockRealtime = 256 // FUTEX_CLOCK_REALTIME

// holdAwait holds sigtimedwait(2) when it has a time-out.
func (w *World) holdAwait(t *Thread, h *node.Held, c *call) error {
	if h.Args[2] == 0 {
		return t.pass(h, c)
	}
	d, err := readTimespec(t.tid, h.Args[2])
	if err != nil || d == 0 {
		return t.pass(h, c)
	}
	set, err := node.ReadWords(t.tid, h.Args[0], 1)
	if err != nil {
		return t.pass(h, c)
	}
	t.proc.poked = true // one may have come already
	return w.await(t, h, c, &wait{signals: set[0], expired: wouldBlock}, d)
}

func wouldBlock() unix.Errno { return unix.EAGAIN }

// holdReceive holds a read, a receive or an accept on a socket that has a
// time-out, SO_RCVTIMEO of socket(7). It is the socket's: of all who have it,
// by whatever descriptor.
func (w *World) holdReceive(t *Thread, h *node.Held, c *call) error {
	fd := int(int32(h.Args[0]))
	if name, err := node.FilePath(t.tid, fd); err != nil || !strings.HasPrefix(name, "socket:") || receiveFlags(h)&unix.MSG_DONTWAIT != 0 {
		return t.pass(h, c)
	}
	ours, err := node.CloneFile(t.proc.pid, fd)
	if err != nil {
		return t.pass(h, c)
	}
	wt := &wait{files: []unix.PollFd{{Fd: int32(ours), Events: unix.POLLIN}}, expired: wouldBlock}
	limit, err := unix.GetsockoptTimeval(ours, unix.SOL_SOCKET, unix.SO_RCVTIMEO)
	flags, flagsErr := unix.FcntlInt(uintptr(ours), unix.F_GETFL, 0)
	if err != nil || flagsErr != nil || limit.Nano() == 0 || flags&unix.O_NONBLOCK != 0 {
		wt.close()
		return t.pass(h, c)
	}
	return w.await(t, h, c, wt, time.Duration(limit.Nano()))
}

// receiveFlags are the flags of a call that receives.
func receiveFlags(h *node.Held) uint64 {
	switch h.Nr {
	case unix.SYS_RECVMSG:
		return h.Args[2]
	case unix.SYS_RECVFROM, unix.SYS_RECVMMSG:
		return h.Args[3]
	}
	return 0
}
