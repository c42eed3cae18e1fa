package node

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A program reads its clock without a system call: the kernel maps code for
// that, the vDSO, into every process (vdso(7)). In a process in virtual time
// each of those functions is overwritten by one that makes the system call, so
// that it can be trapped. The kernel lets a debugger write there, and gives the
// process a copy of its own of the page.

// stubs are what the functions of the vDSO become.
var stubs = map[string][]byte{
	"__vdso_clock_gettime": call(unix.SYS_CLOCK_GETTIME),
	"__vdso_gettimeofday":  call(unix.SYS_GETTIMEOFDAY),
	"__vdso_time":          call(unix.SYS_TIME),
	"__vdso_getrandom":     fail(unix.ENOSYS), // then the C library asks the kernel
}

// call is: mov eax, nr; syscall; ret.
func call(nr uint32) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{0xb8}, nr), 0x0f, 0x05, 0xc3)
}

// fail is: mov rax, -errno; ret.
func fail(errno unix.Errno) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{0x48, 0xc7, 0xc0}, uint32(-int32(errno))), 0xc3)
}

// A patch is bytes to write at an offset of the vDSO.
type patch struct {
	offset int64
	code   []byte
}

// patches are the same for every process: there is one vDSO.
var patches = sync.OnceValues(func() ([]patch, error) {
	start, end, err := vdso(os.Getpid())
	if err != nil {
		return nil, err
	}
	image := make([]byte, end-start)
	if _, err := readMemory(os.Getpid(), start, image); err != nil {
		return nil, fmt.Errorf("read the vDSO: %w", err)
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("read the vDSO: %w", err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return nil, fmt.Errorf("read the vDSO: %w", err)
	}
	var list []patch
	for _, s := range symbols {
		if code := stubs[s.Name]; code != nil && s.Size >= uint64(len(code)) {
			list = append(list, patch{int64(s.Value), code})
		}
	}
	return list, nil
})

// vdso finds where a process has its vDSO.
func vdso(pid int) (start, end uint64, err error) {
	maps, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/maps")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			_, err = fmt.Sscanf(line, "%x-%x", &start, &end)
			return start, end, err
		}
	}
	return 0, 0, fmt.Errorf("process %d has no vDSO", pid)
}

// PrepareTimed prepares a process that has just begun a program, before it has read
// its clock or used chance: the vDSO makes system calls, and the 16 random bytes
// that the kernel gave it (AT_RANDOM of getauxval(3)) are these.
func PrepareTimed(pid int, random [16]byte) error {
	list, err := patches()
	if err != nil {
		return err
	}
	start, _, err := vdso(pid)
	if err != nil {
		return err
	}
	memory, err := os.OpenFile("/proc/"+strconv.Itoa(pid)+"/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	for _, p := range list {
		if _, err := memory.WriteAt(p.code, int64(start)+p.offset); err != nil {
			return fmt.Errorf("switch the vDSO of process %d off: %w", pid, err)
		}
	}
	at, err := auxiliary(pid, atRandom)
	if err != nil || at == 0 {
		return err
	}
	_, err = memory.WriteAt(random[:], int64(at))
	return err
}

const atRandom = 25 // AT_RANDOM

// auxiliary is an entry of a process's auxiliary vector, or 0.
func auxiliary(pid int, key uint64) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/auxv")
	if err != nil {
		return 0, err
	}
	for ; len(b) >= 16; b = b[16:] {
		if binary.LittleEndian.Uint64(b) == key {
			return binary.LittleEndian.Uint64(b[8:]), nil
		}
	}
	return 0, nil
}
