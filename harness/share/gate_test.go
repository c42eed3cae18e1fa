package share

import (
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"screwtape/harness/schedule"
)

func TestEveryMethodHasItsClassAndFootprint(t *testing.T) {
	inTable := map[string]bool{}
	for _, m := range methods {
		if inTable[m.name] {
			t.Errorf("%s is in the table twice", m.name)
		}
		inTable[m.name] = true
		for _, kind := range m.reads + m.writes {
			if !strings.ContainsRune("eladtpkw", kind) {
				t.Errorf("%s: unknown kind of resource %q", m.name, kind)
			}
		}
		if m.class != Pass && m.reads+m.writes == "" {
			t.Errorf("%s is held, but touches nothing", m.name)
		}
	}
	raw := reflect.TypeFor[fuse.RawFileSystem]()
	for n := range raw.NumMethod() {
		if name := raw.Method(n).Name; !inTable[name] {
			t.Errorf("%s of fuse.RawFileSystem is not in the table", name)
		}
		delete(inTable, raw.Method(n).Name)
	}
	for name := range inTable {
		t.Errorf("%s is in the table, but no method of fuse.RawFileSystem", name)
	}
}

// A method that came by embedding would do something that nobody here wrote.
func TestFrontEmbedsNothing(t *testing.T) {
	front := reflect.TypeFor[front]()
	for n := range front.NumField() {
		if f := front.Field(n); f.Anonymous {
			t.Errorf("front embeds %s", f.Name)
		}
	}
}

func TestEveryOpcodeNamesAMethod(t *testing.T) {
	reached := map[string]bool{}
	for n, op := range opcodes {
		if op.method == "" {
			continue
		}
		reached[op.method] = true
		if !slices.ContainsFunc(methods, func(m method) bool { return m.name == op.method }) {
			t.Errorf("opcode %d %s leads to %s, which is not in the table", n, op.name, op.method)
		}
	}
	for _, m := range methods {
		switch m.name {
		case "String", "SetDebug", "Init", "OnUnmount", "Write": // never asked for by a request
			continue
		}
		if !reached[m.name] {
			t.Errorf("no opcode leads to %s", m.name)
		}
	}
}

func TestClasses(t *testing.T) {
	store := testStore(t)
	a, b := newCaller(t, store, "shared"), newCaller(t, store, "shared")
	lock := func(c *caller, opcode uint32, fh, owner uint64, flags, typ uint32) *Request {
		return c.request(raw(fuse.LkIn{
			InHeader: c.header(opcode, c.lookup("f")), Fh: fh, Owner: owner,
			Lk: fuse.FileLock{End: 1<<63 - 1, Typ: typ}, LkFlags: flags,
		}))
	}
	flush := func(c *caller, fh, owner uint64) *Request {
		return c.request(raw(fuse.FlushIn{InHeader: c.header(opFlush, c.lookup("f")), Fh: fh, LockOwner: owner}))
	}
	for opcode, want := range map[uint32]Class{1: Pass, 12: Pass, 14: Pass, 15: Hold, 16: Pass, opRelease: Pass, 27: Pass, 28: Pass, opGetlk: Hold, opSetlk: Hold, opSetlkw: Hold, 60: Pass} {
		if got := a.Class(a.request(raw(a.header(opcode, 1)))); got != want {
			t.Errorf("class of opcode %d is %v, want %v", opcode, got, want)
		}
	}

	fa, fb := a.openFile("f", syscall.O_RDWR), b.openFile("f", syscall.O_RDWR)
	if got := a.Class(flush(a, fa, 7)); got != Pass {
		t.Errorf("a flush that gives up no lock: %v, want Pass", got)
	}
	for _, flags := range []uint32{0, fuse.LK_FLOCK} {
		take := lock(a, opSetlkw, fa, 7, flags, syscall.F_WRLCK)
		if !a.Ready(take) {
			t.Fatal("a lock that is free is not ready")
		}
		if e := a.Answer(take); e.Errno != 0 {
			t.Fatalf("lock: %v", e.Errno)
		}
		wait := lock(b, opSetlkw, fb, 7, flags, syscall.F_RDLCK) // the same owner's number, of another kernel
		if b.Ready(wait) {
			t.Error("a lock that another node holds is ready")
		}
		if e := b.Answer(lock(b, opSetlk, fb, 7, flags, syscall.F_RDLCK)); e.Errno != syscall.EAGAIN {
			t.Errorf("a lock that another node holds: %v, want EAGAIN", e.Errno)
		}
		if got := a.Class(flush(a, fa, 7)); got != Hold {
			t.Errorf("a flush that gives up a lock: %v, want Hold", got)
		}
		a.Answer(lock(a, opSetlk, fa, 7, flags, syscall.F_UNLCK))
		if !b.Ready(wait) {
			t.Error("a lock that was given up is not ready")
		}
	}
}

// What a search goes by beside conflicts: that all time stamps are set anew, and that
// paths can come to lead elsewhere.
func TestStampsAndWays(t *testing.T) {
	c := newCaller(t, testStore(t), "shared")
	rename := func(from, to string) Effect {
		return c.Answer(c.request(raw(struct {
			fuse.InHeader
			Newdir uint64
		}{c.header(12, 1), 1}, from, to)))
	}
	touch := func(valid uint32) Effect {
		in := fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{InHeader: c.header(4, c.lookup("g")), Valid: valid}}
		return c.Answer(c.request(raw(in)))
	}
	has := func(e Effect, kind string) bool {
		return slices.ContainsFunc(slices.Concat(e.Footprint.Reads, e.Footprint.Writes), func(r schedule.Resource) bool { return strings.HasPrefix(string(r), kind) })
	}
	for _, tc := range []struct {
		name string
		e    Effect
		kind string
		want bool
	}{
		{"a directory is renamed", rename("dir", "other"), "w:", true},
		{"a file is renamed", rename("f", "h"), "w:", false},
		{"a symbolic link is made", c.Answer(c.request(raw(c.header(6, 1), "link", "g"))), "w:", false},
		{"it is read", c.Answer(c.request(raw(c.header(5, c.lookup("link"))))), "w:", true},
		{"both times are set", touch(fuse.FATTR_ATIME | fuse.FATTR_MTIME), "t:", true},
		{"one time is set", touch(fuse.FATTR_MTIME), "t:", false},
	} {
		if tc.e.Errno != 0 || has(tc.e, tc.kind) != tc.want {
			t.Errorf("%s: %v, %+v", tc.name, tc.e.Errno, tc.e.Footprint)
		}
	}
}
