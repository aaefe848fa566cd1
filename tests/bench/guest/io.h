/* SPDX-License-Identifier: MIT */
/*
 * The guest of the rows about input and output: one ELF with several jobs, of which its command
 * line names one, "JOB KEY=VALUE...". Results are lines "KEY NUMBER" on the serial port; a line
 * that begins with BAD is a failure. Then it ends the machine.
 *
 *	khz=N                   ticks of the TSC in a millisecond; every job needs it
 *	mmio=BASE,STRIDE,COUNT  where to look for devices; without it, on the PCI bus by ACPI
 *
 * Jobs, and what their keys are when they are not given:
 *
 *	blk bs=4096 depth=1 n=10000 [seq=1] [write=1]    rate (requests/s), kicks
 *	transmit len=64 n=100000                         rate (frames/s), sent (with those before
 *	                                                 the clock runs), kicks
 *	echo n=1000                                      says "ready 1", sends n frames back
 *	receive n=1000                                   says "ready 1", then rate (frames/s)
 *	console bytes=1048576 len=4096 depth=8           rate (bytes/s), kicks
 *	serial bytes=10000                               rate (bytes/s)
 *	exit kind=out8|in8|write|read n=10000            ns (of one)
 */
#ifndef TESTS_BENCH_IO_H
#define TESTS_BENCH_IO_H

#include "user.h"
#include "virtio.h"

/* ---- io.c ---- */

/* The number of a key of the command line. */
uint64_t option(const char *key, uint64_t otherwise);
/* Whether a key has that value. */
bool option_is(const char *key, const char *value);
/* The first device of a type (VIRTIO_BLK...). Without one the machine ends. */
void find_device(uint32_t type, struct virtio *v);
/* What cannot be: says so and ends the machine. */
void give_up(const char *why) __attribute__((noreturn));
void print(const char *key, uint64_t value);
/* Events per second, when n took so many ticks. */
uint64_t rate(uint64_t n, uint64_t ticks);
uint64_t nanoseconds(uint64_t ticks);
void fill_bytes(void *p, uint8_t byte, uint64_t len);

/* Data of whatever is under way. */
#define ARENA_SIZE (4u << 20)
extern uint8_t arena[ARENA_SIZE];

/* ---- job_*.c ---- */

void job_blk(void);
void job_transmit(void);
void job_echo(void);
void job_receive(void);
void job_console(void);
void job_serial(void);
void job_exit(void);

#endif
