package runner

import (
	"errors"
	"flag"
	"strings"
	"time"

	"screwtape/runner/list"
	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

const listUsage = "usage: screwtape runner list [flags] add|remove MEMBER | set KEY VALUE | hold MESSAGE | handle ID | show"

// listCommands says how many arguments each command takes.
var listCommands = map[string]int{"add": 1, "remove": 1, "set": 2, "hold": 1, "handle": 1, "show": 0}

// listMain does one command on a list, as Mailman's programs in bin/ do: with
// the list locked it reads the state, changes it and writes it.
func listMain(args []string) int {
	fs := flag.NewFlagSet("runner list", flag.ContinueOnError)
	dir := fs.String("dir", "/shared/lists/test", "the `directory` of the list")
	lockFile := fs.String("lock", "/shared/locks/test.lock", "the `path` of the list's lock; \"\" to do without")
	version := fs.String("profile", "2.1.39", "do as this `version`: "+strings.Join(profile.All(), ", "))
	timeout := fs.Duration("timeout", 0, "wait so long for the lock; 0 is for ever")
	preload := fs.Bool("preload", false, "read the state before the lock is taken too, as the queue's runners do")
	bugs := fs.String("bugs", "", "plant these bugs, a `list` with commas")
	fs.Usage = func() {
		say(listUsage)
		fs.PrintDefaults()
	}
	if status, ok := parse(fs, args, 3); !ok {
		return status
	}
	if n, known := listCommands[fs.Arg(0)]; !known || fs.NArg() != 1+n {
		say(listUsage)
		return exitUsage
	}
	p, err := profile.Get(*version)
	if err == nil {
		p.Bugs, err = profile.ParseSet(*bugs, list.Bugs)
	}
	if err != nil {
		say("runner: " + err.Error())
		return exitUsage
	}
	l := list.Open(p, *dir, *lockFile, list.Lifetime, say)
	if fs.Arg(0) == "show" {
		if err := l.Load(); err != nil {
			return listFailed(p, err)
		}
		sys.Stdout.Write([]byte(l.Show() + "\n"))
		return 0
	}
	return change(l, p, fs.Args(), *preload, *timeout)
}

// change does a command that changes the list.
func change(l *list.List, p profile.Profile, command []string, preload bool, timeout time.Duration) int {
	if preload {
		if err := l.Load(); err != nil {
			return listFailed(p, err)
		}
	}
	if err := l.Lock(timeout); err != nil {
		return listFailed(p, err)
	}
	prints, err := l.Do(command)
	if err == nil {
		err = l.Save()
	}
	l.Unlock()
	if err != nil {
		return listFailed(p, err)
	}
	sys.Stdout.Write([]byte("done " + prints + "\n"))
	return 0
}

// exitRefused is the status of a command that the list's state does not allow.
const exitRefused = 3

func listFailed(p profile.Profile, err error) int {
	for _, refusal := range []error{list.ErrMember, list.ErrNoMember, list.ErrNoRequest} {
		if errors.Is(err, refusal) {
			say(err.Error())
			return exitRefused
		}
	}
	return die(p, err)
}
