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
#include <vmm/process.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"
#include "uapi.h"

#define FD_NUMBER_MAX 1023
#define STDIO_FDS     3
/* Those of the caller, /dev/null three times, the program and the pipe. */
#define PLACES_MAX (VMM_PROCESS_FDS_MAX + STDIO_FDS)

/* Where a start can fail. */
enum step {
	STEP_START,
	STEP_FDS,
	STEP_USER,
	STEP_CLONE,
	STEP_IDS,
	STEP_CAPS,
	STEP_PARENT,
	STEP_EXEC,
};

static const char *const step_words[] = {
	[STEP_START] = "cannot be started",     [STEP_FDS] = "descriptors cannot be put in place",
	[STEP_USER] = "cannot become the user", [STEP_CLONE] = "cannot make its namespaces",
	[STEP_IDS] = "cannot map its user",     [STEP_CAPS] = "cannot keep capabilities",
	[STEP_PARENT] = "nobody waits for it",  [STEP_EXEC] = "cannot be executed",
};

/* What comes through the pipe: the new process's id, or a failure. */
struct report {
	pid_t pid; /* 0: failure */
	enum step step;
	int error;
};

struct launch {
	const struct vmm_process_config *config;
	struct vmm_process_fd places[PLACES_MAX];
	size_t place_count;
	int top;     /* above all numbers of places */
	int program; /* descriptor */
	int pipe;    /* the writing end */
	bool root;
	uint64_t spaces;
	sigset_t unblocked;
};

#define OTHER_SPACES \
	((uint64_t)(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP))

/*
 * From the best to none. The second is for root where user namespaces are refused: the process id
 * namespace is the one that a process cannot make for itself, vmm_jail_enter makes the others.
 */
static const uint64_t rungs[] = {
	(uint64_t)CLONE_NEWUSER | CLONE_NEWPID | OTHER_SPACES,
	(uint64_t)CLONE_NEWPID,
	0,
};

#define RUNGS (sizeof(rungs) / sizeof(rungs[0]))

/* ---- in the launcher and in the new process ---- */

_Noreturn static void fail(const struct launch *l, enum step step)
{
	struct report r = {.pid = 0, .step = step, .error = errno};

	(void)!write(l->pipe, &r, sizeof(r));
	_exit(1);
}

/* Above all places, so that putting one in place cannot overwrite another. */
static int out_of_the_way(const struct launch *l, int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, l->top);

	if (moved < 0) {
		fail(l, STEP_FDS);
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
		fail(l, STEP_FDS);
	}
	for (size_t i = 0; i < l->place_count; i++) {
		if (dup2(l->places[i].from, l->places[i].to) < 0) {
			fail(l, STEP_FDS);
		}
	}
}

/*
 * Effective capabilities go with the user id, permitted ones are kept for rungs without a user
 * namespace. Dumpable, or files of /proc/self would belong to root.
 */
static void become_user(const struct launch *l)
{
	uid_t uid = l->config->uid;
	gid_t gid = l->config->gid;

	if (setgroups(0, NULL) != 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
	    setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0 ||
	    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) {
		fail(l, STEP_USER);
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
		fail(l, STEP_CAPS);
	}
	for (size_t i = 0; i < KEPT_CAPS; i++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept_caps[i], 0, 0) != 0) {
			fail(l, STEP_CAPS);
		}
	}
}

/* The pipe's other end is the caller's: it has gone when it went before PDEATHSIG was set. */
static bool caller_is_there(const struct launch *l)
{
	struct pollfd p = {.fd = l->pipe};

	return poll(&p, 1, 0) == 0;
}

static void default_signals(const struct launch *l)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	/* Some cannot be set, and are as they should be. */
	for (int signo = 1; signo <= SIGRTMAX; signo++) {
		(void)sigaction(signo, &action, NULL);
	}
	(void)sigprocmask(SIG_SETMASK, &l->unblocked, NULL);
}

_Noreturn static void new_process(const struct launch *l, unsigned uid, unsigned gid)
{
	static char *const no_environment[] = {NULL};
	const struct vmm_process_config *config = l->config;
	int ret;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || !caller_is_there(l)) {
		fail(l, STEP_PARENT);
	}
	if (l->spaces & CLONE_NEWUSER) {
		ret = vmm_jail_map_ids(uid, gid);
		if (ret < 0) {
			errno = -ret;
			fail(l, STEP_IDS);
		}
	}
	(void)setsid();
	if (chdir("/") != 0) {
		fail(l, STEP_EXEC);
	}
	default_signals(l);
	(void)syscall(SYS_execveat, l->program, "", config->argv,
		      config->envp ? config->envp : no_environment, AT_EMPTY_PATH);
	fail(l, STEP_EXEC);
}

_Noreturn static void launcher(struct launch *l, int reading_end)
{
	struct jail_clone_args args = {.flags = l->spaces | CLONE_PARENT};
	struct report r = {.pid = 0};
	unsigned uid;
	unsigned gid;

	(void)close(reading_end);
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
		fail(l, STEP_CLONE);
	}
	if (r.pid == 0) {
		new_process(l, uid, gid);
	}
	(void)!write(l->pipe, &r, sizeof(r));
	_exit(0);
}

/* ---- in the caller ---- */

/* Until every copy of the writing end is closed. The last failure counts, and the id. */
static void read_reports(int fd, pid_t *pid, struct report *failure)
{
	struct report r;
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

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

/* One rung. 0, or -errno with *failure saying where. */
static int attempt(struct launch *l, pid_t *out, struct report *failure)
{
	struct launch copy = *l;
	pid_t pid = 0;
	pid_t child;
	int ends[2];

	*failure = (struct report){.step = STEP_START};
	if (pipe2(ends, O_CLOEXEC) != 0) {
		return -errno;
	}
	copy.pipe = ends[1];
	child = fork();
	if (child == 0) {
		launcher(&copy, ends[0]);
	}
	failure->error = child < 0 ? errno : 0;
	(void)close(ends[1]);
	if (child > 0) {
		read_reports(ends[0], &pid, failure);
		reap(child);
	}
	(void)close(ends[0]);
	if (failure->error == 0 && pid > 0) {
		*out = pid;
		return 0;
	}
	if (pid > 0) {
		reap(pid);
	}
	/* Neither an id nor a word: the launcher was killed. */
	return failure->error ? -failure->error : -ECHILD;
}

/* Refused for good, that is: what is short for a moment is no reason to do with less. */
static bool next_rung_may_help(const struct report *failure)
{
	bool refusal = failure->step == STEP_CLONE || failure->step == STEP_IDS ||
		       failure->step == STEP_CAPS;

	return refusal && failure->error != EAGAIN && failure->error != ENOMEM &&
	       failure->error != EMFILE;
}

static int climb_down(struct launch *l, pid_t *pid, struct vmm_error *err)
{
	struct report failure = {.step = STEP_START};
	int ret = 0;

	for (size_t i = l->config->no_namespaces ? RUNGS - 1 : 0; i < RUNGS; i++) {
		l->spaces = rungs[i];
		ret = attempt(l, pid, &failure);
		if (ret == 0 || !next_rung_may_help(&failure)) {
			break;
		}
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "%s: %s", l->config->program,
				      step_words[failure.step]);
	}
	return 0;
}

/* Nothing of this process's may run in its copies, a handler for instance. */
static int with_signals_blocked(struct launch *l, pid_t *pid, struct vmm_error *err)
{
	sigset_t all;
	sigset_t before;
	int ret;

	(void)sigfillset(&all);
	(void)sigemptyset(&l->unblocked);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = climb_down(l, pid, err);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

static bool is_place(const struct launch *l, int to)
{
	for (size_t i = 0; i < l->place_count; i++) {
		if (l->places[i].to == to) {
			return true;
		}
	}
	return false;
}

static int add_place(struct launch *l, int from, int to)
{
	if (to < 0 || to > FD_NUMBER_MAX || is_place(l, to)) {
		return -EINVAL;
	}
	l->places[l->place_count++] = (struct vmm_process_fd){from, to};
	if (to >= l->top) {
		l->top = to + 1;
	}
	return 0;
}

static int plan_places(struct launch *l, int null, struct vmm_error *err)
{
	const struct vmm_process_config *config = l->config;
	int ret;

	l->top = STDIO_FDS;
	for (size_t i = 0; i < config->fd_count; i++) {
		const struct vmm_process_fd *fd = &config->fds[i];

		if (fcntl(fd->from, F_GETFD) < 0) {
			return vmm_error_set(err, -EBADF, "%s: descriptor %d is not open",
					     config->program, fd->from);
		}
		ret = add_place(l, fd->from, fd->to);
		if (ret < 0) {
			return vmm_error_set(err, ret, "%s: descriptor number %d is bad or twice",
					     config->program, fd->to);
		}
	}
	for (int to = 0; to < STDIO_FDS; to++) {
		if (!is_place(l, to)) {
			(void)add_place(l, null, to);
		}
	}
	return 0;
}

static int check(const struct vmm_process_config *config, struct vmm_error *err)
{
	if (!config->program || !config->argv || !config->argv[0]) {
		return vmm_error_set(err, -EINVAL, "no program to start");
	}
	if (config->fd_count > VMM_PROCESS_FDS_MAX) {
		return vmm_error_set(err, -EINVAL, "%s: more than %d descriptors", config->program,
				     VMM_PROCESS_FDS_MAX);
	}
	if (geteuid() == 0 && config->uid == 0) {
		return vmm_error_set(err, -EINVAL, "%s: not as root", config->program);
	}
	return 0;
}

static int open_pidfd(struct vmm_process *out, pid_t pid, const char *program,
		      struct vmm_error *err)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int ret = -errno;

	if (fd < 0) {
		(void)kill(pid, SIGKILL);
		reap(pid);
		return vmm_error_wrap(err, ret, "%s: no pidfd", program);
	}
	*out = (struct vmm_process){.pid = pid, .pidfd = fd};
	return 0;
}

static int spawn(struct launch *l, int null, struct vmm_process *out, struct vmm_error *err)
{
	pid_t pid = 0;
	int ret = plan_places(l, null, err);

	if (ret < 0) {
		return ret;
	}
	l->program = open(l->config->program, O_PATH | O_CLOEXEC);
	if (l->program < 0) {
		return vmm_error_wrap(err, -errno, "%s", l->config->program);
	}
	ret = with_signals_blocked(l, &pid, err);
	(void)close(l->program);
	return ret < 0 ? ret : open_pidfd(out, pid, l->config->program, err);
}

int vmm_process_spawn(struct vmm_process *out, const struct vmm_process_config *config,
		      struct vmm_error *err)
{
	struct launch l = {.config = config, .root = geteuid() == 0};
	int ret = check(config, err);
	int null;

	*out = (struct vmm_process){.pid = 0};
	if (ret < 0) {
		return ret;
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0) {
		return vmm_error_wrap(err, -errno, "/dev/null");
	}
	ret = spawn(&l, null, out, err);
	(void)close(null);
	return ret;
}

/* ---- afterwards ---- */

int vmm_process_wait(struct vmm_process *p, int timeout_ms, int *status)
{
	struct pollfd ended = {.fd = p->pidfd, .events = POLLIN};
	int ready;

	if (p->pid <= 0) {
		return -ECHILD;
	}
	ready = poll(&ended, 1, timeout_ms);
	if (ready <= 0) {
		return ready < 0 ? -errno : 0;
	}
	if (waitpid(p->pid, status, 0) < 0) {
		return -errno;
	}
	(void)close(p->pidfd);
	*p = (struct vmm_process){.pid = 0};
	return 1;
}

void vmm_process_kill(struct vmm_process *p)
{
	if (!p || p->pid <= 0) {
		return;
	}
	(void)syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	reap(p->pid);
	(void)close(p->pidfd);
	*p = (struct vmm_process){.pid = 0};
}
