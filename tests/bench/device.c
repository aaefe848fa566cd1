/* SPDX-License-Identifier: MIT */
/* A device in a process of its own, started and jailed as vmm-cli does. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/dev/shape.h>
#include <vmm/vhost_frontend.h>

/* Of nobody on this machine. */
#define DEVICE_ID 54321
#define ARGS_MAX  16
#define FIRST_FD  3

/* What devices say, until somebody wants to know: reader, writer. */
static int log_pipe[2] = {-1, -1};

void device_print_log(void)
{
	char bytes[4096];
	ssize_t got;

	while (log_pipe[0] >= 0 && (got = read(log_pipe[0], bytes, sizeof(bytes))) > 0) {
		(void)!write(STDERR_FILENO, bytes, (size_t)got);
	}
}

static void spawn(struct vmm_process *out, const struct options *options,
		  const struct device_kind *kind, int socket)
{
	struct vmm_process_fd fds[2 + DEVICE_FDS_MAX] = {{log_pipe[1], STDERR_FILENO},
							 {socket, FIRST_FD}};
	const char *argv[ARGS_MAX] = {"vmm-device", kind->kind, "--fd", "3"};
	struct vmm_process_config config = {
		.program = options->device,
		.fds = fds,
		.fd_count = 2,
		.uid = DEVICE_ID,
		.gid = DEVICE_ID,
		.no_namespaces = options->unjailed,
	};
	struct vmm_error err = {0};
	char poll_us[16];
	size_t count = 4;

	(void)snprintf(poll_us, sizeof(poll_us), "%u", options->poll_us);
	argv[count++] = "--poll-us";
	argv[count++] = poll_us;
	for (size_t i = 0; kind->args && kind->args[i]; i++) {
		argv[count++] = kind->args[i];
	}
	if (options->unjailed) {
		argv[count++] = "--isolation=none";
	}
	for (int i = 0; i < DEVICE_FDS_MAX && kind->fds[i] >= 0; i++) {
		fds[config.fd_count++] = (struct vmm_process_fd){kind->fds[i], FIRST_FD + 1 + i};
	}
	/* execve takes pointers to what it does not change. */
	memcpy(&config.argv, &(const char *const *){argv}, sizeof(config.argv));
	must(vmm_process_spawn(out, &config, &err), &err);
}

void device_start(struct device *out, const struct options *options, const struct device_kind *kind,
		  struct vmm_loop *loop)
{
	const struct vmm_dev_shape *shape = vmm_dev_shape_find(kind->kind);
	struct vmm_vhost_frontend_config config = {
		.loop = loop,
		.name = shape->kind,
		.device_id = shape->device_id,
		.queue_count = shape->queue_count,
		.queue_sizes = shape->queue_sizes,
		.config_len = shape->config_len,
	};
	struct vmm_error err = {0};
	double before = now_us();
	int pair[2];

	if (log_pipe[0] < 0 && pipe2(log_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
		die("pipe: %s", strerror(errno));
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		die("socketpair: %s", strerror(errno));
	}
	spawn(&out->process, options, kind, pair[1]);
	(void)close(pair[1]);
	config.fd = pair[0];
	must(vmm_vhost_frontend_create(&out->front, &config, &err), &err);
	out->ready_ms = (now_us() - before) / 1000;
}

void device_end(struct device *device)
{
	if (vmm_process_wait(&device->process, 2000, NULL) != 1) {
		vmm_process_kill(&device->process);
	}
}
