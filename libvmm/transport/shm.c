/* SPDX-License-Identifier: MIT */
/*
 * Shared memory regions: a window of the hypervisor's for each. A transport says at any time, from
 * any thread, where the guest is to see them; the windows themselves are the loop's thread's, which
 * follows when it maps something, or when it is told.
 */
#include "transport/transport.h"

#include <errno.h>

int vmm_transport_shm_init(struct vmm_transport *t, struct vmm_error *err)
{
	int ret = 0;

	if (!t->events->windows) {
		return 0;
	}
	for (unsigned i = 0; ret == 0 && i < t->dev->shm_count; i++) {
		const struct vmm_virtio_shm *shm = &t->dev->shm[i];

		ret = t->events->windows->create(t->events_ctx, shm->len, &t->shm[i].window);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "%s: shared memory region %u of %llu MiB",
					      t->dev->name, shm->id,
					      (unsigned long long)(shm->len >> 20));
		}
	}
	return 0;
}

void vmm_transport_shm_finish(struct vmm_transport *t)
{
	for (unsigned i = 0; i < VMM_VIRTIO_SHM_MAX; i++) {
		if (t->shm[i].window) {
			t->events->windows->destroy(t->shm[i].window);
		}
	}
}

void vmm_transport_shm_decode(struct vmm_transport *t, unsigned index, bool visible, vmm_gpa gpa)
{
	(void)pthread_mutex_lock(&t->kick_lock);
	t->shm[index].visible = visible;
	t->shm[index].gpa = gpa;
	(void)pthread_mutex_unlock(&t->kick_lock);
}

static int place(struct vmm_transport *t, struct vmm_transport_shm *shm)
{
	vmm_gpa gpa;
	bool visible;

	(void)pthread_mutex_lock(&t->kick_lock);
	visible = shm->visible;
	gpa = shm->gpa;
	(void)pthread_mutex_unlock(&t->kick_lock);
	return t->events->windows->place(shm->window, visible, gpa);
}

static void place_all(void *ctx)
{
	struct vmm_transport *t = ctx;

	for (unsigned i = 0; i < VMM_VIRTIO_SHM_MAX; i++) {
		int ret = t->shm[i].window ? place(t, &t->shm[i]) : 0;

		if (ret < 0) {
			vmm_log_guest(t->log, &t->limit,
				      "%s: its shared memory cannot be seen at 0x%llx (error %d)",
				      vmm_carrier_id(t->carrier), (unsigned long long)t->shm[i].gpa,
				      -ret);
		}
	}
}

void vmm_transport_shm_settle(struct vmm_transport *t)
{
	if (t->shm[0].window) {
		vmm_loop_call(t->loop, place_all, t);
	}
}

/* ---- the carrier's ---- */

/* The carrier knows the device's regions, so there is one. */
static struct vmm_transport_shm *find(struct vmm_transport *t, uint8_t id)
{
	unsigned i = 0;

	while (t->dev->shm[i].id != id) {
		i++;
	}
	return &t->shm[i];
}

static int shm_map(void *ctx, uint8_t id, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   bool writable)
{
	struct vmm_transport *t = ctx;
	struct vmm_transport_shm *shm = find(t, id);
	int ret = place(t, shm);

	return ret < 0 ? ret
		       : t->events->windows->map(shm->window, offset, fd, fd_offset, len, writable);
}

static int shm_unmap(void *ctx, uint8_t id, uint64_t offset, uint64_t len)
{
	struct vmm_transport *t = ctx;

	return t->events->windows->unmap(find(t, id)->window, offset, len);
}

static const struct vmm_carrier_shm_ops shm_ops = {.map = shm_map, .unmap = shm_unmap};

const struct vmm_carrier_shm_ops *vmm_transport_shm_ops(const struct vmm_transport *t)
{
	return t->events->windows ? &shm_ops : NULL;
}

void vmm_transport_shm_clear(struct vmm_transport *t)
{
	for (unsigned i = 0; i < VMM_VIRTIO_SHM_MAX; i++) {
		if (t->shm[i].window) {
			t->events->windows->clear(t->shm[i].window);
		}
	}
}
