package share

import "github.com/hanwen/go-fuse/v2/fuse"

func (i *inode) fill(a *fuse.Attr) {
	size := uint64(i.size())
	*a = fuse.Attr{
		Ino: i.ino, Size: size, Blocks: (size + 511) / 512, Blksize: 4096,
		Atime: uint64(i.atime.sec), Atimensec: i.atime.nsec,
		Mtime: uint64(i.mtime.sec), Mtimensec: i.mtime.nsec,
		Ctime: uint64(i.ctime.sec), Ctimensec: i.ctime.nsec,
		Mode: i.mode, Nlink: i.nlink, Owner: fuse.Owner{Uid: i.uid, Gid: i.gid},
	}
}

// GetAttr is stat.
func (f *front) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	i := f.m.inode(in.NodeId)
	if i == nil {
		return unknown
	}
	f.reaches(&in.InHeader, i)
	f.reads(resource("a", i))
	i.fill(&out.Attr)
	return fuse.OK
}

// Statx is not there; the kernel takes GetAttr, and shows no time of birth.
func (f *front) Statx(<-chan struct{}, *fuse.StatxIn, *fuse.StatxOut) fuse.Status {
	return fuse.ENOSYS
}

// SetAttr is chmod, chown, truncate and utimensat.
func (f *front) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	i := f.m.inode(in.NodeId)
	if i == nil {
		return unknown
	}
	var ch change
	if mode, ok := in.GetMode(); ok {
		ch.mode = &mode
	}
	if uid, ok := in.GetUID(); ok {
		ch.uid = &uid
	}
	if gid, ok := in.GetGID(); ok {
		ch.gid = &gid
	}
	if size, ok := in.GetSize(); ok {
		n := int64(size)
		ch.size = &n
		if fh, ok := in.GetFh(); ok && f.m.handles[fh] != nil {
			ch.writable = f.m.handles[fh].writing
		}
	}
	now := f.m.store.clock()
	if in.Valid&fuse.FATTR_ATIME != 0 {
		ch.atime = &timespec{int64(in.Atime), in.Atimensec}
		if in.Valid&fuse.FATTR_ATIME_NOW != 0 {
			ch.atime = &now
		}
	}
	if in.Valid&fuse.FATTR_MTIME != 0 {
		ch.mtime = &timespec{int64(in.Mtime), in.Mtimensec}
		if in.Valid&fuse.FATTR_MTIME_NOW != 0 {
			ch.mtime = &now
		}
	}
	// Who may write, but does not own, may set both times to now, and nothing
	// else: utimensat(2).
	const both = fuse.FATTR_ATIME_NOW | fuse.FATTR_MTIME_NOW
	ch.explicit = in.Valid&both != both

	f.reaches(&in.InHeader, i)
	f.checks(&in.InHeader, i)
	errno := f.m.store.setattr(f.m.cred(&in.InHeader), i, ch)
	if errno != 0 {
		return fuse.Status(errno)
	}
	f.writes(resource("a", i))
	if ch.atime != nil && ch.mtime != nil {
		f.writes(resource("t", i))
	}
	if ch.size != nil {
		f.writes(resource("d", i))
	}
	if ch.mode != nil || ch.uid != nil || ch.gid != nil {
		f.writes(resource("p", i))
	}
	i.fill(&out.Attr)
	return fuse.OK
}

// Access is access(2), and the check of chdir(2).
func (f *front) Access(_ <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	i := f.m.inode(in.NodeId)
	if i == nil {
		return unknown
	}
	f.reaches(&in.InHeader, i)
	f.checks(&in.InHeader, i)
	if in.Mask&mayExec != 0 {
		f.executes(i)
	}
	return fuse.Status(f.m.cred(&in.InHeader).permitted(i, in.Mask&7))
}

// GetXAttr is not there: programs get EOPNOTSUPP, and the kernel does not ask
// again.
func (f *front) GetXAttr(<-chan struct{}, *fuse.InHeader, string, []byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

// ListXAttr is not there, like GetXAttr.
func (f *front) ListXAttr(<-chan struct{}, *fuse.InHeader, []byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

// SetXAttr is not there, like GetXAttr.
func (f *front) SetXAttr(<-chan struct{}, *fuse.SetXAttrIn, string, []byte) fuse.Status {
	return fuse.ENOSYS
}

// RemoveXAttr is not there, like GetXAttr.
func (f *front) RemoveXAttr(<-chan struct{}, *fuse.InHeader, string) fuse.Status {
	return fuse.ENOSYS
}

// StatFs tells of a share that is always as empty: were the figure true, it
// would be in conflict with every write.
func (f *front) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	const blocks, files = 1 << 20, 1 << 20 // 4 GiB
	*out = fuse.StatfsOut{
		Blocks: blocks, Bfree: blocks, Bavail: blocks, Files: files, Ffree: files,
		Bsize: 4096, Frsize: 4096, NameLen: maxName,
	}
	return fuse.OK
}
