/* SPDX-License-Identifier: MIT */
/*
 * A split queue whose driver writes anything anywhere, and whose device pops, pushes, gives back,
 * flushes, stops, starts and is killed in any order. The judge (judge.h) compares each step with
 * its own reading of the specification; beyond that no byte of memory may change but what the step
 * is about, and a queue with a record of chains in flight loses none when the process goes away in
 * the middle of a step.
 *
 * An input is one byte of options and then steps of 8 bytes: operation, a, b, c (2), d (3 low bytes
 * of the rest).
 */
#include <setjmp.h>
#include <string.h>

#include <vmm/virtio.h>

#include "judge.h"

/* Guest memory: one region, and everything in it has its place. */
#define RAM_BASE   UINT64_C(0x10000)
#define RAM_SIZE   UINT64_C(0x4000)
#define DESC_GPA   (RAM_BASE + 0x0000)
#define AVAIL_GPA  (RAM_BASE + 0x0400)
#define USED_GPA   (RAM_BASE + 0x0800)
#define TABLE_GPA  (RAM_BASE + 0x1000)
#define BUFFER_GPA (RAM_BASE + 0x2000)
#define SIZE_MAX_  16u
#define STEP_SIZE  ((size_t)8)
#define STEPS_MAX  512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct vmm_mem *mem;
	struct vmm_virtq *q;
	uint8_t *ram;
	void *record; /* as large as the largest queue's */
	struct vmm_virtq_config config;
	struct vmm_irq irq;
	bool broken_told;
};

/* One fuzz program, one thread: what is made once is made here. */
static struct fuzz fuzz;
static jmp_buf killed;

static void ignore_irq(struct vmm_irq *irq)
{
	(void)irq;
}

static void note_broken(void *ctx, const char *why)
{
	struct fuzz *f = ctx;

	REQUIRE(why && !f->broken_told);
	f->broken_told = true;
}

/* ---- the driver ---- */

static void driver_put(struct fuzz *f, uint64_t gpa, unsigned len, uint64_t value)
{
	for (unsigned i = 0; i < len; i++) {
		if (gpa + i >= RAM_BASE && gpa + i < RAM_BASE + RAM_SIZE) {
			f->ram[gpa + i - RAM_BASE] = (uint8_t)(value >> (8 * i));
		}
	}
}

/* An address that is good, or bad in an interesting way. */
static uint64_t pick_address(uint8_t kind, uint16_t offset)
{
	switch (kind % 8) {
	case 0:
	case 1:
	case 2:
		return BUFFER_GPA + offset % 0x2000;
	case 3:
		return TABLE_GPA + offset % 0x1000;
	case 4:
		return RAM_BASE + offset % RAM_SIZE;
	case 5:
		return RAM_BASE + RAM_SIZE - offset % 64;
	case 6:
		return UINT64_MAX - offset;
	default:
		return offset;
	}
}

static void step_desc(struct fuzz *f, uint64_t gpa, const uint8_t *s)
{
	static const uint32_t lengths[] = {0, 1, 16, 32, 17, 64, 4096, UINT32_MAX};

	driver_put(f, gpa, 8, pick_address(s[2], (uint16_t)(s[3] | s[4] << 8)));
	driver_put(f, gpa + 8, 4, s[5] < 128 ? s[5] : lengths[s[5] % 8]);
	driver_put(f, gpa + 12, 2, s[6]);
	driver_put(f, gpa + 14, 2, s[7]);
}

/* ---- the device ---- */

/* A device may have less room than the longest chain has buffers. */
static void step_pop(struct fuzz *f, uint8_t room)
{
	struct iovec iov[SIZE_MAX_];
	struct vmm_chain chain = {.iov = iov, .readable = 1, .writable_len = 1};

	chain.iov_cap = room >= 0xf0 ? room - 0xefu : SIZE_MAX_;

	(void)vmm_virtq_pop(f->q, &chain);
}

static void start(struct fuzz *f)
{
	f->broken_told = false;
	if (vmm_virtq_start(f->q, f->mem, &f->config, &f->irq, note_broken, f) != 0) {
		/* The driver wrote to the used index, and the record contradicts it. */
		memset(f->record, 0, vmm_inflight_size(SIZE_MAX_));
		REQUIRE(vmm_virtq_start(f->q, f->mem, &f->config, &f->irq, note_broken, f) == 0);
	}
}

/* Another process goes on where this one left off, if there is such a place. */
static void step_restart(struct fuzz *f)
{
	uint16_t next;

	if (vmm_virtq_stop(f->q, &next) == 0 && !f->broken_told) {
		f->config.next_avail = next;
	}
	if (f->broken_told) {
		memset(f->record, 0, vmm_inflight_size(SIZE_MAX_));
	}
	start(f);
}

static void one_call(struct fuzz *f, const uint8_t *s)
{
	switch (s[3] % 4) {
	case 0:
	case 1:
		vmm_virtq_flush(f->q);
		break;
	case 2:
		step_pop(f, 0);
		break;
	default:
		vmm_virtq_unpop(f->q, (uint16_t)(s[4] % (judge_unpoppable(f->q) + 1)));
		break;
	}
}

/* The process is gone at some store of some call, and another one takes over. */
static void step_killed(struct fuzz *f, const uint8_t *s)
{
	if (!f->config.inflight || f->broken_told || !judge_sees_loads()) {
		return;
	}
	if (setjmp(killed) == 0) {
		judge_kill(&killed, s[2] % 64);
		one_call(f, s);
	}
	judge_kill(NULL, 0);
	if (f->broken_told) {
		step_restart(f);
		return;
	}
	judge_lost(f->q);
	start(f);
}

static void step_rare(struct fuzz *f, const uint8_t *s)
{
	if (s[1] == 255) {
		vmm_virtq_break(f->q, "the device gives up");
	} else if (s[1] == 254) {
		step_restart(f);
	} else if (s[1] >= 128) {
		step_killed(f, s);
	}
}

static void run_step(struct fuzz *f, const uint8_t *s)
{
	unsigned word = (unsigned)(s[2] | s[3] << 8);
	unsigned idx = judge_avail_idx(f->q);
	unsigned size = f->config.size;

	switch (s[0] % 16) {
	case 0:
	case 1:
	case 2:
		step_desc(f, DESC_GPA + 16 * (s[1] % size), s);
		break;
	case 3:
		step_desc(f, TABLE_GPA + UINT64_C(16) * (s[1] % 64) + (s[0] >> 4 & 7), s);
		break;
	case 4:
		/* Offer a head as a driver does. */
		driver_put(f, AVAIL_GPA + 4 + 2 * (idx % size), 2, s[2] < 224 ? s[1] % size : word);
		driver_put(f, AVAIL_GPA + 2, 2, idx + 1u);
		break;
	case 5:
		driver_put(f, AVAIL_GPA + 2, 2, s[1] < 128 ? idx + s[1] % 4u : word);
		break;
	case 6:
		driver_put(f, AVAIL_GPA + (s[1] & 1 ? 0 : 4 + 2 * size), 2, word);
		break;
	case 7:
	case 8:
		step_pop(f, s[1]);
		break;
	case 9:
		(void)vmm_virtq_push(f->q, (uint16_t)(s[1] < 224 ? s[1] % size : word), s[4]);
		break;
	case 10:
		vmm_virtq_flush(f->q);
		break;
	case 11:
		vmm_virtq_unpop(f->q, (uint16_t)(s[1] % (judge_unpoppable(f->q) + 1)));
		break;
	case 12:
		if (s[1] & 1) {
			(void)vmm_virtq_kick_enable(f->q);
		} else {
			vmm_virtq_kick_disable(f->q);
		}
		break;
	case 13:
		(void)vmm_virtq_avail_count(f->q);
		break;
	case 14:
		driver_put(f, RAM_BASE + word % RAM_SIZE, 1, s[4]);
		break;
	default:
		step_rare(f, s);
		break;
	}
	REQUIRE(vmm_virtq_is_broken(f->q) == judge_is_broken(f->q));
	REQUIRE(f->broken_told == judge_is_broken(f->q));
}

/* Memory is made once: creating it would take longer than a run. */
static void set_up(struct fuzz *f, uint8_t options)
{
	static const struct vmm_mem_region region = {RAM_BASE, RAM_SIZE};
	struct vmm_mem_mapping map;

	if (!f->mem) {
		REQUIRE(vmm_mem_create(&f->mem, &region, 1, NULL) == 0);
		REQUIRE(vmm_virtq_alloc(&f->q, SIZE_MAX_) == 0);
		f->record = calloc(1, vmm_inflight_size(SIZE_MAX_));
		REQUIRE(f->record != NULL);
		f->irq.raise = ignore_irq;
	}
	REQUIRE(vmm_mem_get_mapping(f->mem, 0, &map) == 0);
	f->ram = map.host;
	memset(f->ram, 0, RAM_SIZE);
	memset(f->record, 0, vmm_inflight_size(SIZE_MAX_));
	judge_reset();
	judge_rules(JUDGE_FETCH | JUDGE_RECORD);
	judge_window(f->ram, RAM_SIZE, false);
	f->config = (struct vmm_virtq_config){
		.size = (uint16_t)(options & 0x10 ? SIZE_MAX_ : 1u << (options >> 2 & 3)),
		.size_max = SIZE_MAX_,
		.desc = DESC_GPA,
		.driver = AVAIL_GPA,
		.device = USED_GPA,
		.features = (options & 1 ? VMM_VIRTIO_F_EVENT_IDX : 0) |
			    (options & 2 ? VMM_VIRTIO_F_INDIRECT_DESC : 0),
		.inflight = options & 0x20 ? f->record : NULL,
	};
	start(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0) {
		return 0;
	}
	set_up(&fuzz, data[0]);
	for (unsigned i = 0; i < STEPS_MAX && 1 + (i + 1) * STEP_SIZE <= size; i++) {
		run_step(&fuzz, data + 1 + i * STEP_SIZE);
	}
	return 0;
}
