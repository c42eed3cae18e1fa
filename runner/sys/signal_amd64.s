#include "textflag.h"

// The signal handler: the signal's number is its first argument by the C
// convention, and is kept. It needs no stack, no g, and may run on any thread.
TEXT stopHandler<>(SB), NOSPLIT|NOFRAME, $0
	MOVL DI, ·pending(SB)
	RET

// What the handler returns to: rt_sigreturn (15).
TEXT stopRestorer<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ $15, AX
	SYSCALL
	INT  $3

// func handlerAddr() uintptr
TEXT ·handlerAddr(SB), NOSPLIT, $0-8
	LEAQ stopHandler<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func restorerAddr() uintptr
TEXT ·restorerAddr(SB), NOSPLIT, $0-8
	LEAQ stopRestorer<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
