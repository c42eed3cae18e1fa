// Package master is Mailman's master process: at most one on all hosts that
// share their locks, it starts the queue's runners and starts them again. What
// makes it the only one is a lock, that of package lock.
package master

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"screwtape/runner/list"
	"screwtape/runner/lock"
	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// Times of the master's lock.
const (
	lifetime = 30 * time.Hour
	patience = 100 * time.Millisecond // for a lock that is held
	aDay     = 86400                  // in seconds: how often the lock is refreshed
)

// Options are a master's.
type Options struct {
	Profile profile.Profile
	Dir     string // what the hosts share: locks/, data/ and lists/ are in it
	Locks   string // the directory of the lock, if it is another
	// Force is -s, --stale-lock-cleanup, of 2.1, and --force of 3.3.8.
	Force bool
	// Direct leaves out 3.3.8's front end, as its program master does.
	Direct bool
	// Runners are what the master starts: so many slices of each of Queues,
	// or with 0 one child that does nothing.
	Runners int
	// Queues are those that get runners, in the order of their start.
	Queues []string
	// NoRestart is -n.
	NoRestart bool
	// Child is the number of the master, and those after it of its runners,
	// if the kernel lets us choose; 0 does not choose.
	Child int
	// Refreshes is after how many days the master refreshes its lock no
	// more; 0 is never. Mailman has no such end; a schedule needs one.
	Refreshes int
	Log       func(line string)
}

func (o *Options) locks() string {
	if o.Locks != "" {
		return o.Locks
	}
	return o.Dir + "/locks"
}

func (o *Options) lockFile() string { return o.locks() + "/" + o.Profile.Master.LockName }

// lock is the master's lock, which nobody has taken by that.
func (o *Options) lock() *lock.File {
	return lock.New(o.Profile.Lock, lockBugs(o.Profile.Bugs), o.lockFile(), lifetime, o.Log)
}

// lockBugs are those of the master's planted bugs that are its lock's.
func lockBugs(planted profile.Set) profile.Set {
	bugs := profile.Set{}
	for bug, ofLock := range map[string]string{"never-expires": "never-break", "no-daily-refresh": "refresh-never"} {
		if planted.Has(bug) {
			bugs[ofLock] = true
		}
	}
	return bugs
}

// Start is "mailmanctl start", or "mailman start". Its result is the exit
// status.
func Start(o Options) int {
	facts := o.Profile.Master
	if facts.FrontEnd && !o.Direct {
		if why := lookFirst(o); why != "" && !(o.Force && (why != conflict || o.Profile.Bugs.Has("no-conflict-check"))) {
			o.Log(why)
			return 1
		}
	}
	if facts.SiteList {
		site := list.Open(o.Profile, o.Dir+"/lists/mailman", "", 0, o.Log)
		if err := site.Load(); err != nil {
			o.Log("Site list is missing: mailman")
			return 1
		}
	}
	l := o.lock()
	if err := acquire(o, l); err != nil && !o.Profile.Bugs.Has("held-is-ours") {
		if errors.Is(err, lock.ErrTimeOut) {
			return facts.HeldStatus
		}
		o.Log("master: " + err.Error())
		return 1
	}
	if !facts.Forks {
		return serve(o, l)
	}
	return hand(o, l)
}

// acquire takes the lock, with Force also from another.
func acquire(o Options, l *lock.File) error {
	err := l.Lock(patience)
	if !errors.Is(err, lock.ErrTimeOut) {
		return err
	}
	if o.Force {
		if o.Profile.Master.Looks {
			if advice := holderIs(o, l); advice != "" {
				o.Log(advice)
				return err
			}
		}
		if err := remove(o, l); err != nil {
			return err
		}
		if err = l.Lock(patience); err == nil {
			return nil
		}
	}
	if errors.Is(err, lock.ErrTimeOut) {
		o.Log(heldSays)
	}
	return err
}

// What is said when the lock is held. The originals' words are not among the
// facts that were checked; these are their sense.
const (
	heldSays = "The master lock could not be acquired: it appears as if another master is already running."
	conflict = "Another master is already running on this host."
	stale    = "A stale master lock is there; if no master is running, use --force."
	mismatch = "The master lock is that of another host; if no master is running there, use --force."
)

// holderIs looks whether the holder is a dead process of this host; if it is
// not, the result says what to do. For another host's the advice is the one that
// no longer works.
func holderIs(o Options, l *lock.File) (advice string) {
	host, pid := parseClaim(o, l.Holder())
	switch {
	case host != sys.Hostname() && !o.Profile.Bugs.Has("no-host-check"):
		return "The master lock is that of host " + host + ". If you know the lock is stale, re-run with -s."
	case o.Profile.Bugs.Has("no-pid-check"):
	case !errors.Is(sys.Kill(pid, 0), syscall.ESRCH):
		return heldSays
	}
	return ""
}

// lookFirst is what 3.3.8's front end finds, "" being nothing.
func lookFirst(o Options) string {
	claim := o.lock().Holder()
	host, pid := parseClaim(o, claim)
	switch {
	case claim == "":
		return ""
	case host != sys.Hostname():
		return mismatch
	case errors.Is(sys.Kill(pid, 0), syscall.ESRCH):
		return stale
	}
	return conflict
}

// parseClaim takes host and pid out of a claim's name. In 2.1 a claim with a
// counter, as before the lock's transfer, is read as one of another host.
func parseClaim(o Options, claim string) (host string, pid int) {
	separator := o.Profile.Lock.Separator
	name := strings.TrimPrefix(claim, o.lockFile()+separator)
	if o.Profile.Lock.RandomClaim {
		name = name[:max(0, strings.LastIndex(name, separator))]
	}
	i := max(0, strings.LastIndex(name, separator))
	pid, _ = strconv.Atoi(strings.TrimPrefix(name[i:], separator))
	return name[:i], pid
}

// remove takes the lock away from whoever holds it.
func remove(o Options, l *lock.File) error {
	claim := l.Holder()
	if !o.Profile.Bugs.Has("clean-forgets-lock") {
		sys.Unlink(o.lockFile())
	}
	if !o.Profile.Master.Sweeps {
		if claim != "" {
			sys.Unlink(o.locks() + "/" + path.Base(claim))
		}
		return nil
	}
	names, err := sys.List(o.locks(), o.Profile.OpenFlags())
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, o.Profile.Master.LockName) {
			sys.Unlink(o.locks() + "/" + name)
		}
	}
	return nil
}

// hand starts the child that is the master, and gives it the lock.
func hand(o Options, l *lock.File) int {
	args := []string{"screwtape-runner", "master", "--profile", o.Profile.Name, "--dir", o.Dir, "--locks", o.locks(),
		"--runners", strconv.Itoa(o.Runners), "--queues", strings.Join(o.Queues, ","), "--child-pid", strconv.Itoa(o.Child), "--refreshes", strconv.Itoa(o.Refreshes),
		"--bugs", o.Profile.Bugs.String(), fmt.Sprintf("--no-restart=%v", o.NoRestart), "serve"}
	pid, err := sys.Spawn(o.Child, args...)
	if err == nil {
		err = l.TransferTo(pid)
	}
	if err != nil {
		o.Log("master: " + err.Error())
		return 1
	}
	return 0
}
