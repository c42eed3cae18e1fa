package runner

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
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
    hold MESSAGE    keep a message for a person to decide on, and print its number
    handle NUMBER   forget that one: it has been decided on
    show            print the list's state (dumpdb)
A change prints "done"; one that the list's state does not allow ends with status 3.`

// listCommands are the arguments of each command.
var listCommands = map[string][]string{
	"new":    {},
	"add":    {"MEMBER"},
	"remove": {"MEMBER"},
	"set":    {"KEY", "VALUE"},
	"hold":   {"MESSAGE"},
	"handle": {"NUMBER"},
	"show":   {},
}

// installedLock stands for a list's lock where an installation has it.
const installedLock = "DIRECTORY/../../locks/NAME.lock"

// listMain does one command on a list, as Mailman's programs in bin/ do: with
// the list locked it reads the state, changes it and writes it.
func listMain(args []string) int {
	fs := newFlags("list", listHelp)
	dir := fs.String("dir", "/shared/lists/test", "the `directory` of the list, whose last part is its NAME")
	lockFile := fs.String("lock", installedLock, "the `path` of the list's lock; \"\" to do without")
	version := fs.String("profile", "2.1.39", "do as this `version`: "+strings.Join(profile.All(), ", "))
	timeout := fs.Duration("timeout", 0, "wait so long for the lock; 0 is for ever")
	preload := fs.Bool("preload", false, "read the state before the lock is taken too, as the queue's runners do")
	bugs := fs.String("bugs", "", "plant these bugs, a `list` with commas")
	if status, ok := parse(fs, args, 3); !ok {
		return status
	}
	command := fs.Arg(0)
	switch wants, known := listCommands[command]; {
	case !known:
		return misused(fs, "say which command: "+strings.Join(slices.Sorted(maps.Keys(listCommands)), ", "))
	case fs.NArg() != 1+len(wants):
		return misused(fs, "write "+strings.Join(append([]string{command}, wants...), " "))
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
	switch command {
	case "show":
		if err = l.Load(); err == nil {
			prints = l.Show()
		}
	case "new":
		err = create(l, *dir, *lockFile, *timeout)
		prints = "done "
	default:
		prints, err = change(l, fs.Args(), *preload, *timeout)
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

// change does a command that changes the list, and gives what it prints.
func change(l *list.List, command []string, preload bool, timeout time.Duration) (prints string, err error) {
	if preload {
		if err := l.Load(); err != nil {
			return "", err
		}
	}
	if err := l.Lock(timeout); err != nil {
		return "", err
	}
	defer l.Unlock()
	if prints, err = l.Do(command); err != nil {
		return "", err
	}
	return "done " + prints, l.Save()
}

// exitRefused is the status of a command that the list's state does not allow.
const exitRefused = 3

func listFailed(p profile.Profile, err error) int {
	for _, refusal := range []error{list.ErrExists, list.ErrMember, list.ErrNoMember, list.ErrNoRequest} {
		if errors.Is(err, refusal) {
			say(err.Error())
			return exitRefused
		}
	}
	return die(p, err)
}
