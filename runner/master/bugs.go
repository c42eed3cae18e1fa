package master

import "screwtape/runner/profile"

// Bugs are the faults that can be planted in the start of a master.
var Bugs = []profile.Bug{
	{Name: "clean-forgets-lock", Does: "-s removes the holder's claim, and not the lock", Shows: "misleading-error", Needs: "a dead holder here, 2.1"},
	{Name: "held-is-ours", Does: "a lock that is held is passed on to the child all the same", Shows: "split-brain", Needs: "a living holder"},
	{Name: "never-expires", Does: "no master's lock ever expires", Shows: "misleading-error", Needs: "an expired lock"},
	{Name: "no-conflict-check", Does: "--force passes a living process of this host too", Shows: "split-brain", Needs: "a living holder here, 3.3.8"},
	{Name: "no-daily-refresh", Does: "a day later the master looks whether the lock is its own, and gives it no new lifetime", Shows: "split-brain", Needs: "31 hours"},
	{Name: "no-host-check", Does: "-s looks for the holder's number on this host, whichever host the lock names", Shows: "split-brain", Needs: "a living holder elsewhere"},
	{Name: "no-pid-check", Does: "-s takes any holder on this host for dead (LP 1189558 was that and more)", Shows: "split-brain", Needs: "a living holder here"},
}
