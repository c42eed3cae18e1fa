package share

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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

// A restore under the feet of processes that live on: they see what was, their
// open files and directories go on, and nothing is taken for something else.
func TestRestoreUnderMounts(t *testing.T) {
	store := NewStore(testClock())
	ok(t, store.MkdirAll("shared/q/out", 0o777))
	ok(t, store.WriteFile("shared/q/out/m0", []byte("message"), 0o644))
	nodes := serve(t, store, "shared", "shared")
	a, b, s := nodes[0].dir, nodes[1].dir, nodes[0].server
	s.mu.Lock()
	snap := store.Snapshot()
	s.mu.Unlock()

	dir := openAt(t, a+"/q/out", os.O_RDONLY)
	lock := openAt(t, b+"/q/out/m0", os.O_RDWR)
	inDir := func(name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name) }
	var inos [2]uint64
	for round := range 2 {
		ok(t, os.WriteFile(b+"/q/out/new", []byte("new"), 0o644))
		inos[round] = stat(t, a+"/q/out/new").Ino
		ok(t, os.Rename(inDir("m0"), inDir("m0.bak")))
		ok(t, os.WriteFile(b+"/q/out/m0", []byte("another"), 0o600))
		wantData(t, inDir("m0"), "another")
		gone := openAt(t, a+"/q/out/new", os.O_RDWR)
		ok(t, os.Rename(b+"/q/out", b+"/out"))
		ok(t, os.Truncate(b+"/out/m0.bak", 2))

		s.mu.Lock()
		store.Restore(snap)
		s.mu.Unlock()

		wantData(t, inDir("m0"), "message")
		wantData(t, b+"/q/out/m0", "message")
		if got := must[[]os.DirEntry](t)(os.ReadDir(b + "/q/out")); len(got) != 1 {
			t.Errorf("listing after the restore: %v", got)
		}
		for _, name := range []string{"/q/out/new", "/q/out/m0.bak", "/out"} {
			_, err := os.Stat(b + name)
			wantErr(t, name, err, syscall.ENOENT)
		}
		if st := must[os.FileInfo](t)(gone.Stat()); st.Sys().(*syscall.Stat_t).Nlink != 0 {
			t.Error("what the restore took away has a name")
		}
		must[int](t)(gone.WriteAt([]byte("N"), 0))
		must[int](t)(lock.WriteAt([]byte("M"), 0))
		wantData(t, a+"/q/out/m0", "Message")
		s.mu.Lock()
		store.Restore(snap)
		s.mu.Unlock()
	}
	if inos[0] != inos[1] {
		t.Errorf("inode %d is %d the second time", inos[0], inos[1])
	}
}

// Schedule after schedule, nothing piles up: neither in the store nor in what
// it remembers for kernels.
func TestRestoreDoesNotGrow(t *testing.T) {
	store := NewStore(testClock())
	ok(t, store.MkdirAll("shared/q", 0o777))
	nodes := serve(t, store, "shared", "shared")
	a, b, s := nodes[0].dir, nodes[1].dir, nodes[0].server
	locked := func(f func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f()
	}
	var snap *Snapshot
	locked(func() { snap = store.Snapshot() })
	for range 200 {
		for n := range 3 {
			name := fmt.Sprintf("/q/%d", n)
			ok(t, os.WriteFile(a+name+".tmp", []byte("data"), 0o644))
			ok(t, os.Rename(a+name+".tmp", a+name+".pck"))
			wantData(t, b+name+".pck", "data")
			ok(t, os.Rename(b+name+".pck", b+name+".bak"))
		}
		ok(t, os.Remove(a+"/q/1.bak"))
		locked(func() { store.Restore(snap) })
	}
	locked(func() {
		// A name that was restored away stays known until it is looked at again,
		// and the last releases may be on their way.
		for _, n := range nodes {
			if len(n.nodes) > 20 || len(n.handles) > 20 {
				t.Errorf("after 200 rounds: %d nodes, %d handles", len(n.nodes), len(n.handles))
			}
		}
		if len(store.births) != len(snap.births) {
			t.Errorf("%d births, want %d", len(store.births), len(snap.births))
		}
	})
}
