package runner

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"screwtape/runner/master"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
	"screwtape/runner/sys"
)

// masterHelp is what the flag of cleaning up does in each version. What the
// versions' own help texts say of it is another thing, which screwtape truth has.
const masterHelp = `master [flags] start|stop|restart|reopen
-s, --stale-lock-cleanup (2.1), --force (3.3.8):
    2.1.15  removes the master's lock, whosever it is
    2.1.39  removes it if its holder was a process of this host, and is dead
    3.3.8   removes it, whosever it is; "mailman start" stops at a living
            process of this host, "master" (--direct) at nothing`

// masterMain is mailmanctl, and mailman start and stop.
func masterMain(args []string) int {
	fs := newFlags("master", masterHelp)
	o := master.Options{Log: say}
	version := profileFlag(fs)
	fs.StringVar(&o.Dir, "dir", "/shared", "the `directory` with locks, data, lists and qfiles")
	fs.StringVar(&o.Locks, "locks", "", "the `directory` of the lock, if it is another")
	fs.BoolVar(&o.Force, "s", false, "remove a lock that is in the way; what that is depends on the version")
	fs.BoolVar(&o.Force, "stale-lock-cleanup", false, "as -s")
	fs.BoolVar(&o.Force, "force", false, "as -s")
	fs.BoolVar(&o.Direct, "direct", false, "be 3.3.8's program master, which has no look at the lock first")
	fs.BoolVar(&o.NoRestart, "no-restart", false, "start no runner again")
	fs.IntVar(&o.Runners, "runners", 0, "start so many runners of each queue, each for a slice; 0 is one child that does nothing")
	queues := fs.String("queues", queue.Out, "the queues that get runners, a `list` with commas; \"all\" is all that the version has")
	fs.IntVar(&o.Child, "child-pid", 0, "the `number` for the master's process, if the kernel lets us choose")
	fs.IntVar(&o.Refreshes, "refreshes", 0, "end refreshing the lock after so many days; 0 is never")
	bugs := fs.String("bugs", "", "plant these bugs, a `list` with commas")
	if status, ok := parse(fs, args, 1); !ok {
		return status
	}
	var err error
	o.Profile, err = profile.Get(*version)
	if err == nil {
		o.Queues, err = queueNames(o.Profile, *queues)
	}
	if err == nil {
		o.Profile.Bugs, err = profile.ParseSet(*bugs, master.Bugs)
	}
	if err != nil {
		say("runner: " + err.Error())
		return exitUsage
	}
	switch fs.Arg(0) {
	case "start":
		return master.Start(o)
	case "serve":
		return master.Serve(o)
	case "stop":
		return master.Signal(o, syscall.SIGTERM)
	case "restart":
		return master.Signal(o, o.Profile.Master.Restart)
	case "reopen":
		return master.Signal(o, syscall.SIGHUP)
	}
	return misused(fs, "say start, stop, restart or reopen")
}

// queueNames are the queues of a list with commas.
func queueNames(p profile.Profile, list string) ([]string, error) {
	if list == "all" {
		return p.Queues, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(p.Queues, name) {
			return nil, fmt.Errorf("no runner serves a queue %q; there are all, %s", name, strings.Join(p.Queues, ", "))
		}
	}
	return names, nil
}

// idleMain is a process that does nothing: for a while, or until a signal ends
// it, or, with the number that it is to have, in a child.
func idleMain(args []string) int {
	fs := newFlags("idle", "idle [flags]")
	number := fs.Int("child-pid", 0, "do nothing in a child of this `number`")
	d := fs.Duration("for", 0, "sleep so long; 0 is until a signal comes")
	if status, ok := parse(fs, args, 0); !ok {
		return status
	}
	switch {
	case *number > 0:
		if _, err := sys.Spawn(*number, "screwtape-runner", "idle"); err != nil {
			say("idle: " + err.Error())
			return 1
		}
	case *d > 0:
		sys.SleepFor(*d)
	default:
		// A signal kills, whatever the Go runtime would do first, but for that
		// which has runners open their logs anew.
		sys.Ignore(syscall.SIGHUP)
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1} {
			sys.Default(sig)
		}
		for {
			sys.Pause()
		}
	}
	return 0
}
