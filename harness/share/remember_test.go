package share

import (
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A kernel remembers which names lead to directories, as long as that is so.
func TestDirectoriesAreRemembered(t *testing.T) {
	store := NewStore(testClock())
	ok(t, store.MkdirAll("shared/d/e", 0o755))
	ok(t, store.WriteFile("shared/d/e/f", []byte("f"), 0o644))
	ok(t, store.MkdirAll("shared/other", 0o755))
	ok(t, store.WriteFile("shared/other/f", []byte("other"), 0o644))
	nodes := serve(t, store, "shared", "shared")
	a, b, s := nodes[0].dir, nodes[1].dir, nodes[0].server
	if !nodes[0].forgets {
		t.Skip("SKIPPED: this kernel cannot be told to forget (FUSE_NOTIFY_INC_EPOCH, Linux 6.16), so it remembers nothing")
	}
	looked := func(path string) []string { // what a asks for when it looks at a path
		t.Helper()
		s.mu.Lock()
		s.looked = nil
		s.mu.Unlock()
		stat(t, a+path)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.looked
	}
	want := func(path string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, looked(path)); diff != "" {
			t.Errorf("asked for by a look at %s (-want +got):\n%s", path, diff)
		}
	}
	want("/d/e/f", "d", "d/e", "d/e/f")
	want("/d/e/f", "d/e/f")

	ok(t, os.Rename(b+"/d/e", b+"/d/moved"))
	_, err := os.Stat(a + "/d/e/f")
	wantErr(t, "by the name that it had", err, syscall.ENOENT)
	wantData(t, a+"/d/moved/f", "f")
	ok(t, os.Rename(b+"/other", b+"/d/e"))
	wantData(t, a+"/d/e/f", "other")
	ok(t, unix.Renameat2(unix.AT_FDCWD, b+"/d/e", unix.AT_FDCWD, b+"/d/moved", unix.RENAME_EXCHANGE))
	wantData(t, a+"/d/e/f", "f")
	ok(t, os.RemoveAll(b+"/d/e"))
	ok(t, os.Mkdir(b+"/d/e", 0o755))
	_, err = os.Stat(a + "/d/e/f")
	wantErr(t, "in another directory of that name", err, syscall.ENOENT)

	// Where not everybody may walk through, each walk is checked.
	want("/d/moved", "d/moved")
	want("/d/moved")
	ok(t, os.Chmod(b+"/d", 0o754))
	want("/d/moved", "d", "d/moved")
	want("/d/moved", "d/moved")

	s.mu.Lock()
	snap := store.Snapshot()
	s.mu.Unlock()
	ok(t, os.Mkdir(a+"/new", 0o755))
	ok(t, os.WriteFile(a+"/new/f", nil, 0o644))
	s.mu.Lock()
	store.Restore(snap)
	s.mu.Unlock()
	_, err = os.Stat(a + "/new/f")
	wantErr(t, "in a directory that a restore took away", err, syscall.ENOENT)

	ok(t, os.Chmod(b+"/d", 0o755)) // what was checked when the snapshot was taken no longer is
	want("/d/moved", "d", "d/moved")
	want("/d/moved")
	s.mu.Lock()
	store.Restore(snap)
	s.mu.Unlock()
	want("/d/moved", "d", "d/moved")
	want("/d/moved", "d/moved")
}
