package share

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// What a loss of power leaves. There are f, "data", and g, "more data", both synced.
func TestPowerLoss(t *testing.T) {
	type step func(c *caller)
	write := func(name string, off int64, data string, flags uint32) step {
		return func(c *caller) {
			fh := c.openFile(name, syscall.O_WRONLY|flags)
			in := fuse.WriteIn{Fh: fh, Offset: uint64(off), Flags: syscall.O_WRONLY | flags}
			if _, status := (&front{c.Mount}).Writev(nil, &in, [][]byte{[]byte(data)}); !status.Ok() {
				c.t.Fatal(status)
			}
			c.release(fh) // a close syncs nothing
		}
	}
	fsync := func(name string) step { // through another handle than that of the write
		return func(c *caller) {
			fh := c.openFile(name, syscall.O_RDONLY)
			(&front{c.Mount}).Fsync(nil, &fuse.FsyncIn{Fh: fh})
			c.release(fh)
		}
	}
	does := func(op operation) step {
		return func(c *caller) {
			if errno := op(c.store, cred{}, c.top); errno != 0 {
				c.t.Fatal(errno)
			}
		}
	}
	truncate := func(name string, size int64) step { return does(set(name, change{size: &size})) }
	loss := func(c *caller) { c.store.PowerLoss() }

	for _, c := range []struct {
		name  string
		steps []step
		want  string // names and data
	}{
		{"nothing was written", nil, "f=data g=more data"},
		{"a new file", []step{does(create("n")), write("n", 0, "new", 0)}, "f=data g=more data n="},
		{"a new file, synced", []step{does(create("n")), write("n", 0, "new", 0), fsync("n")}, "f=data g=more data n=new"},
		{"a new file, synced and written to", []step{does(create("n")), write("n", 0, "new", 0), fsync("n"), write("n", 3, "er", 0)}, "f=data g=more data n=new"},
		{"another file synced", []step{does(create("n")), write("n", 0, "new", 0), fsync("f")}, "f=data g=more data n="},
		{"O_DSYNC", []step{write("f", 4, "!", syscall.O_DSYNC)}, "f=data! g=more data"},
		{"O_SYNC", []step{write("f", 4, "!", syscall.O_SYNC)}, "f=data! g=more data"},
		{"overwritten in place", []step{write("f", 0, "DATA", 0)}, "f=data g=more data"},
		{"overwritten twice", []step{write("f", 0, "DATA", 0), write("f", 2, "xxxx", 0)}, "f=data g=more data"},
		{"renamed, not synced", []step{does(create("n")), write("n", 0, "new", 0), does(rename("n", "f"))}, "f= g=more data"},
		{"renamed, synced", []step{does(create("n")), write("n", 0, "new", 0), fsync("n"), does(rename("n", "f"))}, "f=new g=more data"},
		{"removed", []step{does(remove("f"))}, "g=more data"},
		{"truncated", []step{truncate("f", 2)}, "f=da g=more data"},
		{"truncated on open, and written", []step{truncate("f", 0), write("f", 0, "new", 0)}, "f= g=more data"},
		{"written, and truncated", []step{write("f", 0, "DATA", 0), truncate("f", 2)}, "f=da g=more data"},
		{"written, truncated, and longer again", []step{write("f", 0, "DATA", 0), truncate("f", 2), truncate("f", 4)}, "f=da\x00\x00 g=more data"},
		{"synced after that", []step{write("f", 0, "DATA", 0), truncate("f", 2), truncate("f", 4), fsync("f")}, "f=DA\x00\x00 g=more data"},
		{"written after a loss", []step{write("f", 0, "DATA", 0), loss, write("f", 4, "!", 0), fsync("f")}, "f=data! g=more data"},
		{"twice", []step{write("f", 0, "DATA", 0), loss, write("f", 0, "Data", 0)}, "f=data g=more data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := testStore(t)
			kernel := newCaller(t, s, "shared")
			prepared, before := s.Snapshot(), contents(t, s)
			for _, do := range c.steps {
				do(kernel)
			}
			written, now := s.Snapshot(), contents(t, s)
			// A snapshot knows what is synced, and a loss takes nothing from it.
			for range 2 {
				s.PowerLoss()
				if got := contents(t, s); got != c.want {
					t.Errorf("a loss of power leaves %q, want %q", got, c.want)
				}
				s.Restore(written)
				if got := contents(t, s); got != now {
					t.Errorf("it was %q, and is %q when restored", now, got)
				}
			}
			s.Restore(prepared)
			s.PowerLoss()
			if diff := cmp.Diff(before, contents(t, s)); diff != "" {
				t.Errorf("of what was prepared something is lost (-prepared +left):\n%s", diff)
			}
		})
	}
}

// contents are the files in shared with their data.
func contents(t *testing.T, s *Store) (text string) {
	t.Helper()
	list, err := s.ReadDir("shared")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Mode.IsDir() {
			continue
		}
		data, err := s.ReadFile("shared/" + e.Name)
		if err != nil {
			t.Fatal(err)
		}
		if text != "" {
			text += " "
		}
		text += e.Name + "=" + string(data)
	}
	return text
}

// On a mount, what programs sync is safe, by whichever call, and nothing else.
func TestSyncOnAMount(t *testing.T) {
	s := testStore(t)
	n := serve(t, s, "shared")[0]
	calls := map[string]struct {
		flags int
		sync  func(f *os.File) error
		safe  bool
	}{
		"close":     {0, func(*os.File) error { return nil }, false},
		"fsync":     {0, func(f *os.File) error { return f.Sync() }, true},
		"fdatasync": {0, func(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }, true},
		"O_DSYNC":   {unix.O_DSYNC, func(*os.File) error { return nil }, true},
		"O_SYNC":    {unix.O_SYNC, func(*os.File) error { return nil }, true},
	}
	for name, c := range calls {
		f := openAt(t, n.dir+"/"+name, os.O_WRONLY|os.O_CREATE|c.flags)
		must[int](t)(f.WriteString("x"))
		ok(t, c.sync(f))
		ok(t, f.Close())
	}
	n.server.mu.Lock()
	defer n.server.mu.Unlock()
	s.PowerLoss()
	for name, c := range calls {
		data, err := s.ReadFile("shared/" + name)
		if err != nil || slices.Equal(data, []byte("x")) != c.safe {
			t.Errorf("after %s: %q, %v", name, data, err)
		}
	}
}
