/* SPDX-License-Identifier: MIT */
/*
 * virtio-gpu with two screens under a hostile driver, with a display that waits as it likes. Beyond
 * what devfuzz holds it to: what the host keeps for the guest is bounded, and all of it is gone
 * after a reset; the display is told of nothing outside of its pictures, and what it fetches from
 * them changes nothing but its own memory.
 */
#include <string.h>

#include <vmm/dev/gpu.h>

#include "devfuzz.h"
#include "gpu/gpu_priv.h"

#define MEMORY_MAX (256u << 10)
/* Pixels on a side that the display fetches at once: pictures may be as large as they like. */
#define FETCH 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the guest's memory behind its pictures, which no chain gives ---- */

int __real_vmm_gpu_backing_read(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
				void *dst, size_t len);
int __wrap_vmm_gpu_backing_read(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
				void *dst, size_t len);

int __wrap_vmm_gpu_backing_read(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
				void *dst, size_t len)
{
	int ret;

	judge_allow_reads(true);
	ret = __real_vmm_gpu_backing_read(gpu, b, offset, dst, len);
	judge_allow_reads(false);
	REQUIRE(ret < 0 || (offset <= b->len && len <= b->len - offset));
	return ret;
}

/* ---- the display ---- */

struct screen {
	struct vmm_display base;
	struct vmm_virtio_device *dev;
	uint8_t patience; /* bits: which presents are to be waited for */
	uint8_t pixels[FETCH * FETCH * 4 + 1];
	uint64_t memory;
	uint64_t resources;
};

static void fetch(struct screen *s, const struct vmm_display_source *source,
		  struct vmm_display_rect r)
{
	uint8_t *end = s->pixels + sizeof(s->pixels) - 1;

	r.width = r.width < FETCH ? r.width : FETCH;
	r.height = r.height < FETCH ? r.height : FETCH;
	*end = 0x5a;
	source->copy(source->ctx, &r, s->pixels, (size_t)r.width * 4);
	REQUIRE(*end == 0x5a);
}

static void screen_set(struct vmm_display *d, unsigned scanout)
{
	REQUIRE(scanout < 2);
	REQUIRE(d->pictures[scanout].width == 0 ||
		vmm_display_picture_valid(&d->pictures[scanout]));
}

static bool screen_present(struct vmm_display *d, unsigned scanout,
			   const struct vmm_display_rect *rects, unsigned count)
{
	const struct vmm_display_picture *p = &d->pictures[scanout];
	struct screen *s = (struct screen *)d;

	REQUIRE(p->width > 0 && count > 0);
	for (unsigned i = 0; i < count; i++) {
		const struct vmm_display_rect *r = &rects[i];

		REQUIRE(r->width > 0 && r->x < p->width && r->width <= p->width - r->x);
		REQUIRE(r->height > 0 && r->y < p->height && r->height <= p->height - r->y);
		fetch(s, &p->source, *r);
	}
	s->patience = (uint8_t)(s->patience << 1 | s->patience >> 7);
	return (s->patience & 1u) == 0;
}

static void screen_set_cursor(struct vmm_display *d, unsigned scanout,
			      const struct vmm_display_cursor *c)
{
	const struct vmm_display_rect all = {.width = c ? c->width : 0,
					     .height = c ? c->height : 0};

	REQUIRE(d->loop && scanout < VMM_DISPLAY_SCANOUTS_MAX);
	if (c) {
		REQUIRE(c->hot_x < c->width && c->hot_y < c->height);
		REQUIRE(c->width <= VMM_DISPLAY_CURSOR_MAX && c->height <= VMM_DISPLAY_CURSOR_MAX);
		fetch((struct screen *)d, &c->source, all);
	}
}

static const struct vmm_display_ops screen_ops = {
	.set = screen_set,
	.present = screen_present,
	.set_cursor = screen_set_cursor,
};

/* ---- the outside ---- */

static void look(void *ctx, const char *name, uint64_t value)
{
	struct screen *s = ctx;

	if (strcmp(name, "memory_bytes") == 0) {
		s->memory = value;
	} else if (strcmp(name, "resources") == 0) {
		s->resources = value;
	}
}

static void check_bounds(struct screen *s)
{
	s->dev->ops->counters(s->dev, look, s);
	REQUIRE(s->memory <= MEMORY_MAX && s->resources <= RESOURCES_MAX);
}

static void outside(void *ctx, struct fuzz_input *in)
{
	struct screen *s = ctx;
	uint8_t what = fuzz_u8(in);

	check_bounds(s);
	if ((what & 0x80u) != 0) {
		s->patience = fuzz_u8(in);
	} else if ((what & 0x40u) != 0) {
		vmm_display_resize(&s->base, what % 4u, fuzz_u16(in), fuzz_u16(in));
	} else {
		vmm_display_frame(&s->base, what % 4u);
	}
}

static void settle(void *ctx)
{
	struct screen *s = ctx;

	s->patience = 0;
	vmm_display_frame(&s->base, 0);
	vmm_display_frame(&s->base, 1);
	check_bounds(s);
}

static uint32_t command(struct fakedrv *drv, uint8_t *memory, const void *request, uint32_t len)
{
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(memory, len), FAKEDRV_IN(memory + 1024, 1024)};
	struct gpu_header answer;

	memcpy(memory, request, len);
	REQUIRE(fakedrv_request(drv, QUEUE_CONTROL, bufs, 2) >= sizeof(answer));
	memcpy(&answer, memory + 1024, sizeof(answer));
	REQUIRE(answer.fence_id == 7 && answer.flags == FLAG_FENCE);
	return answer.type;
}

/* A picture comes and goes, and nothing of what was before is left. */
static void serve(void *ctx, struct fakedrv *drv, uint8_t *memory)
{
	struct screen *s = ctx;
	struct {
		struct gpu_header h;
		struct gpu_create_2d c;
	} create = {.h = {.type = CMD_RESOURCE_CREATE_2D, .flags = FLAG_FENCE, .fence_id = 7},
		    .c = {.resource_id = 1, .format = 2, .width = 8, .height = 8}};
	struct {
		struct gpu_header h;
		struct gpu_resource_id id;
	} unref = {.h = {.type = CMD_RESOURCE_UNREF, .flags = FLAG_FENCE, .fence_id = 7},
		   .id = {.resource_id = 1}};

	check_bounds(s);
	REQUIRE(s->memory == 0 && s->resources == 0);
	REQUIRE(command(drv, memory, &create, sizeof(create)) == RESP_OK_NODATA);
	REQUIRE(command(drv, memory, &create, sizeof(create)) == RESP_ERR_INVALID_RESOURCE_ID);
	REQUIRE(command(drv, memory, &unref, sizeof(unref)) == RESP_OK_NODATA);
}

static struct devfuzz *create(struct screen *s)
{
	const struct vmm_gpu_config config = {
		.scanouts = 2, .display = &s->base, .memory_max = MEMORY_MAX};
	struct devfuzz_device device = {
		.drains = 3,
		.other = outside,
		.settle = settle,
		.serve = serve,
		.ctx = s,
	};

	s->base.ops = &screen_ops;
	REQUIRE(vmm_gpu_create(&s->dev, &config, NULL) == 0);
	device.dev = s->dev;
	return devfuzz_create(&device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct screen screen;
	static struct devfuzz *device;
	struct fuzz_input in = {data, size};

	if (!device) {
		device = create(&screen);
		/* What is kept for the guest is allocated when the guest wants it. */
		judge_rules(JUDGE_ALL & ~JUDGE_LOOP);
	}
	devfuzz_run(device, &in);
	return 0;
}
