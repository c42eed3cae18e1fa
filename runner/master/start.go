// Package master is Mailman's master process: at most one on all hosts that
// share their locks, it starts the queue's runners and starts them again. What
// makes it the only one is a lock, that of package lock.
package master

import (
	"cmp"
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
	"screwtape/runner/queue"
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
		return frontEnd(o)
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
		return refused(o, err)
	}
	if !facts.Forks {
		return serve(o, l)
	}
	pid, err := spawn(o, "serve")
	if err == nil {
		err = l.TransferTo(pid)
	}
	if err != nil {
		o.Log("master: " + err.Error())
		return 1
	}
	return 0
}

// frontEnd is 3.3.8's "mailman start": it looks at the lock, and starts the program
// master, of which it does not wait to hear.
func frontEnd(o Options) int {
	is, _, _ := look(o) // a lock that names nobody is in nobody's way
	switch {
	case is == running && !(o.Force && o.Profile.Bugs.Has("no-conflict-check")):
		o.Log("Another master is already running.")
		return o.Profile.Master.FrontEndStatus
	case (is == dead || is == elsewhere) && !o.Force:
		o.Log("Mailman did not exit cleanly the last time. Try " + o.Profile.Master.Flag + ".")
		return o.Profile.Master.FrontEndStatus
	}
	if _, err := spawn(o, "--direct", fmt.Sprintf("--force=%v", o.Force), "start"); err != nil {
		o.Log("master: " + err.Error())
		return 1
	}
	return 0
}

// acquire takes the lock, with Force also from another.
func acquire(o Options, l *lock.File) error {
	err := l.Lock(patience)
	if !errors.Is(err, lock.ErrTimeOut) || !o.Force {
		return err
	}
	if o.Profile.Master.Looks {
		if is, _, lerr := look(o); lerr != nil || is != dead {
			return cmp.Or(lerr, err)
		}
	}
	if err := remove(o, l); err != nil {
		return err
	}
	return l.Lock(patience)
}

// refused says why the lock could not be had: it is looked at once more. The result
// is the exit status. (The originals' words are others; what they tell apart is
// theirs.)
func refused(o Options, err error) int {
	is, host := nobody, ""
	if errors.Is(err, lock.ErrTimeOut) {
		is, host, err = look(o)
	}
	if err != nil {
		o.Log(queue.Uncaught(o.Profile, err))
		return 1
	}
	facts := o.Profile.Master
	says := "The master lock could not be acquired: "
	switch {
	case is == running:
		says += "it appears as if another master is already running."
	case is == dead:
		says += "it appears to be stale. Re-run with " + facts.Flag + "."
	case facts.ForeignByHand:
		says += "a process of host " + host + " may have it. If it is stale, remove it by hand."
	default:
		says += "a process of host " + host + " may have it. If you know that it is stale, re-run with " + facts.Flag + "."
	}
	o.Log(says)
	return facts.HeldStatus
}

// A standing is what a lock tells of its holder.
type standing int

const (
	nobody    standing = iota // it is not there, or names nobody
	running                   // this host has a process of the number that it names
	dead                      // this host has none
	elsewhere                 // it names another host
)

// errNobody is that of a lock that is there and names nobody, as while it is being
// transferred.
var errNobody = errors.New("ValueError: the lock names nobody")

// holder is the claim of the lock's holder. Errors are those of reading it, and
// errNobody.
func holder(l *lock.File) (claim string, err error) {
	if claim, err = l.Holder(); err == nil && claim == "" {
		err = errNobody
	}
	return claim, err
}

// look tells what the lock says of its holder, and the holder's host. Errors are those
// of holder.
func look(o Options) (is standing, host string, err error) {
	claim, err := holder(o.lock())
	if err != nil {
		return nobody, "", err
	}
	host, pid := parseClaim(o, claim)
	switch {
	case host != sys.Hostname() && !o.Profile.Bugs.Has("no-host-check"):
		return elsewhere, host, nil
	case !o.Profile.Bugs.Has("no-pid-check") && !errors.Is(sys.Kill(pid, 0), syscall.ESRCH):
		return running, host, nil
	}
	return dead, host, nil
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

// remove takes the lock away from whoever holds it. An error, such as that another was
// faster, ends the start.
func remove(o Options, l *lock.File) error {
	claim, err := holder(l)
	if err != nil {
		return err
	}
	if !o.Profile.Bugs.Has("clean-forgets-lock") {
		if err := sys.Unlink(o.lockFile()); err != nil {
			return err
		}
	}
	if !o.Profile.Master.Sweeps {
		return sys.Unlink(o.locks() + "/" + path.Base(claim))
	}
	names, err := sys.List(o.locks(), o.Profile.OpenFlags())
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, o.Profile.Master.LockName) {
			if err := sys.Unlink(o.locks() + "/" + name); err != nil {
				return err
			}
		}
	}
	return nil
}

// spawn starts a child for this command of the master's.
func spawn(o Options, command ...string) (pid int, err error) {
	args := []string{"screwtape-runner", "master", "--profile", o.Profile.Name, "--dir", o.Dir, "--locks", o.locks(),
		"--runners", strconv.Itoa(o.Runners), "--queues", strings.Join(o.Queues, ","), "--child-pid", strconv.Itoa(o.Child), "--refreshes", strconv.Itoa(o.Refreshes),
		"--bugs", o.Profile.Bugs.String(), fmt.Sprintf("--no-restart=%v", o.NoRestart)}
	return sys.Spawn(o.Child, append(args, command...)...)
}
