/* SPDX-License-Identifier: MIT */
/* The cross-domain channel to the host's compositor: one message at a time, each asked for. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"
#include "virtgpu.h"

enum { QUERY_RING, CHANNEL_RING, CHANNEL_WAYLAND = 1, ID_BLOB = 1 };

struct init {
	uint8_t cmd, ring;
	uint16_t size;
	uint32_t pad;
	uint32_t query, channel, type;
};

struct image_request {
	uint8_t cmd, ring;
	uint16_t size;
	uint32_t pad;
	uint32_t width, height, format, flags;
};

struct image_answer {
	uint32_t strides[4];
	uint32_t offsets[4];
	uint64_t modifier;
	uint64_t size;
	uint32_t blob_id;
	uint32_t map_info;
};

static void ring_create(struct context *context, struct blob *ring)
{
	if (!blob_try(context->fd, ring, BLOB_GUEST, BLOB_MAPPABLE, PAGE, 0) ||
	    !blob_map(context->fd, ring)) {
		fail("no page for a ring: %s", strerror(errno));
	}
	memset(ring->map, 0xee, PAGE);
}

void channel_open(struct context *context)
{
	struct init init = {.cmd = CMD_INIT, .size = sizeof(init), .type = CHANNEL_WAYLAND};

	context_open(context);
	ring_create(context, &context->query);
	ring_create(context, &context->ring);
	init.query = context->query.resource;
	init.channel = context->ring.resource;
	if (!submit(context->fd, &init, sizeof(init), NULL, QUERY_RING)) {
		fail("INIT: %s", strerror(errno));
	}
}

/* False when nothing was answered: the ring still has what was put there before. */
bool channel_image(struct context *context, uint32_t width, uint32_t height, uint32_t format,
		   struct image *image)
{
	struct image_request request = {
		.cmd = CMD_IMAGE,
		.size = sizeof(request),
		.width = width,
		.height = height,
		.format = format,
		.flags = 1U << 4,
	};
	struct image_answer answer;

	memset(context->query.map, 0xee, sizeof(answer));
	if (!submit(context->fd, &request, sizeof(request), &context->query, QUERY_RING)) {
		return false;
	}
	memcpy(&answer, context->query.map, sizeof(answer));
	*image = (struct image){
		.stride = answer.strides[0],
		.offset = answer.offsets[0],
		.size = answer.size,
		.blob_id = answer.blob_id,
		.map_info = answer.map_info,
	};
	return answer.blob_id != 0xeeeeeeee;
}

void host_blob(struct context *context, uint32_t width, uint32_t height, struct blob *blob,
	       uint32_t *stride)
{
	struct image image;

	if (!channel_image(context, width, height, FORMAT_XRGB8888, &image)) {
		fail("no answer about an image of %ux%u", width, height);
	}
	if (image.offset != 0 || image.stride < width * 4 ||
	    image.size < (uint64_t)image.stride * height || image.size % PAGE != 0) {
		fail("an image of %ux%u: stride %u, offset %u, size %llu", width, height,
		     image.stride, image.offset, (unsigned long long)image.size);
	}
	if (!blob_try(context->fd, blob, BLOB_HOST3D, BLOB_MAPPABLE | BLOB_SHAREABLE, image.size,
		      image.blob_id)) {
		fail("no object of %llu bytes: %s", (unsigned long long)image.size,
		     strerror(errno));
	}
	if (!blob_map(context->fd, blob)) {
		fail("an object of %llu bytes cannot be mapped: %s", (unsigned long long)image.size,
		     strerror(errno));
	}
	*stride = image.stride;
}

bool channel_send(struct context *context, const void *data, size_t size, uint32_t id, bool has_id)
{
	struct message message = {.cmd = CMD_SEND};
	size_t all = offsetof(struct message, data) + size;

	message.size = (uint16_t)all;
	message.data_size = (uint32_t)size;
	if (has_id) {
		message.num_ids = 1;
		message.ids[0] = id;
		message.id_types[0] = ID_BLOB;
	}
	memcpy(message.data, data, size);
	return submit(context->fd, &message, all, NULL, QUERY_RING);
}

void channel_poll(struct context *context)
{
	struct {
		uint8_t cmd, ring;
		uint16_t size;
		uint32_t pad;
		uint64_t pad2;
	} poll = {.cmd = CMD_POLL, .ring = CHANNEL_RING, .size = sizeof(poll)};

	if (!submit(context->fd, &poll, sizeof(poll), NULL, CHANNEL_RING)) {
		fail("POLL: %s", strerror(errno));
	}
}

bool channel_wait(struct context *context, struct message *message, int seconds)
{
	struct pollfd fd = {.fd = context->fd, .events = POLLIN};
	struct drm_event event;

	if (poll(&fd, 1, seconds < 0 ? -1 : seconds * 1000) != 1) {
		return false;
	}
	if (read(context->fd, &event, sizeof(event)) != (ssize_t)sizeof(event)) {
		fail("the device file has no event: %s", strerror(errno));
	}
	memcpy(message, context->ring.map, sizeof(*message));
	/* Read again by mistake, or by a fence that came too early, it would be no message. */
	memset(context->ring.map, 0xee, sizeof(*message));
	return true;
}
