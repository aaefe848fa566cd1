/* SPDX-License-Identifier: MIT */
/*
 * The split queue with a driver that breaks the rules. Each broken rule ends in the same state: an
 * error from pop, DEVICE_NEEDS_RESET, one configuration interrupt, a queue that does nothing any
 * more, and a device that serves requests again after a reset.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <vmm/virtq.h>

#include "fakedrv.h"
#include "suite.h"
#include "testdev.h"

#define SIZE     TESTDEV_QUEUE_SIZE
#define NEXT     FAKEDRV_DESC_NEXT
#define WRITE    FAKEDRV_DESC_WRITE
#define INDIRECT FAKEDRV_DESC_INDIRECT

struct fixture {
	struct testdev dev;
	struct fakedrv *drv;
	const struct fakedrv_ring *ring;
	struct vmm_virtq *q;
	struct iovec iov[SIZE];
	struct vmm_chain chain;
	uint8_t *data;
	vmm_gpa gpa; /* of data, 4096 bytes */
	struct fakedrv_desc *table;
	vmm_gpa table_gpa; /* of table, 4 * SIZE entries */
};

static void set_up_with(struct fixture *f, const struct fakedrv_options *options)
{
	memset(f, 0, sizeof(*f));
	testdev_init(&f->dev);
	f->drv = fakedrv_create(&f->dev.base);
	ck_assert_int_eq(fakedrv_start(f->drv, options), 0);
	f->ring = fakedrv_ring(f->drv, 0);
	f->q = testdev_queue(&f->dev, 0);
	f->chain.iov = f->iov;
	f->chain.iov_cap = SIZE;
	f->data = fakedrv_alloc(f->drv, 4096);
	f->gpa = fakedrv_gpa(f->drv, f->data);
	f->table = fakedrv_alloc(f->drv, sizeof(*f->table) * 4 * SIZE);
	f->table_gpa = fakedrv_gpa(f->drv, f->table);
}

static void set_up(struct fixture *f)
{
	set_up_with(f, NULL);
}

static void tear_down(struct fixture *f)
{
	fakedrv_destroy(f->drv);
}

static void assert_dead(struct fixture *f)
{
	uint16_t used_idx = *f->ring->used_idx;
	uint16_t used_flags = *f->ring->used_flags;
	uint16_t avail_event = *f->ring->avail_event;
	unsigned irqs = fakedrv_queue_irqs(f->drv, 0);

	ck_assert(vmm_virtq_is_broken(f->q));
	ck_assert(fakedrv_needs_reset(f->drv));
	ck_assert_uint_eq(fakedrv_config_irqs(f->drv), 1);
	/* Nothing moves any more, even where the ring would now be right. */
	*f->ring->avail_idx = 1;
	f->ring->avail[0] = SIZE - 1;
	f->ring->desc[SIZE - 1] = (struct fakedrv_desc){.addr = f->gpa, .len = 1};
	ck_assert_int_eq(vmm_virtq_pop(f->q, &f->chain), -EPROTO);
	ck_assert(!vmm_virtq_has_avail(f->q));
	vmm_virtq_kick_disable(f->q);
	ck_assert(!vmm_virtq_kick_enable(f->q));
	vmm_virtq_flush(f->q);
	ck_assert_uint_eq(*f->ring->used_idx, used_idx);
	ck_assert_uint_eq(*f->ring->used_flags, used_flags);
	ck_assert_uint_eq(*f->ring->avail_event, avail_event);
	ck_assert_uint_eq(fakedrv_queue_irqs(f->drv, 0), irqs);
	fakedrv_kick(f->drv, 0);
	fakedrv_kick(f->drv, 1);
	ck_assert_uint_eq(f->dev.notified[0], 1);
	ck_assert_uint_eq(f->dev.notified[1], 1);
	ck_assert_uint_eq(fakedrv_config_irqs(f->drv), 1);
}

static void assert_recovers(struct fixture *f)
{
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(f->data, 8), FAKEDRV_IN(f->data + 8, 8)};

	ck_assert_int_eq(fakedrv_start(f->drv, NULL), 0);
	f->dev.echo = true;
	memcpy(f->data, "recovers", 8);
	ck_assert_uint_eq(fakedrv_request(f->drv, 0, bufs, 2), 8);
	ck_assert_mem_eq(f->data + 8, "recovers", 8);
	ck_assert(!fakedrv_needs_reset(f->drv));
}

/* ---- chains ---- */

static void self_loop(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){f->gpa, 1, NEXT, 0};
}

static void loop_of_two(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){f->gpa, 1, NEXT, 1};
	f->ring->desc[1] = (struct fakedrv_desc){f->gpa, 1, NEXT, 0};
}

static void loop_of_empty_buffers(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){f->gpa, 0, NEXT, 0};
}

static void next_is_size(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){f->gpa, 1, NEXT, SIZE};
}

static void next_is_huge(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){f->gpa, 1, NEXT, 0xffff};
}

static void address_wraps(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){UINT64_MAX, 2, 0, 0};
}

static void address_in_hole(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){MEMFIX_HOLE, 1, WRITE, 0};
}

static void address_zero(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){0, 1, 0, 0};
}

static void buffer_leaves_memory(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){MEMFIX_LOW_BASE + MEMFIX_LOW_SIZE - 1, 2, 0, 0};
}

static void buffer_enters_memory(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){MEMFIX_HIGH_BASE - 1, 2, 0, 0};
}

static void buffer_spans_the_hole(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){MEMFIX_LOW_BASE, UINT32_MAX, WRITE, 0};
}

static void second_buffer_is_bad(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){f->gpa, 16, NEXT, 1};
	f->ring->desc[1] = (struct fakedrv_desc){MEMFIX_HOLE, 16, WRITE, 0};
}

static void readable_after_writable(struct fixture *f)
{
	f->ring->desc[0] = (struct fakedrv_desc){f->gpa, 1, NEXT | WRITE, 1};
	f->ring->desc[1] = (struct fakedrv_desc){f->gpa, 1, 0, 0};
}

/* More than 2^32 bytes of one direction out of 64 MiB of memory: 64 buffers of all of it. */
static void more_than_4_gib(struct fixture *f)
{
	for (uint16_t i = 0; i < SIZE; i++) {
		f->ring->desc[i] =
			(struct fakedrv_desc){MEMFIX_LOW_BASE, (uint32_t)MEMFIX_LOW_SIZE,
					      i + 1 < SIZE ? NEXT : 0, (uint16_t)(i + 1)};
	}
}

/* ---- indirect tables ---- */

static void indirect(struct fixture *f, vmm_gpa table, uint32_t len)
{
	f->ring->desc[0] = (struct fakedrv_desc){table, len, INDIRECT, 0};
	for (unsigned i = 0; i < 4 * SIZE; i++) {
		f->table[i] = (struct fakedrv_desc){f->gpa, 1, NEXT, (uint16_t)(i + 1)};
	}
}

static void indirect_and_next(struct fixture *f)
{
	indirect(f, f->table_gpa, 16);
	f->table[0].flags = 0;
	f->ring->desc[0].flags |= NEXT;
	f->ring->desc[0].next = 1;
}

static void indirect_nested(struct fixture *f)
{
	indirect(f, f->table_gpa, 32);
	f->table[0] = (struct fakedrv_desc){f->table_gpa + 16, 16, INDIRECT, 0};
	f->table[1].flags = 0;
}

static void indirect_of_itself(struct fixture *f)
{
	indirect(f, f->table_gpa, 16);
	f->table[0] = (struct fakedrv_desc){f->table_gpa, 16, INDIRECT, 0};
}

static void indirect_empty(struct fixture *f)
{
	indirect(f, f->table_gpa, 0);
}

static void indirect_shorter_than_one(struct fixture *f)
{
	indirect(f, f->table_gpa, 8);
}

static void indirect_not_a_multiple(struct fixture *f)
{
	indirect(f, f->table_gpa, 17);
	f->table[0].flags = 0;
}

static void indirect_longer_than_the_ring(struct fixture *f)
{
	indirect(f, f->table_gpa, 16 * (SIZE + 1));
	f->table[0].flags = 0;
}

static void indirect_of_1024(struct fixture *f)
{
	indirect(f, MEMFIX_LOW_BASE, 16 * 1024);
}

static void indirect_of_65535(struct fixture *f)
{
	indirect(f, MEMFIX_LOW_BASE, 16 * 65535);
}

static void indirect_of_4_gib(struct fixture *f)
{
	indirect(f, MEMFIX_LOW_BASE, UINT32_MAX - 15);
}

static void indirect_in_hole(struct fixture *f)
{
	indirect(f, MEMFIX_HOLE, 32);
}

static void indirect_leaves_memory(struct fixture *f)
{
	indirect(f, MEMFIX_LOW_BASE + MEMFIX_LOW_SIZE - 16, 32);
}

static void indirect_wraps(struct fixture *f)
{
	indirect(f, UINT64_MAX - 15, 32);
}

static void indirect_next_outside(struct fixture *f)
{
	indirect(f, f->table_gpa, 32);
	f->table[0].next = 2;
}

static void indirect_loop(struct fixture *f)
{
	indirect(f, f->table_gpa, 32);
	f->table[1].next = 0;
}

static void direct_and_indirect_longer_than_the_ring(struct fixture *f)
{
	indirect(f, f->table_gpa, 16 * SIZE);
	f->table[SIZE - 1].flags = 0;
	f->ring->desc[1] = f->ring->desc[0];
	f->ring->desc[0] = (struct fakedrv_desc){f->gpa, 1, NEXT, 1};
}

static void indirect_readable_after_direct_writable(struct fixture *f)
{
	indirect(f, f->table_gpa, 16);
	f->table[0].flags = 0;
	f->ring->desc[1] = f->ring->desc[0];
	f->ring->desc[0] = (struct fakedrv_desc){f->gpa, 1, NEXT | WRITE, 1};
}

static const struct {
	void (*arrange)(struct fixture *f);
	int expected;
} bad_chains[] = {
	{self_loop, -EPROTO},
	{loop_of_two, -EPROTO},
	{loop_of_empty_buffers, -EPROTO},
	{next_is_size, -EPROTO},
	{next_is_huge, -EPROTO},
	{address_wraps, -EFAULT},
	{address_in_hole, -EFAULT},
	{address_zero, -EFAULT},
	{buffer_leaves_memory, -EFAULT},
	{buffer_enters_memory, -EFAULT},
	{buffer_spans_the_hole, -EFAULT},
	{second_buffer_is_bad, -EFAULT},
	{readable_after_writable, -EPROTO},
	{more_than_4_gib, -EPROTO},
	{indirect_and_next, -EPROTO},
	{indirect_nested, -EPROTO},
	{indirect_of_itself, -EPROTO},
	{indirect_empty, -EPROTO},
	{indirect_shorter_than_one, -EPROTO},
	{indirect_not_a_multiple, -EPROTO},
	{indirect_longer_than_the_ring, -EPROTO},
	{indirect_of_1024, -EPROTO},
	{indirect_of_65535, -EPROTO},
	{indirect_of_4_gib, -EPROTO},
	{indirect_in_hole, -EFAULT},
	{indirect_leaves_memory, -EFAULT},
	{indirect_wraps, -EFAULT},
	{indirect_next_outside, -EPROTO},
	{indirect_loop, -EPROTO},
	{direct_and_indirect_longer_than_the_ring, -EPROTO},
	{indirect_readable_after_direct_writable, -EPROTO},
};

#define BAD_CHAINS ((int)(sizeof(bad_chains) / sizeof(bad_chains[0])))

START_TEST(bad_chain_breaks_the_queue_until_reset)
{
	struct fixture f;
	clock_t start = clock();

	set_up(&f);
	bad_chains[_i].arrange(&f);
	fakedrv_offer(f.drv, 0, 0);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), bad_chains[_i].expected);
	/* A caller that does not look at the result finds no buffer to use. */
	ck_assert_uint_eq(f.chain.readable + f.chain.writable, 0);
	ck_assert_uint_eq(f.chain.readable_len + f.chain.writable_len, 0);
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 0);
	assert_dead(&f);
	assert_recovers(&f);
	tear_down(&f);
	ck_assert_int_lt((int)((clock() - start) / (CLOCKS_PER_SEC / 1000)), 1000);
}
END_TEST

START_TEST(indirect_not_negotiated_breaks_the_queue)
{
	static const struct fakedrv_options no_indirect = {.no_indirect = true};
	struct fixture f;

	set_up_with(&f, &no_indirect);
	indirect(&f, f.table_gpa, 16);
	f.table[0].flags = 0;
	fakedrv_offer(f.drv, 0, 0);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), -EPROTO);
	assert_dead(&f);
	assert_recovers(&f);
	tear_down(&f);
}
END_TEST

START_TEST(chain_longer_than_the_devices_array_breaks_the_queue)
{
	struct fixture f;
	struct fakedrv_buf bufs[3];

	set_up(&f);
	for (unsigned i = 0; i < 3; i++) {
		bufs[i] = (struct fakedrv_buf)FAKEDRV_IN(f.data, 1);
	}
	f.chain.iov_cap = 2;
	ck_assert_int_ge(fakedrv_add(f.drv, 0, bufs, 2), 0);
	ck_assert_int_ge(fakedrv_add(f.drv, 0, bufs, 3), 0);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	memset(&f.iov[2], 0xee, sizeof(f.iov[2]));
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), -EPROTO);
	ck_assert_uint_eq((uintptr_t)f.iov[2].iov_len, (uintptr_t)0xeeeeeeeeeeeeeeee);
	tear_down(&f);
}
END_TEST

/* ---- the available ring ---- */

START_TEST(avail_index_jump_breaks_the_queue)
{
	static const uint16_t jumps[] = {SIZE + 1, SIZE * 2, 0x7fff, 0x8000, 0xffff};
	struct fixture f;

	set_up(&f);
	for (unsigned i = 0; i < SIZE; i++) {
		f.ring->avail[i] = (uint16_t)i;
		f.ring->desc[i] = (struct fakedrv_desc){f.gpa, 1, 0, 0};
	}
	*f.ring->avail_idx = jumps[_i];
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), -EPROTO);
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 0);
	assert_dead(&f);
	assert_recovers(&f);
	tear_down(&f);
}
END_TEST

START_TEST(avail_index_jump_seen_without_a_pop_breaks_the_queue)
{
	struct fixture f;

	set_up(&f);
	*f.ring->avail_idx = SIZE + 1;
	ck_assert(_i ? !vmm_virtq_has_avail(f.q) : !vmm_virtq_kick_enable(f.q));
	assert_dead(&f);
	tear_down(&f);
}
END_TEST

START_TEST(avail_index_backwards_breaks_the_queue)
{
	struct fixture f;

	set_up(&f);
	f.ring->desc[0] = (struct fakedrv_desc){f.gpa, 1, 0, 0};
	for (unsigned i = 0; i < 5; i++) {
		fakedrv_offer(f.drv, 0, 0);
		ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
		ck_assert_int_eq(vmm_virtq_push(f.q, 0, 0), 0);
	}
	*f.ring->avail_idx = 4;
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), -EPROTO);
	ck_assert(fakedrv_needs_reset(f.drv));
	tear_down(&f);
}
END_TEST

START_TEST(full_ring_is_no_jump)
{
	struct fixture f;

	set_up(&f);
	for (uint16_t i = 0; i < SIZE; i++) {
		f.ring->desc[i] = (struct fakedrv_desc){f.gpa, 1, 0, 0};
		fakedrv_offer(f.drv, 0, i);
	}
	for (unsigned i = 0; i < SIZE; i++) {
		ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	}
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 0);
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), SIZE);
	tear_down(&f);
}
END_TEST

START_TEST(head_outside_the_ring_breaks_the_queue)
{
	static const uint16_t heads[] = {SIZE, SIZE + 1, 0x7fff, 0x8000, 0xffff};
	struct fixture f;

	set_up(&f);
	fakedrv_offer(f.drv, 0, heads[_i]);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), -EPROTO);
	assert_dead(&f);
	assert_recovers(&f);
	tear_down(&f);
}
END_TEST

START_TEST(head_in_flight_offered_again_breaks_the_queue)
{
	struct fixture f;

	set_up(&f);
	f.ring->desc[7] = (struct fakedrv_desc){f.gpa, 1, WRITE, 0};
	fakedrv_offer(f.drv, 0, 7);
	fakedrv_offer(f.drv, 0, 7);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), -EPROTO);
	/* Not the buffers of the chain before. */
	ck_assert_uint_eq(f.chain.writable + f.chain.writable_len, 0);
	/* The one in flight comes to its end without a trace in the ring. */
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 1);
	ck_assert_int_eq(vmm_virtq_push(f.q, 7, 1), 0);
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 0);
	ck_assert_uint_eq(f.ring->used[0].head | f.ring->used[0].len, 0);
	assert_dead(&f);
	assert_recovers(&f);
	tear_down(&f);
}
END_TEST

START_TEST(head_offered_again_after_push_is_taken)
{
	struct fixture f;

	set_up(&f);
	f.ring->desc[7] = (struct fakedrv_desc){f.gpa, 1, WRITE, 0};
	for (unsigned i = 0; i < 10; i++) {
		fakedrv_offer(f.drv, 0, 7);
		ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
		ck_assert_int_eq(vmm_virtq_push(f.q, 7, 1), 0);
		vmm_virtq_flush(f.q);
	}
	tear_down(&f);
}
END_TEST

/* A driver that offers the same chains for ever: no memory grows, heads never double. */
START_TEST(endless_offers_stay_bounded_by_the_ring)
{
	struct fixture f;
	unsigned popped = 0;

	set_up(&f);
	for (uint16_t i = 0; i < SIZE; i++) {
		f.ring->desc[i] = (struct fakedrv_desc){f.gpa, 1, WRITE, 0};
	}
	for (unsigned i = 0; i < 4 * SIZE; i++) {
		fakedrv_offer(f.drv, 0, (uint16_t)(i % SIZE));
		popped += vmm_virtq_pop(f.q, &f.chain) == 1;
	}
	ck_assert_uint_eq(popped, SIZE);
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), SIZE);
	ck_assert(fakedrv_needs_reset(f.drv));
	tear_down(&f);
}
END_TEST

START_TEST(break_by_the_device_is_told_once)
{
	struct fixture f;

	set_up(&f);
	/* Pushed but not published: the driver never sees it. */
	f.ring->desc[3] = (struct fakedrv_desc){f.gpa, 1, 0, 0};
	fakedrv_offer(f.drv, 0, 3);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_int_eq(vmm_virtq_push(f.q, 3, 0), 0);
	vmm_virtq_break(f.q, "the device says so");
	vmm_virtq_break(f.q, "and again");
	assert_dead(&f);
	assert_recovers(&f);
	tear_down(&f);
}
END_TEST

/* ---- memory that is not what it seems ---- */

/* Buffers over the rings themselves: harmless to the host, whatever becomes of the guest. */
START_TEST(buffer_over_the_rings_hurts_the_guest_only)
{
	struct fixture f;
	vmm_gpa targets[4];

	set_up(&f);
	f.dev.echo = true;
	targets[0] = fakedrv_gpa(f.drv, f.ring->desc);
	targets[1] = fakedrv_gpa(f.drv, f.ring->avail_flags);
	targets[2] = fakedrv_gpa(f.drv, f.ring->used_flags);
	targets[3] = f.table_gpa;
	memset(f.data, 0xff, 4096);
	f.ring->desc[0] = (struct fakedrv_desc){f.gpa, 4096, NEXT, 1};
	f.ring->desc[1] = (struct fakedrv_desc){targets[_i], 512, WRITE, 0};
	fakedrv_offer(f.drv, 0, 0);
	fakedrv_kick(f.drv, 0);
	ck_assert_uint_ge(f.dev.echoed, 1);
	assert_recovers(&f);
	tear_down(&f);
}
END_TEST

/* All three areas at one address. The driver gets what it deserves, the host keeps its memory. */
START_TEST(overlapping_ring_areas_hurt_the_guest_only)
{
	struct fixture f;
	struct vmm_carrier_queue regs = {.size = SIZE, .enabled = true};
	static const struct fakedrv_options skip = {.skip_queues = 1};

	set_up(&f);
	ck_assert_int_eq(fakedrv_prepare(f.drv, &skip), 0);
	regs.desc = f.table_gpa;
	regs.driver = f.table_gpa;
	regs.device = f.table_gpa;
	ck_assert_int_eq(vmm_carrier_set_queue(fakedrv_carrier(f.drv), 0, &regs), 0);
	f.dev.echo = true;
	for (unsigned i = 0; i < 4 * SIZE; i++) {
		f.table[i] = (struct fakedrv_desc){f.gpa, 1, WRITE, 0};
	}
	ck_assert_int_ge(fakedrv_driver_ok(f.drv), -EIO);
	for (unsigned i = 0; i < 100; i++) {
		((uint16_t *)(void *)f.table)[1]++;
		vmm_carrier_kick(fakedrv_carrier(f.drv), 0);
	}
	fakedrv_run(f.drv);
	assert_recovers(&f);
	tear_down(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{bad_chain_breaks_the_queue_until_reset, BAD_CHAINS},
		{indirect_not_negotiated_breaks_the_queue, 1},
		{chain_longer_than_the_devices_array_breaks_the_queue, 1},
		{avail_index_jump_breaks_the_queue, 5},
		{avail_index_jump_seen_without_a_pop_breaks_the_queue, 2},
		{avail_index_backwards_breaks_the_queue, 1},
		{full_ring_is_no_jump, 1},
		{head_outside_the_ring_breaks_the_queue, 5},
		{head_in_flight_offered_again_breaks_the_queue, 1},
		{head_offered_again_after_push_is_taken, 1},
		{endless_offers_stay_bounded_by_the_ring, 1},
		{break_by_the_device_is_told_once, 1},
		{buffer_over_the_rings_hurts_the_guest_only, 4},
		{overlapping_ring_areas_hurt_the_guest_only, 1},
	};

	return suite_run_looped("virtq_hostile", tests, sizeof(tests) / sizeof(tests[0]));
}
