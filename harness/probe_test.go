package harness

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"screwtape/harness/direct"
)

// probeName is the argv[0] under which the test binary is the probe: a program
// that makes the calls it is told to, one at a time, by raw system calls. It
// sleeps before each, so that whoever wakes it decides when the next one comes.
const probeName = "screwtape-probe"

func init() {
	if os.Args[0] == probeName {
		runtime.LockOSThread() // raw calls come from the main thread
	}
}

// How long the two roles sleep: the test tells them apart by that.
const (
	slowSleep = 1 * time.Second // its call is the one that is held
	fastSleep = 2 * time.Second // its call has to go on meanwhile
)

// A probeCall is one call of the table.
type probeCall struct {
	name string // of the system call, and what is special
	nr   int
	args []any
	verb string // of the decision at which it is held; "" where it passes
	// prepare and after are what is done before and after, not measured.
	prepare, after func(p *prober)
}

// Placeholders in the arguments of a call.
type (
	at    string    // a directory descriptor and a name below it
	alone string    // a path alone
	fd    string    // an open descriptor: "common", "source", "second", "dir", "spare"
	blank struct{}  // a pointer to 4 KiB of zeros
	iovec struct{}  // a pointer to one struct iovec with a page
	ints  [4]uint32 // a pointer to four words
)

const writeLock = 1 // struct flock of F_WRLCK on all of the file: l_type is the first short

func flockOf(kind uint32) ints { return ints{kind} }

// probeCalls are all calls that are trapped, and those held at a request, and
// a few that pass. The directory has a file f, an empty directory e, a link l,
// no n, and the files common and second, which are open.
var probeCalls = []probeCall{
	{name: "open", nr: unix.SYS_OPEN, args: []any{alone("f"), unix.O_RDWR}, verb: "open", after: closeResult},
	{name: "openat", nr: unix.SYS_OPENAT, args: []any{at("f"), unix.O_RDONLY}, verb: "open", after: closeResult},
	{name: "openat new", nr: unix.SYS_OPENAT, args: []any{at("n"), unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY, 0o644}, verb: "open", after: closeResult},
	{name: "openat trunc", nr: unix.SYS_OPENAT, args: []any{at("f"), unix.O_TRUNC | unix.O_WRONLY}, verb: "open", after: closeResult},
	{name: "openat dir", nr: unix.SYS_OPENAT, args: []any{at("."), unix.O_DIRECTORY}, verb: "open", after: closeResult},
	{name: "openat2", nr: unix.SYS_OPENAT2, args: []any{at("f"), blank{}, 24}, verb: "open", after: closeResult},
	{name: "creat", nr: unix.SYS_CREAT, args: []any{alone("n"), 0o644}, verb: "open", after: closeResult},
	{name: "rename", nr: unix.SYS_RENAME, args: []any{alone("f"), alone("n")}, verb: "rename"},
	{name: "renameat", nr: unix.SYS_RENAMEAT, args: []any{at("f"), at("n")}, verb: "rename"},
	{name: "renameat2", nr: unix.SYS_RENAMEAT2, args: []any{at("f"), at("second"), unix.RENAME_EXCHANGE}, verb: "rename"},
	{name: "link", nr: unix.SYS_LINK, args: []any{alone("f"), alone("n")}, verb: "link"},
	{name: "linkat", nr: unix.SYS_LINKAT, args: []any{at("f"), at("n"), 0}, verb: "link"},
	{name: "symlink", nr: unix.SYS_SYMLINK, args: []any{raw("f"), alone("n")}, verb: "symlink"},
	{name: "symlinkat", nr: unix.SYS_SYMLINKAT, args: []any{raw("f"), at("n")}, verb: "symlink"},
	{name: "unlink", nr: unix.SYS_UNLINK, args: []any{alone("f")}, verb: "unlink"},
	{name: "unlinkat", nr: unix.SYS_UNLINKAT, args: []any{at("f"), 0}, verb: "unlink"},
	{name: "mkdir", nr: unix.SYS_MKDIR, args: []any{alone("n"), 0o755}, verb: "mkdir"},
	{name: "mkdirat", nr: unix.SYS_MKDIRAT, args: []any{at("n"), 0o755}, verb: "mkdir"},
	{name: "rmdir", nr: unix.SYS_RMDIR, args: []any{alone("e")}, verb: "rmdir"},
	{name: "mknod", nr: unix.SYS_MKNOD, args: []any{alone("n"), unix.S_IFREG | 0o644, 0}, verb: "mknod"},
	{name: "mknodat", nr: unix.SYS_MKNODAT, args: []any{at("n"), unix.S_IFREG | 0o644, 0}, verb: "mknod"},
	{name: "stat", nr: unix.SYS_STAT, args: []any{alone("f"), blank{}}, verb: "stat"},
	{name: "lstat", nr: unix.SYS_LSTAT, args: []any{alone("l"), blank{}}, verb: "stat"},
	{name: "newfstatat", nr: unix.SYS_NEWFSTATAT, args: []any{at("f"), blank{}, 0}, verb: "stat"},
	{name: "newfstatat empty", nr: unix.SYS_NEWFSTATAT, args: []any{fd("common"), raw(""), blank{}, unix.AT_EMPTY_PATH}, verb: "stat"},
	{name: "newfstatat null", nr: unix.SYS_NEWFSTATAT, args: []any{fd("common"), 0, blank{}, unix.AT_EMPTY_PATH}, verb: "stat"},
	{name: "statx", nr: unix.SYS_STATX, args: []any{at("f"), 0, unix.STATX_BASIC_STATS, blank{}}, verb: "stat"},
	{name: "statx empty", nr: unix.SYS_STATX, args: []any{fd("dir"), raw(""), unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, blank{}}, verb: "stat"},
	{name: "access", nr: unix.SYS_ACCESS, args: []any{alone("f"), 4}, verb: "access"},
	{name: "faccessat", nr: unix.SYS_FACCESSAT, args: []any{at("f"), 4}, verb: "access"},
	{name: "faccessat2", nr: unix.SYS_FACCESSAT2, args: []any{at("f"), 4, 0}, verb: "access"},
	{name: "readlink", nr: unix.SYS_READLINK, args: []any{alone("l"), blank{}, 100}, verb: "readlink"},
	{name: "readlinkat", nr: unix.SYS_READLINKAT, args: []any{at("l"), blank{}, 100}, verb: "readlink"},
	{name: "statfs", nr: unix.SYS_STATFS, args: []any{alone("f"), blank{}}, verb: "statfs"},
	{name: "chdir", nr: unix.SYS_CHDIR, args: []any{alone(".")}, verb: "chdir"},
	{name: "chmod", nr: unix.SYS_CHMOD, args: []any{alone("f"), 0o644}, verb: "chmod"},
	{name: "fchmodat", nr: unix.SYS_FCHMODAT, args: []any{at("f"), 0o644}, verb: "chmod"},
	{name: "fchmodat2", nr: unix.SYS_FCHMODAT2, args: []any{at("f"), 0o644, 0}, verb: "chmod"},
	{name: "chown", nr: unix.SYS_CHOWN, args: []any{alone("f"), 0, 0}, verb: "chown"},
	{name: "lchown", nr: unix.SYS_LCHOWN, args: []any{alone("l"), 0, 0}, verb: "chown"},
	{name: "fchownat", nr: unix.SYS_FCHOWNAT, args: []any{at("f"), 0, 0, 0}, verb: "chown"},
	{name: "utime", nr: unix.SYS_UTIME, args: []any{alone("f"), 0}, verb: "utimens"},
	{name: "utimes", nr: unix.SYS_UTIMES, args: []any{alone("f"), 0}, verb: "utimens"},
	{name: "futimesat", nr: unix.SYS_FUTIMESAT, args: []any{at("f"), 0}, verb: "utimens"},
	{name: "utimensat", nr: unix.SYS_UTIMENSAT, args: []any{at("f"), 0, 0}, verb: "utimens"},
	{name: "utimensat null", nr: unix.SYS_UTIMENSAT, args: []any{fd("common"), 0, 0, 0}, verb: "utimens"},
	{name: "truncate", nr: unix.SYS_TRUNCATE, args: []any{alone("f"), 3}, verb: "truncate"},
	{name: "write", nr: unix.SYS_WRITE, args: []any{fd("common"), blank{}, 10}, verb: "write"},
	{name: "pwrite64", nr: unix.SYS_PWRITE64, args: []any{fd("common"), blank{}, 10, 5}, verb: "write"},
	{name: "writev", nr: unix.SYS_WRITEV, args: []any{fd("common"), iovec{}, 1}, verb: "write"},
	{name: "pwritev", nr: unix.SYS_PWRITEV, args: []any{fd("common"), iovec{}, 1, 0, 0}, verb: "write"},
	{name: "pwritev2", nr: unix.SYS_PWRITEV2, args: []any{fd("common"), iovec{}, 1, 0, 0, 0}, verb: "write"},
	{name: "sendfile", nr: unix.SYS_SENDFILE, args: []any{fd("common"), fd("second"), 0, 20}, verb: "sendfile"},
	{name: "copy_file_range", nr: unix.SYS_COPY_FILE_RANGE, args: []any{fd("second"), ints{}, fd("common"), ints{}, 20, 0}, verb: "copy"},
	{name: "splice", nr: unix.SYS_SPLICE, args: []any{fd("pipe"), 0, fd("common"), 0, 1, 0}, verb: "splice", prepare: fillPipe},
	{name: "fstat", nr: unix.SYS_FSTAT, args: []any{fd("common"), blank{}}, verb: "stat"},
	{name: "fsync", nr: unix.SYS_FSYNC, args: []any{fd("common")}, verb: "fsync"},
	{name: "fdatasync", nr: unix.SYS_FDATASYNC, args: []any{fd("common")}, verb: "fsync"},
	{name: "ftruncate", nr: unix.SYS_FTRUNCATE, args: []any{fd("common"), 100}, verb: "truncate"},
	{name: "fallocate", nr: unix.SYS_FALLOCATE, args: []any{fd("common"), 0, 0, 200}, verb: "fallocate"},
	{name: "fchmod", nr: unix.SYS_FCHMOD, args: []any{fd("common"), 0o644}, verb: "chmod"},
	{name: "fchown", nr: unix.SYS_FCHOWN, args: []any{fd("common"), 0, 0}, verb: "chown"},

	{name: "read", nr: unix.SYS_READ, args: []any{fd("second"), blank{}, 10}, verb: "read", prepare: rewind},
	{name: "pread64", nr: unix.SYS_PREAD64, args: []any{fd("common"), blank{}, 10, 0}, verb: "read"},
	{name: "flock", nr: unix.SYS_FLOCK, args: []any{fd("common"), unix.LOCK_EX | unix.LOCK_NB}, verb: "flock", after: func(p *prober) { p.sys(unix.SYS_FLOCK, fd("common"), unix.LOCK_UN) }},
	{name: "fcntl setlk", nr: unix.SYS_FCNTL, args: []any{fd("common"), unix.F_SETLK, flockOf(writeLock)}, verb: "lock", after: func(p *prober) { p.sys(unix.SYS_FCNTL, fd("common"), unix.F_SETLK, flockOf(unix.F_UNLCK)) }},
	{name: "fcntl getlk", nr: unix.SYS_FCNTL, args: []any{fd("common"), unix.F_GETLK, flockOf(writeLock)}, verb: "getlk"},
	{name: "close", nr: unix.SYS_CLOSE, args: []any{fd("spare")}, verb: "close", prepare: func(p *prober) {
		p.fds["spare"] = p.sys(unix.SYS_OPENAT, at("f"), unix.O_RDWR|unix.O_CREAT, 0o644)
		p.sys(unix.SYS_FCNTL, fd("spare"), unix.F_SETLK, flockOf(unix.F_RDLCK))
	}},

	{name: "close unlocked", nr: unix.SYS_CLOSE, args: []any{fd("spare")}, prepare: func(p *prober) {
		p.fds["spare"] = p.sys(unix.SYS_OPENAT, at("common"), unix.O_RDONLY)
	}},
	{name: "getdents64", nr: unix.SYS_GETDENTS64, args: []any{fd("dir"), blank{}, 4096}},
	{name: "lseek", nr: unix.SYS_LSEEK, args: []any{fd("common"), 0, unix.SEEK_END}},
}

type raw string // a string that is no path of the share

func closeResult(p *prober) {
	if p.result >= 0 {
		p.sys(unix.SYS_CLOSE, p.result)
	}
}

func rewind(p *prober) { p.sys(unix.SYS_LSEEK, fd("second"), 0, unix.SEEK_SET) }

func fillPipe(p *prober) { p.sys(unix.SYS_WRITE, fd("pipe in"), blank{}, 1) }

// A prober makes calls in one of the shapes that a path can have.
type prober struct {
	dir    int    // directory descriptor of relative paths
	prefix string // of paths that go with dir
	plain  string // of paths without one
	fds    map[string]int
	result int
	// block has the calls go through the Go scheduler, for more than one thread.
	block bool
	keep  []any // what the kernel is pointed to
}

// sys makes one system call and returns its result, or -errno.
func (p *prober) sys(nr int, args ...any) int {
	var a [6]uintptr
	n := 0
	put := func(v uintptr) { a[n] = v; n++ }
	pointer := func(b []byte) {
		p.keep = append(p.keep, b)
		put(uintptr(unsafe.Pointer(&b[0])))
	}
	for _, arg := range args {
		switch v := arg.(type) {
		case int:
			put(uintptr(v))
		case at:
			put(uintptr(p.dir))
			pointer(append([]byte(p.prefix+string(v)), 0))
		case alone:
			pointer(append([]byte(p.plain+string(v)), 0))
		case raw:
			pointer(append([]byte(v), 0))
		case fd:
			put(uintptr(p.fds[string(v)]))
		case blank:
			pointer(make([]byte, 4096))
		case iovec:
			page := make([]byte, 4096)
			iov := &unix.Iovec{Base: &page[0], Len: 10}
			p.keep = append(p.keep, iov)
			put(uintptr(unsafe.Pointer(iov)))
		case ints:
			b := make([]byte, 64)
			for i, w := range v {
				*(*uint32)(unsafe.Pointer(&b[4*i])) = w
			}
			pointer(b)
		default:
			panic(fmt.Sprintf("argument %T", arg))
		}
	}
	r, errno := p.call(uintptr(nr), a)
	p.keep = p.keep[:0]
	if errno != 0 {
		return -int(errno)
	}
	return int(r)
}

func (p *prober) sleep(d time.Duration) {
	p.sys(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, ints{uint32(d / time.Second)}, 0)
}

func (p *prober) call(nr uintptr, a [6]uintptr) (uintptr, syscall.Errno) {
	if p.block {
		r, _, errno := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		return r, errno
	}
	return direct.Call(nr, a[0], a[1], a[2], a[3], a[4], a[5])
}

// newProber opens what the calls need, in a shape: "absolute", "cwd" or "dirfd".
func newProber(shape string) *prober {
	p := &prober{dir: unix.AT_FDCWD, prefix: "/shared/d/", plain: "/shared/d/", fds: map[string]int{}}
	p.sys(unix.SYS_SYMLINK, raw("f"), alone("l"))
	p.fds["dir"] = p.sys(unix.SYS_OPEN, raw("/shared/d"), unix.O_DIRECTORY)
	switch shape {
	case "cwd":
		p.sys(unix.SYS_CHDIR, raw("/shared/d"))
		p.prefix, p.plain = "", ""
	case "dirfd":
		p.dir, p.prefix = p.fds["dir"], ""
	}
	p.fds["common"] = p.sys(unix.SYS_OPENAT, at("common"), unix.O_RDWR)
	p.fds["second"] = p.sys(unix.SYS_OPENAT, at("second"), unix.O_RDWR)
	var pipe [2]int
	unix.Pipe2(pipe[:], 0)
	p.fds["pipe"], p.fds["pipe in"] = pipe[0], pipe[1]
	return p
}

// act makes the calls, each of them times times over, until all were made
// rounds times.
func (p *prober) act(calls []probeCall, times, rounds int, sleep time.Duration) {
	for range rounds {
		for _, c := range calls {
			for range times {
				p.sleep(sleep)
				if c.prepare != nil {
					c.prepare(p)
				}
				p.sleep(sleep)
				p.result = p.sys(c.nr, c.args...)
				if c.after != nil {
					c.after(p)
				}
			}
		}
	}
	for {
		p.sleep(sleep)
	}
}

// callsNamed are the calls with these names, or all.
func callsNamed(names string) []probeCall {
	switch names {
	case "all":
		return probeCalls
	case "kinds": // the first of each verb
		var list []probeCall
		for _, c := range probeCalls {
			if c.verb == "" || !slices.ContainsFunc(list, func(o probeCall) bool { return o.verb == c.verb }) {
				list = append(list, c)
			}
		}
		return list
	}
	var list []probeCall
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(probeCalls, func(c probeCall) bool { return c.name == name })
		if i < 0 {
			panic("no call " + name)
		}
		list = append(list, probeCalls[i])
	}
	return list
}

// probe is the main function of the probe:
//
//	slow SHAPE CALLS OTHERS   makes each call once for each of the others
//	fast SHAPE CALLS OTHERS   makes all calls, as often as there are others
//	parent SHAPE CALLS OTHERS is slow, and has a child that is fast
//	threads SHAPE CALLS OTHERS is slow on one thread and fast on another
func probe(args []string) int {
	if f, ok := probes[args[0]]; ok {
		return f(args[1:])
	}
	calls, others := callsNamed(args[2]), callsNamed(args[3])
	switch args[0] {
	case "fast":
		newProber(args[1]).act(calls, 1, len(others), fastSleep)
	case "parent":
		_, err := syscall.ForkExec("/proc/self/exe", []string{probeName, "fast", args[1], args[3], args[2]},
			&syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Env: os.Environ()})
		if err != nil {
			fmt.Println(err)
			return 1
		}
	case "threads":
		go func() {
			runtime.LockOSThread()
			p := newProber(args[1])
			p.block = true
			p.act(others, 1, len(calls), fastSleep)
		}()
	}
	p := newProber(args[1])
	p.block = args[0] == "threads"
	p.act(calls, len(others), 1, slowSleep)
	return 0
}

// probes are the probe's other main functions, by their first argument.
var probes = map[string]func(args []string) int{
	"start": func([]string) int { return 0 },
	"loop": func(args []string) int { // a call N times
		n, _ := strconv.Atoi(args[1])
		p := newProber("absolute")
		c := callsNamed(args[0])[0]
		p.sleep(slowSleep)
		for range n {
			p.sys(c.nr, c.args...)
		}
		p.sleep(slowSleep)
		return 0
	},
}

func init() {
	probes["goroutines"] = goroutines
	probes["lock"] = lockInTurn
	probes["map"] = mapFile
}

// goroutines has one goroutine rename a file, and others make files, through
// the os package.
func goroutines([]string) int {
	done := make(chan error)
	go func() { done <- os.Rename("/shared/d/f", "/shared/d/renamed") }()
	for g := range 3 {
		go func() {
			var err error
			for i := range 3 {
				err = errors.Join(err, os.WriteFile(fmt.Sprintf("/shared/d/e/%d.%d", g, i), []byte("x"), 0o644))
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

// lockInTurn takes a lock on a file, "flock" or "posix", waiting for it, and
// gives it up: with "close" by closing the file, with "exit" by ending.
func lockInTurn(args []string) int {
	p := newProber("absolute")
	if args[0] == "flock" {
		p.result = p.sys(unix.SYS_FLOCK, fd("common"), unix.LOCK_EX)
	} else {
		p.result = p.sys(unix.SYS_FCNTL, fd("common"), unix.F_SETLKW, flockOf(writeLock))
	}
	if p.result != 0 {
		return 1
	}
	p.sys(unix.SYS_WRITE, fd("common"), blank{}, 1)
	switch args[1] {
	case "close":
		p.sys(unix.SYS_CLOSE, fd("common"))
	case "unlock":
		if args[0] == "flock" {
			p.sys(unix.SYS_FLOCK, fd("common"), unix.LOCK_UN)
		} else {
			p.sys(unix.SYS_FCNTL, fd("common"), unix.F_SETLK, flockOf(unix.F_UNLCK))
		}
	}
	return 0
}

// mapFile maps a file of the share, reads it, and stores to it.
func mapFile([]string) int {
	f, err := os.OpenFile("/shared/d/second", os.O_RDWR, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	data, err := unix.Mmap(int(f.Fd()), 0, 10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		fmt.Println("mmap:", err)
		return 1
	}
	fmt.Printf("%s\n", data)
	copy(data, "THE")
	if err := unix.Msync(data, unix.MS_SYNC); err != nil {
		fmt.Println("msync:", err)
		return 1
	}
	return 0
}
