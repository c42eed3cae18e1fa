package lock

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// A Lock is any of the locks.
type Lock interface {
	// Lock takes the lock, waiting until the time is over, for ever if it
	// is 0.
	Lock(timeout time.Duration) error
	// Refresh sees to it that the lock stays ours for a while.
	Refresh() error
	// Unlock lets the lock go; that it is not ours is an error only if that
	// matters.
	Unlock(matters bool) error
}

var (
	_ Lock = (*File)(nil)
	_ Lock = (*polled)(nil)
	_ Lock = (*flock)(nil)
)

// The kinds of Mailman's own locks.
const (
	Mailman = "2.1"
	Flufl   = "flufl"
)

// Kinds are the names of all kinds of locks.
var Kinds = []string{Mailman, Flufl, "excl", "mkdir", "flock", "naive"}

// versions names for each of Mailman's kinds a version that has it.
var versions = map[string]string{Mailman: "2.1.39", Flufl: "3.3.8"}

// Make gives the lock of that kind at path, with bugs if it is one of Mailman's.
func Make(kind, path string, lifetime time.Duration, bugs profile.Set, log func(line string)) (Lock, error) {
	if version, ok := versions[kind]; ok {
		p, err := profile.Get(version)
		return New(p.Lock, bugs, path, lifetime, log), err
	}
	if way, ok := ways[kind]; ok {
		return &polled{path, way}, nil
	}
	if kind == "flock" {
		return &flock{path: path}, nil
	}
	return nil, fmt.Errorf("no kind of lock %q; there are %s", kind, strings.Join(Kinds, ", "))
}

// A way is how a lock that is a mere name is taken, and let go.
type way struct{ take, drop func(path string) error }

// ways are those there are: excl and mkdir are sound, but nobody ever takes the
// lock from a holder that has died. naive looks first, and is broken.
var ways = map[string]way{
	"excl":  {func(path string) error { return create(path, syscall.O_EXCL) }, sys.Unlink},
	"mkdir": {func(path string) error { return sys.Mkdir(path, 0o777) }, sys.Rmdir},
	"naive": {func(path string) error {
		if sys.Stat(path) == nil {
			return syscall.EEXIST
		}
		return create(path, 0)
	}, sys.Unlink},
}

func create(path string, flags int) error {
	f, err := sys.Open(path, syscall.O_WRONLY|syscall.O_CREAT|flags, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// A polled lock is held by whoever has made the name, and tried again and again
// by the others.
type polled struct {
	path string
	way
}

func (l *polled) Lock(timeout time.Duration) error {
	deadline := sys.Clock().Add(timeout)
	for {
		err := l.take(l.path)
		if !errors.Is(err, syscall.EEXIST) {
			return err
		}
		if timeout > 0 && sys.Clock().After(deadline) {
			return ErrTimeOut
		}
		sys.SleepFor(time.Second)
	}
}

func (l *polled) Refresh() error { return nil }

func (l *polled) Unlock(bool) error { return l.drop(l.path) }

// A flock is the kernel's: sound, and gone with its holder.
type flock struct {
	path string
	file *sys.File
}

func (l *flock) Lock(time.Duration) error {
	f, err := sys.Open(l.path, syscall.O_RDWR|syscall.O_CREAT, 0o666)
	if err != nil {
		return err
	}
	l.file = f
	return f.Flock()
}

func (l *flock) Refresh() error { return nil }

func (l *flock) Unlock(bool) error { return l.file.Close() }
