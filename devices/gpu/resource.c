/* SPDX-License-Identifier: MIT */
/*
 * The guest's resources, found by the numbers that it gives them, and the guest memory behind them.
 * Whatever the host keeps for a resource is charged first, so that a guest cannot make it keep more
 * than it may; a resource that goes takes everything with it.
 */
#include "gpu/gpu_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is kept ---- */

bool vmm_gpu_charge(struct gpu *gpu, uint64_t bytes)
{
	if (bytes > gpu->memory_max - gpu->memory) {
		return false;
	}
	gpu_count(&gpu->memory, bytes);
	return true;
}

void vmm_gpu_uncharge(struct gpu *gpu, uint64_t bytes)
{
	(void)__atomic_fetch_sub(&gpu->memory, bytes, __ATOMIC_RELAXED);
}

/* ---- guest memory ---- */

static uint64_t entries_size(uint32_t count)
{
	return (uint64_t)count * sizeof(struct gpu_entry);
}

static uint32_t take_entries(struct gpu *gpu, struct gpu_backing *b, struct vmm_reader *r,
			     uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct gpu_mem_entry e;

		if (vmm_reader_get(r, &e, sizeof(e)) != 0) {
			return RESP_ERR_UNSPEC;
		}
		if (vmm_mem_check(gpu->active.mem, e.addr, e.length) != 0) {
			return RESP_ERR_INVALID_PARAMETER;
		}
		b->len += e.length;
		b->entries[i] = (struct gpu_entry){.addr = e.addr, .end = b->len};
	}
	return 0;
}

uint32_t vmm_gpu_backing_attach(struct gpu *gpu, struct gpu_backing *b, struct vmm_reader *r,
				uint32_t count)
{
	uint32_t answer;

	memset(b, 0, sizeof(*b));
	/* Before anything is allocated: the entries are there, all of them. */
	if (count == 0 || count > vmm_reader_left(r) / sizeof(struct gpu_mem_entry)) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	if (!vmm_gpu_charge(gpu, entries_size(count))) {
		return RESP_ERR_OUT_OF_MEMORY;
	}
	b->count = count;
	b->entries = malloc(entries_size(count));
	answer = b->entries ? take_entries(gpu, b, r, count) : RESP_ERR_OUT_OF_MEMORY;
	if (answer != 0) {
		vmm_gpu_backing_free(gpu, b);
	}
	return answer;
}

void vmm_gpu_backing_free(struct gpu *gpu, struct gpu_backing *b)
{
	vmm_gpu_uncharge(gpu, entries_size(b->count));
	free(b->entries);
	memset(b, 0, sizeof(*b));
}

/* The entry in which the byte at offset lies; offset < b->len. */
static uint32_t find_entry(const struct gpu_backing *b, uint64_t offset)
{
	uint32_t low = 0;
	uint32_t high = b->count - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (b->entries[middle].end <= offset) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* One of dst and src is NULL. */
static int move(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset, uint8_t *dst,
		const uint8_t *src, size_t len)
{
	if (offset > b->len || len > b->len - offset) {
		return -EFAULT;
	}
	for (uint32_t i = len > 0 ? find_entry(b, offset) : 0; len > 0; i++) {
		const struct gpu_entry *e = &b->entries[i];
		uint64_t start = i > 0 ? b->entries[i - 1].end : 0;
		uint64_t left = e->end - offset;
		size_t piece = len < left ? len : (size_t)left;
		vmm_gpa addr = e->addr + (offset - start);
		int ret = dst ? vmm_mem_read(gpu->active.mem, addr, dst, piece)
			      : vmm_mem_write(gpu->active.mem, addr, src, piece);

		if (ret < 0) {
			return ret;
		}
		dst = dst ? dst + piece : NULL;
		src = src ? src + piece : NULL;
		offset += piece;
		len -= piece;
	}
	return 0;
}

int vmm_gpu_backing_read(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset, void *dst,
			 size_t len)
{
	return move(gpu, b, offset, dst, NULL, len);
}

int vmm_gpu_backing_write(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
			  const void *src, size_t len)
{
	return move(gpu, b, offset, NULL, src, len);
}

/* ---- the table ---- */

static struct gpu_resource **bucket(struct gpu *gpu, uint32_t id)
{
	return &gpu->resources[id % RESOURCE_BUCKETS];
}

struct gpu_resource *vmm_gpu_resource_find(struct gpu *gpu, uint32_t id)
{
	struct gpu_resource *res = *bucket(gpu, id);

	while (res && res->id != id) {
		res = res->next;
	}
	return res;
}

uint32_t vmm_gpu_resource_add(struct gpu *gpu, uint32_t id, enum gpu_kind kind,
			      struct gpu_resource **out)
{
	struct gpu_resource *res;

	if (id == 0 || vmm_gpu_resource_find(gpu, id)) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (gpu->resource_count >= RESOURCES_MAX || !vmm_gpu_charge(gpu, sizeof(*res))) {
		return RESP_ERR_OUT_OF_MEMORY;
	}
	res = calloc(1, sizeof(*res));
	if (!res) {
		vmm_gpu_uncharge(gpu, sizeof(*res));
		return RESP_ERR_OUT_OF_MEMORY;
	}
	res->id = id;
	res->kind = kind;
	res->fd = -1;
	res->next = *bucket(gpu, id);
	*bucket(gpu, id) = res;
	gpu_count(&gpu->resource_count, 1);
	*out = res;
	return 0;
}

void vmm_gpu_resource_remove(struct gpu *gpu, struct gpu_resource *res)
{
	struct gpu_resource **at = bucket(gpu, res->id);

	vmm_gpu_scanouts_forget(gpu, res);
	if (gpu->contexts) {
		vmm_gpu_contexts_forget(gpu, res);
	}
	while (*at != res) {
		at = &(*at)->next;
	}
	*at = res->next;
	if (res->image) {
		vmm_gpu_uncharge(gpu, res->size);
		free(res->image);
	}
	vmm_gpu_backing_free(gpu, &res->backing);
	(void)__atomic_fetch_sub(&gpu->resource_count, 1, __ATOMIC_RELAXED);
	vmm_gpu_uncharge(gpu, sizeof(*res));
	free(res);
}

void vmm_gpu_resource_remove_all(struct gpu *gpu)
{
	for (unsigned i = 0; i < RESOURCE_BUCKETS; i++) {
		while (gpu->resources[i]) {
			vmm_gpu_resource_remove(gpu, gpu->resources[i]);
		}
	}
}
