package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// entered marks, in the environment, a controller that is where it belongs. Its
// value is the CPUs that it may have, its own first, the name of the run, and of a
// further world its number.
const entered = "SCREWTAPE_CONTROLLER"

// cpus are the CPUs that controllers of this run may have, our own first.
var cpus []int

// CPUs is how many CPUs controllers of this run may have.
func CPUs() int { return max(len(cpus), 1) }

// Enter puts the controller into a process, mount and IPC namespace of its own
// (and, for an ordinary user, a user namespace), pinned to one CPU. It runs
// the executable again there with the same arguments, and in the outer process
// does not return but ends with the inner one's exit code. In the inner
// process it returns at once.
//
// Whichever of the two is killed, by whatever signal, everything that runs
// under the controller dies with it, and its mounts with that: the inner
// process is the init of its pid namespace (pid_namespaces(7)).
func Enter() error {
	if v, ok := os.LookupEnv(entered); ok {
		os.Unsetenv(entered)
		f := append(strings.Split(v, " "), "", "")
		for _, text := range strings.Split(f[0], ",") {
			if cpu, err := strconv.Atoi(text); err == nil {
				cpus = append(cpus, cpu)
			}
		}
		if run = f[1]; f[2] != "" {
			world = f[2] + "."
		} else {
			unix.CloseOnExec(lifeline)
		}
		return settleIn()
	}
	code, err := outer()
	if err != nil {
		return err
	}
	os.Exit(code)
	panic("unreachable")
}

// lifeline is a descriptor of the inner process that is closed when it dies.
const lifeline = 3

func outer() (int, error) {
	// The parent-death signal comes when the thread that forked ends.
	runtime.LockOSThread()
	var err error
	if cpus, err = allowed(); err != nil {
		return 0, err
	}
	if err := pin(cpus[0]); err != nil {
		return 0, err
	}
	Sweep()
	run = runOf(os.Getpid())
	groups := func() {
		if top, _, ok := groupTop(); ok {
			removeGroups(filepath.Join(top, groupPrefix+run))
		}
	}
	defer groups()
	dead, alive, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{alive}
	cmd.Env = append(os.Environ(), mark(cpus, ""))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	// A terminal sends Ctrl-C to both; others send TERM to this one alone.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the controller in namespaces of its own: %w (screwtape doctor says what is missing)", err)
	}
	go func() {
		for s := range signals {
			if s != syscall.SIGINT || !foreground() {
				cmd.Process.Signal(s)
			}
		}
	}()
	// It has ended only when all in its pid namespace have, and a program that a
	// freezer holds may not before its group is gone over.
	alive.Close()
	go func() {
		io.Copy(io.Discard, dead)
		groups()
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() < 0 {
			fmt.Fprintln(os.Stderr, "screwtape: the controller was", exit)
			return 255, nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// foreground reports whether a terminal delivers Ctrl-C to our whole group.
func foreground() bool {
	pgrp, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	return err == nil && pgrp == unix.Getpgrp()
}

// mark is what tells a controller that it is where it belongs.
func mark(cpus []int, world string) string {
	list := strings.Trim(strings.ReplaceAll(fmt.Sprint(cpus), " ", ","), "[]")
	return entered + "=" + list + " " + run + " " + world
}

// Beside starts a command as one more controller, with namespaces of its own
// within ours: it dies when we do. Number, from 2, is that of its world; the CPUs
// are dealt to the worlds in turn.
func Beside(cmd *exec.Cmd, number int) error {
	i := (number - 1) % CPUs()
	its := append(slices.Clone(cpus[i:]), cpus[:i]...)
	cmd.Env = append(os.Environ(), mark(its, strconv.Itoa(number)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC}
	// It inherits the CPU of the thread that forks it, and with it all threads
	// that it has before it can do anything.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := pin(its[0]); err != nil {
		return err
	}
	return errors.Join(cmd.Start(), pin(cpus[0]))
}

// allowed are the CPUs that this process may use. Two controllers side by side
// begin with different ones where they can.
func allowed() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read the CPU affinity: %w", err)
	}
	var list []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	first := os.Getpid() % len(list)
	return append(list[first:], list[:first]...), nil
}

// pin binds this thread, and what it starts, to a CPU: a FUSE round trip on one
// CPU costs a fifth of one across two (docs/gate.md).
func pin(cpu int) error {
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("pin to CPU %d: %w", cpu, err)
	}
	return nil
}

// settleIn makes the new namespaces usable: mounts stay private, and /proc
// shows the new pid namespace.
func settleIn() error {
	// On one CPU Go would have one processor for goroutines, which its sysmon
	// takes, every 20 us, from the loop that waits for programs: a schedule takes
	// half as long when another one is free for the mail sink.
	runtime.GOMAXPROCS(2)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	openOuterProc()
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc for the controller's pid namespace: %w", err)
	}
	return nil
}

// Outside tells whether this process still is the outer one, that is whether
// Enter would start the controller.
func Outside() bool {
	_, ok := os.LookupEnv(entered)
	return !ok && !inOwnNamespace()
}

func inOwnNamespace() bool {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "Pid:" {
			return f[1] == "1"
		}
	}
	return false
}
