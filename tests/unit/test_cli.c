/* SPDX-License-Identifier: MIT */
/* What the commands share: options, names, readiness. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "config/config.h"
#include "suite.h"

#define ARGC(argv) ((int)(sizeof(argv) / sizeof((argv)[0])) - 1)

/* The program's words go nowhere: what is said is tested with the program itself. */
static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	ck_assert_int_eq(close(fd), 0);
}

static int parse(int argc, char **argv, const char **value, bool *flag)
{
	const struct cli_option options[] = {
		{.name = "value", .value = value},
		{.name = "flag", .flag = flag},
		{.name = NULL},
	};

	return cli_options(argc, argv, "", options);
}

START_TEST(cli_options_values_and_flags_are_taken)
{
	char *argv[] = {(char[]){"cmd"},  (char[]){"--value"}, (char[]){"x"},
			(char[]){"name"}, (char[]){"--flag"},  NULL};
	const char *value = NULL;
	bool flag = false;

	ck_assert_int_eq(parse(ARGC(argv), argv, &value, &flag), CLI_GO_ON);
	ck_assert_str_eq(value, "x");
	ck_assert(flag);
	/* Names may stand before options. */
	ck_assert_int_eq(optind, 4);
	ck_assert_str_eq(argv[optind], "name");
}
END_TEST

START_TEST(cli_options_value_with_equals_is_taken)
{
	char *argv[] = {(char[]){"cmd"}, (char[]){"--value=a=b"}, NULL};
	const char *value = NULL;
	bool flag = false;

	ck_assert_int_eq(parse(ARGC(argv), argv, &value, &flag), CLI_GO_ON);
	ck_assert_str_eq(value, "a=b");
	ck_assert(!flag);
}
END_TEST

START_TEST(cli_options_behind_two_dashes_are_names)
{
	char *argv[] = {(char[]){"cmd"}, (char[]){"--"}, (char[]){"--flag"}, NULL};
	const char *value = NULL;
	bool flag = false;

	ck_assert_int_eq(parse(ARGC(argv), argv, &value, &flag), CLI_GO_ON);
	ck_assert(!flag);
	ck_assert_str_eq(argv[optind], "--flag");
}
END_TEST

START_TEST(cli_options_unknown_or_incomplete_is_usage)
{
	char *unknown[] = {(char[]){"cmd"}, (char[]){"--loud"}, NULL};
	char *letter[] = {(char[]){"cmd"}, (char[]){"-x"}, NULL};
	char *incomplete[] = {(char[]){"cmd"}, (char[]){"--value"}, NULL};
	char *excess[] = {(char[]){"cmd"}, (char[]){"--flag=yes"}, NULL};
	const char *value = NULL;
	bool flag = false;

	hush();
	ck_assert_int_eq(parse(ARGC(unknown), unknown, &value, &flag), EXIT_USAGE);
	ck_assert_int_eq(parse(ARGC(letter), letter, &value, &flag), EXIT_USAGE);
	ck_assert_int_eq(parse(ARGC(incomplete), incomplete, &value, &flag), EXIT_USAGE);
	ck_assert_int_eq(parse(ARGC(excess), excess, &value, &flag), EXIT_USAGE);
	ck_assert(!flag);
}
END_TEST

START_TEST(cli_options_help_ends_the_command)
{
	char *argv[] = {(char[]){"cmd"}, (char[]){"--help"}, (char[]){"--loud"}, NULL};
	const char *value = NULL;
	bool flag = false;

	ck_assert_int_eq(parse(ARGC(argv), argv, &value, &flag), EXIT_OK);
}
END_TEST

START_TEST(cli_options_with_roots_fills_them)
{
	char *argv[] = {(char[]){"cmd"}, (char[]){"--vms"}, (char[]){"/a"},   (char[]){"--run-dir"},
			(char[]){"/b"},  (char[]){"--own"}, (char[]){"name"}, NULL};
	bool own = false;
	const struct cli_option options[] = {{.name = "own", .flag = &own}, {.name = NULL}};
	struct instance_roots roots;

	ck_assert_int_eq(cli_options_with_roots(ARGC(argv), argv, "", options, &roots), CLI_GO_ON);
	ck_assert_str_eq(roots.vms, "/a");
	ck_assert_str_eq(roots.run, "/b");
	ck_assert(own);
	ck_assert_str_eq(argv[optind], "name");
}
END_TEST

START_TEST(cli_ready_fd_takes_numbers_only)
{
	static const char *const bad[] = {"", "x", "1x", "-1", "99999999999", " "};
	int fd = -1;

	hush();
	ck_assert_int_eq(cli_ready_fd("cmd", "7", &fd), CLI_GO_ON);
	ck_assert_int_eq(fd, 7);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(cli_ready_fd("cmd", bad[i], &fd), EXIT_USAGE);
	}
	ck_assert_int_eq(fd, 7);
}
END_TEST

START_TEST(cli_tell_ready_writes_a_newline_and_closes)
{
	char got[2];
	int fds[2];

	hush();
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(cli_tell_ready("cmd", fds[1]), EXIT_OK);
	ck_assert_int_eq(read(fds[0], got, sizeof(got)), 1);
	ck_assert_int_eq(got[0], '\n');
	ck_assert_int_eq(read(fds[0], got, sizeof(got)), 0);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(cli_tell_ready("cmd", -1), EXIT_OK);
	ck_assert_int_eq(cli_tell_ready("cmd", fds[1]), EXIT_FAILED);
}
END_TEST

START_TEST(cli_name_check_bad_name_is_in_the_sentence)
{
	char longest[VM_NAME_MAX + 2];
	struct vmm_error err = {0};

	ck_assert_int_eq(cli_name_check("user.netvm", &err), 0);
	ck_assert_int_eq(cli_name_check("a b", &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "'a b'"));
	memset(&err, 0, sizeof(err));
	ck_assert_int_eq(cli_name_check("a\033[2Jb", &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "'a?[2Jb'"));
	ck_assert_ptr_null(strchr(err.message, '\033'));
	memset(&err, 0, sizeof(err));
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(cli_name_check(longest, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "xxx...'"));
	ck_assert_int_eq(cli_name_check("", NULL), -EINVAL);
}
END_TEST

SUITE_MAIN("cli", cli_options_values_and_flags_are_taken, cli_options_value_with_equals_is_taken,
	   cli_options_behind_two_dashes_are_names, cli_options_unknown_or_incomplete_is_usage,
	   cli_options_help_ends_the_command, cli_options_with_roots_fills_them,
	   cli_ready_fd_takes_numbers_only, cli_tell_ready_writes_a_newline_and_closes,
	   cli_name_check_bad_name_is_in_the_sentence)
