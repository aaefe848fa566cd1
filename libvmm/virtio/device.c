/* SPDX-License-Identifier: MIT */
/*
 * What a device says to whoever carries it.
 */
#include "carrier_priv.h"

#include <errno.h>
#include <string.h>

int vmm_virtio_config_update(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			     size_t len)
{
	if (offset > dev->config_len || len > dev->config_len - offset) {
		return -EINVAL;
	}
	if (dev->carrier) {
		vmm_carrier_update_config(dev->carrier, offset, bytes, len);
	} else {
		memcpy(dev->config + offset, bytes, len);
	}
	return 0;
}

void vmm_virtio_fail(struct vmm_virtio_device *dev, const char *why)
{
	if (dev->carrier) {
		vmm_carrier_fail(dev->carrier, why);
	}
}

void vmm_virtio_device_destroy(struct vmm_virtio_device *dev)
{
	if (dev && dev->ops->destroy) {
		dev->ops->destroy(dev);
	}
}
