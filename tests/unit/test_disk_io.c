/* SPDX-License-Identifier: MIT */
/* What both engines of a disk do with real files and block devices. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "../../devices/backend/disk_priv.h"
#include "test_disk_fix.h"

static const enum vmm_disk_engine engines[] = {VMM_DISK_SYNC, VMM_DISK_AUTO};
#define ENGINES (sizeof(engines) / sizeof(engines[0]))

START_TEST(disk_engine_is_io_uring_where_the_kernel_has_it)
{
	struct io_uring_params params = {0};
	long fd = syscall(SYS_io_uring_setup, 1, &params);
	struct vmm_disk *disk;
	struct place p;

	set_up(&p);
	disk = must_open(p.image, VMM_DISK_AUTO, false);
	ck_assert_int_eq(vmm_disk_get_engine(disk), fd < 0 ? VMM_DISK_SYNC : VMM_DISK_URING);
	vmm_disk_destroy(disk);
	ck_assert_int_eq(fd < 0 ? 0 : close((int)fd), 0);
	disk = must_open(p.image, VMM_DISK_SYNC, false);
	ck_assert_int_eq(vmm_disk_get_engine(disk), VMM_DISK_SYNC);
	vmm_disk_destroy(disk);
	tear_down(&p);
}
END_TEST

START_TEST(disk_requests_that_make_no_sense_are_refused)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		uint8_t buffer[1024];
		struct iovec iov = {buffer, 512};
		struct waiter w = {0};
		struct vmm_disk_request req = {.op = VMM_DISK_READ,
					       .len = 1024, /* more than iov has */
					       .iov = &iov,
					       .iov_count = 1,
					       .done = on_done,
					       .ctx = &w};
		struct vmm_disk *disk;
		struct place p;

		set_up(&p);
		disk = attached(&p, p.image, engines[e], false);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, SIZE, buffer, 512), -EINVAL);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, SIZE - 512, buffer, 1024), -EINVAL);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE, 0, UINT64_MAX - 511, buffer, 512),
				 -EINVAL);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_DISCARD, 0, 512, NULL, SIZE), -EINVAL);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE_ZEROES, 0, 512, NULL, UINT64_MAX),
				 -EINVAL);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, SIZE, NULL, 0), 0);
		disk->ops->submit(disk, &req);
		disk->ops->commit(disk);
		wait_for(&p, &w, 1);
		ck_assert_int_eq(w.result, -EINVAL);
		let_go(disk);
		disk = attached(&p, p.image, engines[e], true);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE, 0, 0, buffer, 512), -EROFS);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_DISCARD, 0, 0, NULL, 512), -EROFS);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE_ZEROES, 0, 0, NULL, 512), -EROFS);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_FLUSH, 0, 0, NULL, 0), 0);
		let_go(disk);
		tear_down(&p);
	}
}
END_TEST

START_TEST(disk_image_bytes_are_never_interpreted)
{
	static const char *const magics[] = {"QFI\xfb\0\0\0\3", "KDMV", "conectix", "vhdxfile"};
	struct place p;

	set_up(&p);
	for (unsigned i = 0; i < 4; i++) {
		struct vmm_disk *disk = attached(&p, p.image, VMM_DISK_AUTO, false);
		uint8_t buffer[512] = {0};

		memcpy(buffer, magics[i], 4);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE, 0, 0, buffer, 512), 0);
		let_go(disk);
		disk = attached(&p, p.image, VMM_DISK_AUTO, false);
		memset(buffer, 0, sizeof(buffer));
		ck_assert_uint_eq(disk->capacity, SIZE);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, 0, buffer, 512), 0);
		ck_assert_mem_eq(buffer, magics[i], 4);
		let_go(disk);
	}
	tear_down(&p);
}
END_TEST

START_TEST(disk_that_was_truncated_gives_errors)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		uint8_t buffer[8192];
		struct vmm_disk *disk;
		struct place p;

		set_up(&p);
		disk = attached(&p, p.image, engines[e], true);
		ck_assert_int_eq(truncate(p.image, 4096), 0);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, 0, buffer, 4096), 0);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, 0, buffer, 8192), -EIO);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, 65536, buffer, 512), -EIO);
		let_go(disk);
		tear_down(&p);
	}
}
END_TEST

START_TEST(disk_zeroes_discards_and_flushes_work)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		static const unsigned flags[] = {0, VMM_DISK_UNMAP, VMM_DISK_THROUGH,
						 VMM_DISK_UNMAP | VMM_DISK_THROUGH};
		static const uint8_t zeroes[1536];
		uint8_t buffer[2048];
		struct vmm_disk *disk;
		struct place p;

		set_up(&p);
		disk = attached(&p, p.image, engines[e], false);
		for (unsigned i = 0; i < 4; i++) {
			ck_assert_int_eq(
				io(&p, disk, VMM_DISK_WRITE_ZEROES, flags[i], i * 8192, NULL, 1536),
				0);
			ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, i * 8192, buffer, 2048), 0);
			ck_assert_mem_eq(buffer, zeroes, 1536);
			ck_assert_uint_eq(buffer[1536], 0x11);
			ck_assert_int_eq(io(&p, disk, VMM_DISK_FLUSH, 0, 0, NULL, 0), 0);
			memset(buffer, 0x22, sizeof(buffer));
			ck_assert_int_eq(
				io(&p, disk, VMM_DISK_WRITE, flags[i], i * 8192, buffer, 2048), 0);
			ck_assert_int_eq(
				io(&p, disk, VMM_DISK_DISCARD, flags[i], i * 8192, NULL, 2048), 0);
		}
		let_go(disk);
		tear_down(&p);
	}
}
END_TEST

static void count_batch(void *ctx)
{
	(*(unsigned *)ctx)++;
}

START_TEST(disk_more_requests_than_the_ring_holds_all_end)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		static struct vmm_disk_request reqs[600];
		static struct iovec iov[600];
		static uint8_t buffers[600][512];
		unsigned batches = 0;
		struct waiter w = {0};
		struct vmm_disk *disk;
		struct place p;

		set_up(&p);
		disk = must_open(p.image, engines[e], false);
		disk->batch = count_batch;
		disk->batch_ctx = &batches;
		ck_assert_int_eq(disk->ops->attach(disk, p.loop), 0);
		for (unsigned i = 0; i < 600; i++) {
			iov[i] = (struct iovec){buffers[i], 512};
			reqs[i] = (struct vmm_disk_request){.op = i % 7 == 0   ? VMM_DISK_FLUSH
								  : i % 3 == 0 ? VMM_DISK_WRITE
									       : VMM_DISK_READ,
							    .offset = i * 512,
							    .len = 512,
							    .iov = &iov[i],
							    .iov_count = 1,
							    .done = on_done,
							    .ctx = &w};
			disk->ops->submit(disk, &reqs[i]);
		}
		disk->ops->commit(disk);
		wait_for(&p, &w, 600);
		ck_assert_int_eq(w.result, 0);
		ck_assert_uint_ge(batches, 1);
		ck_assert_uint_lt(batches, 600);
		ck_assert_uint_eq(buffers[1][0], 0x11);
		let_go(disk);
		tear_down(&p);
	}
}
END_TEST

START_TEST(disk_request_may_be_submitted_again_from_done)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		struct waiter w = {.again = 50};
		struct vmm_disk_request req = {.op = VMM_DISK_FLUSH, .done = on_done, .ctx = &w};
		struct vmm_disk *disk;
		struct place p;

		set_up(&p);
		disk = attached(&p, p.image, engines[e], false);
		w.disk = disk;
		disk->ops->submit(disk, &req);
		disk->ops->commit(disk);
		wait_for(&p, &w, 51);
		let_go(disk);
		tear_down(&p);
	}
}
END_TEST

START_TEST(disk_flushes_in_the_ring_go_one_by_one)
{
	struct waiter w = {0};
	struct vmm_disk_request first = {.op = VMM_DISK_FLUSH, .done = on_done, .ctx = &w};
	struct vmm_disk_request second = first;
	struct file_disk *inside;
	struct vmm_disk *disk;
	struct place p;

	set_up(&p);
	disk = attached(&p, p.image, VMM_DISK_AUTO, false);
	if (vmm_disk_get_engine(disk) == VMM_DISK_URING) {
		inside = (struct file_disk *)disk;
		/* As if a flush were in the kernel. */
		inside->sync_running = true;
		disk->ops->submit(disk, &first);
		disk->ops->commit(disk);
		ck_assert_ptr_eq(inside->sync_waiting.head, &first);
		ck_assert_int_ge(vmm_loop_dispatch(p.loop, 5), 0);
		ck_assert_uint_eq(w.done, 0);
		/* The next to end makes way for it. */
		inside->sync_running = false;
		disk->ops->submit(disk, &second);
		disk->ops->commit(disk);
		wait_for(&p, &w, 2);
		ck_assert_int_eq(w.result, 0);
	}
	let_go(disk);
	tear_down(&p);
}
END_TEST

START_TEST(disk_turn_ends_before_others_starve)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		static struct vmm_disk_request reqs[40];
		static struct iovec iov[40];
		static uint8_t buffer[SIZE];
		struct waiter w = {0};
		struct vmm_disk *disk;
		struct place p;

		set_up(&p);
		disk = attached(&p, p.image, engines[e], true);
		for (unsigned i = 0; i < 40; i++) {
			iov[i] = (struct iovec){buffer, SIZE};
			reqs[i] = (struct vmm_disk_request){.op = VMM_DISK_READ,
							    .len = SIZE,
							    .iov = &iov[i],
							    .iov_count = 1,
							    .done = on_done,
							    .ctx = &w};
			disk->ops->submit(disk, &reqs[i]);
		}
		disk->ops->commit(disk);
		/* 40 MiB are no work for one turn. */
		ck_assert_uint_lt(w.done, 20);
		wait_for(&p, &w, 40);
		let_go(disk);
		tear_down(&p);
	}
}
END_TEST

START_TEST(disk_detach_forgets_requests)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		uint8_t *buffer = malloc(SIZE);
		struct iovec iov[64];
		struct vmm_disk_request *reqs = calloc(64, sizeof(*reqs));
		struct waiter w = {0};
		unsigned done;
		struct vmm_disk *disk;
		struct place p;

		set_up(&p);
		disk = attached(&p, p.image, engines[e], false);
		for (unsigned i = 0; i < 64; i++) {
			iov[i] = (struct iovec){buffer, SIZE};
			reqs[i] = (struct vmm_disk_request){.op = i % 2 ? VMM_DISK_READ
									: VMM_DISK_FLUSH,
							    .len = SIZE,
							    .iov = &iov[i],
							    .iov_count = 1,
							    .done = on_done,
							    .ctx = &w};
			disk->ops->submit(disk, &reqs[i]);
		}
		disk->ops->commit(disk);
		disk->ops->detach(disk);
		done = w.done;
		ck_assert_uint_lt(done, 64);
		/* Were anything left, the sanitizer would see it touch these. */
		free(reqs);
		free(buffer);
		ck_assert_int_ge(vmm_loop_dispatch(p.loop, 5), 0);
		ck_assert_uint_eq(w.done, done);
		ck_assert_int_eq(disk->ops->attach(disk, p.loop), 0);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_FLUSH, 0, 0, NULL, 0), 0);
		let_go(disk);
		tear_down(&p);
	}
}
END_TEST

/* ---- full file systems and block devices ---- */

START_TEST(disk_write_over_the_file_size_limit_is_an_error)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		uint8_t buffer[4096] = {0};
		struct rlimit old;
		struct rlimit tight;
		struct vmm_disk *disk;
		struct place p;

		set_up(&p);
		ck_assert_int_eq(truncate(p.image, 4096), 0);
		ck_assert_int_eq(truncate(p.image, SIZE), 0);
		disk = attached(&p, p.image, engines[e], false);
		ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
		ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
		tight = (struct rlimit){.rlim_cur = 65536, .rlim_max = old.rlim_max};
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE, 0, 65536, buffer, 4096), -EFBIG);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE, 0, 0, buffer, 4096), 0);
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE, 0, 65536, buffer, 4096), 0);
		let_go(disk);
		tear_down(&p);
	}
}
END_TEST

/* A file system of 1 MiB, for this process alone; false where nobody may mount. */
static bool mount_small(const char *dir)
{
	if (geteuid() != 0 && unshare(CLONE_NEWUSER) < 0) {
		return false;
	}
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		return false;
	}
	return mount("tmpfs", dir, "tmpfs", 0, "size=1m") == 0;
}

static void fill_up(struct place *p, enum vmm_disk_engine engine)
{
	static uint8_t block[65536];
	static const uint8_t zeroes[512];
	char path[128];
	uint64_t at = 0;
	int result = 0;
	struct vmm_disk *disk;

	(void)snprintf(path, sizeof(path), "%s/image", p->other);
	make_image(path, 512);
	ck_assert_int_eq(truncate(path, 4 << 20), 0);
	disk = attached(p, path, engine, false);
	memset(block, 0x33, sizeof(block));
	while (result == 0 && at < 4 << 20) {
		result = io(p, disk, VMM_DISK_WRITE, 0, at, block, sizeof(block));
		at += sizeof(block);
	}
	ck_assert_int_eq(result, -ENOSPC);
	/* Writing zeroes into a hole needs room too: tmpfs has no ZERO_RANGE. */
	ck_assert_int_eq(io(p, disk, VMM_DISK_WRITE_ZEROES, 0, 3 << 20, NULL, 1 << 20), -ENOSPC);
	ck_assert_int_eq(io(p, disk, VMM_DISK_READ, 0, 0, block, 512), 0);
	ck_assert_uint_eq(block[0], 0x33);
	/* Room comes back, and so do writes. */
	ck_assert_int_eq(io(p, disk, VMM_DISK_DISCARD, 0, 0, NULL, 1 << 19), 0);
	ck_assert_int_eq(io(p, disk, VMM_DISK_WRITE, 0, 3 << 20, block, sizeof(block)), 0);
	ck_assert_int_eq(io(p, disk, VMM_DISK_WRITE_ZEROES, 0, 3 << 20, NULL, 512), 0);
	ck_assert_int_eq(io(p, disk, VMM_DISK_READ, 0, 3 << 20, block, 1024), 0);
	ck_assert_mem_eq(block, zeroes, 512);
	ck_assert_int_eq(io(p, disk, VMM_DISK_FLUSH, 0, 0, NULL, 0), 0);
	let_go(disk);
	ck_assert_int_eq(unlink(path), 0);
}

START_TEST(disk_on_a_full_file_system_gives_errors_and_recovers)
{
	struct place p;

	set_up(&p);
	ck_assert_int_eq(mkdir(p.other, 0700), 0);
	if (mount_small(p.other)) {
		for (unsigned e = 0; e < ENGINES; e++) {
			fill_up(&p, engines[e]);
		}
		ck_assert_int_eq(umount2(p.other, MNT_DETACH), 0);
	} else {
		(void)printf("disk: nothing can be mounted here: no full file system tried\n");
	}
	tear_down(&p);
}
END_TEST

/* A loop device over path, which goes away when it is closed; -1 where there is none to be had. */
static int loop_device(const char *path, char *name, size_t len)
{
	struct loop_config config = {.info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int fd = -1;
	int n;

	if (control < 0) {
		return -1;
	}
	config.fd = (uint32_t)open(path, O_RDWR | O_CLOEXEC);
	for (unsigned tries = 0; tries < 10 && fd < 0; tries++) {
		n = ioctl(control, LOOP_CTL_GET_FREE);
		(void)snprintf(name, len, "/dev/loop%d", n);
		fd = n < 0 ? -1 : open(name, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
			(void)close(fd);
			fd = -1;
		}
	}
	(void)close((int)config.fd);
	(void)close(control);
	return fd;
}

START_TEST(disk_block_device_is_a_disk)
{
	static const uint8_t zeroes[4096];
	uint8_t buffer[4096];
	char name[32];
	struct place p;
	int fd;

	set_up(&p);
	fd = loop_device(p.image, name, sizeof(name));
	if (fd < 0) {
		(void)printf("disk: no loop device to be had: no block device tried\n");
	}
	for (unsigned e = 0; fd >= 0 && e < ENGINES; e++) {
		struct vmm_disk *disk = attached(&p, name, engines[e], false);

		ck_assert_uint_eq(disk->capacity, SIZE);
		memset(buffer, 0x44, sizeof(buffer));
		ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE, 0, 512, buffer, 4096), 0);
		ck_assert_int_eq(io(&p, disk, VMM_DISK_FLUSH, 0, 0, NULL, 0), 0);
		memset(buffer, 0, sizeof(buffer));
		ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, 512, buffer, 4096), 0);
		ck_assert_uint_eq(buffer[4095], 0x44);
		for (unsigned unmap = 0; unmap < 2; unmap++) {
			memset(buffer, 0x44, sizeof(buffer));
			ck_assert_int_eq(io(&p, disk, VMM_DISK_WRITE_ZEROES,
					    unmap ? VMM_DISK_UNMAP : 0, 512, NULL, 4096),
					 0);
			ck_assert_int_eq(io(&p, disk, VMM_DISK_READ, 0, 512, buffer, 4096), 0);
			ck_assert_mem_eq(buffer, zeroes, 4096);
		}
		ck_assert_int_eq(io(&p, disk, VMM_DISK_DISCARD, 0, 4096, NULL, 65536), 0);
		let_go(disk);
	}
	ck_assert_int_eq(fd < 0 ? 0 : close(fd), 0);
	tear_down(&p);
}
END_TEST

SUITE_MAIN("disk_io", disk_engine_is_io_uring_where_the_kernel_has_it,
	   disk_requests_that_make_no_sense_are_refused, disk_image_bytes_are_never_interpreted,
	   disk_that_was_truncated_gives_errors, disk_zeroes_discards_and_flushes_work,
	   disk_more_requests_than_the_ring_holds_all_end,
	   disk_request_may_be_submitted_again_from_done, disk_turn_ends_before_others_starve,
	   disk_flushes_in_the_ring_go_one_by_one, disk_detach_forgets_requests,
	   disk_write_over_the_file_size_limit_is_an_error,
	   disk_on_a_full_file_system_gives_errors_and_recovers, disk_block_device_is_a_disk)
