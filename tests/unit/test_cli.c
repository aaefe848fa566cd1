/* SPDX-License-Identifier: MIT */
/* What the commands share: options, names, readiness. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "config/config.h"
#include "isolation.h"
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

/* ---- isolation ---- */

static void clear_environment(void)
{
	(void)unsetenv("VMM_ISOLATION");
	(void)unsetenv("VMM_DEVICE");
	(void)unsetenv("VMM_RESTART");
	(void)unsetenv("VMM_UID_BASE");
}

START_TEST(cli_isolation_is_a_process_for_each_unless_told)
{
	struct isolation_options options = {0};
	struct isolation chosen;

	clear_environment();
	ck_assert_int_eq(isolation_choose(&options, &chosen, NULL), 0);
	ck_assert_ptr_eq(chosen.body, &vm_body_isolated);
	ck_assert(!chosen.config.restart_never);
	ck_assert_uint_eq(chosen.config.uid_base, 0);
	/* Beside this program. */
	ck_assert_int_eq(chosen.config.device_program[0], '/');
	ck_assert_str_eq(strrchr(chosen.config.device_program, '/'), "/vmm-device");
}
END_TEST

START_TEST(cli_isolation_options_go_before_the_environment)
{
	struct isolation_options options = {0};
	struct isolation chosen;

	clear_environment();
	ck_assert_int_eq(setenv("VMM_ISOLATION", "none", 1), 0);
	ck_assert_int_eq(setenv("VMM_DEVICE", "/a", 1), 0);
	ck_assert_int_eq(setenv("VMM_RESTART", "never", 1), 0);
	ck_assert_int_eq(setenv("VMM_UID_BASE", "5000", 1), 0);
	ck_assert_int_eq(isolation_choose(&options, &chosen, NULL), 0);
	ck_assert_ptr_eq(chosen.body, &vm_body_inprocess);
	ck_assert_str_eq(chosen.config.device_program, "/a");
	ck_assert(chosen.config.restart_never);
	ck_assert_uint_eq(chosen.config.uid_base, 5000);
	options = (struct isolation_options){.isolation = "process",
					     .device_program = "/b",
					     .restart = "always",
					     .uid_base = "0x10000"};
	ck_assert_int_eq(isolation_choose(&options, &chosen, NULL), 0);
	ck_assert_ptr_eq(chosen.body, &vm_body_isolated);
	ck_assert_str_eq(chosen.config.device_program, "/b");
	ck_assert(!chosen.config.restart_never);
	ck_assert_uint_eq(chosen.config.uid_base, 65536);
	clear_environment();
}
END_TEST

START_TEST(cli_isolation_nonsense_is_named)
{
	static const char *const bases[] = {"0", "-1", "x", "", "5x", "4294967295", "99999999999"};
	struct isolation_options options = {.isolation = "some"};
	struct isolation chosen;
	struct vmm_error err = {0};

	clear_environment();
	ck_assert_int_eq(isolation_choose(&options, &chosen, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "--isolation 'some'"));
	options = (struct isolation_options){.restart = "often"};
	ck_assert_int_eq(isolation_choose(&options, &chosen, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "--restart 'often'"));
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		options = (struct isolation_options){.uid_base = bases[i]};
		ck_assert_msg(isolation_choose(&options, &chosen, &err) ==
				      (bases[i][0] ? -EINVAL : 0),
			      "'%s'", bases[i]);
	}
}
END_TEST

SUITE_MAIN("cli", cli_options_values_and_flags_are_taken, cli_options_value_with_equals_is_taken,
	   cli_options_behind_two_dashes_are_names, cli_options_unknown_or_incomplete_is_usage,
	   cli_options_help_ends_the_command, cli_options_with_roots_fills_them,
	   cli_ready_fd_takes_numbers_only, cli_tell_ready_writes_a_newline_and_closes,
	   cli_name_check_bad_name_is_in_the_sentence,
	   cli_isolation_is_a_process_for_each_unless_told,
	   cli_isolation_options_go_before_the_environment, cli_isolation_nonsense_is_named)
