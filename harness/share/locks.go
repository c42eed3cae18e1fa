package share

import (
	"cmp"
	"slices"
	"syscall"
)

// Locks, as one server keeps them for all nodes. They lie on the inode.

// A flock is a lock of flock(2). It belongs to an open file.
type flock struct {
	handle    *handle
	exclusive bool
}

// flockConflicts reports whether another open file's lock is in the way.
func (i *inode) flockConflicts(h *handle, exclusive bool) bool {
	return slices.ContainsFunc(i.flocks, func(l flock) bool {
		return l.handle != h && (exclusive || l.exclusive)
	})
}

// unflock takes a handle's lock away, and reports whether it had one.
func (i *inode) unflock(h *handle) bool {
	n := len(i.flocks)
	i.flocks = slices.DeleteFunc(i.flocks, func(l flock) bool { return l.handle == h })
	return len(i.flocks) < n
}

// flock takes, converts or (F_UNLCK) gives up a lock. As in Linux, a lock of the
// other kind is given up first, also when the new one is then refused.
func (i *inode) flock(h *handle, typ uint32) syscall.Errno {
	i.unflock(h)
	if typ == syscall.F_UNLCK {
		return 0
	}
	exclusive := typ == syscall.F_WRLCK
	if i.flockConflicts(h, exclusive) {
		return syscall.EAGAIN
	}
	i.flocks = append(i.flocks, flock{h, exclusive})
	return 0
}

func (i *inode) flocked(h *handle) bool {
	return slices.ContainsFunc(i.flocks, func(l flock) bool { return l.handle == h })
}

// An owner is who holds a POSIX lock: what a kernel calls so, a process or, for
// locks of open file descriptions, an open file; and each mount has a kernel of
// its own.
type owner struct {
	mount *Mount
	id    uint64
}

// A plock is a POSIX lock of the bytes from start to end, both included.
type plock struct {
	owner      owner
	handle     *handle
	pid        uint32
	exclusive  bool
	start, end uint64
}

// plockConflict returns the first lock of another owner that is in the way, or
// nil.
func (i *inode) plockConflict(want plock) *plock {
	for n := range i.plocks {
		l := &i.plocks[n]
		if l.owner != want.owner && l.start <= want.end && want.start <= l.end && (l.exclusive || want.exclusive) {
			return l
		}
	}
	return nil
}

// plock takes a lock, which replaces what its owner had in that range.
func (i *inode) plock(want plock) syscall.Errno {
	if i.plockConflict(want) != nil {
		return syscall.EAGAIN
	}
	i.punlock(want.owner, want.start, want.end)
	// Neighbours of the same kind become one.
	i.plocks = slices.DeleteFunc(i.plocks, func(l plock) bool {
		if l.owner != want.owner || l.exclusive != want.exclusive {
			return false
		}
		switch {
		case l.end+1 == want.start:
			want.start = l.start
		case want.end+1 == l.start:
			want.end = l.end
		default:
			return false
		}
		return true
	})
	at, _ := slices.BinarySearchFunc(i.plocks, want.start, func(l plock, start uint64) int { return cmp.Compare(l.start, start) })
	i.plocks = slices.Insert(i.plocks, at, want)
	return 0
}

// punlock gives up an owner's locks in a range, and reports whether there were
// any.
func (i *inode) punlock(o owner, start, end uint64) bool {
	var kept []plock
	found := false
	for _, l := range i.plocks {
		if l.owner != o || l.end < start || end < l.start {
			kept = append(kept, l)
			continue
		}
		found = true
		if l.start < start {
			left := l
			left.end = start - 1
			kept = append(kept, left)
		}
		if end < l.end {
			right := l
			right.start = end + 1
			kept = append(kept, right)
		}
	}
	if found {
		slices.SortStableFunc(kept, func(a, b plock) int { return cmp.Compare(a.start, b.start) })
		i.plocks = kept
	}
	return found
}

func (i *inode) plocked(o owner) bool {
	return slices.ContainsFunc(i.plocks, func(l plock) bool { return l.owner == o })
}

// unlockHandle takes away the locks that end with an open file: its flock, and
// POSIX locks of the open file description. Those of processes that were taken
// through it ended at the flush before.
func (i *inode) unlockHandle(h *handle) bool {
	n := len(i.plocks)
	i.plocks = slices.DeleteFunc(i.plocks, func(l plock) bool { return l.handle == h })
	return i.unflock(h) || len(i.plocks) < n
}
