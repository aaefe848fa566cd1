/* SPDX-License-Identifier: MIT */
/* Private: each device's shape, defined beside the device, which is made from it. */
#ifndef VMM_DEVICES_SHAPES_H
#define VMM_DEVICES_SHAPES_H

#include <vmm/dev/shape.h>

struct vmm_virtio_device;

extern const struct vmm_dev_shape vmm_blk_shape;
extern const struct vmm_dev_shape vmm_console_shape;
extern const struct vmm_dev_shape vmm_gpu_shape;
extern const struct vmm_dev_shape vmm_net_shape;
extern const struct vmm_dev_shape vmm_rng_shape;

/* Fills what dev has in common with every device of its kind. */
void vmm_dev_shape_apply(const struct vmm_dev_shape *shape, struct vmm_virtio_device *dev);

#endif
