package list

import "screwtape/runner/profile"

// Bugs are the faults that can be planted in the handling of a list's state.
var Bugs = []profile.Bug{
	{Name: "id-not-advanced", Does: "the next request gets the same number", Shows: "lost-update", Needs: "hold"},
	{Name: "last-first", Does: "config.pck.last is read before config.pck, and put in its place", Shows: "lost-update"},
	{Name: "last-kept", Does: "config.pck.last is not removed before the link, which fails", Shows: "stranded"},
	{Name: "no-lock", Does: "the list is not locked", Shows: "lost-update"},
	{Name: "no-reload", Does: "a state that was read before the lock was taken is not read again", Shows: "lost-update", Needs: "preload"},
	{Name: "no-rename", Does: "what was written is not put in place", Shows: "lost-update"},
	{Name: "rename-to-last", Does: "config.pck is renamed to config.pck.last, and missing for a moment", Shows: "corrupt-state", Needs: "crash"},
	{Name: "requests-in-place", Does: "request.pck is written over instead of replaced", Shows: "corrupt-state", Needs: "hold, crash"},
	{Name: "requests-not-saved", Does: "the requests are not written", Shows: "lost-update", Needs: "hold"},
	{Name: "requests-unlink-first", Does: "request.pck is removed before the list is saved, and put there anew after that", Shows: "lost-update", Needs: "hold, twice, and requests, with local locks"},
	{Name: "save-in-place", Does: "config.pck is written over instead of replaced", Shows: "corrupt-state", Needs: "crash"},
	{Name: "stamp-after-load", Does: "the state counts as read when the reading is done, not when it began (LP 266464; in 2.1.15 it is so)", Shows: "lost-update", Needs: "preload, a third client"},
	{Name: "unlink-first", Does: "config.pck is removed before the new one is put in its place", Shows: "corrupt-state", Needs: "crash"},
	{Name: "unlock-before-save", Does: "the lock is let go before the state is written", Shows: "lost-update"},
}
