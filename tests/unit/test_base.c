/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/error.h>
#include <vmm/log.h>

#include "suite.h"

struct lines {
	unsigned count;
	char last[512];
};

static void collect(void *user, enum vmm_log_level level, const char *message)
{
	struct lines *lines = user;

	(void)level;
	lines->count++;
	strncpy(lines->last, message, sizeof(lines->last) - 1);
}

START_TEST(error_set_fills_and_returns_code)
{
	struct vmm_error err = {0};

	ck_assert_int_eq(vmm_error_set(&err, -EINVAL, "disk '%s': %d", "a", 7), -EINVAL);
	ck_assert_int_eq(err.code, -EINVAL);
	ck_assert_str_eq(err.message, "disk 'a': 7");
}
END_TEST

START_TEST(error_set_null_returns_code)
{
	ck_assert_int_eq(vmm_error_set(NULL, -EIO, "x"), -EIO);
	ck_assert_int_eq(vmm_error_wrap(NULL, -EIO, "x"), -EIO);
}
END_TEST

START_TEST(error_set_long_message_is_cut)
{
	struct vmm_error err = {0};
	char big[1000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	vmm_error_set(&err, -E2BIG, "%s", big);
	ck_assert_uint_eq(strlen(err.message), VMM_ERROR_MESSAGE_MAX - 1);
}
END_TEST

START_TEST(error_wrap_puts_context_in_front)
{
	struct vmm_error err = {0};

	vmm_error_set(&err, -ENOENT, "no such file");
	ck_assert_int_eq(vmm_error_wrap(&err, -EINVAL, "disk%d", 3), -EINVAL);
	ck_assert_str_eq(err.message, "disk3: no such file");
	ck_assert_int_eq(err.code, -EINVAL);
}
END_TEST

START_TEST(error_wrap_without_message_names_the_errno)
{
	struct vmm_error err = {0};

	vmm_error_wrap(&err, -ENOENT, "kernel");
	ck_assert_str_eq(err.message, "kernel: No such file or directory");
}
END_TEST

START_TEST(error_guest_codes)
{
	ck_assert(vmm_is_guest_error(-EFAULT));
	ck_assert(vmm_is_guest_error(-EPROTO));
	ck_assert(!vmm_is_guest_error(-EIO));
	ck_assert(!vmm_is_guest_error(0));
}
END_TEST

START_TEST(log_level_filters)
{
	struct lines lines = {0};
	struct vmm_log log = {.level = VMM_LOG_WARN, .sink = collect, .user = &lines};

	vmm_log(&log, VMM_LOG_ERROR, "e%d", 1);
	vmm_log(&log, VMM_LOG_WARN, "w%d", 2);
	vmm_log(&log, VMM_LOG_INFO, "i%d", 3);
	vmm_log(NULL, VMM_LOG_ERROR, "nobody");
	ck_assert_uint_eq(lines.count, 2);
	ck_assert_str_eq(lines.last, "w2");
}
END_TEST

START_TEST(log_guest_flood_gives_one_line)
{
	struct lines lines = {0};
	struct vmm_log log = {.level = VMM_LOG_WARN, .sink = collect, .user = &lines};
	struct vmm_log_limit limit = {0};

	for (int i = 0; i < 100000; i++) {
		vmm_log_guest(&log, &limit, "bad request %d", i);
	}
	/* The loop may straddle a second or two on a slow machine, no more. */
	ck_assert_uint_ge(lines.count, 1);
	ck_assert_uint_le(lines.count, 5);

	limit.next_ns = 0;
	limit.suppressed = 41;
	vmm_log_guest(&log, &limit, "again");
	ck_assert_str_eq(lines.last, "again (41 more like it left out)");
}
END_TEST

START_TEST(log_lines_are_cut_and_steer_no_terminal)
{
	char line[32];
	size_t len = vmm_log_line(line, sizeof(line), "p: ", VMM_LOG_WARN, "a\x1b[2J\nb\x7f");

	ck_assert_uint_eq(len, 21);
	ck_assert_mem_eq(line, "p: warning: a?[2J?b?\n", 21);
	/* The longest that fits, and one that does not. */
	len = vmm_log_line(line, 8, "", VMM_LOG_INFO, "123456");
	ck_assert_uint_eq(len, 7);
	ck_assert_mem_eq(line, "123456\n", 7);
	line[8] = 'x';
	len = vmm_log_line(line, 8, "", VMM_LOG_INFO, "123456789");
	ck_assert_uint_eq(len, 7);
	ck_assert_mem_eq(line, "123456\n", 7);
	ck_assert_int_eq(line[8], 'x');
	ck_assert_uint_eq(vmm_log_line(line, 2, "", VMM_LOG_ERROR, ""), 1);
}
END_TEST

SUITE_MAIN("base", error_set_fills_and_returns_code, error_set_null_returns_code,
	   error_set_long_message_is_cut, error_wrap_puts_context_in_front,
	   error_wrap_without_message_names_the_errno, error_guest_codes, log_level_filters,
	   log_guest_flood_gives_one_line, log_lines_are_cut_and_steer_no_terminal)
