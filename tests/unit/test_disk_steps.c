/* SPDX-License-Identifier: MIT */
/* The steps of disk requests, with the test in the place of the kernel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/falloc.h>

#include "../../devices/backend/disk_priv.h"
#include "suite.h"

#define CAPACITY (UINT64_C(4) << 20)

static uint8_t medium[CAPACITY];

static struct file_disk new_disk(void)
{
	static uint8_t zeroes[DISK_STEP_MAX];

	return (struct file_disk){.base = {.capacity = CAPACITY}, .fd = -1, .zeroes = zeroes};
}

/* Moves at most limit bytes between the step's buffers and the medium, as preadv would. */
static int64_t transfer(const struct disk_step *step, uint64_t limit)
{
	uint64_t moved = 0;

	for (unsigned i = 0; i < step->iov_count && moved < limit; i++) {
		size_t n = step->iov[i].iov_len;

		if (n > limit - moved) {
			n = (size_t)(limit - moved);
		}
		if (step->call == DISK_READV) {
			memcpy(step->iov[i].iov_base, medium + step->offset + moved, n);
		} else {
			memcpy(medium + step->offset + moved, step->iov[i].iov_base, n);
		}
		moved += n;
	}
	return (int64_t)moved;
}

/* Gives result to each step until the request is complete; returns its result and counts steps. */
static int run(struct file_disk *disk, struct vmm_disk_request *req, int64_t result,
	       unsigned *steps)
{
	struct disk_step step;

	*steps = 0;
	vmm_disk_accept(disk, req);
	ck_assert_ptr_eq(vmm_disk_list_pop(&disk->pending), req);
	while (vmm_disk_plan(disk, req, &step)) {
		(*steps)++;
		if (vmm_disk_advance(disk, req, result)) {
			break;
		}
	}
	return req->result;
}

/* Every short count, with an interruption before each step. */
static void short_round(enum vmm_disk_op op, uint64_t limit)
{
	uint8_t buffer[1024];
	struct iovec iov[] = {
		{buffer, 1}, {buffer + 1, 511}, {buffer + 512, 0}, {buffer + 512, 512}};
	struct file_disk disk = new_disk();
	struct vmm_disk_request req = {
		.op = op, .offset = 4096, .len = 1024, .iov = iov, .iov_count = 4};
	struct disk_step step;
	bool complete = false;

	for (unsigned i = 0; i < 1024; i++) {
		buffer[i] = op == VMM_DISK_WRITE ? (uint8_t)(i * 3 + limit) : 0;
		medium[4096 + i] = op == VMM_DISK_READ ? (uint8_t)(i * 5 + limit) : 0;
	}
	vmm_disk_accept(&disk, &req);
	for (unsigned n = 0; !complete; n++) {
		ck_assert_uint_lt(n, 2100);
		ck_assert(vmm_disk_plan(&disk, &req, &step));
		ck_assert_uint_eq(step.offset, 4096 + req.progress);
		if (n % 2 == 0) {
			complete = vmm_disk_advance(&disk, &req, n % 4 ? -EINTR : -EAGAIN);
		} else {
			complete = vmm_disk_advance(&disk, &req, transfer(&step, limit));
		}
	}
	ck_assert_int_eq(req.result, 0);
	ck_assert_mem_eq(medium + 4096, buffer, 1024);
}

START_TEST(steps_short_transfers_go_on_where_they_stopped)
{
	for (uint64_t limit = 1; limit <= 1024; limit++) {
		short_round(VMM_DISK_READ, limit);
		short_round(VMM_DISK_WRITE, limit);
	}
}
END_TEST

START_TEST(steps_that_get_nowhere_end_in_an_error)
{
	static const int64_t results[] = {-EINTR, -EAGAIN, 0, 513, INT64_MAX};
	uint8_t buffer[512];
	unsigned steps;

	for (unsigned i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		struct iovec iov = {buffer, 512};
		struct file_disk disk = new_disk();
		struct vmm_disk_request req = {
			.op = VMM_DISK_READ, .len = 512, .iov = &iov, .iov_count = 1};

		ck_assert_int_eq(run(&disk, &req, results[i], &steps), -EIO);
		ck_assert_uint_le(steps, 1001);
	}
}
END_TEST

START_TEST(steps_errors_of_the_kernel_are_handed_on)
{
	static const int errors[] = {-EIO, -ENOSPC, -EFBIG, -EDQUOT, -EOPNOTSUPP, -EBADF};
	uint8_t buffer[512];
	unsigned steps;

	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct iovec iov = {buffer, 512};
		struct file_disk disk = new_disk();
		struct vmm_disk_request req = {
			.op = VMM_DISK_WRITE, .len = 512, .iov = &iov, .iov_count = 1};

		ck_assert_int_eq(run(&disk, &req, errors[i], &steps), errors[i]);
		ck_assert_uint_eq(steps, 1);
		req.op = VMM_DISK_DISCARD;
		ck_assert_int_eq(run(&disk, &req, errors[i], &steps), errors[i]);
	}
}
END_TEST

START_TEST(steps_failed_flush_makes_all_later_ones_fail)
{
	struct file_disk disk = new_disk();
	struct vmm_disk_request flush = {.op = VMM_DISK_FLUSH};
	unsigned steps;

	ck_assert_int_eq(run(&disk, &flush, 0, &steps), 0);
	ck_assert_uint_eq(steps, 1);
	ck_assert_int_eq(run(&disk, &flush, -EINTR, &steps), -EIO);
	disk.sync_error = 0;
	ck_assert_int_eq(run(&disk, &flush, -EIO, &steps), -EIO);
	ck_assert_uint_eq(steps, 1);
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_int_eq(run(&disk, &flush, 0, &steps), -EIO);
		ck_assert_uint_eq(steps, 0);
	}
}
END_TEST

START_TEST(steps_flush_that_was_on_its_way_fails_too)
{
	struct file_disk disk = new_disk();
	struct vmm_disk_request first = {.op = VMM_DISK_FLUSH};
	struct vmm_disk_request second = {.op = VMM_DISK_FLUSH};
	struct disk_step step;

	vmm_disk_accept(&disk, &first);
	vmm_disk_accept(&disk, &second);
	ck_assert(vmm_disk_plan(&disk, &first, &step));
	ck_assert(vmm_disk_plan(&disk, &second, &step));
	ck_assert(vmm_disk_advance(&disk, &first, -ENOSPC));
	ck_assert(vmm_disk_advance(&disk, &second, 0));
	ck_assert_int_eq(second.result, -ENOSPC);
}
END_TEST

START_TEST(steps_write_through_is_data_and_then_a_flush)
{
	uint8_t buffer[512];
	struct file_disk disk = new_disk();
	struct disk_step step;

	for (int sync = 0; sync >= -EIO; sync -= EIO) {
		struct iovec iov = {buffer, 512};
		struct vmm_disk_request req = {.op = VMM_DISK_WRITE,
					       .flags = VMM_DISK_THROUGH,
					       .len = 512,
					       .iov = &iov,
					       .iov_count = 1};

		vmm_disk_accept(&disk, &req);
		ck_assert(vmm_disk_plan(&disk, &req, &step));
		ck_assert_int_eq(step.call, DISK_WRITEV);
		ck_assert(!vmm_disk_advance(&disk, &req, 512));
		ck_assert(vmm_disk_plan(&disk, &req, &step));
		ck_assert_int_eq(step.call, DISK_SYNC);
		ck_assert(vmm_disk_advance(&disk, &req, sync));
		ck_assert_int_eq(req.result, sync);
	}
	ck_assert_int_eq(disk.sync_error, -EIO);
}
END_TEST

START_TEST(steps_zeroes_fall_back_to_what_the_file_system_can)
{
	struct file_disk disk = new_disk();
	struct vmm_disk_request req = {.op = VMM_DISK_WRITE_ZEROES,
				       .flags = VMM_DISK_UNMAP,
				       .offset = 512,
				       .len = 3 * DISK_STEP_MAX - 512};
	struct disk_step step;
	unsigned writes = 0;

	memset(medium, 0xee, sizeof(medium));
	vmm_disk_accept(&disk, &req);
	ck_assert(vmm_disk_plan(&disk, &req, &step));
	ck_assert_int_eq(step.call, DISK_FALLOCATE);
	ck_assert_int_eq(step.mode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	ck_assert(!vmm_disk_advance(&disk, &req, -EOPNOTSUPP));
	ck_assert(vmm_disk_plan(&disk, &req, &step));
	ck_assert_int_eq(step.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	ck_assert_uint_eq(step.len, req.len);
	ck_assert(!vmm_disk_advance(&disk, &req, -EOPNOTSUPP));
	while (vmm_disk_plan(&disk, &req, &step)) {
		ck_assert_int_eq(step.call, DISK_WRITEV);
		ck_assert_uint_le(step.len, DISK_STEP_MAX);
		writes++;
		if (vmm_disk_advance(&disk, &req, transfer(&step, 700000))) {
			break;
		}
	}
	ck_assert_int_eq(req.result, 0);
	ck_assert_uint_ge(writes, 4);
	for (unsigned i = 0; i < 512; i++) {
		ck_assert_uint_eq(medium[i], 0xee);
		ck_assert_uint_eq(medium[3 * DISK_STEP_MAX + i], 0xee);
	}
	ck_assert_ptr_null(memchr(medium + 512, 0xee, 3 * DISK_STEP_MAX - 512));
	/* What was learnt is remembered. */
	vmm_disk_accept(&disk, &req);
	ck_assert(vmm_disk_plan(&disk, &req, &step));
	ck_assert_int_eq(step.call, DISK_WRITEV);
}
END_TEST

START_TEST(steps_zeroes_without_unmap_keep_their_storage)
{
	struct file_disk disk = new_disk();
	struct vmm_disk_request req = {.op = VMM_DISK_WRITE_ZEROES, .len = 512};
	struct disk_step step;

	vmm_disk_accept(&disk, &req);
	ck_assert(vmm_disk_plan(&disk, &req, &step));
	ck_assert_int_eq(step.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	ck_assert(vmm_disk_advance(&disk, &req, 0));
	ck_assert_int_eq(req.result, 0);
}
END_TEST

START_TEST(steps_are_bounded_in_bytes_and_buffers)
{
	static struct iovec many[1500];
	static uint8_t buffer[2 * DISK_STEP_MAX + 512];
	struct file_disk disk = new_disk();
	struct iovec one = {buffer, sizeof(buffer)};
	struct vmm_disk_request req = {
		.op = VMM_DISK_WRITE, .len = sizeof(buffer), .iov = &one, .iov_count = 1};
	struct disk_step step;
	unsigned steps = 0;

	vmm_disk_accept(&disk, &req);
	do {
		ck_assert(vmm_disk_plan(&disk, &req, &step));
		ck_assert_uint_le(step.len, DISK_STEP_MAX);
		steps++;
	} while (!vmm_disk_advance(&disk, &req, (int64_t)step.len));
	ck_assert_int_eq(req.result, 0);
	ck_assert_uint_eq(steps, 3);
	for (unsigned i = 0; i < 1500; i++) {
		many[i] = (struct iovec){buffer, 1};
	}
	req.iov = many;
	req.iov_count = 1500;
	req.len = 1500;
	vmm_disk_accept(&disk, &req);
	ck_assert(vmm_disk_plan(&disk, &req, &step));
	ck_assert_uint_eq(step.iov_count, 1024);
	ck_assert_uint_eq(step.len, 1024);
}
END_TEST

START_TEST(steps_ranges_that_wrap_never_reach_the_kernel)
{
	static const uint64_t ranges[][2] = {{512, UINT64_MAX}, {512, UINT64_MAX - 511},
					     {UINT64_MAX, 1},   {CAPACITY, 1},
					     {CAPACITY + 1, 0}, {1, CAPACITY}};
	unsigned steps;

	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct file_disk disk = new_disk();
		struct vmm_disk_request req = {
			.op = VMM_DISK_DISCARD, .offset = ranges[i][0], .len = ranges[i][1]};

		ck_assert_int_eq(run(&disk, &req, 0, &steps), -EINVAL);
		ck_assert_uint_eq(steps, 0);
	}
}
END_TEST

START_TEST(steps_unknown_requests_are_refused)
{
	struct file_disk disk = new_disk();
	struct vmm_disk_request req = {.op = (enum vmm_disk_op)77, .len = 512};
	unsigned steps;

	ck_assert_int_eq(run(&disk, &req, 0, &steps), -EINVAL);
	ck_assert_uint_eq(steps, 0);
}
END_TEST

SUITE_MAIN("disk_steps", steps_short_transfers_go_on_where_they_stopped,
	   steps_that_get_nowhere_end_in_an_error, steps_errors_of_the_kernel_are_handed_on,
	   steps_failed_flush_makes_all_later_ones_fail, steps_flush_that_was_on_its_way_fails_too,
	   steps_write_through_is_data_and_then_a_flush,
	   steps_zeroes_fall_back_to_what_the_file_system_can,
	   steps_zeroes_without_unmap_keep_their_storage, steps_are_bounded_in_bytes_and_buffers,
	   steps_ranges_that_wrap_never_reach_the_kernel, steps_unknown_requests_are_refused)
