// Package share is the file server of a test: one store in memory, and a FUSE
// mount of it for each node. It does nothing by itself. The controller takes
// requests off a mount one by one, holds what it wants to hold, and has the
// rest answered; so every answer happens at a moment that it chose.
//
// docs/share.md says what programs can rely on.
package share

import (
	"encoding/binary"
	"hash/fnv"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	rootIno     = 1
	maxName     = 255     // bytes in a name, as on every common file system
	maxFileSize = 1 << 28 // a file is kept in memory, so a huge truncate must not take the machine down
	permissions = 07777   // the bits of a mode that chmod sets
)

// A Store is what lies on the file server: inodes, directory entries, data and
// timestamps. It is not safe for concurrent use: one loop owns it.
//
// Steps that touch different entries commute in everything a program can see
// but timestamps. An inode's number is therefore no counter, but a digest of
// the entry that it was created as and of how many inodes were created as that
// entry before: the number does not tell in which order two processes created
// two different files.
type Store struct {
	now      func() time.Time
	root     *inode
	births   map[birthplace]uint32 // inodes created so far as this entry
	lastNode uint64                // see inode.node
	version  uint64
	// tree stands for which names lead to which directories, and whom they
	// let through. It is never the same for two different states.
	tree, lastTree uint64
	mounts         []*Mount // of this store, whose kernels remember that
}

// A birthplace is the entry as which an inode comes into being.
type birthplace struct {
	dir  uint64
	name string
}

// An inode is a file, directory, symbolic link, FIFO or socket.
type inode struct {
	ino  uint64 // what programs see as st_ino
	node uint64 // what kernels know it by: never used twice, not even after a restore
	attr
	data    []byte  // of a file; or a symbolic link's target
	entries []entry // of a directory, sorted by name
	// cow says that a snapshot, an open listing or synced has the same data or
	// entries, so they are copied before they are changed.
	cow bool
	// unsynced says that a file was written to since its data was last safe
	// on disk, and synced is what a loss of power leaves of it then. Its bytes
	// never change.
	unsynced bool
	synced   []byte
	// parent and name are the last entry made for it: all there is of a
	// directory, and the best guess for others.
	parent *inode
	name   string
	opens  int // open handles, of all mounts
	known  int // kernels that have a reference to it

	flocks []flock
	plocks []plock
}

// attr is what a change of attributes can change.
type attr struct {
	mode                uint32 // type and permissions
	uid, gid            uint32
	nlink               uint32
	atime, mtime, ctime timespec
}

// A timespec is a time to the nanosecond that holds what a time.Duration since
// 1970 cannot: any second a program may set.
type timespec struct {
	sec  int64
	nsec uint32
}

type entry struct {
	name  string
	inode *inode
}

// NewStore returns a store with nothing but its root directory, which belongs
// to root and has mode 0755. now is the server's clock: it stamps every change.
func NewStore(now func() time.Time) *Store {
	s := &Store{now: now, births: map[birthplace]uint32{}, lastNode: rootIno}
	s.root = &inode{ino: rootIno, node: rootIno}
	s.root.attr = s.newAttr(cred{}, syscall.S_IFDIR|0o755)
	s.root.nlink = 2
	return s
}

// Version grows with every change of entries, data or attributes, and with
// every Restore. It says that something changed, not what.
func (s *Store) Version() uint64 { return s.version }

func (i *inode) is(typ uint32) bool { return i.mode&syscall.S_IFMT == typ }
func (i *inode) isDir() bool        { return i.is(syscall.S_IFDIR) }

func (i *inode) size() int64 {
	if i.isDir() {
		return 4096
	}
	return int64(len(i.data))
}

// find returns the place of a name in a directory, and whether it is there.
func (i *inode) find(name string) (int, bool) {
	return slices.BinarySearchFunc(i.entries, name, func(e entry, name string) int {
		return strings.Compare(e.name, name)
	})
}

// child returns what lies under a name, or nil.
func (i *inode) child(name string) *inode {
	if at, ok := i.find(name); ok {
		return i.entries[at].inode
	}
	return nil
}

// own makes the data and entries the inode's alone, so that they can be
// changed.
func (i *inode) own() {
	if i.cow {
		i.data, i.entries, i.cow = slices.Clone(i.data), slices.Clone(i.entries), false
	}
}

func (s *Store) treeChanged() {
	s.lastTree++
	s.tree = s.lastTree
}

// forgetTree has kernels ask again which names lead to directories, before any
// program can go on that knows better.
func (s *Store) forgetTree() {
	for _, m := range s.mounts {
		m.forgetNames()
	}
}

// searchable reports whether everybody may look up names in a directory.
func (i *inode) searchable() bool { return i.mode&0o111 == 0o111 }

// share gives away the entries as they are now.
func (i *inode) share() []entry {
	i.cow = true
	return i.entries
}

func (s *Store) clock() timespec {
	t := s.now()
	return timespec{t.Unix(), uint32(t.Nanosecond())}
}

func (s *Store) newAttr(c cred, mode uint32) attr {
	t := s.clock()
	return attr{mode: mode, uid: c.uid, gid: c.gid, nlink: 1, atime: t, mtime: t, ctime: t}
}

// newInode makes an inode that is to be linked as name in dir, or, where name
// is empty, that has no name there yet.
func (s *Store) newInode(c cred, dir *inode, name string, mode uint32) *inode {
	born := birthplace{dir.ino, name}
	s.lastNode++
	i := &inode{ino: digest(born, s.births[born]), node: s.lastNode, attr: s.newAttr(c, mode)}
	s.births[born]++
	if dir.mode&syscall.S_ISGID != 0 {
		i.gid = dir.gid
		if i.isDir() {
			i.mode |= syscall.S_ISGID
		}
	}
	if i.isDir() {
		i.nlink = 2
	}
	return i
}

// digest gives the number of the nth inode that is born as an entry. With 61
// bits, two of a million inodes have the same number with a chance of one in
// four million.
func digest(b birthplace, nth uint32) uint64 {
	h := fnv.New64a()
	var fixed [12]byte
	binary.LittleEndian.PutUint64(fixed[:], b.dir)
	binary.LittleEndian.PutUint32(fixed[8:], nth)
	h.Write(fixed[:])
	h.Write([]byte(b.name))
	return h.Sum64()>>3 | 2 // never 0, which means "no inode", nor the root's
}

// link enters an inode as a name that is free, and stamps the directory. The
// inode's link count is the caller's business.
func (s *Store) link(dir *inode, name string, i *inode) {
	dir.own()
	at, _ := dir.find(name)
	dir.entries = slices.Insert(dir.entries, at, entry{name, i})
	i.parent, i.name = dir, name
	if i.isDir() {
		dir.nlink++
		s.treeChanged()
	}
	s.touchDir(dir)
}

// unlink takes the entry of a name away, and stamps the directory.
func (s *Store) unlink(dir *inode, name string) {
	dir.own()
	at, _ := dir.find(name)
	if dir.entries[at].inode.isDir() {
		dir.nlink--
		s.treeChanged()
		s.forgetTree()
	}
	dir.entries = slices.Delete(dir.entries, at, at+1)
	s.touchDir(dir)
}

func (s *Store) touchDir(dir *inode) {
	dir.mtime = s.clock()
	dir.ctime = dir.mtime
	s.version++
}

// changed stamps a change of attributes.
func (s *Store) changed(i *inode) {
	i.ctime = s.clock()
	s.version++
}

// written stamps a change of data.
func (s *Store) written(i *inode) {
	i.mtime = s.clock()
	s.changed(i)
}

// dropped counts one link less, and frees what nobody can reach any more.
func (s *Store) dropped(i *inode) {
	if i.isDir() {
		i.nlink = 0
	} else {
		i.nlink--
	}
	s.changed(i)
	i.free()
}

// free lets go of the data of an inode that no entry leads to, no handle is
// open on, and no kernel knows: one that has looked a name up may still open
// the file, or read the link, that has gone since.
func (i *inode) free() {
	if i.nlink == 0 && i.opens == 0 && i.known == 0 {
		i.data, i.entries = nil, nil
		i.sync()
	}
}

// sync makes the data of a file safe: it is what PowerLoss leaves.
func (i *inode) sync() { i.unsynced, i.synced = false, nil }

// unsync keeps the data that is safe, before other data is written.
func (i *inode) unsync() {
	if !i.unsynced {
		i.unsynced, i.synced, i.cow = true, i.data, true
	}
}

// resize cuts a file, or extends it with zeros, on disk too.
func (s *Store) resize(i *inode, size int64) syscall.Errno {
	if size < 0 || size > maxFileSize {
		return syscall.EFBIG
	}
	if n := int64(len(i.data)); size <= n {
		i.data = i.data[:size]
	} else {
		i.own()
		i.data = append(i.data, make([]byte, size-n)...)
	}
	if n := int64(len(i.synced)); size <= n {
		i.synced = i.synced[:size]
	} else if i.unsynced {
		i.synced = slices.Concat(i.synced, make([]byte, size-n))
	}
	s.written(i)
	return 0
}

// write puts data at an offset, and fills a gap before it with zeros. It is not
// on disk yet.
func (s *Store) write(i *inode, p []byte, off int64) syscall.Errno {
	end := off + int64(len(p))
	if off < 0 || end < off || end > maxFileSize {
		return syscall.EFBIG
	}
	i.unsync()
	i.own()
	if gap := off - int64(len(i.data)); gap > 0 {
		i.data = append(i.data, make([]byte, gap)...)
	}
	n := copy(i.data[off:], p)
	i.data = append(i.data, p[n:]...)
	s.written(i)
	return 0
}

// within reports whether i is dir or lies below it.
func (i *inode) within(dir *inode) bool {
	for ; i != nil; i = i.parent {
		if i == dir {
			return true
		}
	}
	return false
}

// path names an inode from below top; "" is top itself.
func (i *inode) path(top *inode) string {
	if i == top || i == nil || i.parent == nil {
		return ""
	}
	if i.parent == top || i.parent.parent == nil {
		return i.name
	}
	return i.parent.path(top) + "/" + i.name
}

// An Entry is what the controller sees of one directory entry.
type Entry struct {
	Name  string
	Ino   uint64
	Mode  fs.FileMode
	Size  int64 // bytes
	Nlink uint32
	Mtime time.Time
}

func (e entry) public() Entry {
	i := e.inode
	return Entry{e.name, i.ino, fileMode(i.mode), i.size(), i.nlink, time.Unix(i.mtime.sec, int64(i.mtime.nsec))}
}

// fileMode says a kernel's mode in Go's terms.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	if mode&syscall.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&syscall.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&syscall.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	switch mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		m |= fs.ModeDir
	case syscall.S_IFLNK:
		m |= fs.ModeSymlink
	case syscall.S_IFIFO:
		m |= fs.ModeNamedPipe
	case syscall.S_IFSOCK:
		m |= fs.ModeSocket
	}
	return m
}

// The methods below are the controller's own way to the store: it prepares and
// judges with them, as root, and never through a mount. Paths are slash
// separated, from the store's root, and symbolic links are not followed. Errors
// are *fs.PathError around a syscall.Errno.

// walk finds the inode of a path.
func (s *Store) walk(op, path string) (*inode, error) {
	i := s.root
	for _, name := range split(path) {
		if !i.isDir() {
			return nil, &fs.PathError{Op: op, Path: path, Err: syscall.ENOTDIR}
		}
		if i = i.child(name); i == nil {
			return nil, &fs.PathError{Op: op, Path: path, Err: syscall.ENOENT}
		}
	}
	return i, nil
}

// walkParent finds the directory of a path's last component.
func (s *Store) walkParent(op, path string) (*inode, string, error) {
	names := split(path)
	if len(names) == 0 {
		return nil, "", &fs.PathError{Op: op, Path: path, Err: syscall.EBUSY}
	}
	last := len(names) - 1
	dir, err := s.walk(op, strings.Join(names[:last], "/"))
	if err == nil && !dir.isDir() {
		err = &fs.PathError{Op: op, Path: path, Err: syscall.ENOTDIR}
	}
	return dir, names[last], err
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// MkdirAll makes a directory and what is missing above it, all with this mode.
// That it exists is no error.
func (s *Store) MkdirAll(path string, mode uint32) error {
	dir := s.root
	for _, name := range split(path) {
		next := dir.child(name)
		if next == nil {
			next = s.newInode(cred{}, dir, name, syscall.S_IFDIR|mode&permissions)
			s.link(dir, name, next)
		}
		if !next.isDir() {
			return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
		}
		dir = next
	}
	return nil
}

// WriteFile puts a file in place. A file that is there keeps its inode and
// gets the new data and mode. The data is synced.
func (s *Store) WriteFile(path string, data []byte, mode uint32) error {
	dir, name, err := s.walkParent("write", path)
	if err != nil {
		return err
	}
	file := dir.child(name)
	if file == nil {
		file = s.newInode(cred{}, dir, name, syscall.S_IFREG)
		s.link(dir, name, file)
	}
	if !file.is(syscall.S_IFREG) {
		return &fs.PathError{Op: "write", Path: path, Err: syscall.EISDIR}
	}
	if len(data) > maxFileSize {
		return &fs.PathError{Op: "write", Path: path, Err: syscall.EFBIG}
	}
	file.own()
	file.data = slices.Clone(data)
	file.sync()
	file.mode = syscall.S_IFREG | mode&permissions
	s.written(file)
	return nil
}

// ReadFile returns a copy of a file's data, or of a symbolic link's target.
func (s *Store) ReadFile(path string) ([]byte, error) {
	i, err := s.walk("read", path)
	if err != nil {
		return nil, err
	}
	if i.isDir() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	}
	return slices.Clone(i.data), nil
}

// ReadDir lists a directory, sorted by name.
func (s *Store) ReadDir(path string) ([]Entry, error) {
	dir, err := s.walk("readdir", path)
	if err != nil {
		return nil, err
	}
	if !dir.isDir() {
		return nil, &fs.PathError{Op: "readdir", Path: path, Err: syscall.ENOTDIR}
	}
	list := make([]Entry, len(dir.entries))
	for n, e := range dir.entries {
		list[n] = e.public()
	}
	return list, nil
}

// Remove takes a file or an empty directory away.
func (s *Store) Remove(path string) error {
	dir, name, err := s.walkParent("remove", path)
	if err != nil {
		return err
	}
	_, errno := s.remove(cred{}, dir, name, dir.child(name) != nil && dir.child(name).isDir())
	if errno != 0 {
		return &fs.PathError{Op: "remove", Path: path, Err: errno}
	}
	return nil
}

// Walk calls fn for everything below root, parents before children, sorted by
// name. The paths that fn sees are below root.
func (s *Store) Walk(root string, fn func(path string, e Entry)) error {
	top, err := s.walk("walk", root)
	if err != nil {
		return err
	}
	top.walk("", fn)
	return nil
}

func (i *inode) walk(prefix string, fn func(string, Entry)) {
	for _, e := range i.entries {
		path := prefix + e.name
		fn(path, e.public())
		e.inode.walk(path+"/", fn)
	}
}

// A Snapshot is a store as it was at one moment.
type Snapshot struct {
	tree   uint64
	inodes []saved // the root first
	births map[birthplace]uint32
}

// saved is an inode as it was. Data and entries are shared with the inode
// until one of them changes.
type saved struct {
	inode *inode
	attr
	data     []byte
	entries  []entry
	parent   *inode
	name     string
	unsynced bool
	synced   []byte
}

// Snapshot keeps all that lies on the store now. Data is shared until it is
// changed, so the cost is that of a walk.
func (s *Store) Snapshot() *Snapshot {
	snap := &Snapshot{tree: s.tree, births: maps.Clone(s.births)}
	s.root.visit(map[*inode]bool{}, func(i *inode) {
		i.cow = true
		snap.inodes = append(snap.inodes, saved{i, i.attr, i.data, i.entries, i.parent, i.name, i.unsynced, i.synced})
	})
	return snap
}

// Restore brings the store back to what it was. The cost is that of a walk of
// what lies there now and of the snapshot, however much happened before.
//
// What is in the snapshot keeps its identity: a process that stayed alive goes
// on with an open file or working directory. What is not becomes like removed:
// a handle that is still open on it goes on too, the last of it. Locks are their
// holders', not the store's, and stay with those that still live. Files that
// were already removed, but open, at the time of the snapshot are not part of
// it. Inode numbers given from now on are those that were given after the
// snapshot.
func (s *Store) Restore(snap *Snapshot) {
	s.root.visit(map[*inode]bool{}, func(i *inode) {
		i.nlink = 0
		if i.isDir() || i.opens == 0 {
			// A kernel may know it for long, but no call is under way that
			// could still come to it.
			i.data, i.entries = nil, nil
			i.sync()
		}
	})
	for _, old := range snap.inodes {
		i := old.inode
		i.attr, i.data, i.entries, i.parent, i.name = old.attr, old.data, old.entries, old.parent, old.name
		i.unsynced, i.synced, i.cow = old.unsynced, old.synced, true
	}
	if s.tree != snap.tree {
		s.tree = snap.tree
		s.forgetTree()
	}
	s.births = maps.Clone(snap.births)
	s.version++
}

// PowerLoss leaves what is on the server's disk: each file as long, and with what
// in it, as of its last fsync and of the truncations since, all else as it is. A
// file that was never synced is empty, or zeros up to where it was truncated to.
//
// That is a disk on which what concerns names and attributes is safe when the call
// returns: one mounted with dirsync (mount(8)), or that of an NFS server (RFC 1813,
// "Synchronous modifying operations"). Data is safe after fsync(2) alone, since
// ext4's auto_da_alloc (ext4(5)), which syncs some of it unasked, is off. Of what a
// disk may do with data that was not synced this is the worst, but for writes of
// which a part reaches it.
//
// Programs that have files open must be dead.
func (s *Store) PowerLoss() {
	s.root.visit(map[*inode]bool{}, func(i *inode) {
		if i.unsynced {
			i.data, i.cow = i.synced, true
			i.sync()
		}
	})
	s.version++
}

// visit calls fn once for each inode from i on. fn may take the entries away.
func (i *inode) visit(seen map[*inode]bool, fn func(*inode)) {
	if seen[i] {
		return
	}
	seen[i] = true
	entries := i.entries
	fn(i)
	for _, e := range entries {
		e.inode.visit(seen, fn)
	}
}
