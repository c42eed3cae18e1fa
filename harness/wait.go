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

// goOn lets the waiting calls of which something has come go on, and reports
// whether there were any.
func (w *World) goOn() bool {
	any := false
	for _, p := range w.all() {
		for _, t := range p.threads {
			if t.wait == nil || !t.asleep || p.paused {
				continue
			}
			if t.wait.word != 0 {
				if b, err := node.ReadBytes(t.tid, t.wait.word, 4); err == nil && binary.LittleEndian.Uint32(b) != t.wait.value {
					t.endSleep(unix.EAGAIN)
					any = true
				}
				continue
			}
			if n, err := unix.Poll(t.wait.files, 0); n > 0 && err == nil {
				h := t.trap
				t.trap, t.asleep = nil, false
				t.wait.close()
				t.wait = nil
				h.Continue()
				any = true
			}
		}
	}
	return any
}

// holdWait holds select(2), poll(2), epoll_wait(2) and their kin when they have
// a time-out. Without one they wait in the kernel, where they are seen.
func (w *World) holdWait(t *Thread, h *node.Held, c *call) error {
	d, limited := waitTime(t.tid, h)
	pass := func() error {
		c.ordinary, t.call = true, c
		h.Continue()
		return nil
	}
	if !limited || d == 0 {
		return pass()
	}
	wanted, expired, err := waitFiles(t.tid, h)
	if err != nil {
		return pass() // the kernel will refuse it
	}
	wt := &wait{expired: expired}
	for _, f := range wanted {
		// We must not touch a file on the share, and need not: it is always
		// ready.
		if name, err := node.FilePath(t.tid, int(f.Fd)); err != nil || onShare(name) {
			wt.close()
			return pass()
		}
		ours, err := node.CloneFile(t.proc.pid, int(f.Fd))
		if err != nil {
			wt.close()
			return pass()
		}
		f.Fd = int32(ours)
		wt.files = append(wt.files, f)
	}
	t.call, t.trap, t.wait = c, h, wt
	t.sleepFor(d, w.now)
	w.beginsSleep()
	return nil
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
		c.ordinary, t.call = true, c
		h.Continue()
		return nil
	}
	if h.Args[1]&0x7f != 0 { // FUTEX_WAIT_BITSET: an absolute time
		clock := int32(unix.CLOCK_MONOTONIC)
		if h.Args[1]&futexClockRealtime != 0 {
			clock = unix.CLOCK_REALTIME
		}
		d -= w.reads(t.proc, clock)
	}
	t.call, t.trap = c, h
	t.wait = &wait{word: h.Args[0], value: uint32(h.Args[2]), expired: func() unix.Errno { return unix.ETIMEDOUT }}
	t.sleepFor(d, w.now)
	w.beginsSleep()
	return nil
}

const futexClockRealtime = 256 // FUTEX_CLOCK_REALTIME

// setDeadline keeps SO_RCVTIMEO (socket(7)): how long a descriptor waits.
func (w *World) setDeadline(t *Thread, h *node.Held) error {
	const newName = 66 // SO_RCVTIMEO_NEW
	name := int(h.Args[2])
	if int(h.Args[1]) != unix.SOL_SOCKET || name != unix.SO_RCVTIMEO && name != newName {
		h.Continue()
		return nil
	}
	words, err := node.ReadWords(t.tid, h.Args[3], 2)
	if err != nil {
		h.Return(0, unix.EFAULT)
		return nil
	}
	if t.proc.deadlines == nil {
		t.proc.deadlines = map[int]time.Duration{}
	}
	t.proc.deadlines[int(h.Args[0])] = time.Duration(words[0])*time.Second + time.Duration(words[1])*time.Microsecond
	h.Return(0, 0)
	return nil
}

// holdReceive holds a receive or accept on a descriptor with a deadline.
func (w *World) holdReceive(t *Thread, h *node.Held, c *call) error {
	d := t.proc.deadlines[int(int32(h.Args[0]))]
	if d > 0 {
		if ours, err := node.CloneFile(t.proc.pid, int(int32(h.Args[0]))); err == nil {
			t.call, t.trap = c, h
			t.wait = &wait{files: []unix.PollFd{{Fd: int32(ours), Events: unix.POLLIN}}, expired: func() unix.Errno { return unix.EAGAIN }}
			t.sleepFor(d, w.now)
			w.beginsSleep()
			return nil
		}
	}
	c.ordinary, t.call = true, c
	h.Continue()
	return nil
}
