// Package direct makes system calls from one place in memory. By that place a
// seccomp filter tells what a built-in program does from what the Go runtime
// does for itself in the same process: files that it opens as it starts,
// threads that it makes.
package direct

import "syscall"

// Call makes the system call nr with the calling thread, and tells the Go
// scheduler nothing of it, as syscall.RawSyscall6 does: whoever holds the call
// holds the thread and its goroutine. errno is 0 when the call succeeded.
//
// A pointer converted to uintptr in the list of arguments stays valid until
// Call returns.
func Call(nr, a, b, c, d, e, f uintptr) (r uintptr, errno syscall.Errno)

// Address is the instruction pointer that the kernel sees in each Call: that
// behind the instruction (seccomp_data in seccomp(2)). It is the same in every
// process of this executable unless that is position-independent.
func Address() uintptr
