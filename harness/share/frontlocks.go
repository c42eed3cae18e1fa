package share

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// plock says a request's lock in the server's terms.
func (m *Mount) plock(in *fuse.LkIn, h *handle) plock {
	return plock{
		owner:     owner{m, in.Owner},
		handle:    h,
		pid:       in.Lk.Pid,
		exclusive: in.Lk.Typ == syscall.F_WRLCK,
		start:     in.Lk.Start,
		end:       in.Lk.End,
	}
}

// GetLk tells which POSIX lock is in the way of one. Its process id is that of
// the holder on the same node, 0 for one on another.
func (f *front) GetLk(_ <-chan struct{}, in *fuse.LkIn, out *fuse.LkOut) fuse.Status {
	h := f.m.handles[in.Fh]
	if h == nil {
		return fuse.EBADF
	}
	f.reads(resource("k", h.inode))
	l := h.inode.plockConflict(f.m.plock(in, h))
	if l == nil {
		out.Lk = fuse.FileLock{Typ: syscall.F_UNLCK}
		return fuse.OK
	}
	out.Lk = fuse.FileLock{Start: l.start, End: l.end, Typ: syscall.F_RDLCK}
	if l.exclusive {
		out.Lk.Typ = syscall.F_WRLCK
	}
	if l.owner.mount == f.m {
		out.Lk.Pid = l.pid
	}
	return fuse.OK
}

// SetLk takes or gives up a lock, of flock(2) or fcntl(2). EAGAIN where others
// are in the way.
func (f *front) SetLk(_ <-chan struct{}, in *fuse.LkIn) fuse.Status {
	h := f.m.handles[in.Fh]
	if h == nil {
		return fuse.EBADF
	}
	f.writes(resource("k", h.inode))
	switch {
	case in.LkFlags&fuse.LK_FLOCK != 0:
		return fuse.Status(h.inode.flock(h, in.Lk.Typ))
	case in.Lk.Typ == syscall.F_UNLCK:
		h.inode.punlock(owner{f.m, in.Owner}, in.Lk.Start, in.Lk.End)
		return fuse.OK
	}
	return fuse.Status(h.inode.plock(f.m.plock(in, h)))
}

// SetLkw is SetLk: whoever has it answered waits until Ready says so.
func (f *front) SetLkw(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	return f.SetLk(cancel, in)
}
