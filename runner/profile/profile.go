// Package profile holds what differs between the versions of Mailman that the
// runner does as, in one table of facts; and the bugs that can be planted.
package profile

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// A Profile is one version's way. What each field means, and from where its value is
// known, stands in the table of facts (see [Facts]), under the field's name.
type Profile struct {
	Name string // the version: "2.1.39"

	Python      int
	CloseOnExec bool
	ClockStep   int64 // in nanoseconds

	StatDirs      bool
	BadAtStart    bool
	ListKey       string
	List          string
	RecipsKey     string
	RecipsAreSet  bool
	ReceivedTime  bool
	UnicodeText   bool
	SplitOnce     bool
	FloatSlices   bool
	FinishLooks   bool
	FinishSaysWhy bool
	SaveBad       bool
	FixedSaveBad  bool
	Tries         int
	Queues        []string
	RetryWaits    bool
	UnshuntsAny   bool
	Discards      bool

	ListFiles      bool
	RenameToLast   bool
	StampAfterLoad bool

	Lock   Lock
	Master Master

	Bugs Set // those that are planted
}

// A Lock is how a version's locks are.
type Lock struct {
	Separator     string
	RandomClaim   bool
	GoneIsExpired bool
	WholeSeconds  bool
	StaleIsGone   bool
	AlwaysSays    bool
	CloseOnExec   bool
}

// A Master is how a version's master is started, and what it does.
type Master struct {
	LockName       string
	PIDFile        string
	SiteList       bool
	FrontEnd       bool
	FrontEndStatus int
	Flag           string
	Looks          bool
	Sweeps         bool
	HeldStatus     int
	ForeignByHand  bool
	Forks          bool
	PausesFirst    bool
	RestartsAll    bool
	Restart        syscall.Signal
	RemovesPID     bool
	UnlockMatters  bool
}

// OpenFlags are added to each open.
func (p Profile) OpenFlags() int { return openFlags(p.CloseOnExec) }

// OpenFlags are added to each open of a lock's files.
func (l Lock) OpenFlags() int { return openFlags(l.CloseOnExec) }

func openFlags(closeOnExec bool) int {
	if closeOnExec {
		return syscall.O_CLOEXEC
	}
	return 0
}

// Default is the profile of whoever names none: the last version of 2.1.
const Default = "2.1.39"

// columns are the profiles' names, in the order of the table's columns.
var columns = []string{"2.1.15", "2.1.39", "3.3.8", "thread"}

// All are the names of all profiles: the versions', oldest first, and that of the
// thread.
func All() []string { return slices.Clone(columns) }

// Names are the versions' names, oldest first.
func Names() []string { return All()[:3] }

// Get gives a profile by its name, with no bugs planted.
func Get(name string) (Profile, error) {
	i := slices.Index(columns, name)
	if i < 0 {
		return Profile{}, fmt.Errorf("no profile %q; there are %s", name, strings.Join(columns, ", "))
	}
	p := Profile{Name: name}
	for _, f := range facts {
		f.put(&p, i)
	}
	return p, nil
}
