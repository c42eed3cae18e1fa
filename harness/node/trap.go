package node

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Trap is the listening end of a seccomp filter: the system calls of Calls,
// made by any process that inherited the filter, wait here at their entry,
// before the kernel has taken a lock for them (seccomp_unotify(2)).
type Trap struct {
	file *os.File
}

// A Held is one system call that waits at its entry.
type Held struct {
	ID   uint64 // of the notification
	TID  int    // the calling thread, in the controller's pid namespace
	Nr   int    // number of the system call
	Args [6]uint64
}

// install puts the filter on the calling thread, which must be locked, and on
// whatever it starts from now on. It returns the listening descriptor.
func install() (*os.File, error) {
	prog := filter()
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	// With WAIT_KILLABLE_RECV a signal that a runtime sends to itself (Go's
	// preemption) does not make the kernel report the same call twice.
	for _, extra := range []uintptr{unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 0} {
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags|extra, uintptr(unsafe.Pointer(&fprog)))
		if errno == unix.EINVAL && extra != 0 {
			continue
		}
		if errno != 0 {
			return nil, fmt.Errorf("seccomp filter: %w", errno)
		}
		return os.NewFile(fd, "seccomp"), nil
	}
	panic("unreachable")
}

// filter is the program: the calls of Calls wait, io_uring does not exist
// (what is submitted there would pass unseen), all else goes on.
func filter() []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
	)
	prog := []unix.SockFilter{
		{Code: load, K: 4}, // seccomp_data.arch
		{Code: equal, K: unix.AUDIT_ARCH_X86_64, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: load, K: 0}, // seccomp_data.nr
		{Code: equal, K: unix.SYS_IO_URING_SETUP, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	}
	for _, nr := range numbers() {
		prog = append(prog,
			unix.SockFilter{Code: equal, K: uint32(nr), Jf: 1},
			unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	return append(prog, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
}

// syncWakeUp asks the kernel to run the one that is woken on the waker's CPU:
// controller and programs share one (Linux 6.6 and newer; without it only
// speed is lost).
const (
	ioctlSetFlags = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS
	syncWakeUp    = 1          // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
)

func newTrap(file *os.File) *Trap {
	unix.Syscall(unix.SYS_IOCTL, file.Fd(), ioctlSetFlags, syncWakeUp)
	return &Trap{file}
}

// Fd is the descriptor to poll: readable when a call has come.
func (t *Trap) Fd() int { return int(t.file.Fd()) }

// notif is struct seccomp_notif.
type notif struct {
	id    uint64
	pid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// resp is struct seccomp_notif_resp.
type resp struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

// Next takes the next call that has come. ok is false when its process died
// in the meantime. Call it only after Fd was found readable: it would wait.
func (t *Trap) Next() (h Held, ok bool, err error) {
	var n notif
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, t.file.Fd(), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		switch errno {
		case 0:
			return Held{ID: n.id, TID: int(n.pid), Nr: int(n.nr), Args: n.args}, true, nil
		case unix.EINTR:
			continue
		case unix.ENOENT:
			return Held{}, false, nil
		default:
			return Held{}, false, fmt.Errorf("receive a trapped call: %w", errno)
		}
	}
}

// Continue lets the call happen. It reports false when the caller has died.
func (t *Trap) Continue(id uint64) bool {
	return t.send(resp{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

// Return answers the call without letting it happen: with value, or with an
// error when errno is not 0.
func (t *Trap) Return(id uint64, value int64, errno unix.Errno) bool {
	return t.send(resp{id: id, val: value, errno: -int32(errno)})
}

func (t *Trap) send(r resp) bool {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, t.file.Fd(), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	runtime.KeepAlive(t)
	return errno == 0
}

// Close gives the listener up; calls that come after that fail with ENOSYS.
func (t *Trap) Close() error { return t.file.Close() }
