package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ReadString reads the zero-terminated string at addr in the memory of thread
// tid, of at most PATH_MAX bytes.
func ReadString(tid int, addr uint64) (string, error) {
	var buf [unix.PathMax]byte
	n := 0
	for n < len(buf) {
		// Up to the end of the page: what follows may not be mapped.
		want := min(len(buf)-n, int(4096-(addr+uint64(n))%4096))
		got, err := readMemory(tid, addr+uint64(n), buf[n:n+want])
		if err != nil {
			return "", err
		}
		if end := bytes.IndexByte(buf[n:n+got], 0); end >= 0 {
			return string(buf[:n+end]), nil
		}
		n += got
	}
	return "", unix.ENAMETOOLONG
}

// ReadWords reads count 64-bit words at addr in the memory of thread tid.
func ReadWords(tid int, addr uint64, count int) ([]uint64, error) {
	buf := make([]byte, 8*count)
	n, err := readMemory(tid, addr, buf)
	if err != nil || n != len(buf) {
		return nil, fmt.Errorf("read %d words at %#x of thread %d: %w", count, addr, tid, err)
	}
	words := make([]uint64, count)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(buf[8*i:])
	}
	return words, nil
}

// WriteWords writes 64-bit words to addr in the memory of thread tid.
func WriteWords(tid int, addr uint64, words ...uint64) error {
	buf := make([]byte, 0, 8*len(words))
	for _, w := range words {
		buf = binary.LittleEndian.AppendUint64(buf, w)
	}
	return WriteBytes(tid, addr, buf)
}

// WriteBytes writes bytes to addr in the memory of thread tid.
func WriteBytes(tid int, addr uint64, buf []byte) error {
	if len(buf) == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	remote := []unix.RemoteIovec{{Base: uintptr(addr), Len: len(buf)}}
	_, err := unix.ProcessVMWritev(tid, local, remote, 0)
	return err
}

func readMemory(tid int, addr uint64, buf []byte) (int, error) {
	if len(buf) == 0 {
		return 0, nil
	}
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	remote := []unix.RemoteIovec{{Base: uintptr(addr), Len: len(buf)}}
	return unix.ProcessVMReadv(tid, local, remote, 0)
}

// ReadBytes reads count bytes at addr in the memory of thread tid.
func ReadBytes(tid int, addr uint64, count int) ([]byte, error) {
	buf := make([]byte, count)
	n, err := readMemory(tid, addr, buf)
	if err == nil && n < count {
		err = unix.EFAULT
	}
	return buf, err
}

// CloneFile gives a descriptor of the controller's own for what thread tid's
// process has open as fd (pidfd_getfd(2)).
func CloneFile(pid, fd int) (int, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(pidfd)
	return unix.PidfdGetfd(pidfd, fd, 0)
}

// WorkingDirectory is the path of thread tid's working directory, as its node
// sees it.
func WorkingDirectory(tid int) (string, error) {
	return os.Readlink("/proc/" + strconv.Itoa(tid) + "/cwd")
}

// FilePath is the path of what thread tid has open as descriptor fd, as its
// node sees it; a pipe or a socket has none that begins with "/".
func FilePath(tid, fd int) (string, error) {
	return os.Readlink("/proc/" + strconv.Itoa(tid) + "/fd/" + strconv.Itoa(fd))
}

// ReadProc reads a file of /proc that is shorter than a page, in three system calls
// where os.ReadFile makes seven.
func ReadProc(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// ErrRunning says that a thread is in no system call that could be told: it
// runs, or is about to.
var ErrRunning = errors.New("the thread runs")

// CurrentCall is the number of the system call that thread tid is blocked in;
// -1 when it is in none, such as at a page fault.
func CurrentCall(tid int) (int, error) {
	b, err := ReadProc("/proc/" + strconv.Itoa(tid) + "/syscall")
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte(" "))
	nr, err := strconv.Atoi(string(first))
	if err != nil {
		return 0, ErrRunning
	}
	return nr, nil
}

// AwaitedSignals is the set of signals that thread tid, blocked, waits for in
// rt_sigtimedwait(2); of sigwait(3) and its kin.
func AwaitedSignals(tid int) uint64 {
	b, err := ReadProc("/proc/" + strconv.Itoa(tid) + "/syscall")
	if err != nil {
		return 0
	}
	var nr int
	var set uint64
	if _, err := fmt.Sscanf(string(b), "%d 0x%x", &nr, &set); err != nil || nr != unix.SYS_RT_SIGTIMEDWAIT {
		return 0
	}
	words, err := ReadWords(tid, set, 1)
	if err != nil {
		return 0
	}
	return words[0]
}

// AwaitCall is CurrentCall of a thread that is about to block: it waits for
// that. One that goes on running, since the kernel asks for pages in advance for
// it, gives ErrRunning in the end.
func AwaitCall(tid int) (int, error) {
	for range 10_000 {
		nr, err := CurrentCall(tid)
		if err != ErrRunning {
			return nr, err
		}
		time.Sleep(10 * time.Microsecond) // it needs the processor
	}
	return 0, ErrRunning
}
