/* SPDX-License-Identifier: MIT */
/*
 * The cursor queue (VIRTIO 1.3 section 5.7.6.10). Its requests have no answer. Where the pointer is
 * does not matter here: whoever shows the screen has one of his own, which only takes another look.
 */
#include "gpu/gpu_priv.h"

struct picture {
	struct gpu *gpu;
	const struct gpu_resource *res;
};

static void copy_cursor(void *ctx, const struct vmm_display_rect *rect, void *dst, size_t stride)
{
	const struct picture *p = ctx;

	vmm_gpu_copy_rows(p->gpu, p->res, 0, (size_t)p->res->width * GPU_PIXEL, rect, dst, stride);
}

static void update(struct gpu *gpu, const struct gpu_cursor *c)
{
	struct picture picture = {.gpu = gpu};
	struct vmm_display_cursor cursor = {
		.hot_x = c->hot_x,
		.hot_y = c->hot_y,
		.source = {.copy = copy_cursor, .ctx = &picture},
	};

	if (c->resource_id == 0) {
		vmm_display_set_cursor(gpu->display, c->scanout_id, NULL);
		return;
	}
	picture.res = vmm_gpu_resource_find(gpu, c->resource_id);
	if (!picture.res || picture.res->kind != GPU_2D) {
		gpu_count(&gpu->errors, 1);
		return;
	}
	cursor.width = picture.res->width;
	cursor.height = picture.res->height;
	cursor.format = picture.res->format;
	vmm_display_set_cursor(gpu->display, c->scanout_id, &cursor);
}

void vmm_gpu_cursor_request(struct gpu *gpu, const struct vmm_chain *chain)
{
	struct gpu_header header;
	struct gpu_cursor c;
	struct vmm_reader r;

	vmm_chain_reader(chain, &r);
	if (vmm_reader_get(&r, &header, sizeof(header)) != 0 ||
	    vmm_reader_get(&r, &c, sizeof(c)) != 0 || c.scanout_id >= gpu->scanout_count) {
		gpu_count(&gpu->errors, 1);
		return;
	}
	if (header.type == CMD_UPDATE_CURSOR) {
		update(gpu, &c);
	} else if (header.type != CMD_MOVE_CURSOR) {
		gpu_count(&gpu->errors, 1);
	}
}
