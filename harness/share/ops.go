package share

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The operations of the server, with the checks that one server makes. They
// know inodes and callers, nothing of FUSE.

// A cred is the caller of an operation, as its request says. The zero cred is
// root.
type cred struct {
	uid, gid uint32
	// groups asks for the supplementary groups, which no request carries; nil
	// where there are none.
	groups func() []uint32
}

// What permitted asks for; as in access(2).
const (
	mayRead  = 4
	mayWrite = 2
	mayExec  = 1
)

func (c cred) member(gid uint32) bool {
	if c.gid == gid {
		return true
	}
	if c.groups != nil {
		for _, g := range c.groups() {
			if g == gid {
				return true
			}
		}
	}
	return false
}

// permitted checks the mode's bits for owner, group or others. Root passes, but
// executes a file only if somebody may.
func (c cred) permitted(i *inode, want uint32) syscall.Errno {
	if c.uid == 0 {
		if want&mayExec != 0 && !i.isDir() && i.mode&0o111 == 0 {
			return syscall.EACCES
		}
		return 0
	}
	bits := i.mode
	switch {
	case c.uid == i.uid:
		bits >>= 6
	case bits>>3&7 != bits&7 && c.member(i.gid): // the groups are asked for only where they matter
		bits >>= 3
	}
	if bits&want != want {
		return syscall.EACCES
	}
	return 0
}

func (c cred) owns(i *inode) bool { return c.uid == 0 || c.uid == i.uid }

// mayChange checks the right to add an entry to a directory.
func (c cred) mayChange(dir *inode) syscall.Errno {
	switch {
	case !dir.isDir():
		return syscall.ENOTDIR
	case dir.nlink == 0: // removed, but still somebody's working directory
		return syscall.ENOENT
	}
	return c.permitted(dir, mayWrite|mayExec)
}

// mayTake checks the right to take an entry away, or replace it: in a sticky
// directory only the owner of the file or of the directory has it.
func (c cred) mayTake(dir, i *inode) syscall.Errno {
	if errno := c.mayChange(dir); errno != 0 {
		return errno
	}
	if dir.mode&syscall.S_ISVTX != 0 && !c.owns(i) && !c.owns(dir) {
		return syscall.EPERM
	}
	return 0
}

// lookup finds a name.
func (s *Store) lookup(c cred, dir *inode, name string) (*inode, syscall.Errno) {
	if !dir.isDir() {
		return nil, syscall.ENOTDIR
	}
	if errno := c.permitted(dir, mayExec); errno != 0 {
		return nil, errno
	}
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	i := dir.child(name)
	if i == nil {
		return nil, syscall.ENOENT
	}
	return i, 0
}

// vacant checks that a name can be given to something new. Where it is taken,
// that comes first: EEXIST, as Linux has it, also in a directory that the
// caller may not write to.
func (s *Store) vacant(c cred, dir *inode, name string) syscall.Errno {
	switch _, errno := s.lookup(c, dir, name); errno {
	case 0:
		return syscall.EEXIST
	case syscall.ENOENT:
		return c.mayChange(dir)
	default:
		return errno
	}
}

// create makes a file, directory, FIFO, socket or symbolic link (whose target
// is data).
func (s *Store) create(c cred, dir *inode, name string, mode uint32, data []byte) (*inode, syscall.Errno) {
	if errno := s.vacant(c, dir, name); errno != 0 {
		return nil, errno
	}
	i := s.newInode(c, dir, name, mode)
	i.data = data
	s.link(dir, name, i)
	return i, 0
}

// hardlink gives an inode another name.
func (s *Store) hardlink(c cred, i, dir *inode, name string) syscall.Errno {
	if i.isDir() {
		return syscall.EPERM
	}
	if errno := s.vacant(c, dir, name); errno != 0 {
		return errno
	}
	i.nlink++
	s.link(dir, name, i)
	s.changed(i)
	return 0
}

// remove is unlink(2), or rmdir(2) for a directory. It returns what the name
// led to.
func (s *Store) remove(c cred, dir *inode, name string, directory bool) (*inode, syscall.Errno) {
	i, errno := s.lookup(c, dir, name)
	if errno != 0 {
		return nil, errno
	}
	if errno := c.mayTake(dir, i); errno != 0 {
		return i, errno
	}
	switch {
	case directory && !i.isDir():
		return i, syscall.ENOTDIR
	case !directory && i.isDir():
		return i, syscall.EISDIR
	case len(i.entries) > 0:
		return i, syscall.ENOTEMPTY
	}
	s.unlink(dir, name)
	s.dropped(i)
	return i, 0
}

// renamed is what the two names of a rename led to: target is nil where there
// was none.
type renamed struct{ source, target *inode }

// rename is renameat2(2) without whiteouts.
func (s *Store) rename(c cred, from *inode, fromName string, to *inode, toName string, flags uint32) (renamed, syscall.Errno) {
	if flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 || flags == unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE {
		return renamed{}, syscall.EINVAL
	}
	source, errno := s.lookup(c, from, fromName)
	if errno != 0 {
		return renamed{}, errno
	}
	target, errno := s.lookup(c, to, toName)
	if errno != 0 && errno != syscall.ENOENT {
		return renamed{source, nil}, errno
	}
	r := renamed{source, target}
	switch {
	case target != nil && flags&unix.RENAME_NOREPLACE != 0:
		return r, syscall.EEXIST
	case target == nil && flags&unix.RENAME_EXCHANGE != 0:
		return r, syscall.ENOENT
	case source.isDir() && to.within(source):
		return r, syscall.EINVAL
	case target != nil && target.isDir() && from.within(target):
		if flags&unix.RENAME_EXCHANGE != 0 {
			return r, syscall.EINVAL
		}
		return r, syscall.ENOTEMPTY
	case source == target: // two names of one file: rename(2) does nothing
		return r, 0
	}
	if errno := c.mayMove(source, from, to); errno != 0 {
		return r, errno
	}
	if target == nil {
		errno = c.mayChange(to)
	} else {
		errno = c.mayTake(to, target)
	}
	if errno != 0 {
		return r, errno
	}
	if flags&unix.RENAME_EXCHANGE != 0 {
		if errno := c.mayMove(target, to, from); errno != 0 {
			return r, errno
		}
		s.unlink(from, fromName)
		s.unlink(to, toName)
		s.link(to, toName, source)
		s.link(from, fromName, target)
		s.changed(target)
	} else {
		if target != nil {
			switch {
			case source.isDir() && !target.isDir():
				return r, syscall.ENOTDIR
			case !source.isDir() && target.isDir():
				return r, syscall.EISDIR
			case len(target.entries) > 0:
				return r, syscall.ENOTEMPTY
			}
			s.unlink(to, toName)
			s.dropped(target)
		}
		s.unlink(from, fromName)
		s.link(to, toName, source)
	}
	s.changed(source)
	return r, 0
}

// mayMove checks the right to take an inode out of one directory for another. A
// directory that changes its parent is itself written to: its ".." is.
func (c cred) mayMove(i, from, to *inode) syscall.Errno {
	if errno := c.mayTake(from, i); errno != 0 {
		return errno
	}
	if i.isDir() && from != to {
		return c.permitted(i, mayWrite)
	}
	return 0
}

// A change is what setattr shall set; nil and zero fields are left as they are.
type change struct {
	mode, uid, gid *uint32
	size           *int64
	writable       bool // the size is set through a handle that is open for writing
	atime, mtime   *timespec
	explicit       bool // a time is the caller's, not the server's now
}

// setattr is chmod, chown, truncate and utimensat in one, as FUSE has it. It
// checks everything before it changes anything.
func (s *Store) setattr(c cred, i *inode, ch change) syscall.Errno {
	if ch.mode != nil && !c.owns(i) {
		// Clearing the setuid and setgid bits is what the kernel does for
		// a writer, who need not be the owner.
		clears := i.mode&permissions&^*ch.mode&^(syscall.S_ISUID|syscall.S_ISGID) == 0 && *ch.mode&^(i.mode&permissions) == 0
		if !clears || c.permitted(i, mayWrite) != 0 {
			return syscall.EPERM
		}
	}
	if ch.uid != nil && c.uid != 0 && (c.uid != i.uid || *ch.uid != i.uid) {
		return syscall.EPERM
	}
	if ch.gid != nil && c.uid != 0 && (c.uid != i.uid || *ch.gid != i.gid && !c.member(*ch.gid)) {
		return syscall.EPERM
	}
	if ch.size != nil {
		switch {
		case i.isDir():
			return syscall.EISDIR
		case !i.is(syscall.S_IFREG):
			return syscall.EINVAL
		case !ch.writable && c.permitted(i, mayWrite) != 0:
			return syscall.EACCES
		}
	} else if (ch.atime != nil || ch.mtime != nil) && !c.owns(i) {
		if ch.explicit {
			return syscall.EPERM
		}
		if errno := c.permitted(i, mayWrite); errno != 0 {
			return errno
		}
	}

	if ch.size != nil {
		if errno := s.resize(i, *ch.size); errno != 0 {
			return errno
		}
	}
	if ch.uid != nil {
		i.uid = *ch.uid
	}
	if ch.gid != nil {
		i.gid = *ch.gid
	}
	if ch.mode != nil {
		mode := *ch.mode & permissions
		if c.uid != 0 && !c.member(i.gid) {
			mode &^= syscall.S_ISGID
		}
		was := i.searchable()
		i.mode = i.mode&syscall.S_IFMT | mode
		if i.isDir() && i.searchable() != was {
			s.treeChanged()
			if was {
				s.forgetTree()
			}
		}
	}
	if ch.atime != nil {
		i.atime = *ch.atime
	}
	if ch.mtime != nil {
		i.mtime = *ch.mtime
	}
	s.changed(i)
	return 0
}

// open checks the right to open, and cuts the file where flags say so.
func (s *Store) open(c cred, i *inode, flags uint32) syscall.Errno {
	var want uint32
	switch flags & syscall.O_ACCMODE {
	case syscall.O_RDONLY:
		want = mayRead
	case syscall.O_WRONLY:
		want = mayWrite
	default:
		want = mayRead | mayWrite
	}
	if flags&execFlag != 0 { // execve needs no right to read
		want = mayExec
	}
	truncate := flags&syscall.O_TRUNC != 0
	if truncate {
		want |= mayWrite
	}
	if i.isDir() && want&mayWrite != 0 {
		return syscall.EISDIR
	}
	if errno := c.permitted(i, want); errno != 0 {
		return errno
	}
	if truncate {
		return s.resize(i, 0)
	}
	return 0
}

// execFlag is FMODE_EXEC (__FMODE_EXEC of the kernel's fs.h), with which the
// kernel opens what it is about to execute.
const execFlag = 0x20
