/* SPDX-License-Identifier: MIT */
/*
 * Rings, and when the device is active.
 *
 *	stopped  --SET_VRING_NUM, ADDR, KICK, enabled-->  ready  --start-->  running
 *	         <--GET_VRING_BASE, RESET_DEVICE--------         <--stop---
 *
 * The device starts with all rings that are ready: with STATUS when the front end shows DRIVER_OK,
 * without it at the first kick of one of them. Front ends that have STATUS, show FEATURES_OK and no
 * more (QEMU's vhost-user-rng, -fs and others) are served as if they had none. A device knows one
 * set of rings only, so a ring that becomes ready later, or is no longer, makes it stop, and start
 * again with the others where they left off. Some devices want several rings at once and refuse to
 * start with fewer: then the rest is waited for.
 */
#include "backend_priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool has_status(const struct vmm_vhost_backend *b)
{
	return b->protocol & VHOST_USER_PROTOCOL_F_STATUS;
}

static bool is_ready(const struct vmm_vhost_backend *b, const struct vhost_ring *ring)
{
	/* Without protocol features there is no SET_VRING_ENABLE. */
	bool enabled = ring->enabled || !(b->features & VHOST_USER_F_PROTOCOL_FEATURES);

	return enabled && ring->size > 0 && ring->has_addr && ring->kick_fd >= 0;
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	/* A counter that is full is signalled; what else may fail is the front end's own loss. */
	if (fd >= 0) {
		(void)!write(fd, &one, sizeof(one));
	}
}

static void raise_call(struct vmm_irq *irq)
{
	signal_fd(((struct vhost_ring *)irq)->call_fd);
}

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

void vmm_vhost_rings_init(struct vmm_vhost_backend *b)
{
	for (unsigned i = 0; i < b->queue_count; i++) {
		struct vhost_ring *ring = &b->rings[i];

		ring->irq.raise = raise_call;
		ring->backend = b;
		ring->index = i;
		ring->kick_fd = -1;
		ring->call_fd = -1;
		ring->err_fd = -1;
		vmm_carrier_set_queue_irq(b->carrier, i, &ring->irq);
	}
}

static void drop_kick(struct vhost_ring *ring)
{
	vmm_source_remove(ring->kick);
	ring->kick = NULL;
	ring->watched = false;
	close_fd(&ring->kick_fd);
}

void vmm_vhost_rings_finish(struct vmm_vhost_backend *b)
{
	for (unsigned i = 0; i < b->queue_count; i++) {
		struct vhost_ring *ring = &b->rings[i];

		drop_kick(ring);
		close_fd(&ring->call_fd);
		close_fd(&ring->err_fd);
	}
}

void vmm_vhost_failed(void *ctx, const char *why)
{
	struct vmm_vhost_backend *b = ctx;

	(void)why; /* the carrier has logged it */
	if (b->failed) {
		return;
	}
	b->failed = true;
	for (unsigned i = 0; i < b->queue_count; i++) {
		signal_fd(b->rings[i].err_fd);
	}
}

static void fail(struct vmm_vhost_backend *b, const char *why)
{
	vmm_log_guest(b->config.log, &b->limit, "%s: %s", vmm_carrier_id(b->carrier), why);
	vmm_vhost_failed(b, why);
}

/* ---- kicks ---- */

/* Whether a kick starts the device. */
static bool starts_by_kick(const struct vmm_vhost_backend *b)
{
	return !has_status(b) || b->status & VMM_VIRTIO_S_FEATURES_OK;
}

/* Kicks count while a ring is served, and where they start the device. */
static bool wants_kicks(const struct vmm_vhost_backend *b, const struct vhost_ring *ring)
{
	if (b->failed) {
		return false;
	}
	return ring->running || (starts_by_kick(b) && is_ready(b, ring));
}

static void watch_kicks(struct vmm_vhost_backend *b)
{
	for (unsigned i = 0; i < b->queue_count; i++) {
		struct vhost_ring *ring = &b->rings[i];
		bool want = wants_kicks(b, ring);

		if (ring->kick && ring->watched != want &&
		    vmm_source_set_events(ring->kick, want ? VMM_LOOP_READABLE : 0) == 0) {
			ring->watched = want;
		}
	}
}

static void on_kick(void *ctx, int fd, uint32_t events)
{
	struct vhost_ring *ring = ctx;
	struct vmm_vhost_backend *b = ring->backend;
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof(count));

	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got != (ssize_t)sizeof(count)) {
		/* Not an eventfd, or a pipe whose other end is gone: it would be ready for ever. */
		ring->watched = vmm_source_set_events(ring->kick, 0) != 0;
		return;
	}
	if (ring->running) {
		vmm_carrier_kick(b->carrier, ring->index);
		return;
	}
	b->kicked = true;
	vmm_vhost_update(b);
}

/* ---- starting ---- */

/* Fills in what the carrier wants to know. How many rings are ready, or why that makes no sense. */
static int collect(struct vmm_vhost_backend *b, bool *resumed)
{
	int count = 0;

	for (unsigned i = 0; i < b->queue_count; i++) {
		const struct vhost_ring *ring = &b->rings[i];
		struct vmm_carrier_ring *r = &b->started[i];
		const struct vhost_user_inflight_queue *record;

		*r = (struct vmm_carrier_ring){.enabled = is_ready(b, ring)};
		if (!r->enabled) {
			continue;
		}
		r->size = ring->size;
		r->next_avail = ring->base;
		if (vmm_vhost_translate(b, ring->addr.desc, &r->desc) < 0 ||
		    vmm_vhost_translate(b, ring->addr.avail, &r->driver) < 0 ||
		    vmm_vhost_translate(b, ring->addr.used, &r->device) < 0) {
			return -EFAULT;
		}
		if (vmm_vhost_ring_record(b, ring, &r->inflight) < 0) {
			return -EPROTO;
		}
		record = (const void *)r->inflight;
		*resumed |= ring->base != 0 ||
			    (record && __atomic_load_n(&record->version, __ATOMIC_RELAXED) != 0);
		count++;
	}
	return count;
}

/* The device is active, and no ring has been looked at. */
static void before_notify(void *ctx)
{
	struct vmm_vhost_backend *b = ctx;
	int ret = 0;

	if (b->ran) {
		return;
	}
	b->ran = true;
	if (b->config.sealed_after_start) {
		vmm_vhost_seal_memory(b);
	}
	if (b->config.on_start) {
		ret = b->config.on_start(b->config.ctx);
	}
	if (ret < 0) {
		/* Keeps the carrier from looking at the rings. */
		vmm_virtio_fail(vmm_carrier_device(b->carrier), "not allowed to start");
		vmm_vhost_backend_close(b, ret);
	}
}

/* Whether the front end wants the device to run. */
static bool is_wanted(const struct vmm_vhost_backend *b)
{
	if (b->failed || b->active || b->fd < 0 || !b->mem) {
		return false;
	}
	return (has_status(b) && b->status & VMM_VIRTIO_S_DRIVER_OK) ||
	       (starts_by_kick(b) && b->kicked);
}

/*
 * The one who served these rings before may have ended between its last entry and the interrupt for
 * it, and a driver that asked for that one (used_event) is told of none that follow: it would wait
 * for ever. A spurious interrupt harms nobody.
 */
static void wake_driver(const struct vmm_vhost_backend *b)
{
	for (unsigned i = 0; i < b->queue_count; i++) {
		if (b->rings[i].running) {
			signal_fd(b->rings[i].call_fd);
		}
	}
}

static bool poll_rings(void *ctx)
{
	return vmm_carrier_poll(((struct vmm_vhost_backend *)ctx)->carrier);
}

static bool rest_rings(void *ctx)
{
	return vmm_carrier_rest(((struct vmm_vhost_backend *)ctx)->carrier);
}

static void look_at_rings(struct vmm_vhost_backend *b, bool start)
{
	const struct vmm_loop_poller poller = {.poll = poll_rings, .rest = rest_rings, .ctx = b};

	if (b->config.poll_ns > 0) {
		vmm_loop_set_poller(b->config.loop, start ? &poller : NULL, b->config.poll_ns);
	}
}

static void start(struct vmm_vhost_backend *b)
{
	struct vmm_carrier_start s = {
		.features = b->features & ~VHOST_USER_F_PROTOCOL_FEATURES,
		.rings = b->started,
		.resumed = b->resuming,
		.before_notify = before_notify,
		.ctx = b,
	};
	int count = collect(b, &s.resumed);
	int ret;

	if (count == 0) {
		return;
	}
	if (count < 0 || !(s.features & VMM_VIRTIO_F_VERSION_1)) {
		fail(b, count == -EFAULT ? "a ring outside guest memory"
			: count < 0      ? "a ring larger than its inflight record"
					 : "a driver that does not take VERSION_1");
		return;
	}
	/* Before anything can be asked of them. */
	b->active = true;
	for (unsigned i = 0; i < b->queue_count; i++) {
		b->rings[i].running = b->started[i].enabled;
	}
	ret = vmm_carrier_start(b->carrier, &s);
	if (ret == 0) {
		b->resuming = false;
		wake_driver(b);
		look_at_rings(b, true);
		return;
	}
	b->active = false;
	for (unsigned i = 0; i < b->queue_count; i++) {
		b->rings[i].running = false;
	}
	if (ret != -EPROTO || (unsigned)count == b->queue_count) {
		fail(b, "the device could not start");
	}
}

/* Whether the set of ready rings is another one than the device is active with. */
static bool has_changed(const struct vmm_vhost_backend *b)
{
	for (unsigned i = 0; i < b->queue_count; i++) {
		if (b->rings[i].running != is_ready(b, &b->rings[i])) {
			return true;
		}
	}
	return false;
}

void vmm_vhost_stop(struct vmm_vhost_backend *b)
{
	int next[VMM_VIRTIO_QUEUES_MAX];

	if (!b->active) {
		return;
	}
	look_at_rings(b, false);
	vmm_carrier_stop(b->carrier, next);
	b->active = false;
	b->resuming = true;
	for (unsigned i = 0; i < b->queue_count; i++) {
		struct vhost_ring *ring = &b->rings[i];

		if (ring->running && next[i] >= 0) {
			ring->base = (uint16_t)next[i];
		} else if (ring->running) {
			ring->is_lost = true;
			fail(b, "a ring cannot be stopped at one index");
		}
		ring->running = false;
	}
}

void vmm_vhost_update(struct vmm_vhost_backend *b)
{
	if (b->active && !b->failed && has_changed(b)) {
		vmm_vhost_stop(b);
	}
	if (is_wanted(b)) {
		start(b);
	}
	watch_kicks(b);
}

/* ---- messages ---- */

static struct vhost_ring *find_ring(struct vmm_vhost_backend *b, uint64_t index)
{
	return index < b->queue_count ? &b->rings[index] : NULL;
}

int vmm_vhost_set_num(struct vmm_vhost_backend *b, const struct vhost_user_vring_state *state)
{
	struct vhost_ring *ring = find_ring(b, state->index);
	uint32_t num = state->num;

	if (!ring || num == 0 || (num & (num - 1)) != 0 ||
	    num > vmm_carrier_queue_size_max(b->carrier, state->index)) {
		return -EINVAL;
	}
	if (ring->running && num != ring->size) {
		return -EBUSY;
	}
	ring->size = (uint16_t)num;
	vmm_vhost_update(b);
	return 0;
}

int vmm_vhost_set_addr(struct vmm_vhost_backend *b, const struct vhost_user_vring_addr *addr)
{
	struct vhost_ring *ring = find_ring(b, addr->index);

	/* The only flag asks for a log of writes, which was not offered. */
	if (!ring || addr->flags != 0) {
		return -EINVAL;
	}
	if (ring->running && (ring->addr.desc != addr->desc || ring->addr.avail != addr->avail ||
			      ring->addr.used != addr->used)) {
		return -EBUSY;
	}
	ring->addr = *addr;
	ring->has_addr = true;
	vmm_vhost_update(b);
	return 0;
}

int vmm_vhost_set_base(struct vmm_vhost_backend *b, const struct vhost_user_vring_state *state)
{
	struct vhost_ring *ring = find_ring(b, state->index);

	if (!ring || state->num > UINT16_MAX) {
		return -EINVAL;
	}
	if (ring->running) {
		return -EBUSY;
	}
	ring->base = (uint16_t)state->num;
	ring->is_lost = false;
	return 0;
}

static bool any_kick(const struct vmm_vhost_backend *b)
{
	for (unsigned i = 0; i < b->queue_count; i++) {
		if (b->rings[i].kick_fd >= 0) {
			return true;
		}
	}
	return false;
}

int vmm_vhost_get_base(struct vmm_vhost_backend *b, const struct vhost_user_vring_state *state,
		       struct vhost_user_vring_state *out)
{
	struct vhost_ring *ring = find_ring(b, state->index);

	if (!ring) {
		return -EPROTO;
	}
	if (ring->running) {
		vmm_vhost_stop(b);
	}
	if (ring->is_lost) {
		return -EBUSY;
	}
	drop_kick(ring);
	/* With its last ring the device is as before the first one started. */
	if (!any_kick(b)) {
		b->kicked = false;
		b->resuming = false;
		b->failed = has_status(b) && b->failed;
	}
	out->index = ring->index;
	out->num = ring->base;
	vmm_vhost_update(b);
	return 0;
}

int vmm_vhost_set_enable(struct vmm_vhost_backend *b, const struct vhost_user_vring_state *state)
{
	struct vhost_ring *ring = find_ring(b, state->index);

	if (!ring || state->num > 1) {
		return -EINVAL;
	}
	ring->enabled = state->num == 1;
	vmm_vhost_update(b);
	return 0;
}

static int set_kick(struct vmm_vhost_backend *b, struct vhost_ring *ring, int fd)
{
	struct vmm_source *source;
	int ret = vmm_loop_add_fd(b->config.loop, fd, VMM_LOOP_READABLE, on_kick, ring, &source);

	if (ret == 0) {
		/* It is listened to once that can lead to something. */
		ret = vmm_source_set_events(source, 0);
	}
	if (ret < 0) {
		/* First the source: the front end has the same file open, so epoll keeps it. */
		vmm_source_remove(source);
		(void)close(fd);
		return ret;
	}
	drop_kick(ring);
	ring->kick_fd = fd;
	ring->kick = source;
	vmm_vhost_update(b);
	if (ring->running) {
		/* The kicks of the old one that nobody has read. */
		vmm_carrier_kick(b->carrier, ring->index);
	}
	return 0;
}

int vmm_vhost_set_ring_fd(struct vmm_vhost_backend *b, struct vhost_msg *msg)
{
	uint64_t value = msg->payload.u64;
	struct vhost_ring *ring = find_ring(b, value & VHOST_USER_VRING_IDX_MASK);
	bool none = value & VHOST_USER_VRING_NOFD;
	int *slot;
	int fd;

	if ((value & ~(VHOST_USER_VRING_IDX_MASK | VHOST_USER_VRING_NOFD)) != 0 ||
	    msg->fd_count != (none ? 0 : 1)) {
		return -EPROTO;
	}
	/* Rings are never polled. */
	if (!ring || (none && msg->header.request == VHOST_USER_SET_VRING_KICK)) {
		return -EINVAL;
	}
	fd = vmm_vhost_msg_take_fd(msg);
	vmm_vhost_set_nonblock(b, fd);
	if (msg->header.request == VHOST_USER_SET_VRING_KICK) {
		return set_kick(b, ring, fd);
	}
	slot = msg->header.request == VHOST_USER_SET_VRING_CALL ? &ring->call_fd : &ring->err_fd;
	close_fd(slot);
	*slot = fd;
	if (slot == &ring->call_fd && ring->running) {
		signal_fd(fd); /* what the one before was told may be lost */
	}
	return 0;
}

void vmm_vhost_rings_reset(struct vmm_vhost_backend *b)
{
	vmm_vhost_stop(b);
	for (unsigned i = 0; i < b->queue_count; i++) {
		struct vhost_ring *ring = &b->rings[i];

		drop_kick(ring);
		ring->size = 0;
		ring->base = 0;
		ring->is_lost = false;
		ring->has_addr = false;
		ring->enabled = false;
	}
	b->kicked = false;
	b->failed = false;
	b->resuming = false;
}
