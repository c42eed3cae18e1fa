package share

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"screwtape/harness/schedule"
)

const (
	maxWrite   = 128 << 10       // bytes in one READ or WRITE
	bufferSize = maxWrite + 4096 // and what stands before them
)

// ErrUnmounted says that a mount is no longer there, or was aborted.
var ErrUnmounted = errors.New("the share's mount is gone")

// A Mount is one directory of a store as one node sees it. Like its store it is
// not safe for concurrent use.
//
// Whoever owns it must never touch the mount itself, by any system call: there
// would be nobody to answer.
type Mount struct {
	store      *Store
	top        *inode // what the kernel calls node 1
	dev        int
	tree       *os.File
	server     *fuse.ProtocolServer
	nodes      map[uint64]*known
	handles    map[uint64]*handle
	lastHandle uint64
	forgets    bool               // the kernel can be told to forget all names
	footprint  schedule.Footprint // of the request that is being answered
	in, out    []byte
	failed     error // of a reply; given by Next
}

// known is an inode that the kernel has a reference to.
type known struct {
	inode   *inode
	lookups uint64
}

// A handle is an open file or directory.
type handle struct {
	inode   *inode
	list    []entry // of a directory, as it was at opendir or rewinddir
	listed  bool    // the list has been read from
	writing bool
}

// NewMount mounts a directory of the store, in no place: Tree is to be moved to
// one with move_mount(2), by a process of the node. Process ids in requests are
// numbers in the pid namespace of whoever calls NewMount.
func NewMount(store *Store, root string) (*Mount, error) {
	top, err := store.walk("mount", root)
	if err != nil {
		return nil, err
	}
	m := newMount(store, top)
	if m.dev, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return nil, &os.PathError{Op: "open", Path: "/dev/fuse", Err: err}
	}
	tree, err := attach(m.dev, root)
	if err != nil {
		unix.Close(m.dev)
		return nil, err
	}
	m.tree = os.NewFile(uintptr(tree), "share "+root)
	// The kernel has asked for INIT by now, and lets nothing through before.
	r, err := m.Next()
	if err == nil && (r == nil || r.opcode != opInit) {
		err = fmt.Errorf("FUSE: the first request is %+v, not INIT", r)
	}
	if err == nil {
		if e := m.Answer(r); e.Errno != 0 {
			err = fmt.Errorf("FUSE: INIT: %w", e.Errno)
		}
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	m.forgets = m.notify(notifyIncEpoch) == nil
	store.mounts = append(store.mounts, m)
	return m, nil
}

// newMount is a Mount without a kernel.
func newMount(store *Store, top *inode) *Mount {
	m := &Mount{
		store:   store,
		top:     top,
		dev:     -1,
		nodes:   map[uint64]*known{},
		handles: map[uint64]*handle{},
		in:      make([]byte, bufferSize),
		out:     make([]byte, bufferSize),
	}
	m.server = fuse.NewProtocolServer(&front{m}, &fuse.MountOptions{
		MaxWrite:           maxWrite,
		EnableLocks:        true,
		DisableReadDirPlus: true,
		ExtraCapabilities:  fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_DIRECT_IO_ALLOW_MMAP,
		// Every open and every byte has to come here.
		DisabledCapabilities: fuse.CAP_PASSTHROUGH | fuse.CAP_NO_OPEN_SUPPORT | fuse.CAP_ALLOW_IDMAP,
		Logger:               log.New(io.Discard, "", 0), // what it reports, it also answers
		PanicHandler:         func(p any) fuse.Status { panic(p) },
	})
	return m
}

// attach makes a detached FUSE mount for a /dev/fuse descriptor.
func attach(dev int, root string) (tree int, err error) {
	fsfd, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fsfd)
	for _, option := range [][2]string{
		{"source", "screwtape:" + root},
		{"subtype", "screwtape"},
		{"fd", strconv.Itoa(dev)},
		{"rootmode", strconv.FormatUint(syscall.S_IFDIR, 8)},
		{"user_id", strconv.Itoa(os.Geteuid())},
		{"group_id", strconv.Itoa(os.Getegid())},
	} {
		if err := unix.FsconfigSetString(fsfd, option[0], option[1]); err != nil {
			return -1, fmt.Errorf("fsconfig %s=%s: %w", option[0], option[1], err)
		}
	}
	// No default_permissions: the kernel would ask for the attributes of
	// every directory on every path, and the store checks by itself.
	if err := unix.FsconfigSetFlag(fsfd, "allow_other"); err != nil {
		return -1, fmt.Errorf("fsconfig allow_other: %w", err)
	}
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return -1, os.NewSyscallError("fsconfig create", err)
	}
	tree, err = unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	return tree, os.NewSyscallError("fsmount", err)
}

// Dev is the /dev/fuse descriptor: non-blocking, and readable when Next has
// something.
func (m *Mount) Dev() int { return m.dev }

// Tree is the detached mount, for move_mount(2) with MOVE_MOUNT_F_EMPTY_PATH. It
// stays the Mount's: close it only by Close.
func (m *Mount) Tree() *os.File { return m.tree }

// Close aborts the mount: whoever waits for an answer gets ECONNABORTED, and so
// does whoever asks later. All handles are closed and their locks given up.
func (m *Mount) Close() error {
	err := unix.Close(m.dev)
	m.dev = -1
	m.store.mounts = slices.DeleteFunc(m.store.mounts, func(o *Mount) bool { return o == m })
	if m.tree != nil {
		err = errors.Join(err, m.tree.Close())
	}
	for fh := range m.handles {
		m.release(fh)
	}
	for node := range m.nodes {
		m.forget(node, ^uint64(0))
	}
	return err
}

// forgetNames has the kernel ask again for every name that it remembers. That
// takes no lock in it, so it can be done at any time.
func (m *Mount) forgetNames() {
	if !m.forgets {
		return
	}
	if err := m.notify(notifyIncEpoch); err != nil && err != unix.ENODEV {
		m.failed = fmt.Errorf("FUSE: have the kernel forget names: %w", err)
	}
}

// notifyIncEpoch is FUSE_NOTIFY_INC_EPOCH (Linux 6.16): what the kernel knows
// of names is not valid any more.
const notifyIncEpoch = 8

// notify tells the kernel something that it has not asked for.
func (m *Mount) notify(code uint32) error {
	var out [16]byte // struct fuse_out_header; 0 is the number of no request
	binary.NativeEndian.PutUint32(out[0:], uint32(len(out)))
	binary.NativeEndian.PutUint32(out[4:], code)
	_, err := unix.Write(m.dev, out[:])
	return err
}

func (m *Mount) send(reply []byte) {
	if m.dev < 0 {
		return
	}
	for {
		_, err := unix.Write(m.dev, reply)
		switch err {
		case unix.EINTR:
			continue
		case nil, unix.ENOENT, unix.ENODEV: // ENOENT: nobody waits for it any more
		default:
			m.failed = &os.PathError{Op: "write", Path: "/dev/fuse", Err: err}
		}
		return
	}
}

// inode finds what the kernel calls a node.
func (m *Mount) inode(node uint64) *inode {
	if node == fuse.FUSE_ROOT_ID {
		return m.top
	}
	if k := m.nodes[node]; k != nil {
		return k.inode
	}
	return nil
}

// remember counts a reference that the kernel gets to an inode.
func (m *Mount) remember(i *inode) {
	k := m.nodes[i.node]
	if k == nil {
		k = &known{inode: i}
		m.nodes[i.node] = k
		i.known++
	}
	k.lookups++
}

func (m *Mount) forget(node, lookups uint64) {
	k := m.nodes[node]
	if k == nil {
		return
	}
	if k.lookups -= min(lookups, k.lookups); k.lookups == 0 {
		delete(m.nodes, node)
		k.inode.known--
		k.inode.free()
	}
}

// open makes a handle.
func (m *Mount) open(i *inode, flags uint32) (fh uint64, h *handle) {
	m.lastHandle++
	h = &handle{inode: i, writing: flags&syscall.O_ACCMODE != syscall.O_RDONLY}
	m.handles[m.lastHandle] = h
	i.opens++
	return m.lastHandle, h
}

// release closes a handle, and reports whether it held locks.
func (m *Mount) release(fh uint64) (locked bool) {
	h := m.handles[fh]
	if h == nil {
		return false
	}
	delete(m.handles, fh)
	h.inode.opens--
	locked = h.inode.unlockHandle(h)
	h.inode.free()
	return locked
}

// cred says who asks.
func (m *Mount) cred(h *fuse.InHeader) cred {
	pid := h.Pid
	return cred{h.Uid, h.Gid, func() []uint32 { return groups(pid) }}
}

// groups reads the supplementary groups of a thread, which waits for our
// answer, so it is there.
func groups(pid uint32) []uint32 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(status), "\nGroups:")
	line, _, _ := strings.Cut(rest, "\n")
	var list []uint32
	for _, word := range strings.Fields(line) {
		if g, err := strconv.ParseUint(word, 10, 32); err == nil {
			list = append(list, uint32(g))
		}
	}
	return list
}
