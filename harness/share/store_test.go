package share

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
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

// What happens after a restore is what happened after the snapshot, numbers of
// inodes included; and no kernel takes one file for another.
func TestRestoreRepeats(t *testing.T) {
	s := testStore(t)
	snap := s.Snapshot()
	var first []uint64
	nodes := map[uint64]bool{}
	for round := range 3 {
		var inos []uint64
		for n := range 20 {
			path := fmt.Sprintf("shared/dir/%d", n%7)
			if n >= 7 {
				s.Remove(path)
			}
			if err := s.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			i, _ := s.walk("", path)
			inos = append(inos, i.ino)
			if nodes[i.node] {
				t.Fatalf("node %d means two files", i.node)
			}
			nodes[i.node] = true
		}
		if round == 0 {
			first = inos
		}
		if diff := cmp.Diff(first, inos); diff != "" {
			t.Errorf("round %d (-first +now):\n%s", round, diff)
		}
		s.Restore(snap)
	}
}

// Two processes that create two files get the same numbers in either order.
func TestInodeNumbersCommute(t *testing.T) {
	numbers := func(paths ...string) map[string]uint64 {
		s, got := testStore(t), map[string]uint64{}
		for _, path := range paths {
			s.WriteFile(path, nil, 0o644)
			i, _ := s.walk("", path)
			got[path] = i.ino
		}
		return got
	}
	if diff := cmp.Diff(numbers("shared/x", "shared/y"), numbers("shared/y", "shared/x")); diff != "" {
		t.Error(diff)
	}
}

// A handle goes on after a restore: on what is in the snapshot as it is now, on
// what is not, as on a file that was removed.
func TestHandlesSurviveRestore(t *testing.T) {
	s := testStore(t)
	snap := s.Snapshot()
	c := newCaller(t, s, "shared")
	s.WriteFile("shared/new", []byte("new"), 0o644)
	old, fresh := c.openFile("f", syscall.O_RDWR), c.openFile("new", syscall.O_RDWR)
	dir := c.lookup("dir")
	s.WriteFile("shared/f", []byte("changed"), 0o644)
	renamePath(s, "shared/dir", "shared/moved")
	s.Restore(snap)

	if got := c.handles[old].inode; string(got.data) != "data" || got.nlink != 1 {
		t.Errorf("the file of the snapshot has %q, link count %d", got.data, got.nlink)
	}
	if got := c.handles[fresh].inode; string(got.data) != "new" || got.nlink != 0 {
		t.Errorf("the file that is gone has %q, link count %d", got.data, got.nlink)
	}
	if i := c.inode(dir); i != s.root.child("shared").child("dir") {
		t.Error("the directory is no longer the same to the kernel")
	}
	if c.release(fresh); s.root.child("shared").child("new") != nil {
		t.Error("the file is there again")
	}
}

// Data goes when nobody can come to it any more, not before.
func TestDataIsLetGo(t *testing.T) {
	s := testStore(t)
	c := newCaller(t, s, "shared")
	f, _ := s.walk("", "shared/f")
	node, fh := c.lookup("f"), c.openFile("f", syscall.O_RDONLY) // two lookups
	if err := s.Remove("shared/f"); err != nil || f.data == nil {
		t.Fatalf("%v, or the data of an open file is gone", err)
	}
	if c.release(fh); f.data == nil {
		t.Error("a kernel that knows the file can still open it, and finds nothing")
	}
	if c.forget(node, 2); f.data != nil {
		t.Error("nobody can come to the file, and the data is still there")
	}

	snap := s.Snapshot()
	s.WriteFile("shared/new", []byte("new"), 0o644)
	fresh, _ := s.walk("", "shared/new")
	c.lookup("new")
	if s.Restore(snap); fresh.data != nil {
		t.Error("a restore keeps the data of what it takes away")
	}
}

func TestPermissions(t *testing.T) {
	root, owner, group, other := cred{}, cred{uid: 1, gid: 1}, cred{uid: 2, gid: 1}, cred{uid: 3, gid: 3}
	supplementary := cred{uid: 3, gid: 3, groups: func() []uint32 { return []uint32{5, 1} }}
	mode, uid, size := uint32(0o600), uint32(3), int64(0)
	now := timespec{1, 2}
	// Each runs in a directory of owner with mode 01775, where f is owner's
	// (0640), r is root's (0644), and t another's (0666).
	for _, tc := range []struct {
		name string
		who  cred
		do   func(s *Store, c cred, dir *inode) syscall.Errno
		want syscall.Errno
	}{
		{"owner reads", owner, open("f", syscall.O_RDONLY), 0},
		{"group reads", group, open("f", syscall.O_RDONLY), 0},
		{"supplementary group reads", supplementary, open("f", syscall.O_RDONLY), 0},
		{"group writes", group, open("f", syscall.O_WRONLY), syscall.EACCES},
		{"other reads", other, open("f", syscall.O_RDONLY), syscall.EACCES},
		{"other cuts what it may read", other, open("r", syscall.O_RDONLY|syscall.O_TRUNC), syscall.EACCES},
		{"root reads", root, open("f", syscall.O_RDWR), 0},
		{"root executes what nobody may", root, open("f", execFlag), syscall.EACCES},
		{"group creates", group, create("new"), 0},
		{"other creates", other, create("new"), syscall.EACCES},
		{"other creates what is there", other, create("f"), syscall.EEXIST},
		{"group removes in a sticky directory", group, remove("f"), syscall.EPERM},
		{"owner of the directory removes", owner, remove("r"), 0},
		{"group removes its own", cred{uid: 3, gid: 1}, remove("t"), 0},
		{"group renames another's", group, rename("f", "x"), syscall.EPERM},
		{"group renames over another's", cred{uid: 3, gid: 1}, rename("t", "f"), syscall.EPERM},
		{"other renames", other, rename("t", "x"), syscall.EACCES},
		{"owner chmods", owner, set("f", change{mode: &mode}), 0},
		{"group chmods", group, set("f", change{mode: &mode}), syscall.EPERM},
		{"root chowns", root, set("f", change{uid: &uid}), 0},
		{"owner chowns", owner, set("f", change{uid: &uid}), syscall.EPERM},
		{"owner gives to its supplementary group", cred{uid: 1, gid: 1, groups: func() []uint32 { return []uint32{3} }}, set("f", change{gid: &uid}), 0},
		{"owner gives to a group not its own", owner, set("f", change{gid: &uid}), syscall.EPERM},
		{"other cuts", other, set("f", change{size: &size}), syscall.EACCES},
		{"other cuts through a handle", other, set("f", change{size: &size, writable: true}), 0},
		{"writer sets times to now", other, set("t", change{atime: &now, mtime: &now}), 0},
		{"writer sets a time", group, set("t", change{atime: &now, mtime: &now, explicit: true}), syscall.EPERM},
		{"reader sets times to now", other, set("r", change{atime: &now, mtime: &now}), syscall.EACCES},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := NewStore(testClock())
			s.MkdirAll("d", 0o1775)
			s.WriteFile("d/f", nil, 0o640)
			s.WriteFile("d/r", nil, 0o644)
			s.WriteFile("d/t", nil, 0o666)
			dir := s.root.child("d")
			dir.uid, dir.gid = 1, 1
			dir.child("f").uid, dir.child("f").gid = 1, 1
			dir.child("t").uid, dir.child("t").gid = 3, 3
			if got := tc.do(s, tc.who, dir); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

type operation = func(s *Store, c cred, dir *inode) syscall.Errno

func open(name string, flags uint32) operation {
	return func(s *Store, c cred, dir *inode) syscall.Errno { return s.open(c, dir.child(name), flags) }
}

func create(name string) operation {
	return func(s *Store, c cred, dir *inode) syscall.Errno {
		_, errno := s.create(c, dir, name, syscall.S_IFREG|0o644, nil)
		return errno
	}
}

func remove(name string) operation {
	return func(s *Store, c cred, dir *inode) syscall.Errno {
		_, errno := s.remove(c, dir, name, false)
		return errno
	}
}

func rename(from, to string) operation {
	return func(s *Store, c cred, dir *inode) syscall.Errno {
		_, errno := s.rename(c, dir, from, dir, to, 0)
		return errno
	}
}

func set(name string, ch change) operation {
	return func(s *Store, c cred, dir *inode) syscall.Errno { return s.setattr(c, dir.child(name), ch) }
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

func TestRenameFlags(t *testing.T) {
	for _, tc := range []struct {
		from, to string
		flags    uint32
		want     syscall.Errno
		tree     []string
	}{
		{"f", "g", unix.RENAME_NOREPLACE, syscall.EEXIST, []string{"dir/", `f="data" nlink 1`, `g="more data" nlink 1`}},
		{"f", "x", unix.RENAME_NOREPLACE, 0, []string{"dir/", `g="more data" nlink 1`, `x="data" nlink 1`}},
		{"f", "g", unix.RENAME_EXCHANGE, 0, []string{"dir/", `f="more data" nlink 1`, `g="data" nlink 1`}},
		{"f", "dir", unix.RENAME_EXCHANGE, 0, []string{`dir="data" nlink 1`, "f/", `g="more data" nlink 1`}},
		{"f", "x", unix.RENAME_EXCHANGE, syscall.ENOENT, []string{"dir/", `f="data" nlink 1`, `g="more data" nlink 1`}},
		{"f", "x", unix.RENAME_WHITEOUT, syscall.EINVAL, []string{"dir/", `f="data" nlink 1`, `g="more data" nlink 1`}},
		{"f", "g", unix.RENAME_EXCHANGE | unix.RENAME_NOREPLACE, syscall.EINVAL, []string{"dir/", `f="data" nlink 1`, `g="more data" nlink 1`}},
	} {
		s := testStore(t)
		dir := s.root.child("shared")
		if _, got := s.rename(cred{}, dir, tc.from, dir, tc.to, tc.flags); got != tc.want {
			t.Errorf("rename %s %s %d: %v, want %v", tc.from, tc.to, tc.flags, got, tc.want)
		}
		var got []string
		for _, line := range tree(t, s) {
			if _, below, ok := strings.Cut(line, "shared/"); ok && below != "" {
				got = append(got, below)
			}
		}
		if diff := cmp.Diff(tc.tree, got); diff != "" {
			t.Errorf("rename %s %s %d (-want +got):\n%s", tc.from, tc.to, tc.flags, diff)
		}
	}
}

func TestControllersView(t *testing.T) {
	s := testStore(t)
	list, err := s.ReadDir("shared")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"dir", "f", "g"}, names); diff != "" {
		t.Errorf("ReadDir (-want +got):\n%s", diff)
	}
	if e := list[1]; e.Mode != 0o644 || e.Size != 4 || e.Nlink != 1 {
		t.Errorf("entry %+v", e)
	}
	for _, err := range []error{
		s.MkdirAll("shared/f/x", 0o755),
		s.WriteFile("missing/x", nil, 0o644),
		s.WriteFile("shared", nil, 0o644),
		s.Remove("missing"),
		s.Remove("shared"),
		s.Remove(""),
	} {
		var path *fs.PathError
		if !errors.As(err, &path) {
			t.Errorf("%v is no *fs.PathError", err)
		}
	}
}

// The locks of one byte at a time, against an array of bytes.
func TestPOSIXLocksAgreeWithModel(t *testing.T) {
	const bytes = 12
	type held struct {
		owner     uint64
		exclusive bool
	}
	rapid.Check(t, func(t *rapid.T) {
		i, m := &inode{}, &Mount{}
		var model [bytes][]held
		t.Repeat(map[string]func(*rapid.T){
			"lock": func(t *rapid.T) {
				id := rapid.Uint64Range(1, 3).Draw(t, "owner")
				start := rapid.Uint64Range(0, bytes-1).Draw(t, "start")
				end := rapid.Uint64Range(start, bytes-1).Draw(t, "end")
				kind := rapid.SampledFrom([]string{"read", "write", "unlock"}).Draw(t, "kind")
				var want syscall.Errno
				if kind != "unlock" {
					for _, b := range model[start : end+1] {
						for _, l := range b {
							if l.owner != id && (l.exclusive || kind == "write") {
								want = syscall.EAGAIN
							}
						}
					}
				}
				var got syscall.Errno
				if kind == "unlock" {
					i.punlock(owner{m, id}, start, end)
				} else {
					got = i.plock(plock{owner: owner{m, id}, exclusive: kind == "write", start: start, end: end})
				}
				if got != want {
					t.Fatalf("%s by %d of %d-%d: %v, want %v", kind, id, start, end, got, want)
				}
				if want != 0 {
					return
				}
				for n := start; n <= end; n++ {
					model[n] = slices.DeleteFunc(model[n], func(l held) bool { return l.owner == id })
					if kind != "unlock" {
						model[n] = append(model[n], held{id, kind == "write"})
					}
				}
			},
			"": func(t *rapid.T) {
				for _, l := range i.plocks {
					if slices.ContainsFunc(i.plocks, func(r plock) bool {
						return l.owner == r.owner && l.exclusive == r.exclusive && l.end+1 == r.start
					}) {
						t.Fatalf("neighbours are not one: %+v", i.plocks)
					}
				}
				for n := range model {
					var got []held
					for _, l := range i.plocks {
						if l.start <= uint64(n) && uint64(n) <= l.end {
							got = append(got, held{l.owner.id, l.exclusive})
						}
					}
					byOwner := func(a, b held) int { return int(a.owner) - int(b.owner) }
					slices.SortFunc(got, byOwner)
					want := slices.Clone(model[n])
					slices.SortFunc(want, byOwner)
					if !slices.Equal(got, want) {
						t.Fatalf("byte %d: %v, want %v", n, got, want)
					}
				}
			},
		})
	})
}

// What a request costs the server, the kernel apart.
func BenchmarkLookup(b *testing.B) {
	s := NewStore(testClock())
	s.WriteFile("f", nil, 0o644)
	m := newMount(s, s.root)
	request := raw(newHeader(1), "f")
	for b.Loop() {
		r, _ := parse(request)
		m.Answer(r)
	}
}

func BenchmarkRestore(b *testing.B) {
	s := NewStore(testClock())
	s.MkdirAll("qfiles/out", 0o777)
	for n := range 20 {
		s.WriteFile(fmt.Sprintf("qfiles/out/%d", n), make([]byte, 2000), 0o644)
	}
	snap := s.Snapshot()
	for b.Loop() {
		s.WriteFile("qfiles/out/1", []byte("x"), 0o644)
		s.Remove("qfiles/out/2")
		s.Restore(snap)
	}
}
