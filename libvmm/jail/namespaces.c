/* SPDX-License-Identifier: MIT */
/*
 * Which namespaces are this process's own, and making those that are not. A process that
 * vmm_process_spawn started is not told what it got: it looks. A user namespace is its own when
 * there is one id in it and the process is the first of its pid namespace; another is, when it
 * belongs to that user namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "uapi.h"

/* By openat, since musl's open sets close-on-exec once more, with a system call of its own. */
static int open_file(const char *path, int flags)
{
	return openat(AT_FDCWD, path, flags | O_CLOEXEC);
}

static int write_file(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open_file(path, O_WRONLY);
	int ret;

	if (fd < 0) {
		return -errno;
	}
	ret = write(fd, text, len) == (ssize_t)len ? 0 : -errno;
	(void)close(fd);
	return ret;
}

int vmm_jail_read_file(const char *path, char *text, size_t size)
{
	int fd = open_file(path, O_RDONLY);
	ssize_t got;

	if (fd < 0) {
		return -errno;
	}
	got = read(fd, text, size - 1);
	if (got >= 0) {
		text[got] = '\0';
	}
	got = got < 0 ? -errno : got;
	(void)close(fd);
	return (int)got;
}

int vmm_jail_map_ids(unsigned uid, unsigned gid)
{
	char line[32];
	/* The groups a process was started with must not be given up to gain what they are denied.
	 */
	int ret = write_file("/proc/self/setgroups", "deny");

	if (ret == 0) {
		(void)snprintf(line, sizeof(line), "0 %u 1\n", uid);
		ret = write_file("/proc/self/uid_map", line);
	}
	if (ret == 0) {
		(void)snprintf(line, sizeof(line), "0 %u 1\n", gid);
		ret = write_file("/proc/self/gid_map", line);
	}
	return ret;
}

/* True when this user namespace has one id; *outside is what it is in the one around. */
static bool one_id(unsigned *outside)
{
	unsigned ids[3]; /* inside, outside, how many */
	char text[128];

	if (vmm_jail_read_file("/proc/self/uid_map", text, sizeof(text)) < 0) {
		return false;
	}
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers */
	if (sscanf(text, "%u %u %u", &ids[0], &ids[1], &ids[2]) != 3 || ids[2] != 1) {
		return false;
	}
	*outside = ids[1];
	return true;
}

/* True when the namespace of the path belongs to that user namespace. */
static bool belongs_to(const char *path, const struct stat *user)
{
	int fd = open_file(path, O_RDONLY);
	int owner = fd < 0 ? -1 : ioctl(fd, NS_GET_USERNS);
	struct stat st;
	bool belongs = owner >= 0 && fstat(owner, &st) == 0 && st.st_dev == user->st_dev &&
		       st.st_ino == user->st_ino;

	if (owner >= 0) {
		(void)close(owner);
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	return belongs;
}

struct space {
	const char *path;
	int flag;
	size_t member; /* of struct vmm_jail_level */
};

static const struct space spaces[] = {
	{"/proc/self/ns/mnt", CLONE_NEWNS, offsetof(struct vmm_jail_level, mount_ns)},
	{"/proc/self/ns/net", CLONE_NEWNET, offsetof(struct vmm_jail_level, net_ns)},
	{"/proc/self/ns/ipc", CLONE_NEWIPC, offsetof(struct vmm_jail_level, ipc_ns)},
	{"/proc/self/ns/uts", CLONE_NEWUTS, offsetof(struct vmm_jail_level, uts_ns)},
	{"/proc/self/ns/cgroup", CLONE_NEWCGROUP, offsetof(struct vmm_jail_level, cgroup_ns)},
};

#define SPACES (sizeof(spaces) / sizeof(spaces[0]))

static bool *member(struct vmm_jail_level *level, size_t i)
{
	return (bool *)((char *)level + spaces[i].member);
}

static void look(struct vmm_jail_level *level)
{
	unsigned outside = geteuid();
	struct stat user;

	level->pid_ns = getpid() == 1;
	level->user_ns = one_id(&outside) && level->pid_ns;
	level->uid_changed = outside != 0;
	if (!level->user_ns || stat("/proc/self/ns/user", &user) != 0) {
		return;
	}
	for (size_t i = 0; i < SPACES; i++) {
		*member(level, i) = belongs_to(spaces[i].path, &user);
	}
}

/* One by one: a kernel may lack a kind, or a limit forbid it. */
static void unshare_each(struct vmm_jail_level *level)
{
	for (size_t i = 0; i < SPACES; i++) {
		if (!*member(level, i)) {
			*member(level, i) = unshare(spaces[i].flag) == 0;
		}
	}
}

void vmm_jail_namespaces(struct vmm_jail_level *level)
{
	unsigned uid = geteuid();
	unsigned gid = getegid();

	look(level);
	if (!level->user_ns && unshare(CLONE_NEWUSER) == 0) {
		level->user_ns = vmm_jail_map_ids(uid, gid) == 0;
	}
	unshare_each(level);
	/* Of this user namespace's limits: none may be made below it, which would have all rights.
	 */
	if (level->user_ns) {
		(void)write_file("/proc/sys/user/max_user_namespaces", "0");
	}
}
