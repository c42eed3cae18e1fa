package profile

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// A Fact is one row of the table: a field of [Profile].
type Fact struct {
	Name string // of the field, as "Lock.Separator"
	value
	// Means is what is so where the value is yes, or what the value is.
	Means string
	// Source is from where that is known. "strace" and "run" are of 2.1.39 under
	// Python 2.7.18 and of 3.3.8 (Debian's 3.3.8-2~deb12u2, with flufl.lock 5.0.1)
	// under CPython 3.11, unless a version is named. "source" is that of all
	// versions, read and not run; so are the values of 2.1.15, of which only
	// mailmanctl was run, on the library of 2.1.39. "LP 1" is a bug on Launchpad.
	Source string
}

// Facts are all rows, in the table's order.
func Facts() []Fact { return slices.Clone(facts) }

// The table. Where there is nothing about it here all versions do alike: enqueue
// is open .tmp, write, fsync, close, rename; dequeue is open .pck, rename to .bak,
// read, close (strace). thread is what the thread's text says where no version
// does so, and in all else 2.1.15, of which the thread speaks.
var facts = []Fact{
	//                                                               2.1.15, 2.1.39, 3.3.8, thread
	{"Python", are(func(p *Profile) *int { return &p.Python }, 2, 2, 3, 2),
		"the major version of the Python that it runs under: how errors are worded follows from it",
		"run"},
	{"CloseOnExec", are(func(p *Profile) *bool { return &p.CloseOnExec }, false, false, true, false),
		"each open has O_CLOEXEC",
		"strace"},
	{"ClockStep", are(func(p *Profile) *int64 { return &p.ClockStep }, 1000, 1000, 1, 1000),
		"the grain of the clock in nanoseconds",
		"CPython's source: time.time() asks gettimeofday(2) in Python 2, clock_gettime(2) in Python 3"},

	{"StatDirs", are(func(p *Profile) *bool { return &p.StatDirs }, false, false, true, false),
		"a switchboard looks whether its directory is there, and makes it and sets its mode where it is not; otherwise it makes it, and EEXIST is as good",
		"strace"},
	{"BadAtStart", are(func(p *Profile) *bool { return &p.BadAtStart }, false, false, true, false),
		"the directory of preserved entries is made at a runner's start; otherwise each time that an entry is preserved",
		"strace of 2.1.39; source of 3.3.8"},
	{"ListKey", are(func(p *Profile) *string { return &p.ListKey }, "listname", "listname", "listid", "listname"),
		"the metadata key of the list's name that goes into an entry's digest",
		"source"},
	{"List", are(func(p *Profile) *string { return &p.List }, "test", "test", "test.screwtape.example", "test"),
		"what a test's list is called under that key",
		"assumed for the tests; a list id has a domain (RFC 2919)"},
	{"RecipsKey", are(func(p *Profile) *string { return &p.RecipsKey }, "recips", "recips", "recipients", "recips"),
		"the metadata key of the recipients",
		"source; 3.3.8's runner of out was run"},
	{"RecipsAreSet", are(func(p *Profile) *bool { return &p.RecipsAreSet }, false, false, true, false),
		"the recipients are a set; otherwise a list",
		"source; 3.3.8's runner of out was run"},
	{"ReceivedTime", are(func(p *Profile) *bool { return &p.ReceivedTime }, true, true, false, true),
		"an entry keeps the time at which it first came into a queue, and is named by it; otherwise by the time of each enqueue",
		"source"},
	{"UnicodeText", are(func(p *Profile) *bool { return &p.UnicodeText }, false, false, true, false),
		"a message's text is pickled as Python 3's str, its 8-bit bytes as surrogate escapes; otherwise as Python 2's str",
		"source (what is _plaintext, protocol 0)"},
	{"SplitOnce", are(func(p *Profile) *bool { return &p.SplitOnce }, false, false, true, false),
		"what follows the first '+' of an entry's name is its digest, whatever is in it; otherwise a name with two of them is an error as one with none is",
		"source"},
	{"FloatSlices", are(func(p *Profile) *bool { return &p.FloatSlices }, false, false, true, false),
		"slices are divided as floating-point numbers, so that a digest exactly on a boundary is in both, and their number must be a power of two; otherwise exactly, with any number",
		"source"},
	{"FinishLooks", are(func(p *Profile) *bool { return &p.FinishLooks }, false, false, true, false),
		"finish looks whether there is a .bak, and takes the .pck in its place when there is none",
		"strace"},
	{"FinishSaysWhy", are(func(p *Profile) *bool { return &p.FinishSaysWhy }, false, true, false, false),
		"the log line about a finish that failed has the reason in it",
		"LP 1165589, since 2.1.16"},
	{"SaveBad", are(func(p *Profile) *bool { return &p.SaveBad }, true, true, true, true),
		"an entry that cannot be dequeued is preserved in bad/ as a .psv; otherwise its .bak is unlinked (QRUNNER_SAVE_BAD_MESSAGES, whose default this is)",
		"run with both settings, 2.1.39; source of 3.3.8"},
	{"FixedSaveBad", are(func(p *Profile) *bool { return &p.FixedSaveBad }, false, false, true, false),
		"that is no setting",
		"source"},
	{"Tries", are(func(p *Profile) *int { return &p.Tries }, 3, 3, 3, 3),
		"how often an entry is tried: at the recovery that would be one try more, by its _bak_count, it is preserved",
		"run, 3.3.8; source of 2.1"},
	{"Queues", are(func(p *Profile) *[]string { return &p.Queues }, queues21, queues21, []string{"in", "pipeline", "out", "retry"}, queues21),
		"what a message goes through from its arrival to its delivery, and retry: each has a runner (there are others, of bounces, archives, commands and more)",
		"source"},
	{"RetryWaits", are(func(p *Profile) *bool { return &p.RetryWaits }, false, true, false, false),
		"what was deferred bears the time, deliver_after, before which the retry runner only puts it into retry again; otherwise that gives back all, each time that it looks",
		"LP 1729472, since 2.1.26; run, 3.3.8"},
	{"UnshuntsAny", are(func(p *Profile) *bool { return &p.UnshuntsAny }, true, true, false, true),
		"unshunt takes another directory than shunt/",
		"source"},
	{"Discards", are(func(p *Profile) *bool { return &p.Discards }, false, false, true, false),
		"unshunt has --discard, which throws the messages away",
		"source"},

	{"ListFiles", are(func(p *Profile) *bool { return &p.ListFiles }, true, true, false, true),
		"lists lie in files; otherwise in a database",
		"strace of 2.1.39; source of 3.3.8"},
	{"RenameToLast", are(func(p *Profile) *bool { return &p.RenameToLast }, false, false, false, true),
		"config.pck becomes config.pck.last by a rename; otherwise by a link, so that it is never missing",
		"the thread; strace of 2.1.39, and source of every 2.1 from the import of 2003 on: a link"},
	{"StampAfterLoad", are(func(p *Profile) *bool { return &p.StampAfterLoad }, true, false, false, true),
		"the time with which a list's state counts as read is taken after the reading, and not before it",
		"LP 266464, until 2.1.24"},

	{"Lock.Separator", are(func(p *Profile) *string { return &p.Lock.Separator }, ".", ".", "|", "."),
		"what stands between the parts of a claim's name",
		"strace"},
	{"Lock.RandomClaim", are(func(p *Profile) *bool { return &p.Lock.RandomClaim }, false, false, true, false),
		"the last part of a claim's name is random; otherwise it counts the locks that the process has",
		"strace"},
	{"Lock.GoneIsExpired", are(func(p *Profile) *bool { return &p.Lock.GoneIsExpired }, true, true, false, true),
		"a lock that is gone when its end is looked up counts as expired, so that whoever has taken it since is robbed of it",
		"LP 827052; run, 2.1.39; source of flufl.lock"},
	{"Lock.WholeSeconds", are(func(p *Profile) *bool { return &p.Lock.WholeSeconds }, false, false, true, false),
		"a lock's end is set in whole seconds",
		"strace"},
	{"Lock.StaleIsGone", are(func(p *Profile) *bool { return &p.Lock.StaleIsGone }, false, false, true, false),
		"ESTALE is taken as ENOENT is",
		"source"},
	{"Lock.AlwaysSays", are(func(p *Profile) *bool { return &p.Lock.AlwaysSays }, false, false, true, false),
		"that the lifetime has expired is logged after each look at a lock that is held, whatever its lifetime",
		"run"},
	{"Lock.CloseOnExec", are(func(p *Profile) *bool { return &p.Lock.CloseOnExec }, false, false, true, false),
		"each open of a lock's files has O_CLOEXEC",
		"strace"},

	{"Master.LockName", are(func(p *Profile) *string { return &p.Master.LockName }, "master-qrunner", "master-qrunner", "master.lck", "master-qrunner"),
		"the name of the master's lock (a setting since 2.1.16, whose default this is)",
		"source; LP 1082308"},
	{"Master.PIDFile", are(func(p *Profile) *string { return &p.Master.PIDFile }, "master-qrunner.pid", "master-qrunner.pid", "master.pid", "master-qrunner.pid"),
		"the name of the file with the master's number",
		"run"},
	{"Master.SiteList", are(func(p *Profile) *bool { return &p.Master.SiteList }, true, true, false, true),
		"the site's list must load before anything else",
		"source"},
	{"Master.FrontEnd", are(func(p *Profile) *bool { return &p.Master.FrontEnd }, false, false, true, false),
		"a program of its own, mailman start, looks at the lock first, and starts the master as a child. Without the flag it stops at any holder; with it, at a living process of this host",
		"run, 3.3.8"},
	{"Master.FrontEndStatus", are(func(p *Profile) *int { return &p.Master.FrontEndStatus }, 0, 0, 2, 0),
		"the exit status of that program where it stops (0: there is none)",
		"run, 3.3.8"},
	{"Master.Flag", are(func(p *Profile) *string { return &p.Master.Flag }, "-s", "-s", "--force", "-s"),
		"the flag for a lock that is stale",
		"run"},
	{"Master.Looks", are(func(p *Profile) *bool { return &p.Master.Looks }, false, true, false, false),
		"with it the master removes a lock only if its holder is a process of this host and is dead; otherwise it removes any",
		"LP 1189558, since 2.1.16; run, 2.1.15 too"},
	{"Master.Sweeps", are(func(p *Profile) *bool { return &p.Master.Sweeps }, false, false, true, false),
		"with the lock every file goes whose name begins as its own does; otherwise its holder's claim",
		"run"},
	{"Master.HeldStatus", are(func(p *Profile) *int { return &p.Master.HeldStatus }, 0, 0, 1, 0),
		"the exit status of a master that is refused because another holds the lock",
		"run; source of 2.1.15"},
	{"Master.ForeignByHand", are(func(p *Profile) *bool { return &p.Master.ForeignByHand }, false, false, true, false),
		"a master that is refused says to remove another host's lock by hand; otherwise to use the flag",
		"run; source of 2.1.15"},
	{"Master.Forks", are(func(p *Profile) *bool { return &p.Master.Forks }, true, true, false, true),
		"the lock is taken by the command, and given to a child that is the master; otherwise the command becomes the master",
		"strace of 2.1.39; run, 3.3.8"},
	{"Master.PausesFirst", are(func(p *Profile) *bool { return &p.Master.PausesFirst }, false, false, true, false),
		"the master waits for a signal before it first looks after its runners",
		"run, 3.3.8"},
	{"Master.RestartsAll", are(func(p *Profile) *bool { return &p.Master.RestartsAll }, true, true, false, true),
		"a runner that dies is started again, up to the limit; otherwise only one that was told to end for that",
		"run"},
	{"Master.Restart", are(func(p *Profile) *syscall.Signal { return &p.Master.Restart }, syscall.SIGINT, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGINT),
		"the signal of restart: the command sends it to the master, the master to its runners, and each of these ends with its number as status",
		"run, 3.3.8; source of 2.1"},
	{"Master.RemovesPID", are(func(p *Profile) *bool { return &p.Master.RemovesPID }, false, false, true, false),
		"the master removes the pid file when it ends",
		"run"},
	{"Master.UnlockMatters", are(func(p *Profile) *bool { return &p.Master.UnlockMatters }, false, false, true, false),
		"a master whose lock is not its own any more when it ends says so, and fails",
		"run, 3.3.8; source of 2.1"},
}

var queues21 = []string{"in", "out", "retry"}

// A value is what a fact is in each profile.
type value interface {
	// put sets the field of profile number i.
	put(p *Profile, i int)
	// Text is the field's value, for people: yes or no, a number, a name.
	Text(p Profile) string
}

// column is a value: a field, and what is in it in each profile.
type column[T any] struct {
	field func(*Profile) *T
	of    [4]T
}

func are[T any](field func(*Profile) *T, v2115, v2139, v338, thread T) value {
	return column[T]{field, [4]T{v2115, v2139, v338, thread}}
}

func (c column[T]) put(p *Profile, i int) { *c.field(p) = c.of[i] }

func (c column[T]) Text(p Profile) string {
	switch v := any(*c.field(&p)).(type) {
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []string:
		return strings.Join(v, " ")
	case syscall.Signal:
		return map[syscall.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGUSR1: "SIGUSR1"}[v]
	default:
		return fmt.Sprint(v)
	}
}
