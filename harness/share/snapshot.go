package share

import "maps"

// A Snapshot is a store as it was at one moment.
type Snapshot struct {
	tree   uint64
	inodes []saved // the root first
	births map[birthplace]uint32
}

// saved is an inode as it was. Data and entries are shared with the inode
// until one of them changes.
type saved struct {
	inode *inode
	attr
	data     []byte
	entries  []entry
	parent   *inode
	name     string
	unsynced bool
	synced   []byte
}

// Snapshot keeps all that lies on the store now. Data is shared until it is
// changed, so the cost is that of a walk.
func (s *Store) Snapshot() *Snapshot {
	snap := &Snapshot{tree: s.tree, births: maps.Clone(s.births)}
	s.root.visit(map[*inode]bool{}, func(i *inode) {
		i.cow = true
		snap.inodes = append(snap.inodes, saved{i, i.attr, i.data, i.entries, i.parent, i.name, i.unsynced, i.synced})
	})
	return snap
}

// Restore brings the store back to what it was. The cost is that of a walk of
// what lies there now and of the snapshot, however much happened before.
//
// What is in the snapshot keeps its identity: a process that stayed alive goes
// on with an open file or working directory. What is not becomes like removed:
// a handle that is still open on it goes on too, the last of it. Locks are their
// holders', not the store's, and stay with those that still live. Files that
// were already removed, but open, at the time of the snapshot are not part of
// it. Inode numbers given from now on are those that were given after the
// snapshot.
func (s *Store) Restore(snap *Snapshot) {
	s.root.visit(map[*inode]bool{}, func(i *inode) {
		i.nlink = 0
		if i.isDir() || i.opens == 0 {
			// A kernel may know it for long, but no call is under way that
			// could still come to it.
			i.data, i.entries = nil, nil
			i.sync()
		}
	})
	for _, old := range snap.inodes {
		i := old.inode
		i.attr, i.data, i.entries, i.parent, i.name = old.attr, old.data, old.entries, old.parent, old.name
		i.unsynced, i.synced, i.cow = old.unsynced, old.synced, true
	}
	if s.tree != snap.tree {
		s.tree = snap.tree
		s.forgetTree()
	}
	s.births = maps.Clone(snap.births)
	s.version++
}

// visit calls fn once for each inode from i on. fn may take the entries away.
func (i *inode) visit(seen map[*inode]bool, fn func(*inode)) {
	if seen[i] {
		return
	}
	seen[i] = true
	entries := i.entries
	fn(i)
	for _, e := range entries {
		e.inode.visit(seen, fn)
	}
}
