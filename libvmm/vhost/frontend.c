/* SPDX-License-Identifier: MIT */
/*
 * The front end as a virtio device.
 *
 *	            connect                driver starts it
 *	no back end -------> connected --------------------> running
 *	     ^                   |  ^                            |
 *	     |       lost        |  |      driver resets it      |
 *	     +-------------------+  +----------------------------+
 *	     |                              lost                 |
 *	     +---------------------------------------------------+
 *
 * Whether the driver has started the device and whether there is a back end are two things: a
 * driver may start a device whose back end is being replaced, and is served when the new one is
 * there.
 */
#include "vhost/frontend_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* A back end whose configuration changes without end is asked for it so often. */
#define CONFIG_PAUSE_NS UINT64_C(10000000)
#define LEFT_OVERS_MAX  4096

static struct frontend *from_base(struct vmm_virtio_device *dev)
{
	return (struct frontend *)dev;
}

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

/* ---- the end of a connection ---- */

static void disconnect(struct frontend *fe)
{
	vmm_source_remove(fe->source);
	fe->source = NULL;
	close_fd(&fe->fd);
	fe->running = false;
	fe->knows_memory = false;
	fe->knows_record = false;
}

/* The back end is gone or of no more use. */
static void lose(struct frontend *fe, int why)
{
	disconnect(fe);
	vmm_log(fe->config.log, VMM_LOG_WARN, "%s: the back end is lost: %s",
		fe->base.carrier ? vmm_carrier_id(fe->base.carrier) : fe->base.name,
		strerror(-why));
	if (fe->active.rings && !fe->waits) {
		vmm_virtio_fail(&fe->base, "its back end is gone");
	}
	if (fe->config.on_lost) {
		fe->config.on_lost(fe->config.ctx, why);
	}
}

/* Between requests the back end has nothing to say on this socket but that it goes. */
static void on_connection(void *ctx, int fd, uint32_t events)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	(void)events;
	/* recvmsg, because that is among the calls of a jailed process. */
	lose(ctx, recvmsg(fd, &msg, MSG_DONTWAIT) == 1 ? -EPROTO : -ECONNRESET);
}

/* ---- what the back end says by itself ---- */

/* The driver gets an interrupt only for what is new to it. */
static void set_config(struct frontend *fe, const uint8_t *bytes)
{
	if (memcmp(bytes, fe->base.config, fe->base.config_len) != 0) {
		(void)vmm_virtio_config_update(&fe->base, 0, bytes, fe->base.config_len);
	}
}

static int fetch_config(struct frontend *fe)
{
	uint8_t bytes[VMM_VIRTIO_CONFIG_MAX];
	int ret = vmm_vhost_link_get_config(fe, bytes);

	if (ret == 0) {
		set_config(fe, bytes);
	}
	return ret;
}

static void on_config_timer(void *ctx)
{
	struct frontend *fe = ctx;
	int ret = fe->fd < 0 ? 0 : fetch_config(fe);

	if (ret < 0) {
		lose(fe, ret);
	}
}

static int on_request(struct frontend *fe)
{
	struct vhost_msg *msg = &fe->requests.msg;
	uint32_t request = msg->header.request;
	int ret = 0;

	if (request == VHOST_USER_BACKEND_CONFIG_CHANGE_MSG) {
		(void)vmm_source_arm(fe->config_timer, CONFIG_PAUSE_NS);
	} else if (vmm_vhost_shm_is_request(fe, request)) {
		ret = vmm_vhost_shm_serve(fe);
		vmm_vhost_msg_close_fds(msg);
	} else {
		return -EPROTO;
	}
	return (msg->header.flags & VHOST_USER_NEED_REPLY) != 0 ||
			       request >= VHOST_USER_BACKEND_MAP_PRIVATE
		       ? vmm_vhost_link_answer(fe, msg, ret == 0)
		       : 0;
}

int vmm_vhost_frontend_serve(void *ctx)
{
	struct frontend *fe = ctx;
	int ret = vmm_vhost_reader_step(&fe->requests, fe->request_fd);

	return ret == 1 ? on_request(fe) : ret;
}

/* One message at a time: others of this loop have their turn in between. */
static void on_requests(void *ctx, int fd, uint32_t events)
{
	struct frontend *fe = ctx;
	int ret = vmm_vhost_frontend_serve(fe);

	(void)fd;
	(void)events;
	if (ret < 0) {
		/* The channel is of no more use; what comes by it is a convenience. */
		(void)vmm_source_set_events(fe->request_source, 0);
		if (fe->fd >= 0) {
			lose(fe, ret);
		}
	}
}

static void on_error(void *ctx, int fd, uint32_t events)
{
	struct frontend *fe = ctx;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count) && fe->running) {
		vmm_virtio_fail(&fe->base, "the back end says that a queue is broken");
	}
}

/* ---- the virtio device ---- */

static int fe_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct frontend *fe = from_base(dev);
	int ret;

	if (fe->fd < 0 && !fe->waits) {
		return -ENOTCONN;
	}
	fe->active = *active;
	ret = fe->fd < 0 ? 0 : vmm_vhost_link_start(fe, false);
	if (ret < 0) {
		bool waits = fe->waits;

		/* The carrier says that the device failed, if it does not wait. */
		fe->waits = true;
		lose(fe, ret);
		fe->waits = waits;
		if (!waits) {
			memset(&fe->active, 0, sizeof(fe->active));
			return ret;
		}
	}
	return 0;
}

/* Kicks go to the back end. */
static void fe_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	(void)dev;
	(void)queue;
}

/*
 * The chains in flight are no longer anybody's. Where the record's file cannot be emptied another
 * one is asked for.
 */
static void forget_record(struct frontend *fe)
{
	if (fe->record_fd >= 0 &&
	    fallocate(fe->record_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)fe->record.mmap_offset, (off_t)fe->record.mmap_size) != 0) {
		close_fd(&fe->record_fd);
		fe->knows_record = false;
	}
}

static void fe_reset(struct vmm_virtio_device *dev)
{
	struct frontend *fe = from_base(dev);
	int ret = fe->running ? vmm_vhost_link_stop(fe) : 0;

	memset(&fe->active, 0, sizeof(fe->active));
	memset(fe->is_written, 0, sizeof(fe->is_written));
	if (ret < 0) {
		lose(fe, ret);
	}
	forget_record(fe);
}

static void fe_set_config(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			  size_t len)
{
	struct frontend *fe = from_base(dev);
	int ret;

	if (fe->fd < 0) {
		return;
	}
	ret = vmm_vhost_link_set_config(fe, offset, bytes, len);
	if (ret == 0) {
		memset(fe->is_written + offset, true, len);
		memcpy(fe->written + offset, bytes, len);
		ret = fetch_config(fe);
	}
	if (ret < 0) {
		lose(fe, ret);
	}
}

static void fe_irq_changed(struct vmm_virtio_device *dev, unsigned queue)
{
	struct frontend *fe = from_base(dev);
	int ret;

	if (!fe->running || !fe->active.rings[queue].enabled) {
		return;
	}
	ret = vmm_vhost_link_set_call(fe, queue);
	if (ret < 0) {
		lose(fe, ret);
	}
}

static void fe_destroy(struct vmm_virtio_device *dev)
{
	struct frontend *fe = from_base(dev);

	disconnect(fe);
	vmm_source_remove(fe->request_source);
	vmm_source_remove(fe->error_source);
	vmm_source_remove(fe->config_timer);
	vmm_vhost_reader_finish(&fe->requests);
	close_fd(&fe->request_fd);
	close_fd(&fe->request_peer);
	close_fd(&fe->error_fd);
	close_fd(&fe->record_fd);
	free(fe);
}

static const struct vmm_virtio_ops frontend_ops = {
	.activate = fe_activate,
	.notify = fe_notify,
	.reset = fe_reset,
	.set_config = fe_set_config,
	.destroy = fe_destroy,
	.irq_changed = fe_irq_changed,
};

/* ---- making it ---- */

static int check_config(const struct vmm_vhost_frontend_config *config, struct vmm_error *err)
{
	if (!config->name || !config->loop || config->fd < 0 || !config->queue_sizes ||
	    config->queue_count == 0 || config->queue_count > VMM_VIRTIO_QUEUES_MAX ||
	    config->config_len > VMM_VIRTIO_CONFIG_MAX || config->shm_count > VMM_VIRTIO_SHM_MAX) {
		return vmm_error_set(err, -EINVAL,
				     "vhost-user: a name, a loop, a socket, queues, the length of "
				     "the configuration or shared memory is missing or out of "
				     "range");
	}
	return 0;
}

static int make_events(struct frontend *fe)
{
	int pair[2];
	int ret;

	/* Back ends expect the one that they get to block while they wait for an answer. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		return -errno;
	}
	fe->request_fd = pair[0];
	fe->request_peer = pair[1];
	fe->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fe->error_fd < 0) {
		return -errno;
	}
	ret = vmm_loop_add_fd(fe->config.loop, fe->request_fd, VMM_LOOP_READABLE, on_requests, fe,
			      &fe->request_source);
	if (ret == 0) {
		ret = vmm_loop_add_fd(fe->config.loop, fe->error_fd, VMM_LOOP_READABLE, on_error,
				      fe, &fe->error_source);
	}
	if (ret == 0) {
		ret = vmm_loop_add_timer(fe->config.loop, on_config_timer, fe, &fe->config_timer);
	}
	return ret;
}

static struct frontend *new_frontend(const struct vmm_vhost_frontend_config *config)
{
	struct frontend *fe = calloc(1, sizeof(*fe));

	if (!fe) {
		return NULL;
	}
	fe->config = *config;
	fe->waits = config->waits;
	fe->config.deadline_ms =
		config->deadline_ms ? config->deadline_ms : VMM_VHOST_DEADLINE_MS_DEFAULT;
	if (config->config) {
		memcpy(fe->initial, config->config, config->config_len);
	}
	fe->fd = -1;
	fe->request_fd = -1;
	fe->request_peer = -1;
	fe->error_fd = -1;
	fe->record_fd = -1;
	fe->requests.channel = VHOST_CHANNEL_BACKEND;
	fe->base.ops = &frontend_ops;
	fe->base.name = config->name;
	fe->base.device_id = config->device_id;
	fe->base.queue_count = config->queue_count;
	memcpy(fe->queue_sizes, config->queue_sizes, config->queue_count * sizeof(uint16_t));
	fe->base.queue_sizes = fe->queue_sizes;
	fe->base.config_len = config->config_len;
	fe->base.external_queues = true;
	fe->base.shm = fe->shm;
	if (!config->shm_any) {
		fe->shm_known = true;
		fe->base.shm_count = config->shm_count;
		for (unsigned i = 0; i < config->shm_count; i++) {
			fe->shm[i] = config->shm[i];
		}
	}
	return fe;
}

/*
 * What the back end before left in the channel is not the next one's. A socket holds a few hundred
 * messages at most: whoever has more is still writing.
 */
static void empty_channel(struct frontend *fe)
{
	char bytes[256];
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	for (int i = 0; i < LEFT_OVERS_MAX; i++) {
		if (vmm_vhost_reader_step(&fe->requests, fe->request_fd) <= 0) {
			break;
		}
	}
	vmm_vhost_reader_finish(&fe->requests);
	/* Nor are answers that it has not read. */
	for (int i = 0; i < LEFT_OVERS_MAX; i++) {
		if (recvmsg(fe->request_peer, &msg, MSG_DONTWAIT) <= 0) {
			break;
		}
	}
	(void)vmm_source_set_events(fe->request_source, VMM_LOOP_READABLE);
}

/* fd becomes the connection, or stays the caller's. */
static int connect_to(struct frontend *fe, int fd, uint64_t *features, struct vmm_error *err)
{
	uint8_t bytes[VMM_VIRTIO_CONFIG_MAX];
	int ret;

	empty_channel(fe);
	fe->fd = fd;
	ret = vmm_vhost_link_greet(fe, features, err);
	if (ret == 0) {
		ret = vmm_vhost_link_get_config(fe, bytes);
		if (ret < 0) {
			(void)vmm_error_wrap(err, ret,
					     "%s: the back end's configuration of %zu bytes",
					     fe->base.name, fe->base.config_len);
		}
	}
	if (ret == 0) {
		ret = vmm_loop_add_fd(fe->config.loop, fd, VMM_LOOP_READABLE, on_connection, fe,
				      &fe->source);
	}
	if (ret < 0) {
		fe->fd = -1;
		return ret;
	}
	set_config(fe, bytes);
	return 0;
}

int vmm_vhost_frontend_create(struct vmm_virtio_device **out,
			      const struct vmm_vhost_frontend_config *config, struct vmm_error *err)
{
	struct frontend *fe;
	int ret;

	*out = NULL;
	ret = check_config(config, err);
	if (ret < 0) {
		return ret;
	}
	fe = new_frontend(config);
	if (!fe) {
		return vmm_error_set(err, -ENOMEM, "%s: out of memory", config->name);
	}
	ret = make_events(fe);
	if (ret < 0) {
		(void)vmm_error_wrap(err, ret, "%s: cannot make its event descriptors",
				     config->name);
	} else {
		ret = connect_to(fe, config->fd, &fe->base.features, err);
	}
	if (ret < 0) {
		fe_destroy(&fe->base);
		return ret;
	}
	*out = &fe->base;
	return 0;
}

/* ---- another back end ---- */

static int go_on(struct frontend *fe, uint64_t features, struct vmm_error *err)
{
	/* While the driver has not decided, what is offered must not change either. */
	uint64_t needed = fe->active.rings ? fe->active.features : fe->base.features;
	int ret = 0;

	if ((needed & ~features) != 0) {
		return vmm_error_set(err, -EPROTO,
				     "%s: the new back end lacks features 0x%llx of the old one",
				     fe->base.name, (unsigned long long)(needed & ~features));
	}
	if (fe->active.rings) {
		ret = vmm_vhost_link_start(fe, true);
		/* What the driver wrote is in it again. */
		ret = ret == 0 ? fetch_config(fe) : ret;
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "%s: the new back end cannot go on",
					fe->base.name)
		       : 0;
}

int vmm_vhost_frontend_connect(struct vmm_virtio_device *dev, int fd, struct vmm_error *err)
{
	struct frontend *fe = from_base(dev);
	uint64_t features = 0;
	int ret;

	disconnect(fe);
	/* The new one starts with nothing mapped, but the guest may be looking at what was. */
	vmm_virtio_shm_orphan_all(dev);
	ret = connect_to(fe, fd, &features, err);
	if (ret == 0) {
		ret = go_on(fe, features, err);
		if (ret < 0) {
			/* fd stays the caller's. */
			fe->fd = -1;
			disconnect(fe);
		}
	}
	if (ret < 0 && fe->active.rings && !fe->waits) {
		vmm_virtio_fail(&fe->base, "its back end is gone");
	}
	return ret;
}

void vmm_vhost_frontend_give_up(struct vmm_virtio_device *dev)
{
	struct frontend *fe = from_base(dev);

	fe->waits = false;
	if (fe->fd < 0 && fe->active.rings) {
		vmm_virtio_fail(&fe->base, "its back end is gone");
	}
}

bool vmm_vhost_frontend_is_connected(const struct vmm_virtio_device *dev)
{
	return ((const struct frontend *)dev)->fd >= 0;
}
