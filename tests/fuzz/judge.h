/* SPDX-License-Identifier: MIT */
/*
 * The judge of every fuzz target that has virtqueues. It stands between the product and
 * vmm_virtq_* (the linker puts it there), keeps a second, plain reading of the specification
 * (VIRTIO 1.2 section 2.7) of each queue, and aborts with words when one of these does not hold:
 *
 *   ring      what pop, push, flush, ... return and what they leave in the used ring is exactly
 *             what the model says; each head comes back at most once, with no more bytes than it
 *             had room for, and none that nobody wrote
 *   writes    guest memory changes only in the used ring (the field that the call is about) and in
 *             writable buffers of chains that are out
 *   reads     guest memory is read only where the ring is, during the call that is about it, and in
 *             readable buffers of chains that are out
 *   fetches   no byte is fetched twice for one chain, see watch.h
 *   bounds    a kick pops no more than the ring holds, takes no more CPU time than 50 ms, allocates
 *             nothing, and leaves the table of file descriptors as it was
 *
 * The reads, and most of the writes, are seen by instrumentation that only clang has; without it
 * writes are found by comparing memory before and after.
 */
#ifndef FUZZ_JUDGE_H
#define FUZZ_JUDGE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <vmm/virtq.h>

#define REQUIRE(what)                                                                              \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			(void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Whatever is wrong ends here. */
_Noreturn void judge_die(const char *rule, const char *what);

/* As much of the readable bytes of a chain as is kept for the harness. */
#define JUDGE_PEEK 512u

/* A new input begins; the harness has made all that it makes once. */
void judge_reset(void);
/*
 * It has ended. True: the same once more from judge_reset on, because something took long and it is
 * not known yet whether that was our doing or the machine's.
 */
bool judge_again(void);

/* Memory that is compared before and after each call where nothing instruments stores; for a small
 * one (`always`) even if something does. */
void judge_window(void *ram, size_t len, bool always);

/* Brackets around calls of the product other than those the judge sees by itself (vmm_virtq_*,
 * vmm_carrier_*, vmm_loop_dispatch): a back end's completion, for instance. */
void judge_begin(void);
void judge_end(void);

/* The chain popped last, as the guest had written it at that moment. */
struct judge_peek {
	uint16_t head;
	size_t readable;
	size_t writable;
	size_t len; /* of bytes: readable, at most JUDGE_PEEK */
	uint8_t bytes[JUDGE_PEEK];
};
const struct judge_peek *judge_last(void);

/* What a back end that is part of the harness does to memory that the device gave it. */
void judge_load(const void *p, size_t len);
void judge_store(const void *p, size_t len);

/* The queue whose descriptor table is at desc; NULL: none that is started. */
const struct vmm_virtq *judge_queue_at(const void *desc);
/* How many of the chains popped last may be given back. */
unsigned judge_unpoppable(const struct vmm_virtq *q);
/* True when every chain that the driver has offered on q was popped and pushed. */
bool judge_settled(const struct vmm_virtq *q);
/* What the model says of q. */
bool judge_is_broken(const struct vmm_virtq *q);
uint16_t judge_avail_idx(const struct vmm_virtq *q);

/*
 * Called whenever a flush has shown the driver something: a driver on another CPU may act at once.
 * May be NULL.
 */
void judge_on_flush(void (*fn)(void *ctx, struct vmm_virtq *q), void *ctx);

/* Whether the bytes of a guest are changed as soon as they were fetched (default: yes). */
void judge_flip(bool on);

/*
 * The process is gone when it has made so many more stores: a jump to where. NULL: it lives. Needs
 * judge_sees_loads().
 */
void judge_kill(jmp_buf *where, unsigned stores);
/* It was: what the record of q says must be in flight is what the driver was not given back. */
void judge_lost(const struct vmm_virtq *q);

/* What devices owe beyond the rings' rules; all of it is judged unless a harness says otherwise. */
#define JUDGE_PUSH    1u  /* every push is of a chain that is out and has the room */
#define JUDGE_WRITTEN 2u  /* what a push says was written was */
#define JUDGE_LOOP    4u  /* the loop neither allocates nor opens */
#define JUDGE_FETCH   8u  /* no byte is fetched twice */
#define JUDGE_RECORD  16u /* nobody else writes to a record of chains in flight */
#define JUDGE_ALL     31u
void judge_rules(unsigned rules);

/*
 * What is read of guest memory while this is on is not judged: for devices whose requests name
 * memory that lies in no chain.
 */
void judge_allow_reads(bool on);
/* The same for what is written. The memory must not be that of a queue. */
void judge_allow_writes(bool on);

/* What has been judged since the process began. */
struct judge_totals {
	uint64_t pops;
	uint64_t loads; /* of guest memory */
	uint64_t stores;
	uint64_t flips;
};
const struct judge_totals *judge_totals(void);

/* True when loads of guest memory are seen. */
bool judge_sees_loads(void);

#endif
