package sys

import (
	"os"
	"syscall"
	"unsafe"

	"screwtape/harness/direct"
)

// caught has a bit for each signal that came, set by the handler in
// catch_amd64.s.
var caught uint64

func catchAddr() uintptr

// Catch makes these signals be noted. One ends a call that waits (Pause, Wait, a
// sleep); other calls go on.
func Catch(signals ...syscall.Signal) {
	const saRestorer = 0x04000000
	const saOnStack = 0x08000000
	act := struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}{catchAddr(), saRestorer | saOnStack, restorerAddr(), 0}
	for _, sig := range signals {
		direct.Call(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	}
}

// Caught says whether the signal came since it was last asked for.
//
//go:noinline
func Caught(sig syscall.Signal) bool {
	bit := uint64(1) << sig
	was := caught&bit != 0
	caught &^= bit
	return was
}

// Pause waits for a signal. It is no raw call, nor is Wait: whoever waits for
// long lets the Go runtime come to rest.
func Pause() { syscall.Syscall(syscall.SYS_PAUSE, 0, 0, 0) }

// Alarm asks for a SIGALRM in so many seconds.
func Alarm(seconds uint) { direct.Call(syscall.SYS_ALARM, uintptr(seconds), 0, 0, 0, 0, 0) }

// Wait waits for a child to end. It fails with EINTR when a signal comes first,
// and with ECHILD when there is none left.
func Wait() (pid int, status syscall.WaitStatus, err error) {
	var s int32
	r, _, errno := syscall.Syscall6(syscall.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&s)), 0, 0, 0, 0)
	if errno != 0 {
		return 0, 0, os.NewSyscallError("wait4", errno)
	}
	return int(r), syscall.WaitStatus(s), nil
}

// Spawn starts this program anew as a child with these arguments, of which the
// first is its name, and with our standard output and error. A number other
// than 0 is that of the child, if the kernel lets us choose it (clone3(2),
// set_tid): names with a process's number in them are then the same each time.
func Spawn(number int, args ...string) (pid int, err error) {
	path, _ := syscall.BytePtrFromString("/proc/self/exe")
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return 0, err
	}
	env, err := syscall.SlicePtrFromStrings(syscall.Environ())
	if err != nil {
		return 0, err
	}
	pid, errno := forkExec(number, path, argv, env)
	if errno == syscall.EPERM && number > 0 {
		pid, errno = forkExec(0, path, argv, env)
	}
	if errno != 0 {
		return 0, os.NewSyscallError("clone3", errno)
	}
	return pid, nil
}

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64
	setTID                                                               *int32
	setTIDSize, cgroup                                                   uint64
}

// forkExec forks and has the child run a program. The child has this thread
// alone, and a copy of our memory in which the others may have been at anything:
// it makes system calls and nothing else.
//
//go:norace
func forkExec(number int, path *byte, argv, env []*byte) (pid int, errno syscall.Errno) {
	const (
		sysClone3 = 435
		failed    = 127
	)
	tid := int32(number)
	args := cloneArgs{exitSignal: uint64(syscall.SIGCHLD)}
	if number > 0 {
		args.setTID, args.setTIDSize = &tid, 1
	}
	r, errno := direct.Call(sysClone3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0, 0, 0, 0)
	if errno != 0 || r != 0 {
		return int(r), errno
	}
	direct.Call(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), 0, 0, 0)
	for {
		direct.Call(syscall.SYS_EXIT_GROUP, failed, 0, 0, 0, 0, 0)
	}
}

// Default makes a signal do again what it does to programs that do nothing
// about it.
func Default(sig syscall.Signal) { handle(sig, 0) }

// Ignore makes a signal do nothing.
func Ignore(sig syscall.Signal) { handle(sig, 1) }

// handle sets the handler to SIG_DFL (0) or SIG_IGN (1).
func handle(sig syscall.Signal, handler uint64) {
	act := [4]uint64{handler}
	direct.Call(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
}
