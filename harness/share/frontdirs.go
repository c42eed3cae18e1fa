package share

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// OpenDir opens a directory, and takes the listing that will be read from it.
func (f *front) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	i := f.m.inode(in.NodeId)
	if i == nil {
		return unknown
	}
	f.reaches(&in.InHeader, i)
	status := f.opens(&in.InHeader, i, in.Flags&^syscall.O_TRUNC)
	if status != fuse.OK {
		return status
	}
	f.reads(resource("l", i))
	fh, h := f.m.open(i, in.Flags)
	h.list = i.share()
	out.Fh = fh
	return fuse.OK
}

// ReadDir reads from the listing: "." and "..", then all names in order. An
// offset is the number of entries before it. At offset 0 for a second time
// (rewinddir) the listing is taken anew.
func (f *front) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	h := f.m.handles[in.Fh]
	if h == nil {
		return fuse.EBADF
	}
	if in.Offset == 0 && h.listed {
		f.reads(resource("l", h.inode))
		h.list = h.inode.share()
	}
	h.listed = true
	for n := in.Offset; n < uint64(len(h.list))+2; n++ {
		e := fuse.DirEntry{Off: n + 1}
		switch n {
		case 0:
			e.Name, e.Ino, e.Mode = ".", h.inode.ino, h.inode.mode
		case 1:
			parent := h.inode
			if parent != f.m.top && parent.parent != nil {
				parent = parent.parent
			}
			e.Name, e.Ino, e.Mode = "..", parent.ino, parent.mode
		default:
			i := h.list[n-2].inode
			e.Name, e.Ino, e.Mode = h.list[n-2].name, i.ino, i.mode
		}
		if !out.AddDirEntry(e) {
			break
		}
	}
	return fuse.OK
}

// ReadDirPlus is not there, and not asked for: it would carry attributes past
// the gate.
func (f *front) ReadDirPlus(<-chan struct{}, *fuse.ReadIn, *fuse.DirEntryList) fuse.Status {
	return fuse.ENOSYS
}

// ReleaseDir is the last close of an open directory.
func (f *front) ReleaseDir(in *fuse.ReleaseIn) { f.m.release(in.Fh) }

// FsyncDir has nothing to do: entries are on disk at once.
func (f *front) FsyncDir(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.OK }
