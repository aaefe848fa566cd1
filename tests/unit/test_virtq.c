/* SPDX-License-Identifier: MIT */
/*
 * The split queue with a driver that keeps the rules. The test plays the device; tests/support's
 * fake driver is the other side.
 */
#include <errno.h>
#include <string.h>

#include <vmm/virtq.h>

#include "fakedrv.h"
#include "fdcount.h"
#include "suite.h"
#include "testdev.h"

struct fixture {
	struct testdev dev;
	struct fakedrv *drv;
	struct vmm_virtq *q;
	struct iovec iov[TESTDEV_QUEUE_SIZE];
	struct vmm_chain chain;
};

static void set_up(struct fixture *f, const struct fakedrv_options *options)
{
	memset(f, 0, sizeof(*f));
	testdev_init(&f->dev);
	f->drv = fakedrv_create(&f->dev.base);
	ck_assert_int_eq(fakedrv_start(f->drv, options), 0);
	f->q = testdev_queue(&f->dev, 0);
	f->chain.iov = f->iov;
	f->chain.iov_cap = TESTDEV_QUEUE_SIZE;
}

static void tear_down(struct fixture *f)
{
	fakedrv_destroy(f->drv);
}

static const struct fakedrv_options no_event_idx = {.no_event_idx = true};
static const struct fakedrv_options tiny = {.queue_size = 4};
static const struct fakedrv_options tiny_no_event_idx = {.queue_size = 4, .no_event_idx = true};

/* Adds one device-writable buffer. Returns its head. */
static uint16_t add_in(struct fixture *f, void *ptr, uint32_t len)
{
	struct fakedrv_buf buf = FAKEDRV_IN(ptr, len);
	int head = fakedrv_add(f->drv, 0, &buf, 1);

	SUITE_REQUIRE(head >= 0);
	return (uint16_t)head;
}

static void pop_and_push(struct fixture *f, uint32_t written)
{
	SUITE_REQUIRE(vmm_virtq_pop(f->q, &f->chain) == 1);
	SUITE_REQUIRE(vmm_virtq_push(f->q, f->chain.head, written) == 0);
}

/* ---- pop ---- */

START_TEST(pop_empty_ring_gives_nothing)
{
	struct fixture f;

	set_up(&f, NULL);
	ck_assert_uint_eq(vmm_virtq_size(f.q), TESTDEV_QUEUE_SIZE);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 0);
	ck_assert(!vmm_virtq_has_avail(f.q));
	ck_assert_uint_eq(vmm_virtq_avail_count(f.q), 0);
	ck_assert(!vmm_virtq_is_broken(f.q));
	tear_down(&f);
}
END_TEST

/* 0: all in the ring; n: the first n - 1 in the ring, the rest in an indirect table behind them. */
START_TEST(pop_any_layout_gives_readable_then_writable)
{
	struct fixture f;
	struct fakedrv_buf bufs[5];
	uint8_t *data;
	int head;

	set_up(&f, NULL);
	data = fakedrv_alloc(f.drv, 500);
	for (unsigned i = 0; i < 5; i++) {
		bufs[i] = (struct fakedrv_buf){data + 100 * i, 10 + i, i >= 2};
	}
	head = _i == 0 ? fakedrv_add(f.drv, 0, bufs, 5)
		       : fakedrv_add_indirect(f.drv, 0, bufs, 5, (unsigned)_i - 1);
	ck_assert_int_ge(head, 0);
	ck_assert_uint_eq(vmm_virtq_avail_count(f.q), 1);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_uint_eq(f.chain.head, (unsigned)head);
	ck_assert_uint_eq(f.chain.readable, 2);
	ck_assert_uint_eq(f.chain.writable, 3);
	ck_assert_uint_eq(f.chain.readable_len, 10 + 11);
	ck_assert_uint_eq(f.chain.writable_len, 12 + 13 + 14);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_ptr_eq(f.iov[i].iov_base, data + 100 * i);
		ck_assert_uint_eq(f.iov[i].iov_len, 10 + i);
	}
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 0);
	tear_down(&f);
}
END_TEST

START_TEST(pop_chain_as_long_as_the_ring_is_taken)
{
	struct fixture f;
	struct fakedrv_buf bufs[TESTDEV_QUEUE_SIZE];
	uint8_t *data;

	set_up(&f, NULL);
	data = fakedrv_alloc(f.drv, TESTDEV_QUEUE_SIZE);
	for (unsigned i = 0; i < TESTDEV_QUEUE_SIZE; i++) {
		bufs[i] = (struct fakedrv_buf)FAKEDRV_OUT(data + i, 1);
	}
	ck_assert_int_ge(_i ? fakedrv_add_indirect(f.drv, 0, bufs, TESTDEV_QUEUE_SIZE, 0)
			    : fakedrv_add(f.drv, 0, bufs, TESTDEV_QUEUE_SIZE),
			 0);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_uint_eq(f.chain.readable, TESTDEV_QUEUE_SIZE);
	ck_assert_uint_eq(f.chain.readable_len, TESTDEV_QUEUE_SIZE);
	tear_down(&f);
}
END_TEST

START_TEST(pop_zero_length_buffers_are_dropped)
{
	struct fixture f;
	struct fakedrv_buf bufs[TESTDEV_QUEUE_SIZE];
	uint8_t *data;

	set_up(&f, NULL);
	data = fakedrv_alloc(f.drv, 16);
	for (unsigned i = 0; i < TESTDEV_QUEUE_SIZE; i++) {
		bufs[i] = (struct fakedrv_buf)FAKEDRV_OUT(data, i == 7 ? 16 : 0);
	}
	ck_assert_int_ge(fakedrv_add(f.drv, 0, bufs, TESTDEV_QUEUE_SIZE), 0);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_uint_eq(f.chain.readable, 1);
	ck_assert_uint_eq(f.chain.readable_len, 16);
	ck_assert_int_eq(vmm_virtq_push(f.q, f.chain.head, 0), 0);
	vmm_virtq_flush(f.q);
	tear_down(&f);
}
END_TEST

START_TEST(pop_chain_without_a_byte_is_empty_and_comes_back)
{
	struct fixture f;
	struct fakedrv_used used;
	uint16_t head;

	set_up(&f, NULL);
	head = add_in(&f, fakedrv_alloc(f.drv, 16), 0);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_uint_eq(f.chain.readable + f.chain.writable, 0);
	ck_assert_uint_eq(f.chain.readable_len + f.chain.writable_len, 0);
	ck_assert_int_eq(vmm_virtq_push(f.q, head, 0), 0);
	vmm_virtq_flush(f.q);
	ck_assert(fakedrv_used(f.drv, 0, &used));
	ck_assert_uint_eq(used.head, head);
	tear_down(&f);
}
END_TEST

START_TEST(pop_buffer_in_the_high_region_is_taken)
{
	struct fixture f;
	const struct fakedrv_ring *ring;

	set_up(&f, NULL);
	ring = fakedrv_ring(f.drv, 0);
	ring->desc[0] =
		(struct fakedrv_desc){.addr = MEMFIX_HIGH_BASE + MEMFIX_HIGH_SIZE - 1, .len = 1};
	fakedrv_offer(f.drv, 0, 0);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_uint_eq(f.chain.readable_len, 1);
	tear_down(&f);
}
END_TEST

/* An indirect table may lie at any address, and its WRITE flag means nothing. */
START_TEST(pop_unaligned_indirect_table_with_write_flag_is_taken)
{
	struct fixture f;
	struct fakedrv_desc desc[2] = {{.len = 3, .flags = FAKEDRV_DESC_NEXT, .next = 1},
				       {.len = 5, .flags = FAKEDRV_DESC_WRITE}};
	const struct fakedrv_ring *ring;
	uint8_t *table;

	set_up(&f, NULL);
	ring = fakedrv_ring(f.drv, 0);
	table = fakedrv_alloc(f.drv, 64);
	table += _i;
	desc[0].addr = fakedrv_gpa(f.drv, fakedrv_alloc(f.drv, 16));
	desc[1].addr = desc[0].addr + 8;
	memcpy(table, desc, sizeof(desc));
	ring->desc[2] = (struct fakedrv_desc){.addr = fakedrv_gpa(f.drv, table),
					      .len = sizeof(desc),
					      .flags = FAKEDRV_DESC_INDIRECT | FAKEDRV_DESC_WRITE};
	fakedrv_offer(f.drv, 0, 2);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_uint_eq(f.chain.readable_len, 3);
	ck_assert_uint_eq(f.chain.writable_len, 5);
	tear_down(&f);
}
END_TEST

/* ---- unpop ---- */

START_TEST(unpop_gives_the_same_chains_again_in_order)
{
	struct fixture f;
	uint16_t heads[5];
	uint8_t *data;

	set_up(&f, NULL);
	data = fakedrv_alloc(f.drv, 64);
	for (unsigned i = 0; i < 5; i++) {
		heads[i] = add_in(&f, data, i + 1);
	}
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	}
	vmm_virtq_unpop(f.q, 3);
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 2);
	ck_assert_uint_eq(vmm_virtq_avail_count(f.q), 3);
	for (unsigned i = 2; i < 5; i++) {
		ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
		ck_assert_uint_eq(f.chain.head, heads[i]);
		ck_assert_uint_eq(f.chain.writable_len, i + 1);
	}
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 0);
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 5);
	tear_down(&f);
}
END_TEST

START_TEST(unpop_after_the_guest_rewrote_its_ring_releases_the_right_head)
{
	struct fixture f;
	uint16_t head;

	set_up(&f, NULL);
	head = add_in(&f, fakedrv_alloc(f.drv, 64), 8);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	fakedrv_ring(f.drv, 0)->avail[0] = 0xffff;
	vmm_virtq_unpop(f.q, 1);
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 0);
	ck_assert_int_eq(vmm_virtq_push(f.q, head, 0), -EINVAL);
	/* And the new entry is looked at with the usual suspicion. */
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), -EPROTO);
	tear_down(&f);
}
END_TEST

START_TEST(unpop_more_than_was_popped_stops)
{
	struct fixture f;

	set_up(&f, NULL);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 8);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	vmm_virtq_unpop(f.q, 100);
	ck_assert_uint_eq(vmm_virtq_avail_count(f.q), 1);
	pop_and_push(&f, 8);
	vmm_virtq_unpop(f.q, 1);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 0);
	tear_down(&f);
}
END_TEST

START_TEST(unpop_stops_at_a_chain_that_was_pushed)
{
	struct fixture f;

	set_up(&f, NULL);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 8);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 8);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	pop_and_push(&f, 8);
	vmm_virtq_unpop(f.q, 1);
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 1);
	ck_assert_uint_eq(vmm_virtq_avail_count(f.q), 0);
	tear_down(&f);
}
END_TEST

/* ---- push and flush ---- */

START_TEST(push_out_of_order_comes_back_in_push_order_with_its_length)
{
	struct fixture f;
	struct fakedrv_used used;
	uint16_t heads[3];
	uint8_t *data;

	set_up(&f, NULL);
	data = fakedrv_alloc(f.drv, 64);
	for (unsigned i = 0; i < 3; i++) {
		heads[i] = add_in(&f, data, 64);
		ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	}
	for (unsigned i = 3; i-- > 0;) {
		ck_assert_int_eq(vmm_virtq_push(f.q, heads[i], i * 10), 0);
	}
	ck_assert(!fakedrv_used(f.drv, 0, &used));
	vmm_virtq_flush(f.q);
	for (unsigned i = 3; i-- > 0;) {
		ck_assert(fakedrv_used(f.drv, 0, &used));
		ck_assert_uint_eq(used.head, heads[i]);
		ck_assert_uint_eq(used.len, i * 10);
	}
	ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 0);
	tear_down(&f);
}
END_TEST

START_TEST(push_wrong_head_or_length_is_refused)
{
	struct fixture f;
	struct fakedrv_used used;
	uint16_t head;

	set_up(&f, NULL);
	head = add_in(&f, fakedrv_alloc(f.drv, 64), 8);
	ck_assert_int_eq(vmm_virtq_push(f.q, head, 0), -EINVAL);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_int_eq(vmm_virtq_push(f.q, (uint16_t)(head + 1), 0), -EINVAL);
	ck_assert_int_eq(vmm_virtq_push(f.q, TESTDEV_QUEUE_SIZE, 0), -EINVAL);
	ck_assert_int_eq(vmm_virtq_push(f.q, 0xffff, 0), -EINVAL);
	ck_assert_int_eq(vmm_virtq_push(f.q, head, 9), -EINVAL);
	ck_assert_int_eq(vmm_virtq_push(f.q, head, 8), 0);
	ck_assert_int_eq(vmm_virtq_push(f.q, head, 8), -EINVAL);
	vmm_virtq_flush(f.q);
	ck_assert(fakedrv_used(f.drv, 0, &used));
	ck_assert(!fakedrv_used(f.drv, 0, &used));
	tear_down(&f);
}
END_TEST

START_TEST(flush_publishes_a_batch_with_one_interrupt)
{
	struct fixture f;
	uint8_t *data;

	set_up(&f, _i ? &no_event_idx : NULL);
	data = fakedrv_alloc(f.drv, 64);
	for (unsigned i = 0; i < 10; i++) {
		(void)add_in(&f, data, 64);
		pop_and_push(&f, 1);
	}
	ck_assert_uint_eq(*fakedrv_ring(f.drv, 0)->used_idx, 0);
	ck_assert_uint_eq(fakedrv_queue_irqs(f.drv, 0), 0);
	vmm_virtq_flush(f.q);
	ck_assert_uint_eq(*fakedrv_ring(f.drv, 0)->used_idx, 10);
	ck_assert_uint_eq(fakedrv_queue_irqs(f.drv, 0), 1);
	vmm_virtq_flush(f.q);
	ck_assert_uint_eq(fakedrv_queue_irqs(f.drv, 0), 1);
	tear_down(&f);
}
END_TEST

START_TEST(flush_without_event_idx_obeys_the_flag_and_ignores_used_event)
{
	struct fixture f;
	const struct fakedrv_ring *ring;
	uint8_t *data;

	set_up(&f, &no_event_idx);
	ring = fakedrv_ring(f.drv, 0);
	data = fakedrv_alloc(f.drv, 64);
	for (unsigned i = 0; i < 8; i++) {
		*ring->used_event = (uint16_t)(i * 9999);
		*ring->avail_flags = i & 1;
		(void)add_in(&f, data, 64);
		pop_and_push(&f, 1);
		vmm_virtq_flush(f.q);
		ck_assert_uint_eq(fakedrv_queue_irqs(f.drv, 0), i / 2 + 1);
	}
	tear_down(&f);
}
END_TEST

/* Section 2.7.10: with EVENT_IDX the flag means nothing; an interrupt comes when the index passes
 * used_event, also where it wraps. */
START_TEST(flush_with_event_idx_interrupts_when_used_event_is_passed)
{
	struct fixture f;
	const struct fakedrv_ring *ring;
	struct fakedrv_used used;
	uint16_t done = 0;
	uint8_t *data;

	set_up(&f, &tiny);
	ring = fakedrv_ring(f.drv, 0);
	data = fakedrv_alloc(f.drv, 64);
	for (unsigned i = 0; i < 3 * 65536u / 2; i++) {
		unsigned irqs = fakedrv_queue_irqs(f.drv, 0);
		unsigned batch = 1 + i % 4;
		/* Sometimes inside the batch, sometimes before or behind it. */
		uint16_t event = (uint16_t)(done + i % 7 - 1);
		bool expected = (uint16_t)(event - done) < batch;

		for (unsigned n = 0; n < batch; n++) {
			(void)add_in(&f, data, 64);
			pop_and_push(&f, n);
		}
		*ring->used_event = event;
		*ring->avail_flags = 1;
		vmm_virtq_flush(f.q);
		SUITE_REQUIRE(fakedrv_queue_irqs(f.drv, 0) == irqs + expected);
		for (unsigned n = 0; n < batch; n++) {
			SUITE_REQUIRE(fakedrv_used(f.drv, 0, &used));
			SUITE_REQUIRE(used.len == n);
		}
		done = (uint16_t)(done + batch);
		SUITE_REQUIRE(*ring->used_idx == done);
	}
	tear_down(&f);
}
END_TEST

START_TEST(ring_wraps_around_without_event_idx)
{
	struct fixture f;
	struct fakedrv_used used;
	uint8_t *data;

	set_up(&f, &tiny_no_event_idx);
	data = fakedrv_alloc(f.drv, 64);
	for (unsigned i = 0; i < 70000; i++) {
		uint16_t head = add_in(&f, data, 64);

		SUITE_REQUIRE(vmm_virtq_pop(f.q, &f.chain) == 1);
		SUITE_REQUIRE(f.chain.head == head);
		SUITE_REQUIRE(vmm_virtq_push(f.q, head, i % 64) == 0);
		vmm_virtq_flush(f.q);
		SUITE_REQUIRE(fakedrv_used(f.drv, 0, &used));
		SUITE_REQUIRE(used.len == i % 64);
		SUITE_REQUIRE(fakedrv_queue_irqs(f.drv, 0) == i + 1);
	}
	tear_down(&f);
}
END_TEST

/* ---- kicks ---- */

START_TEST(kick_without_event_idx_is_the_flag)
{
	struct fixture f;
	const struct fakedrv_ring *ring;

	set_up(&f, &no_event_idx);
	ring = fakedrv_ring(f.drv, 0);
	vmm_virtq_kick_disable(f.q);
	ck_assert_uint_eq(*ring->used_flags, 1);
	ck_assert(!vmm_virtq_kick_enable(f.q));
	ck_assert_uint_eq(*ring->used_flags, 0);
	ck_assert_uint_eq(*ring->avail_event, 0);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 1);
	ck_assert(fakedrv_kick_if_needed(f.drv, 0));
	vmm_virtq_kick_disable(f.q);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 1);
	ck_assert(!fakedrv_kick_if_needed(f.drv, 0));
	ck_assert(vmm_virtq_kick_enable(f.q));
	ck_assert_uint_eq(*ring->avail_event, 0);
	tear_down(&f);
}
END_TEST

START_TEST(kick_with_event_idx_is_avail_event_and_flags_stay_zero)
{
	struct fixture f;
	const struct fakedrv_ring *ring;

	set_up(&f, NULL);
	ring = fakedrv_ring(f.drv, 0);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 1);
	ck_assert(fakedrv_kick_if_needed(f.drv, 0));
	vmm_virtq_kick_disable(f.q);
	ck_assert_uint_eq(*ring->used_flags, 0);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 1);
	ck_assert(!fakedrv_kick_if_needed(f.drv, 0));
	pop_and_push(&f, 0);
	ck_assert(vmm_virtq_kick_enable(f.q));
	pop_and_push(&f, 0);
	ck_assert(!vmm_virtq_kick_enable(f.q));
	ck_assert_uint_eq(*ring->avail_event, 2);
	ck_assert_uint_eq(*ring->used_flags, 0);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 1);
	ck_assert(fakedrv_kick_if_needed(f.drv, 0));
	tear_down(&f);
}
END_TEST

/* A device that needs two chains and has one must hear of the second. */
START_TEST(kick_enable_with_chains_left_asks_for_the_next_one)
{
	struct fixture f;
	unsigned count;

	set_up(&f, _i ? &no_event_idx : NULL);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 1);
	ck_assert(fakedrv_kick_if_needed(f.drv, 0));
	vmm_virtq_kick_disable(f.q);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 0);
	vmm_virtq_unpop(f.q, 1);
	count = vmm_virtq_avail_count(f.q);
	ck_assert(vmm_virtq_kick_enable(f.q));
	ck_assert_uint_eq(vmm_virtq_avail_count(f.q), count);
	(void)add_in(&f, fakedrv_alloc(f.drv, 64), 1);
	ck_assert(fakedrv_kick_if_needed(f.drv, 0));
	ck_assert_uint_eq(vmm_virtq_avail_count(f.q), 2);
	tear_down(&f);
}
END_TEST

/* ---- what a device may touch ---- */

/* The device writes the used ring and the writable buffers and nothing else of guest memory. */
START_TEST(device_writes_used_ring_and_writable_buffers_only)
{
	struct fixture f;
	struct vmm_mem_mapping map;
	const struct fakedrv_ring *ring;
	struct fakedrv_buf bufs[2];
	struct vmm_writer w;
	uint8_t *before;
	uint8_t *now;
	size_t used_end;
	uint8_t *out;

	set_up(&f, NULL);
	ring = fakedrv_ring(f.drv, 0);
	out = fakedrv_alloc(f.drv, 64);
	bufs[0] = (struct fakedrv_buf)FAKEDRV_OUT(fakedrv_alloc(f.drv, 64), 64);
	bufs[1] = (struct fakedrv_buf)FAKEDRV_IN(out, 64);
	ck_assert_int_ge(_i ? fakedrv_add_indirect(f.drv, 0, bufs, 2, 0)
			    : fakedrv_add(f.drv, 0, bufs, 2),
			 0);
	ck_assert_int_eq(vmm_mem_get_mapping(fakedrv_mem(f.drv), 0, &map), 0);
	now = map.host;
	before = malloc(1 << 20);
	ck_assert_ptr_nonnull(before);
	memcpy(before, now, 1 << 20);

	vmm_virtq_kick_disable(f.q);
	ck_assert_int_eq(vmm_virtq_pop(f.q, &f.chain), 1);
	vmm_chain_writer(&f.chain, &w);
	ck_assert_uint_eq(vmm_writer_fill(&w, 0xaa, 20), 20);
	ck_assert_int_eq(vmm_virtq_push(f.q, f.chain.head, 20), 0);
	vmm_virtq_flush(f.q);
	(void)vmm_virtq_kick_enable(f.q);

	used_end = (size_t)((uint8_t *)(ring->avail_event + 1) - now);
	for (size_t i = 0; i < 1 << 20; i++) {
		bool is_used = i >= (size_t)((uint8_t *)ring->used_flags - now) && i < used_end;
		bool is_out = now + i >= out && now + i < out + 20;

		if (!is_used && !is_out) {
			SUITE_REQUIRE(now[i] == before[i]);
		}
	}
	ck_assert_uint_eq(out[19], 0xaa);
	free(before);
	tear_down(&f);
}
END_TEST

START_TEST(echo_any_framing_gives_the_same_bytes)
{
	static const struct fakedrv_options options[] = {
		{0}, {.no_event_idx = true}, {.no_indirect = true}};
	struct fixture f;
	struct fakedrv_buf bufs[2];
	uint8_t *out;
	uint8_t *in;

	set_up(&f, &options[_i]);
	f.dev.echo = true;
	out = fakedrv_alloc(f.drv, 31);
	in = fakedrv_alloc(f.drv, 31);
	bufs[0] = (struct fakedrv_buf)FAKEDRV_OUT(out, 31);
	bufs[1] = (struct fakedrv_buf)FAKEDRV_IN(in, 31);
	for (uint32_t piece = 1; piece <= 31; piece++) {
		struct fakedrv_buf cut[TESTDEV_QUEUE_SIZE];
		unsigned n = fakedrv_chop(bufs, 2, piece, cut, TESTDEV_QUEUE_SIZE);

		for (uint8_t i = 0; i < 31; i++) {
			out[i] = (uint8_t)(i * piece);
		}
		memset(in, 0, 31);
		ck_assert_uint_eq(fakedrv_request(f.drv, 0, cut, n), 31);
		ck_assert_mem_eq(in, out, 31);
	}
	tear_down(&f);
}
END_TEST

START_TEST(fakedrv_leaves_no_descriptor_open)
{
	unsigned before = fdcount();
	struct fixture f;

	set_up(&f, NULL);
	ck_assert_uint_gt(fdcount(), before);
	tear_down(&f);
	ck_assert_uint_eq(fdcount(), before);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{pop_empty_ring_gives_nothing, 1},
		{pop_any_layout_gives_readable_then_writable, 6},
		{pop_chain_as_long_as_the_ring_is_taken, 2},
		{pop_zero_length_buffers_are_dropped, 1},
		{pop_chain_without_a_byte_is_empty_and_comes_back, 1},
		{pop_buffer_in_the_high_region_is_taken, 1},
		{pop_unaligned_indirect_table_with_write_flag_is_taken, 9},
		{unpop_gives_the_same_chains_again_in_order, 1},
		{unpop_after_the_guest_rewrote_its_ring_releases_the_right_head, 1},
		{unpop_more_than_was_popped_stops, 1},
		{unpop_stops_at_a_chain_that_was_pushed, 1},
		{push_out_of_order_comes_back_in_push_order_with_its_length, 1},
		{push_wrong_head_or_length_is_refused, 1},
		{flush_publishes_a_batch_with_one_interrupt, 2},
		{flush_without_event_idx_obeys_the_flag_and_ignores_used_event, 1},
		{flush_with_event_idx_interrupts_when_used_event_is_passed, 1},
		{ring_wraps_around_without_event_idx, 1},
		{kick_without_event_idx_is_the_flag, 1},
		{kick_with_event_idx_is_avail_event_and_flags_stay_zero, 1},
		{kick_enable_with_chains_left_asks_for_the_next_one, 2},
		{device_writes_used_ring_and_writable_buffers_only, 2},
		{echo_any_framing_gives_the_same_bytes, 3},
		{fakedrv_leaves_no_descriptor_open, 1},
	};

	return suite_run_looped("virtq", tests, sizeof(tests) / sizeof(tests[0]));
}
