/* SPDX-License-Identifier: MIT */
/*
 * A guest of a few bytes for tests of vmm-cli: says "up" on its serial port and waits for the power
 * button; what it does then is the first letter of its command line:
 *
 *	r  asks for a reset		c  does not wait: triple fault
 *	anything else  powers itself off
 *
 * PVH hands over in 32-bit protected mode without paging, with ebx = start info. The ports are those
 * of the machine's power management block (libvmm/machine/x86_64/layout.h).
 */
#define COM1       0x3f8
#define PM_RESET   0x600
#define PM_SLEEP   0x601
#define PM_EVENTS  0x604
#define SLEEP_S5   (0x20 | 5 << 2)
#define CMDLINE_AT 24	/* cmdline_paddr in struct hvm_start_info */

	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start32

	.section .text.start, "ax"
	.code32
	.globl start32
start32:
	movl CMDLINE_AT(%ebx), %esi
	movb (%esi), %bl
	movw $COM1, %dx
	movl $message, %esi
1:	movb (%esi), %al
	testb %al, %al
	jz wait
	outb %al, %dx
	incl %esi
	jmp 1b

wait:	cmpb $'c', %bl
	je crash
	pause
	movw $PM_EVENTS, %dx
	inb %dx, %al
	testb $1, %al
	jz wait

	cmpb $'r', %bl
	je reset
	movw $PM_SLEEP, %dx
	movb $SLEEP_S5, %al
	outb %al, %dx
1:	hlt
	jmp 1b

reset:	movw $PM_RESET, %dx
	movb $1, %al
	outb %al, %dx
1:	hlt
	jmp 1b

crash:	lidt no_idt
	ud2

	.section .rodata, "a"
message:
	.asciz "up\n"
no_idt:
	.word 0
	.long 0
	.section .note.GNU-stack, "", @progbits
