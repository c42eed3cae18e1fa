package node

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AgentName is the argv[0] under which the executable is a node's agent.
const AgentName = "screwtape-agent"

// The agent is pid 1 of its node. It lays out what programs see, hands the
// controller the seccomp listener and the mail port, starts programs, and
// reaps them. When it dies everything in the node dies.

// setup is the first message to the agent; its descriptors are the mounts, in
// order of Mounts.
type setup struct {
	Host    string   // host name of the node
	Mounts  []string // where the mounts go, such as "/shared"
	Scratch []string // directories that the node has for itself
	Group   bool     // a last descriptor is the cgroup in which programs start
}

// A launch asks the agent to start a program; its first descriptor becomes the
// program's standard output and error, any others are open in it from 3 on.
type launch struct {
	Path    string
	Args    []string // with argv[0]
	Env     []string
	Dir     string
	PID     int // in the node's pid namespace
	NextPID int // not a launch: what forks next gets this pid
	Filter  Filter
	// Apart is a process that is not in the programs' cgroup.
	Apart bool
}

// A report is what the agent says: it is ready (PID 0, with descriptors), a
// program was started, a program ended, or something failed.
type report struct {
	Error   string
	Started bool
	Set     bool // the next pid is set
	PID     int  // in the node's pid namespace
	Status  int  // wait status of one that ended
}

// Agent is the main function of a node's agent. The control socket is
// descriptor 3.
func Agent() {
	const fd = 3
	unix.CloseOnExec(fd) // no program's business, nor may one keep it open
	control := newWire(fd)
	err := agent(control)
	control.send(report{Error: err.Error()})
	os.Exit(1)
}

// agent serves the controller, and returns only when something is wrong.
func agent(control *wire) error {
	var s setup
	mounts, err := control.receive(&s)
	if err != nil {
		return err
	}
	group := -1
	if s.Group {
		last := len(mounts) - 1
		mounts, group = mounts[:last], mounts[last]
	}
	if err := layOut(s, mounts); err != nil {
		return err
	}
	makeThreads()
	mail, err := net.Listen("tcp", "127.0.0.1:25")
	if err != nil {
		return fmt.Errorf("listen on the node's mail port: %w", err)
	}
	port, err := mail.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	// A filter is inherited by what a thread starts, so for each of them there
	// is a thread that has it and does nothing but start programs.
	var launchers [filters]chan<- order
	var traps [filters]*os.File
	files := make([]int, filters, filters+1)
	for f := range Filter(filters) {
		if launchers[f], traps[f], err = newLauncher(f); err != nil {
			return err
		}
		files[f] = int(traps[f].Fd())
	}
	if err := control.send(report{}, append(files, int(port.Fd()))...); err != nil {
		return err
	}
	for _, trap := range traps {
		trap.Close()
	}
	port.Close()
	mail.Close()

	null, err := os.Open("/dev/null")
	if err != nil {
		return err
	}
	born := make(chan struct{}, 1)
	go reap(control, born)
	for {
		var l launch
		files, err := control.receive(&l)
		if err != nil {
			return err // the controller is gone
		}
		if l.NextPID != 0 {
			awaitTaken()
			if err := setLastPID(l.NextPID - 1); err != nil {
				return err
			}
			control.send(report{Set: true})
			continue
		}
		o := order{launch: l, files: files, group: group, done: make(chan error)}
		if l.Apart {
			o.group = -1
		}
		awaitFree(null, l.PID)
		launchers[l.Filter] <- o
		if err := <-o.done; err != nil {
			control.send(report{Error: err.Error(), PID: l.PID, Started: true})
		} else {
			control.send(report{PID: l.PID, Started: true})
		}
		select {
		case born <- struct{}{}:
		default: // the reaper has not taken the last one yet
		}
		for _, fd := range files {
			unix.Close(fd)
		}
	}
}

// makeThreads has the Go runtime make all the threads that it will want, by
// goroutines that block in the kernel side by side. A thread takes a pid; one
// that is made just before a program forks would take the program's.
func makeThreads() {
	const threads = 8
	var pipe [2]int
	if unix.Pipe2(pipe[:], unix.O_CLOEXEC) != nil {
		return
	}
	var blocked atomic.Int32
	var done sync.WaitGroup
	for range threads {
		done.Go(func() {
			blocked.Add(1)
			unix.Read(pipe[0], make([]byte, 1))
		})
	}
	for blocked.Load() < threads {
		runtime.Gosched()
	}
	unix.Close(pipe[1])
	done.Wait()
	unix.Close(pipe[0])
}

type order struct {
	launch
	files []int
	group int // descriptor of its cgroup, or -1
	done  chan error
}

// newLauncher makes a thread that carries a filter and starts what it is
// ordered to. It returns the filter's listener.
func newLauncher(f Filter) (chan<- order, *os.File, error) {
	orders := make(chan order)
	type made struct {
		trap *os.File
		err  error
	}
	ready := make(chan made)
	go func() {
		runtime.LockOSThread()
		trap, err := install(f)
		ready <- made{trap, err}
		if err == nil {
			launcher(f, orders)
		}
	}()
	m := <-ready
	return orders, m.trap, m.err
}

// launcher starts programs from the thread that it runs on.
func launcher(f Filter, orders <-chan order) {
	// Addresses that differ from run to run reach decisions, as the order of
	// hash tables; the personality is inherited (personality(2)).
	unix.Syscall(unix.SYS_PERSONALITY, addrNoRandomize, 0, 0)
	if f == Direct {
		// Nothing in a built-in program waits by the machine's clock but Go's
		// sysmon, for nobody: 20 us at first, which stops whatever else is on
		// the CPU. It is inherited too (PR_SET_TIMERSLACK(2const)).
		unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(sysmonSlack), 0, 0, 0)
	}
	null, _ := os.Open("/dev/null")
	for o := range orders {
		o.done <- start(o, int(null.Fd()))
	}
}

const (
	addrNoRandomize = 0x0040000 // ADDR_NO_RANDOMIZE
	sysmonSlack     = 10 * time.Millisecond
)

// lastPID is where the kernel is told which pid it gave out last in our
// namespace; it gives out the number after that next (pid_namespaces(7)). It is
// -1 where that cannot be told.
var lastPID = sync.OnceValue(func() int {
	fd, err := unix.Open("/proc/sys/kernel/ns_last_pid", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
})

// setLastPID has the kernel give out the number after pid next. Call awaitTaken
// before.
func setLastPID(pid int) error {
	fd := lastPID()
	if fd < 0 {
		return nil
	}
	promised = strconv.Itoa(pid)
	text := []byte(promised)
	// A raw call: during any other the Go runtime may hand the processor on,
	// and a thread that it makes for that would take the number.
	_, _, errno := unix.RawSyscall6(unix.SYS_PWRITE64, uintptr(fd), uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("set the next pid: %w", errno)
	}
	return nil
}

// promised is the number that was set last, by one order after the other.
var promised string

// awaitTaken waits until the number after the one that was set last has been
// given out: whoever it is for was only just let go. A fork that failed takes
// none, so it waits for 20,000 pauses at most, which are one to two seconds.
func awaitTaken() {
	fd := lastPID()
	if fd < 0 {
		return
	}
	pause := unix.Timespec{Nsec: 50_000}
	for range 20_000 {
		var text [16]byte
		n, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)), 0, 0, 0)
		if errno != 0 || strings.TrimSpace(string(text[:n])) != promised {
			return
		}
		unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
	}
}

// start forks the program with the pid it shall have.
func start(o order, null int) error {
	awaitTaken()
	reaping.Lock()
	defer reaping.Unlock()
	if err := setLastPID(o.PID - 1); err != nil {
		return err
	}
	files := []uintptr{uintptr(null), uintptr(o.files[0]), uintptr(o.files[0])}
	for _, fd := range o.files[1:] {
		files = append(files, uintptr(fd))
	}
	pid, err := syscall.ForkExec(o.Path, o.Args, &syscall.ProcAttr{
		Dir:   o.Dir,
		Env:   o.Env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true, UseCgroupFD: o.group >= 0, CgroupFD: max(o.group, 0)},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", o.Path, err)
	}
	if pid != o.PID && lastPID() >= 0 {
		unix.Kill(pid, unix.SIGKILL)
		return fmt.Errorf("start %s: got pid %d, wanted %d", o.Path, pid, o.PID)
	}
	return nil
}

// reaping is locked while a program is started: one that could not be executed is
// reaped there, and nobody is told of it.
var reaping sync.Mutex

// awaitFree waits until the number can be given out. Not only a process keeps it, but
// a process group and a session too, and the kernel takes it back a moment after they
// are gone (release_task() frees it last). F_SETOWN of fcntl(2) looks for the number
// itself, where kill(2) looks for who has it.
func awaitFree(file *os.File, pid int) {
	for range 5000 {
		if _, err := unix.FcntlInt(file.Fd(), unix.F_SETOWN, pid); err == unix.ESRCH {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// reap waits for every child, also those that a program left behind. Without
// any it waits until one is born. One that could not execute its program is seen
// here and reaped by who started it, so that there may be none any more.
func reap(control *wire, born <-chan struct{}) {
	for {
		var status unix.WaitStatus
		var pid int
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			reaping.Lock()
			pid, err = unix.Wait4(-1, &status, unix.WNOHANG, nil)
			reaping.Unlock()
		}
		switch {
		case pid > 0:
			control.send(report{PID: pid, Status: int(status)})
		case err == unix.ECHILD:
			<-born
		}
	}
}

// layOut makes the node's root: all of the host's top directories, and the
// mounts at their places.
func layOut(s setup, mounts []int) error {
	if err := unix.Sethostname([]byte(s.Host)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the node's mounts private: %w", err)
	}
	// The new root is built on top of /tmp, which shows again inside it.
	tmp, err := unix.OpenTree(unix.AT_FDCWD, "/tmp", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("keep /tmp: %w", err)
	}
	if err := unix.Mount("root", "/tmp", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount the node's root: %w", err)
	}
	if err := rebuild("/tmp", append(mounts, tmp), append(s.Mounts, "/tmp")); err != nil {
		return err
	}
	for _, dir := range s.Scratch {
		if err := unix.Mount("scratch", dir, "tmpfs", 0, "mode=1777"); err != nil {
			return fmt.Errorf("mount scratch on %s: %w", dir, err)
		}
	}
	// No connection that has ended keeps its port for a minute (TIME-WAIT), of real
	// time: a server that is started again finds its own free. Where that cannot be
	// set for a network namespace, one that does not ask for SO_REUSEADDR fails, and
	// says so.
	os.WriteFile("/proc/sys/net/ipv4/tcp_max_tw_buckets", []byte("0"), 0)
	return nil
}

// rebuild binds the old root's entries below top, puts the mounts in their
// places, and makes top the root.
func rebuild(top string, mounts []int, places []string) error {
	old, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range old {
		from, to := "/"+e.Name(), filepath.Join(top, e.Name())
		switch {
		case e.Name() == "proc" || e.Name() == "tmp":
		case e.Type()&os.ModeSymlink != 0:
			if target, err := os.Readlink(from); err == nil {
				os.Symlink(target, to)
			}
		case e.IsDir():
			if err := os.Mkdir(to, 0o755); err != nil {
				return err
			}
			if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
				return fmt.Errorf("bind %s: %w", from, err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(top, "proc"), 0o755); err != nil {
		return err
	}
	if err := unix.Mount("proc", filepath.Join(top, "proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("mount the node's /proc: %w", err)
	}
	for i, place := range places {
		to := filepath.Join(top, place)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := unix.MoveMount(mounts[i], "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mount %s: %w", place, err)
		}
		unix.Close(mounts[i])
	}
	if err := unix.Chdir(top); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("enter the node's root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	return unix.Chdir("/")
}

// loopbackUp brings lo up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return nil
}
