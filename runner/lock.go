package runner

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"screwtape/runner/lock"
	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// lockMain takes a lock, does something that only one may do at a time, and
// lets the lock go. While it is at it there is a file in.HOST.PID in the
// directory section, so that everybody can see who is.
func lockMain(args []string) int {
	fs := newFlags("lock", "lock [flags]")
	path := fs.String("file", "/shared/locks/test.lock", "the lock's `path`")
	kind := fs.String("kind", lock.Mailman, "the `kind` of lock: "+strings.Join(lock.Kinds, ", "))
	section := fs.String("section", "/shared/section", "the `directory` of who is at work")
	lifetime := fs.Duration("lifetime", 15*time.Second, "end of the lock from now, each time that it is refreshed")
	timeout := fs.Duration("timeout", 0, "give up after so long; 0 is never")
	hold := fs.Duration("hold", time.Second, "how long the work takes")
	refresh := fs.Int("refresh", 0, "so many `times` refresh the lock meanwhile")
	rounds := fs.Int("rounds", 1, "do all that so many `times`")
	bugs := fs.String("bugs", "", "plant these bugs, a `list` with commas")
	if status, ok := parse(fs, args, 0); !ok {
		return status
	}
	planted, err := profile.ParseSet(*bugs, lock.Bugs)
	var l lock.Lock
	if err == nil {
		l, err = lock.Make(*kind, *path, *lifetime, planted, say)
	}
	if err != nil {
		say("runner: " + err.Error())
		return exitUsage
	}
	in := *section + "/in." + sys.Hostname() + "." + strconv.Itoa(sys.Pid())
	for range *rounds {
		if err := l.Lock(*timeout); err != nil {
			say("lock: " + err.Error())
			return 1
		}
		early := planted.Has("unlock-early")
		if early {
			l.Unlock(true)
		}
		err := work(l, in, *hold, *refresh)
		if !early {
			if uerr := l.Unlock(err == nil); err == nil {
				err = uerr
			}
		}
		if err != nil {
			say("lock: " + err.Error())
			return 1
		}
	}
	return 0
}

// work is the critical section. It is left early when the lock is found lost.
func work(l lock.Lock, in string, hold time.Duration, refresh int) error {
	f, err := sys.Open(in, syscall.O_WRONLY|syscall.O_CREAT, 0o666)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for i := range refresh + 1 {
		if err == nil && i > 0 {
			err = l.Refresh()
		}
		if err == nil && hold > 0 {
			sys.SleepFor(hold / time.Duration(refresh+1))
		}
	}
	if uerr := sys.Unlink(in); err == nil {
		err = uerr
	}
	return err
}
