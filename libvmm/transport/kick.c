/* SPDX-License-Identifier: MIT */
/*
 * Kicks: from the driver's write to a queue's notification address to the device on the loop's
 * thread. Both are joined by an eventfd for each queue. Usually the hypervisor writes to it without
 * leaving the kernel (ioeventfd); a write that comes as a register access all the same (before the
 * ioeventfd is there, while a BAR moves, through virtio-pci's PCI_CFG window, or because the
 * hypervisor refused the ioeventfd) does the same, so that no kick is lost at any change.
 *
 * ioeventfds exist only while the device is active, for the queues that the driver enabled: making
 * and removing one stops the hypervisor for a moment, and a driver that sizes BARs would make and
 * remove them all several times before it has one use for them.
 */
#include "transport/transport.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_kick(void *ctx, int fd, uint32_t events)
{
	struct vmm_transport_queue *q = ctx;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
		vmm_carrier_kick(q->transport->carrier, q->index);
	}
}

int vmm_transport_kick_init(struct vmm_transport *t)
{
	for (unsigned i = 0; i < t->queue_count; i++) {
		t->queues[i] =
			(struct vmm_transport_queue){.transport = t, .index = i, .kick_fd = -1};
	}
	for (unsigned i = 0; i < t->queue_count; i++) {
		struct vmm_transport_queue *q = &t->queues[i];
		int ret;

		q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->kick_fd < 0) {
			return -errno;
		}
		ret = vmm_loop_add_fd(t->loop, q->kick_fd, 0, on_kick, q, &q->source);
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

void vmm_transport_kick_finish(struct vmm_transport *t)
{
	for (unsigned i = 0; t->queues && i < t->queue_count; i++) {
		struct vmm_transport_queue *q = &t->queues[i];

		vmm_source_remove(q->source);
		if (q->kick_fd >= 0) {
			(void)close(q->kick_fd);
		}
	}
}

void vmm_transport_kick(struct vmm_transport *t, uint32_t queue)
{
	uint64_t one = 1;

	if (queue < t->queue_count) {
		/* EAGAIN: the counter is at its maximum, so a kick is under way already. */
		(void)!write(t->queues[queue].kick_fd, &one, sizeof(one));
	}
}

static struct vmm_doorbell doorbell(const struct vmm_transport *t, unsigned queue)
{
	struct vmm_doorbell bell = {.gpa = t->notify_gpa + (uint64_t)queue * t->notify_stride};

	/* Where the address says which queue, any write will do (len 0): the kernel then need not
	 * decode the instruction to see it. */
	if (t->notify_stride == 0) {
		bell.len = sizeof(bell.value);
		bell.value = queue;
	}
	return bell;
}

/* Brings a queue's ioeventfd in line with the rest. kick_lock held. */
static void connect_queue(struct vmm_transport *t, struct vmm_transport_queue *q)
{
	bool want = t->active && t->reachable && q->enabled;

	if (q->connected && !want) {
		(void)t->events->ioeventfd(t->events_ctx, &q->bell, q->kick_fd, false);
		q->connected = false;
	}
	if (want && !q->connected) {
		int ret;

		q->bell = doorbell(t, q->index);
		ret = t->events->ioeventfd(t->events_ctx, &q->bell, q->kick_fd, true);
		q->connected = ret == 0;
		if (ret < 0) {
			vmm_log_guest(t->log, &t->limit,
				      "%s: notifications of queue %u take the slow path (error %d)",
				      vmm_carrier_id(t->carrier), q->index, -ret);
		}
	}
}

static void connect_all(struct vmm_transport *t)
{
	for (unsigned i = 0; i < t->queue_count; i++) {
		connect_queue(t, &t->queues[i]);
	}
}

void vmm_transport_set_enabled(struct vmm_transport *t, unsigned queue, bool enabled)
{
	(void)pthread_mutex_lock(&t->kick_lock);
	t->queues[queue].enabled = enabled;
	connect_queue(t, &t->queues[queue]);
	(void)pthread_mutex_unlock(&t->kick_lock);
}

void vmm_transport_set_reachable(struct vmm_transport *t, bool reachable, uint64_t notify_gpa)
{
	(void)pthread_mutex_lock(&t->kick_lock);
	t->reachable = reachable;
	t->notify_gpa = notify_gpa;
	connect_all(t);
	(void)pthread_mutex_unlock(&t->kick_lock);
}

void vmm_transport_set_active(void *ctx, bool active)
{
	struct vmm_transport *t = ctx;
	int ret = 0;

	(void)pthread_mutex_lock(&t->kick_lock);
	t->active = active;
	connect_all(t);
	(void)pthread_mutex_unlock(&t->kick_lock);
	/*
	 * A queue that is not enabled is watched too: the carrier ignores its kicks. Another
	 * process, if it reads the queues, waits for the descriptors itself.
	 */
	for (unsigned i = 0; i < t->queue_count && ret == 0 && !t->dev->external_queues; i++) {
		ret = vmm_source_set_events(t->queues[i].source, active ? VMM_LOOP_READABLE : 0);
	}
	if (!active) {
		vmm_transport_shm_clear(t);
	}
	if (ret < 0) {
		vmm_virtio_fail(t->dev, "the host cannot watch the queue's notifications");
	}
}
