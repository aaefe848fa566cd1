/* SPDX-License-Identifier: MIT */
/*
 * What is known of VMs from their directories, and what is taken away: no VMM is started here, its
 * part is played by files, sockets and processes of the test.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance_private.h"
#include "suite.h"

#define NAME "vm"

static char base[64];
static struct instance_roots roots;

static void setup(void)
{
	(void)snprintf(base, sizeof(base), "/tmp/test_instance.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	(void)snprintf(roots.vms, sizeof(roots.vms), "%s/vms", base);
	(void)snprintf(roots.run, sizeof(roots.run), "%s/run", base);
	ck_assert_int_eq(mkdir(roots.vms, 0700), 0);
	ck_assert_int_eq(mkdir(roots.run, 0700), 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void teardown(void)
{
	(void)nftw(base, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *in(const char *root, const char *name)
{
	static char path[2 * PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static void make_dir(const char *root, const char *name)
{
	ck_assert_int_eq(mkdir(in(root, name), 0700), 0);
}

static void make_file(const char *root, const char *name, const char *text)
{
	FILE *file = fopen(in(root, name), "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

/* A socket where the VMM's would be, nobody at work on it. Closed, it is what a dead VMM leaves. */
static int make_socket(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%.80s", in(roots.run, NAME "/vmm"));
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

static bool exists(const char *root, const char *name)
{
	struct stat st;

	return lstat(in(root, name), &st) == 0;
}

START_TEST(instance_roots_argument_wins_over_environment)
{
	struct instance_roots r;

	ck_assert_int_eq(setenv("VMM_VMS", "/env/vms", 1), 0);
	ck_assert_int_eq(setenv("VMM_RUN", "/env/run", 1), 0);
	ck_assert_int_eq(instance_roots_init(&r, "/arg", NULL, NULL), 0);
	ck_assert_str_eq(r.vms, "/arg");
	ck_assert_str_eq(r.run, "/env/run");
	ck_assert_int_eq(instance_roots_init(&r, NULL, "/arg", NULL), 0);
	ck_assert_str_eq(r.vms, "/env/vms");
	ck_assert_str_eq(r.run, "/arg");
	ck_assert_int_eq(unsetenv("VMM_VMS"), 0);
	ck_assert_int_eq(instance_roots_init(&r, NULL, NULL, NULL), 0);
	ck_assert_str_eq(r.vms, "/var/lib/vm");
	ck_assert_int_eq(unsetenv("VMM_RUN"), 0);
}
END_TEST

START_TEST(instance_roots_relative_is_made_absolute)
{
	char longest[PATH_MAX + 1];
	struct instance_roots r;
	struct vmm_error err = {0};

	ck_assert_int_eq(chdir("/tmp"), 0);
	ck_assert_int_eq(instance_roots_init(&r, "vms", "run", NULL), 0);
	ck_assert_str_eq(r.vms, "/tmp/vms");
	ck_assert_str_eq(r.run, "/tmp/run");
	memset(longest, 'x', PATH_MAX);
	longest[0] = '/';
	longest[PATH_MAX] = '\0';
	ck_assert_int_eq(instance_roots_init(&r, longest, "run", &err), -ENAMETOOLONG);
	ck_assert_int_ne(err.message[0], 0);
}
END_TEST

START_TEST(instance_roots_lock_makes_and_removes_the_directory)
{
	int lock;

	ck_assert_int_eq(rmdir(roots.run), 0);
	ck_assert_int_eq(instance_roots_lock(&roots, false, NULL), -ENOENT);
	lock = instance_roots_lock(&roots, true, NULL);
	ck_assert_int_ge(lock, 0);
	ck_assert(exists(roots.run, ""));
	instance_roots_unlock(&roots, lock);
	ck_assert(!exists(roots.run, ""));
	instance_roots_unlock(&roots, -1);
}
END_TEST

START_TEST(instance_roots_lock_keeps_a_directory_in_use)
{
	int lock = instance_roots_lock(&roots, true, NULL);

	make_dir(roots.run, NAME);
	instance_roots_unlock(&roots, lock);
	ck_assert(exists(roots.run, NAME));
}
END_TEST

START_TEST(instance_roots_lock_excludes_others)
{
	int lock = instance_roots_lock(&roots, true, NULL);
	int fd = open(roots.run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(lock, 0);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), -1);
	instance_roots_unlock(&roots, lock);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(instance_roots_lock_bad_directory_is_refused)
{
	struct vmm_error err = {0};

	ck_assert_int_eq(chmod(roots.run, 0777), 0);
	ck_assert_int_eq(instance_roots_lock(&roots, true, &err), -EPERM);
	ck_assert_ptr_nonnull(strstr(err.message, roots.run));
	(void)snprintf(roots.run, sizeof(roots.run), "%s/none/run", base);
	ck_assert_int_eq(instance_roots_lock(&roots, true, NULL), -ENOENT);
	make_file(base, "file", "");
	(void)snprintf(roots.run, sizeof(roots.run), "%s/file", base);
	ck_assert_int_eq(instance_roots_lock(&roots, true, NULL), -ENOTDIR);
}
END_TEST

START_TEST(instance_path_too_long_is_refused)
{
	char out[PATH_MAX];
	struct vmm_error err = {0};

	ck_assert_int_eq(instance_path(&roots, NAME, "vmm", out, NULL), 0);
	ck_assert_str_eq(out, in(roots.run, NAME "/vmm"));
	ck_assert_int_eq(instance_path(&roots, NAME, "", out, NULL), 0);
	ck_assert_str_eq(out, in(roots.run, NAME));
	memset(roots.run, 'x', PATH_MAX - 4);
	roots.run[PATH_MAX - 4] = '\0';
	ck_assert_int_eq(instance_path(&roots, NAME, "vmm", out, &err), -ENAMETOOLONG);
}
END_TEST

START_TEST(instance_pid_only_a_number_counts)
{
	make_dir(roots.run, NAME);
	ck_assert_int_eq(instance_pid(&roots, NAME), -ESRCH);
	make_file(roots.run, NAME "/pid", "4660\n");
	ck_assert_int_eq(instance_pid(&roots, NAME), 4660);
	make_file(roots.run, NAME "/pid", "");
	ck_assert_int_eq(instance_pid(&roots, NAME), -ESRCH);
	make_file(roots.run, NAME "/pid", "-1\n");
	ck_assert_int_eq(instance_pid(&roots, NAME), -ESRCH);
	make_file(roots.run, NAME "/pid", "99999999999999\n");
	ck_assert_int_eq(instance_pid(&roots, NAME), -ESRCH);
	make_file(roots.run, NAME "/pid", "x\n");
	ck_assert_int_eq(instance_pid(&roots, NAME), -ESRCH);
}
END_TEST

START_TEST(instance_provider_first_good_name_counts)
{
	char provider[NAME_MAX + 1];

	make_dir(roots.vms, NAME);
	ck_assert_int_eq(instance_provider(&roots, NAME, provider), 0);
	ck_assert_str_eq(provider, "");
	make_dir(roots.vms, NAME "/providers");
	make_dir(roots.vms, NAME "/providers/net");
	make_file(roots.vms, NAME "/providers/net/zvm", "");
	make_file(roots.vms, NAME "/providers/net/netvm", "");
	make_file(roots.vms, NAME "/providers/net/.hidden", "");
	make_file(roots.vms, NAME "/providers/net/a b", "");
	ck_assert_int_eq(instance_provider(&roots, NAME, provider), 0);
	ck_assert_str_eq(provider, "netvm");
	ck_assert_int_eq(instance_provider(&roots, "nosuch", provider), 0);
	ck_assert_str_eq(provider, "");
}
END_TEST

START_TEST(instance_check_known_names_the_path)
{
	struct vmm_error err = {0};

	make_dir(roots.vms, NAME);
	ck_assert_int_eq(instance_check_known(&roots, NAME, &err), 0);
	ck_assert_int_eq(instance_check_known(&roots, "nosuch", &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.message, in(roots.vms, "nosuch")));
}
END_TEST

static int append_name(void *ctx, const char *name)
{
	char *all = ctx;
	size_t len = strlen(all);

	(void)snprintf(all + len, 256 - len, "%s ", name);
	return strcmp(name, "stop") == 0 ? 77 : 0;
}

START_TEST(instance_each_configured_in_order_with_a_kernel)
{
	char all[256] = "";

	make_dir(roots.vms, "b");
	make_file(roots.vms, "b/vmlinux", "");
	make_dir(roots.vms, "a");
	make_file(roots.vms, "a/vmlinuz", "");
	make_dir(roots.vms, "empty");
	make_dir(roots.vms, "bad name");
	make_file(roots.vms, "bad name/vmlinux", "");
	make_file(roots.vms, "file", "");
	ck_assert_int_eq(instance_each_configured(&roots, append_name, all), 0);
	ck_assert_str_eq(all, "a b ");
	make_dir(roots.vms, "stop");
	make_file(roots.vms, "stop/vmlinux", "");
	make_dir(roots.vms, "z");
	make_file(roots.vms, "z/vmlinux", "");
	all[0] = '\0';
	ck_assert_int_eq(instance_each_configured(&roots, append_name, all), 77);
	ck_assert_str_eq(all, "a b stop ");
}
END_TEST

START_TEST(instance_each_live_has_a_socket_each_left_need_not)
{
	char all[256] = "";

	make_dir(roots.run, NAME);
	make_dir(roots.run, "failed");
	make_file(roots.run, "failed/log", "");
	ck_assert_int_eq(close(make_socket()), 0);
	ck_assert_int_eq(instance_each_live(&roots, append_name, all), 0);
	ck_assert_str_eq(all, NAME " ");
	all[0] = '\0';
	ck_assert_int_eq(instance_each_left(&roots, append_name, all), 0);
	ck_assert_str_eq(all, "failed " NAME " ");
	(void)snprintf(roots.run, sizeof(roots.run), "%s/none", base);
	ck_assert_int_eq(instance_each_live(&roots, append_name, all), 0);
}
END_TEST

START_TEST(instance_state_without_anybody_is_absent)
{
	make_dir(roots.run, NAME);
	ck_assert_int_eq(instance_state(&roots, NAME), INSTANCE_ABSENT);
	ck_assert_int_eq(close(make_socket()), 0);
	ck_assert_int_eq(instance_state(&roots, NAME), INSTANCE_ABSENT);
}
END_TEST

START_TEST(instance_state_without_an_answer_is_silent)
{
	int fd;

	make_dir(roots.run, NAME);
	fd = make_socket();
	ck_assert_int_eq(instance_state(&roots, NAME), INSTANCE_SILENT);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* Answers each request with the same words until it is killed. */
static pid_t answer(int listener, const char *reply)
{
	pid_t pid = fork();

	while (pid == 0) {
		char request[4096];
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0 && read(fd, request, sizeof(request)) > 0) {
			(void)!write(fd, reply, strlen(reply));
		}
		(void)close(fd);
	}
	ck_assert_int_gt(pid, 0);
	return pid;
}

static enum instance_state state_when_told(const char *reply)
{
	enum instance_state state;
	int listener = make_socket();
	pid_t pid = answer(listener, reply);

	ck_assert_int_eq(close(listener), 0);
	state = instance_state(&roots, NAME);
	(void)kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(unlink(in(roots.run, NAME "/vmm")), 0);
	return state;
}

#define INFO(state) "HTTP/1.1 200 \r\nContent-Length: " state
#define RUNNING     INFO("19\r\n\r\n{\"state\":\"Running\"}")
#define PAUSED      INFO("18\r\n\r\n{\"state\":\"Paused\"}")
#define CREATED     INFO("19\r\n\r\n{\"state\":\"Created\"}")
#define NO_STATE    INFO("2\r\n\r\n{}")
#define NO_JSON     INFO("2\r\n\r\n{:")
#define NO_VM       "HTTP/1.1 404 \r\nContent-Length: 2\r\n\r\n[]"

START_TEST(instance_state_follows_the_answer)
{
	make_dir(roots.run, NAME);
	ck_assert_int_eq(state_when_told(RUNNING), INSTANCE_RUNNING);
	ck_assert_int_eq(state_when_told(PAUSED), INSTANCE_PAUSED);
	ck_assert_int_eq(state_when_told(NO_STATE), INSTANCE_SILENT);
	ck_assert_int_eq(state_when_told(NO_JSON), INSTANCE_SILENT);
	ck_assert_int_eq(state_when_told(NO_VM), INSTANCE_UNFINISHED);
	/* Without the link the maker has not finished. */
	ck_assert_int_eq(state_when_told(CREATED), INSTANCE_UNFINISHED);
	ck_assert_int_eq(symlink("/nowhere", in(roots.run, NAME "/config")), 0);
	ck_assert_int_eq(state_when_told(CREATED), INSTANCE_OFF);
}
END_TEST

START_TEST(instance_lock_excludes_others)
{
	struct vmm_error err = {0};
	int lock;

	ck_assert_int_eq(instance_lock(&roots, NAME, 0, NULL), -ENOENT);
	make_dir(roots.run, NAME);
	lock = instance_lock(&roots, NAME, 0, NULL);
	ck_assert_int_ge(lock, 0);
	ck_assert_int_ne(fcntl(lock, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(instance_lock(&roots, NAME, 30, &err), -EEXIST);
	ck_assert_int_eq(close(lock), 0);
	lock = instance_lock(&roots, NAME, 0, NULL);
	ck_assert_int_ge(lock, 0);
	/* Once unlinked it holds nothing any more. */
	ck_assert_int_eq(unlink(in(roots.run, NAME "/lock")), 0);
	ck_assert_int_eq(close(lock), 0);
	lock = instance_lock(&roots, NAME, 0, NULL);
	ck_assert_int_ge(lock, 0);
	ck_assert_int_eq(close(lock), 0);
}
END_TEST

static void fill_runtime_directory(void)
{
	static const char *const files[] = {"pid",          "network", "log",     "serial.log",
					    "serial.log.1", "lock",    "vmm.lock"};

	make_dir(roots.run, NAME);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), NAME "/%s", files[i]);
		make_file(roots.run, name, "");
	}
	ck_assert_int_eq(symlink("/nowhere", in(roots.run, NAME "/config")), 0);
	ck_assert_int_eq(close(make_socket()), 0);
}

START_TEST(instance_clean_up_keeps_logs_when_told)
{
	fill_runtime_directory();
	instance_clean_up(&roots, NAME, false);
	ck_assert(exists(roots.run, NAME "/log"));
	ck_assert(exists(roots.run, NAME "/serial.log"));
	ck_assert(!exists(roots.run, NAME "/vmm"));
	ck_assert(!exists(roots.run, NAME "/pid"));
	ck_assert(!exists(roots.run, NAME "/config"));
	ck_assert(!exists(roots.run, NAME "/lock"));
	instance_clean_up(&roots, NAME, true);
	ck_assert(!exists(roots.run, NAME));
}
END_TEST

/* The recorded process is another's by now: its socket is dead, so the pid proves nothing. */
START_TEST(instance_end_spares_a_process_that_does_not_listen)
{
	char text[32];
	pid_t other = fork();

	if (other == 0) {
		(void)pause();
		_exit(0);
	}
	make_dir(roots.run, NAME);
	ck_assert_int_eq(close(make_socket()), 0);
	(void)snprintf(text, sizeof(text), "%d\n", (int)other);
	make_file(roots.run, NAME "/pid", text);
	ck_assert_int_eq(instance_end(&roots, NAME, NULL), 0);
	ck_assert(!exists(roots.run, NAME));
	ck_assert_int_eq(waitpid(other, NULL, WNOHANG), 0);
	ck_assert_int_eq(kill(other, SIGKILL), 0);
	ck_assert_int_eq(waitpid(other, NULL, 0), other);
}
END_TEST

/* A VMM that answers nothing is killed, its leftovers go. */
START_TEST(instance_end_kills_a_silent_listener)
{
	pid_t vmm;
	int ready[2];
	int status;
	char byte;

	make_dir(roots.run, NAME);
	ck_assert_int_eq(pipe(ready), 0);
	vmm = fork();
	if (vmm == 0) {
		(void)signal(SIGTERM, SIG_IGN);
		(void)make_socket();
		(void)!write(ready[1], "x", 1);
		for (;;) {
			(void)pause();
		}
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(instance_end(&roots, NAME, NULL), 0);
	ck_assert(!exists(roots.run, NAME));
	ck_assert_int_eq(waitpid(vmm, &status, 0), vmm);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	(void)close(ready[0]);
	(void)close(ready[1]);
}
END_TEST

START_TEST(instance_end_of_nothing_is_fine)
{
	ck_assert_int_eq(instance_end(&roots, NAME, NULL), 0);
}
END_TEST

START_TEST(instance_sweep_takes_dead_ones_and_logs_when_told)
{
	make_dir(roots.run, NAME);
	ck_assert_int_eq(close(make_socket()), 0);
	make_dir(roots.run, "failed");
	make_file(roots.run, "failed/log", "");
	ck_assert_int_eq(instance_sweep(&roots, false, NULL), 0);
	ck_assert(!exists(roots.run, NAME));
	ck_assert(exists(roots.run, "failed/log"));
	ck_assert_int_eq(instance_sweep(&roots, true, NULL), 0);
	ck_assert(!exists(roots.run, "failed"));
}
END_TEST

START_TEST(instance_create_refuses_before_it_makes_anything)
{
	struct vmm_error err = {0};

	ck_assert_int_eq(instance_create(&roots, "a/b", &err), -EINVAL);
	ck_assert_int_eq(instance_create(&roots, "nosuch", &err), -ENOENT);
	make_dir(roots.vms, NAME);
	(void)snprintf(roots.run, sizeof(roots.run), "%s/%0100d", base, 0);
	ck_assert_int_eq(mkdir(roots.run, 0700), 0);
	memset(&err, 0, sizeof(err));
	ck_assert_int_eq(instance_create(&roots, NAME, &err), -ENAMETOOLONG);
	ck_assert_ptr_nonnull(strstr(err.message, "--run-dir"));
	ck_assert_int_eq(rmdir(roots.run), 0);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, instance_roots_argument_wins_over_environment);
	tcase_add_test(tcase, instance_roots_relative_is_made_absolute);
	tcase_add_test(tcase, instance_roots_lock_makes_and_removes_the_directory);
	tcase_add_test(tcase, instance_roots_lock_keeps_a_directory_in_use);
	tcase_add_test(tcase, instance_roots_lock_excludes_others);
	tcase_add_test(tcase, instance_roots_lock_bad_directory_is_refused);
	tcase_add_test(tcase, instance_path_too_long_is_refused);
	tcase_add_test(tcase, instance_pid_only_a_number_counts);
	tcase_add_test(tcase, instance_provider_first_good_name_counts);
	tcase_add_test(tcase, instance_check_known_names_the_path);
	tcase_add_test(tcase, instance_each_configured_in_order_with_a_kernel);
	tcase_add_test(tcase, instance_each_live_has_a_socket_each_left_need_not);
	tcase_add_test(tcase, instance_state_without_anybody_is_absent);
	tcase_add_test(tcase, instance_state_without_an_answer_is_silent);
	tcase_add_test(tcase, instance_state_follows_the_answer);
	tcase_add_test(tcase, instance_lock_excludes_others);
	tcase_add_test(tcase, instance_clean_up_keeps_logs_when_told);
	tcase_add_test(tcase, instance_end_spares_a_process_that_does_not_listen);
	tcase_add_test(tcase, instance_end_kills_a_silent_listener);
	tcase_add_test(tcase, instance_end_of_nothing_is_fine);
	tcase_add_test(tcase, instance_sweep_takes_dead_ones_and_logs_when_told);
	tcase_add_test(tcase, instance_create_refuses_before_it_makes_anything);
}

int main(void)
{
	Suite *suite = suite_create("instance");
	TCase *tcase = tcase_create("instance");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, SUITE_TEST_TIMEOUT);
	tcase_add_checked_fixture(tcase, setup, teardown);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
