package share

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// openFile opens a handle. Direct I/O sends every read and write here instead of
// to a page cache of the node; a mapping still has one.
func (f *front) openFile(i *inode, flags uint32, out *fuse.OpenOut) {
	out.Fh, _ = f.m.open(i, flags)
	if i.is(syscall.S_IFREG) {
		out.OpenFlags = fuse.FOPEN_DIRECT_IO
	}
}

// Create is open(2) with O_CREAT of a name that was not there when this node's
// kernel looked. Another node may have made it since: then it is opened, or
// EEXIST with O_EXCL.
func (f *front) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	dir := f.m.inode(in.NodeId)
	if dir == nil {
		return unknown
	}
	c := f.m.cred(&in.InHeader)
	i, errno := f.m.store.lookup(c, dir, name)
	if errno != 0 || in.Flags&syscall.O_EXCL != 0 {
		i, status := f.create(&in.InHeader, name, syscall.S_IFREG|in.Mode&permissions, nil, &out.EntryOut)
		if status == fuse.OK {
			f.openFile(i, in.Flags, &out.OpenOut)
		}
		return status
	}
	f.reaches(&in.InHeader, dir)
	f.checks(&in.InHeader, dir)
	f.reads(entryResource(dir, name))
	switch {
	case i.isDir():
		return fuse.EISDIR
	case !i.is(syscall.S_IFREG):
		// The kernel has to look at it, and to follow a link, by itself.
		return fuse.Status(syscall.EEXIST)
	}
	if status := f.opens(&in.InHeader, i, in.Flags); status != fuse.OK {
		return status
	}
	f.enter(dir, i, &out.EntryOut)
	f.openFile(i, in.Flags, &out.OpenOut)
	return fuse.OK
}

// opens checks the right to open and cuts the file where the flags say so.
func (f *front) opens(h *fuse.InHeader, i *inode, flags uint32) fuse.Status {
	f.checks(h, i)
	if flags&execFlag != 0 {
		f.executes(i)
	}
	errno := f.m.store.open(f.m.cred(h), i, flags)
	if errno == 0 && flags&syscall.O_TRUNC != 0 {
		f.writes(resource("d", i), resource("a", i))
	}
	return fuse.Status(errno)
}

// Tmpfile is open(2) with O_TMPFILE: a file with no name.
func (f *front) Tmpfile(_ <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	dir := f.m.inode(in.NodeId)
	if dir == nil {
		return unknown
	}
	f.reaches(&in.InHeader, dir)
	f.checks(&in.InHeader, dir)
	c := f.m.cred(&in.InHeader)
	if errno := c.mayChange(dir); errno != 0 {
		return fuse.Status(errno)
	}
	i := f.m.store.newInode(c, dir, "", syscall.S_IFREG|in.Mode&permissions)
	i.nlink = 0
	f.writes(entryResource(dir, "")) // its number tells how many came before
	f.made(i)
	f.enter(dir, i, &out.EntryOut)
	f.openFile(i, in.Flags, &out.OpenOut)
	return fuse.OK
}

// Open opens a file. O_TRUNC comes with it: no other node sees a moment in
// between.
func (f *front) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	i := f.m.inode(in.NodeId)
	if i == nil {
		return unknown
	}
	status := f.opens(&in.InHeader, i, in.Flags)
	if status == fuse.OK {
		f.openFile(i, in.Flags, out)
	}
	return status
}

// Read reads what lies at an offset now.
func (f *front) Read(_ <-chan struct{}, in *fuse.ReadIn, _ []byte) (fuse.ReadResult, fuse.Status) {
	h := f.m.handles[in.Fh]
	if h == nil {
		return nil, fuse.EBADF
	}
	f.reads(resource("d", h.inode))
	size := uint64(len(h.inode.data))
	start := min(in.Offset, size)
	return fuse.ReadResultData(h.inode.data[start:min(start+uint64(in.Size), size)]), fuse.OK
}

// Lseek finds data and holes: a file is all data, with a hole at its end.
func (f *front) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	h := f.m.handles[in.Fh]
	if h == nil {
		return fuse.EBADF
	}
	f.reads(resource("d", h.inode))
	size := uint64(h.inode.size())
	if in.Offset >= size {
		return fuse.Status(syscall.ENXIO)
	}
	switch in.Whence {
	case unix.SEEK_DATA:
		out.Offset = in.Offset
	case unix.SEEK_HOLE:
		out.Offset = size
	default:
		return fuse.EINVAL
	}
	return fuse.OK
}

// Write is Writev with one piece; the library calls Writev.
func (f *front) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	return f.Writev(cancel, in, [][]byte{data})
}

// Writev writes. With O_APPEND the end of the file is where it is here: the
// offset that the kernel sends is stale when another node has written.
func (f *front) Writev(_ <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	h := f.m.handles[in.Fh]
	if h == nil || !h.writing {
		return 0, fuse.EBADF
	}
	i, off := h.inode, int64(in.Offset)
	f.writes(resource("d", i), resource("a", i))
	size := i.size()
	fromMapping := in.WriteFlags&fuse.WRITE_CACHE != 0
	if in.Flags&syscall.O_APPEND != 0 && !fromMapping {
		off = size
	}
	var n uint32
	for _, p := range data {
		if fromMapping {
			// A page that was stored to through a mapping cannot make the file
			// longer than it is by now.
			p = p[:min(int64(len(p)), max(size-off, 0))]
		}
		if len(p) > 0 {
			if errno := f.m.store.write(i, p, off); errno != 0 {
				return n, fuse.Status(errno)
			}
		}
		off += int64(len(p))
		n += uint32(len(p))
	}
	if in.Flags&syscall.O_DSYNC != 0 { // O_SYNC has that bit too
		i.sync()
	}
	if fromMapping {
		n = in.Size // what was cut off is not an error either
	}
	return n, fuse.OK
}

// CopyFileRange is not there: the kernel reads and writes instead.
func (f *front) CopyFileRange(<-chan struct{}, *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

// Ioctl knows none.
func (f *front) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}

// Fallocate makes a file longer, or zeroes a part of it. Space is not reserved:
// there is always enough.
func (f *front) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h := f.m.handles[in.Fh]
	if h == nil || !h.writing {
		return fuse.EBADF
	}
	i, end := h.inode, in.Offset+in.Length
	f.reads(resource("d", i))
	if end < in.Offset || end > maxFileSize {
		return fuse.Status(syscall.EFBIG)
	}
	var errno syscall.Errno
	switch in.Mode {
	case unix.FALLOC_FL_KEEP_SIZE:
		return fuse.OK
	case 0:
		if int64(end) <= i.size() {
			return fuse.OK
		}
		errno = f.m.store.resize(i, int64(end))
	case unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE:
		if end = min(end, uint64(i.size())); end > in.Offset {
			errno = f.m.store.write(i, make([]byte, end-in.Offset), int64(in.Offset))
		}
	default:
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	if errno == 0 {
		f.writes(resource("d", i), resource("a", i))
	}
	return fuse.Status(errno)
}

// Fsync makes what was written safe from PowerLoss; no program sees a difference
// before that. fdatasync is the same.
func (f *front) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if h := f.m.handles[in.Fh]; h != nil {
		h.inode.sync()
	}
	return fuse.OK
}

// Flush is a close(2) of one of a handle's descriptors. It gives up the POSIX
// locks that the closing process has on the file, through whatever descriptor
// it took them.
func (f *front) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	if h := f.m.handles[in.Fh]; h != nil && h.inode.punlock(owner{f.m, in.LockOwner}, 0, ^uint64(0)) {
		f.writes(resource("k", h.inode))
	}
	return fuse.OK
}

// Release is the last close of an open file.
func (f *front) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	if h := f.m.handles[in.Fh]; h != nil && f.m.release(in.Fh) {
		f.writes(resource("k", h.inode))
	}
}
