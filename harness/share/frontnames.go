package share

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Lookup finds a name in a directory.
func (f *front) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	dir := f.m.inode(h.NodeId)
	if dir == nil {
		return unknown
	}
	f.reaches(h, dir)
	f.checks(h, dir)
	f.reads(entryResource(dir, name))
	i, errno := f.m.store.lookup(f.m.cred(h), dir, name)
	if errno == 0 {
		f.enter(dir, i, out)
	}
	return fuse.Status(errno)
}

// Forget takes back references that the kernel had to an inode.
func (f *front) Forget(node, lookups uint64) { f.m.forget(node, lookups) }

// create makes an inode of any type under a name.
func (f *front) create(h *fuse.InHeader, name string, mode uint32, data []byte, out *fuse.EntryOut) (*inode, fuse.Status) {
	dir := f.m.inode(h.NodeId)
	if dir == nil {
		return nil, unknown
	}
	f.reaches(h, dir)
	f.checks(h, dir)
	i, errno := f.m.store.create(f.m.cred(h), dir, name, mode, data)
	if errno != 0 {
		f.reads(entryResource(dir, name))
		return nil, fuse.Status(errno)
	}
	f.entered(dir, name)
	f.made(i)
	f.enter(dir, i, out)
	return i, fuse.OK
}

// Mknod makes a file, FIFO or socket. Devices would mean something to the
// node, not to the share.
func (f *front) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	switch in.Mode & syscall.S_IFMT {
	case syscall.S_IFREG, syscall.S_IFIFO, syscall.S_IFSOCK:
	default:
		return fuse.EPERM
	}
	_, status := f.create(&in.InHeader, name, in.Mode, nil, out)
	return status
}

// Mkdir makes a directory.
func (f *front) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	_, status := f.create(&in.InHeader, name, syscall.S_IFDIR|in.Mode&permissions, nil, out)
	return status
}

// Symlink makes a symbolic link.
func (f *front) Symlink(_ <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	_, status := f.create(h, name, syscall.S_IFLNK|0o777, []byte(target), out)
	return status
}

// Readlink reads a symbolic link's target, which never changes.
func (f *front) Readlink(_ <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	i := f.m.inode(h.NodeId)
	if i == nil {
		return nil, unknown
	}
	if !i.is(syscall.S_IFLNK) {
		return nil, fuse.EINVAL
	}
	f.reads(resource("w", i))
	return i.data, fuse.OK
}

// Unlink removes a name of anything but a directory.
func (f *front) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return f.remove(h, name, false)
}

// Rmdir removes an empty directory.
func (f *front) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return f.remove(h, name, true)
}

func (f *front) remove(h *fuse.InHeader, name string, directory bool) fuse.Status {
	dir := f.m.inode(h.NodeId)
	if dir == nil {
		return unknown
	}
	f.reaches(h, dir)
	f.checks(h, dir)
	i, errno := f.m.store.remove(f.m.cred(h), dir, name, directory)
	if errno != 0 {
		f.reads(entryResource(dir, name))
		f.checks(h, i) // in a sticky directory
		if errno == syscall.ENOTEMPTY {
			f.reads(resource("l", i))
		}
		return fuse.Status(errno)
	}
	f.entered(dir, name)
	f.writes(resource("a", i))
	if directory { // that it is empty matters, and stays so
		f.writes(resource("l", i))
	}
	return fuse.OK
}

// Rename moves an entry, also with RENAME_NOREPLACE and RENAME_EXCHANGE. A
// whiteout is refused with EINVAL.
func (f *front) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	from, to := f.m.inode(in.NodeId), f.m.inode(in.Newdir)
	if from == nil || to == nil {
		return unknown
	}
	var flags uint32
	if in.Opcode == opRename2 { // the shorter RENAME has none
		flags = in.Flags
	}
	f.reaches(&in.InHeader, from)
	f.reaches(&in.InHeader, to)
	f.checks(&in.InHeader, from, to)
	r, errno := f.m.store.rename(f.m.cred(&in.InHeader), from, oldName, to, newName, flags)
	if errno != 0 || r.source == r.target {
		f.reads(entryResource(from, oldName), entryResource(to, newName))
		f.checks(&in.InHeader, r.source, r.target) // in a sticky directory, or of a directory that gets another parent
		if errno == syscall.ENOTEMPTY && r.target != nil {
			f.reads(resource("l", r.target))
		}
		return fuse.Status(errno)
	}
	f.entered(from, oldName)
	f.entered(to, newName)
	f.writes(resource("a", r.source))
	if r.source.isDir() {
		f.writes(resource("w", r.source))
	}
	if r.target != nil {
		f.writes(resource("a", r.target))
		if r.target.isDir() {
			f.writes(resource("l", r.target))
		}
	}
	return fuse.OK
}

// Link gives an inode a further name.
func (f *front) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	dir, i := f.m.inode(in.NodeId), f.m.inode(in.Oldnodeid)
	if dir == nil || i == nil {
		return unknown
	}
	f.reaches(&in.InHeader, dir)
	f.checks(&in.InHeader, dir)
	if errno := f.m.store.hardlink(f.m.cred(&in.InHeader), i, dir, name); errno != 0 {
		f.reads(entryResource(dir, name))
		return fuse.Status(errno)
	}
	f.entered(dir, name)
	f.writes(resource("a", i))
	f.enter(dir, i, out)
	return fuse.OK
}
