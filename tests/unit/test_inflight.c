/* SPDX-License-Identifier: MIT */
/*
 * A queue whose process is killed: what the record says, and what the next process makes of it. A
 * kill is played by leaving a queue as it is (never by stop) and starting another one on the same
 * guest memory and the same record.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/virtio.h>
#include <vmm/virtq.h>

#include "memfix.h"
#include "suite.h"
#include "virtio/ring.h"

#define SIZE   8
#define CHAINS 5

struct fixture {
	struct memfix fix;
	uint8_t *desc;
	uint16_t *avail;
	uint16_t *used;
	struct vmm_inflight *record;
	struct vmm_virtq *q;
	struct vmm_chain chain;
	struct iovec iov[SIZE];
};

/* Descriptor i is a writable buffer of its own. */
static void set_up(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	memfix_init(&f->fix);
	f->desc = memfix_alloc(&f->fix, 16 * SIZE, 16);
	f->avail = memfix_alloc(&f->fix, 6 + 2 * SIZE, 2);
	f->used = memfix_alloc(&f->fix, 6 + 8 * SIZE, 4);
	f->record = calloc(1, vmm_inflight_size(SIZE));
	f->chain.iov = f->iov;
	f->chain.iov_cap = SIZE;
	for (uint16_t i = 0; i < SIZE; i++) {
		uint64_t addr = memfix_gpa(&f->fix, memfix_alloc(&f->fix, 64, 16));
		uint32_t len = 64;
		uint16_t flags = DESC_F_WRITE;

		memcpy(f->desc + 16 * i, &addr, sizeof(addr));
		memcpy(f->desc + 16 * i + 8, &len, sizeof(len));
		memcpy(f->desc + 16 * i + 12, &flags, sizeof(flags));
	}
}

static void tear_down(struct fixture *f)
{
	vmm_virtq_destroy(f->q);
	free(f->record);
	memfix_finish(&f->fix);
}

/* Another process takes the queue over, or the first one takes it up. */
static int start(struct fixture *f, uint16_t next_avail)
{
	struct vmm_virtq_config config = {
		.size = SIZE,
		.size_max = SIZE,
		.desc = memfix_gpa(&f->fix, f->desc),
		.driver = memfix_gpa(&f->fix, f->avail),
		.device = memfix_gpa(&f->fix, f->used),
		.next_avail = next_avail,
		.inflight = f->record,
	};

	vmm_virtq_destroy(f->q);
	return vmm_virtq_create(&f->q, f->fix.mem, &config, NULL, NULL, NULL);
}

static void offer(struct fixture *f, uint16_t head)
{
	f->avail[2 + f->avail[1] % SIZE] = head;
	f->avail[1]++;
}

static int pop(struct fixture *f)
{
	int ret = vmm_virtq_pop(f->q, &f->chain);

	return ret == 1 ? f->chain.head : -1;
}

static unsigned used_count(const struct fixture *f, uint16_t head)
{
	unsigned count = 0;

	for (uint16_t i = 0; i < f->used[1]; i++) {
		count += f->used[2 + 4 * (i % SIZE)] == head;
	}
	return count;
}

static bool is_marked(const struct fixture *f, uint16_t head)
{
	return f->record->desc[head].inflight == 1;
}

START_TEST(record_follows_pop_push_and_unpop)
{
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(start(&f, 0), 0);
	ck_assert_uint_eq(f.record->version, 1);
	ck_assert_uint_eq(f.record->desc_num, SIZE);
	offer(&f, 3);
	offer(&f, 6);
	ck_assert_int_eq(pop(&f), 3);
	ck_assert_int_eq(pop(&f), 6);
	ck_assert(is_marked(&f, 3) && is_marked(&f, 6));
	ck_assert_uint_lt(f.record->desc[3].counter, f.record->desc[6].counter);
	vmm_virtq_unpop(f.q, 1);
	ck_assert(!is_marked(&f, 6));
	ck_assert_int_eq(vmm_virtq_push(f.q, 3, 1), 0);
	/* Not visible to the driver yet: whoever goes on has to do it again. */
	ck_assert(is_marked(&f, 3));
	vmm_virtq_flush(f.q);
	ck_assert(!is_marked(&f, 3));
	ck_assert_uint_eq(f.record->used_idx, 1);
	tear_down(&f);
}
END_TEST

/* Five chains, of which some are answered out of order before the kill. */
START_TEST(chains_in_flight_are_popped_again_oldest_first)
{
	static const uint16_t heads[CHAINS] = {4, 1, 7, 0, 2};
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(start(&f, 0), 0);
	for (int i = 0; i < CHAINS; i++) {
		offer(&f, heads[i]);
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(pop(&f), heads[i]);
	}
	ck_assert_int_eq(vmm_virtq_push(f.q, 1, 0), 0);
	vmm_virtq_flush(f.q);

	/* Whatever index the front end believes in. */
	ck_assert_int_eq(start(&f, (uint16_t)_i), 0);
	ck_assert_int_eq(pop(&f), 4);
	ck_assert_int_eq(pop(&f), 7);
	ck_assert_int_eq(pop(&f), 0);
	/* Then the one that the process before had not seen. */
	ck_assert_int_eq(pop(&f), 2);
	ck_assert_int_eq(pop(&f), -1);
	for (int i = 0; i < CHAINS; i++) {
		(void)vmm_virtq_push(f.q, heads[i], 0);
	}
	vmm_virtq_flush(f.q);
	for (int i = 0; i < CHAINS; i++) {
		ck_assert_uint_eq(used_count(&f, heads[i]), 1);
	}
	tear_down(&f);
}
END_TEST

START_TEST(chain_that_was_replayed_can_be_given_back)
{
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(start(&f, 0), 0);
	offer(&f, 5);
	offer(&f, 2);
	ck_assert_int_eq(pop(&f), 5);
	ck_assert_int_eq(pop(&f), 2);
	ck_assert_int_eq(start(&f, 0), 0);
	offer(&f, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pop(&f), 5);
		ck_assert_int_eq(pop(&f), 2);
		ck_assert_int_eq(pop(&f), 1);
		vmm_virtq_unpop(f.q, 3);
		ck_assert_uint_eq(vmm_virtq_in_flight(f.q), 0);
	}
	tear_down(&f);
}
END_TEST

/*
 * The kill comes inside flush: after the used index was published (and perhaps after some marks
 * were cleared) and before the record says so. _i is the number of marks cleared already.
 */
START_TEST(kill_inside_flush_repeats_nothing)
{
	static const uint16_t heads[3] = {6, 3, 5};
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(start(&f, 0), 0);
	for (int i = 0; i < 3; i++) {
		offer(&f, heads[i]);
		ck_assert_int_eq(pop(&f), heads[i]);
	}
	offer(&f, 0);
	ck_assert_int_eq(pop(&f), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(vmm_virtq_push(f.q, heads[i], 0), 0);
	}
	vmm_virtq_flush(f.q);
	f.record->used_idx = 0;
	for (int i = _i; i < 3; i++) {
		f.record->desc[heads[i]].inflight = 1;
	}

	ck_assert_int_eq(start(&f, 0), 0);
	ck_assert_uint_eq(f.record->used_idx, 3);
	ck_assert_int_eq(pop(&f), 0);
	ck_assert_int_eq(pop(&f), -1);
	tear_down(&f);
}
END_TEST

/* Before the used index was published: the driver has seen nothing, so all of it is done again. */
START_TEST(kill_before_publishing_repeats_all)
{
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(start(&f, 0), 0);
	offer(&f, 6);
	offer(&f, 3);
	ck_assert_int_eq(pop(&f), 6);
	ck_assert_int_eq(pop(&f), 3);
	ck_assert_int_eq(vmm_virtq_push(f.q, 3, 0), 0);
	f.record->last_batch_head = 3; /* the step before the index */
	ck_assert_int_eq(start(&f, 0), 0);
	ck_assert_int_eq(pop(&f), 6);
	ck_assert_int_eq(pop(&f), 3);
	tear_down(&f);
}
END_TEST

/* A long life with a kill at every step: nothing is lost, nothing is answered twice. */
START_TEST(random_kills_lose_and_repeat_nothing)
{
	unsigned owed[SIZE] = {0};
	unsigned answered = 0;
	uint16_t seen = 0;
	struct fixture f;

	set_up(&f);
	srand(7);
	ck_assert_int_eq(start(&f, 0), 0);
	for (int i = 0; i < 200000; i++) {
		uint16_t head = (uint16_t)(rand() % SIZE);
		int popped;

		switch (rand() % 8) {
		case 0:
		case 1:
			if (!owed[head]) {
				owed[head] = 1;
				offer(&f, head);
			}
			break;
		case 2:
		case 3:
			popped = pop(&f);
			ck_assert(popped < 0 || owed[popped] == 1);
			break;
		case 4:
			(void)vmm_virtq_push(f.q, head, 0);
			break;
		case 5:
			vmm_virtq_flush(f.q);
			break;
		case 6:
			if (vmm_virtq_in_flight(f.q) > 0) {
				vmm_virtq_unpop(f.q, 1);
			}
			break;
		default:
			ck_assert_int_eq(start(&f, (uint16_t)rand()), 0);
			break;
		}
		ck_assert(!vmm_virtq_is_broken(f.q));
		for (; seen != f.used[1]; seen++) {
			uint16_t done = f.used[2 + 4 * (seen % SIZE)];

			ck_assert_uint_eq(owed[done], 1);
			owed[done] = 0;
			answered++;
		}
	}
	ck_assert_uint_gt(answered, 1000);
	/* And what is still owed can all be had. */
	ck_assert_int_eq(start(&f, 0), 0);
	for (int popped = pop(&f); popped >= 0; popped = pop(&f)) {
		ck_assert_uint_eq(owed[popped], 1);
		owed[popped] = 0;
	}
	for (int i = 0; i < SIZE; i++) {
		ck_assert_uint_eq(owed[i], 0);
	}
	tear_down(&f);
}
END_TEST

/* The record is as trustworthy as the other processes that can write to it. */
START_TEST(hostile_records_are_refused_or_harmless)
{
	struct fixture f;

	set_up(&f);
	for (int i = 0; i < 20000; i++) {
		uint8_t *bytes = (uint8_t *)f.record;
		int ret;

		srand((unsigned)i);
		for (size_t at = 0; at < vmm_inflight_size(SIZE); at++) {
			bytes[at] = (uint8_t)(rand() % 4 ? rand() % 3 : rand());
		}
		if (i % 4 != 0) {
			f.record->version = 1;
			f.record->desc_num = SIZE;
		}
		f.used[1] = (uint16_t)(rand() % 12);
		f.avail[1] = (uint16_t)(rand() % 12);
		ret = start(&f, (uint16_t)rand());
		ck_assert(ret == 0 || ret == -EPROTO);
		for (int n = 0; ret == 0 && n < 2 * SIZE && pop(&f) >= 0; n++) {
			(void)vmm_virtq_push(f.q, f.chain.head, 0);
		}
		if (ret == 0) {
			vmm_virtq_flush(f.q);
		}
	}
	tear_down(&f);
}
END_TEST

START_TEST(record_of_another_queue_is_refused)
{
	struct fixture f;

	set_up(&f);
	f.record->version = 2;
	ck_assert_int_eq(start(&f, 0), -EPROTO);
	f.record->version = 1;
	f.record->desc_num = SIZE / 2;
	ck_assert_int_eq(start(&f, 0), -EPROTO);
	f.record->desc_num = SIZE;
	f.record->used_idx = 5; /* the ring's is 0: more than a whole ring ahead */
	ck_assert_int_eq(start(&f, 0), -EPROTO);
	tear_down(&f);
}
END_TEST

START_TEST(stop_says_where_to_go_on)
{
	uint16_t next = 0;
	struct fixture f;

	set_up(&f);
	free(f.record);
	f.record = NULL;
	ck_assert_int_eq(start(&f, 0), 0);
	for (uint16_t i = 0; i < 4; i++) {
		offer(&f, i);
		ck_assert_int_eq(pop(&f), i);
	}
	ck_assert_int_eq(vmm_virtq_push(f.q, 0, 0), 0);
	ck_assert_int_eq(vmm_virtq_stop(f.q, &next), 0);
	ck_assert_uint_eq(next, 1);
	ck_assert_uint_eq(f.used[1], 1);
	ck_assert_int_eq(start(&f, next), 0);
	ck_assert_int_eq(pop(&f), 1);
	ck_assert_int_eq(pop(&f), 2);
	/* 2 is answered and 1 is not: no index says that. */
	ck_assert_int_eq(vmm_virtq_push(f.q, 2, 0), 0);
	ck_assert_int_eq(vmm_virtq_stop(f.q, &next), -EBUSY);
	tear_down(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{record_follows_pop_push_and_unpop, 1},
		{chains_in_flight_are_popped_again_oldest_first, 3},
		{chain_that_was_replayed_can_be_given_back, 1},
		{kill_inside_flush_repeats_nothing, 4},
		{kill_before_publishing_repeats_all, 1},
		{random_kills_lose_and_repeat_nothing, 1},
		{hostile_records_are_refused_or_harmless, 1},
		{record_of_another_queue_is_refused, 1},
		{stop_says_where_to_go_on, 1},
	};

	return suite_run_looped("inflight", tests, sizeof(tests) / sizeof(tests[0]));
}
