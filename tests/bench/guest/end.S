/* SPDX-License-Identifier: MIT */
/* The guest of `library`: the fewest instructions that end a VM of libvmm's x86_64 machine. */
	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start32

	.section .text.start, "ax"
	.code32
	.globl start32
start32:
	movw $0x601, %dx
	movb $0x34, %al
	outb %al, %dx
1:	hlt
	jmp 1b
	.section .note.GNU-stack, "", @progbits
