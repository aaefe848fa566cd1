/* SPDX-License-Identifier: MIT */
/*
 * A kernel that refuses user namespaces, played: the limit of how many there may be belongs to a
 * user namespace, so this process goes into one that has all ids, and sets the limit to none there.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDS "0 0 100000"

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool wrote = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0) {
		(void)close(fd);
	}
	return wrote;
}

/* By somebody outside: from the inside only one id can be mapped. */
static void map_all_ids(pid_t who, int when)
{
	char path[64];
	char byte;
	bool done;

	(void)!read(when, &byte, 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)who);
	done = write_text(path, IDS);
	(void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)who);
	_exit(done && write_text(path, IDS) ? 0 : 1);
}

bool limit_user_namespaces(bool as_user)
{
	pid_t self = getpid();
	int status = -1;
	int ends[2];
	pid_t helper;

	if (geteuid() != 0 || pipe2(ends, O_CLOEXEC) != 0) {
		return false;
	}
	helper = fork();
	if (helper == 0) {
		map_all_ids(self, ends[0]);
	}
	if (helper < 0 || unshare(CLONE_NEWUSER) != 0 || write(ends[1], "", 1) != 1 ||
	    waitpid(helper, &status, 0) != helper || status != 0 ||
	    !write_text("/proc/sys/user/max_user_namespaces", "0")) {
		return false;
	}
	return !as_user ||
	       (setgroups(0, NULL) == 0 && setresgid(PROBE_GID, PROBE_GID, PROBE_GID) == 0 &&
		setresuid(PROBE_UID, PROBE_UID, PROBE_UID) == 0);
}
