// Package lock is the locks of GNU Mailman, each a file on the share: that of
// 2.1 and that of flufl.lock, operation by operation; and a few others, sound
// or broken, to hold against them.
//
// Mailman's lock is a file L that is a hard link of its holder's claim, a file
// of its own that it made before. Both hold the claim's path, so that content
// and link count together say whose the lock is. Its time of modification lies
// in the future: it is when the lock ends, by its holder's clock.
package lock

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// What a lock can answer.
var (
	ErrTimeOut       = errors.New("TimeOutError")       // it was held by another for the whole time
	ErrNotLocked     = errors.New("NotLockedError")     // it is not ours, or not any more
	ErrAlreadyLocked = errors.New("AlreadyLockedError") // it is ours already
)

// Times of all versions.
const (
	slop     = 10 * time.Second        // a lock is broken that long after its end
	minPause = 10 * time.Millisecond   // between two tries, at least
	maxPause = 2010 * time.Millisecond // and at most
	poll     = 250 * time.Millisecond  // of who waits to be given the lock
)

// A File is one of Mailman's locks as one process sees it.
type File struct {
	facts    profile.Lock
	bugs     profile.Set
	path     string // L
	claim    string
	lifetime time.Duration
	log      func(line string)
	seenEnd  time.Time // for the bugs first-end and same-end
}

// New gives the lock at path of a version that does so, with these bugs planted.
// Nobody has taken it by that. Lines for the log go to log, one at a time.
func New(facts profile.Lock, bugs profile.Set, path string, lifetime time.Duration, log func(line string)) *File {
	l := &File{facts: facts, bugs: bugs, path: path, lifetime: lifetime, log: log}
	last := "1"
	if facts.RandomClaim {
		last = strconv.FormatUint(sys.Random()>>1, 10)
	}
	l.claim = strings.Join([]string{path, sys.Hostname(), strconv.Itoa(sys.Pid()), last}, facts.Separator)
	return l
}

// Lock takes the lock. It waits while another holds it, for ever if timeout is
// 0, and breaks it when its end is long enough past. Errors are ErrTimeOut,
// ErrAlreadyLocked, and those of the calls.
func (l *File) Lock(timeout time.Duration) error {
	var deadline time.Time
	if timeout > 0 {
		deadline = sys.Clock().Add(timeout)
	}
	if err := l.write(); err != nil {
		return err
	}
	l.touch(l.claim)
	for {
		take := sys.Link
		if l.has("rename-for-link") {
			take = sys.Rename
		}
		err := take(l.claim, l.path)
		switch {
		case err == nil:
			l.touch(l.claim)
			return nil
		case l.gone(err):
			// Some file server's way; it is tried again.
		case errors.Is(err, syscall.EEXIST):
			if n := l.links(); n != 2 {
				l.say(fmt.Sprintf("unexpected linkcount: %d", n))
			} else if l.read() == l.claim {
				return ErrAlreadyLocked
			} else if l.has("already-ours") {
				return nil
			}
		default:
			sys.Unlink(l.claim)
			return err
		}
		if timeout > 0 && sys.Clock().After(deadline) {
			if l.has("timeout-unlinks-lock") {
				sys.Unlink(l.path)
			} else {
				sys.Unlink(l.claim)
			}
			return ErrTimeOut
		}
		there, expired := l.look()
		if expired {
			l.breakIt()
		}
		if expired || there && l.facts.AlwaysSays {
			l.say("lifetime has expired, breaking")
		}
		sys.SleepFor(minPause + time.Duration(sys.Random()%uint64(maxPause-minPause)))
	}
}

// gone says whether the error is that the file is not there.
func (l *File) gone(err error) bool {
	return errors.Is(err, syscall.ENOENT) || l.facts.StaleIsGone && errors.Is(err, syscall.ESTALE)
}

func (l *File) has(bug string) bool { return l.bugs.Has(bug) }

func (l *File) say(line string) { l.log(l.path + " " + line) }

// write makes the claim, with its own path in it.
func (l *File) write() error {
	f, err := sys.Open(l.claim, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC|l.facts.OpenFlags(), 0o666)
	if err != nil {
		return err
	}
	err = f.Write([]byte(l.claim))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// touch sets a file's end to a lifetime from now, by our clock.
func (l *File) touch(path string) {
	end := sys.Clock().Add(l.lifetime)
	if l.has("past-lifetime") {
		end = end.Add(-2*l.lifetime - slop)
	}
	if l.facts.WholeSeconds {
		end = end.Truncate(time.Second)
	}
	sys.Utimens(path, end) // one that is gone need not be touched
}

// links is the lock's link count, -1 if there is no lock.
func (l *File) links() int {
	st, err := sys.StatFile(l.path)
	if err != nil {
		return -1
	}
	return int(st.Nlink)
}

// read gives the claim of the lock's holder, "" if there is none.
func (l *File) read() string {
	claim, err := l.Holder()
	if err != nil {
		return ""
	}
	return claim
}

// Holder is the claim of whoever holds the lock, "" while that is being transferred.
// Errors are those of reading it.
func (l *File) Holder() (string, error) {
	data, err := sys.ReadFile(l.path, l.facts.OpenFlags())
	return string(data), err
}

// look says whether there is a lock, and whether its end is so long past that it may
// be broken.
func (l *File) look() (there, expired bool) {
	st, err := sys.StatFile(l.path)
	if err != nil {
		return false, l.facts.GoneIsExpired || l.has("gone-is-expired")
	}
	if l.has("never-break") {
		return true, false
	}
	end := st.Mtime
	if l.has("same-end") && end.Equal(l.seenEnd) {
		return true, true
	}
	if l.seenEnd.IsZero() || l.has("same-end") {
		l.seenEnd = end
	}
	if l.has("first-end") {
		end = l.seenEnd
	}
	return true, sys.Clock().After(end.Add(slop)) || l.has("break-at-once")
}

// breakIt takes the lock away from its holder. The touch keeps others from
// doing so at the same time, if they have not looked yet.
func (l *File) breakIt() {
	l.touch(l.path)
	winner := l.read()
	sys.Unlink(l.path)
	if winner != "" {
		sys.Unlink(winner)
	}
}

// Locked says whether the lock is ours. It gives it a new lifetime by the way.
func (l *File) Locked() bool {
	l.touch(l.claim)
	return l.links() == 2 && l.read() == l.claim
}

// Refresh gives the lock a new lifetime, if it is ours, and is ErrNotLocked
// otherwise.
func (l *File) Refresh() error {
	if l.has("refresh-never") {
		if l.read() != l.claim {
			return ErrNotLocked
		}
		return nil
	}
	if !l.Locked() {
		return ErrNotLocked
	}
	return nil
}

// Unlock lets the lock go. One that is not ours is ErrNotLocked, unless it does not
// matter; then only our claim goes.
func (l *File) Unlock(matters bool) error {
	ours := l.Locked()
	if !ours && matters {
		return ErrNotLocked
	}
	if ours {
		sys.Unlink(l.path)
	}
	sys.Unlink(l.claim)
	return nil
}

// claimOf is the claim that a process of this node has to a lock that it was
// given. It has no last part.
func (l *File) claimOf(pid int) string {
	return strings.Join([]string{l.path, sys.Hostname(), strconv.Itoa(pid)}, l.facts.Separator)
}

// TransferTo gives the lock to another process of this node, which is to call
// TakePossession. Meanwhile L is an empty file with three links. Errors are
// ErrNotLocked, where another has taken it meanwhile, and those of the calls.
func (l *File) TransferTo(pid int) error {
	l.touch(l.claim)
	old := l.read()
	l.claim = l.claimOf(pid)
	if err := sys.Link(l.path, l.claim); err != nil {
		return err
	}
	if err := l.write(); err != nil {
		return err
	}
	sys.Unlink(old)
	if l.links() != 2 || !l.Locked() {
		return ErrNotLocked
	}
	return nil
}

// TakePossession waits until the lock was transferred to this process.
func (l *File) TakePossession() {
	l.claim = l.claimOf(sys.Pid())
	for l.links() != 2 || l.read() != l.claim {
		sys.SleepFor(poll)
	}
}
