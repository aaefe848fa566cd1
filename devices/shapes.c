/* SPDX-License-Identifier: MIT */
#include "shapes.h"

#include <string.h>

#include <vmm/virtio.h>

void vmm_dev_shape_apply(const struct vmm_dev_shape *shape, struct vmm_virtio_device *dev)
{
	dev->name = shape->kind;
	dev->device_id = shape->device_id;
	dev->queue_count = shape->queue_count;
	dev->queue_sizes = shape->queue_sizes;
	dev->config_len = shape->config_len;
	dev->shm = shape->shm;
	dev->shm_count = shape->shm_count;
}

const struct vmm_dev_shape *vmm_dev_shape_find(const char *kind)
{
	const struct vmm_dev_shape *const all[] = {
		&vmm_blk_shape,   &vmm_console_shape, &vmm_gpu_shape,
		&vmm_input_shape, &vmm_net_shape,     &vmm_rng_shape,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(all[i]->kind, kind) == 0) {
			return all[i];
		}
	}
	return NULL;
}
