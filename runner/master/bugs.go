package master

import "screwtape/runner/profile"

// Bugs are the faults that can be planted in the start of a master.
var Bugs = []profile.Bug{
	{Name: "held-is-ours", Does: "a lock that is held is passed on to the child all the same", Shows: "split-brain", Needs: "a living holder"},
	{Name: "no-host-check", Does: "-s looks for the holder's number on this host, whichever host the lock names", Shows: "split-brain", Needs: "a living holder elsewhere"},
	{Name: "no-pid-check", Does: "-s takes any holder on this host for dead (LP 1189558 was that and more)", Shows: "split-brain", Needs: "a living holder here"},
}
