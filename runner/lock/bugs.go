package lock

import "screwtape/runner/profile"

// Bugs are the faults that can be planted in the locks of Mailman, and in who
// works under them.
var Bugs = []profile.Bug{
	{Name: "already-ours", Does: "a lock that is held counts as taken", Shows: "split-brain"},
	{Name: "break-at-once", Does: "any lock counts as expired", Shows: "stolen-lock"},
	{Name: "first-end", Does: "a waiter goes by the end that the lock had when it first looked", Shows: "stolen-lock", Needs: "work that takes longer than a lifetime, and refreshes"},
	{Name: "gone-is-expired", Does: "a lock that is gone at the second look counts as expired (LP 827052; in 2.1 it is always so)", Shows: "stolen-lock"},
	{Name: "never-break", Does: "no lock ever expires", Shows: "stuck", Needs: "crash"},
	{Name: "past-lifetime", Does: "a lock ends a lifetime ago instead of a lifetime from now", Shows: "stolen-lock"},
	{Name: "refresh-never", Does: "a refresh looks whether the lock is ours, and gives it no new lifetime", Shows: "stolen-lock", Needs: "work that takes longer than a lifetime"},
	{Name: "rename-for-link", Does: "the claim is renamed to the lock, in place of another's", Shows: "split-brain"},
	{Name: "same-end", Does: "a waiter that sees a lock's end for the second time, and it is still the same, takes it for expired", Shows: "stolen-lock"},
	{Name: "timeout-unlinks-lock", Does: "who gives up removes the lock instead of its claim", Shows: "stolen-lock", Needs: "a time-out"},
	{Name: "unlock-early", Does: "the lock is let go before the work is done", Shows: "split-brain"},
}
