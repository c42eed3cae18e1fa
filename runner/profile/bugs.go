package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Bug is a fault that can be planted in the queue's code, to see whether the
// controller finds it.
type Bug struct {
	// Name is what turns it on.
	Name string
	// Does is what the runner then does.
	Does string
	// Shows is the kind of anomaly that it should come to light as, or ""
	// for a change that no order of events tells from the original: a
	// search that reports one of those is wrong.
	Shows string
	// Needs is what must be there besides one runner and one message, or "".
	// With that and without the bug, the anomaly does not come.
	Needs string
}

// Bugs is the table of all, by name.
var Bugs = []Bug{
	{"bad-name-skips-all", "a name that is no entry's ends the listing quietly, and what comes after it is not served", "unserved", "a bad name in the queue"},
	{"bak-count-never", "recovery does not count: an entry that kills its runner is tried for ever", "double-delivery-after-crash", "three crashes between delivery and finish"},
	{"deliver-before-rename", "the message is delivered before the entry is renamed to .bak", "double-delivery", "two runners"},
	{"deliver-twice-on-421", "a 421 makes the runner send the message again at once, and put it in the retry queue too", "double-delivery", "a mail server that hangs up, a runner of the retry queue"},
	{"double-finish", "finish unlinks twice", "misleading-error", ""},
	{"enqueue-without-tmp", "an entry is written straight to its .pck", "lost-message", "a runner that lists while another process enqueues"},
	{"finish-deletes-psv", "what finish preserves it then deletes", "lost-message", "an entry that cannot be read"},
	{"ignore-rename-error", "dequeue goes on when the rename to .bak fails", "double-delivery", "two runners"},
	{"no-recovery", "nothing is recovered at start", "stranded", "crash and restart"},
	{"preserve-on-success", "a delivered entry is preserved instead of unlinked", "stray-copy", ""},
	{"recover-other-slices", "recovery takes the .bak files of every slice", "double-delivery", "two runners of different slices, one starting late"},
	{"recover-without-rename", "recovery leaves the .bak under its name", "stranded", "crash and restart"},
	{"rename-after-read", "the entry is read before it is renamed to .bak", "", ""},
	{"requeue-unlinks-first", "a deferred entry is unlinked before it is put in the retry queue", "lost-message", "a delivery deferred, crash"},
	{"shunt-lost", "an entry whose processing fails is finished without a copy in shunt", "lost-message", "an entry that cannot be processed"},
	{"skip-fsync", "an entry is not synced before its rename", "lost-message", "powerloss"},
	{"slice-last-missing", "the last slice ends one slice early and serves nothing", "unserved", "two slices"},
	{"slice-off-by-one", "a slice ends in the middle of the next", "stray-copy", "two runners of different slices"},
	{"swallow-delivery-error", "an entry is finished although its delivery failed", "lost-message", "a delivery deferred"},
	{"tmp-listed", "a .tmp file is listed as an entry", "misleading-error", "a runner that lists while another process enqueues"},
	{"unlink-before-deliver", "the entry is finished before it is delivered", "lost-message", "crash"},
}

// A Set is which bugs are on. The zero Set is none.
type Set map[string]bool

// Has says whether the bug of this name is on.
func (s Set) Has(name string) bool { return s[name] }

// String is the bugs that are on as ParseSet reads them.
func (s Set) String() string { return strings.Join(slices.Sorted(maps.Keys(s)), ",") }

// ParseBugs makes a set of names with commas between, "" being none.
func ParseBugs(list string) (Set, error) { return ParseSet(list, Bugs) }

// ParseSet makes a set of names of a table of bugs.
func ParseSet(list string, bugs []Bug) (Set, error) {
	if list == "" {
		return nil, nil
	}
	set := Set{}
	for _, name := range strings.Split(list, ",") {
		if !slices.ContainsFunc(bugs, func(b Bug) bool { return b.Name == name }) {
			return nil, fmt.Errorf("no bug %q; there are %s", name, strings.Join(names(bugs), ", "))
		}
		set[name] = true
	}
	return set, nil
}

func names(bugs []Bug) []string {
	names := make([]string, len(bugs))
	for i, b := range bugs {
		names[i] = b.Name
	}
	slices.Sort(names)
	return names
}
