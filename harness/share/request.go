package share

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"screwtape/harness/schedule"
)

// A Request is one thing that a kernel asks for.
type Request struct {
	opcode uint32
	Op     string              // its name: "LOOKUP"
	Unique uint64              // the kernel's number for it
	PID    uint32              // the thread that waits for it; 0 for the kernel itself
	Lock   *Lock               // of GETLK, SETLK and SETLKW
	GaveUp []schedule.Resource // what Next has changed already: a flock that is given up for one of the other kind
	raw    []byte
}

// A Lock is what a request asks for as a lock.
type Lock struct {
	Flock bool // flock(2), not fcntl(2)
	Type  int  // unix.F_RDLCK, F_WRLCK, F_UNLCK
}

// Next takes the next request off the mount. It is nil when there is none at
// the moment. The error is ErrUnmounted, or what went wrong with the device.
func (m *Mount) Next() (*Request, error) {
	if m.failed != nil {
		return nil, m.failed
	}
	for {
		n, err := unix.Read(m.dev, m.in)
		switch err {
		case nil:
			r, err := parse(bytes.Clone(m.in[:n]))
			if err == nil {
				m.giveUp(r)
			}
			return r, err
		case unix.EAGAIN:
			return nil, nil
		case unix.EINTR, unix.ENOENT: // ENOENT: the request was taken back as it was being read
		case unix.ENODEV:
			return nil, ErrUnmounted
		default:
			return nil, &os.PathError{Op: "read", Path: "/dev/fuse", Err: err}
		}
	}
}

// args gives the fixed part of a request, which is as long as T.
func args[T any](r *Request) *T {
	if len(r.raw) < int(unsafe.Sizeof(*new(T))) {
		return new(T)
	}
	return (*T)(unsafe.Pointer(&r.raw[0]))
}

const headerSize = int(unsafe.Sizeof(fuse.InHeader{}))

func parse(raw []byte) (*Request, error) {
	if len(raw) < headerSize {
		return nil, fmt.Errorf("FUSE: a request of %d bytes", len(raw))
	}
	r := &Request{raw: raw}
	h := args[fuse.InHeader](r)
	r.opcode, r.Unique, r.PID = h.Opcode, h.Unique, h.Pid
	if int(r.opcode) >= len(opcodes) || opcodes[r.opcode].name == "" {
		r.Op = "OPCODE-" + strconv.Itoa(int(r.opcode))
		return r, nil
	}
	r.Op = opcodes[r.opcode].name
	switch r.opcode {
	case opGetlk, opSetlk, opSetlkw:
		in := args[fuse.LkIn](r)
		r.Lock = &Lock{in.LkFlags&fuse.LK_FLOCK != 0, int(in.Lk.Typ)}
	}
	return r, nil
}

// giveUp does what a flock(2) that has to wait does on arrival: it gives up the
// lock of the other kind. Two that both want more than they have would wait for
// each other for ever otherwise.
func (m *Mount) giveUp(r *Request) {
	if r.Lock == nil || !r.Lock.Flock || m.Ready(r) {
		return
	}
	if h := m.handles[args[fuse.LkIn](r).Fh]; h != nil && h.inode.unflock(h) {
		r.GaveUp = []schedule.Resource{resource("k", h.inode)}
	}
}

// Interrupts says which request a signal has interrupted, if this is an
// INTERRUPT. The interrupted one still waits for its answer.
func (r *Request) Interrupts() (unique uint64, ok bool) {
	if r.opcode != opInterrupt {
		return 0, false
	}
	return args[fuse.InterruptIn](r).Unique, true
}

// Class says what to do with a request: Pass or Hold.
func (m *Mount) Class(r *Request) Class {
	if int(r.opcode) >= len(classes) || r.PID == 0 { // the kernel's own requests belong to no call
		return Pass
	}
	class := classes[r.opcode]
	if class == HoldIfLocked {
		in := args[fuse.FlushIn](r)
		h := m.handles[in.Fh]
		if h == nil || !h.inode.plocked(owner{m, in.LockOwner}) && !h.inode.flocked(h) {
			return Pass
		}
		return Hold
	}
	return class
}

// Ready reports whether a request can be answered without waiting: it is false
// for a SETLKW while others hold what it wants.
func (m *Mount) Ready(r *Request) bool {
	if r.opcode != opSetlkw {
		return true
	}
	in := args[fuse.LkIn](r)
	h := m.handles[in.Fh]
	if h == nil || in.Lk.Typ == syscall.F_UNLCK {
		return true
	}
	if in.LkFlags&fuse.LK_FLOCK != 0 {
		return !h.inode.flockConflicts(h, in.Lk.Typ == syscall.F_WRLCK)
	}
	return h.inode.plockConflict(m.plock(in, h)) == nil
}

// Path names the inode that a request is about as it lies now, below the mount's
// root; "" is the root itself, or no inode.
func (m *Mount) Path(r *Request) string {
	return m.inode(args[fuse.InHeader](r).NodeId).path(m.top)
}

// An Effect is what came of a request.
type Effect struct {
	Op        string             // the request's
	Errno     syscall.Errno      // 0 where it succeeded
	Footprint schedule.Footprint // what it read and wrote
}

// Answer carries a request out and replies. A caller that died meanwhile is no
// error.
func (m *Mount) Answer(r *Request) Effect {
	if r.opcode == opInterrupt { // needs no reply; any but silence sends it again
		return Effect{Op: r.Op}
	}
	e := Effect{Op: r.Op}
	m.footprint = schedule.Footprint{}
	in, out := [1][]byte{r.raw}, [1][]byte{m.out}
	n, status := m.server.HandleRequest(in[:], out[:])
	e.Footprint = m.footprint
	switch {
	case !status.Ok(): // it could not be understood
		e.Errno = syscall.Errno(status)
		m.reply(r, e.Errno)
	case n > 0:
		e.Errno = syscall.Errno(-int32(binary.NativeEndian.Uint32(m.out[4:])))
		m.send(m.out[:n])
	}
	return e
}

// Refuse answers a request with an error without carrying it out. What cannot
// fail, closing a handle and forgetting an inode, is carried out all the same.
func (m *Mount) Refuse(r *Request, errno syscall.Errno) {
	switch r.opcode {
	case opForget, opBatchForget, opRelease, opReleasedir, opInterrupt:
		m.Answer(r)
	default:
		m.reply(r, errno)
	}
}

// reply sends nothing but an error: struct fuse_out_header.
func (m *Mount) reply(r *Request, errno syscall.Errno) {
	var out [16]byte
	binary.NativeEndian.PutUint32(out[0:], uint32(len(out)))
	binary.NativeEndian.PutUint32(out[4:], uint32(-int32(errno)))
	binary.NativeEndian.PutUint64(out[8:], r.Unique)
	m.send(out[:])
}
