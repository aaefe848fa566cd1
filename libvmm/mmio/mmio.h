/* SPDX-License-Identifier: MIT */
/*
 * virtio over memory-mapped registers (VIRTIO 1.2 section 4.2), version 2 only: a page of registers
 * and an interrupt line for each device, and no bus at which a guest could find them: tables or the
 * kernel's command line say where they are (machine/).
 *
 * The layer knows no hypervisor: see struct vmm_event_ops.
 */
#ifndef VMM_MMIO_MMIO_H
#define VMM_MMIO_MMIO_H

#include <vmm/bus.h>
#include <vmm/error.h>

#include "transport/transport.h"

#define VMM_VIRTIO_MMIO_SIZE 0x1000u /* bytes of a device's registers */

struct vmm_virtio_mmio;

struct vmm_virtio_mmio_config {
	const struct vmm_event_ops *events; /* borrowed, with ctx */
	void *events_ctx;
	struct vmm_bus *bus; /* borrowed: the registers are added to it */
	uint64_t base;       /* of the registers */
	/* Of an interrupt line that is this device's alone and edge-triggered. */
	unsigned gsi;
	/* Of the device's shared memory regions, in its order: where they are. */
	uint64_t shm[VMM_VIRTIO_SHM_MAX];
};

/*
 * Gives dev a place. Takes dev on success, with all its ties; on failure nothing has changed. No
 * access may be dispatched after vmm_virtio_mmio_destroy. Configuration time, loop's thread.
 * Errors: -EINVAL or -EBUSY (dev, as for a carrier), -EEXIST (the addresses are taken), -EMFILE,
 * -ENOMEM, those of irqfd.
 */
int vmm_virtio_mmio_create(struct vmm_virtio_mmio **out, struct vmm_virtio_device *dev,
			   const struct vmm_transport_device *device,
			   const struct vmm_virtio_mmio_config *config, struct vmm_error *err);
/* Destroys the device too. NULL is a no-op. Loop's thread, no vCPU runs. */
void vmm_virtio_mmio_destroy(struct vmm_virtio_mmio *m);
/* As after power-on. Loop's thread, no vCPU runs. */
void vmm_virtio_mmio_reset(struct vmm_virtio_mmio *m);

#endif
