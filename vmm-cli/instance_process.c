/* SPDX-License-Identifier: MIT */
/*
 * The processes of an instance: the VMM, and the watcher that is its parent and cleans up behind
 * it. And its runtime directory, whose lock the watcher holds as long as it lives.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "instance_private.h"

#define READY_WAIT_MS 30000
#define LOCK_STEP_MS  10
#define ROOT_TRIES    8
#define LAST_WORDS    300 /* bytes of a log that fit into an error */

static bool is_same_file(int fd, const char *path)
{
	struct stat held;
	struct stat named;

	return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev &&
	       held.st_ino == named.st_ino;
}

/* ---- the lock of all instances ---- */

/* Somebody else could put a socket, a log or a pid of his own there. */
static int check_owner(int fd, const char *path, struct vmm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return vmm_error_wrap(err, -errno, "runtime directory '%s'", path);
	}
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
		return vmm_error_set(err, -EPERM,
				     "runtime directory '%s': it belongs to somebody else, or "
				     "others may write to it",
				     path);
	}
	return 0;
}

static int open_roots(const struct instance_roots *roots, bool create, struct vmm_error *err)
{
	int fd;
	int ret;

	if (create && mkdir(roots->run, 0700) != 0 && errno != EEXIST) {
		return vmm_error_wrap(err, -errno, "runtime directory '%s'", roots->run);
	}
	fd = open(roots->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return vmm_error_wrap(err, -errno, "runtime directory '%s'", roots->run);
	}
	ret = check_owner(fd, roots->run, err);
	if (ret < 0) {
		(void)close(fd);
		return ret;
	}
	return fd;
}

int instance_roots_lock(const struct instance_roots *roots, bool create, struct vmm_error *err)
{
	for (int tries = ROOT_TRIES;; tries--) {
		int fd = open_roots(roots, create, tries > 1 ? NULL : err);

		/* It may be taken away between mkdir and open, or its parent be missing. */
		if (fd < 0 && tries > 1) {
			continue;
		}
		if (fd < 0) {
			return fd;
		}
		while (flock(fd, LOCK_EX) != 0) {
			if (errno != EINTR) {
				int ret = vmm_error_wrap(err, -errno, "runtime directory '%s'",
							 roots->run);

				(void)close(fd);
				return ret;
			}
		}
		/* Its last user takes it away; then what is locked is no longer RUN. */
		if (is_same_file(fd, roots->run)) {
			return fd;
		}
		(void)close(fd);
	}
}

void instance_roots_unlock(const struct instance_roots *roots, int lock)
{
	if (lock >= 0) {
		(void)rmdir(roots->run);
		(void)close(lock);
	}
}

/* The watcher's: if somebody else has the lock, that one will do it. */
static void remove_root_if_unused(const struct instance_roots *roots)
{
	int fd = open(roots->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_same_file(fd, roots->run)) {
		(void)rmdir(roots->run);
	}
	if (fd >= 0) {
		(void)close(fd);
	}
}

/* ---- the lock of one ---- */

int instance_lock(const struct instance_roots *roots, const char *name, int timeout_ms,
		  struct vmm_error *err)
{
	struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
	char path[PATH_MAX];
	int ret = instance_path(roots, name, "lock", path, err);

	if (ret < 0) {
		return ret;
	}
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0) {
			return vmm_error_wrap(err, -errno, "'%s'", path);
		}
		/* The holder before may have unlinked it: then it is not the lock any more. */
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_same_file(fd, path)) {
			return fd;
		}
		(void)close(fd);
		if (timeout_ms <= 0) {
			return vmm_error_set(err, -EEXIST, "VM '%s' has a VMM already", name);
		}
		timeout_ms -= LOCK_STEP_MS;
		(void)nanosleep(&step, NULL);
	}
}

/* ---- what a VMM leaves ---- */

static void remove_file(const struct instance_roots *roots, const char *name, const char *file)
{
	char path[PATH_MAX];

	if (instance_path(roots, name, file, path, NULL) == 0) {
		(void)unlink(path);
	}
}

/* Only what the VMM's maker has claimed: a bridge of that name may be somebody else's. */
static void remove_network(const struct instance_roots *roots, const char *name)
{
	struct network_names names;
	char path[PATH_MAX];
	pid_t pid = instance_pid(roots, name);

	if (pid <= 0 || instance_path(roots, name, "network", path, NULL) < 0 ||
	    access(path, F_OK) != 0) {
		return;
	}
	network_names(pid, &names);
	/* The client's tap went with the VMM; the router's may be held by a provider that runs. */
	(void)network_interface_delete(names.router_tap, NULL);
	(void)network_interface_delete(names.client_tap, NULL);
	(void)network_bridge_delete(names.bridge, NULL);
}

void instance_clean_up(const struct instance_roots *roots, const char *name, bool logs)
{
	static const char *const files[] = {"config", "vmm", "vmm.lock", "network", "pid", "lock"};
	static const char *const log_files[] = {"log", "serial.log", "serial.log.1"};
	char path[PATH_MAX];

	remove_network(roots, name);
	for (size_t i = 0; logs && i < sizeof(log_files) / sizeof(log_files[0]); i++) {
		remove_file(roots, name, log_files[i]);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		remove_file(roots, name, files[i]);
	}
	/* Fails while logs are kept, as it should. */
	if (instance_path(roots, name, "", path, NULL) == 0) {
		(void)rmdir(path);
	}
}

/* ---- the VMM ---- */

static void redirect(const char *path, int flags, int target)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0) {
		(void)dup2(fd, target);
		(void)close(fd);
	}
}

/* Nothing of the caller's: whoever reads its output to the end must not wait for the VM. */
static void redirect_to_null(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		redirect("/dev/null", O_RDWR, fd);
	}
}

static int write_pid(const struct instance_roots *roots, const char *name, pid_t pid)
{
	char path[PATH_MAX];
	int fd;
	int ret = instance_path(roots, name, "pid", path, NULL);

	if (ret < 0) {
		return ret;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return -errno;
	}
	errno = 0;
	if (dprintf(fd, "%d\n", (int)pid) < 0) {
		ret = errno != 0 ? -errno : -EIO;
	}
	(void)close(fd);
	return ret;
}

/* Before it is a VMM it cannot say why it ends but by number, and never by that of a newline. */
static void give_up(int ready_fd, int error)
{
	char byte = (char)(error == -'\n' ? EIO : -error);

	(void)!write(ready_fd, &byte, 1);
	_exit(EXIT_FAILURE);
}

static void exec_vmm(const struct instance_roots *roots, const char *name, int ready_fd)
{
	char socket_option[PATH_MAX + 8];
	char ready_option[16];
	char log[PATH_MAX];
	char socket[PATH_MAX];
	sigset_t none;
	int ret;

	ret = write_pid(roots, name, getpid());
	if (ret < 0) {
		give_up(ready_fd, ret);
	}
	(void)instance_path(roots, name, "vmm", socket, NULL);
	(void)instance_path(roots, name, "log", log, NULL);
	(void)snprintf(socket_option, sizeof(socket_option), "path=%s", socket);
	(void)snprintf(ready_option, sizeof(ready_option), "%d", ready_fd);
	redirect_to_null();
	redirect(log, O_WRONLY | O_CREAT | O_APPEND, STDOUT_FILENO);
	redirect(log, O_WRONLY | O_CREAT | O_APPEND, STDERR_FILENO);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)fcntl(ready_fd, F_SETFD, 0);
	(void)execl("/proc/self/exe", "vmm-cli", "vmm", "--api-socket", socket_option, "--ready-fd",
		    ready_option, "--no-shutdown", (char *)NULL);
	give_up(ready_fd, -errno);
}

/* ---- the watcher ---- */

/* A VMM that failed leaves its logs, one that was asked to go or was killed nothing. */
static bool is_failure(int status)
{
	if (WIFSIGNALED(status)) {
		return WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM;
	}
	return WEXITSTATUS(status) != 0;
}

/* Waits for the VMM to end, hands on a request to end, takes away what is left. */
static void watch(const struct instance_roots *roots, const char *name, pid_t pid,
		  const sigset_t *signals)
{
	int status = 0;
	int signo;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		signo = sigwaitinfo(signals, NULL);
		if (signo == SIGTERM || signo == SIGINT) {
			(void)kill(pid, SIGTERM);
		}
	}
	instance_clean_up(roots, name, !is_failure(status));
	remove_root_if_unused(roots);
}

static void close_range_of(unsigned first, unsigned last)
{
	if (first <= last) {
		(void)syscall(SYS_close_range, first, last, 0u);
	}
}

/* Closes what the caller of this program left open, which must not live as long as the VM does. */
static void close_all_but(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b);
	unsigned high = (unsigned)(a < b ? b : a);

	close_range_of(3, low - 1);
	close_range_of(low + 1, high - 1);
	close_range_of(high + 1, ~0u);
}

/*
 * Never returns. This process holds the lock as long as it lives: it shares the starter's open
 * file description.
 */
static void run_watcher(const struct instance_roots *roots, const char *name, int lock,
			int ready_fd)
{
	sigset_t signals;
	pid_t pid;

	close_all_but(lock, ready_fd);
	(void)setsid();
	(void)chdir("/");
	(void)prctl(PR_SET_NAME, "vmm-watch");
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGCHLD);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGHUP, SIG_IGN);
	/* The caller may have had it ignored, and then nobody would be told that the VMM ended. */
	(void)signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (pid == 0) {
		exec_vmm(roots, name, ready_fd);
	}
	(void)close(ready_fd);
	redirect_to_null();
	if (pid > 0) {
		watch(roots, name, pid, &signals);
	}
	_exit(EXIT_SUCCESS);
}

/* ---- starting them ---- */

/* The last line of the log, without the name of the program that every line begins with. */
static void last_words(const struct instance_roots *roots, const char *name,
		       char out[LAST_WORDS + 1])
{
	char path[PATH_MAX];
	char *line;
	ssize_t got;
	int fd;

	out[0] = '\0';
	if (instance_path(roots, name, "log", path, NULL) < 0) {
		return;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		return;
	}
	(void)lseek(fd, -LAST_WORDS, SEEK_END); /* a shorter file is read from its beginning */
	got = read(fd, out, LAST_WORDS);
	(void)close(fd);
	while (got > 0 && out[got - 1] == '\n') {
		got--;
	}
	out[got > 0 ? got : 0] = '\0';
	line = strrchr(out, '\n');
	line = line ? line + 1 : out;
	line += strncmp(line, "vmm-cli vmm: ", 13) == 0 ? 13 : 0;
	memmove(out, line, strlen(line) + 1);
}

/* A newline comes when the VMM listens, an errno when it never was one, end of file when it died
 * before. */
static int wait_ready(const struct instance_roots *roots, const char *name, int fd,
		      struct vmm_error *err)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char words[LAST_WORDS + 1];
	char byte;
	int ready;

	do {
		ready = poll(&pfd, 1, READY_WAIT_MS);
	} while (ready < 0 && errno == EINTR);
	if (ready == 1 && read(fd, &byte, 1) == 1) {
		return byte == '\n' ? 0
				    : vmm_error_wrap(err, -(int)(unsigned char)byte,
						     "VM '%s': runtime directory '%s'", name,
						     roots->run);
	}
	if (ready == 0) {
		return vmm_error_set(err, -ETIMEDOUT, "VM '%s': its VMM is not ready after %d s",
				     name, READY_WAIT_MS / 1000);
	}
	last_words(roots, name, words);
	return vmm_error_set(err, -EIO, "VM '%s': its VMM did not start%s%s", name,
			     words[0] ? ": " : "", words);
}

int instance_launch(const struct instance_roots *roots, const char *name, int lock,
		    struct vmm_error *err)
{
	int fds[2];
	pid_t pid;
	int ret;

	if (pipe2(fds, O_CLOEXEC) != 0) {
		return vmm_error_wrap(err, -errno, "VM '%s'", name);
	}
	pid = fork();
	if (pid == 0) {
		(void)close(fds[0]);
		run_watcher(roots, name, lock, fds[1]);
	}
	(void)close(fds[1]);
	ret = pid < 0 ? vmm_error_wrap(err, -errno, "VM '%s'", name)
		      : wait_ready(roots, name, fds[0], err);
	(void)close(fds[0]);
	return ret;
}
