/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli console --foot: a VM's console in a window of the foot terminal. A foot that can show a
 * pty that exists already (--pty) becomes the console itself; an older one runs vmm-cli console.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

#define HELP_BYTES 16384
#define APP_ID_MAX 128

/* In the child. */
static void print_help(int out)
{
	(void)dup2(out, STDOUT_FILENO);
	(void)execlp("foot", "foot", "--help", (char *)NULL);
	_exit(127);
}

/* What foot says that it can do; empty when there is no foot. */
static void read_help(int in, char *text, size_t size)
{
	size_t len = 0;
	ssize_t got;

	while (len < size - 1 &&
	       ((got = read(in, text + len, size - 1 - len)) > 0 || (got < 0 && errno == EINTR))) {
		len += got > 0 ? (size_t)got : 0;
	}
	text[len] = '\0';
}

static bool foot_has_pty(void)
{
	char text[HELP_BYTES] = "";
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		return false;
	}
	pid = fork();
	if (pid == 0) {
		print_help(ends[1]);
	}
	(void)close(ends[1]);
	if (pid > 0) {
		read_help(ends[0], text, sizeof(text));
	}
	(void)close(ends[0]);
	if (pid > 0) {
		(void)waitpid(pid, NULL, 0);
	}
	return strstr(text, "--pty") != NULL;
}

static void run_foot(const struct instance_roots *roots, const char *name, char *pty)
{
	char self[PATH_MAX];
	char app_id[APP_ID_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[len < 0 ? 0 : len] = '\0';
	/* As windows of its own have it, so that a compositor's rules go for both. */
	(void)snprintf(app_id, sizeof(app_id), "libvmm.%s", name);
	if (pty) {
		(void)execlp("foot", "foot", "--title", name, "--app-id", app_id, "--pty", pty,
			     (char *)NULL);
	} else {
		(void)execlp("foot", "foot", "--title", name, "--app-id", app_id, "--", self,
			     "console", "--vms", roots->vms, "--run-dir", roots->run, name,
			     (char *)NULL);
	}
}

int console_in_foot(const struct instance_roots *roots, const char *name)
{
	struct vmm_error err = {0};
	char *pty;
	int fd = console_open(roots, name, &pty, &err);

	if (fd < 0) {
		return cli_fail("console", &err);
	}
	if (foot_has_pty()) {
		/* The lock is foot's from now on. */
		(void)fcntl(fd, F_SETFD, 0);
	} else {
		(void)close(fd);
		free(pty);
		pty = NULL;
	}
	run_foot(roots, name, pty);
	(void)vmm_error_set(&err, -errno, "foot: %s", strerror(errno));
	free(pty);
	return cli_fail("console", &err);
}
