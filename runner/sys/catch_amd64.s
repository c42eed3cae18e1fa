#include "textflag.h"

// The signal handler: the bit of the signal's number, its first argument by the
// C convention, is set. It needs no stack, no g, and may run on any thread.
TEXT catchHandler<>(SB), NOSPLIT|NOFRAME, $0
	MOVLQZX DI, CX
	MOVQ    $1, AX
	SHLQ    CX, AX
	LOCK
	ORQ     AX, ·caught(SB)
	RET

// func catchAddr() uintptr
TEXT ·catchAddr(SB), NOSPLIT, $0-8
	LEAQ catchHandler<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
