package node

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"screwtape/harness/direct"
)

// A Trap is the listening end of a seccomp filter: the system calls of Calls,
// made by any process that inherited the filter, wait here at their entry,
// before the kernel has taken a lock for them (seccomp_unotify(2)).
type Trap struct {
	file *os.File
}

// A Held is one system call that waits at its entry.
type Held struct {
	ID   uint64    // of the notification, unique for its trap
	TID  int       // the calling thread, in the controller's pid namespace
	Nr   int       // number of the system call
	Args [6]uint64 // as the registers had them
	// Direct says that it was made by direct.Call of this executable.
	Direct bool

	trap *Trap
}

// Gone reports whether nothing is left that could make a call: a node's agent
// has died.
func (t *Trap) Gone() bool {
	poll := []unix.PollFd{{Fd: int32(t.Fd())}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 1 && poll[0].Revents&unix.POLLHUP != 0
}

// Continue lets the call happen. It reports false when the caller has died.
func (h *Held) Continue() bool {
	return h.trap.send(resp{id: h.ID, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

// Return answers the call without letting it happen: with value, or with an
// error when errno is not 0. It reports false when the caller has died.
func (h *Held) Return(value int64, errno unix.Errno) bool {
	return h.trap.send(resp{id: h.ID, val: value, errno: -int32(errno)})
}

// ReturnFile answers a call that opens a file: with this one, under the next
// number that the caller has free. It reports false when the caller has died.
func (h *Held) ReturnFile(file *os.File, closeOnExec bool) bool {
	add := addFile{id: h.ID, flags: unix.SECCOMP_ADDFD_FLAG_SEND, from: uint32(file.Fd())}
	if closeOnExec {
		add.fdFlags = unix.O_CLOEXEC
	}
	return h.addFile(&add) == nil
}

// SetFile makes the file the caller's descriptor fd, whatever that was before; the
// call goes on waiting.
func (h *Held) SetFile(file *os.File, fd int) error {
	return h.addFile(&addFile{id: h.ID, flags: unix.SECCOMP_ADDFD_FLAG_SETFD, from: uint32(file.Fd()), to: uint32(fd)})
}

// addFile is struct seccomp_notif_addfd.
type addFile struct {
	id       uint64
	flags    uint32
	from, to uint32
	fdFlags  uint32
}

func (h *Held) addFile(add *addFile) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, h.trap.file.Fd(), ioctlAddFile, uintptr(unsafe.Pointer(add)))
	if errno != 0 {
		return errno
	}
	return nil
}

const ioctlAddFile = 0x40182103 // SECCOMP_IOCTL_NOTIF_ADDFD

// A Filter says which calls of a program are trapped.
type Filter int

// The filters. Direct is for built-in programs, which make every call that
// matters by direct.Call; what the Go runtime does beside that goes on, but
// for exit_group(2). In an executable that is position-independent it is Plain.
const (
	Plain  Filter = iota // Calls that are neither Timed nor Built
	Timed                // Plain, and those that are Timed
	Direct               // Plain, and those that are Built, if made by direct.Call

	filters = iota
)

// install puts a filter on the calling thread, which must be locked, and on
// whatever it starts from now on. It returns the listening descriptor.
func install(f Filter) (*os.File, error) {
	prog := program(f)
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

// program is a filter's program: what it traps waits; io_uring does not exist
// (what is submitted there would pass unseen), and all else goes on.
func program(f Filter) []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
	)
	if f == Direct && relocated() {
		f = Plain
	}
	prog := []unix.SockFilter{
		{Code: load, K: 4}, // seccomp_data.arch
		{Code: equal, K: unix.AUDIT_ARCH_X86_64, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: load, K: 0}, // seccomp_data.nr
		{Code: equal, K: unix.SYS_IO_URING_SETUP, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	}
	switch f {
	case Timed:
		prog = append(prog, futexFilter()...)
	case Direct:
		prog = append(prog, directFilter()...)
	}
	for _, nr := range numbers(f) {
		prog = append(prog,
			unix.SockFilter{Code: equal, K: uint32(nr), Jf: 1},
			unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	return append(prog, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
}

// futexFilter lets those futex(2) calls wait that wait themselves, with a
// time-out, and all others go on: the wake-ups of a runtime are many. The rest
// of the program after it finds the number of the call loaded again.
func futexFilter() []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		and    = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
		arg    = 16 // seccomp_data.args; each is 8 bytes
	)
	return []unix.SockFilter{
		{Code: equal, K: unix.SYS_FUTEX, Jf: 11},
		{Code: load, K: arg + 8*3}, // the time-out: one half of the pointer
		{Code: equal, K: 0, Jf: 3},
		{Code: load, K: arg + 8*3 + 4}, // and the other
		{Code: equal, K: 0, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: load, K: arg + 8*1}, // the operation
		{Code: and, K: 0x7f},       // without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
		{Code: equal, K: futexWait, Jt: 2},
		{Code: equal, K: futexWaitBitset, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: answer, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: load, K: 0}, // seccomp_data.nr
	}
}

// directFilter lets all calls go on but exit_group(2) and those that are made by
// direct.Call. The rest of the program after it finds the number of the call
// loaded again.
func directFilter() []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
		ip     = 8 // seccomp_data.instruction_pointer
	)
	at := uint64(direct.Address())
	return []unix.SockFilter{
		{Code: equal, K: unix.SYS_EXIT_GROUP, Jt: 6},
		{Code: load, K: ip},
		{Code: equal, K: uint32(at), Jf: 2},
		{Code: load, K: ip + 4},
		{Code: equal, K: uint32(at >> 32), Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: load, K: 0}, // seccomp_data.nr
	}
}

// relocated reports whether this executable is position-independent: its
// functions lie elsewhere in each process.
func relocated() bool {
	const header = 18 // where e_type ends: elf(5)
	b := make([]byte, header)
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return true
	}
	defer self.Close()
	_, err = io.ReadFull(self, b)
	return err != nil || elf.Type(binary.LittleEndian.Uint16(b[header-2:])) != elf.ET_EXEC
}

// Operations of futex(2).
const (
	futexWait       = 0
	futexWaitBitset = 9
)

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
func (t *Trap) Next() (h *Held, ok bool, err error) {
	var n notif
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, t.file.Fd(), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		switch errno {
		case 0:
			return &Held{ID: n.id, TID: int(n.pid), Nr: int(n.nr), Args: n.args, Direct: n.ip == uint64(direct.Address()), trap: t}, true, nil
		case unix.EINTR:
			continue
		case unix.ENOENT:
			return nil, false, nil
		default:
			return nil, false, fmt.Errorf("receive a trapped call: %w", errno)
		}
	}
}

func (t *Trap) send(r resp) bool {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, t.file.Fd(), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	runtime.KeepAlive(t)
	return errno == 0
}

// Close gives the listener up; calls that come after that fail with ENOSYS.
func (t *Trap) Close() error { return t.file.Close() }
