/* SPDX-License-Identifier: MIT */
#include "gpu/channel_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

uint32_t vmm_gpu_items_next_id(struct items *items)
{
	/* Read pipes have the other half of the numbers. */
	if (items->last_id < XD_FIRST_ITEM - 1 || items->last_id == XD_READ_PIPE_START - 1) {
		items->last_id = XD_FIRST_ITEM - 1;
	}
	return ++items->last_id;
}

static struct item *add(struct items *items)
{
	if (items->count == GPU_ITEMS_MAX) {
		return NULL;
	}
	if (items->count == items->size) {
		unsigned size = items->size > 0 ? items->size * 2 : 8;
		struct item *list = realloc(items->list, size * sizeof(*list));

		if (!list) {
			return NULL;
		}
		items->list = list;
		items->size = size;
	}
	items->list[items->count] = (struct item){.id = vmm_gpu_items_next_id(items), .fd = -1};
	return &items->list[items->count++];
}

uint32_t vmm_gpu_items_add_file(struct items *items, int fd, uint64_t size)
{
	struct item *item = add(items);

	if (!item) {
		return 0;
	}
	item->fd = fd;
	item->size = size;
	return item->id;
}

uint32_t vmm_gpu_items_template(struct items *items, const struct xd_get_image *image,
				uint64_t size)
{
	struct item *item;

	for (unsigned i = 0; i < items->count; i++) {
		item = &items->list[i];
		if (item->width == image->width && item->height == image->height &&
		    item->fourcc == image->fourcc) {
			return item->id;
		}
	}
	item = add(items);
	if (!item) {
		return 0;
	}
	item->size = size;
	item->width = image->width;
	item->height = image->height;
	item->fourcc = image->fourcc;
	return item->id;
}

struct item *vmm_gpu_items_find(struct items *items, uint64_t id)
{
	for (unsigned i = 0; i < items->count; i++) {
		if (items->list[i].id == id) {
			return &items->list[i];
		}
	}
	return NULL;
}

void vmm_gpu_items_remove(struct items *items, struct item *item)
{
	*item = items->list[--items->count];
}

void vmm_gpu_items_clear(struct items *items, struct gpu_budget *budget)
{
	for (unsigned i = 0; i < items->count; i++) {
		if (items->list[i].fd >= 0) {
			(void)close(items->list[i].fd);
			vmm_gpu_budget_release(budget, items->list[i].size);
		}
	}
	free(items->list);
	*items = (struct items){0};
}
