// Package master is Mailman's master process: at most one on all hosts that
// share their locks, it starts the queue's runners and starts them again. What
// makes it the only one is a lock, that of package lock.
package master

import (
	"screwtape/runner/lock"
	"screwtape/runner/profile"
)

// A way is how one version goes about it: a table of facts.
type way struct {
	variant  lock.Variant
	lockName string
	pidFile  string
	// heldStatus is the exit status when another holds the lock.
	heldStatus int
	// looks: -s removes a lock only if its holder is a process of this host
	// and is dead; otherwise it removes any.
	looks bool
	// frontEnd: a program of its own looks at the lock first, and what it
	// finds there it lets pass only with --force. Then the master itself
	// comes, to whom --force is all the same.
	frontEnd bool
	// forks: the lock is taken by the command, and given to a child that is
	// the master; otherwise the command becomes the master.
	forks bool
	// sweeps: with the lock every file goes whose name begins as its own does.
	sweeps bool
	// pausesFirst: the master waits for a signal before it first looks after
	// its runners.
	pausesFirst bool
	// restartsAll: a runner that dies is started again, up to the limit;
	// otherwise only one that was asked to end for that.
	restartsAll bool
	// removesPID: the pid file is removed in the end.
	removesPID bool
}

// The table. 2.1.15's mailmanctl was run on the library of 2.1.39, 2.1.39's as
// it is; of 3.3.8 the lock was run and the rest read.
func wayOf(p profile.Profile) way {
	w := way{variant: lock.Mailman, lockName: "master-qrunner", pidFile: "master-qrunner.pid", forks: true, restartsAll: true}
	switch p.Name {
	case "2.1.39":
		w.looks = true // since 2.1.16 (LP 1189558)
	case "3.3.8":
		w = way{variant: lock.Flufl, lockName: "master.lck", pidFile: "master.pid", heldStatus: 1,
			frontEnd: true, sweeps: true, pausesFirst: true, removesPID: true}
	}
	w.variant.Bugs = profile.Set{}
	for bug, ofLock := range map[string]string{"never-expires": "never-break", "no-daily-refresh": "refresh-never"} {
		if p.Bugs.Has(bug) {
			w.variant.Bugs[ofLock] = true
		}
	}
	return w
}
