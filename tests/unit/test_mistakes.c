/* SPDX-License-Identifier: MIT */
/*
 * Mistakes that other machine monitors have made (tests/planted/catalogue) and that no test of a
 * module of ours would have noticed: rings of the largest size, signals, links.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vmm/dev/chardev.h>
#include <vmm/virtq.h>

#include "fakedrv.h"
#include "kvm/internal.h"
#include "memfix.h"
#include "suite.h"

/* ---- rings of the largest size: where 16 bits are one too few ---- */

#define LARGEST 32768u

struct large {
	struct memfix fix;
	struct vmm_virtq_config config;
	struct vmm_virtq *q;
	struct fakedrv_desc *desc;
	uint16_t *avail;
};

static void large_set_up(struct large *l)
{
	memset(l, 0, sizeof(*l));
	memfix_init(&l->fix);
	l->desc = memfix_alloc(&l->fix, 16u * LARGEST, 16);
	l->avail = memfix_alloc(&l->fix, 6 + 2u * LARGEST, 2);
	l->config.size = LARGEST;
	l->config.size_max = LARGEST;
	l->config.desc = memfix_gpa(&l->fix, l->desc);
	l->config.driver = memfix_gpa(&l->fix, l->avail);
	l->config.device = memfix_gpa(&l->fix, memfix_alloc(&l->fix, 6 + 8u * LARGEST, 4));
}

static int large_create(struct large *l)
{
	return vmm_virtq_create(&l->q, l->fix.mem, &l->config, NULL, NULL, NULL);
}

START_TEST(largest_ring_finds_each_descriptor_at_its_place)
{
	struct iovec iov[1];
	struct vmm_chain chain = {.iov = iov, .iov_cap = 1};
	struct large l;

	large_set_up(&l);
	for (unsigned i = 0; i < LARGEST; i++) {
		l.desc[i] = (struct fakedrv_desc){.addr = l.config.desc, .len = i + 1};
		l.avail[2 + i] = (uint16_t)i;
	}
	l.avail[1] = LARGEST;
	ck_assert_int_eq(large_create(&l), 0);
	for (unsigned i = 0; i < LARGEST; i++) {
		SUITE_REQUIRE(vmm_virtq_pop(l.q, &chain) == 1);
		SUITE_REQUIRE(chain.readable_len == i + 1);
	}
	vmm_virtq_destroy(l.q);
	memfix_finish(&l.fix);
}
END_TEST

/* Each area ends with the last byte of memory, or with the first behind it. */
START_TEST(largest_ring_is_refused_where_memory_ends_before_it)
{
	static const uint64_t lens[] = {16u * LARGEST, 6 + 2u * LARGEST, 6 + 8u * LARGEST};
	static const uint64_t aligns[] = {16, 2, 4};
	const uint64_t end = MEMFIX_LOW_BASE + MEMFIX_LOW_SIZE;

	for (unsigned area = 0; area < 3; area++) {
		for (unsigned beyond = 0; beyond < 2; beyond++) {
			struct large l;
			vmm_gpa *gpa;
			vmm_gpa at = (end - lens[area]) / aligns[area] * aligns[area];

			large_set_up(&l);
			gpa = area == 0   ? &l.config.desc
			      : area == 1 ? &l.config.driver
					  : &l.config.device;
			*gpa = at + beyond * aligns[area];
			ck_assert_int_eq(large_create(&l), beyond ? -EFAULT : 0);
			vmm_virtq_destroy(l.q);
			memfix_finish(&l.fix);
		}
	}
}
END_TEST

/* ---- heads offered again that were pushed, but not given back yet ---- */

START_TEST(heads_offered_faster_than_they_come_back_break_the_queue)
{
	struct iovec iov[1];
	struct vmm_chain chain = {.iov = iov, .iov_cap = 1};
	struct memfix fix;
	struct vmm_virtq_config config = {.size = 4, .size_max = 4};
	struct vmm_virtq *q;
	struct fakedrv_desc *desc;
	uint16_t *avail;
	uint16_t *used;
	unsigned pushed = 0;

	memfix_init(&fix);
	desc = memfix_alloc(&fix, 16 * 4, 16);
	avail = memfix_alloc(&fix, 6 + 2 * 4, 2);
	used = memfix_alloc(&fix, 6 + 8 * 4, 4);
	config.desc = memfix_gpa(&fix, desc);
	config.driver = memfix_gpa(&fix, avail);
	config.device = memfix_gpa(&fix, used);
	desc[0] = (struct fakedrv_desc){.addr = config.desc, .len = 1};
	ck_assert_int_eq(vmm_virtq_create(&q, fix.mem, &config, NULL, NULL, NULL), 0);
	for (unsigned i = 0; i < 64; i++) {
		__atomic_store_n(&avail[1], (uint16_t)(i + 1), __ATOMIC_RELEASE);
		if (vmm_virtq_pop(q, &chain) != 1) {
			break;
		}
		ck_assert_int_eq(vmm_virtq_push(q, chain.head, 0), 0);
		pushed++;
	}
	/* One more than the ring has entries is noticed at the latest. */
	ck_assert_uint_le(pushed, 4 + 1);
	ck_assert(vmm_virtq_is_broken(q));
	vmm_virtq_flush(q);
	ck_assert_uint_eq(used[1], 0);
	vmm_virtq_destroy(q);
	memfix_finish(&fix);
}
END_TEST

/* ---- signals ---- */

/*
 * A handler that does more than nothing deadlocks one day with what it interrupted: stdio, malloc,
 * a log. Whatever it writes shows in a pipe in the place of stdout and stderr.
 */
START_TEST(signal_handler_of_the_kick_does_nothing)
{
	int saved[2] = {dup(1), dup(2)};
	char said[64];
	int fds[2];
	ssize_t got;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(vmm_kvm_install_kick(SIGRTMIN), 0);
	ck_assert_int_eq(dup2(fds[1], 1), 1);
	ck_assert_int_eq(dup2(fds[1], 2), 2);
	for (unsigned i = 0; i < 1000; i++) {
		errno = ENOTTY;
		(void)raise(SIGRTMIN);
		SUITE_REQUIRE(errno == ENOTTY);
	}
	(void)fflush(NULL);
	got = read(fds[0], said, sizeof(said));
	(void)dup2(saved[0], 1);
	(void)dup2(saved[1], 2);
	ck_assert_int_eq(got, -1);
}
END_TEST

/* ---- links put in the place of a file between two steps ---- */

static char dir[] = "/tmp/test-mistakes.XXXXXX";
static char target[64];
static char log_path[64];
static bool race;

/* In the place of libc's: somebody quick acts right after the rename. */
int renameat(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
	int ret = (int)syscall(SYS_renameat, old_dir, old_name, new_dir, new_name);

	if (race) {
		(void)symlink(target, log_path);
	}
	return ret;
}

START_TEST(logfile_link_planted_during_rotation_is_not_followed)
{
	struct vmm_logfile_config config = {.path = log_path, .max_size = VMM_LOGFILE_MAX_SIZE_MIN};
	char line[64];
	struct vmm_chardev *cd;
	struct stat st;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(target, sizeof(target), "%s/target", dir);
	(void)snprintf(log_path, sizeof(log_path), "%s/log", dir);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	ck_assert_int_eq(vmm_logfile_create(&cd, &config, NULL), 0);
	race = true;
	for (unsigned i = 0; i < 2 * VMM_LOGFILE_MAX_SIZE_MIN / sizeof(line); i++) {
		vmm_chardev_write(cd, line, sizeof(line));
	}
	race = false;
	vmm_chardev_destroy(cd);
	ck_assert_int_eq(lstat(log_path, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	ck_assert_int_eq(lstat(target, &st), -1);
	(void)unlink(log_path);
	(void)snprintf(target, sizeof(target), "%s/log.1", dir);
	(void)unlink(target);
	(void)rmdir(dir);
}
END_TEST

SUITE_MAIN("mistakes", largest_ring_finds_each_descriptor_at_its_place,
	   largest_ring_is_refused_where_memory_ends_before_it,
	   heads_offered_faster_than_they_come_back_break_the_queue,
	   signal_handler_of_the_kick_does_nothing,
	   logfile_link_planted_during_rotation_is_not_followed)
