// Package list is the state of one mailing list as GNU Mailman 2.1 keeps it: a
// pickle, config.pck, which every program that changes the list reads, changes
// and writes whole, under a lock of the list; and its copy config.pck.last, for
// when config.pck cannot be read.
package list

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"screwtape/runner/lock"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
	"screwtape/runner/sys"
)

// Lifetime is the default of that of a list's lock, LIST_LOCK_LIFETIME.
const Lifetime = 5 * time.Hour

// ErrNoState is that of a list none of whose state files can be read.
var ErrNoState = errors.New("All config.pck fallbacks were corrupt, giving up")

// stateFiles are where a list's state can lie, in the order in which it is looked for.
var stateFiles = []string{"config.pck", "config.pck.last", "config.db", "config.db.last"}

// A List is one list as one process sees it.
type List struct {
	State State

	profile  profile.Profile
	dir      string
	lock     *lock.File // nil: the process does without
	held     bool
	read     time.Time         // when the state was read, or the mtime of what was written
	requests map[string]string // by id; nil if they were not opened
	log      func(line string)
}

// Open gives the list in the directory dir, of which nothing is read by that.
// The lock file's path "" is for a process that takes no lock; the lock ends
// when it was not refreshed for so long as lifetime says.
func Open(p profile.Profile, dir, lockFile string, lifetime time.Duration, log func(line string)) *List {
	l := &List{profile: p, dir: dir, log: log}
	if lockFile != "" && !l.has("no-lock") {
		l.lock = lock.New(p.Lock, nil, lockFile, lifetime, log)
	}
	return l
}

func (l *List) has(bug string) bool { return l.profile.Bugs.Has(bug) }

func (l *List) file(name string) string { return l.dir + "/" + name }

// Lock takes the list's lock and loads what has changed since the last time. Errors
// are those of the lock, such as lock.ErrTimeOut, and of Load.
func (l *List) Lock(timeout time.Duration) error {
	if l.lock != nil {
		if err := l.lock.Lock(timeout); err != nil {
			return err
		}
	}
	l.held = true
	if l.has("no-reload") && l.State != nil {
		return nil
	}
	err := l.Load()
	if err != nil {
		l.Unlock()
	}
	return err
}

// Unlock lets the lock go, if it is still ours.
func (l *List) Unlock() {
	l.held = false
	if l.lock != nil {
		l.lock.Unlock(false)
	}
}

// Load reads the state: of config.pck, or of what takes its place when that
// cannot be read. A file that is not newer than what was read last is not read
// again. That compares the local clock with the file's time of modification,
// which is the file server's: by a clock that is ahead a save of somebody else
// is not seen. Where no file can be read it is ErrNoState.
func (l *List) Load() error {
	names := slices.Clone(stateFiles)
	if l.has("last-first") {
		names[0], names[1] = names[1], names[0]
	}
	for _, name := range names {
		state, newer, err := l.loadFile(l.file(name))
		if err != nil {
			l.log(fmt.Sprintf("couldn't load config file %s: %s", l.file(name), queue.ErrorText(l.profile, err)))
			continue
		}
		if !newer {
			return nil
		}
		l.State = state
		if name == "config.pck.last" {
			return l.repair()
		}
		return nil
	}
	return ErrNoState
}

// loadFile reads one file. newer is false for one that need not be read.
func (l *List) loadFile(path string) (state State, newer bool, err error) {
	st, err := sys.StatFile(path)
	if err != nil {
		return nil, false, err
	}
	if st.Mtime.Before(l.read) {
		return nil, false, nil
	}
	f, err := sys.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		return nil, false, err
	}
	now := sys.Clock()
	data, err := f.ReadAll()
	f.Close()
	if err != nil {
		return nil, false, err
	}
	if l.profile.StampAfterLoad || l.has("stamp-after-load") {
		now = sys.Clock()
	}
	if state, err = Decode(data); err != nil {
		return nil, false, err
	}
	l.read = now.Truncate(time.Second)
	return state, true, nil
}

// repair puts config.pck.last in place of a config.pck that cannot be read. It
// does not look whether that can be read by now.
func (l *List) repair() error {
	last := l.file("config.pck.last")
	l.log("fixing corrupt config file, using: " + last)
	if l.lock != nil && !l.held {
		if err := l.lock.Lock(0); err != nil {
			return err
		}
		defer l.lock.Unlock(false)
	}
	err := sys.Rename(l.file("config.pck"), l.file("config.pck.corrupt"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := unlink(l.file("config.pck.safety")); err != nil {
		return err
	}
	for _, name := range []string{"config.pck", "config.pck.safety"} {
		data, err := sys.ReadFile(last, 0)
		if err != nil {
			return err
		}
		if err := write(l.file(name), data); err != nil {
			return err
		}
	}
	return nil
}

// Save writes the state, if the lock is still ours, and then the requests. It is
// lock.ErrNotLocked, and nothing is written, where the lock is not ours any more.
func (l *List) Save() error {
	if l.has("unlock-before-save") {
		l.Unlock()
	} else if l.lock != nil {
		if err := l.lock.Refresh(); err != nil {
			return err
		}
	}
	if l.requests != nil && l.has("requests-unlink-first") {
		sys.Unlink(l.file("request.pck"))
	}
	err := l.save()
	if l.requests != nil && !l.has("requests-not-saved") {
		// Whatever became of the state.
		if rerr := l.saveRequests(); err == nil {
			err = rerr
		}
	}
	return err
}

// save writes a new config.pck and makes the old one config.pck.last.
func (l *List) save() error {
	pck, last := l.file("config.pck"), l.file("config.pck.last")
	tmp := pck + ".tmp." + sys.Hostname() + "." + strconv.Itoa(sys.Pid())
	data, err := l.State.Encode()
	if err != nil {
		return err
	}
	if l.has("save-in-place") {
		return write(pck, data)
	}
	if err := write(tmp, data); err != nil {
		l.log("Failed config.pck write, retaining old state.")
		sys.Unlink(tmp)
		return err
	}
	if !l.has("last-kept") {
		if err := unlink(last); err != nil {
			return err
		}
	}
	keep := sys.Link
	if l.profile.RenameToLast || l.has("rename-to-last") {
		keep = sys.Rename // for a moment there is no config.pck
	}
	if err := keep(pck, last); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if l.has("unlink-first") {
		sys.Unlink(pck)
	}
	if !l.has("no-rename") {
		if err := sys.Rename(tmp, pck); err != nil {
			return err
		}
	}
	st, err := sys.StatFile(pck)
	l.read = st.Mtime
	return err
}

// unlink removes what may not be there.
func unlink(path string) error {
	if err := sys.Unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func write(path string, data []byte) error {
	f, err := sys.Open(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
