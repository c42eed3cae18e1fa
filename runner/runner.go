// Package runner holds the programs that are looked at: they do with a shared
// queue what GNU Mailman's programs do, system call by system call, and are
// small and quick to start.
//
//	runner queue   serves a queue: takes its entries and sends them on, from out
//	               by SMTP, from others into the next queue
//	runner unshunt puts back into their queues what runners have set aside
//	runner inject  puts a sample message into a queue
//	runner send    hands a message to a mail server, by SMTP or LMTP
//	runner show    prints an entry
//	runner lock    takes a lock, works for a while, and lets it go
//	runner list    makes a mailing list, or does a command on its state
//	runner master  starts, keeps up and stops the runners of a host
//	runner idle    does nothing, for whoever needs such a process
//
// An executable that imports this package is a runner when it is started as one
// (see [Args]): its main is not reached.
//
// They run on the main thread alone, without goroutines, so that whoever holds
// that thread's calls holds the program.
package runner

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"screwtape/runner/bounce"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
	"screwtape/runner/sys"
)

// init is the main function of a process that is started as a runner; it does
// not return there. Packages are initialized in the order of their paths, as far
// as they do not need each other (the language specification, Program
// initialization), and much of an executable, the network and all that needs
// it, comes after this one. And it is sure to run on the main thread, without
// being locked to it, which would cost the start of another one (LockOSThread in
// package runtime).
func init() {
	if args, ok := Args(os.Args); ok {
		sys.MaskPreemption()
		os.Exit(Main(args))
	}
}

// Args says whether a program started with these arguments (its name first) is
// a runner, as "screwtape runner ..." or under the name screwtape-runner, and
// gives the arguments for [Main].
func Args(argv []string) ([]string, bool) {
	if len(argv) > 0 && filepath.Base(argv[0]) == "screwtape-runner" {
		return argv[1:], true
	}
	if len(argv) > 1 && argv[1] == "runner" {
		return argv[2:], true
	}
	return nil, false
}

// Usage is the help of the programs together.
const Usage = `usage: screwtape runner queue   [--dir DIR] [--queue out] [--slice 0 --slices 1] ...
       screwtape runner inject  [--dir DIR] [--queue out] [--message SAMPLE] --id ID
       screwtape runner send    [--port PORT] [--lmtp] [--from ADDRESS] --to ADDRESS TEXT
       screwtape runner unshunt [--dir DIR] [--discard] [DIRECTORY]
       screwtape runner show    FILE
       screwtape runner lock    [--file PATH] [--kind 2.1] ...
       screwtape runner list    [--dir DIR] [--lock PATH] COMMAND ...
       screwtape runner master  [--dir DIR] [-s] start|stop|restart|reopen
       screwtape runner idle    [--for DURATION]
Most do as the version that --profile names. Each tells its flags with --help.`

// programs are the mains of the programs; each gets the arguments behind its name, and
// gives the exit status.
var programs = map[string]func(args []string) int{
	"queue":   queueMain,
	"inject":  injectMain,
	"send":    sendMain,
	"show":    showMain,
	"lock":    lockMain,
	"list":    listMain,
	"master":  masterMain,
	"unshunt": unshuntMain,
	"idle":    idleMain,
}

// exitUsage is the exit status for arguments that make no sense.
const exitUsage = 254

// Main is what a runner does: args are the arguments after "runner", and the
// result is the exit status.
func Main(args []string) int {
	// No collector beside the program: it would run on threads of its own
	// while a call is held. The loop collects between messages, and the
	// limit is for what goes far beyond them.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(64 << 20)
	// One thread's worth of Go, which also keeps the runtime from reading the
	// cgroup's limits anew each second.
	runtime.GOMAXPROCS(1)
	sys.Umask(0o007)
	wrong := "say which program"
	if len(args) > 0 {
		if program, ok := programs[args[0]]; ok {
			return program(args[1:])
		}
		if slices.Contains([]string{"-h", "-help", "--help"}, args[0]) {
			sys.Stdout.Write([]byte(Usage + "\n"))
			return 0
		}
		wrong = "there is no program " + strconv.Quote(args[0])
	}
	say("runner: " + wrong + "; there are " + strings.Join(slices.Sorted(maps.Keys(programs)), ", "))
	return exitUsage
}

// collector collects garbage by the amount of messages gone through, which
// unlike the heap's size is the same in each run.
type collector struct{ bytes int }

// add counts a message, and collects when there were enough.
func (c *collector) add(bytes int) {
	const enough = 1 << 20 // reading one of a MiB leaves some 20 MiB behind
	if c.bytes += bytes + 4096; c.bytes >= enough {
		c.bytes = 0
		runtime.GC()
	}
}

// say writes one line to standard error, in one call.
func say(line string) { sys.Stderr.Write([]byte(line + "\n")) }

// die ends a program by an error that nothing handles, as Python would.
func die(p profile.Profile, err error) int {
	say(queue.Uncaught(p, err))
	return 1
}

// common are the flags that the programs share.
type common struct {
	dir, queue, bugs string
	profile          *string
}

// profileFlag is the flag by which a program is told to do as a version.
func profileFlag(fs *flag.FlagSet) *string {
	return fs.String("profile", profile.Default, "do as this `version`: "+strings.Join(profile.All(), ", "))
}

func (c *common) define(fs *flag.FlagSet) {
	fs.StringVar(&c.dir, "dir", "/shared/qfiles", "the `directory` of the queues")
	fs.StringVar(&c.queue, "queue", queue.Out, "the `name` of the queue")
	c.profile = profileFlag(fs)
	fs.StringVar(&c.bugs, "bugs", "", "plant these bugs, a `list` with commas")
}

// newFlags are the flags of a program, whose help begins with this text.
func newFlags(program, help string) *flag.FlagSet {
	fs := flag.NewFlagSet("runner "+program, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // of what is wrong, parse tells
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: screwtape runner "+help)
		fs.PrintDefaults()
	}
	return fs
}

// parse parses the flags, which may stand anywhere before "--", and leaves the
// arguments, of which there may be so many, in fs. ok is false when the program is to
// end with this status: its help has been told, or what is wrong.
func parse(fs *flag.FlagSet, args []string, most int) (status int, ok bool) {
	arguments := []string{"--"}
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			var help bytes.Buffer
			fs.SetOutput(&help)
			fs.Usage()
			sys.Stdout.Write(help.Bytes())
			return 0, false
		} else if err != nil {
			return misused(fs, err.Error()), false
		}
		parsed := len(args) - fs.NArg()
		if fs.NArg() == 0 || parsed > 0 && args[parsed-1] == "--" {
			arguments = append(arguments, fs.Args()...)
			break
		}
		arguments, args = append(arguments, fs.Arg(0)), fs.Args()[1:]
	}
	fs.Parse(arguments)
	if fs.NArg() > most {
		return misused(fs, "unexpected argument "+strconv.Quote(fs.Arg(most))), false
	}
	return 0, true
}

// misused says what is wrong with a program's arguments. Its result is the exit
// status.
func misused(fs *flag.FlagSet, wrong string) int {
	say(fs.Name() + ": " + wrong + "; see screwtape " + fs.Name() + " --help")
	return exitUsage
}

// parse parses the flags, and gives the profile too; there are no arguments.
func (c *common) parse(fs *flag.FlagSet, args []string) (p profile.Profile, status int, ok bool) {
	if status, ok := parse(fs, args, 0); !ok {
		return p, status, false
	}
	p, err := profile.Get(*c.profile)
	if err == nil {
		bugs := profile.Bugs
		if c.queue == queue.Bounces {
			bugs = bounce.Bugs
		}
		p.Bugs, err = profile.ParseSet(c.bugs, bugs)
	}
	if err != nil {
		say("runner: " + err.Error())
		return p, exitUsage, false
	}
	return p, 0, true
}
