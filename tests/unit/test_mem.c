/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmm/mem.h>

#include "suite.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)

/* Two regions with a hole between them, as on a PC with more than 3 GiB. */
static const struct vmm_mem_region two[] = {
	{.gpa = 0, .size = MIB},
	{.gpa = 4 * GIB, .size = 64 * KIB},
};

static struct vmm_mem *make_two(void)
{
	struct vmm_mem *mem;

	ck_assert_int_eq(vmm_mem_create(&mem, two, 2, NULL), 0);
	return mem;
}

START_TEST(mem_create_bad_regions_are_refused)
{
	static const struct vmm_mem_region bad[][2] = {
		{{.gpa = 0, .size = 0}, {.gpa = MIB, .size = MIB}},
		{{.gpa = 1, .size = 4096}, {.gpa = MIB, .size = MIB}},
		{{.gpa = 0, .size = 4097}, {.gpa = MIB, .size = MIB}},
		{{.gpa = 0, .size = 2 * MIB}, {.gpa = MIB, .size = MIB}},
		{{.gpa = MIB, .size = MIB}, {.gpa = 0, .size = MIB}},
		{{.gpa = 0, .size = MIB}, {.gpa = UINT64_MAX - 4095, .size = 8192}},
		{{.gpa = 0, .size = MIB}, {.gpa = MIB, .size = UINT64_MAX - 4095}},
	};
	struct vmm_mem *mem;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vmm_error err = {0};

		ck_assert_int_eq(vmm_mem_create(&mem, bad[i], 2, &err), -EINVAL);
		ck_assert_ptr_null(mem);
		ck_assert_str_ne(err.message, "");
	}
	ck_assert_int_eq(vmm_mem_create(&mem, two, 0, NULL), -EINVAL);
	ck_assert_int_eq(vmm_mem_create(&mem, two, VMM_MEM_REGIONS_MAX + 1, NULL), -EINVAL);
}
END_TEST

START_TEST(mem_create_without_descriptors_fails_in_words)
{
	struct vmm_error err = {0};
	struct rlimit old;
	struct rlimit none;
	struct vmm_mem *mem;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(vmm_mem_create(&mem, two, 2, &err), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_ptr_null(mem);
	ck_assert_ptr_nonnull(strstr(err.message, "Too many open files"));
}
END_TEST

START_TEST(mem_create_too_large_for_the_address_space_fails)
{
	static const struct vmm_mem_region huge = {.gpa = 0, .size = UINT64_C(1) << 46};
	static const struct vmm_mem_region larger = {.gpa = 0, .size = (UINT64_C(1) << 46) + 4096};
	struct vmm_mem *mem;
	int ret = vmm_mem_create(&mem, &huge, 1, NULL);

	/* Address space is 47 bits: it may or may not fit; what counts is a clean answer. */
	ck_assert(ret == 0 || ret == -ENOMEM || ret == -EINVAL || ret == -EFBIG);
	vmm_mem_destroy(mem);
	ck_assert_int_eq(vmm_mem_create(&mem, &larger, 1, NULL), -EINVAL);
}
END_TEST

START_TEST(mem_destroy_null_is_a_no_op)
{
	vmm_mem_destroy(NULL);
}
END_TEST

START_TEST(mem_reports_its_layout)
{
	struct vmm_mem *mem = make_two();
	struct vmm_mem_mapping m;

	ck_assert_uint_eq(vmm_mem_size(mem), MIB + 64 * KIB);
	ck_assert_uint_eq(vmm_mem_region_count(mem), 2);
	ck_assert_int_eq(vmm_mem_get_mapping(mem, 1, &m), 0);
	ck_assert_uint_eq(m.gpa, 4 * GIB);
	ck_assert_uint_eq(m.size, 64 * KIB);
	ck_assert_uint_eq(m.fd_offset, MIB);
	ck_assert_int_eq(vmm_mem_get_mapping(mem, 2, &m), -EINVAL);
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(mem_fd_is_sealed)
{
	struct vmm_mem *mem = make_two();
	int fd = vmm_mem_fd(mem);

	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(fd, (off_t)(16 * MIB)), -1);
	ck_assert_int_ne(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	vmm_mem_destroy(mem);
}
END_TEST

/* Every range around the edges of both regions; the oracle computes in 128 bits. */
START_TEST(mem_check_agrees_with_wide_arithmetic)
{
	static const uint64_t at[] = {
		0,
		1,
		MIB - 1,
		MIB,
		MIB + 1,
		4 * GIB - 1,
		4 * GIB,
		4 * GIB + 64 * KIB - 1,
		4 * GIB + 64 * KIB,
		UINT64_MAX - 1,
		UINT64_MAX,
	};
	static const uint64_t len[] = {1, 2, 4096, 64 * KIB, MIB, MIB + 1, 4 * GIB, UINT64_MAX};
	struct vmm_mem *mem = make_two();

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		ck_assert_int_eq(vmm_mem_check(mem, at[i], 0), -EINVAL);
		for (size_t j = 0; j < sizeof(len) / sizeof(len[0]); j++) {
			__extension__ typedef unsigned __int128 wide;
			bool inside = false;

			for (size_t k = 0; k < 2; k++) {
				inside |= at[i] >= two[k].gpa &&
					  (wide)at[i] + len[j] <= (wide)two[k].gpa + two[k].size;
			}
			ck_assert_int_eq(vmm_mem_check(mem, at[i], len[j]), inside ? 0 : -EFAULT);
		}
	}
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(mem_read_write_round_trip_and_all_or_nothing)
{
	struct vmm_mem *mem = make_two();
	char buf[16] = "0123456789abcde";
	char back[16] = "";

	ck_assert_int_eq(vmm_mem_write(mem, MIB - 16, buf, 16), 0);
	ck_assert_int_eq(vmm_mem_read(mem, MIB - 16, back, 16), 0);
	ck_assert_mem_eq(buf, back, 16);

	/* One byte too far: nothing is written, nothing is read. */
	ck_assert_int_eq(vmm_mem_write(mem, MIB - 15, "################", 16), -EFAULT);
	ck_assert_int_eq(vmm_mem_zero(mem, MIB - 15, 16), -EFAULT);
	memset(back, 'z', sizeof(back));
	ck_assert_int_eq(vmm_mem_read(mem, MIB - 15, back, 16), -EFAULT);
	ck_assert_int_eq(back[0], 'z');
	ck_assert_int_eq(vmm_mem_read(mem, MIB - 16, back, 16), 0);
	ck_assert_mem_eq(buf, back, 16);

	ck_assert_int_eq(vmm_mem_zero(mem, MIB - 16, 16), 0);
	ck_assert_int_eq(vmm_mem_read(mem, MIB - 16, back, 16), 0);
	ck_assert_int_eq(back[3], 0);
	ck_assert_int_eq(vmm_mem_read(mem, UINT64_MAX, back, 0), 0);
	ck_assert_int_eq(vmm_mem_write(mem, UINT64_MAX, back, 0), 0);
	ck_assert_int_eq(vmm_mem_zero(mem, UINT64_MAX, 0), 0);
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(mem_iov_and_ptr_translate_within_one_region)
{
	struct vmm_mem *mem = make_two();
	struct vmm_mem_mapping m;
	struct iovec iov;

	ck_assert_int_eq(vmm_mem_get_mapping(mem, 1, &m), 0);
	ck_assert_int_eq(vmm_mem_iov(mem, 4 * GIB + 5, 10, &iov), 0);
	ck_assert_ptr_eq(iov.iov_base, (char *)m.host + 5);
	ck_assert_uint_eq(iov.iov_len, 10);
	ck_assert_int_eq(vmm_mem_iov(mem, 4 * GIB, 0, &iov), -EINVAL);
	ck_assert_int_eq(vmm_mem_iov(mem, 4 * GIB - 1, 2, &iov), -EFAULT);

	ck_assert_ptr_eq(vmm_mem_ptr(mem, 4 * GIB + 16, 16, 16), (char *)m.host + 16);
	ck_assert_ptr_null(vmm_mem_ptr(mem, 4 * GIB + 8, 16, 16));
	ck_assert_ptr_null(vmm_mem_ptr(mem, 4 * GIB + 64 * KIB - 8, 16, 2));
	ck_assert_ptr_null(vmm_mem_ptr(mem, 0, 0, 1));
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(mem_clear_zeroes_everything)
{
	struct vmm_mem *mem = make_two();
	char byte = 7;

	ck_assert_int_eq(vmm_mem_write(mem, 100, &byte, 1), 0);
	ck_assert_int_eq(vmm_mem_write(mem, 4 * GIB, &byte, 1), 0);
	ck_assert_int_eq(vmm_mem_clear(mem), 0);
	ck_assert_int_eq(vmm_mem_read(mem, 100, &byte, 1), 0);
	ck_assert_int_eq(byte, 0);
	byte = 7;
	ck_assert_int_eq(vmm_mem_read(mem, 4 * GIB, &byte, 1), 0);
	ck_assert_int_eq(byte, 0);
	vmm_mem_destroy(mem);
}
END_TEST

/* KiB of shared memory that this process has mapped by huge pages. */
static long huge_mapped(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	char line[128];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file)) {
		(void)sscanf(line, "ShmemPmdMapped: %ld", &kib);
	}
	if (file) {
		(void)fclose(file);
	}
	return kib;
}

/* Where the host has huge pages at all, which this machine's kernel need not. */
START_TEST(mem_expect_keeps_the_contents_and_takes_whole_pages)
{
	const struct vmm_mem_region regions[] = {{0, 16 * MIB}, {4 * GIB, MIB}};
	struct vmm_mem *mem;
	char byte = 7;

	ck_assert_int_eq(vmm_mem_create(&mem, regions, 2, NULL), 0);
	ck_assert_int_eq(vmm_mem_write(mem, 5 * MIB, &byte, 1), 0);
	/* Too small, empty, beyond the end, across two regions, nowhere. */
	vmm_mem_expect(mem, 0, 2 * MIB - 1);
	vmm_mem_expect(mem, MIB, 3 * MIB - 1);
	vmm_mem_expect(mem, 4 * GIB, MIB);
	vmm_mem_expect(mem, 0, 0);
	vmm_mem_expect(mem, 8 * MIB, 8 * MIB + 1);
	vmm_mem_expect(mem, 8 * MIB, UINT64_MAX);
	vmm_mem_expect(mem, 2 * GIB, 4 * MIB);
	ck_assert_int_eq(huge_mapped(), 0);
	vmm_mem_expect(mem, 3 * MIB, 6 * MIB);
	byte = 0;
	ck_assert_int_eq(vmm_mem_read(mem, 5 * MIB, &byte, 1), 0);
	ck_assert_int_eq(byte, 7);
	ck_assert_int_eq(vmm_mem_write(mem, 7 * MIB, &byte, 1), 0);
	ck_assert_int_eq(vmm_mem_write(mem, 4 * MIB, &byte, 1), 0);
	/* Of 3 to 9 MiB two are whole. */
	ck_assert_int_le(huge_mapped(), 4096);
	printf("figure: expected memory: %ld KiB of 4096 in huge pages\n", huge_mapped());
	ck_assert_int_eq(vmm_mem_clear(mem), 0);
	ck_assert_int_eq(vmm_mem_read(mem, 7 * MIB, &byte, 1), 0);
	ck_assert_int_eq(byte, 0);
	/* Whoever clears memory is at a reboot, and may be sealed. */
	vmm_mem_expect(mem, 0, 16 * MIB);
	ck_assert_int_eq(huge_mapped(), 0);
	vmm_mem_destroy(mem);
}
END_TEST

/* The host's pool of huge pages; -1: not known, or not to be changed. */
static long pool(const char *mode, long pages)
{
	FILE *file = fopen("/proc/sys/vm/nr_hugepages", mode);
	long value = -1;

	if (!file) {
		return -1;
	}
	if (mode[0] == 'w') {
		value = fprintf(file, "%ld", pages) > 0 && fflush(file) == 0 ? pages : -1;
	} else if (fscanf(file, "%ld", &value) != 1) {
		value = -1;
	}
	(void)fclose(file);
	return value;
}

/* With as many pages as two regions need, and with none: where this user may say so. */
START_TEST(mem_huge_takes_whole_pages_from_the_pool)
{
	const struct vmm_mem_region regions[] = {{0, 2 * MIB}, {4 * GIB, 4 * MIB}};
	const struct vmm_mem_region odd[] = {{0, 3 * MIB}};
	const struct vmm_mem_region large[] = {{0, 64 * GIB}};
	struct vmm_mem_mapping m;
	struct vmm_error err = {0};
	struct vmm_mem *mem;
	struct stat st;
	long before = pool("r", 0);
	char byte = 7;
	int ret;

	ck_assert_int_eq(vmm_mem_create_huge(&mem, odd, 1, &err), -EINVAL);
	ck_assert_int_eq(vmm_mem_create_huge(&mem, large, 1, &err), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(err.message, "vm.nr_hugepages"));
	ck_assert_ptr_null(mem);
	(void)pool("w", before + 3);
	ret = vmm_mem_create_huge(&mem, regions, 2, &err);
	if (ret == 0) {
		ck_assert_int_eq(fstat(vmm_mem_fd(mem), &st), 0);
		ck_assert_int_eq(st.st_blksize, 2 * MIB);
		ck_assert_int_eq(vmm_mem_get_mapping(mem, 1, &m), 0);
		ck_assert_uint_eq((uintptr_t)m.host % (2 * MIB), 0);
		ck_assert_int_eq(vmm_mem_write(mem, 4 * GIB + 4 * MIB - 1, &byte, 1), 0);
		ck_assert_int_eq(vmm_mem_clear(mem), 0);
		ck_assert_int_eq(vmm_mem_read(mem, 4 * GIB + 4 * MIB - 1, &byte, 1), 0);
		ck_assert_int_eq(byte, 0);
		vmm_mem_destroy(mem);
	} else {
		ck_assert_int_eq(ret, -ENOMEM);
	}
	printf("figure: huge pages: %s\n", ret == 0 ? "mapped" : "none to be had here");
	(void)pool("w", before);
}
END_TEST

/* Where a touch at host + offset ends: in a child, so that the fault is the result. */
static int signal_of_touch(ptrdiff_t offset, size_t region)
{
	struct vmm_mem *mem = make_two();
	struct vmm_mem_mapping m;
	int status;
	pid_t pid;

	ck_assert_int_eq(vmm_mem_get_mapping(mem, region, &m), 0);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGBUS, SIG_DFL);
		((volatile char *)m.host)[offset] = 1;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	vmm_mem_destroy(mem);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

START_TEST(mem_guards_surround_each_region)
{
	ck_assert_int_eq(signal_of_touch(0, 0), 0);
	ck_assert_int_eq(signal_of_touch(-1, 0), SIGSEGV);
	ck_assert_int_eq(signal_of_touch((ptrdiff_t)MIB, 0), SIGSEGV);
	ck_assert_int_eq(signal_of_touch(-(ptrdiff_t)(2 * GIB), 0), SIGSEGV);
	ck_assert_int_eq(signal_of_touch((ptrdiff_t)(64 * KIB), 1), SIGSEGV);
	ck_assert_int_eq(signal_of_touch((ptrdiff_t)(64 * KIB + 4 * GIB - 1), 1), SIGSEGV);
}
END_TEST

/* ---- memory of somebody else's ---- */

/* Writes a byte through one mapping and reads it back through the other, so both are the same. */
START_TEST(mem_shared_maps_the_owners_memory)
{
	struct vmm_mem *own = make_two();
	struct vmm_mem *shared;
	struct vmm_mem_shared parts[2];
	struct vmm_mem_mapping m;
	uint8_t byte = 0;

	/* In the other order than by address. */
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(vmm_mem_get_mapping(own, i, &m), 0);
		parts[1 - i] = (struct vmm_mem_shared){
			.gpa = m.gpa, .size = m.size, .fd = vmm_mem_fd(own), .offset = m.fd_offset};
	}
	ck_assert_int_eq(vmm_mem_create_shared(&shared, parts, 2, NULL), 0);
	ck_assert_int_eq(vmm_mem_fd(shared), -1);
	ck_assert_uint_eq(vmm_mem_size(shared), MIB + 64 * KIB);
	ck_assert_int_eq(vmm_mem_clear(shared), -EOPNOTSUPP);
	ck_assert_int_eq(vmm_mem_write(own, 4 * GIB + 5, "x", 1), 0);
	ck_assert_int_eq(vmm_mem_read(shared, 4 * GIB + 5, &byte, 1), 0);
	ck_assert_int_eq(byte, 'x');
	vmm_mem_destroy(own);
	/* The mapping needs neither the descriptor nor its maker. */
	ck_assert_int_eq(vmm_mem_write(shared, MIB - 1, "y", 1), 0);
	vmm_mem_destroy(shared);
}
END_TEST

START_TEST(mem_shared_bad_regions_are_refused)
{
	struct vmm_mem *own = make_two();
	struct vmm_mem *mem;
	int fd = vmm_mem_fd(own);
	const struct vmm_mem_shared bad[][2] = {
		{{0, MIB, -1, 0}, {MIB, 4096, fd, 0}},
		{{0, MIB, fd, 1}, {MIB, 4096, fd, 0}},
		{{0, MIB, fd, 0}, {MIB - 4096, 4096, fd, 0}},
		{{0, MIB, fd, 128 * KIB}, {MIB, 4096, fd, 0}}, /* past the end of the file */
		{{0, 4096, fd, UINT64_MAX - 4095}, {MIB, 4096, fd, 0}},
		{{0, 4096, fd, 0}, {MIB, 0, fd, 0}},
		{{0, 4096, fd, 0}, {UINT64_MAX - 4095, 8192, fd, 0}},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vmm_error err = {0};

		ck_assert_int_eq(vmm_mem_create_shared(&mem, bad[i], 2, &err), -EINVAL);
		ck_assert_ptr_null(mem);
		ck_assert_str_ne(err.message, "");
	}
	ck_assert_int_eq(vmm_mem_create_shared(&mem, bad[0], 0, NULL), -EINVAL);
	ck_assert_int_eq(vmm_mem_create_shared(&mem, bad[0], VMM_MEM_REGIONS_MAX + 1, NULL),
			 -EINVAL);
	vmm_mem_destroy(own);
}
END_TEST

/* What happens to a mapping after vmm_mem_seal: in a child, whose mappings may stay as they are. */
START_TEST(mem_seal_keeps_mappings_and_guards)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct vmm_mem *mem = make_two();
		struct vmm_mem_mapping m;
		bool changed;

		(void)vmm_mem_get_mapping(mem, 0, &m);
		if (vmm_mem_seal(mem) != 0) {
			_exit(77);
		}
		changed = munmap(m.host, 4096) == 0 || mprotect(m.host, 4096, PROT_READ) == 0 ||
			  mprotect((char *)m.host - 4096, 4096, PROT_READ | PROT_WRITE) == 0;
		vmm_mem_destroy(mem);
		((volatile char *)m.host)[0] = 1; /* still there */
		_exit(changed ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
	if (WEXITSTATUS(status) == 77) {
		printf("skipped: mem_seal_keeps_mappings_and_guards: this kernel has no mseal\n");
	}
}
END_TEST

SUITE_MAIN("mem", mem_create_bad_regions_are_refused, mem_create_without_descriptors_fails_in_words,
	   mem_create_too_large_for_the_address_space_fails, mem_destroy_null_is_a_no_op,
	   mem_reports_its_layout, mem_fd_is_sealed, mem_check_agrees_with_wide_arithmetic,
	   mem_read_write_round_trip_and_all_or_nothing,
	   mem_iov_and_ptr_translate_within_one_region, mem_clear_zeroes_everything,
	   mem_expect_keeps_the_contents_and_takes_whole_pages,
	   mem_huge_takes_whole_pages_from_the_pool, mem_guards_surround_each_region,
	   mem_shared_maps_the_owners_memory, mem_shared_bad_regions_are_refused,
	   mem_seal_keeps_mappings_and_guards)
