package share

import (
	"syscall"
	"testing"
)

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
