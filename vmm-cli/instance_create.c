/* SPDX-License-Identifier: MIT */
/*
 * How a VMM comes to be: its runtime directory, its watcher, its process, its network, and the VM
 * in it.
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

#include <jansson.h>

#include "api/client.h"
#include "config/config.h"
#include "instance_private.h"

#define READY_WAIT_MS 30000
#define LOCK_STEP_MS  20

int instance_lock(const struct instance_roots *roots, const char *name, int timeout_ms,
		  struct vmm_error *err)
{
	struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
	struct stat held;
	struct stat named;
	char path[PATH_MAX];
	int fd;
	int ret = instance_path(roots, name, "lock", path, err);

	if (ret < 0) {
		return ret;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return vmm_error_wrap(err, -errno, "'%s'", path);
	}
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (timeout_ms <= 0) {
			(void)close(fd);
			return vmm_error_set(err, -EEXIST, "VM '%s' has a VMM already", name);
		}
		timeout_ms -= LOCK_STEP_MS;
		(void)nanosleep(&step, NULL);
	}
	if (fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino) {
		return fd;
	}
	/* The holder before has unlinked it: what is locked here is no longer the instance's lock.
	 */
	(void)close(fd);
	return instance_lock(roots, name, timeout_ms, err);
}

/* ---- what a VMM leaves ---- */

static void remove_file(const struct instance_roots *roots, const char *name, const char *file)
{
	char path[PATH_MAX];

	if (instance_path(roots, name, file, path, NULL) == 0) {
		(void)unlink(path);
	}
}

static void remove_network(pid_t pid)
{
	struct network_names names;

	network_names(pid, &names);
	/* The client's tap went with the VMM; the router's may be held by a provider that runs. */
	(void)network_interface_delete(names.router_tap, NULL);
	(void)network_interface_delete(names.client_tap, NULL);
	(void)network_bridge_delete(names.bridge, NULL);
}

void instance_clean_up(const struct instance_roots *roots, const char *name, bool logs)
{
	static const char *const files[] = {"vmm", "vmm.lock", "config", "pid", "lock"};
	static const char *const log_files[] = {"log", "serial.log", "serial.log.1"};
	pid_t pid = instance_pid(roots, name);
	char path[PATH_MAX];

	if (pid > 0) {
		remove_network(pid);
	}
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
	(void)rmdir(roots->run);
}

/* ---- processes ---- */

static void redirect(const char *path, int flags, int target)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0) {
		(void)dup2(fd, target);
		(void)close(fd);
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
	if (dprintf(fd, "%d\n", (int)pid) < 0) {
		ret = -EIO;
	}
	(void)close(fd);
	return ret;
}

static void exec_vmm(const struct instance_roots *roots, const char *name, int ready_fd)
{
	char socket_option[PATH_MAX + 8];
	char ready_option[16];
	char log[PATH_MAX];
	char socket[PATH_MAX];
	sigset_t none;

	if (write_pid(roots, name, getpid()) < 0 ||
	    instance_path(roots, name, "vmm", socket, NULL) < 0 ||
	    instance_path(roots, name, "log", log, NULL) < 0) {
		_exit(EXIT_FAILURE);
	}
	(void)snprintf(socket_option, sizeof(socket_option), "path=%s", socket);
	(void)snprintf(ready_option, sizeof(ready_option), "%d", ready_fd);
	redirect("/dev/null", O_RDONLY, STDIN_FILENO);
	redirect(log, O_WRONLY | O_CREAT | O_APPEND, STDOUT_FILENO);
	redirect(log, O_WRONLY | O_CREAT | O_APPEND, STDERR_FILENO);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)fcntl(ready_fd, F_SETFD, 0);
	(void)execl("/proc/self/exe", "vmm-cli", "vmm", "--api-socket", socket_option, "--ready-fd",
		    ready_option, "--no-shutdown", (char *)NULL);
	_exit(EXIT_FAILURE);
}

/* The watcher: waits for the VMM to end, hands on a request to end, takes away what is left. */
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
	instance_clean_up(roots, name, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Closes what the caller of this program left open, which must not live as long as the VM does. */
static void close_all_but(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b);
	unsigned high = (unsigned)(a < b ? b : a);

	(void)syscall(SYS_close_range, 3u, low - 1, 0u);
	(void)syscall(SYS_close_range, low + 1, high - 1, 0u);
	(void)syscall(SYS_close_range, high + 1, ~0u, 0u);
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
	pid = fork();
	if (pid == 0) {
		exec_vmm(roots, name, ready_fd);
	}
	(void)close(ready_fd);
	redirect("/dev/null", O_RDWR, STDIN_FILENO);
	redirect("/dev/null", O_RDWR, STDOUT_FILENO);
	redirect("/dev/null", O_RDWR, STDERR_FILENO);
	if (pid > 0) {
		watch(roots, name, pid, &signals);
	}
	_exit(EXIT_SUCCESS);
}

/* A newline comes when the VMM listens; end of file when it died before. */
static int wait_ready(const struct instance_roots *roots, const char *name, int fd,
		      struct vmm_error *err)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char log[PATH_MAX];
	char byte;

	if (poll(&pfd, 1, READY_WAIT_MS) == 1 && read(fd, &byte, 1) == 1) {
		return 0;
	}
	(void)instance_path(roots, name, "log", log, NULL);
	return vmm_error_set(err, -EIO, "VM '%s': its VMM did not start; it may say why in '%s'",
			     name, log);
}

static int launch(const struct instance_roots *roots, const char *name, int lock,
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

/* ---- the VM in it ---- */

static int create_vm(const struct instance_roots *roots, const char *name, const char *socket,
		     struct vmm_error *err)
{
	char directory[PATH_MAX + NAME_MAX];
	char serial_log[PATH_MAX];
	struct vm_config config;
	json_t *json;
	int ret = instance_path(roots, name, "serial.log", serial_log, err);

	if (ret < 0) {
		return ret;
	}
	(void)snprintf(directory, sizeof(directory), "%s/%s", roots->vms, name);
	vm_config_init(&config);
	ret = vm_config_from_directory(&config, directory, serial_log, err);
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "VM '%s'", name);
	}
	json = vm_config_to_json(&config);
	vm_config_finish(&config);
	if (!json) {
		return vmm_error_set(err, -ENOMEM, "VM '%s': out of memory", name);
	}
	ret = api_call(socket, "PUT", "vm.create", json, NULL, 0, NULL, err);
	json_decref(json);
	return ret < 0 ? vmm_error_wrap(err, ret, "VM '%s'", name) : 0;
}

int instance_give_tap(const char *socket, const char *bridge, const char *tap, const char *mac,
		      struct vmm_error *err)
{
	json_t *body = json_pack("{s:s, s:s}", "id", tap, "mac", mac);
	int fd;
	int ret;

	if (!body) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	fd = network_tap_on_bridge(bridge, tap, err);
	ret = fd < 0 ? fd : api_call(socket, "PUT", "vm.add-net", body, &fd, 1, NULL, err);
	if (fd >= 0) {
		(void)close(fd);
	}
	json_decref(body);
	return ret;
}

static int connect_network(const struct instance_roots *roots, const char *name, const char *socket,
			   struct vmm_error *err)
{
	char provider_socket[PATH_MAX];
	char provider[NAME_MAX + 1];
	struct network_names names;
	int ret = instance_provider(roots, name, provider);

	if (ret < 0 || provider[0] == '\0') {
		return ret;
	}
	ret = instance_path(roots, provider, "vmm", provider_socket, err);
	if (ret < 0) {
		return ret;
	}
	if (instance_state(roots, provider) != INSTANCE_OFF) {
		return vmm_error_set(
			err, -EBUSY,
			"VM '%s' gets its network from '%s', which runs and cannot take "
			"another interface until it is stopped (vmm-cli stop %s)",
			name, provider, provider);
	}
	network_names(instance_pid(roots, name), &names);
	ret = network_bridge_add(names.bridge, err);
	if (ret == 0) {
		ret = instance_give_tap(socket, names.bridge, names.client_tap, names.client_mac,
					err);
	}
	if (ret == 0) {
		ret = instance_give_tap(provider_socket, names.bridge, names.router_tap,
					names.router_mac, err);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "network of VM '%s'", name) : 0;
}

static int make_directory(const char *path, struct vmm_error *err)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		return vmm_error_wrap(err, -errno, "'%s'", path);
	}
	return 0;
}

/* The runtime directory with the lock in it, freed of what an earlier VMM may have left. */
static int prepare_directory(const struct instance_roots *roots, const char *name,
			     struct vmm_error *err)
{
	char vm_directory[PATH_MAX + NAME_MAX];
	char path[PATH_MAX];
	int lock;
	int ret = instance_path(roots, name, "", path, err);

	if (ret < 0 || (ret = make_directory(roots->run, err)) < 0 ||
	    (ret = make_directory(path, err)) < 0) {
		return ret;
	}
	lock = instance_lock(roots, name, 0, err);
	if (lock < 0) {
		return lock;
	}
	if (instance_pid(roots, name) > 0) {
		remove_network(instance_pid(roots, name));
	}
	remove_file(roots, name, "pid");
	remove_file(roots, name, "config");
	(void)snprintf(vm_directory, sizeof(vm_directory), "%s/%s", roots->vms, name);
	if (instance_path(roots, name, "config", path, NULL) == 0) {
		(void)symlink(vm_directory, path);
	}
	return lock;
}

int instance_create(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	char directory[PATH_MAX + NAME_MAX];
	char socket[PATH_MAX];
	int lock;
	int ret = vm_name_check(name, err);

	if (ret < 0) {
		return ret;
	}
	(void)snprintf(directory, sizeof(directory), "%s/%s", roots->vms, name);
	if (access(directory, F_OK) != 0) {
		return vmm_error_wrap(err, -errno, "no VM '%s': '%s'", name, directory);
	}
	ret = instance_path(roots, name, "vmm", socket, err);
	if (ret < 0) {
		return ret;
	}
	lock = prepare_directory(roots, name, err);
	if (lock < 0) {
		return lock;
	}
	ret = launch(roots, name, lock, err);
	/* From here on the watcher alone holds the lock. */
	(void)close(lock);
	if (ret == 0) {
		ret = create_vm(roots, name, socket, err);
	}
	if (ret == 0) {
		ret = connect_network(roots, name, socket, err);
	}
	if (ret == 0) {
		ret = instance_join_bridges(roots, name, socket, err);
	}
	if (ret < 0) {
		(void)instance_end(roots, name, NULL);
	}
	return ret;
}
