/* SPDX-License-Identifier: MIT */
/* The shared memory regions that the fake driver sees. */
#include "fakedrv_priv.h"

#include <errno.h>
#include <sys/mman.h>

static struct shm_piece *find(struct fakedrv *drv, uint8_t id, uint64_t offset)
{
	for (unsigned i = 0; i < VMM_VIRTIO_SHM_MAPPINGS_MAX; i++) {
		struct shm_piece *p = &drv->shm[i];

		if (p->host && p->id == id && offset >= p->offset && offset - p->offset < p->len) {
			return p;
		}
	}
	return NULL;
}

static struct shm_piece *find_free(struct fakedrv *drv)
{
	for (unsigned i = 0; i < VMM_VIRTIO_SHM_MAPPINGS_MAX; i++) {
		if (!drv->shm[i].host) {
			return &drv->shm[i];
		}
	}
	fakedrv_die("more shared memory mappings than there may be");
}

static int shm_map(void *ctx, uint8_t id, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   bool writable)
{
	struct fakedrv *drv = ctx;
	struct shm_piece *p = find_free(drv);
	void *host;

	if (drv->shm_error) {
		return drv->shm_error;
	}
	if (find(drv, id, offset) || find(drv, id, offset + len - 1)) {
		fakedrv_die("shared memory mappings overlap");
	}
	host = mmap(NULL, len, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
		    (off_t)fd_offset);
	if (host == MAP_FAILED) {
		return -errno;
	}
	*p = (struct shm_piece){.id = id, .offset = offset, .len = len, .host = host};
	return 0;
}

static int shm_unmap(void *ctx, uint8_t id, uint64_t offset, uint64_t len)
{
	struct fakedrv *drv = ctx;
	struct shm_piece *p = find(drv, id, offset);

	if (!p || p->offset != offset || p->len != len) {
		fakedrv_die("no such shared memory mapping");
	}
	(void)munmap(p->host, len);
	p->host = NULL;
	return drv->shm_error;
}

const struct vmm_carrier_shm_ops fakedrv_shm_ops = {.map = shm_map, .unmap = shm_unmap};

void *fakedrv_shm(struct fakedrv *drv, uint8_t id, uint64_t offset, uint64_t len)
{
	const struct shm_piece *p = find(drv, id, offset);

	return p && len <= p->len - (offset - p->offset) ? (uint8_t *)p->host + (offset - p->offset)
							 : NULL;
}

unsigned fakedrv_shm_count(struct fakedrv *drv)
{
	unsigned count = 0;

	for (unsigned i = 0; i < VMM_VIRTIO_SHM_MAPPINGS_MAX; i++) {
		count += drv->shm[i].host != NULL;
	}
	return count;
}

void fakedrv_shm_fail(struct fakedrv *drv, int error)
{
	drv->shm_error = error;
}
