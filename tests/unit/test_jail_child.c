/* SPDX-License-Identifier: MIT */
#include "test_jail_child.h"

#include <check.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the child ---- */

static void tell(const void *bytes, size_t len)
{
	if (write(CHILD_FD, bytes, len) != (ssize_t)len) {
		_exit(99);
	}
}

static void wait_for_parent(void)
{
	char byte;

	(void)!read(CHILD_FD, &byte, 1);
}

static void send_fds(void)
{
	struct stat st;

	for (int fd = 0; fd < 1024; fd++) {
		if (fstat(fd, &st) == 0) {
			struct child_fd d = {fd, st.st_dev, st.st_ino};

			tell(&d, sizeof(d));
		}
	}
}

static void send_status(void)
{
	char text[4096];
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t got = read(fd, text, sizeof(text));

	tell(text, got > 0 ? (size_t)got : 0);
}

static long long now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void jail(bool seal)
{
	static const int keep[] = {CHILD_FD};
	struct vmm_jail_config config = {.keep_fds = keep, .keep_count = 1};
	struct child_jail result = {.ret = 0};
	long long begin = now();

	result.ret = vmm_jail_enter(&config, &result.level, &result.err);
	result.ns = now() - begin;
	if (result.ret == 0 && seal) {
		result.ret = vmm_jail_seal("rng", &result.level, &result.err);
	}
	(void)vmm_jail_describe(&result.level, result.words, sizeof(result.words));
	tell(&result, sizeof(result));
	wait_for_parent();
}

void child_main(int argc, char **argv)
{
	const char *mode;

	if (argc != 3 || strcmp(argv[1], "--child") != 0) {
		return;
	}
	mode = argv[2];
	if (strcmp(mode, "fds") == 0) {
		send_fds();
	} else if (strcmp(mode, "signals") == 0) {
		send_status();
	} else if (strcmp(mode, "exit") == 0) {
		_exit(7);
	} else if (strcmp(mode, "hang") == 0) {
		tell("", 1);
		wait_for_parent();
	} else {
		jail(strcmp(mode, "seal") == 0);
	}
	_exit(0);
}

/* ---- the parent ---- */

int child_start(struct child *c, const char *mode, const struct vmm_process_fd *more, size_t count,
		struct vmm_error *err)
{
	char name[16];
	char *argv[] = {(char[]){"test"}, (char[]){"--child"}, name, NULL};
	char *envp[] = {(char[]){"ASAN_OPTIONS=detect_leaks=0"}, NULL};
	struct vmm_process_fd fds[VMM_PROCESS_FDS_MAX];
	struct vmm_process_config config = {
		.program = "/proc/self/exe",
		.argv = argv,
		.envp = envp,
		.fds = fds,
		.fd_count = count + 1,
		.uid = CHILD_UID,
		.gid = CHILD_GID,
	};
	int ends[2];
	int ret;

	ck_assert_uint_lt(count, VMM_PROCESS_FDS_MAX);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	(void)snprintf(name, sizeof(name), "%s", mode);
	fds[0] = (struct vmm_process_fd){ends[1], CHILD_FD};
	for (size_t i = 0; i < count; i++) {
		fds[i + 1] = more[i];
	}
	ret = vmm_process_spawn(&c->process, &config, err);
	(void)close(ends[1]);
	c->fd = ends[0];
	if (ret < 0) {
		(void)close(ends[0]);
	}
	return ret;
}

int child_finish(struct child *c)
{
	int status = -1;

	(void)!send(c->fd, "", 1, MSG_NOSIGNAL);
	ck_assert_int_eq(vmm_process_wait(&c->process, 20000, &status), 1);
	(void)close(c->fd);
	return status;
}

bool child_proc(pid_t pid, const char *file, const char *key, char *value, size_t len)
{
	char path[64];
	char line[512];
	bool found = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "r");
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) == 0) {
			const char *from = line + strlen(key);

			while (isspace((unsigned char)*from)) {
				from++;
			}
			(void)snprintf(value, len, "%.*s", (int)strcspn(from, "\n"), from);
			found = true;
		}
	}
	if (f) {
		(void)fclose(f);
	}
	return found;
}
