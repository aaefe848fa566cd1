/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int vmm_transport_check(const struct vmm_virtio_device *dev, uint32_t device_id_max,
			struct vmm_error *err)
{
	if (dev->queue_count > VMM_VIRTIO_QUEUES_MAX || dev->device_id == 0 ||
	    dev->device_id > device_id_max || dev->shm_count > VMM_VIRTIO_SHM_MAX) {
		return vmm_error_set(err, -EINVAL,
				     "%s: no virtio device has %u queues, id %u and %u shared "
				     "memory regions",
				     dev->name, dev->queue_count, dev->device_id, dev->shm_count);
	}
	return 0;
}

void vmm_transport_finish(struct vmm_transport *t)
{
	vmm_transport_kick_finish(t);
	vmm_transport_shm_finish(t);
	free(t->queues);
	(void)pthread_mutex_destroy(&t->kick_lock);
	(void)pthread_mutex_destroy(&t->lock);
}

int vmm_transport_init(struct vmm_transport *t, struct vmm_virtio_device *dev,
		       const struct vmm_transport_config *config, struct vmm_error *err)
{
	int ret;

	*t = (struct vmm_transport){
		.dev = dev,
		.loop = config->device->loop,
		.log = config->device->log,
		.events = config->events,
		.events_ctx = config->events_ctx,
		.notify_stride = config->notify_stride,
		.queue_count = dev->queue_count,
	};
	(void)pthread_mutex_init(&t->lock, NULL);
	(void)pthread_mutex_init(&t->kick_lock, NULL);
	/* One more than there may be need for: a device may have no queue at all. */
	t->queues = calloc(t->queue_count + 1u, sizeof(t->queues[0]));
	ret = t->queues ? vmm_transport_kick_init(t) : -ENOMEM;
	if (ret < 0) {
		vmm_transport_finish(t);
		return vmm_error_wrap(err, ret, "%s: cannot make its event descriptors", dev->name);
	}
	ret = vmm_transport_shm_init(t, err);
	if (ret < 0) {
		vmm_transport_finish(t);
	}
	return ret;
}

int vmm_transport_carry(struct vmm_transport *t, const struct vmm_transport_device *device,
			struct vmm_irq *config_irq, struct vmm_irq *const *irqs,
			struct vmm_error *err)
{
	int kick_fds[VMM_VIRTIO_QUEUES_MAX];
	struct vmm_carrier_config config = {
		.mem = device->mem,
		.loop = device->loop,
		.log = device->log,
		.id = device->id,
		.config_irq = config_irq,
		.queue_irqs = irqs,
		.kick_fds = kick_fds,
		.on_active = vmm_transport_set_active,
		.shm = vmm_transport_shm_ops(t),
		.ctx = t,
	};

	for (unsigned i = 0; i < t->queue_count; i++) {
		kick_fds[i] = t->queues[i].kick_fd;
	}
	return vmm_carrier_create(&t->carrier, t->dev, &config, err);
}

uint64_t vmm_transport_config_read(struct vmm_transport *t, size_t offset, unsigned len)
{
	uint8_t bytes[8] = {0};
	uint64_t value = 0;

	vmm_carrier_read_config(t->carrier, offset, bytes, len);
	for (unsigned i = 0; i < len; i++) {
		value |= (uint64_t)bytes[i] << (8 * i);
	}
	return value;
}

void vmm_transport_config_write(struct vmm_transport *t, size_t offset, unsigned len,
				uint64_t value)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < len; i++) {
		bytes[i] = (uint8_t)(value >> (8 * i));
	}
	vmm_carrier_write_config(t->carrier, offset, bytes, len);
}
