package sys

import (
	"syscall"
	"unsafe"

	"screwtape/harness/direct"
)

// pending is the last stop signal that came, set by the handler in
// signal_amd64.s from whatever thread the kernel chose.
var pending int32

// handlerAddr and restorerAddr give the entries of the handler and of its
// return to the kernel.
func handlerAddr() uintptr
func restorerAddr() uintptr

// CatchStop makes these signals be noted instead of ending the process.
// The handler is the kernel's own way, past the Go runtime, whose way needs a
// goroutine on another thread to be told. Other calls go on after it; a sleep
// ends, as no flag makes the kernel begin it again.
func CatchStop(signals ...syscall.Signal) {
	const (
		saRestorer = 0x04000000
		saOnStack  = 0x08000000
		saRestart  = 0x10000000
	)
	act := struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}{handlerAddr(), saRestorer | saOnStack | saRestart, restorerAddr(), 0}
	for _, sig := range signals {
		direct.Call(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	}
}

// Stopped is the stop signal that came, or 0.
//
//go:noinline
func Stopped() syscall.Signal { return syscall.Signal(pending) }
