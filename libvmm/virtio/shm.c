/* SPDX-License-Identifier: MIT */
/*
 * What a device has mapped into its shared memory regions. The list is here, so that nobody else
 * need keep one to know that two mappings do not overlap, and that none outlives a reset.
 *
 * Some may be nobody's: those of a back end that is gone. A guest that used them goes on to do so
 * until it has learned of its loss, and would be stopped if they went; so they stay until something
 * else wants their place.
 */
#include "carrier_priv.h"

#include <errno.h>
#include <string.h>

/* Where a mapping of the region at offset stands in the list, or would. */
static unsigned find(const struct vmm_carrier *c, unsigned region, uint64_t offset)
{
	unsigned low = 0;
	unsigned high = c->mapping_count;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;
		const struct shm_mapping *m = &c->mappings[mid];

		if (m->region < region || (m->region == region && m->offset < offset)) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return low;
}

static int region_index(const struct vmm_virtio_device *dev, uint8_t id)
{
	for (unsigned i = 0; i < dev->shm_count; i++) {
		if (dev->shm[i].id == id) {
			return (int)i;
		}
	}
	return -EINVAL;
}

static int check_ready(const struct vmm_virtio_device *dev)
{
	const struct vmm_carrier *c = dev->carrier;

	if (!c || !(c->active || c->activating)) {
		return -ENOTCONN;
	}
	return c->shm ? 0 : -EOPNOTSUPP;
}

/* Whole pages inside of [0, limit). No sum here can wrap. */
static bool in_range(uint64_t offset, uint64_t len, uint64_t limit)
{
	return (offset | len) % VMM_VIRTIO_SHM_PAGE == 0 && len > 0 && offset < limit &&
	       len <= limit - offset;
}

/* The list is in order, so only its neighbours can reach into a new one at index. */
static bool is_free(const struct vmm_carrier *c, unsigned index, const struct shm_mapping *new)
{
	const struct shm_mapping *m;

	if (index < c->mapping_count) {
		m = &c->mappings[index];
		if (m->region == new->region && m->offset - new->offset < new->len) {
			return false;
		}
	}
	if (index > 0) {
		m = &c->mappings[index - 1];
		return m->region != new->region || new->offset - m->offset >= m->len;
	}
	return true;
}

static void remove_at(struct vmm_carrier *c, unsigned at)
{
	c->mapping_count--;
	memmove(&c->mappings[at], &c->mappings[at + 1],
		(c->mapping_count - at) * sizeof(c->mappings[0]));
}

/* Takes away what is nobody's and in the way of new. */
static void make_room(struct vmm_carrier *c, const struct shm_mapping *new)
{
	unsigned at = 0;

	while (c->orphans > 0 && at < c->mapping_count) {
		struct shm_mapping m = c->mappings[at];
		bool overlaps = m.region == new->region &&m.offset <
						    new->offset + new->len &&new->offset <
						    m.offset + m.len;

		if (m.orphan && (overlaps || c->mapping_count == VMM_VIRTIO_SHM_MAPPINGS_MAX)) {
			remove_at(c, at);
			c->orphans--;
			(void)c->shm->unmap(c->ctx, c->dev->shm[m.region].id, m.offset, m.len);
		} else {
			at++;
		}
	}
}

int vmm_virtio_shm_map(struct vmm_virtio_device *dev, uint8_t id, uint64_t offset, int fd,
		       uint64_t fd_offset, uint64_t len, bool writable)
{
	struct vmm_carrier *c = dev->carrier;
	int region = region_index(dev, id);
	struct shm_mapping new = {.region = (unsigned)region, .offset = offset, .len = len};
	unsigned at;
	int ret = region < 0 ? region : check_ready(dev);

	if (ret < 0) {
		return ret;
	}
	if (!in_range(offset, len, dev->shm[region].len) ||
	    !in_range(fd_offset, len, (uint64_t)INT64_MAX + 1)) {
		return -EINVAL;
	}
	make_room(c, &new);
	at = find(c, new.region, offset);
	if (!is_free(c, at, &new)) {
		return -EEXIST;
	}
	if (c->mapping_count == VMM_VIRTIO_SHM_MAPPINGS_MAX) {
		return -ENOSPC;
	}
	ret = c->shm->map(c->ctx, id, offset, fd, fd_offset, len, writable);
	if (ret < 0) {
		return ret;
	}
	memmove(&c->mappings[at + 1], &c->mappings[at],
		(c->mapping_count - at) * sizeof(c->mappings[0]));
	c->mappings[at] = new;
	c->mapping_count++;
	return 0;
}

int vmm_virtio_shm_unmap(struct vmm_virtio_device *dev, uint8_t id, uint64_t offset, uint64_t len)
{
	struct vmm_carrier *c = dev->carrier;
	int region = region_index(dev, id);
	struct shm_mapping *m;
	unsigned at;
	int ret = region < 0 ? region : check_ready(dev);

	if (ret < 0) {
		return ret;
	}
	at = find(c, (unsigned)region, offset);
	m = &c->mappings[at];
	if (at == c->mapping_count || m->region != (unsigned)region || m->offset != offset ||
	    m->len != len || m->orphan) {
		return -ENOENT;
	}
	remove_at(c, at);
	return c->shm->unmap(c->ctx, id, offset, len);
}

void vmm_virtio_shm_orphan_all(struct vmm_virtio_device *dev)
{
	struct vmm_carrier *c = dev->carrier;

	for (unsigned i = 0; c && i < c->mapping_count; i++) {
		c->mappings[i].orphan = true;
		c->orphans = i + 1;
	}
}

void vmm_carrier_unmap_all(struct vmm_carrier *c)
{
	c->orphans = 0;
	while (c->mapping_count > 0) {
		const struct shm_mapping *m = &c->mappings[--c->mapping_count];

		(void)c->shm->unmap(c->ctx, c->dev->shm[m->region].id, m->offset, m->len);
	}
}
