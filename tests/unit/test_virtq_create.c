/* SPDX-License-Identifier: MIT */
/*
 * Making a split queue, without a carrier around it: what configuration is refused, and rings of
 * the sizes at either end of what the specification allows.
 */
#include <errno.h>
#include <string.h>

#include <vmm/virtio.h>
#include <vmm/virtq.h>

#include "fakedrv.h"
#include "faultinj.h"
#include "memfix.h"
#include "suite.h"

struct raw {
	struct memfix fix;
	struct vmm_virtq_config config;
	struct vmm_virtq *q;
};

static void raw_set_up(struct raw *raw, uint16_t size)
{
	memset(raw, 0, sizeof(*raw));
	memfix_init(&raw->fix);
	raw->config.size = size;
	raw->config.size_max = size;
	raw->config.desc = memfix_gpa(&raw->fix, memfix_alloc(&raw->fix, 16u * size, 16));
	raw->config.driver = memfix_gpa(&raw->fix, memfix_alloc(&raw->fix, 6 + 2u * size, 2));
	raw->config.device = memfix_gpa(&raw->fix, memfix_alloc(&raw->fix, 6 + 8u * size, 4));
	raw->config.features = VMM_VIRTIO_F_EVENT_IDX | VMM_VIRTIO_F_INDIRECT_DESC;
}

static int raw_create(struct raw *raw)
{
	return vmm_virtq_create(&raw->q, raw->fix.mem, &raw->config, NULL, NULL, NULL);
}

START_TEST(create_bad_configuration_is_refused)
{
	static const struct {
		uint16_t size;
		uint16_t size_max;
		vmm_gpa desc;
		vmm_gpa driver;
		vmm_gpa device;
		int expected;
	} rows[] = {
		{0, 64, 0, 0, 0, -EPROTO},
		{3, 64, 0, 0, 0, -EPROTO},
		{65535, 65535, 0, 0, 0, -EPROTO},
		{128, 64, 0, 0, 0, -EPROTO},
		{64, 64, MEMFIX_LOW_BASE + 8, 0, 0, -EPROTO},
		{64, 64, 0, MEMFIX_LOW_BASE + 1, 0, -EPROTO},
		{64, 64, 0, 0, MEMFIX_LOW_BASE + 2, -EPROTO},
		{64, 64, MEMFIX_HOLE, 0, 0, -EFAULT},
		{64, 64, 0, MEMFIX_HOLE, 0, -EFAULT},
		{64, 64, 0, 0, MEMFIX_HOLE, -EFAULT},
		{64, 64, MEMFIX_LOW_BASE - 16, 0, 0, -EFAULT},
		{64, 64, UINT64_MAX - 15, 0, 0, -EFAULT},
		{64, 64, 0, UINT64_MAX - 1, 0, -EFAULT},
		{64, 64, 0, 0, UINT64_MAX - 3, -EFAULT},
		/* The last bytes are the event fields. */
		{64, 64, MEMFIX_LOW_BASE + MEMFIX_LOW_SIZE - 16 * 63, 0, 0, -EFAULT},
		{64, 64, 0, MEMFIX_LOW_BASE + MEMFIX_LOW_SIZE - 6 - 2 * 64 + 2, 0, -EFAULT},
		{64, 64, 0, 0, MEMFIX_LOW_BASE + MEMFIX_LOW_SIZE - 4 - 8 * 64, -EFAULT},
	};
	struct raw raw;

	raw_set_up(&raw, 64);
	raw.config.size = rows[_i].size;
	raw.config.size_max = rows[_i].size_max;
	raw.config.desc = rows[_i].desc ? rows[_i].desc : raw.config.desc;
	raw.config.driver = rows[_i].driver ? rows[_i].driver : raw.config.driver;
	raw.config.device = rows[_i].device ? rows[_i].device : raw.config.device;
	ck_assert_int_eq(raw_create(&raw), rows[_i].expected);
	ck_assert_ptr_null(raw.q);
	memfix_finish(&raw.fix);
}
END_TEST

START_TEST(create_areas_at_the_end_of_memory_are_taken)
{
	struct raw raw;

	raw_set_up(&raw, 64);
	raw.config.driver = MEMFIX_LOW_BASE + MEMFIX_LOW_SIZE - 6 - 2 * 64;
	ck_assert_int_eq(raw_create(&raw), 0);
	vmm_virtq_destroy(raw.q);
	memfix_finish(&raw.fix);
}
END_TEST

static void count_call(void *ctx, const char *why)
{
	unsigned *calls = ctx;

	ck_assert_str_eq(why, "first");
	(*calls)++;
}

START_TEST(break_twice_is_told_once)
{
	unsigned calls = 0;
	struct raw raw;

	raw_set_up(&raw, 64);
	ck_assert_int_eq(
		vmm_virtq_create(&raw.q, raw.fix.mem, &raw.config, NULL, count_call, &calls), 0);
	vmm_virtq_break(raw.q, "first");
	vmm_virtq_break(raw.q, "second");
	ck_assert_uint_eq(calls, 1);
	vmm_virtq_destroy(raw.q);
	memfix_finish(&raw.fix);
}
END_TEST

START_TEST(create_without_memory_leaks_nothing)
{
	struct faultinj inj = {0};
	struct raw raw;
	unsigned rounds = 0;

	raw_set_up(&raw, 64);
	while (faultinj_next(&inj)) {
		int ret = raw_create(&raw);

		faultinj_stop(&inj);
		rounds++;
		ck_assert_int_eq(ret, inj.failed ? -ENOMEM : 0);
		ck_assert(inj.failed ? !raw.q : raw.q != NULL);
		vmm_virtq_destroy(raw.q);
	}
	ck_assert_uint_eq(rounds, 7);
	memfix_finish(&raw.fix);
}
END_TEST

static bool in_flight_bits_work(struct vmm_virtq *q, struct vmm_chain *chain, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (vmm_virtq_pop(q, chain) != 1) {
			return false;
		}
	}
	return vmm_virtq_pop(q, chain) == 0 && vmm_virtq_in_flight(q) == n;
}

/* All 2^15 chains out at once, with indices on both sides of the wrap. */
START_TEST(largest_and_smallest_ring_work_over_the_wrap)
{
	static const uint16_t sizes[] = {32768, 1, 2};
	struct iovec iov[4];
	struct vmm_chain chain = {.iov = iov, .iov_cap = 4};
	uint16_t size = sizes[_i];
	struct raw raw;
	struct fakedrv_desc *desc;
	uint16_t *avail;
	uint16_t *used;

	raw_set_up(&raw, size);
	desc = memfix_ptr(&raw.fix, raw.config.desc, 16u * size);
	avail = memfix_ptr(&raw.fix, raw.config.driver, 6 + 2u * size);
	used = memfix_ptr(&raw.fix, raw.config.device, 6 + 8u * size);
	for (unsigned i = 0; i < size; i++) {
		desc[i].addr = raw.config.desc;
		desc[i].len = 1;
		avail[2 + i] = (uint16_t)i;
	}
	SUITE_REQUIRE(raw_create(&raw) == 0);
	for (unsigned total = 0; total < 5 * 32768u; total += size) {
		avail[1] = (uint16_t)(avail[1] + size);
		SUITE_REQUIRE(vmm_virtq_avail_count(raw.q) == size);
		SUITE_REQUIRE(in_flight_bits_work(raw.q, &chain, size));
		for (unsigned i = 0; i < size; i++) {
			SUITE_REQUIRE(vmm_virtq_push(raw.q, (uint16_t)i, 0) == 0);
		}
		vmm_virtq_flush(raw.q);
		SUITE_REQUIRE(used[1] == avail[1]);
	}
	vmm_virtq_destroy(raw.q);
	memfix_finish(&raw.fix);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{create_bad_configuration_is_refused, 17},
		{create_areas_at_the_end_of_memory_are_taken, 1},
		{break_twice_is_told_once, 1},
		{create_without_memory_leaks_nothing, 1},
		{largest_and_smallest_ring_work_over_the_wrap, 3},
	};

	return suite_run_looped("virtq_create", tests, sizeof(tests) / sizeof(tests[0]));
}
