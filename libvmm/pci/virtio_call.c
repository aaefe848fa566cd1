/* SPDX-License-Identifier: MIT */
/*
 * Calls: from the device to an interrupt. A device of this process raises it by a function call. A
 * device in another process writes to the eventfd of the queue's MSI-X vector, which the hypervisor
 * turns into the message without anybody here being awake; while the queue has no vector (the
 * driver polls the ISR) it writes to an eventfd that the loop reads.
 */
#include "pci/virtio_pci.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * The ISR's configuration bit is set in any case, its queue bit only when there is no MSI-X
 * (section 4.1.4.5.1), for drivers that poll.
 */
static void raise_irq(struct vmm_irq *base)
{
	struct vpci_irq *irq = (struct vpci_irq *)base;
	struct virtio_pci *vp = irq->vp;

	if (irq->isr_bit == VMM_ISR_CONFIG || !vmm_pci_msix_enabled(vp->msix)) {
		__atomic_fetch_or(&vp->isr, irq->isr_bit, __ATOMIC_ACQ_REL);
	}
	/* NO_VECTOR is none that msix has. */
	vmm_pci_msix_raise(vp->msix, __atomic_load_n(&irq->vector, __ATOMIC_ACQUIRE));
}

static int irq_eventfd(struct vmm_irq *base)
{
	const struct vpci_irq *irq = (const struct vpci_irq *)base;
	const struct vmm_pci_msix *msix = irq->vp->msix;
	int fd = -1;

	if (vmm_pci_msix_enabled(msix)) {
		fd = vmm_pci_msix_eventfd(msix, __atomic_load_n(&irq->vector, __ATOMIC_ACQUIRE));
	}
	return fd < 0 ? irq->poll_fd : fd;
}

void vmm_vpci_call_init(struct virtio_pci *vp, struct vpci_irq *irq, uint8_t isr_bit)
{
	irq->base.raise = raise_irq;
	irq->base.eventfd = irq_eventfd;
	irq->vp = vp;
	irq->isr_bit = isr_bit;
	irq->vector = VPCI_NO_VECTOR;
	irq->poll_fd = -1;
}

static void on_poll_fd(void *ctx, int fd, uint32_t events)
{
	struct vpci_irq *irq = ctx;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
		raise_irq(&irq->base);
	}
}

static void tell_device(void *ctx)
{
	struct virtio_pci *vp = ctx;

	vmm_carrier_irqs_changed(vp->transport.carrier);
}

int vmm_vpci_call_start(struct virtio_pci *vp)
{
	vp->calls_changed = (struct vmm_work){.fn = tell_device, .ctx = vp};
	for (unsigned i = 0; vp->transport.dev->external_queues && i < vp->transport.queue_count;
	     i++) {
		struct vpci_irq *irq = &vp->irqs[i];
		int ret;

		irq->poll_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (irq->poll_fd < 0) {
			return -errno;
		}
		ret = vmm_loop_add_fd(vp->transport.loop, irq->poll_fd, VMM_LOOP_READABLE,
				      on_poll_fd, irq, &irq->source);
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

void vmm_vpci_call_finish(struct virtio_pci *vp)
{
	vmm_loop_cancel(vp->transport.loop, &vp->calls_changed);
	for (unsigned i = 0; i < vp->transport.queue_count; i++) {
		struct vpci_irq *irq = &vp->irqs[i];

		vmm_source_remove(irq->source);
		if (irq->poll_fd >= 0) {
			(void)close(irq->poll_fd);
		}
	}
}

void vmm_vpci_calls_changed(struct virtio_pci *vp)
{
	if (vp->transport.dev->external_queues) {
		vmm_loop_post(vp->transport.loop, &vp->calls_changed);
	}
}
