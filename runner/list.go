package runner

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"screwtape/runner/list"
	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

const listHelp = `list [flags] COMMAND
    new             make the list, without members (as newlist)
    add MEMBER      add a member (add_members)
    remove MEMBER   remove a member (remove_members)
    set KEY VALUE   set an attribute (config_list)
    hold MESSAGE    keep a message for a person to decide on
    handle NUMBER   forget that one: it has been decided on
    show            print the list's state, without its lock (dumpdb)
    requests        print what is held, with the list locked
A change prints "done"; hold and handle print before they save anything which message
it is about, as request:NUMBER:MESSAGE. One that the list's state does not allow ends with
status 3, and a command that cannot read config.pck with 4, request.pck with 5.`

// installedLock stands for a list's lock where an installation has it.
const installedLock = "DIRECTORY/../../locks/NAME.lock"

// listMain does one command on a list, as Mailman's programs in bin/ do: with
// the list locked it reads the state, changes it and writes it. Only show takes no
// lock.
func listMain(args []string) int {
	fs := newFlags("list", listHelp)
	dir := fs.String("dir", "/shared/lists/test", "the `directory` of the list, whose last part is its NAME")
	lockFile := fs.String("lock", installedLock, "the `path` of the list's lock; \"\" to do without")
	version := profileFlag(fs)
	timeout := fs.Duration("timeout", 0, "wait so long for the lock; 0 is for ever")
	preload := fs.Bool("preload", false, "read the state before the lock is taken too, as the queue's runners do")
	bugs := fs.String("bugs", "", "plant these bugs, a `list` with commas")
	if status, ok := parse(fs, args, 3); !ok {
		return status
	}
	if err := list.Check(fs.Args()); err != nil {
		return misused(fs, err.Error())
	}
	p, err := profile.Get(*version)
	if err == nil && !p.ListFiles {
		err = fmt.Errorf("%s keeps its lists in a database, not in files; give another --profile", p.Name)
	}
	if err == nil {
		p.Bugs, err = profile.ParseSet(*bugs, list.Bugs)
	}
	if *lockFile == installedLock {
		*lockFile = filepath.Join(*dir, "../../locks", filepath.Base(*dir)+".lock")
	}
	if err == nil && *lockFile != "" { // it holds the path of a claim to it: that is to be the same from everywhere
		*lockFile, err = filepath.Abs(*lockFile)
	}
	if err != nil {
		say("runner: " + err.Error())
		return exitUsage
	}
	l := list.Open(p, *dir, *lockFile, list.Lifetime, say)
	prints := ""
	switch fs.Arg(0) {
	case "show":
		if err = l.Load(); err == nil {
			prints = l.Show()
		}
	case "new":
		err = create(l, *dir, *lockFile, *timeout)
		prints = "done"
	default:
		prints, err = locked(l, fs.Args(), *preload, *timeout)
	}
	if err != nil {
		return listFailed(p, err)
	}
	sys.Stdout.Write([]byte(prints + "\n"))
	return 0
}

// create makes a list, and the directories of it and of its lock.
func create(l *list.List, dir, lockFile string, timeout time.Duration) error {
	for _, d := range []string{dir, filepath.Dir(lockFile)} {
		if err := makeDirs(d); err != nil {
			return err
		}
	}
	return l.Create(filepath.Base(dir), timeout)
}

// makeDirs makes a directory and those that it lies in, as far as they are missing.
func makeDirs(dir string) error {
	if sys.Stat(dir) == nil {
		return nil
	}
	if err := makeDirs(filepath.Dir(dir)); err != nil {
		return err
	}
	return sys.Mkdir(dir, 0o2775)
}

// locked does a command for which the list is locked, and gives what it prints when all
// is done. What a command is about it says before it saves: that is known of it also if
// it dies then, and one that has not said it has not changed anything.
func locked(l *list.List, command []string, preload bool, timeout time.Duration) (prints string, err error) {
	if preload {
		if err := l.Load(); err != nil {
			return "", err
		}
	}
	if err := l.Lock(timeout); err != nil {
		return "", err
	}
	defer l.Unlock()
	if command[0] == "requests" {
		return l.Requests()
	}
	about, err := l.Do(command)
	if err != nil {
		return "", err
	}
	if about != "" {
		sys.Stdout.Write([]byte("about " + about + "\n"))
	}
	return "done", l.Save()
}

// What a command of a list ends with, other than 0 and what an error ends every
// program with.
const (
	exitRefused    = 3 // the list's state does not allow it
	exitNoState    = 4 // config.pck and what takes its place cannot be read
	exitNoRequests = 5 // request.pck cannot be read
)

func listFailed(p profile.Profile, err error) int {
	for _, refusal := range []error{list.ErrExists, list.ErrMember, list.ErrNoMember, list.ErrNoRequest} {
		if errors.Is(err, refusal) {
			say(err.Error())
			return exitRefused
		}
	}
	status := die(p, err)
	switch {
	case errors.Is(err, list.ErrNoState):
		return exitNoState
	case errors.Is(err, list.ErrRequests):
		return exitNoRequests
	}
	return status
}
