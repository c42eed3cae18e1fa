package share

import (
	"io"
	"log"
	"os"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

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
