package share

import (
	"io"
	"log"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
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
			if !strings.ContainsRune("eladpk", kind) {
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

// A caller is a kernel without a mount: it makes requests, and has them
// answered.
type caller struct {
	*Mount
	t        *testing.T
	uid, gid uint32
}

func newCaller(t *testing.T, store *Store, root string) *caller {
	t.Helper()
	top, err := store.walk("mount", root)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{Mount: newMount(store, top), t: t}
}

// raw makes a request as it comes from /dev/fuse: the fixed part, then names.
func raw[T any](in T, names ...string) []byte {
	b := append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&in)), unsafe.Sizeof(in))...)
	for _, name := range names {
		b = append(append(b, name...), 0)
	}
	header := (*fuse.InHeader)(unsafe.Pointer(&b[0]))
	header.Length = uint32(len(b))
	return b
}

func (c *caller) header(opcode uint32, node uint64) fuse.InHeader {
	return fuse.InHeader{Opcode: opcode, NodeId: node, Caller: fuse.Caller{Owner: fuse.Owner{Uid: c.uid, Gid: c.gid}, Pid: 1 << 30}}
}

func (c *caller) request(raw []byte) *Request {
	c.t.Helper()
	r, err := parse(raw)
	if err != nil {
		c.t.Fatal(err)
	}
	c.giveUp(r)
	return r
}

// lookup walks to a path, and returns what the kernel would call it.
func (c *caller) lookup(path string) uint64 {
	c.t.Helper()
	node := uint64(1)
	for _, name := range split(path) {
		r := c.request(raw(c.header(1, node), name))
		if e := c.Answer(r); e.Errno != 0 {
			c.t.Fatalf("lookup %s in %s: %v", name, path, e.Errno)
		}
		node = (*fuse.EntryOut)(unsafe.Pointer(&c.out[16])).NodeId
	}
	return node
}

// openFile opens a file, and returns its handle.
func (c *caller) openFile(path string, flags uint32) uint64 {
	c.t.Helper()
	r := c.request(raw(fuse.OpenIn{InHeader: c.header(14, c.lookup(path)), Flags: flags}))
	if e := c.Answer(r); e.Errno != 0 {
		c.t.Fatalf("open %s: %v", path, e.Errno)
	}
	return (*fuse.OpenOut)(unsafe.Pointer(&c.out[16])).Fh
}

func testStore(t *testing.T) *Store {
	t.Helper()
	s := NewStore(testClock())
	for _, err := range []error{
		s.MkdirAll("shared/dir", 0o777),
		s.WriteFile("shared/f", []byte("data"), 0o644),
		s.WriteFile("shared/g", []byte("more data"), 0o644),
		s.MkdirAll("a", 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Which steps conflict decides what a search leaves out, so it is spelled out.
func TestFootprints(t *testing.T) {
	type step func(c *caller) Effect
	lookup := func(name string) step {
		return func(c *caller) Effect { return c.Answer(c.request(raw(c.header(1, 1), name))) }
	}
	lookupIn := func(dir, name string) step {
		return func(c *caller) Effect { return c.Answer(c.request(raw(c.header(1, c.lookup(dir)), name))) }
	}
	rename := func(from, to string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(struct {
				fuse.InHeader
				Newdir uint64
			}{c.header(12, 1), 1}, from, to)))
		}
	}
	unlink := func(name string) step {
		return func(c *caller) Effect { return c.Answer(c.request(raw(c.header(10, 1), name))) }
	}
	getattr := func(path string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.GetAttrIn{InHeader: c.header(3, c.lookup(path))})))
		}
	}
	list := func(path string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.OpenIn{InHeader: c.header(27, c.lookup(path))})))
		}
	}
	write := func(path string) step {
		return func(c *caller) Effect {
			fh := c.openFile(path, syscall.O_WRONLY)
			in := fuse.WriteIn{InHeader: c.header(16, c.lookup(path)), Fh: fh, Size: 1, Flags: syscall.O_WRONLY}
			return c.Answer(c.request(append(raw(in), 'x')))
		}
	}
	read := func(path string) step {
		return func(c *caller) Effect {
			fh := c.openFile(path, syscall.O_RDONLY)
			return c.Answer(c.request(raw(fuse.ReadIn{InHeader: c.header(15, c.lookup(path)), Fh: fh, Size: 10})))
		}
	}
	chmodTo := func(path string, mode uint32) step {
		return func(c *caller) Effect {
			in := fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{InHeader: c.header(4, c.lookup(path)), Valid: fuse.FATTR_MODE, Mode: mode}}
			return c.Answer(c.request(raw(in)))
		}
	}
	chmod := func(path string) step { return chmodTo(path, 0o700) }
	truncate := func(path string) step {
		return func(c *caller) Effect {
			in := fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{InHeader: c.header(4, c.lookup(path)), Valid: fuse.FATTR_SIZE}}
			return c.Answer(c.request(raw(in)))
		}
	}
	renameInto := func(name, dir string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(struct {
				fuse.InHeader
				Newdir uint64
			}{c.header(12, 1), c.lookup(dir)}, name, name)))
		}
	}
	mkdir := func(name string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.MkdirIn{InHeader: c.header(9, 1), Mode: 0o777}, name)))
		}
	}
	tmpfile := func(dir string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.CreateIn{InHeader: c.header(51, c.lookup(dir)), Flags: syscall.O_RDWR, Mode: 0o600})))
		}
	}
	// fallocate is of so many bytes, of which the file has some.
	fallocate := func(path string, length uint64) step {
		return func(c *caller) Effect {
			fh := c.openFile(path, syscall.O_WRONLY)
			return c.Answer(c.request(raw(fuse.FallocateIn{InHeader: c.header(43, c.lookup(path)), Fh: fh, Length: length})))
		}
	}
	open := func(path string, flags uint32) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.OpenIn{InHeader: c.header(14, c.lookup(path)), Flags: flags})))
		}
	}
	access := func(path string, mask uint32) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.AccessIn{InHeader: c.header(34, c.lookup(path)), Mask: mask})))
		}
	}
	after := func(first, then step) step {
		return func(c *caller) Effect {
			first(c)
			return then(c)
		}
	}
	asUser := func(s step) step {
		return func(c *caller) Effect {
			c.uid = 1
			return s(c)
		}
	}
	for _, tc := range []struct {
		name     string
		a, b     step
		conflict bool
	}{
		{"lookups of one name", lookup("f"), lookup("f"), false},
		{"a rename and a lookup of the old name", rename("f", "x"), lookup("f"), true},
		{"a rename and a failed lookup of the new name", rename("f", "x"), lookup("x"), true},
		{"a rename and a lookup of another name", rename("f", "x"), lookup("g"), false},
		{"a rename and a lookup of a directory beside it", rename("f", "x"), lookup("dir"), false},
		{"a rename and a stat of another file", rename("f", "x"), getattr("g"), false},
		{"a rename and a stat of the directory", rename("f", "x"), getattr(""), true},
		{"a rename and a listing", rename("f", "x"), list(""), true},
		{"a rename and a listing of another directory", rename("f", "x"), list("dir"), false},
		{"a rename of a directory and a listing of it", rename("dir", "x"), list("dir"), true},
		{"a rename of a directory and a failed lookup in it", rename("dir", "x"), lookupIn("dir", "n"), true},
		{"a rename beside a directory and a failed lookup in it", rename("f", "x"), lookupIn("dir", "n"), false},
		{"a failed rename and a listing", rename("missing", "x"), list(""), false},
		{"a rename and an unlink of another name", rename("f", "x"), unlink("g"), false},
		{"a rename onto a name and its unlink", rename("f", "g"), unlink("g"), true},
		{"two listings", list(""), list(""), false},
		{"an unlink and a listing", unlink("f"), list(""), true},
		{"an unlink and a stat of the file", unlink("f"), getattr("f"), true},
		{"a write and a read of one file", write("f"), read("f"), true},
		{"a write and a read of two files", write("f"), read("g"), false},
		{"a write and a lookup of its name", write("f"), lookup("f"), false},
		{"a write and a stat of the file", write("f"), getattr("f"), true},
		{"two reads", read("f"), read("f"), false},
		{"a chmod and a user's failed lookup below the directory", chmod(""), asUser(lookupIn("dir", "n")), true},
		{"a chmod and a user's listing below the directory", chmod(""), asUser(list("dir")), true},
		{"a chmod and a user's stat of a directory in the directory", chmod(""), asUser(getattr("dir")), true},
		{"a chmod and root's stat of a directory in the directory", chmod(""), getattr("dir"), false},
		{"a chmod and a user's stat of a directory beside", chmod("f"), asUser(getattr("dir")), false},
		{"a chmod of a directory and a user's failed rename of it into another", chmod("dir"), after(chmodTo("dir", 0o755), after(mkdir("sub"), asUser(renameInto("dir", "sub")))), true},
		{"a chmod of a file and a user's failed unlink of it in a sticky directory", chmod("f"), after(chmodTo("", 0o1777), asUser(unlink("f"))), true},
		{"a chmod and root's execution", chmod("f"), open("f", execFlag), true},
		{"a chmod and root's look whether it can be executed", chmod("f"), access("f", mayExec), true},
		{"a chmod and root's reading", chmod("f"), open("f", syscall.O_RDONLY), false},
		{"a chmod and root's look whether a directory can be walked through", chmod("dir"), access("dir", mayExec), false},
		{"a truncation and a fallocate that changes nothing", truncate("f"), fallocate("f", 1), true},
		{"a stat and a fallocate that changes nothing", getattr("f"), fallocate("f", 1), false},
		{"a stat and a fallocate that makes the file longer", getattr("f"), fallocate("f", 100), true},
		{"files without names in one directory", tmpfile("dir"), after(tmpfile("dir"), tmpfile("dir")), true}, // their numbers tell which came first
		{"files without names in two directories", tmpfile("dir"), tmpfile(""), false},
		{"a file without a name and a listing", tmpfile("dir"), list("dir"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.a(newCaller(t, testStore(t), "shared"))
			b := tc.b(newCaller(t, testStore(t), "shared"))
			if got := a.Footprint.Conflicts(b.Footprint); got != tc.conflict {
				t.Errorf("conflict: %v, want %v\n%+v\n%+v", got, tc.conflict, a, b)
			}
		})
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

// Between a node's lookup and its CREATE another node may have made the file.
func TestCreateMeetsAnother(t *testing.T) {
	for _, tc := range []struct {
		name  string
		path  string
		flags uint32
		want  syscall.Errno
		data  string
	}{
		{"nothing there", "new", syscall.O_EXCL, 0, ""},
		{"a file", "f", 0, 0, "data"},
		{"a file to be cut", "f", syscall.O_TRUNC, 0, ""},
		{"a file, exclusively", "f", syscall.O_EXCL, syscall.EEXIST, "data"},
		{"a directory", "dir", 0, syscall.EISDIR, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := testStore(t)
			c := newCaller(t, store, "shared")
			e := c.Answer(c.request(raw(fuse.CreateIn{InHeader: c.header(35, 1), Flags: tc.flags | syscall.O_RDWR, Mode: 0o644}, tc.path)))
			if e.Errno != tc.want {
				t.Errorf("%v, want %v", e.Errno, tc.want)
			}
			if data, err := store.ReadFile("shared/" + tc.path); err == nil && string(data) != tc.data {
				t.Errorf("data %q, want %q", data, tc.data)
			}
			if open := len(c.handles); (open == 1) != (tc.want == 0) {
				t.Errorf("%d handles", open)
			}
		})
	}
}

// What a refused request was to do is not done, but for what cannot fail.
func TestRefuse(t *testing.T) {
	store := testStore(t)
	c := newCaller(t, store, "shared")
	fh := c.openFile("f", syscall.O_RDWR)
	before := store.Version()
	c.Refuse(c.request(raw(c.header(10, 1), "f")), syscall.EIO)
	if store.Version() != before {
		t.Error("a refused unlink was carried out")
	}
	c.Refuse(c.request(raw(fuse.ReleaseIn{InHeader: c.header(opRelease, c.lookup("f")), Fh: fh})), syscall.EIO)
	if len(c.handles) != 0 {
		t.Error("a refused release leaves its handle open for ever")
	}
	node := c.lookup("g")
	c.Refuse(c.request(raw(fuse.ForgetIn{InHeader: c.header(opForget, node), Nlookup: 1})), syscall.EIO)
	if c.inode(node) != nil {
		t.Error("a refused forget is not forgotten")
	}
}

// Two that hold a lock shared and both want it alone: flock(2) gives up before
// it waits, so one of them gets it.
func TestFlockUpgrade(t *testing.T) {
	store := testStore(t)
	a, b := newCaller(t, store, "shared"), newCaller(t, store, "shared")
	fa, fb := a.openFile("f", 0), b.openFile("f", 0)
	lock := func(c *caller, opcode uint32, fh uint64, typ uint32) *Request {
		return c.request(raw(fuse.LkIn{InHeader: c.header(opcode, c.lookup("f")), Fh: fh, Lk: fuse.FileLock{Typ: typ}, LkFlags: fuse.LK_FLOCK}))
	}
	a.Answer(lock(a, opSetlk, fa, syscall.F_RDLCK))
	b.Answer(lock(b, opSetlk, fb, syscall.F_RDLCK))
	upA := lock(a, opSetlkw, fa, syscall.F_WRLCK)
	if a.Ready(upA) {
		t.Fatal("a gets the lock alone while b has it")
	}
	upB := lock(b, opSetlkw, fb, syscall.F_WRLCK)
	if !b.Ready(upB) {
		t.Fatal("both wait for ever")
	}
	b.Answer(upB)
	if a.Ready(upA) {
		t.Error("both have it alone")
	}
	b.Answer(b.request(raw(fuse.ReleaseIn{InHeader: b.header(opRelease, b.lookup("f")), Fh: fb})))
	if !a.Ready(upA) {
		t.Error("the lock outlives its open file")
	}
}

func TestPath(t *testing.T) {
	c := newCaller(t, testStore(t), "shared")
	dir, file := c.lookup("dir"), c.lookup("f")
	c.Answer(c.request(raw(fuse.RenameIn{InHeader: c.header(45, 1), Newdir: dir}, "f", "x y")))
	for _, tc := range []struct {
		node uint64
		want string
	}{{1, ""}, {dir, "dir"}, {file, "dir/x y"}, {1000, ""}} {
		if got := c.Path(c.request(raw(fuse.GetAttrIn{InHeader: c.header(3, tc.node)}))); got != tc.want {
			t.Errorf("node %d is at %q, want %q", tc.node, got, tc.want)
		}
	}
}

// Whatever comes from the device, the server must not fall over. The kernel is
// to be trusted; this is for what the code here takes for granted.
func FuzzRequest(f *testing.F) {
	for opcode := range uint32(len(opcodes)) {
		f.Add(raw(struct {
			fuse.InHeader
			Args [64]byte
		}{InHeader: fuse.InHeader{Opcode: opcode, NodeId: 1}}, "f", "g"))
	}
	log.SetOutput(io.Discard) // where the library complains of short requests
	f.Cleanup(func() { log.SetOutput(os.Stderr) })
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxWrite {
			return
		}
		b = append([]byte(nil), b...) // aligned as a clone of the read buffer is
		c := newCaller(t, testStore(t), "shared")
		c.openFile("f", syscall.O_RDWR)
		r, err := parse(b)
		if err != nil {
			return
		}
		c.giveUp(r)
		c.Class(r)
		c.Ready(r)
		c.Path(r)
		r.Interrupts()
		c.Answer(r)
	})
}

// Labels of resources are the same in every run.
func TestFootprintLabels(t *testing.T) {
	c := newCaller(t, testStore(t), "shared")
	e := c.Answer(c.request(raw(c.header(10, 1), "f")))
	top, f := strings.TrimPrefix(string(resource("l", c.top)), "l:"), "179922497924038362"
	want := schedule.Footprint{
		Writes: []schedule.Resource{schedule.Resource("e:" + top + "/f"), schedule.Resource("a:" + f)},
		Adds:   []schedule.Resource{schedule.Resource("l:" + top), schedule.Resource("a:" + top)},
	}
	if diff := cmp.Diff(want, e.Footprint); diff != "" {
		t.Errorf("unlink (-want +got):\n%s", diff)
	}
}

func newHeader(opcode uint32) fuse.InHeader { return fuse.InHeader{Opcode: opcode, NodeId: 1} }
