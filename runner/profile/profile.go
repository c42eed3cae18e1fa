// Package profile holds what differs between the versions of Mailman that the
// runner does as: one table of facts, and the bugs that can be planted.
package profile

import (
	"fmt"
	"strings"
	"syscall"
)

// A Profile is one version's way. Each field is a fact that was found by
// running that version under strace or in its source, see the table below.
type Profile struct {
	// Name is the version: "2.1.39".
	Name string
	// Python is the major version of the Python it runs under: how errors
	// are worded follows from it.
	Python int
	// OpenFlags are added to each open. Python 3 opens everything with
	// O_CLOEXEC, Python 2 nothing.
	OpenFlags int
	// ClockStep is the grain of the clock in nanoseconds: Python 2's
	// time.time() asks for microseconds, Python 3's for nanoseconds.
	ClockStep int64
	// StatDirs is how a switchboard makes its directory: mkdir and
	// EEXIST is as good (false), or stat, and mkdir and chmod only where
	// there is none (true).
	StatDirs bool
	// ListKey is the metadata key of the list's name that goes into the
	// digest, and List the name under it.
	ListKey, List string
	// RecipsKey is the metadata key of the recipients, RecipsAreSet
	// whether they are a set there instead of a list.
	RecipsKey    string
	RecipsAreSet bool
	// ReceivedTime: an entry keeps the time at which it first came into a
	// queue, and is named by it; otherwise by the time of each enqueue.
	ReceivedTime bool
	// UnicodeText: the message is pickled as Python 3's str, its 8-bit
	// bytes as surrogate escapes; otherwise as Python 2's str.
	UnicodeText bool
	// SplitOnce: what follows the first '+' of an entry's name is its
	// digest, whatever is in it; otherwise a name with two of them is an
	// error as one with none is.
	SplitOnce bool
	// FloatSlices: slices are divided as floating-point numbers, so that a
	// digest exactly on a boundary is in both, and their number must be a
	// power of two; otherwise exactly, with any number.
	FloatSlices bool
	// BadAtStart: the directory for preserved entries is made at start;
	// otherwise each time that an entry is preserved.
	BadAtStart bool
	// FinishLooks: finish looks whether there is a .bak, and takes the
	// .pck in its place when there is none.
	FinishLooks bool
	// FinishSaysWhy: the log line about a failed finish has the reason.
	FinishSaysWhy bool
	// SaveBad: an entry that cannot be dequeued is preserved in bad/ as a
	// .psv; otherwise its .bak is unlinked. (QRUNNER_SAVE_BAD_MESSAGES;
	// 3.3.8 always preserves.)
	SaveBad bool
	// FixedSaveBad: SaveBad is no setting of this version.
	FixedSaveBad bool
	// Tries is how often an entry is tried: at the recovery that would be
	// one try more, by its _bak_count, it is preserved instead.
	Tries int
	// Queues are those that a message goes through from its arrival to its
	// delivery, and retry. Each has a runner, of one slice by default.
	// (QRUNNERS has others too: of bounces, for which see package bounce, of
	// archives, commands, newsgroups and Mailman's own messages.)
	Queues []string
	// Restart is the signal of restart: the command sends it to the master, the
	// master to its runners, and each of these ends with its number as status.
	Restart syscall.Signal
	// ListFiles: lists lie in files, see package list; otherwise in a database.
	ListFiles bool
	// RenameToLast: a list's config.pck becomes config.pck.last by a rename;
	// otherwise by a link, so that config.pck is never missing.
	RenameToLast bool
	// StampAfterLoad: the time with which a list's state counts as read is
	// taken after the reading, and not before it.
	StampAfterLoad bool
	// Bugs are the planted bugs that are on.
	Bugs Set
}

// The table. All three: enqueue is open .tmp, write, fsync, close, rename;
// dequeue is open .pck, rename to .bak, read, close.
var (
	// 2.1.15, of 2012-06-20: its Switchboard and Runner are those of 2.1.39
	// but for the reason in finish's log line (LP 1165589, since 2.1.16).
	// From source.
	v2115 = Profile{
		Name:         "2.1.15",
		Python:       2,
		ClockStep:    1000,
		ListKey:      "listname",
		List:         "test",
		RecipsKey:    "recips",
		ReceivedTime: true,
		SaveBad:      true,
		Tries:        3,
		Queues:       []string{"in", "out", "retry"},
		Restart:      syscall.SIGINT,
		ListFiles:    true,

		StampAfterLoad: true, // until 2.1.24 (LP 266464)
	}
	// 2.1.39, the last of 2.1. Run under Python 2.7.18, with strace.
	v2139 = Profile{
		Name:          "2.1.39",
		Python:        2,
		ClockStep:     1000,
		ListKey:       "listname",
		List:          "test",
		RecipsKey:     "recips",
		ReceivedTime:  true,
		FinishSaysWhy: true,
		SaveBad:       true,
		Tries:         3,
		Queues:        []string{"in", "out", "retry"},
		Restart:       syscall.SIGINT,
		ListFiles:     true,
	}
	// 3.3.8, as Debian's 3.3.8-2~deb12u2. Its Switchboard run under CPython
	// 3.11.7, with strace; the loop from source.
	v338 = Profile{
		Name:         "3.3.8",
		Python:       3,
		OpenFlags:    syscall.O_CLOEXEC,
		ClockStep:    1,
		StatDirs:     true,
		ListKey:      "listid",
		List:         "test.screwtape.example",
		RecipsKey:    "recipients",
		RecipsAreSet: true,
		UnicodeText:  true,
		SplitOnce:    true,
		FloatSlices:  true,
		BadAtStart:   true,
		FinishLooks:  true,
		SaveBad:      true,
		FixedSaveBad: true,
		Tries:        3,
		Queues:       []string{"in", "pipeline", "out", "retry"},
		Restart:      syscall.SIGUSR1,
	}
)

// thread is what the thread's text says where no version does so: it has
// config.pck renamed, and every 2.1 in the history, from the import of 2003 on,
// links it. In all else it is 2.1.15, of which the thread speaks.
func thread() Profile {
	p := v2115
	p.Name, p.RenameToLast = "thread", true
	return p
}

var all = []*Profile{&v2115, &v2139, &v338}

// All are the names of all profiles: the versions', and that of the thread.
func All() []string { return append(Names(), "thread") }

// Names are the versions' names, oldest first.
func Names() []string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	return names
}

// Get gives a profile by its name, with no bugs planted.
func Get(name string) (Profile, error) {
	if name == "thread" {
		return thread(), nil
	}
	for _, p := range all {
		if p.Name == name {
			return *p, nil
		}
	}
	return Profile{}, fmt.Errorf("no profile %q; there are %s", name, strings.Join(All(), ", "))
}
