/* SPDX-License-Identifier: MIT */
/*
 * Screens: which part of which resource is on each of them, and what the display is told of it.
 * A flush that wants to know when it is done is answered when the display takes the next picture.
 */
#include "gpu/gpu_priv.h"

#include <string.h>

static void copy_scanout(void *ctx, const struct vmm_display_rect *rect, void *dst, size_t stride)
{
	struct gpu_scanout *s = ctx;

	vmm_gpu_copy_rows(s->gpu, s->res, s->offset, s->stride, rect, dst, stride);
}

void vmm_gpu_scanout_frame(struct gpu *gpu, unsigned scanout)
{
	struct gpu_scanout *s = &gpu->scanouts[scanout];
	unsigned count = s->parked_count;

	s->parked_count = 0;
	for (unsigned i = 0; i < count; i++) {
		vmm_gpu_unpark(gpu, &s->parked[i]);
	}
}

static void turn_off(struct gpu *gpu, unsigned scanout)
{
	struct gpu_scanout *s = &gpu->scanouts[scanout];

	if (s->res) {
		vmm_display_set(gpu->display, scanout, NULL);
		s->res = NULL;
		vmm_gpu_scanout_frame(gpu, scanout);
	}
}

void vmm_gpu_scanouts_forget(struct gpu *gpu, const struct gpu_resource *res)
{
	for (unsigned i = 0; i < gpu->scanout_count; i++) {
		if (gpu->scanouts[i].res == res) {
			turn_off(gpu, i);
		}
	}
}

/* A screen as a request wants it: width x height pixels of res at offset. */
struct wanted {
	struct gpu_resource *res;
	uint32_t format;
	uint32_t stride;
	uint64_t offset;
	struct vmm_display_rect rect;
};

static uint32_t show(struct gpu *gpu, unsigned scanout, const struct wanted *want)
{
	struct gpu_scanout *s = &gpu->scanouts[scanout];
	struct vmm_display_picture picture = {
		.width = want->rect.width,
		.height = want->rect.height,
		.format = want->format,
		.source = {.copy = copy_scanout, .ctx = s},
	};

	if (!vmm_display_picture_valid(&picture)) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	if (s->res == want->res && s->format == want->format && s->stride == want->stride &&
	    s->offset == want->offset && memcmp(&s->rect, &want->rect, sizeof(s->rect)) == 0) {
		return RESP_OK_NODATA;
	}
	s->res = want->res;
	s->format = want->format;
	s->stride = want->stride;
	s->offset = want->offset;
	s->rect = want->rect;
	s->fresh = true;
	vmm_display_set(gpu->display, scanout, &picture);
	vmm_gpu_scanout_frame(gpu, scanout);
	return RESP_OK_NODATA;
}

uint32_t vmm_gpu_set_scanout(struct gpu *gpu, struct gpu_request *req)
{
	const struct gpu_set_scanout *set = &req->body.set_scanout;
	struct wanted want = {.rect = gpu_rect(&set->rect)};

	if (set->scanout_id >= gpu->scanout_count) {
		return RESP_ERR_INVALID_SCANOUT_ID;
	}
	if (set->resource_id == 0) {
		turn_off(gpu, set->scanout_id);
		return RESP_OK_NODATA;
	}
	want.res = vmm_gpu_resource_find(gpu, set->resource_id);
	if (!want.res || want.res->kind != GPU_2D) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!gpu_rect_inside(&set->rect, want.res->width, want.res->height)) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	want.format = want.res->format;
	want.stride = want.res->width * GPU_PIXEL;
	want.offset = (uint64_t)want.rect.y * want.stride + (uint64_t)want.rect.x * GPU_PIXEL;
	return show(gpu, set->scanout_id, &want);
}

uint32_t vmm_gpu_set_scanout_blob(struct gpu *gpu, struct gpu_request *req)
{
	const struct gpu_set_scanout_blob *set = &req->body.set_scanout_blob;
	struct wanted want = {.rect = gpu_rect(&set->rect)};
	uint64_t row = (uint64_t)set->width * GPU_PIXEL;
	uint64_t end;

	if (set->scanout_id >= gpu->scanout_count) {
		return RESP_ERR_INVALID_SCANOUT_ID;
	}
	if (set->resource_id == 0) {
		turn_off(gpu, set->scanout_id);
		return RESP_OK_NODATA;
	}
	want.res = vmm_gpu_resource_find(gpu, set->resource_id);
	if (!want.res || want.res->kind == GPU_2D) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	/* None of these is more than 2^32, so nothing wraps. */
	if (set->height == 0 || !gpu_rect_inside(&set->rect, set->width, set->height) ||
	    set->strides[0] < row) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	end = set->offsets[0] + (set->height - UINT64_C(1)) * set->strides[0] + row;
	if (end > want.res->size) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	want.format = set->format;
	want.stride = set->strides[0];
	want.offset = set->offsets[0] + (uint64_t)want.rect.y * want.stride +
		      (uint64_t)want.rect.x * GPU_PIXEL;
	return show(gpu, set->scanout_id, &want);
}

/* What of a screen has to be fetched again, as the display counts. */
static void find_damage(struct gpu_scanout *s, const struct vmm_display_rect *flushed,
			struct region *damage)
{
	struct region all = {.count = 1, .rects = {*flushed}};
	struct region seen = {0};

	if (s->fresh) {
		all.rects[0] = s->rect;
	} else if (s->res->kind == GPU_2D) {
		vmm_region_clear(&all);
		vmm_region_add_clipped(&all, &s->res->dirty, flushed);
	}
	vmm_region_add_clipped(&seen, &all, &s->rect);
	vmm_region_clear(damage);
	for (unsigned i = 0; i < seen.count; i++) {
		struct vmm_display_rect r = seen.rects[i];

		r.x -= s->rect.x;
		r.y -= s->rect.y;
		vmm_region_add(damage, &r);
	}
}

/* True: the flush should wait for the screen's next frame. */
static bool flush_scanout(struct gpu *gpu, unsigned scanout, const struct vmm_display_rect *flushed)
{
	struct gpu_scanout *s = &gpu->scanouts[scanout];
	struct region damage;

	find_damage(s, flushed, &damage);
	if (damage.count == 0) {
		return false;
	}
	s->fresh = false;
	gpu_count(&gpu->frames, 1);
	return !vmm_display_present(gpu->display, scanout, damage.rects, damage.count);
}

uint32_t vmm_gpu_flush(struct gpu *gpu, struct gpu_request *req)
{
	const struct gpu_flush *f = &req->body.flush;
	struct gpu_resource *res = vmm_gpu_resource_find(gpu, f->resource_id);
	struct vmm_display_rect rect = gpu_rect(&f->rect);
	struct gpu_scanout *wait = NULL;

	if (!res) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (res->kind == GPU_2D && !gpu_rect_inside(&f->rect, res->width, res->height)) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	for (unsigned i = 0; i < gpu->scanout_count; i++) {
		if (gpu->scanouts[i].res == res && flush_scanout(gpu, i, &rect)) {
			wait = &gpu->scanouts[i];
		}
	}
	vmm_region_drop_inside(&res->dirty, &rect);
	if (wait && (req->header.flags & FLAG_FENCE) != 0 && wait->parked_count < PARKED_MAX) {
		wait->parked[wait->parked_count++] = vmm_gpu_park(req);
		return ANSWERED;
	}
	return RESP_OK_NODATA;
}
