/* SPDX-License-Identifier: MIT */
/*
 * Entry of the test payload: PVH hands over in 32-bit protected mode with paging off and
 * ebx = start info. Long mode with the first 16 GiB mapped one to one, then payload_main.
 *
 * Ring 0 may be interpreted instruction by instruction where there is no hardware virtualization:
 * the tables are made by the assembler, and the code uses plain instructions only (no int3, no
 * popcnt, no SSE).
 */
	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start32

	.section .text.start, "ax"
	.code32
	.globl start32
start32:
	cld
	movl $stack_top, %esp
	movl %ebx, %edi
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER */
	rdmsr
	orl $0x100, %eax		/* LME */
	wrmsr
	movl %cr0, %eax
	orl $0x80000001, %eax		/* PG, PE */
	movl %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x08, $start64

	.code64
start64:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %edi, %edi
	movq $stack_top, %rsp
	call payload_main
1:	hlt
	jmp 1b

/* An interrupt: counts it and acknowledges it at the local APIC. A payload may bring its own. */
	.weak interrupt_entry
interrupt_entry:
	pushq %rax
	lock incl interrupts
	movq $0xfee000b0, %rax
	movl $0, (%rax)
	popq %rax
	iretq

/* sti takes effect behind the hlt, so that no wake-up is lost between the two. */
	.globl wait_interrupt
wait_interrupt:
	sti
	hlt
	cli
	ret

	.globl load_idt
load_idt:
	lidt (%rdi)
	ret

/*
 * Where a second CPU starts: in real mode, at the page that the start-up signal named. Copied there
 * by the payload. It says that it is here and waits for ever.
 */
	.code16
	.globl ap_code
	.globl ap_code_end
ap_code:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	lock incw 0x900
1:	hlt
	jmp 1b
ap_code_end:

	.data
	.align 16
gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
gdt_pointer:
	.word 0x17
	.quad gdt
	.globl interrupts
interrupts:
	.long 0

	.align 4096
pml4:	.quad pdpt + 7
	.fill 511, 8, 0
pdpt:
	.set i, 0
	.rept 16
	.quad pd + 7 + i * 0x1000
	.set i, i + 1
	.endr
	.fill 496, 8, 0
pd:
	.set i, 0
	.rept 16 * 512
	.quad 0x87 + i * 0x200000
	.set i, i + 1
	.endr

	.bss
	.align 4096
	.skip 16384
stack_top:
	.section .note.GNU-stack, "", @progbits
