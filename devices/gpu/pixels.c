/* SPDX-License-Identifier: MIT */
/*
 * From guest memory to a picture. A transfer only notes which part has changed: the pixels are
 * fetched when somebody shows them. A guest whose transfers take them from elsewhere than where
 * they stand in the picture, or that takes the memory away, gets a copy of the picture in this
 * process.
 */
#include "gpu/gpu_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t row_bytes(const struct gpu_resource *res)
{
	return (size_t)res->width * GPU_PIXEL;
}

/* Bytes of a resource; what is not there any more leaves dst as it is. */
static void read_bytes(struct gpu *gpu, const struct gpu_resource *res, uint64_t offset, void *dst,
		       size_t len)
{
	if (res->image) {
		memcpy(dst, res->image + offset, len);
	} else if (res->kind == GPU_BLOB_HOST) {
		if (offset > res->size || len > res->size - offset ||
		    pread(res->fd, dst, len, (off_t)offset) < 0) {
			return;
		}
	} else if (vmm_gpu_backing_read(gpu, &res->backing, offset, dst, len) < 0) {
		return;
	}
	gpu_count(&gpu->copied_bytes, len);
}

void vmm_gpu_copy_rows(struct gpu *gpu, const struct gpu_resource *res, uint64_t offset,
		       size_t from, const struct vmm_display_rect *rect, void *dst, size_t to)
{
	size_t len = (size_t)rect->width * GPU_PIXEL;
	uint8_t *row = dst;

	offset += (uint64_t)rect->y * from + (uint64_t)(size_t)rect->x * GPU_PIXEL;
	if (len == from && len == to) {
		read_bytes(gpu, res, offset, row, len * rect->height);
		return;
	}
	for (uint32_t i = 0; i < rect->height; i++) {
		read_bytes(gpu, res, offset, row, len);
		offset += from;
		row += to;
	}
}

/* ---- pictures that are kept here ---- */

uint32_t vmm_gpu_keep_image(struct gpu *gpu, struct gpu_resource *res)
{
	struct vmm_display_rect row = {.width = res->width, .height = 1};
	uint8_t *image;

	if (res->image) {
		return 0;
	}
	if (!vmm_gpu_charge(gpu, res->size)) {
		return RESP_ERR_OUT_OF_MEMORY;
	}
	image = calloc(1, res->size);
	if (!image) {
		vmm_gpu_uncharge(gpu, res->size);
		return RESP_ERR_OUT_OF_MEMORY;
	}
	for (; row.y < res->height && res->written; row.y++) {
		vmm_gpu_copy_rows(gpu, res, 0, row_bytes(res), &row, image + row.y * row_bytes(res),
				  row_bytes(res));
	}
	res->image = image;
	return 0;
}

static uint32_t transfer_rows(struct gpu *gpu, struct gpu_resource *res,
			      const struct gpu_rect *rect, uint64_t offset)
{
	uint32_t answer = vmm_gpu_keep_image(gpu, res);
	size_t len = (size_t)rect->width * GPU_PIXEL;

	for (uint32_t i = 0; answer == 0 && i < rect->height; i++) {
		uint8_t *row =
			res->image + (rect->y + i) * row_bytes(res) + (size_t)rect->x * GPU_PIXEL;

		(void)vmm_gpu_backing_read(gpu, &res->backing, offset + i * row_bytes(res), row,
					   len);
		gpu_count(&gpu->copied_bytes, len);
	}
	return answer;
}

uint32_t vmm_gpu_transfer_2d(struct gpu *gpu, struct gpu_request *req)
{
	const struct gpu_transfer_2d *t = &req->body.transfer_2d;
	struct gpu_resource *res = vmm_gpu_resource_find(gpu, t->resource_id);
	struct vmm_display_rect rect = gpu_rect(&t->rect);
	uint64_t usual;
	uint64_t len;
	uint32_t answer = 0;

	if (!res) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (res->kind != GPU_2D) {
		return RESP_OK_NODATA; /* a blob is what it is: there is nothing to transfer */
	}
	if (!gpu_rect_inside(&t->rect, res->width, res->height)) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	if (!res->backing.entries) {
		return RESP_ERR_UNSPEC;
	}
	if (rect.width == 0 || rect.height == 0) {
		return RESP_OK_NODATA;
	}
	usual = rect.y * (uint64_t)row_bytes(res) + (uint64_t)rect.x * GPU_PIXEL;
	len = (rect.height - 1) * (uint64_t)row_bytes(res) + rect.width * (uint64_t)GPU_PIXEL;
	if (t->offset > res->backing.len || len > res->backing.len - t->offset) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	if (res->image || t->offset != usual) {
		answer = transfer_rows(gpu, res, &t->rect, t->offset);
	}
	if (answer == 0) {
		res->written = true;
		vmm_region_add(&res->dirty, &rect);
	}
	return answer == 0 ? RESP_OK_NODATA : answer;
}
