package share

import (
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"
)

// An Entry is what the controller sees of one directory entry.
type Entry struct {
	Name  string
	Ino   uint64
	Mode  fs.FileMode
	Size  int64 // bytes
	Nlink uint32
	Mtime time.Time // by the server's clock, or as a program set it
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
	if len(data) > maxFileSize {
		return &fs.PathError{Op: "write", Path: path, Err: syscall.EFBIG}
	}
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
