package share

import (
	"strconv"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"screwtape/harness/schedule"
)

// front answers the requests of one mount: it finds the inodes, has the store
// do the work, fills in the reply, and notes the footprint. Every method of the
// interface is written out, so that none can slip past the gate.
type front struct{ m *Mount }

var _ fuse.RawFileSystem = (*front)(nil)

// Resources of footprints; see method.

func resource(kind string, i *inode) schedule.Resource {
	return schedule.Resource(kind + ":" + strconv.FormatUint(i.ino, 10))
}

func entryResource(dir *inode, name string) schedule.Resource {
	return resource("e", dir) + schedule.Resource("/"+name)
}

func (f *front) reads(r ...schedule.Resource) {
	f.m.footprint.Reads = append(f.m.footprint.Reads, r...)
}

func (f *front) writes(r ...schedule.Resource) {
	f.m.footprint.Writes = append(f.m.footprint.Writes, r...)
}

// checks notes that a permission was asked of inodes; nil ones are not there.
func (f *front) checks(h *fuse.InHeader, inodes ...*inode) {
	for _, i := range inodes {
		if i != nil && h.Uid != 0 {
			f.reads(resource("p", i))
		}
	}
}

// executes notes that the right to execute a file was asked for, which also root
// has only if somebody has it.
func (f *front) executes(i *inode) {
	if !i.isDir() {
		f.reads(resource("p", i))
	}
}

// entered notes that an entry was added or taken away.
func (f *front) entered(dir *inode, name string) {
	f.writes(entryResource(dir, name))
	f.m.footprint.Adds = append(f.m.footprint.Adds, resource("l", dir), resource("a", dir))
}

// made notes that an inode came into being.
func (f *front) made(i *inode) {
	f.writes(resource("a", i), resource("d", i))
}

// unknown answers a request about a node that the kernel should not know. It is
// not ESTALE, which would make the kernel walk the path again.
const unknown = fuse.ENOENT

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

// enter fills in the entry of a name in dir for the kernel, which gets a
// reference by it. Time-outs are 0: nothing is believed without asking again.
// Only that a name leads to a directory is believed until forgetNames, where
// nobody needs a right to walk through: else each path would be asked for
// component by component.
func (f *front) enter(dir, i *inode, out *fuse.EntryOut) {
	f.m.remember(i)
	out.NodeId, out.Generation = i.node, 1
	i.fill(&out.Attr)
	if f.m.forgets && i.isDir() && dir.searchable() {
		out.EntryValid = 1 << 30 // seconds
	}
}

// reaches notes that the names which lead to a directory were read, and the right
// to look them up. The kernel may remember them and not have asked, or have come
// there without a path, but whoever takes one of them away, or the right, changes
// what a path leads to.
func (f *front) reaches(h *fuse.InHeader, dir *inode) {
	for dir.isDir() && dir != f.m.top && dir.parent != nil {
		f.checks(h, dir.parent)
		f.reads(entryResource(dir.parent, dir.name))
		dir = dir.parent
	}
}

// openFile opens a handle. Direct I/O sends every read and write here instead of
// to a page cache of the node; a mapping still has one.
func (f *front) openFile(i *inode, flags uint32, out *fuse.OpenOut) {
	out.Fh, _ = f.m.open(i, flags)
	if i.is(syscall.S_IFREG) {
		out.OpenFlags = fuse.FOPEN_DIRECT_IO
	}
}

// String names the file system.
func (f *front) String() string { return "screwtape" }

// SetDebug does nothing: the controller's log has all requests.
func (f *front) SetDebug(bool) {}

// Init does nothing; only the library's own loop, not used here, calls it.
func (f *front) Init(*fuse.Server) {}

// OnUnmount does nothing; only the library's own loop, not used here, calls it.
func (f *front) OnUnmount() {}

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
	if ch.size != nil {
		f.writes(resource("d", i))
	}
	if ch.mode != nil || ch.uid != nil || ch.gid != nil {
		f.writes(resource("p", i))
	}
	i.fill(&out.Attr)
	return fuse.OK
}

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
