package share

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A model is a store as simple as can be: what lies at each path. A directory's
// data is nil.
type model map[string]*string

func (m model) clone() model {
	c := model{}
	files := map[*string]*string{} // hard links stay hard links
	for path, data := range m {
		if data != nil && files[data] == nil {
			text := *data
			files[data] = &text
		}
		c[path] = files[data]
	}
	return c
}

func (m model) children(dir string) (names []string) {
	for path := range m {
		if parent, name, ok := cutLast(path); ok && parent == dir {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func cutLast(path string) (dir, name string, ok bool) {
	if path == "" {
		return "", "", false
	}
	at := strings.LastIndexByte(path, '/')
	return path[:max(at, 0)], path[at+1:], true
}

// isDir reports whether there is a directory at a path.
func (m model) isDir(path string) bool {
	data, ok := m[path]
	return path == "" || ok && data == nil
}

func (m model) create(path string, data *string) syscall.Errno {
	dir, _, _ := cutLast(path)
	if !m.isDir(dir) {
		return syscall.ENOENT
	}
	if _, ok := m[path]; ok {
		return syscall.EEXIST
	}
	m[path] = data
	return 0
}

func (m model) remove(path string, directory bool) syscall.Errno {
	data, ok := m[path]
	switch {
	case !ok:
		return syscall.ENOENT
	case directory && data != nil:
		return syscall.ENOTDIR
	case !directory && data == nil:
		return syscall.EISDIR
	case data == nil && len(m.children(path)) > 0:
		return syscall.ENOTEMPTY
	}
	delete(m, path)
	return 0
}

func (m model) rename(from, to string) syscall.Errno {
	data, ok := m[from]
	toDir, _, _ := cutLast(to)
	if !ok || !m.isDir(toDir) {
		return syscall.ENOENT
	}
	target, there := m[to]
	switch {
	case data == nil && (toDir+"/" == from+"/" || strings.HasPrefix(toDir+"/", from+"/")):
		return syscall.EINVAL
	case there && target == nil && strings.HasPrefix(from, to+"/"):
		return syscall.ENOTEMPTY
	case from == to || there && data != nil && data == target:
		return 0
	case there && data == nil && target != nil:
		return syscall.ENOTDIR
	case there && data != nil && target == nil:
		return syscall.EISDIR
	case there && target == nil && len(m.children(to)) > 0:
		return syscall.ENOTEMPTY
	}
	moved := model{}
	for path, d := range m {
		if path == from || strings.HasPrefix(path, from+"/") {
			moved[to+path[len(from):]] = d
			delete(m, path)
		}
	}
	maps.Copy(m, moved)
	return 0
}

// tree is what lies on a store, in words.
func tree(t rapid.TB, s *Store) (lines []string) {
	s.Walk("", func(path string, e Entry) {
		line := path
		switch {
		case e.Mode.IsDir():
			line += "/"
		default:
			data, err := s.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprintf("=%q nlink %d", data, e.Nlink)
		}
		lines = append(lines, line)
	})
	return lines
}

func (m model) tree() (lines []string) {
	var walk func(dir string)
	walk = func(dir string) {
		for _, name := range m.children(dir) {
			path := strings.TrimPrefix(dir+"/"+name, "/")
			if m[path] == nil {
				lines = append(lines, path+"/")
				walk(path)
				continue
			}
			links := 0
			for _, data := range m {
				if data == m[path] {
					links++
				}
			}
			lines = append(lines, fmt.Sprintf("%s=%q nlink %d", path, *m[path], links))
		}
	}
	walk("")
	return lines
}

// full is all that a program can see of a store.
func full(s *Store) (lines []string) {
	show := func(path string, i *inode) {
		lines = append(lines, fmt.Sprintf("%s %d %d %+v %q", path, i.ino, i.node, i.attr, i.data))
	}
	var walk func(path string, i *inode)
	walk = func(path string, i *inode) {
		show(path, i)
		for _, e := range i.entries {
			walk(path+"/"+e.name, e.inode)
		}
	}
	walk("", s.root)
	return lines
}

func TestStoreAgreesWithModel(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c", "a/x", "a/y", "b/x", "a/x/u", "a/x/v", "b/x/u"})
	rapid.Check(t, func(t *rapid.T) {
		s, m := NewStore(testClock()), model{}
		type kept struct {
			snapshot *Snapshot
			model    model
			full     []string
			births   int // what comes after it, to be repeated
		}
		var snapshots []kept
		same := func(op string, got error, want syscall.Errno) {
			var errno syscall.Errno
			if got != nil && !errors.As(got, &errno) {
				t.Fatalf("%s: %v", op, got)
			}
			// A path through a file is ENOTDIR; the model does not tell.
			if errno == syscall.ENOTDIR && want == syscall.ENOENT {
				return
			}
			if errno != want {
				t.Fatalf("%s: %v, want %v", op, got, want)
			}
		}
		// do runs an operation on a path's directory and last name.
		do := func(op, path string, f func(dir *inode, name string) syscall.Errno) error {
			dir, name, err := s.walkParent(op, path)
			if err != nil {
				return err
			}
			if errno := f(dir, name); errno != 0 {
				return errno
			}
			return nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"mkdir": func(t *rapid.T) {
				path := names.Draw(t, "path")
				same("mkdir", do("mkdir", path, func(dir *inode, name string) syscall.Errno {
					_, errno := s.create(cred{}, dir, name, syscall.S_IFDIR|0o755, nil)
					return errno
				}), m.create(path, nil))
			},
			"create": func(t *rapid.T) {
				path, data := names.Draw(t, "path"), rapid.StringN(0, 5, 9).Draw(t, "data")
				same("create", do("create", path, func(dir *inode, name string) syscall.Errno {
					_, errno := s.create(cred{}, dir, name, syscall.S_IFREG|0o644, []byte(data))
					return errno
				}), m.create(path, &data))
			},
			"write": func(t *rapid.T) {
				path, off := names.Draw(t, "path"), rapid.IntRange(0, 12).Draw(t, "offset")
				data := rapid.StringN(1, 5, 9).Draw(t, "data")
				i, err := s.walk("write", path)
				if err != nil || i.isDir() {
					return
				}
				if errno := s.write(i, []byte(data), int64(off)); errno != 0 {
					t.Fatal(errno)
				}
				old := *m[path]
				if len(old) < off+len(data) {
					old += strings.Repeat("\x00", off+len(data)-len(old))
				}
				*m[path] = old[:off] + data + old[off+len(data):]
			},
			"truncate": func(t *rapid.T) {
				path, size := names.Draw(t, "path"), rapid.IntRange(0, 12).Draw(t, "size")
				i, err := s.walk("truncate", path)
				if err != nil || i.isDir() {
					return
				}
				if errno := s.resize(i, int64(size)); errno != 0 {
					t.Fatal(errno)
				}
				*m[path] = (*m[path] + strings.Repeat("\x00", size))[:size]
			},
			"link": func(t *rapid.T) {
				from, to := names.Draw(t, "from"), names.Draw(t, "to")
				i, err := s.walk("link", from)
				if err != nil || i.isDir() {
					return
				}
				same("link", do("link", to, func(dir *inode, name string) syscall.Errno {
					return s.hardlink(cred{}, i, dir, name)
				}), m.create(to, m[from]))
			},
			"remove": func(t *rapid.T) {
				path, directory := names.Draw(t, "path"), rapid.Bool().Draw(t, "directory")
				same("remove", do("remove", path, func(dir *inode, name string) syscall.Errno {
					_, errno := s.remove(cred{}, dir, name, directory)
					return errno
				}), m.remove(path, directory))
			},
			"rename": func(t *rapid.T) {
				from, to := names.Draw(t, "from"), names.Draw(t, "to")
				same("rename", renamePath(s, from, to), m.rename(from, to))
			},
			"snapshot": func(t *rapid.T) {
				snapshots = append(snapshots, kept{s.Snapshot(), m.clone(), full(s), len(s.births)})
			},
			"restore": func(t *rapid.T) {
				if len(snapshots) == 0 {
					return
				}
				k := rapid.SampledFrom(snapshots).Draw(t, "snapshot")
				version := s.Version()
				s.Restore(k.snapshot)
				m = k.model.clone()
				if diff := cmp.Diff(k.full, full(s)); diff != "" {
					t.Fatalf("not what was kept (-kept +restored):\n%s", diff)
				}
				if s.Version() <= version {
					t.Fatal("a restore is not a change")
				}
				if len(s.births) != k.births {
					t.Fatalf("%d births, want %d", len(s.births), k.births)
				}
			},
			"": func(t *rapid.T) {
				if diff := cmp.Diff(m.tree(), tree(t, s)); diff != "" {
					t.Fatalf("tree (-model +store):\n%s", diff)
				}
				for _, i := range everyInode(s) {
					if i.isDir() && i.nlink != 2+uint32(subdirs(i)) {
						t.Fatalf("%s has link count %d", i.name, i.nlink)
					}
				}
			},
		})
	})
}

func everyInode(s *Store) (all []*inode) {
	s.root.visit(map[*inode]bool{}, func(i *inode) { all = append(all, i) })
	return all
}

func subdirs(i *inode) (n int) {
	for _, e := range i.entries {
		if e.inode.isDir() {
			n++
		}
	}
	return n
}

// renamePath is rename(2) by root of paths from the store's root.
func renamePath(s *Store, from, to string) error {
	fromDir, fromName, err := s.walkParent("rename", from)
	if err != nil {
		return err
	}
	toDir, toName, err := s.walkParent("rename", to)
	if err != nil {
		return err
	}
	if _, errno := s.rename(cred{}, fromDir, fromName, toDir, toName, 0); errno != 0 {
		return errno
	}
	return nil
}
