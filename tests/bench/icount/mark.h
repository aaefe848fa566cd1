/* SPDX-License-Identifier: MIT */
/*
 * Marks: instructions that do nothing anywhere, and at which the plugin writes its counters. A
 * guest of a guest has them as well as a program of the lab: what is emulated is all there is.
 */
#ifndef TESTS_BENCH_ICOUNT_MARK_H
#define TESTS_BENCH_ICOUNT_MARK_H

/* nopl NUMBER | 0x6b6d0000(%rax), "mk": no compiler writes such a thing. */
#define MARK_BYTES 0x0f, 0x1f, 0x80
#define MARK_MAGIC 0x6b6d

/* A job begins and ends (counted.c). */
#define MARK_BEGIN 1
#define MARK_END   2
/* From here on they are the guests'. */
#define MARK_GUEST 16

/* NUMBER: a constant of 16 bits. */
#define MARK(number)                                                 \
	__asm__ volatile(".byte 0x0f, 0x1f, 0x80\n\t.short %c0, %c1" \
			 :                                           \
			 : "i"(number), "i"(MARK_MAGIC)              \
			 : "memory")

#endif
