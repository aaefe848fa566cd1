/* SPDX-License-Identifier: MIT */
#include "shmdev.h"

#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm.h"

/* The file: a page for each end, and one that is mapped read-only. */
#define PAGES 3

static int activate(struct vmm_virtio_device *base, const struct vmm_virtio_active *active)
{
	struct shmdev *dev = (struct shmdev *)base;

	(void)active;
	dev->maps = vmm_virtio_shm_map(base, SHM_ID, SHM_FIRST, dev->file, 0, SHM_PAGE, true);
	if (dev->maps == 0) {
		dev->maps = vmm_virtio_shm_map(base, SHM_ID, SHM_LAST, dev->file, SHM_PAGE,
					       SHM_PAGE, true);
	}
	if (dev->maps == 0) {
		dev->maps = vmm_virtio_shm_map(base, SHM_ID, SHM_READ_ONLY, dev->file, 2 * SHM_PAGE,
					       SHM_PAGE, false);
	}
	return dev->maps;
}

static void notify(struct vmm_virtio_device *base, unsigned queue)
{
	(void)base;
	(void)queue;
}

static void reset(struct vmm_virtio_device *base)
{
	((struct shmdev *)base)->resets++;
}

void shmdev_init(struct shmdev *dev)
{
	static const struct vmm_virtio_ops ops = {
		.activate = activate,
		.notify = notify,
		.reset = reset,
	};
	static const struct vmm_virtio_shm shm[] = {{.id = SHM_ID, .len = SHM_LENGTH}};
	static const uint16_t sizes[] = {8};
	static const uint64_t words[] = {0x1111, 0x2222};

	memset(dev, 0, sizeof(*dev));
	dev->base.ops = &ops;
	dev->base.name = "shm";
	dev->base.device_id = VMM_VIRTIO_ID_GPU;
	dev->base.queue_count = 1;
	dev->base.queue_sizes = sizes;
	dev->base.shm = shm;
	dev->base.shm_count = 1;
	dev->file = memfd_create("shm", MFD_CLOEXEC);
	ck_assert_int_ge(dev->file, 0);
	ck_assert_int_eq(ftruncate(dev->file, PAGES * SHM_PAGE), 0);
	ck_assert_int_eq(pwrite(dev->file, &words[0], 8, 0), 8);
	ck_assert_int_eq(pwrite(dev->file, &words[1], 8, 2 * SHM_PAGE - 8), 8);
}

void shmdev_finish(struct shmdev *dev)
{
	(void)close(dev->file);
}

uint64_t shmdev_get(const struct shmdev *dev, unsigned offset)
{
	uint64_t word;

	ck_assert_int_eq(pread(dev->file, &word, 8, offset), 8);
	return word;
}
