package share

import (
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

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
