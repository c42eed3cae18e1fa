// Package sys makes system calls, one for one and from one thread.
//
// The runner's programs are looked at system call by system call: each of
// their calls on the share is held until the controller lets it happen. So they
// make exactly the calls that are written down, in that order, by [direct.Call],
// from which the controller knows them: package os would add calls of its own
// (fstat, epoll, fcntl), and the Go scheduler, told of a call, would hand the
// thread's work to another thread when the call is held for long.
//
// Errors are *fs.PathError and *os.LinkError with the call's name, as those of
// package os. No call is made again by this package, save where the kernel says
// EINTR: no program here asks to be interrupted other than in [Sleep].
package sys

import (
	"io/fs"
	"os"
	"syscall"
	"unsafe"

	"screwtape/harness/direct"
)

// Trace is told, when it is set, of each call before it is made, with its name and
// its paths (for calls on descriptors: none). It is for tests; programs leave
// it nil.
var Trace func(op string, paths ...string)

const (
	atFdcwd       = -100
	clockRealtime = 0
)

// MaskPreemption keeps from the calling thread the signal by which the Go runtime
// preempts: a held call would be interrupted by it.
func MaskPreemption() {
	mask := uint64(1) << (syscall.SIGURG - 1)
	direct.Call(syscall.SYS_RT_SIGPROCMASK, 0, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
}

// call makes one raw system call, again when it was interrupted.
//
//go:uintptrescapes
func call(nr, a, b, c uintptr) (int, syscall.Errno) {
	for {
		r, errno := direct.Call(nr, a, b, c, 0, 0, 0)
		if errno != syscall.EINTR {
			return int(r), errno
		}
	}
}

func pathErr(op, path string, errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: errno}
}

// path1 makes a call whose first argument is a path.
//
//go:uintptrescapes
func path1(op string, nr uintptr, path string, arg uintptr) error {
	if Trace != nil {
		Trace(op, path)
	}
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return pathErr(op, path, syscall.EINVAL)
	}
	_, errno := call(nr, uintptr(unsafe.Pointer(p)), arg, 0)
	return pathErr(op, path, errno)
}

// Open opens path, relative to the working directory, with these O_ flags and
// this mode for a file it creates (the umask is taken off).
func Open(path string, flags int, mode uint32) (*File, error) {
	if Trace != nil {
		Trace("open", path)
	}
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return nil, pathErr("open", path, syscall.EINVAL)
	}
	for {
		cwd := atFdcwd
		fd, errno := direct.Call(syscall.SYS_OPENAT, uintptr(cwd), uintptr(unsafe.Pointer(p)), uintptr(flags), uintptr(mode), 0, 0)
		switch errno {
		case 0:
			return &File{int(fd), path}, nil
		case syscall.EINTR:
			continue
		}
		return nil, pathErr("open", path, errno)
	}
}

// Unlink removes the file path.
func Unlink(path string) error { return path1("unlink", syscall.SYS_UNLINK, path, 0) }

// Mkdir makes the directory path with this mode, less the umask.
func Mkdir(path string, mode uint32) error {
	return path1("mkdir", syscall.SYS_MKDIR, path, uintptr(mode))
}

// Chmod gives path this mode.
func Chmod(path string, mode uint32) error {
	return path1("chmod", syscall.SYS_CHMOD, path, uintptr(mode))
}

// Stat says whether path can be looked at: nil, or why not.
func Stat(path string) error {
	var st syscall.Stat_t
	return path1("stat", syscall.SYS_STAT, path, uintptr(unsafe.Pointer(&st)))
}

// Rename gives the file at from the name to, in place of what had it.
func Rename(from, to string) error {
	if Trace != nil {
		Trace("rename", from, to)
	}
	f, err1 := syscall.BytePtrFromString(from)
	t, err2 := syscall.BytePtrFromString(to)
	if err1 != nil || err2 != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.EINVAL}
	}
	_, errno := call(syscall.SYS_RENAME, uintptr(unsafe.Pointer(f)), uintptr(unsafe.Pointer(t)), 0)
	if errno != 0 {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: errno}
	}
	return nil
}

// Umask sets the file mode creation mask.
func Umask(mask int) { direct.Call(syscall.SYS_UMASK, uintptr(mask), 0, 0, 0, 0, 0) }

// List names what the directory path holds, in the directory's own order and
// without "." and "..".
func List(path string, flags int) ([]string, error) {
	d, err := Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|flags, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var names []string
	buf := make([]byte, 32<<10)
	for {
		n, errno := call(syscall.SYS_GETDENTS64, uintptr(d.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		if errno != 0 {
			return nil, pathErr("readdir", path, errno)
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = syscall.ParseDirent(buf[:n], -1, names)
	}
}

// A File is an open file.
type File struct {
	fd   int
	path string
}

func (f *File) trace(op string) {
	if Trace != nil {
		Trace(op)
	}
}

// ReadAll reads from where the file stands to its end: to the first read that
// gives less than it was asked for, as C's standard input does on files.
func (f *File) ReadAll() ([]byte, error) {
	buf := make([]byte, 64<<10)
	var data []byte
	for {
		f.trace("read")
		n, errno := call(syscall.SYS_READ, uintptr(f.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		if errno != 0 {
			return data, pathErr("read", f.path, errno)
		}
		data = append(data, buf[:n]...)
		if n < len(buf) {
			return data, nil
		}
	}
}

// Write writes all of data, in one call unless the kernel takes less.
func (f *File) Write(data []byte) error {
	for len(data) > 0 {
		f.trace("write")
		n, errno := call(syscall.SYS_WRITE, uintptr(f.fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
		if errno != 0 {
			return pathErr("write", f.path, errno)
		}
		data = data[n:]
	}
	return nil
}

func (f *File) fdCall(op string, nr uintptr, a, b uintptr) error {
	f.trace(op)
	_, errno := call(nr, uintptr(f.fd), a, b)
	return pathErr(op, f.path, errno)
}

// Seek moves to offset bytes from the file's begin.
func (f *File) Seek(offset int) error {
	return f.fdCall("lseek", syscall.SYS_LSEEK, uintptr(offset), 0)
}

// Truncate cuts the file, or fills it up, to size bytes.
func (f *File) Truncate(size int) error {
	return f.fdCall("ftruncate", syscall.SYS_FTRUNCATE, uintptr(size), 0)
}

// Sync waits until the file's data is on its disk.
func (f *File) Sync() error { return f.fdCall("fsync", syscall.SYS_FSYNC, 0, 0) }

// Close closes the file. An interrupted close has closed it all the same.
func (f *File) Close() error {
	f.trace("close")
	_, errno := direct.Call(syscall.SYS_CLOSE, uintptr(f.fd), 0, 0, 0, 0, 0)
	if errno == syscall.EINTR {
		errno = 0
	}
	return pathErr("close", f.path, errno)
}

// Stdout and Stderr are the standard descriptors.
var (
	Stdout = &File{1, "/dev/stdout"}
	Stderr = &File{2, "/dev/stderr"}
)

// Now is the time in seconds and nanoseconds since 1970, by a system call: the
// vDSO would answer with the machine's clock, where the node has one of its own.
func Now() (sec, nsec int64) {
	var ts syscall.Timespec
	direct.Call(syscall.SYS_CLOCK_GETTIME, clockRealtime, uintptr(unsafe.Pointer(&ts)), 0, 0, 0, 0)
	return ts.Sec, ts.Nsec
}

// Sleep sleeps for so many seconds, or until a signal comes.
func Sleep(seconds int64) {
	if Trace != nil {
		Trace("sleep")
	}
	const clockMonotonic = 1
	ts := syscall.Timespec{Sec: seconds}
	direct.Call(syscall.SYS_CLOCK_NANOSLEEP, clockMonotonic, 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
}
