/* SPDX-License-Identifier: MIT */
/*
 * A back end's connection.
 *
 * One message is read, done and answered before the next is read, so that at most one reply waits.
 * The timer runs while the front end owes something: the rest of a message, or room for a reply.
 */
#include "backend_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_NS UINT64_C(5000000000)
/* Messages for each turn, so that a front end that talks does not keep the device from working. */
#define BUDGET 16
/* What a running device may need at most beside its rings. */
#define SPARE_SOURCES 4

static void on_socket(void *ctx, int fd, uint32_t events);

void vmm_vhost_set_nonblock(const struct vmm_vhost_backend *b, int fd)
{
	int flags;

	/* A front end that hands a jailed process an eventfd that blocks stops its own device. */
	if (fd < 0 || vmm_vhost_is_sealed(b)) {
		return;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && !(flags & O_NONBLOCK)) {
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	}
}

/* ---- the end ---- */

/* Ends everything but the memory, without a system call that a jailed process might miss. */
static void disconnect(struct vmm_vhost_backend *b)
{
	vmm_vhost_stop(b);
	vmm_vhost_rings_finish(b);
	vmm_source_remove(b->source);
	b->source = NULL;
	vmm_source_remove(b->timer);
	b->timer = NULL;
	vmm_vhost_reader_finish(&b->reader);
	vmm_vhost_msg_close_fds(&b->writer.msg);
	if (b->request_fd >= 0) {
		(void)close(b->request_fd);
		b->request_fd = -1;
	}
	if (b->fd >= 0) {
		(void)close(b->fd);
		b->fd = -1;
	}
}

static void run_closed(void *ctx)
{
	struct vmm_vhost_backend *b = ctx;

	disconnect(b);
	if (!vmm_vhost_is_sealed(b)) {
		vmm_vhost_drop_memory(b);
	}
	if (b->config.on_closed) {
		b->config.on_closed(b->config.ctx, b->why);
	}
}

/* The rest follows when no function of this or of the device is in the middle of something. */
void vmm_vhost_backend_close(struct vmm_vhost_backend *b, int why)
{
	if (b->fd < 0) {
		return;
	}
	vmm_vhost_reader_finish(&b->reader);
	vmm_vhost_msg_close_fds(&b->writer.msg);
	(void)vmm_source_set_events(b->source, 0);
	(void)close(b->fd);
	b->fd = -1;
	b->why = why == -ECONNRESET || why == -EPIPE ? 0 : why;
	vmm_log(b->config.log, b->why == 0 ? VMM_LOG_INFO : VMM_LOG_WARN,
		"%s: the front end's connection is closed: %s", vmm_carrier_id(b->carrier),
		b->why == 0 ? "it has gone" : strerror(-b->why));
	vmm_loop_post(b->config.loop, &b->closed);
}

void vmm_vhost_backend_destroy(struct vmm_vhost_backend *b)
{
	if (!b) {
		return;
	}
	vmm_loop_cancel(b->config.loop, &b->closed);
	disconnect(b);
	vmm_vhost_drop_memory(b);
	(void)vmm_carrier_release(b->carrier);
	free(b);
}

/* ---- messages ---- */

static void on_deadline(void *ctx)
{
	vmm_vhost_backend_close(ctx, -ETIMEDOUT);
}

/* Sends what waits, and decides what the front end owes. */
static void settle(struct vmm_vhost_backend *b)
{
	bool owes;
	int ret = 0;

	if (b->writer.pending) {
		ret = vmm_vhost_writer_step(&b->writer, b->fd);
	}
	if (ret < 0) {
		vmm_vhost_backend_close(b, ret);
		return;
	}
	if (!b->writer.pending) {
		vmm_vhost_msg_close_fds(&b->writer.msg);
	}
	owes = b->writer.pending || vmm_vhost_reader_is_half(&b->reader);
	ret = vmm_source_set_events(b->source,
				    b->writer.pending ? VMM_LOOP_WRITABLE : VMM_LOOP_READABLE);
	if (ret == 0 && owes != b->owes) {
		ret = vmm_source_arm(b->timer, owes ? b->deadline_ns : 0);
		b->owes = owes;
	}
	if (ret < 0) {
		vmm_vhost_backend_close(b, ret);
	}
}

/* The answer to a refused request that has a reply of its own; false: there is none to be had. */
static bool say_no(struct vhost_msg *reply)
{
	switch (reply->header.request) {
	case VHOST_USER_GET_CONFIG:
		reply->header.size = 0;
		return true;
	case VHOST_USER_GET_INFLIGHT_FD:
		reply->header.size = sizeof(reply->payload.inflight);
		return true;
	default:
		return false;
	}
}

static void process(struct vmm_vhost_backend *b, struct vhost_msg *msg)
{
	uint32_t request = msg->header.request;
	struct vhost_msg *reply = &b->writer.msg;
	int ret;

	vmm_vhost_msg_init(reply, request, 0);
	reply->header.flags |= VHOST_USER_REPLY;
	ret = vmm_vhost_backend_handle(b, msg, reply);
	if (b->fd < 0 || ret == -EPROTO) {
		vmm_vhost_backend_close(b, ret);
		return;
	}
	if (vmm_vhost_has_reply(request)) {
		b->writer.pending = ret == 0 || say_no(reply);
	} else if ((msg->header.flags & VHOST_USER_NEED_REPLY) &&
		   (b->protocol & VHOST_USER_PROTOCOL_F_REPLY_ACK)) {
		reply->header.size = sizeof(reply->payload.u64);
		reply->payload.u64 = ret < 0;
		b->writer.pending = true;
	}
	/* A front end that cannot be told would go on in the belief that all is well. */
	if (ret < 0 && !b->writer.pending && !vmm_vhost_backend_may_ignore(request)) {
		vmm_vhost_backend_close(b, ret);
	}
}

static void on_socket(void *ctx, int fd, uint32_t events)
{
	struct vmm_vhost_backend *b = ctx;

	(void)events;
	for (int i = 0; i < BUDGET && !b->writer.pending; i++) {
		int ret = vmm_vhost_reader_step(&b->reader, fd);

		if (ret < 0) {
			vmm_vhost_backend_close(b, ret);
		} else if (ret > 0) {
			process(b, &b->reader.msg);
			vmm_vhost_msg_close_fds(&b->reader.msg);
		}
		if (b->fd < 0 || ret == 0) {
			break;
		}
		if (b->writer.pending && vmm_vhost_writer_step(&b->writer, fd) == 1) {
			vmm_vhost_msg_close_fds(&b->writer.msg);
		}
	}
	if (b->fd >= 0) {
		settle(b);
	}
}

/* ---- create ---- */

static void ignore(void *ctx)
{
	(void)ctx;
}

/*
 * A loop keeps the memory of sources that were removed and uses it again: those of every ring, and
 * what the device adds when it starts once more, exist before the process can get no more memory.
 */
static int reserve_sources(struct vmm_vhost_backend *b)
{
	struct vmm_source *sources[VMM_VIRTIO_QUEUES_MAX + SPARE_SOURCES];
	unsigned count = 0;
	int ret = 0;

	while (ret == 0 && count < b->queue_count + SPARE_SOURCES) {
		ret = vmm_loop_add_timer(b->config.loop, ignore, NULL, &sources[count]);
		count += ret == 0;
	}
	while (count > 0) {
		vmm_source_remove(sources[--count]);
	}
	return ret;
}

static int connect_loop(struct vmm_vhost_backend *b)
{
	int flags = fcntl(b->fd, F_GETFL);
	int ret;

	if (flags < 0 || fcntl(b->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		return -errno;
	}
	ret = reserve_sources(b);
	if (ret == 0) {
		ret = vmm_loop_add_timer(b->config.loop, on_deadline, b, &b->timer);
	}
	if (ret == 0) {
		ret = vmm_loop_add_fd(b->config.loop, b->fd, VMM_LOOP_READABLE, on_socket, b,
				      &b->source);
	}
	return ret;
}

int vmm_vhost_backend_create(struct vmm_vhost_backend **out, struct vmm_virtio_device *dev,
			     const struct vmm_vhost_backend_config *config, struct vmm_error *err)
{
	struct vmm_carrier_config carrier = {
		.loop = config->loop,
		.log = config->log,
		.on_config = vmm_vhost_backend_config_changed,
		.on_fail = vmm_vhost_failed,
		.shm = &vmm_vhost_backend_shm_ops,
	};
	struct vmm_vhost_backend *b;
	int ret;

	*out = NULL;
	if (dev->external_queues) {
		return vmm_error_set(err, -EINVAL, "%s: its queues are in another process already",
				     dev->name);
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		return vmm_error_set(err, -ENOMEM, "%s: out of memory", dev->name);
	}
	carrier.ctx = b;
	ret = vmm_carrier_create(&b->carrier, dev, &carrier, err);
	if (ret < 0) {
		free(b);
		return ret;
	}
	b->config = *config;
	b->fd = config->fd;
	b->request_fd = -1;
	b->queue_count = dev->queue_count;
	b->deadline_ns = DEADLINE_NS;
	b->reader.channel = VHOST_CHANNEL_MAIN;
	b->closed.fn = run_closed;
	b->closed.ctx = b;
	vmm_vhost_rings_init(b);
	ret = connect_loop(b);
	if (ret < 0) {
		b->fd = -1; /* stays the caller's */
		vmm_vhost_backend_destroy(b);
		return vmm_error_set(err, ret, "vhost-user connection: %s", strerror(-ret));
	}
	*out = b;
	return 0;
}
