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
