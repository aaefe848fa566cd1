/* SPDX-License-Identifier: MIT */
/* A device that maps two pages of a file at the ends of its shared memory region. */
#ifndef TESTS_GUEST_SHMDEV_H
#define TESTS_GUEST_SHMDEV_H

#include <vmm/virtio.h>

struct shmdev {
	struct vmm_virtio_device base;
	int file;
	int maps; /* what the last map said */
	unsigned resets;
};

/* dev stays the caller's memory; finish when the VM is gone. */
void shmdev_init(struct shmdev *dev);
void shmdev_finish(struct shmdev *dev);
/* 8 bytes of the file. */
uint64_t shmdev_get(const struct shmdev *dev, unsigned offset);

#endif
