package sys

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"screwtape/harness/direct"
)

// Link gives the file at from the further name to.
func Link(from, to string) error {
	if Trace != nil {
		Trace("link", from, to)
	}
	f, err1 := syscall.BytePtrFromString(from)
	t, err2 := syscall.BytePtrFromString(to)
	if err1 != nil || err2 != nil {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EINVAL}
	}
	_, errno := call(syscall.SYS_LINK, uintptr(unsafe.Pointer(f)), uintptr(unsafe.Pointer(t)), 0)
	if errno != 0 {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: errno}
	}
	return nil
}

// Rmdir removes the empty directory path.
func Rmdir(path string) error { return path1("rmdir", syscall.SYS_RMDIR, path, 0) }

// A FileInfo is what a stat of a file is made for here.
type FileInfo struct {
	Nlink uint64
	Mtime time.Time
}

// StatFile looks at the file path.
func StatFile(path string) (FileInfo, error) {
	var st syscall.Stat_t
	err := path1("stat", syscall.SYS_STAT, path, uintptr(unsafe.Pointer(&st)))
	return FileInfo{uint64(st.Nlink), time.Unix(st.Mtim.Sec, st.Mtim.Nsec)}, err
}

// Utimens sets the times of access and of modification of path, both to t.
func Utimens(path string, t time.Time) error {
	if Trace != nil {
		Trace("utimens", path)
	}
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return pathErr("utimens", path, syscall.EINVAL)
	}
	ts := syscall.NsecToTimespec(t.UnixNano())
	times := [2]syscall.Timespec{ts, ts}
	cwd := atFdcwd
	_, errno := direct.Call(syscall.SYS_UTIMENSAT, uintptr(cwd), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	return pathErr("utimens", path, errno)
}

// ReadFile opens the file path, reads all of it, and closes it.
func ReadFile(path string, flags int) ([]byte, error) {
	f, err := Open(path, syscall.O_RDONLY|flags, 0)
	if err != nil {
		return nil, err
	}
	data, err := f.ReadAll()
	f.Close()
	return data, err
}

// Flock takes an exclusive lock on the whole file, waiting for it. It goes when
// the file is closed, be it by the process's death.
func (f *File) Flock() error { return f.fdCall("flock", syscall.SYS_FLOCK, syscall.LOCK_EX, 0) }

// Clock is Now as a time.Time.
func Clock() time.Time { return time.Unix(Now()) }

// SleepFor sleeps for d, or until a signal comes.
func SleepFor(d time.Duration) {
	if Trace != nil {
		Trace("sleep")
	}
	const clockMonotonic = 1
	ts := syscall.NsecToTimespec(int64(d))
	direct.Call(syscall.SYS_CLOCK_NANOSLEEP, clockMonotonic, 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
}

// Random is a number of 64 random bits, of the kernel's: a node has a source
// of its own that begins anew with each schedule.
func Random() uint64 {
	var n uint64
	const sysGetrandom = 318
	direct.Call(sysGetrandom, uintptr(unsafe.Pointer(&n)), unsafe.Sizeof(n), 0, 0, 0, 0)
	return n
}

// Pid is the process's number in its node.
func Pid() int {
	pid, _ := direct.Call(syscall.SYS_GETPID, 0, 0, 0, 0, 0, 0)
	return int(pid)
}

// Hostname is the node's name.
func Hostname() string {
	var u syscall.Utsname
	direct.Call(syscall.SYS_UNAME, uintptr(unsafe.Pointer(&u)), 0, 0, 0, 0, 0)
	var name []byte
	for _, c := range u.Nodename {
		if c == 0 {
			break
		}
		name = append(name, byte(c))
	}
	return string(name)
}

// Kill sends a signal to the process of that number; signal 0 only asks
// whether there is one.
func Kill(pid int, sig syscall.Signal) error {
	if Trace != nil {
		Trace("kill")
	}
	_, errno := direct.Call(syscall.SYS_KILL, uintptr(pid), uintptr(sig), 0, 0, 0, 0)
	if errno != 0 {
		return &os.SyscallError{Syscall: "kill", Err: errno}
	}
	return nil
}
