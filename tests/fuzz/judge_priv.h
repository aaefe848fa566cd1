/* SPDX-License-Identifier: MIT */
/* What model.c, judge.c and watch.c share. Nothing of it depends on the product's own structs. */
#ifndef FUZZ_JUDGE_PRIV_H
#define FUZZ_JUDGE_PRIV_H

#include "judge.h"

#define RINGS_MAX   32u
#define SIZE_LIMIT  ((unsigned)VMM_VIRTQ_SIZE_MAX)
#define SPANS_MAX   64u
#define RANGES_MAX  32u
#define ALLOWED_MAX 4096u

/* A set of host addresses, merged. */
struct spans {
	unsigned count;
	bool full; /* there were more: nothing is known for certain */
	struct {
		uintptr_t start;
		uintptr_t end;
	} span[SPANS_MAX];
};

void spans_add(struct spans *s, uintptr_t start, uintptr_t end);
bool spans_meet(const struct spans *s, uintptr_t start, uintptr_t end);
/* True when all of [start, end) is in s, or may be. */
bool spans_cover(const struct spans *s, uintptr_t start, uintptr_t end);

/* A chain as the model reads it. */
struct model_chain {
	bool valid;
	unsigned count;
	unsigned readable;
	struct iovec buf[SIZE_LIMIT];
	uint64_t total[2];
	/* Every descriptor on the way, in the order in which it is looked at. */
	unsigned fetch_count;
	const uint8_t *fetch[SIZE_LIMIT + 2];
	uint16_t fetched[SIZE_LIMIT + 2]; /* a bit for each byte that was loaded */
	bool overlaps;                    /* one of them lies on another */
};

/* A chain that is out. */
struct open_chain {
	bool out;
	unsigned count;
	unsigned readable;
	struct iovec *iov; /* room for as many as the ring has entries */
	uint64_t room;
	struct spans fetched;
	struct spans written;
};

enum op {
	OP_NONE, /* a device at work */
	OP_START,
	OP_POP,
	OP_PUSH,
	OP_FLUSH,
	OP_KICK,
	OP_LOOK,
};

struct ring {
	const struct vmm_virtq *q;
	bool live;
	uint16_t size;
	uint16_t size_max;
	bool event_idx;
	bool indirect;
	bool broken;
	uint8_t *desc;
	uint8_t *avail;
	uint8_t *used;
	uint8_t *record; /* of chains in flight, or NULL */
	bool confused;   /* a head was offered again before it was shown: no record holds both */

	uint16_t next_avail;
	uint16_t seen_avail;
	uint16_t next_used;
	uint16_t published;
	uint16_t popped[65536]; /* heads by position */
	bool replayed[65536];   /* by position: came from the record */
	uint16_t replay[SIZE_LIMIT];
	unsigned replay_count;
	uint16_t batch[SIZE_LIMIT]; /* pushed since the last flush */
	unsigned batch_count;
	unsigned in_flight;
	uint64_t pops;      /* less those given back; within one bracket */
	struct vmm_irq irq; /* stands before the real one */
	struct vmm_irq *real_irq;
	unsigned irqs;
	unsigned breaks; /* as told by the product */
	vmm_virtq_broken_fn broken_fn;
	void *broken_ctx;
	struct open_chain chains[SIZE_LIMIT];
	struct iovec *iovs;
	size_t iovs_cap;
};

struct judge {
	struct ring rings[RINGS_MAX];
	unsigned ring_count; /* slots in use, live or not */
	struct iovec ram[RANGES_MAX];
	unsigned ram_count;
	uintptr_t ram_start; /* around all of it */
	uintptr_t ram_end;

	/* The call at work. */
	unsigned depth;
	enum op op;
	struct ring *at;
	struct model_chain model;
	uint16_t head;
	bool head_fetched;
	struct iovec store; /* what it may store to */
	bool hot_bracket;
	int64_t began_ns; /* the bracket, by the clock on the wall, or of this thread's work */
	bool suspect;     /* one took long: the same again, by the other clock */
	bool exact;
	int fd; /* the lowest free descriptor when the input began */

	struct judge_peek peek;
	struct judge_totals totals;
	void (*on_flush)(void *ctx, struct vmm_virtq *q);
	void *flush_ctx;
	bool flip;
	bool reads_allowed;
	bool writes_allowed;
	bool sees_loads;
	jmp_buf *kill;
	unsigned kill_after;
	uint16_t giving_back; /* the argument of an unpop at work */
	bool was_killed;
	enum {
		NOT_LOST,
		LOST,
		MAYBE_LOST,
	} lost[SIZE_LIMIT]; /* by head: must the next start find it in flight */

	/* Memory as it was, and what may have changed. */
	uint8_t *window;
	size_t window_len;
	uint8_t *shadow;
	bool window_always;
	struct iovec allowed[ALLOWED_MAX];
	unsigned allowed_count;
	unsigned rules;
};

extern struct judge judge;

/* ---- judge.c ---- */
/* work: a device works, within the bounds of judge.h. */
void judge_begin_hot(bool work);
/* Judges what has changed in memory so far. */
void judge_compare(void);
/* What is in memory now is nobody's change. */
void judge_remember(void);
/* May change until the bracket ends. */
void judge_allow(const void *p, size_t len);
void judge_allow_chain(const struct open_chain *c);

/* ---- judge_start.c ---- */
#define WRAP(name) __wrap_vmm_virtq_##name
#define REAL(name) __real_vmm_virtq_##name

#define RULE(what, why)                           \
	do {                                      \
		if (!(what)) {                    \
			judge_die("ring", (why)); \
		}                                 \
	} while (0)

/* The model of a queue that is started. */
struct ring *judge_ring_of(const struct vmm_virtq *q);
/* Around one call of a queue's. */
void judge_op_begin(enum op op, struct ring *r);
void judge_op_end(void);
/* What the call at work may store to. */
void judge_may_store(void *p, size_t len);

/* ---- judge_virtq.c ---- */
/* A flush, or what contains one. */
void judge_flush(struct ring *r, void (*real)(struct vmm_virtq *q), struct vmm_virtq *q);

/* ---- model.c ---- */
uint64_t model_get(const uint8_t *p, unsigned len);
void model_set_memory(const struct vmm_mem *mem);
uint8_t *model_translate(uint64_t gpa, uint64_t len);
void model_walk(const struct ring *r, uint16_t head, struct model_chain *c);
uint16_t model_avail_idx(const struct ring *r);
/* Takes the record of chains in flight over, as a device that starts with it must. False: it is
 * none of this ring. */
bool model_open_record(struct ring *r);
/* The record must say what is in flight. */
void model_check_record(const struct ring *r);

/* ---- watch.c ---- */
void watch_settle(void); /* a change that waits takes place now */
void watch_undo(void);   /* all changes are taken back */
void watch_load(const void *p, size_t len);
void watch_store(const void *p, size_t len);
bool watch_same(const void *a, const void *b, size_t len); /* memcmp, unwatched */

#endif
