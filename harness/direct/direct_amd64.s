#include "textflag.h"

// The one place. Besides its result it changes CX and R11 (syscall(2)).
TEXT instruction<>(SB), NOSPLIT|NOFRAME, $0
	SYSCALL
	RET

// func Address() uintptr
TEXT ·Address(SB), NOSPLIT, $0-8
	LEAQ instruction<>(SB), AX
	ADDQ $2, AX // as long as the instruction is
	MOVQ AX, ret+0(FP)
	RET

// func Call(nr, a, b, c, d, e, f uintptr) (r uintptr, errno syscall.Errno)
TEXT ·Call(SB), NOSPLIT, $8-72
	MOVQ nr+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	MOVQ d+32(FP), R10
	MOVQ e+40(FP), R8
	MOVQ f+48(FP), R9
	CALL instruction<>(SB)
	CMPQ AX, $0xfffffffffffff001 // -4095: what is not below is -errno
	JCC  failed
	MOVQ AX, r+56(FP)
	MOVQ $0, errno+64(FP)
	RET

failed:
	NEGQ AX
	MOVQ $-1, r+56(FP)
	MOVQ AX, errno+64(FP)
	RET
