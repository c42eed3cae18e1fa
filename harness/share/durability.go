package share

// sync makes the data of a file safe: it is what PowerLoss leaves.
func (i *inode) sync() { i.unsynced, i.synced = false, nil }

// unsync keeps the data that is safe, before other data is written.
func (i *inode) unsync() {
	if !i.unsynced {
		i.unsynced, i.synced, i.cow = true, i.data, true
	}
}

// PowerLoss leaves what is on the server's disk: each file as long, and with what
// in it, as of its last fsync and of the truncations since, all else as it is. A
// file that was never synced is empty, or zeros up to where it was truncated to.
//
// That is a disk on which what concerns names and attributes is safe when the call
// returns: one mounted with dirsync (mount(8)), or that of an NFS server (RFC 1813,
// "Synchronous modifying operations"). Data is safe after fsync(2) alone, since
// ext4's auto_da_alloc (ext4(5)), which syncs some of it unasked, is off. Of what a
// disk may do with data that was not synced this is the worst, but for writes of
// which a part reaches it.
//
// Programs that have files open must be dead.
func (s *Store) PowerLoss() {
	s.root.visit(map[*inode]bool{}, func(i *inode) {
		if i.unsynced {
			i.data, i.cow = i.synced, true
			i.sync()
		}
	})
	s.version++
}
