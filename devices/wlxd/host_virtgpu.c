/* SPDX-License-Identifier: MIT */
/*
 * A host behind a virtio-gpu device: each connection is a descriptor of the render node and so a
 * context of its own, with a channel to the compositor.
 *
 * The host has one mailbox for what it says. It writes there when it has been asked to (POLL), one
 * message for each time, and then the fence of the POLL comes as an event of the descriptor. Until
 * the next POLL the mailbox is ours.
 */
#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cross_domain.h"
#include "virtgpu.h"

#define FORMAT_R8     UINT32_C(0x20203852)
#define IMAGE_SCANOUT 0x01u
#define IMAGE_LINEAR  0x10u

/* Sizes of memory the host has been asked about; it keeps each answer for the life of a context. */
#define TEMPLATES_MAX 256

struct host_virtgpu {
	struct vmm_loop *loop;
	const char *path;
};

struct template
{
	uint64_t asked, size;
	uint32_t blob_id;
};

struct virtgpu_conn {
	struct host_conn base;
	struct host_virtgpu *virtgpu;
	int fd;
	struct vmm_source *source;
	struct virtgpu_memory query, channel;
	bool on, parked, closed;
	struct vmm_work closing; /* nothing comes any more */
	unsigned template_count;
	struct template templates[TEMPLATES_MAX];
	union cross_domain_any got;
};

static struct virtgpu_conn *from_base(struct host_conn *base)
{
	return (struct virtgpu_conn *)base;
}

static void say_closed(void *ctx)
{
	struct virtgpu_conn *conn = ctx;

	conn->base.events->closed(conn->base.ctx);
}

/* From the loop, as callbacks have to come. */
static void close_later(struct virtgpu_conn *conn)
{
	conn->closed = true;
	(void)vmm_source_set_events(conn->source, 0);
	vmm_loop_post(conn->virtgpu->loop, &conn->closing);
}

/* Asks for the next message. */
static void park(struct virtgpu_conn *conn)
{
	const struct cross_domain_poll poll = {
		.header = {.cmd = CROSS_DOMAIN_POLL,
			   .ring_idx = VIRTGPU_RING_CHANNEL,
			   .cmd_size = sizeof(poll)},
	};

	if (!conn->on || conn->parked || conn->closed) {
		return;
	}
	/* A fence without a message must not show the last one again. */
	memset(conn->channel.map, 0, sizeof(struct cross_domain_header));
	if (virtgpu_submit(conn->fd, &poll, sizeof(poll), VIRTGPU_RING_CHANNEL, 0) < 0) {
		close_later(conn);
		return;
	}
	conn->parked = true;
}

/* False: not what the protocol has. */
static bool get_items(const struct cross_domain_message *m, struct host_item *items)
{
	if (m->count > CROSS_DOMAIN_IDS || m->size > CROSS_DOMAIN_DATA_MAX) {
		return false;
	}
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->types[i] != CROSS_DOMAIN_ID_BLOB && m->types[i] != CROSS_DOMAIN_ID_WRITE) {
			return false;
		}
		items[i] = (struct host_item){
			.type = m->types[i] == CROSS_DOMAIN_ID_BLOB ? HOST_ITEM_FILE
								    : HOST_ITEM_PIPE,
			.id = m->ids[i],
			.size = m->sizes[i],
		};
	}
	return true;
}

/* What is in conn->got. The connection may be gone afterwards. */
static void take_message(struct virtgpu_conn *conn)
{
	const struct host_events *events = conn->base.events;
	const struct cross_domain_message *m = &conn->got.message;
	const struct cross_domain_pipe *p = &conn->got.pipe;
	struct host_item items[CROSS_DOMAIN_IDS];

	if (m->header.cmd == CROSS_DOMAIN_RECEIVE && get_items(m, items) &&
	    (m->count > 0 || m->size > 0)) {
		park(conn);
		events->receive(conn->base.ctx, m->data, m->size, items, m->count);
	} else if (p->header.cmd == CROSS_DOMAIN_READ && p->size <= CROSS_DOMAIN_PIPE_MAX) {
		park(conn);
		events->pipe_data(conn->base.ctx, p->id, p->data, p->size, p->hang_up != 0);
	} else {
		/* Empty: the compositor has hung up. Anything else: what to make of it? */
		close_later(conn);
	}
}

static void on_device(void *ctx, int fd, uint32_t events)
{
	struct virtgpu_conn *conn = ctx;
	int count = virtgpu_events(fd);

	if (count < 0 || (count == 0 && (events & (VMM_LOOP_HANGUP | VMM_LOOP_ERROR)))) {
		close_later(conn);
		return;
	}
	if (count > 0 && conn->parked) {
		conn->parked = false;
		/* The host may write again as soon as it is asked to. */
		memcpy(&conn->got, conn->channel.map, sizeof(conn->got));
		take_message(conn);
	}
}

static int say_init(struct virtgpu_conn *conn)
{
	const struct cross_domain_init init = {
		.header = {.cmd = CROSS_DOMAIN_INIT, .cmd_size = sizeof(init)},
		.query_ring = conn->query.resource,
		.channel_ring = conn->channel.resource,
		.channel_type = CROSS_DOMAIN_WAYLAND,
	};

	return virtgpu_submit(conn->fd, &init, sizeof(init), VIRTGPU_RING_NONE, 0);
}

static void virtgpu_close(struct host_conn *base)
{
	struct virtgpu_conn *conn = from_base(base);

	vmm_loop_cancel(conn->virtgpu->loop, &conn->closing);
	vmm_source_remove(conn->source);
	if (conn->fd >= 0) {
		virtgpu_memory_free(conn->fd, &conn->query);
		virtgpu_memory_free(conn->fd, &conn->channel);
		(void)close(conn->fd);
	}
	free(conn);
}

static int virtgpu_connect(void *host, const struct host_events *events, void *ctx,
			   struct host_conn **out)
{
	struct virtgpu_conn *conn = calloc(1, sizeof(*conn));
	int ret;

	(void)events;
	(void)ctx;
	if (!conn) {
		return -ENOMEM;
	}
	conn->virtgpu = host;
	conn->closing.fn = say_closed;
	conn->closing.ctx = conn;
	conn->fd = virtgpu_open(conn->virtgpu->path);
	ret = conn->fd < 0 ? conn->fd : virtgpu_init(conn->fd);
	if (ret == 0) {
		ret = virtgpu_guest_memory(conn->fd, &conn->query);
	}
	if (ret == 0) {
		ret = virtgpu_guest_memory(conn->fd, &conn->channel);
	}
	if (ret == 0) {
		ret = say_init(conn);
	}
	if (ret == 0) {
		ret = vmm_loop_add_fd(conn->virtgpu->loop, conn->fd, VMM_LOOP_READABLE, on_device,
				      conn, &conn->source);
	}
	if (ret < 0) {
		virtgpu_close(&conn->base);
		return ret;
	}
	*out = &conn->base;
	return 0;
}

/* What the host calls memory of that size, as a plane of bytes in one row. */
static int ask(struct virtgpu_conn *conn, uint64_t size, struct template *template)
{
	const struct cross_domain_get_image question = {
		.header = {.cmd = CROSS_DOMAIN_GET_IMAGE, .cmd_size = sizeof(question)},
		.width = (uint32_t)size,
		.height = 1,
		.format = FORMAT_R8,
		.flags = IMAGE_LINEAR | IMAGE_SCANOUT,
	};
	struct cross_domain_image answer = {0};
	int ret;

	memcpy(conn->query.map, &answer, sizeof(answer));
	ret = virtgpu_submit(conn->fd, &question, sizeof(question), VIRTGPU_RING_QUERY,
			     conn->query.handle);
	if (ret == 0) {
		ret = virtgpu_wait(conn->fd, conn->query.handle);
	}
	if (ret < 0) {
		return ret;
	}
	memcpy(&answer, conn->query.map, sizeof(answer));
	if (answer.blob_id == 0 || answer.size < size) {
		return -ENOSPC;
	}
	*template =
		(struct template){.asked = size, .size = answer.size, .blob_id = answer.blob_id};
	return 0;
}

static int find_template(struct virtgpu_conn *conn, uint64_t size, struct template *template)
{
	int ret;

	for (unsigned i = 0; i < conn->template_count; i++) {
		if (conn->templates[i].asked == size) {
			*template = conn->templates[i];
			return 0;
		}
	}
	ret = ask(conn, size, template);
	if (ret == 0 && conn->template_count < TEMPLATES_MAX) {
		conn->templates[conn->template_count++] = *template;
	}
	return ret;
}

static int virtgpu_blob_create(struct host_conn *base, uint64_t size, struct host_blob *blob)
{
	struct virtgpu_conn *conn = from_base(base);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct virtgpu_memory memory;
	struct template template;
	int ret;

	size = (size + page - 1) / page * page;
	if (size > INT32_MAX) {
		return -ENOSPC;
	}
	ret = find_template(conn, size, &template);
	if (ret == 0) {
		ret = virtgpu_host_memory(conn->fd, template.blob_id, template.size, &memory);
	}
	if (ret < 0) {
		return ret;
	}
	*blob = (struct host_blob){
		.map = memory.map,
		.size = size,
		.map_size = memory.size,
		.fd = -1,
		.handle = memory.handle,
		.resource = memory.resource,
	};
	return 0;
}

static void virtgpu_blob_destroy(struct host_conn *base, struct host_blob *blob)
{
	struct virtgpu_memory memory = {
		.map = blob->map, .size = blob->map_size, .handle = blob->handle};

	virtgpu_memory_free(from_base(base)->fd, &memory);
}

static int virtgpu_send(struct host_conn *base, const uint8_t *data, size_t len,
			const struct host_pass *pass, unsigned count)
{
	size_t size = offsetof(struct cross_domain_message, data) + len;
	struct cross_domain_message m = {
		.header = {.cmd = CROSS_DOMAIN_SEND, .cmd_size = (uint16_t)size},
		.count = count,
		.size = (uint32_t)len,
	};

	for (unsigned i = 0; i < count; i++) {
		bool blob = pass[i].blob != NULL;

		m.ids[i] = blob ? pass[i].blob->resource : pass[i].pipe;
		m.types[i] = blob ? CROSS_DOMAIN_ID_BLOB : CROSS_DOMAIN_ID_READ;
	}
	memcpy(m.data, data, len);
	return virtgpu_submit(from_base(base)->fd, &m, size, VIRTGPU_RING_NONE, 0);
}

/* The kernel takes a command or makes the caller wait until there is room for it. */
static size_t virtgpu_pending(struct host_conn *base)
{
	(void)base;
	return 0;
}

static void virtgpu_listen(struct host_conn *base, bool on)
{
	struct virtgpu_conn *conn = from_base(base);

	conn->on = on;
	park(conn);
}

static int virtgpu_file_copy(struct host_conn *base, const struct host_item *item, int memfd)
{
	int fd = from_base(base)->fd;
	struct virtgpu_memory memory = {0};
	uint64_t at = 0;
	int ret = virtgpu_host_memory(fd, item->id, item->size, &memory);

	while (ret == 0 && at < item->size) {
		ssize_t got = pwrite(memfd, memory.map + at, item->size - at, (off_t)at);

		if (got <= 0) {
			ret = got < 0 ? -errno : -EIO;
			break;
		}
		at += (uint64_t)got;
	}
	virtgpu_memory_free(fd, &memory);
	return ret;
}

static int virtgpu_pipe_write(struct host_conn *base, uint32_t id, const uint8_t *data, size_t len,
			      bool hang_up)
{
	size_t size = offsetof(struct cross_domain_pipe, data) + len;
	struct cross_domain_pipe p = {
		.header = {.cmd = CROSS_DOMAIN_WRITE, .cmd_size = (uint16_t)size},
		.id = id,
		.hang_up = hang_up,
		.size = (uint32_t)len,
	};

	if (len > sizeof(p.data)) {
		return -EPIPE;
	}
	if (len > 0) {
		memcpy(p.data, data, len);
	}
	return virtgpu_submit(from_base(base)->fd, &p, size, VIRTGPU_RING_NONE, 0) < 0 ? -EPIPE : 0;
}

static void virtgpu_item_drop(struct host_conn *base, const struct host_item *item)
{
	if (item->type == HOST_ITEM_PIPE) {
		(void)virtgpu_pipe_write(base, item->id, NULL, 0, true);
	}
	/* A file that nobody takes ends with the context. */
}

const struct host_ops host_virtgpu_ops = {
	.connect = virtgpu_connect,
	.close = virtgpu_close,
	.blob_create = virtgpu_blob_create,
	.blob_destroy = virtgpu_blob_destroy,
	.send = virtgpu_send,
	.pending = virtgpu_pending,
	.listen = virtgpu_listen,
	.file_copy = virtgpu_file_copy,
	.pipe_write = virtgpu_pipe_write,
	.item_drop = virtgpu_item_drop,
};

struct host_virtgpu *host_virtgpu_create(struct vmm_loop *loop, const char *path, const char **why)
{
	int fd = virtgpu_open(path);
	struct host_virtgpu *virtgpu;

	if (fd < 0) {
		*why = fd == -ENODEV || fd == -ENOENT
			       ? "no virtio-gpu device with Wayland contexts is there"
			       : strerror(-fd);
		return NULL;
	}
	(void)close(fd);
	virtgpu = calloc(1, sizeof(*virtgpu));
	if (virtgpu) {
		virtgpu->loop = loop;
		virtgpu->path = path;
	} else {
		*why = strerror(ENOMEM);
	}
	return virtgpu;
}

void host_virtgpu_destroy(struct host_virtgpu *virtgpu)
{
	free(virtgpu);
}
