/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faultinj.h"
#include "suite.h"
#include "test_jail_child.h"

static struct child c;
static struct child_jail jail;
static struct vmm_error err;

static void start(const char *mode)
{
	ck_assert_msg(child_start(&c, mode, NULL, 0, &err) == 0, "%s", err.message);
	ck_assert_int_eq(recv(c.fd, &jail, sizeof(jail), 0), sizeof(jail));
	ck_assert_msg(jail.ret == 0, "%s", jail.err.message);
}

static void expect_proc(const char *file, const char *key, const char *want)
{
	char value[256];

	ck_assert(child_proc(c.process.pid, file, key, value, sizeof(value)));
	ck_assert_msg(strcmp(value, want) == 0, "%s %s %s, not %s", file, key, value, want);
}

static bool user_namespaces(void)
{
	char text[16] = "";
	int fd = open("/proc/sys/user/max_user_namespaces", O_RDONLY);

	(void)!read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	return atoi(text) > 0;
}

/* ---- the whole ---- */

START_TEST(jail_enter_reaches_every_level)
{
	if (!user_namespaces()) {
		printf("skipped: jail_enter_reaches_every_level: no user namespaces here\n");
		return;
	}
	start("enter");
	ck_assert(jail.level.user_ns);
	ck_assert(jail.level.pid_ns);
	ck_assert(jail.level.mount_ns);
	ck_assert(jail.level.net_ns);
	ck_assert(jail.level.ipc_ns);
	ck_assert(jail.level.uts_ns);
	ck_assert(jail.level.cgroup_ns);
	ck_assert(jail.level.empty_root);
	ck_assert(jail.level.uid_changed);
	ck_assert(jail.level.no_caps);
	ck_assert(jail.level.no_bounding);
	ck_assert(!jail.level.seccomp);
	printf("figure: jail entered in %lld us: %s\n", jail.ns / 1000, jail.words);
	ck_assert_int_eq(child_finish(&c), 0);
}
END_TEST

START_TEST(jail_status_is_that_of_nobody)
{
	char nspid[64];

	start("seal");
	expect_proc("status", "CapInh:", "0000000000000000");
	expect_proc("status", "CapPrm:", "0000000000000000");
	expect_proc("status", "CapEff:", "0000000000000000");
	expect_proc("status", "CapBnd:", "0000000000000000");
	expect_proc("status", "CapAmb:", "0000000000000000");
	expect_proc("status", "NoNewPrivs:", "1");
	expect_proc("status", "Seccomp:", "2");
	expect_proc("status", "Seccomp_filters:", "1");
	expect_proc("status", "Threads:", "1");
	ck_assert(child_proc(c.process.pid, "status", "NSpid:", nspid, sizeof(nspid)));
	ck_assert_str_eq(strchr(nspid, '\t'), "\t1");
	ck_assert_ptr_nonnull(strstr(jail.words, "seccomp rng ("));
	ck_assert_int_eq(child_finish(&c), 0);
}
END_TEST

static void expect_limit(const char *name, const char *value)
{
	char line[256];
	char soft[32];
	char hard[32];

	ck_assert(child_proc(c.process.pid, "limits", name, line, sizeof(line)));
	ck_assert_int_eq(sscanf(line, "%31s %31s", soft, hard), 2);
	ck_assert_str_eq(soft, value);
	ck_assert_str_eq(hard, value);
}

START_TEST(jail_limits_are_set_for_good)
{
	start("seal");
	expect_limit("Max core file size", "0");
	expect_limit("Max file size", "0");
	expect_limit("Max locked memory", "0");
	expect_limit("Max open files", "32");
	expect_limit("Max processes", "0");
	ck_assert_int_eq(child_finish(&c), 0);
}
END_TEST

static unsigned entries(const char *name)
{
	char path[64];
	const struct dirent *e;
	unsigned count = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)c.process.pid, name);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((e = readdir(dir))) {
		count += e->d_name[0] != '.';
	}
	(void)closedir(dir);
	return count;
}

static void expect_one_mount(void)
{
	char line[512];
	char path[64];
	unsigned mounts = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)c.process.pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		mounts++;
		ck_assert_ptr_nonnull(strstr(line, " / / ro,nosuid,nodev,noexec"));
		ck_assert_ptr_nonnull(strstr(line, " tmpfs none ro,size=4k,nr_inodes=2"));
	}
	(void)fclose(f);
	ck_assert_uint_eq(mounts, 1);
}

START_TEST(jail_root_is_empty_and_one_read_only_mount)
{
	if (geteuid() != 0) {
		printf("skipped: jail_root_is_empty_and_one_read_only_mount: not root\n");
		return;
	}
	start("enter");
	ck_assert_uint_eq(entries("root"), 0);
	ck_assert_uint_eq(entries("fd"), 1);
	expect_one_mount();
	ck_assert_int_eq(child_finish(&c), 0);
}
END_TEST

START_TEST(jail_namespaces_are_not_ours)
{
	static const char *const names[] = {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"};

	if (geteuid() != 0) {
		printf("skipped: jail_namespaces_are_not_ours: not root\n");
		return;
	}
	start("enter");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stat ours;
		struct stat theirs;
		char path[64];

		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		ck_assert_int_eq(stat(path, &ours), 0);
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)c.process.pid, names[i]);
		ck_assert_int_eq(stat(path, &theirs), 0);
		ck_assert_uint_ne(ours.st_ino, theirs.st_ino);
	}
	ck_assert_int_eq(child_finish(&c), 0);
}
END_TEST

/* ---- what is refused ---- */

/* In a process of its own: there is no way back from some of it. */
static int enter_here(const struct vmm_jail_config *config, struct vmm_error *e)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		_exit(-vmm_jail_enter(config, NULL, e));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

START_TEST(jail_enter_refuses_bad_descriptors)
{
	int closed[] = {0, 29};
	int negative[] = {-1};
	int high[] = {32};

	(void)close(29);
	ck_assert_int_eq(
		enter_here(&(struct vmm_jail_config){.keep_fds = closed, .keep_count = 2}, &err),
		-EBADF);
	ck_assert_int_eq(
		enter_here(&(struct vmm_jail_config){.keep_fds = negative, .keep_count = 1}, &err),
		-EINVAL);
	ck_assert_int_eq(dup2(0, 32), 32);
	ck_assert_int_eq(
		enter_here(&(struct vmm_jail_config){.keep_fds = high, .keep_count = 1}, NULL),
		-EINVAL);
	ck_assert_int_eq(enter_here(&(struct vmm_jail_config){.keep_fds = high,
							      .keep_count = 1,
							      .fd_limit = 33},
				    NULL),
			 0);
}
END_TEST

static int seal_here(const char *profile)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		_exit(-vmm_jail_seal(profile, NULL, NULL));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

START_TEST(jail_seal_needs_a_profile_and_the_jail)
{
	ck_assert_int_eq(vmm_jail_seal("teapot", NULL, &err), -ENOENT);
	ck_assert_str_eq(err.message, "no jail profile \"teapot\"");
	ck_assert_int_eq(vmm_jail_seal_thread("teapot"), -ENOENT);
	if (geteuid() != 0) {
		ck_assert_int_eq(vmm_jail_seal_thread("rng"), -EACCES);
		ck_assert_int_eq(seal_here("rng"), -EACCES);
	}
}
END_TEST

/* By hand, without vmm_process_spawn: all but the process id namespace. Duplicates do no harm. */
START_TEST(jail_enter_alone_makes_its_namespaces)
{
	int ends[2];
	int status;
	pid_t pid;

	if (!user_namespaces()) {
		printf("skipped: jail_enter_alone_makes_its_namespaces: no user namespaces\n");
		return;
	}
	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		int keep[] = {ends[1], ends[1]};
		struct vmm_jail_config config = {
			.keep_fds = keep, .keep_count = 2, .file_limit = 512};

		jail.ret = vmm_jail_enter(&config, &jail.level, &jail.err);
		_exit(write(ends[1], &jail, sizeof(jail)) != (ssize_t)sizeof(jail));
	}
	ck_assert_int_eq(read(ends[0], &jail, sizeof(jail)), sizeof(jail));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(jail.ret, 0);
	ck_assert(jail.level.user_ns);
	ck_assert(!jail.level.pid_ns);
	ck_assert(jail.level.mount_ns);
	ck_assert(jail.level.net_ns);
	ck_assert(jail.level.empty_root);
	ck_assert(jail.level.no_caps);
	ck_assert_int_eq(jail.level.uid_changed, geteuid() != 0);
}
END_TEST

/* ---- faults ---- */

/* Enters with its n-th call failing, says how it went, and stays to be looked at. */
static void enter_with_fault(unsigned n, int out)
{
	struct vmm_jail_config config = {
		.keep_fds = &out, .keep_count = 1, .memory_limit = 1 << 30};
	struct faultinj f = {.n = n};

	(void)faultinj_next(&f);
	jail.ret = vmm_jail_enter(&config, &jail.level, &jail.err);
	faultinj_stop(&f);
	(void)snprintf(jail.words, sizeof(jail.words), "%s", f.failed ? f.failed : "");
	(void)!write(out, &jail, sizeof(jail));
	(void)pause();
	_exit(0);
}

/* False when no call failed any more. */
static bool one_fault(unsigned n)
{
	int ends[2];
	char value[64];

	ck_assert_int_eq(pipe(ends), 0);
	c.process.pid = fork();
	if (c.process.pid == 0) {
		enter_with_fault(n, ends[1]);
	}
	(void)close(ends[1]);
	ck_assert_int_eq(read(ends[0], &jail, sizeof(jail)), sizeof(jail));
	(void)close(ends[0]);
	if (jail.ret < 0) {
		ck_assert_int_ne(jail.err.message[0], 0);
	} else {
		ck_assert(child_proc(c.process.pid, "status", "CapEff:", value, sizeof(value)));
		ck_assert_str_eq(value, "0000000000000000");
		ck_assert(child_proc(c.process.pid, "status", "NoNewPrivs:", value, sizeof(value)));
		ck_assert_str_eq(value, "1");
	}
	/* What is claimed is so. */
	if (jail.level.empty_root && geteuid() == 0) {
		ck_assert_uint_eq(entries("root"), 0);
		expect_one_mount();
	}
	ck_assert_int_eq(kill(c.process.pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(c.process.pid, NULL, 0), c.process.pid);
	return jail.words[0] != '\0';
}

/* Whatever fails, it is an error or it is told; a root that cannot be pivoted is covered. */
START_TEST(jail_enter_with_any_call_failing_claims_nothing_false)
{
	unsigned points = 0;
	unsigned errors = 0;
	unsigned covered = 0;

	while (one_fault(points)) {
		points++;
		errors += jail.ret < 0;
		covered += strcmp(jail.words, "syscall") == 0 && jail.ret == 0 &&
			   jail.level.empty_root && jail.level.landlock_abi > 0;
		memset(&jail, 0, sizeof(jail));
		ck_assert_uint_lt(points, 200);
	}
	printf("figure: jail: %u points made to fail, %u are errors, the others are told\n", points,
	       errors);
	ck_assert_uint_gt(errors, 5);
	if (user_namespaces()) {
		ck_assert_uint_eq(covered, 1);
	}
}
END_TEST

/* ---- words ---- */

START_TEST(jail_describe_names_what_there_is_and_what_is_missing)
{
	struct vmm_jail_level level = {.pid_ns = true,
				       .net_ns = true,
				       .empty_root = true,
				       .no_caps = true,
				       .landlock_abi = 7,
				       .seccomp = true,
				       .profile = vmm_jail_profile_find("rng")};
	char buf[512];
	char want[512];
	int len = vmm_jail_describe(&level, buf, sizeof(buf));

	(void)snprintf(want, sizeof(want),
		       "pid net namespaces, empty root, no capabilities, Landlock 7, "
		       "seccomp rng (%zu calls); without user mount ipc uts cgroup namespaces, "
		       "not root, no bounding set, no executable memory",
		       vmm_jail_profile_calls(level.profile));
	ck_assert_str_eq(buf, want);
	ck_assert_uint_eq((size_t)len, strlen(want));
	ck_assert_int_eq(vmm_jail_describe(&level, buf, 8), len);
	ck_assert_str_eq(buf, "pid net");
	ck_assert_int_eq(vmm_jail_describe(&level, buf, 0), len);
	ck_assert_int_eq(vmm_jail_describe(&level, NULL, 0), len);
}
END_TEST

START_TEST(jail_describe_of_nothing_begins_with_without)
{
	struct vmm_jail_level level = {0};
	char buf[512];

	(void)vmm_jail_describe(&level, buf, sizeof(buf));
	ck_assert_str_eq(buf, "without user pid mount net ipc uts cgroup namespaces, empty root, "
			      "not root, no capabilities, no bounding set, Landlock, "
			      "no executable memory, seccomp");
}
END_TEST

/* ---- where the kernel refuses namespaces ---- */

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		perror(path);
		_exit(98);
	}
	(void)close(fd);
}

/* Limits of namespaces are the user namespace's: this puts the test into one that has its own. */
static bool into_limited_namespace(const char *limit)
{
	pid_t test = getpid();
	char path[64];
	int ends[2];
	int status;
	pid_t helper;

	if (geteuid() != 0 || !user_namespaces()) {
		printf("skipped: a kernel that refuses %s cannot be played here\n", limit);
		return false;
	}
	ck_assert_int_eq(pipe(ends), 0);
	helper = fork();
	if (helper == 0) {
		char byte;

		(void)!read(ends[0], &byte, 1);
		(void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)test);
		write_text(path, "0 0 100000");
		(void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)test);
		write_text(path, "0 0 100000");
		_exit(0);
	}
	ck_assert_int_eq(unshare(CLONE_NEWUSER), 0);
	ck_assert_int_eq(write(ends[1], "", 1), 1);
	ck_assert_int_eq(waitpid(helper, &status, 0), helper);
	ck_assert_int_eq(status, 0);
	(void)snprintf(path, sizeof(path), "/proc/sys/user/%s", limit);
	write_text(path, "0");
	return true;
}

START_TEST(jail_root_without_user_namespaces_gets_the_others)
{
	if (!into_limited_namespace("max_user_namespaces")) {
		return;
	}
	start("seal");
	ck_assert(!jail.level.user_ns);
	ck_assert(jail.level.pid_ns);
	ck_assert(jail.level.mount_ns);
	ck_assert(jail.level.net_ns);
	ck_assert(jail.level.ipc_ns);
	ck_assert(jail.level.uts_ns);
	ck_assert(jail.level.cgroup_ns);
	ck_assert(jail.level.empty_root);
	ck_assert(jail.level.uid_changed);
	ck_assert(jail.level.no_caps);
	ck_assert(jail.level.no_bounding);
	expect_proc("status", "CapPrm:", "0000000000000000");
	expect_proc("status", "CapAmb:", "0000000000000000");
	expect_proc("status", "CapBnd:", "0000000000000000");
	printf("figure: without user namespaces, root: %s\n", jail.words);
	ck_assert_int_eq(child_finish(&c), 0);
}
END_TEST

START_TEST(jail_root_without_pid_namespaces_gets_the_others)
{
	if (!into_limited_namespace("max_pid_namespaces")) {
		return;
	}
	start("seal");
	ck_assert(jail.level.user_ns);
	ck_assert(!jail.level.pid_ns);
	ck_assert(jail.level.mount_ns);
	ck_assert(jail.level.empty_root);
	ck_assert(jail.level.uid_changed);
	ck_assert(jail.level.no_caps);
	ck_assert(jail.level.no_bounding);
	ck_assert_int_eq(child_finish(&c), 0);
}
END_TEST

START_TEST(jail_user_without_user_namespaces_still_has_the_rest)
{
	if (!into_limited_namespace("max_user_namespaces")) {
		return;
	}
	ck_assert_int_eq(setresgid(CHILD_GID, CHILD_GID, CHILD_GID), 0);
	ck_assert_int_eq(setresuid(CHILD_UID, CHILD_UID, CHILD_UID), 0);
	start("seal");
	ck_assert(!jail.level.user_ns);
	ck_assert(!jail.level.pid_ns);
	ck_assert(!jail.level.mount_ns);
	ck_assert(!jail.level.empty_root);
	ck_assert(jail.level.no_caps);
	ck_assert(!jail.level.no_bounding);
	ck_assert(jail.level.seccomp);
	ck_assert(jail.level.uid_changed);
	printf("figure: without user namespaces, user: %s\n", jail.words);
	ck_assert_int_eq(child_finish(&c), 0);
}
END_TEST

/* One kind is refused: the process makes the others itself. */
START_TEST(jail_without_net_namespaces_gets_the_others)
{
	if (!into_limited_namespace("max_net_namespaces")) {
		return;
	}
	start("enter");
	ck_assert(jail.level.user_ns);
	ck_assert(jail.level.pid_ns);
	ck_assert(jail.level.mount_ns);
	ck_assert(!jail.level.net_ns);
	ck_assert(jail.level.uts_ns);
	ck_assert(jail.level.empty_root);
	ck_assert_int_eq(child_finish(&c), 0);
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const tests[] = {
		jail_enter_reaches_every_level,
		jail_status_is_that_of_nobody,
		jail_limits_are_set_for_good,
		jail_root_is_empty_and_one_read_only_mount,
		jail_namespaces_are_not_ours,
		jail_enter_refuses_bad_descriptors,
		jail_seal_needs_a_profile_and_the_jail,
		jail_enter_alone_makes_its_namespaces,
		jail_enter_with_any_call_failing_claims_nothing_false,
		jail_describe_names_what_there_is_and_what_is_missing,
		jail_describe_of_nothing_begins_with_without,
		jail_root_without_user_namespaces_gets_the_others,
		jail_root_without_pid_namespaces_gets_the_others,
		jail_user_without_user_namespaces_still_has_the_rest,
		jail_without_net_namespaces_gets_the_others,
	};

	child_main(argc, argv);
	return suite_run("jail_enter", tests, sizeof(tests) / sizeof(tests[0]));
}
