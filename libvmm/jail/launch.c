/* SPDX-License-Identifier: MIT */
/*
 * Starting a process that is to be jailed. Three processes are at work:
 *
 *	the caller	forks the launcher, and reads from a pipe how it went
 *	the launcher	puts descriptors in place, becomes the new user, clones the new process
 *			into its namespaces as a sibling of itself (CLONE_PARENT), says its
 *			id, and ends
 *	the new process	maps its one id, asks to die with the caller, executes the program
 *
 * The launcher is there because the user namespace must belong to the new user, not to root, and
 * because the caller must not change itself. Between fork and exec only calls that are safe in a
 * copy of a process with threads are made. The pipe closes itself at exec: its end without a word
 * of failure is success.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"
#include "uapi.h"

/* ---- in the launcher and in the new process ---- */

_Noreturn static void fail(const struct launch *l, enum launch_step step)
{
	struct launch_report r = {.pid = 0, .step = step, .error = errno};

	(void)!write(l->pipe, &r, sizeof(r));
	_exit(1);
}

/*
 * Above all places, so that putting one in place cannot overwrite another. What is to be closed at
 * exec is said of all of them at once, later.
 */
static int out_of_the_way(const struct launch *l, int fd)
{
	int moved = fcntl(fd, F_DUPFD, l->top);

	if (moved < 0) {
		fail(l, LAUNCH_FDS);
	}
	return moved;
}

static void place_fds(struct launch *l)
{
	l->pipe = out_of_the_way(l, l->pipe);
	l->program = out_of_the_way(l, l->program);
	for (size_t i = 0; i < l->place_count; i++) {
		l->places[i].from = out_of_the_way(l, l->places[i].from);
	}
	if (syscall(SYS_close_range, 0, ~0u, CLOSE_RANGE_CLOEXEC) != 0) {
		fail(l, LAUNCH_FDS);
	}
	for (size_t i = 0; i < l->place_count; i++) {
		if (dup2(l->places[i].from, l->places[i].to) < 0) {
			fail(l, LAUNCH_FDS);
		}
	}
}

/*
 * Effective capabilities go with the user id, permitted ones are kept for rungs without a user
 * namespace. Dumpable, or files of /proc/self would belong to root. By the kernel's interface: a C
 * library does it on all threads, and there is one.
 */
static void become_user(const struct launch *l)
{
	uid_t uid = l->config->uid;
	gid_t gid = l->config->gid;

	if (syscall(SYS_setgroups, 0, NULL) != 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
	    syscall(SYS_setresgid, gid, gid, gid) != 0 ||
	    syscall(SYS_setresuid, uid, uid, uid) != 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) {
		fail(l, LAUNCH_USER);
	}
}

/* What vmm_jail_enter needs to make namespaces and mounts, and to empty the bounding set. */
static const unsigned kept_caps[] = {CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_SETPCAP};

#define KEPT_CAPS (sizeof(kept_caps) / sizeof(kept_caps[0]))

/* Of all capabilities those, in every set: only ambient ones outlive exec. */
static void keep_caps(const struct launch *l)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
	uint32_t mask = 0;

	for (size_t i = 0; i < KEPT_CAPS; i++) {
		mask |= UINT32_C(1) << kept_caps[i];
	}
	data[0] = (struct __user_cap_data_struct){mask, mask, mask};
	if (syscall(SYS_capset, &head, data) != 0) {
		fail(l, LAUNCH_CAPS);
	}
	for (size_t i = 0; i < KEPT_CAPS; i++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept_caps[i], 0, 0) != 0) {
			fail(l, LAUNCH_CAPS);
		}
	}
}

/* The pipe's other end is the caller's: it has gone when it went before PDEATHSIG was set. */
static bool caller_is_there(const struct launch *l)
{
	struct pollfd p = {.fd = l->pipe};

	return poll(&p, 1, 0) == 0;
}

/* Handlers go at exec, but what is ignored would stay so. */
static void default_signals(const struct launch *l)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	for (int signo = 1; signo <= SIGRTMAX; signo++) {
		if (l->ignored >> (signo - 1) & 1) {
			(void)sigaction(signo, &action, NULL);
		}
	}
	(void)sigprocmask(SIG_SETMASK, &l->unblocked, NULL);
}

_Noreturn static void new_process(const struct launch *l, unsigned uid, unsigned gid)
{
	static char *const no_environment[] = {NULL};
	const struct vmm_process_config *config = l->config;
	int ret;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || !caller_is_there(l)) {
		fail(l, LAUNCH_PARENT);
	}
	if (l->spaces & CLONE_NEWUSER) {
		ret = vmm_jail_map_ids(uid, gid);
		if (ret < 0) {
			errno = -ret;
			fail(l, LAUNCH_IDS);
		}
	}
	(void)setsid();
	if (chdir("/") != 0) {
		fail(l, LAUNCH_EXEC);
	}
	default_signals(l);
	(void)syscall(SYS_execveat, l->program, "", config->argv,
		      config->envp ? config->envp : no_environment, AT_EMPTY_PATH);
	fail(l, LAUNCH_EXEC);
}

_Noreturn static void launcher(struct launch *l)
{
	struct jail_clone_args args = {.flags = l->spaces | CLONE_PARENT};
	struct launch_report r = {.pid = 0};
	unsigned uid;
	unsigned gid;

	place_fds(l);
	if (l->root) {
		become_user(l);
	}
	if (l->root && !(l->spaces & CLONE_NEWUSER) && !l->config->no_namespaces) {
		keep_caps(l);
	}
	uid = geteuid();
	gid = getegid();
	r.pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (r.pid < 0) {
		fail(l, LAUNCH_CLONE);
	}
	if (r.pid == 0) {
		new_process(l, uid, gid);
	}
	(void)!write(l->pipe, &r, sizeof(r));
	_exit(0);
}

/* ---- in the caller ---- */

/* Until every copy of the writing end is closed. The last failure counts, and the id. */
static void read_reports(int fd, pid_t *pid, struct launch_report *failure)
{
	struct launch_report r;
	ssize_t got;

	for (;;) {
		got = read(fd, &r, sizeof(r));
		if (got == (ssize_t)sizeof(r) && r.pid > 0) {
			*pid = r.pid;
		} else if (got == (ssize_t)sizeof(r)) {
			*failure = r;
		} else if (got >= 0 || errno != EINTR) {
			return;
		}
	}
}

void vmm_launch_reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

int vmm_launch_begin(struct launch *l, const struct launch *others, size_t other_count)
{
	int ends[2];
	int ret;

	l->reading = -1;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		return -errno;
	}
	l->pipe = ends[1];
	l->child = fork();
	if (l->child == 0) {
		/* Whoever reads them tells other new processes that the caller is there. */
		(void)close(ends[0]);
		for (size_t i = 0; i < other_count; i++) {
			(void)close(others[i].reading);
		}
		launcher(l);
	}
	ret = l->child < 0 ? -errno : 0;
	(void)close(ends[1]);
	if (ret < 0) {
		(void)close(ends[0]);
		return ret;
	}
	l->reading = ends[0];
	return 0;
}

int vmm_launch_end(struct launch *l, pid_t *pid, struct launch_report *failure)
{
	pid_t found = 0;

	*failure = (struct launch_report){.step = LAUNCH_START};
	read_reports(l->reading, &found, failure);
	vmm_launch_reap(l->child);
	(void)close(l->reading);
	l->reading = -1;
	if (failure->error == 0 && found > 0) {
		*pid = found;
		return 0;
	}
	if (found > 0) {
		vmm_launch_reap(found);
	}
	/* Neither an id nor a word: the launcher was killed. */
	return failure->error ? -failure->error : -ECHILD;
}
