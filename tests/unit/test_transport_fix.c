/* SPDX-License-Identifier: MIT */
#include "test_transport_fix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fix_require(bool holds, const char *what, const char *file, int line)
{
	if (!holds) {
		(void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
		abort();
	}
}

/* ---- the hypervisor ---- */

int eventfix_irqfd(void *ctx, unsigned gsi, int eventfd, bool connect)
{
	struct eventfix *fix = ctx;
	struct fix_line *line = &fix->lines[gsi];

	FIX_REQUIRE(gsi < FIX_GSIS);
	fix->irqfd_calls++;
	if (connect && fix->fail_irqfd) {
		return fix->fail_irqfd;
	}
	if (connect ? line->eventfd >= 0 : line->eventfd != eventfd) {
		fix->misuse++;
	}
	line->eventfd = connect ? eventfd : -1;
	return 0;
}

static bool same_bell(const struct vmm_doorbell *a, const struct vmm_doorbell *b)
{
	return a->gpa == b->gpa && a->len == b->len && a->value == b->value;
}

static int connect_ioeventfd(struct eventfix *fix, const struct vmm_doorbell *bell, int eventfd)
{
	struct fix_ioeventfd *slot = NULL;

	if (fix->fail_ioeventfd) {
		return fix->fail_ioeventfd;
	}
	for (unsigned i = 0; i < FIX_IOEVENTFDS; i++) {
		struct fix_ioeventfd *e = &fix->ioeventfds[i];

		if (e->eventfd < 0) {
			slot = e;
		} else if (e->bell.gpa == bell->gpa &&
			   (e->bell.len == 0 || bell->len == 0 || same_bell(&e->bell, bell))) {
			return -EEXIST;
		}
	}
	if (!slot) {
		return -ENOSPC;
	}
	*slot = (struct fix_ioeventfd){.bell = *bell, .eventfd = eventfd};
	return 0;
}

int eventfix_ioeventfd(void *ctx, const struct vmm_doorbell *bell, int eventfd, bool connect)
{
	struct eventfix *fix = ctx;
	int ret = -ENOENT;

	(void)pthread_mutex_lock(&fix->lock);
	fix->ioeventfd_calls++;
	if (connect) {
		ret = connect_ioeventfd(fix, bell, eventfd);
	}
	for (unsigned i = 0; i < FIX_IOEVENTFDS && !connect; i++) {
		struct fix_ioeventfd *e = &fix->ioeventfds[i];

		if (e->eventfd == eventfd && same_bell(&e->bell, bell)) {
			e->eventfd = -1;
			ret = 0;
		}
	}
	if (!connect && ret < 0) {
		fix->misuse++;
	}
	(void)pthread_mutex_unlock(&fix->lock);
	return ret;
}

/* ---- windows ---- */

static int window_create(void *ctx, uint64_t len, struct vmm_window **out)
{
	struct eventfix *fix = ctx;

	for (unsigned i = 0; i < FIX_WINDOWS; i++) {
		if (fix->windows[i].len == 0) {
			fix->windows[i] = (struct vmm_window){.fix = fix, .len = len};
			*out = &fix->windows[i];
			return 0;
		}
	}
	return -ENOSPC;
}

static void window_destroy(struct vmm_window *w)
{
	w->fix->misuse += w->mapped > 0;
	w->len = 0;
}

static int window_place(struct vmm_window *w, bool visible, vmm_gpa gpa)
{
	w->visible = visible;
	w->gpa = gpa;
	return visible ? w->fix->fail_place : 0;
}

static int window_map(struct vmm_window *w, uint64_t offset, int fd, uint64_t fd_offset,
		      uint64_t len, bool writable)
{
	(void)fd;
	(void)fd_offset;
	(void)writable;
	w->fix->misuse += offset >= w->len || len > w->len - offset;
	w->mapped++;
	w->used = true;
	return 0;
}

static int window_unmap(struct vmm_window *w, uint64_t offset, uint64_t len)
{
	w->fix->misuse += offset >= w->len || len > w->len - offset || w->mapped == 0;
	w->mapped--;
	return 0;
}

static void window_clear(struct vmm_window *w)
{
	w->fix->misuse += w->mapped > 0;
	w->used = false;
}

const struct vmm_window_ops eventfix_window_ops = {
	.create = window_create,
	.destroy = window_destroy,
	.place = window_place,
	.map = window_map,
	.unmap = window_unmap,
	.clear = window_clear,
};

static void count_line(void *user, enum vmm_log_level level, const char *message)
{
	struct eventfix *fix = user;

	(void)level;
	(void)message;
	fix->logged++;
}

void eventfix_init(struct eventfix *fix)
{
	memset(fix, 0, sizeof(*fix));
	(void)pthread_mutex_init(&fix->lock, NULL);
	for (unsigned i = 0; i < FIX_IOEVENTFDS; i++) {
		fix->ioeventfds[i].eventfd = -1;
	}
	for (unsigned i = 0; i < FIX_GSIS; i++) {
		fix->lines[i].eventfd = -1;
	}
	fix->log = (struct vmm_log){.level = VMM_LOG_DEBUG, .sink = count_line, .user = fix};
}

void eventfix_finish(struct eventfix *fix)
{
	FIX_REQUIRE(eventfix_connected(fix) == 0);
	FIX_REQUIRE(eventfix_ioeventfds(fix) == 0);
	FIX_REQUIRE(fix->misuse == 0);
	for (unsigned i = 0; i < FIX_WINDOWS; i++) {
		FIX_REQUIRE(fix->windows[i].len == 0);
	}
	(void)pthread_mutex_destroy(&fix->lock);
}

bool eventfix_write(struct eventfix *fix, uint64_t gpa, unsigned len, uint64_t value)
{
	uint64_t one = 1;
	bool found = false;

	(void)pthread_mutex_lock(&fix->lock);
	for (unsigned i = 0; i < FIX_IOEVENTFDS && !found; i++) {
		const struct fix_ioeventfd *e = &fix->ioeventfds[i];
		const struct vmm_doorbell *bell = &e->bell;

		found = e->eventfd >= 0 && bell->gpa == gpa &&
			(bell->len == 0 || (bell->len == len && bell->value == value));
		if (found) {
			FIX_REQUIRE(write(e->eventfd, &one, sizeof(one)) == 8);
		}
	}
	(void)pthread_mutex_unlock(&fix->lock);
	return found;
}

unsigned eventfix_delivered(struct eventfix *fix, unsigned gsi)
{
	struct fix_line *line = &fix->lines[gsi];
	uint64_t value;

	if (line->eventfd >= 0 && read(line->eventfd, &value, sizeof(value)) == 8) {
		line->delivered++;
	}
	return line->delivered;
}

unsigned eventfix_connected(struct eventfix *fix)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FIX_GSIS; i++) {
		count += fix->lines[i].eventfd >= 0;
	}
	return count;
}

unsigned eventfix_ioeventfds(struct eventfix *fix)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FIX_IOEVENTFDS; i++) {
		count += fix->ioeventfds[i].eventfd >= 0;
	}
	return count;
}

/* ---- a device ---- */

static const uint16_t toy_sizes[TOY_QUEUES] = {TOY_QUEUE_SIZE, 4};

static int toy_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct toy *toy = (struct toy *)dev;

	toy->active = *active;
	toy->activations++;
	return 0;
}

static void toy_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	struct toy *toy = (struct toy *)dev;
	struct iovec iov[TOY_QUEUE_SIZE];
	struct vmm_chain chain = {.iov = iov, .iov_cap = TOY_QUEUE_SIZE};
	struct vmm_virtq *q = toy->active.queues[queue];

	toy->notifies[queue]++;
	while (vmm_virtq_pop(q, &chain) == 1) {
		FIX_REQUIRE(vmm_virtq_push(q, chain.head, 0) == 0);
	}
	vmm_virtq_flush(q);
}

static void toy_reset(struct vmm_virtio_device *dev)
{
	((struct toy *)dev)->resets++;
}

/* Accepts what is written to the first 8 bytes. */
static void toy_set_config(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			   size_t len)
{
	((struct toy *)dev)->configs++;
	if (offset + len <= 8) {
		(void)vmm_virtio_config_update(dev, offset, bytes, len);
	}
}

static void toy_destroy(struct vmm_virtio_device *dev)
{
	((struct toy *)dev)->destroyed = true;
}

static const struct vmm_virtio_ops toy_ops = {
	.activate = toy_activate,
	.notify = toy_notify,
	.reset = toy_reset,
	.set_config = toy_set_config,
	.destroy = toy_destroy,
};

void toy_init(struct toy *toy)
{
	memset(toy, 0, sizeof(*toy));
	toy->base.ops = &toy_ops;
	toy->base.name = "toy";
	toy->base.device_id = TOY_ID;
	toy->base.features = TOY_FEATURE;
	toy->base.queue_count = TOY_QUEUES;
	toy->base.queue_sizes = toy_sizes;
	toy->base.config_len = TOY_CONFIG;
	memcpy(toy->base.config, "abcdefghijkl", TOY_CONFIG);
}

void toy_add_shm(struct toy *toy)
{
	static const struct vmm_virtio_shm shm[] = {{.id = TOY_SHM_ID, .len = TOY_SHM_LEN},
						    {.id = TOY_SHM_ID_2, .len = TOY_SHM_LEN_2}};

	toy->base.shm = shm;
	toy->base.shm_count = 2;
}

int toy_map(struct toy *toy, uint8_t id, uint64_t offset)
{
	return vmm_virtio_shm_map(&toy->base, id, offset, 0, 0, VMM_VIRTIO_SHM_PAGE, true);
}

int toy_unmap(struct toy *toy, uint8_t id, uint64_t offset)
{
	return vmm_virtio_shm_unmap(&toy->base, id, offset, VMM_VIRTIO_SHM_PAGE);
}

/* ---- its driver ---- */

void ring_alloc(struct ring *r, struct memfix *mem)
{
	r->desc = memfix_gpa(mem, memfix_alloc(mem, (size_t)16 * TOY_QUEUE_SIZE, 16));
	r->driver = memfix_gpa(mem, memfix_alloc(mem, 6 + 2 * TOY_QUEUE_SIZE, 2));
	r->device = memfix_gpa(mem, memfix_alloc(mem, 6 + 8 * TOY_QUEUE_SIZE, 4));
	r->next = 0;
}

void ring_offer(struct ring *r, struct memfix *mem, unsigned queue)
{
	uint16_t head = r->next % toy_sizes[queue];
	uint8_t desc[16] = {0};
	uint64_t buffer = MEMFIX_LOW_BASE;
	uint32_t len = 16;

	memcpy(desc, &buffer, 8);
	memcpy(desc + 8, &len, 4);
	FIX_REQUIRE(vmm_mem_write(mem->mem, r->desc + 16ull * head, desc, 16) == 0);
	FIX_REQUIRE(vmm_mem_write(mem->mem, r->driver + 4 + 2ull * head, &head, 2) == 0);
	r->next++;
	FIX_REQUIRE(vmm_mem_write(mem->mem, r->driver + 2, &r->next, 2) == 0);
}

uint16_t ring_used(const struct ring *r, struct memfix *mem)
{
	uint16_t idx;

	FIX_REQUIRE(vmm_mem_read(mem->mem, r->device + 2, &idx, 2) == 0);
	return idx;
}
