/* SPDX-License-Identifier: MIT */
/*
 * From ring 0, which may be interpreted at a microsecond per instruction, to ring 3, where the same
 * code runs as it is: see ../README.md. All of memory is user-accessible (start.S), and so are the
 * ports, by an I/O bitmap without a bit set.
 */
	.text
	.code64
/* enter_user(function, argument): runs it at ring 3 with interrupts on; it must not return. */
	.globl enter_user
enter_user:
	lgdt gdt_pointer
	/* The base of a TSS lies scattered in its descriptor. */
	movq $tss, %rax
	movw %ax, gdt_tss + 2
	shrq $16, %rax
	movb %al, gdt_tss + 4
	movb %ah, gdt_tss + 7
	movl $0x28, %eax
	ltr %ax
	movl $0x1b, %eax
	movl %eax, %ds
	movl %eax, %es
	pushq $0x1b
	movq $user_stack_top, %rax
	pushq %rax
	pushq $0x202			/* IF */
	pushq $0x23
	pushq %rdi
	movq %rsi, %rdi
	iretq

/* An interrupt: when it came, how many they are now, and the acknowledgement. */
	.globl interrupt_entry
interrupt_entry:
	pushq %rax
	pushq %rdx
	rdtsc
	movl %eax, interrupt_tsc
	movl %edx, interrupt_tsc + 4
	lock incl interrupts
	movq $0xfee000b0, %rax
	movl $0, (%rax)
	popq %rdx
	popq %rax
	iretq

	.data
	.align 16
gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
	.quad 0x00cff3000000ffff	/* 0x18: data of ring 3 */
	.quad 0x00affb000000ffff	/* 0x20: code of ring 3 */
gdt_tss:
	.quad 0x0000890000000000 + tss_end - tss - 1
	.quad 0
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.quad gdt
	.globl interrupt_tsc
	.align 8
interrupt_tsc:
	.quad 0

	.align 16
tss:
	.long 0
	.quad interrupt_stack_top	/* rsp0 */
	.fill 90, 1, 0
	.word bitmap - tss
bitmap:
	.fill 8192, 1, 0
	.byte 0xff
tss_end:

	.bss
	.align 4096
	.skip 4096
interrupt_stack_top:
	.skip 16384
user_stack_top:
	.section .note.GNU-stack, "", @progbits
