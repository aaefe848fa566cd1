/* SPDX-License-Identifier: MIT */
/*
 * Kicks: from the driver's write to a queue's notification address to the device on the loop's
 * thread. Both are joined by an eventfd for each queue. Usually the hypervisor writes to it without
 * leaving the kernel (ioeventfd); a write that comes as a register access all the same (before the
 * ioeventfd is there, while the BAR moves, through the PCI_CFG window, or because the hypervisor
 * refused the ioeventfd) does the same, so that no kick is lost at any change.
 *
 * ioeventfds exist only while the device is active, for the queues that the driver enabled: making
 * and removing one stops the hypervisor for a moment, and a driver that sizes BARs would make and
 * remove them all several times before it has one use for them.
 */
#include "pci/virtio_pci.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_kick(void *ctx, int fd, uint32_t events)
{
	struct vpci_queue *q = ctx;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
		vmm_carrier_kick(q->irq.vp->carrier, q->index);
	}
}

int vmm_vpci_kick_init(struct virtio_pci *vp, struct vmm_loop *loop)
{
	for (unsigned i = 0; i < vp->queue_count; i++) {
		struct vpci_queue *q = &vp->queues[i];
		int ret;

		q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->kick_fd < 0) {
			return -errno;
		}
		ret = vmm_loop_add_fd(loop, q->kick_fd, 0, on_kick, q, &q->source);
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

void vmm_vpci_kick_finish(struct virtio_pci *vp)
{
	for (unsigned i = 0; i < vp->queue_count; i++) {
		struct vpci_queue *q = &vp->queues[i];

		vmm_source_remove(q->source);
		if (q->kick_fd >= 0) {
			(void)close(q->kick_fd);
		}
	}
}

void vmm_vpci_kick(struct virtio_pci *vp, unsigned offset)
{
	unsigned queue = offset / VPCI_NOTIFY_STRIDE;
	uint64_t one = 1;

	/*
	 * The address alone says which queue: the value written is the same number in the
	 * driver's words and is not looked at, just as an ioeventfd does not.
	 */
	if (offset % VPCI_NOTIFY_STRIDE == 0 && queue < vp->queue_count) {
		/* EAGAIN: the counter is at its maximum, so a kick is under way already. */
		(void)!write(vp->queues[queue].kick_fd, &one, sizeof(one));
	}
}

/* Brings a queue's ioeventfd in line with the rest. kick_lock held. */
static void connect_queue(struct virtio_pci *vp, struct vpci_queue *q)
{
	const struct vmm_pci_platform *p = vmm_pci_host_platform(vp->fn.host);
	uint64_t gpa = vp->notify_gpa + (uint64_t)q->index * VPCI_NOTIFY_STRIDE;
	bool want = vp->active && vp->mapped && q->enabled;

	if (q->connected && !want) {
		(void)p->ops->ioeventfd(p->ctx, q->connected_gpa, 0, q->kick_fd, false);
		q->connected = false;
	}
	if (want && !q->connected) {
		/* Any length (0): the kernel then need not decode the instruction to see it. */
		int ret = p->ops->ioeventfd(p->ctx, gpa, 0, q->kick_fd, true);

		q->connected = ret == 0;
		q->connected_gpa = gpa;
		if (ret < 0) {
			vmm_log_guest(vp->log, &vp->limit,
				      "%s: notifications of queue %u take the slow path (error %d)",
				      vmm_carrier_id(vp->carrier), q->index, -ret);
		}
	}
}

static void connect_all(struct virtio_pci *vp)
{
	for (unsigned i = 0; i < vp->queue_count; i++) {
		connect_queue(vp, &vp->queues[i]);
	}
}

void vmm_vpci_kick_set_enabled(struct virtio_pci *vp, unsigned queue, bool enabled)
{
	(void)pthread_mutex_lock(&vp->kick_lock);
	vp->queues[queue].enabled = enabled;
	connect_queue(vp, &vp->queues[queue]);
	(void)pthread_mutex_unlock(&vp->kick_lock);
}

void vmm_vpci_kick_set_mapped(struct virtio_pci *vp, bool mapped, uint64_t notify_gpa)
{
	(void)pthread_mutex_lock(&vp->kick_lock);
	vp->mapped = mapped;
	vp->notify_gpa = notify_gpa;
	connect_all(vp);
	(void)pthread_mutex_unlock(&vp->kick_lock);
}

void vmm_vpci_kick_set_active(void *ctx, bool active)
{
	struct virtio_pci *vp = ctx;
	int ret = 0;

	(void)pthread_mutex_lock(&vp->kick_lock);
	vp->active = active;
	connect_all(vp);
	(void)pthread_mutex_unlock(&vp->kick_lock);
	/*
	 * A queue that is not enabled is watched too: the carrier ignores its kicks. Another
	 * process, if it reads the queues, waits for the descriptors itself.
	 */
	for (unsigned i = 0; i < vp->queue_count && ret == 0 && !vp->dev->external_queues; i++) {
		ret = vmm_source_set_events(vp->queues[i].source, active ? VMM_LOOP_READABLE : 0);
	}
	if (ret < 0) {
		vmm_virtio_fail(vp->dev, "the host cannot watch the queue's notifications");
	}
}
