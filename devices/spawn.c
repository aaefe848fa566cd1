/* SPDX-License-Identifier: MIT */
#include <vmm/dev/spawn.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/dev/shape.h>
#include <vmm/vhost_frontend.h>

#define LOG_FD 2 /* what vmm-device takes when it is not told */

/* argv of exec is not written to, its type only does not say so. */
union words {
	const char *given[VMM_DEV_SPAWN_OPTIONS + 5];
	char *wanted[VMM_DEV_SPAWN_OPTIONS + 5];
};

static int fill_words(union words *words, const struct vmm_dev_spawn_config *config,
		      struct vmm_error *err)
{
	size_t count = 0;

	words->given[count++] = "vmm-device";
	words->given[count++] = config->kind;
	words->given[count++] = "--fd";
	words->given[count++] = "3";
	for (size_t i = 0; config->options && config->options[i]; i++) {
		if (i == VMM_DEV_SPAWN_OPTIONS) {
			return vmm_error_set(err, -EINVAL, "%s: more than %d options", config->kind,
					     VMM_DEV_SPAWN_OPTIONS);
		}
		words->given[count++] = config->options[i];
	}
	words->given[count] = NULL;
	return 0;
}

static int spawn(struct vmm_process *process, int socket, const struct vmm_dev_spawn_config *config,
		 struct vmm_error *err)
{
	struct vmm_process_fd fds[VMM_PROCESS_FDS_MAX];
	union words words;
	struct vmm_process_config pc = {
		.program = config->program,
		.argv = words.wanted,
		.fds = fds,
		.uid = config->uid,
		.gid = config->gid,
	};

	if (config->fd_count > VMM_PROCESS_FDS_MAX - 2) {
		return vmm_error_set(err, -EINVAL, "%s: too many descriptors", config->kind);
	}
	fds[pc.fd_count++] = (struct vmm_process_fd){socket, VMM_DEV_SPAWN_SOCKET};
	if (config->log_fd > 0) {
		fds[pc.fd_count++] = (struct vmm_process_fd){config->log_fd, LOG_FD};
	}
	if (config->fd_count > 0) {
		memcpy(&fds[pc.fd_count], config->fds, config->fd_count * sizeof(fds[0]));
		pc.fd_count += config->fd_count;
	}
	return fill_words(&words, config, err) < 0 ? -EINVAL : vmm_process_spawn(process, &pc, err);
}

/* Starts the process; *fd is this side of the connection. */
static int start(struct vmm_process *process, int *fd, const struct vmm_dev_spawn_config *config,
		 struct vmm_error *err)
{
	int pair[2];
	int ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		return vmm_error_wrap(err, -errno, "%s: socket pair", config->kind);
	}
	ret = spawn(process, pair[1], config, err);
	(void)close(pair[1]);
	if (ret < 0) {
		(void)close(pair[0]);
		return ret;
	}
	*fd = pair[0];
	return 0;
}

static void give_up(struct vmm_process *process, int fd)
{
	(void)close(fd);
	vmm_process_kill(process);
}

int vmm_dev_spawn(struct vmm_virtio_device **out, struct vmm_process *process,
		  const struct vmm_dev_spawn_config *config, struct vmm_error *err)
{
	const struct vmm_dev_shape *shape = vmm_dev_shape_find(config->kind);
	struct vmm_vhost_frontend_config fe = {
		.loop = config->loop,
		.log = config->log,
		.waits = config->waits,
		.on_lost = config->on_lost,
		.ctx = config->ctx,
	};
	int ret;

	*out = NULL;
	memset(process, 0, sizeof(*process));
	if (!shape) {
		return vmm_error_set(err, -EINVAL, "'%s' is no kind of device", config->kind);
	}
	fe.name = shape->kind;
	fe.device_id = shape->device_id;
	fe.queue_count = shape->queue_count;
	fe.queue_sizes = shape->queue_sizes;
	fe.config_len = shape->config_len;
	fe.shm_any = shape->shares_memory;
	ret = start(process, &fe.fd, config, err);
	if (ret < 0) {
		return ret;
	}
	ret = vmm_vhost_frontend_create(out, &fe, err);
	if (ret < 0) {
		give_up(process, fe.fd);
	}
	return ret;
}

int vmm_dev_respawn(struct vmm_virtio_device *dev, struct vmm_process *process,
		    const struct vmm_dev_spawn_config *config, struct vmm_error *err)
{
	struct vmm_process next = {0};
	int fd = -1;
	int ret = start(&next, &fd, config, err);

	/* The old one must not touch anything any more when the new one begins. */
	vmm_process_kill(process);
	if (ret < 0) {
		return ret;
	}
	ret = vmm_vhost_frontend_connect(dev, fd, err);
	if (ret < 0) {
		give_up(&next, fd);
		return ret;
	}
	*process = next;
	return 0;
}
