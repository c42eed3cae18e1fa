package share

import (
	"testing"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
)

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

func newHeader(opcode uint32) fuse.InHeader { return fuse.InHeader{Opcode: opcode, NodeId: 1} }
