package share

import (
	"strconv"

	"github.com/hanwen/go-fuse/v2/fuse"

	"screwtape/harness/schedule"
)

// front answers the requests of one mount: it finds the inodes, has the store
// do the work, fills in the reply, and notes the footprint. Every method of the
// interface is written out, so that none can slip past the gate; they stand in
// front*.go by what they are about.
type front struct{ m *Mount }

var _ fuse.RawFileSystem = (*front)(nil)

// Resources of footprints; see method.

func resource(kind string, i *inode) schedule.Resource {
	return schedule.Resource(kind + ":" + strconv.FormatUint(i.ino, 10))
}

func entryResource(dir *inode, name string) schedule.Resource {
	return resource("e", dir) + schedule.Resource("/"+name)
}

func (f *front) reads(r ...schedule.Resource) {
	f.m.footprint.Reads = append(f.m.footprint.Reads, r...)
}

func (f *front) writes(r ...schedule.Resource) {
	f.m.footprint.Writes = append(f.m.footprint.Writes, r...)
}

// checks notes that a permission was asked of inodes; nil ones are not there.
func (f *front) checks(h *fuse.InHeader, inodes ...*inode) {
	for _, i := range inodes {
		if i != nil && h.Uid != 0 {
			f.reads(resource("p", i))
		}
	}
}

// executes notes that the right to execute a file was asked for, which also root
// has only if somebody has it.
func (f *front) executes(i *inode) {
	if !i.isDir() {
		f.reads(resource("p", i))
	}
}

// entered notes that an entry was added or taken away.
func (f *front) entered(dir *inode, name string) {
	f.writes(entryResource(dir, name))
	f.m.footprint.Adds = append(f.m.footprint.Adds, resource("l", dir), resource("a", dir))
}

// made notes that an inode came into being.
func (f *front) made(i *inode) {
	f.writes(resource("a", i), resource("d", i))
}

// unknown answers a request about a node that the kernel should not know. It is
// not ESTALE, which would make the kernel walk the path again.
const unknown = fuse.ENOENT

// enter fills in the entry of a name in dir for the kernel, which gets a
// reference by it. Time-outs are 0: nothing is believed without asking again.
// Only that a name leads to a directory is believed until forgetNames, where
// nobody needs a right to walk through: else each path would be asked for
// component by component.
func (f *front) enter(dir, i *inode, out *fuse.EntryOut) {
	f.m.remember(i)
	out.NodeId, out.Generation = i.node, 1
	i.fill(&out.Attr)
	if f.m.forgets && i.isDir() && dir.searchable() {
		out.EntryValid = 1 << 30 // seconds
	}
}

// reaches notes that the names which lead to a directory were read, and the right
// to look them up. The kernel may remember them and not have asked, or have come
// there without a path, but whoever takes one of them away, or the right, changes
// what a path leads to.
func (f *front) reaches(h *fuse.InHeader, dir *inode) {
	for dir.isDir() && dir != f.m.top && dir.parent != nil {
		f.checks(h, dir.parent)
		f.reads(entryResource(dir.parent, dir.name))
		dir = dir.parent
	}
}

// String names the file system.
func (f *front) String() string { return "screwtape" }

// SetDebug does nothing: the controller's log has all requests.
func (f *front) SetDebug(bool) {}

// Init does nothing; only the library's own loop, not used here, calls it.
func (f *front) Init(*fuse.Server) {}

// OnUnmount does nothing; only the library's own loop, not used here, calls it.
func (f *front) OnUnmount() {}
