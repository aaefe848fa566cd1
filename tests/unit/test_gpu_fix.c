/* SPDX-License-Identifier: MIT */
#include "test_gpu_fix.h"

#include <string.h>

/* ---- the display ---- */

static void canvas_set(struct vmm_display *d, unsigned scanout)
{
	(void)scanout;
	((struct canvas *)d)->sets++;
}

static bool canvas_present(struct vmm_display *d, unsigned scanout,
			   const struct vmm_display_rect *rects, unsigned count)
{
	struct canvas *c = (struct canvas *)d;
	const struct vmm_display_picture *p = &d->pictures[scanout];

	c->presents++;
	c->rect_count = count;
	for (unsigned i = 0; i < count; i++) {
		SUITE_REQUIRE(rects[i].width > 0 && rects[i].x < p->width &&
			      rects[i].width <= p->width - rects[i].x);
		SUITE_REQUIRE(rects[i].height > 0 && rects[i].y < p->height &&
			      rects[i].height <= p->height - rects[i].y);
		c->rects[i] = rects[i];
		if (c->fetches) {
			vmm_display_fetch(d, scanout, &rects[i],
					  c->pixels + (size_t)rects[i].y * p->width + rects[i].x,
					  p->width * 4ul);
		}
	}
	return !c->waits;
}

static void canvas_set_cursor(struct vmm_display *d, unsigned scanout,
			      const struct vmm_display_cursor *cursor)
{
	struct canvas *c = (struct canvas *)d;
	struct vmm_display_rect all = {0};

	(void)scanout;
	memset(&c->cursor, 0, sizeof(c->cursor));
	if (!cursor) {
		return;
	}
	c->cursors++;
	c->cursor = *cursor;
	all.width = cursor->width;
	all.height = cursor->height;
	if (all.width * all.height <= 256) {
		cursor->source.copy(cursor->source.ctx, &all, c->cursor_pixels, all.width * 4ul);
	}
}

static const struct vmm_display_ops canvas_ops = {
	.set = canvas_set,
	.present = canvas_present,
	.set_cursor = canvas_set_cursor,
};

/* ---- the driver ---- */

static void take_room(struct gpufix *fix)
{
	fix->request = fakedrv_alloc(fix->drv, REQUEST_ROOM);
	fix->response = fakedrv_alloc(fix->drv, RESPONSE_ROOM);
}

void gpufix_start(struct gpufix *fix, const struct vmm_gpu_config *config)
{
	struct vmm_gpu_config c = {.scanouts = 1};
	struct vmm_virtio_device *dev;

	memset(fix, 0, sizeof(*fix));
	fix->canvas.base.ops = &canvas_ops;
	if (config) {
		c = *config;
	}
	if (!c.display) {
		c.display = &fix->canvas.base;
	}
	ck_assert_int_eq(vmm_gpu_create(&dev, &c, NULL), 0);
	fix->drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(fix->drv, NULL), 0);
	take_room(fix);
}

void gpufix_use(struct gpufix *fix, struct fakedrv *drv)
{
	memset(fix, 0, sizeof(*fix));
	fix->drv = drv;
	take_room(fix);
}

void gpufix_finish(struct gpufix *fix)
{
	fakedrv_destroy(fix->drv);
}

uint32_t gpufix_send(struct gpufix *fix, const void *request, size_t len)
{
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fix->request, len),
				     FAKEDRV_IN(fix->response, RESPONSE_ROOM)};
	uint32_t type = 0;

	memcpy(fix->request, request, len);
	memset(fix->response, 0xee, RESPONSE_ROOM);
	fix->used = fakedrv_request(fix->drv, CONTROL, bufs, 2);
	if (fix->used >= sizeof(type)) {
		memcpy(&type, fix->response, sizeof(type));
	}
	return type;
}

uint32_t gpufix_command(struct gpufix *fix, uint32_t type, const void *body, size_t len)
{
	const struct gpu_header h = {.type = type,
				     .flags = FLAG_FENCE | FLAG_INFO_RING_IDX,
				     .fence_id = FENCE,
				     .ring_idx = 9};
	static uint8_t bytes[REQUEST_ROOM];
	struct gpu_header answer;
	uint32_t ret;

	memcpy(bytes, &h, sizeof(h));
	memcpy(bytes + sizeof(h), body, len);
	ret = gpufix_send(fix, bytes, sizeof(h) + len);
	ck_assert_uint_ge(fix->used, sizeof(answer));
	memcpy(&answer, fix->response, sizeof(answer));
	ck_assert_uint_eq(answer.flags, FLAG_FENCE | FLAG_INFO_RING_IDX);
	ck_assert_uint_eq(answer.fence_id, FENCE);
	ck_assert_uint_eq(answer.ring_idx, 9);
	ck_assert_uint_eq(answer.ctx_id, 0);
	return ret;
}

uint32_t gpufix_attach(struct gpufix *fix, uint32_t id, uint32_t count,
		       const struct gpu_mem_entry *entries, unsigned present)
{
	static struct {
		struct gpu_attach_backing attach;
		struct gpu_mem_entry entries[4000];
	} body;

	body.attach = (struct gpu_attach_backing){.resource_id = id, .count = count};
	memcpy(body.entries, entries, present * sizeof(entries[0]));
	return gpufix_command(fix, CMD_ATTACH_BACKING, &body,
			      sizeof(body.attach) + present * sizeof(entries[0]));
}

uint32_t *gpufix_picture(struct gpufix *fix, uint32_t id, uint32_t width, uint32_t height,
			 uint32_t piece)
{
	const struct gpu_create_2d create = {.resource_id = id,
					     .format = VMM_DISPLAY_B8G8R8X8,
					     .width = width,
					     .height = height};
	static struct gpu_mem_entry entries[4000];
	uint32_t len = width * height * 4;
	uint8_t *rows = fakedrv_alloc(fix->drv, len);
	uint32_t count = 0;

	for (uint32_t at = 0; at < len; at += entries[count++].length) {
		entries[count].addr = fakedrv_gpa(fix->drv, rows + at);
		entries[count].length = piece > 0 && len - at > piece ? piece : len - at;
	}
	GPUFIX_OK(fix, CMD_RESOURCE_CREATE_2D, create);
	ck_assert_uint_eq(gpufix_attach(fix, id, count, entries, count), RESP_OK_NODATA);
	return (uint32_t *)(void *)rows;
}

uint32_t gpufix_transfer(struct gpufix *fix, uint32_t id, struct gpu_rect rect, uint64_t offset)
{
	const struct gpu_transfer_2d t = {.rect = rect, .offset = offset, .resource_id = id};

	return GPUFIX_COMMAND(fix, CMD_TRANSFER_TO_HOST_2D, t);
}

uint32_t gpufix_flush(struct gpufix *fix, uint32_t id, struct gpu_rect rect)
{
	const struct gpu_flush f = {.rect = rect, .resource_id = id};

	return GPUFIX_COMMAND(fix, CMD_RESOURCE_FLUSH, f);
}

void gpufix_show(struct gpufix *fix, uint32_t id, uint32_t width, uint32_t height)
{
	const struct gpu_rect all = {.width = width, .height = height};
	const struct gpu_set_scanout set = {.rect = all, .resource_id = id};

	ck_assert_uint_eq(gpufix_transfer(fix, id, all, 0), RESP_OK_NODATA);
	GPUFIX_OK(fix, CMD_SET_SCANOUT, set);
	ck_assert_uint_eq(gpufix_flush(fix, id, all), RESP_OK_NODATA);
}

void gpufix_change(struct gpufix *fix, uint32_t id, uint32_t picture_width, struct gpu_rect rect)
{
	uint64_t offset = ((uint64_t)rect.y * picture_width + rect.x) * 4;

	ck_assert_uint_eq(gpufix_transfer(fix, id, rect, offset), RESP_OK_NODATA);
	ck_assert_uint_eq(gpufix_flush(fix, id, rect), RESP_OK_NODATA);
}

void gpufix_cursor(struct gpufix *fix, uint32_t type, const struct gpu_cursor *body)
{
	struct {
		struct gpu_header h;
		struct gpu_cursor c;
	} *request = (void *)fix->request;
	struct fakedrv_buf buf = FAKEDRV_OUT(request, sizeof(*request));

	request->h = (struct gpu_header){.type = type};
	request->c = *body;
	ck_assert_uint_eq(fakedrv_request(fix->drv, CURSOR, &buf, 1), 0);
}

struct search {
	const char *name;
	uint64_t value;
};

static void look(void *ctx, const char *name, uint64_t value)
{
	struct search *s = ctx;

	if (strcmp(name, s->name) == 0) {
		s->value = value;
	}
}

uint64_t gpufix_counter(const struct gpufix *fix, const char *name)
{
	struct vmm_virtio_device *dev = fakedrv_device(fix->drv);
	struct search s = {.name = name, .value = UINT64_MAX};

	dev->ops->counters(dev, look, &s);
	return s.value;
}
