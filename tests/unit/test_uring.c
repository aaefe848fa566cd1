/* SPDX-License-Identifier: MIT */
/* A ring that is restricted to a file and a few operations takes nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../devices/backend/uring.h"
#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"
#include "test_disk_fix.h"

struct fix {
	struct place place;
	struct vmm_uring *ring;
	int fd;
	char bytes[16];
	struct iovec iov;
};

/* False on a kernel that has no such rings. */
static bool start(struct fix *f)
{
	static const uint8_t ops[] = {IORING_OP_READV, IORING_OP_FSYNC};
	int ret;

	memset(f, 0, sizeof(*f));
	set_up(&f->place);
	f->fd = open(f->place.image, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(f->fd, 0);
	f->iov = (struct iovec){f->bytes, sizeof(f->bytes)};
	ret = vmm_uring_create(&f->ring, f->fd, 8, ops, sizeof(ops));
	ck_assert(ret == 0 || ret == -ENOSYS || ret == -EPERM);
	return ret == 0 && f->ring->restricted;
}

static void finish(struct fix *f)
{
	vmm_uring_destroy(f->ring);
	ck_assert_int_eq(close(f->fd), 0);
	tear_down(&f->place);
}

/* Carries out the entry prepared last; its result. */
static int result(struct fix *f)
{
	struct vmm_uring *ring = f->ring;
	int res;

	vmm_uring_queue(ring);
	ck_assert_int_eq(vmm_uring_enter(ring, vmm_uring_unsubmitted(ring), 1), 1);
	ck_assert_uint_eq(vmm_uring_unsubmitted(ring), 0);
	ck_assert_uint_eq(*ring->cq_tail - *ring->cq_head, 1);
	res = ring->cqes[*ring->cq_head & ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, *ring->cq_head + 1, __ATOMIC_RELEASE);
	ring->in_flight--;
	return res;
}

static int transfer(struct fix *f, uint8_t opcode)
{
	struct io_uring_sqe *sqe = vmm_uring_next(f->ring);

	sqe->opcode = opcode;
	sqe->addr = (uintptr_t)&f->iov;
	sqe->len = 1;
	return result(f);
}

START_TEST(uring_does_what_it_was_made_for)
{
	struct fix f;

	if (start(&f)) {
		ck_assert_int_eq(transfer(&f, IORING_OP_READV), 16);
		ck_assert_int_eq(f.bytes[15], 0x11);
		vmm_uring_next(f.ring)->opcode = IORING_OP_FSYNC;
		ck_assert_int_eq(result(&f), 0);
	}
	finish(&f);
}
END_TEST

START_TEST(uring_refuses_every_other_operation)
{
	struct fix f;

	if (start(&f)) {
		ck_assert_int_eq(transfer(&f, IORING_OP_WRITEV), -EACCES);
		for (unsigned op = 0; op < IORING_OP_LAST; op++) {
			if (op != IORING_OP_READV && op != IORING_OP_FSYNC) {
				vmm_uring_next(f.ring)->opcode = (uint8_t)op;
				ck_assert_int_eq(result(&f), -EACCES);
			}
		}
		ck_assert_int_eq(transfer(&f, IORING_OP_READV), 16);
	}
	finish(&f);
}
END_TEST

START_TEST(uring_refuses_every_other_file)
{
	struct fix f;
	int other = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (start(&f)) {
		struct io_uring_sqe *sqe = vmm_uring_next(f.ring);

		sqe->opcode = IORING_OP_READV;
		sqe->addr = (uintptr_t)&f.iov;
		sqe->len = 1;
		sqe->fd = other;
		sqe->flags = 0;
		ck_assert_int_eq(result(&f), -EACCES);
		sqe = vmm_uring_next(f.ring);
		sqe->opcode = IORING_OP_READV;
		sqe->addr = (uintptr_t)&f.iov;
		sqe->len = 1;
		sqe->fd = 1; /* not in the table */
		ck_assert_int_eq(result(&f), -EBADF);
	}
	ck_assert_int_eq(close(other), 0);
	finish(&f);
}
END_TEST

START_TEST(uring_cannot_be_changed_any_more)
{
	struct fix f;

	if (start(&f)) {
		int fd = f.ring->fd;
		int update[1] = {-1};
		struct io_uring_restriction rule = {.opcode = IORING_RESTRICTION_SQE_OP,
						    .sqe_op = IORING_OP_WRITEV};

		ck_assert_int_eq(
			syscall(SYS_io_uring_register, fd, IORING_REGISTER_RESTRICTIONS, &rule, 1),
			-1);
		ck_assert(errno == EACCES || errno == EBADFD);
		ck_assert_int_eq(
			syscall(SYS_io_uring_register, fd, IORING_REGISTER_FILES_UPDATE, update, 1),
			-1);
		ck_assert_int_eq(errno, EACCES);
		ck_assert_int_eq(
			syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &f.iov, 1), -1);
		ck_assert_int_eq(errno, EACCES);
		ck_assert_int_eq(transfer(&f, IORING_OP_WRITEV), -EACCES);
	}
	finish(&f);
}
END_TEST

START_TEST(uring_that_cannot_be_made_leaves_nothing)
{
	static const uint8_t ops[] = {IORING_OP_READV};
	struct faultinj inj = {0};
	struct vmm_uring *ring;
	struct place p;
	unsigned fds;
	int fd;

	set_up(&p);
	fd = open(p.image, O_RDWR | O_CLOEXEC);
	fds = fdcount();
	while (faultinj_next(&inj)) {
		int ret = vmm_uring_create(&ring, fd, 8, ops, 1);

		faultinj_stop(&inj);
		ck_assert(ret < 0 ? ring == NULL : ring != NULL);
		ck_assert(ret < 0 || !inj.failed);
		vmm_uring_destroy(ring);
		ck_assert_uint_eq(fdcount(), fds);
	}
	ck_assert_int_eq(close(fd), 0);
	tear_down(&p);
}
END_TEST

/* A disk that is read-only cannot even be made to write by whoever has taken the process over. */
START_TEST(uring_of_a_disk_is_restricted)
{
	struct vmm_disk *disk;
	struct fix f;
	bool can = start(&f);

	disk = must_open(f.place.image, VMM_DISK_AUTO, true);
	ck_assert_int_eq(vmm_disk_is_restricted(disk), can);
	vmm_disk_destroy(disk);
	disk = must_open(f.place.image, VMM_DISK_SYNC, false);
	ck_assert(!vmm_disk_is_restricted(disk));
	vmm_disk_destroy(disk);
	finish(&f);
}
END_TEST

/* The lock of a process that was killed outlives it for a moment. */
START_TEST(uring_of_a_killed_process_does_not_keep_the_disk)
{
	struct place p;

	set_up(&p);
	for (unsigned i = 0; i < 5; i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			(void)must_open(p.image, VMM_DISK_AUTO, false);
			(void)raise(SIGKILL);
		}
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		vmm_disk_destroy(must_open(p.image, VMM_DISK_SYNC, false));
	}
	tear_down(&p);
}
END_TEST

/* In the process without rights: 0, or the line where it went wrong. */
static int work_without_threads(struct vmm_disk *disk)
{
	static uint8_t bytes[8192];
	struct rlimit none = {0, 0};
	struct place p = {0};

	if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0 ||
	    setrlimit(RLIMIT_NPROC, &none) != 0 || vmm_loop_create(&p.loop) != 0 ||
	    disk->ops->attach(disk, p.loop) != 0) {
		return __LINE__;
	}
	memset(bytes, 0x77, sizeof(bytes));
	if (io(&p, disk, VMM_DISK_WRITE, 0, 4096, bytes, sizeof(bytes)) != 0 ||
	    io(&p, disk, VMM_DISK_FLUSH, 0, 0, NULL, 0) != 0 ||
	    io(&p, disk, VMM_DISK_WRITE_ZEROES, 0, 4096, NULL, 4096) != 0 ||
	    io(&p, disk, VMM_DISK_READ, 0, 4096, bytes, sizeof(bytes)) != 0) {
		return __LINE__;
	}
	return bytes[0] == 0 && bytes[4095] == 0 && bytes[4096] == 0x77 ? 0 : __LINE__;
}

START_TEST(uring_without_threads_of_the_kernel_still_works)
{
	struct vmm_disk *disk;
	struct place p;
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		return; /* only root can become somebody whose threads are limited */
	}
	set_up(&p);
	disk = must_open(p.image, VMM_DISK_AUTO, false);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		_exit(work_without_threads(disk) & 0xff);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	vmm_disk_destroy(disk);
	tear_down(&p);
}
END_TEST

SUITE_MAIN("uring", uring_without_threads_of_the_kernel_still_works,
	   uring_of_a_killed_process_does_not_keep_the_disk, uring_does_what_it_was_made_for,
	   uring_refuses_every_other_operation, uring_refuses_every_other_file,
	   uring_cannot_be_changed_any_more, uring_that_cannot_be_made_leaves_nothing,
	   uring_of_a_disk_is_restricted)
