/* SPDX-License-Identifier: MIT */
/* A VM that exists goes on, goes off, and goes away. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "api/client.h"
#include "instance_private.h"

#define END_WAIT_MS     5000
#define POLL_STEP_MS    20
#define INFO_TIMEOUT_MS 2000

/* ---- on ---- */

/*
 * The interfaces of clients whose VMM has died are still in the configuration, but their taps are
 * gone: the guest could not be booted with them.
 */
static void remove_dead_links(const char *socket)
{
	json_t *info = NULL;
	const json_t *net;
	size_t i;

	if (api_call(socket, "GET", "vm.info", NULL, NULL, 0, &info, NULL) < 0) {
		return;
	}
	json_array_foreach(json_object_get(json_object_get(info, "config"), "net"), i, net)
	{
		const char *id = json_string_value(json_object_get(net, "id"));
		json_t *body;

		if (!id || strncmp(id, "router", 6) != 0 || if_nametoindex(id) != 0) {
			continue;
		}
		body = json_pack("{s:s}", "id", id);
		if (body) {
			(void)api_call(socket, "PUT", "vm.remove-device", body, NULL, 0, NULL,
				       NULL);
			json_decref(body);
		}
	}
	json_decref(info);
}

int instance_boot(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	enum instance_state state = instance_state(roots, name);
	char socket[PATH_MAX];
	int ret = instance_path(roots, name, "vmm", socket, err);

	if (ret < 0 || state == INSTANCE_RUNNING) {
		return ret;
	}
	if (state == INSTANCE_PAUSED) {
		ret = api_call(socket, "PUT", "vm.resume", NULL, NULL, 0, NULL, err);
	} else {
		remove_dead_links(socket);
		ret = api_call(socket, "PUT", "vm.boot", NULL, NULL, 0, NULL, err);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "VM '%s'", name) : 0;
}

/* ---- off ---- */

int instance_press(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	char socket[PATH_MAX];
	int ret = instance_path(roots, name, "vmm", socket, err);

	if (ret == 0 && instance_state(roots, name) != INSTANCE_RUNNING) {
		return vmm_error_set(err, -ESRCH, "VM '%s' does not run", name);
	}
	return ret < 0 ? ret : api_call(socket, "PUT", "vm.power-button", NULL, NULL, 0, NULL, err);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool is_on(enum instance_state state)
{
	return state == INSTANCE_RUNNING || state == INSTANCE_PAUSED || state == INSTANCE_SILENT;
}

int instance_shutdown(const struct instance_roots *roots, const char *name, int grace_ms,
		      struct vmm_error *err)
{
	const struct timespec step = {.tv_nsec = POLL_STEP_MS * 1000000L};
	int64_t end = now_ms() + grace_ms;
	enum instance_state state;
	char socket[PATH_MAX];
	int ret = instance_path(roots, name, "vmm", socket, err);

	if (ret < 0) {
		return ret;
	}
	for (;;) {
		state = instance_state(roots, name);
		if (!is_on(state)) {
			return 0;
		}
		if (state == INSTANCE_SILENT) {
			return vmm_error_set(err, -ETIMEDOUT, "VM '%s': its VMM does not answer",
					     name);
		}
		if (state == INSTANCE_PAUSED || now_ms() >= end) {
			break;
		}
		(void)nanosleep(&step, NULL);
	}
	ret = api_call(socket, "PUT", "vm.shutdown", NULL, NULL, 0, NULL, err);
	/* It may have gone off by itself in the last moment. */
	return ret < 0 && !is_on(instance_state(roots, name)) ? 0 : ret;
}

/* ---- away ---- */

/* Waits until the process has ended; false when the time was up. */
static bool is_gone(int pidfd, int timeout_ms)
{
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};

	return poll(&pfd, 1, timeout_ms) == 1;
}

/*
 * The process that listens on the socket, or -1: the recorded pid alone may be another process's by
 * now, which must not be killed.
 */
static int open_listener(const char *socket_path, pid_t recorded)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred peer = {.pid = 0};
	socklen_t len = sizeof(peer);
	int fd;
	int ret;

	/* A path cut short could be another's socket. */
	if (strlen(socket_path) >= sizeof(addr.sun_path)) {
		return -1;
	}
	memcpy(addr.sun_path, socket_path, strlen(socket_path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -1;
	}
	ret = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : -errno;
	if (ret == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
		peer.pid = 0;
	}
	(void)close(fd);
	if (ret == -EAGAIN) {
		peer.pid = recorded; /* it listens, but takes no calls any more */
	}
	return peer.pid > 0 ? (int)syscall(SYS_pidfd_open, peer.pid, 0) : -1;
}

/* By request, by SIGTERM, by SIGKILL: each with its time. */
static void end_process(const char *socket_path, int pidfd)
{
	struct api_response response = {0};

	if (api_request(socket_path, "PUT", "vmm.shutdown", NULL, NULL, 0, INFO_TIMEOUT_MS,
			&response, NULL) == 0) {
		api_response_finish(&response);
		if (is_gone(pidfd, END_WAIT_MS)) {
			return;
		}
	}
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
	if (!is_gone(pidfd, INFO_TIMEOUT_MS)) {
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		(void)is_gone(pidfd, END_WAIT_MS);
	}
}

/* A provider that is off forgets the interface; one that runs loses it with the tap. */
static void leave_provider(const struct instance_roots *roots, const char *name)
{
	char provider[NAME_MAX + 1];
	struct network_names names;
	char socket[PATH_MAX];
	json_t *body;

	if (instance_provider(roots, name, provider) < 0 || provider[0] == '\0' ||
	    instance_state(roots, provider) != INSTANCE_OFF ||
	    instance_path(roots, provider, "vmm", socket, NULL) < 0) {
		return;
	}
	network_names(instance_pid(roots, name), &names);
	body = json_pack("{s:s}", "id", names.router_tap);
	if (body) {
		(void)api_call(socket, "PUT", "vm.remove-device", body, NULL, 0, NULL, NULL);
		json_decref(body);
	}
}

/*
 * The lock once the watcher has let go of it. A VMM that hangs after it closed its socket is
 * killed: as long as the watcher, its parent, holds the lock, the recorded pid is the VMM's.
 */
static int wait_for_watcher(const struct instance_roots *roots, const char *name,
			    struct vmm_error *err)
{
	pid_t pid = instance_pid(roots, name);
	int lock = instance_lock(roots, name, END_WAIT_MS, NULL);

	if (lock == -EEXIST && pid > 0) {
		(void)kill(pid, SIGKILL);
		lock = instance_lock(roots, name, END_WAIT_MS, NULL);
	}
	if (lock == -EEXIST) {
		return vmm_error_set(err, -ETIMEDOUT,
				     "VM '%s': its VMM (process %d) does not end, even killed",
				     name, (int)pid);
	}
	return lock < 0 && lock != -ENOENT ? vmm_error_wrap(err, lock, "VM '%s'", name) : lock;
}

int instance_end(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	char path[PATH_MAX];
	int pidfd;
	int lock;
	int ret = instance_path(roots, name, "", path, err);

	if (ret < 0 || access(path, F_OK) != 0) {
		return ret;
	}
	leave_provider(roots, name);
	(void)instance_path(roots, name, "vmm", path, NULL);
	pidfd = open_listener(path, instance_pid(roots, name));
	if (pidfd >= 0) {
		end_process(path, pidfd);
		(void)close(pidfd);
	}
	lock = wait_for_watcher(roots, name, err);
	if (lock < 0) {
		return lock == -ENOENT ? 0 : lock;
	}
	/* The watcher has done it, unless it was killed or has kept the logs. */
	instance_clean_up(roots, name, true);
	(void)close(lock);
	return 0;
}

/* ---- all that nothing needs ---- */

struct vm {
	char name[NAME_MAX + 1];
	char provider[NAME_MAX + 1];
	bool needed;
};

struct live {
	const struct instance_roots *roots;
	struct vm *vms;
	size_t count;
};

static int add_live(void *ctx, const char *name)
{
	struct live *live = ctx;
	struct vm *grown = realloc(live->vms, (live->count + 1) * sizeof(*grown));
	struct vm *vm;

	if (!grown) {
		return -ENOMEM;
	}
	live->vms = grown;
	vm = &live->vms[live->count++];
	(void)snprintf(vm->name, sizeof(vm->name), "%s", name);
	(void)instance_provider(live->roots, name, vm->provider);
	vm->needed = is_on(instance_state(live->roots, name));
	return 0;
}

static bool is_connected(const struct vm *a, const struct vm *b)
{
	return strcmp(a->provider, b->name) == 0 || strcmp(b->provider, a->name) == 0;
}

/* Spreads "needed" along the networks until nothing changes. */
static void spread(struct live *live)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (size_t i = 0; i < live->count * live->count; i++) {
			const struct vm *a = &live->vms[i / live->count];
			struct vm *b = &live->vms[i % live->count];

			if (a->needed && !b->needed && is_connected(a, b)) {
				b->needed = true;
				changed = true;
			}
		}
	}
}

static int sweep_vms(const struct live *live, struct vmm_error *err)
{
	int result = 0;

	/* Clients before providers, so that no provider is asked to forget what is gone. */
	for (int clients = 1; clients >= 0; clients--) {
		for (size_t i = 0; i < live->count; i++) {
			const struct vm *vm = &live->vms[i];
			int ret = 0;

			if (!vm->needed && (vm->provider[0] != '\0') == (clients == 1)) {
				ret = instance_end(live->roots, vm->name, err);
			}
			result = ret < 0 ? ret : result;
		}
	}
	return result;
}

int instance_sweep(const struct instance_roots *roots, bool logs, struct vmm_error *err)
{
	struct live live = {.roots = roots};
	int ret = logs ? instance_each_left(roots, add_live, &live)
		       : instance_each_live(roots, add_live, &live);

	if (ret < 0) {
		(void)vmm_error_wrap(err, ret, "runtime directory '%s'", roots->run);
	} else {
		spread(&live);
		ret = sweep_vms(&live, err);
	}
	free(live.vms);
	return ret;
}
