package share

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func flocks(t *testing.T, a, b string) {
	ok(t, os.WriteFile(a+"/lock", nil, 0o644))
	fa, fb := openAt(t, a+"/lock", os.O_RDONLY), openAt(t, b+"/lock", os.O_RDONLY)
	try := func(f *os.File, how int) error { return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) }
	ok(t, try(fa, unix.LOCK_SH))
	ok(t, try(fb, unix.LOCK_SH))
	wantErr(t, "b wants it alone", try(fb, unix.LOCK_EX), syscall.EAGAIN)
	ok(t, try(fa, unix.LOCK_EX)) // what b had, it gave up by trying for more
	wantErr(t, "b shares what a has alone", try(fb, unix.LOCK_SH), syscall.EAGAIN)
	ok(t, try(fa, unix.LOCK_UN))
	ok(t, try(fb, unix.LOCK_EX))
}

func fcntlLock(f *os.File, cmd int, typ int16, start, length int64) error {
	return unix.FcntlFlock(f.Fd(), cmd, &unix.Flock_t{Type: typ, Start: start, Len: length})
}

func posixLocks(t *testing.T, a, b string) {
	ok(t, os.WriteFile(a+"/lock", nil, 0o644))
	fa, fb := openAt(t, a+"/lock", os.O_RDWR), openAt(t, b+"/lock", os.O_RDWR)
	ok(t, fcntlLock(fa, unix.F_SETLK, unix.F_WRLCK, 10, 10))
	wantErr(t, "b wants what a has", fcntlLock(fb, unix.F_SETLK, unix.F_RDLCK, 19, 1), syscall.EAGAIN)
	ok(t, fcntlLock(fb, unix.F_SETLK, unix.F_WRLCK, 20, 0))
	get := unix.Flock_t{Type: unix.F_WRLCK}
	ok(t, unix.FcntlFlock(fb.Fd(), unix.F_GETLK, &get))
	if get.Type != unix.F_WRLCK || get.Start != 10 || get.Len != 10 || get.Pid != 0 {
		t.Errorf("in b's way: %+v", get)
	}
	ok(t, fcntlLock(fa, unix.F_SETLK, unix.F_UNLCK, 12, 2)) // a hole
	ok(t, fcntlLock(fb, unix.F_SETLK, unix.F_RDLCK, 12, 2))
	wantErr(t, "b wants the rest", fcntlLock(fb, unix.F_SETLK, unix.F_RDLCK, 14, 1), syscall.EAGAIN)
	other := openAt(t, a+"/lock", os.O_RDONLY)
	ok(t, other.Close()) // as POSIX has it, that gives up all that a has
	ok(t, fcntlLock(fb, unix.F_SETLK, unix.F_WRLCK, 0, 0))
}

// b waits for what a holds.
func TestLockWaits(t *testing.T) {
	nodes := serve(t, NewStore(testClock()), "shared", "shared")
	a, b := nodes[0].dir, nodes[1].dir
	ok(t, os.WriteFile(a+"/lock", nil, 0o644))
	for _, kind := range []struct {
		name     string
		lock     func(f *os.File) error
		giveUp   func(f *os.File) error
		conflict func(f *os.File) error
	}{
		{"flock, by close",
			func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) },
			(*os.File).Close,
			func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }},
		{"fcntl, by close",
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLKW, unix.F_WRLCK, 0, 0) },
			(*os.File).Close,
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLK, unix.F_WRLCK, 0, 0) }},
		{"open file description, by close",
			func(f *os.File) error { return fcntlLock(f, unix.F_OFD_SETLKW, unix.F_WRLCK, 0, 0) },
			(*os.File).Close,
			func(f *os.File) error { return fcntlLock(f, unix.F_OFD_SETLK, unix.F_WRLCK, 0, 0) }},
		{"fcntl, by unlocking",
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLKW, unix.F_WRLCK, 0, 0) },
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLK, unix.F_UNLCK, 0, 0) },
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLK, unix.F_WRLCK, 0, 0) }},
	} {
		fa, fb := openAt(t, a+"/lock", os.O_RDWR), openAt(t, b+"/lock", os.O_RDWR)
		ok(t, kind.lock(fa))
		wantErr(t, kind.name, kind.conflict(fb), syscall.EAGAIN)
		got := make(chan error)
		go func() { got <- kind.lock(fb) }()
		<-nodes[1].server.waits
		ok(t, kind.giveUp(fa))
		if err := <-got; err != nil {
			t.Errorf("%s: %v", kind.name, err)
		}
		fb.Close()
		fa.Close()
	}
}

// A signal ends a wait for a lock.
func TestInterruptedWait(t *testing.T) {
	nodes := serve(t, NewStore(testClock()), "shared", "shared")
	a, b := nodes[0].dir, nodes[1].dir
	ok(t, os.WriteFile(a+"/lock", nil, 0o644))
	fa := openAt(t, a+"/lock", os.O_RDWR)
	ok(t, unix.Flock(int(fa.Fd()), unix.LOCK_EX))
	h := startHelper(t, b+"/lock")
	h.say("flock")
	<-nodes[1].server.waits
	ok(t, h.cmd.Process.Kill())
	h.cmd.Wait() // a process whose request is never answered would not end
	ok(t, unix.Flock(int(fa.Fd()), unix.LOCK_UN))
	fb := openAt(t, b+"/lock", os.O_RDWR)
	ok(t, unix.Flock(int(fb.Fd()), unix.LOCK_EX)) // the dead one does not have it
}
