/* SPDX-License-Identifier: MIT */
#include "fakedrv_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Noreturn void fakedrv_die(const char *what)
{
	(void)fprintf(stderr, "fakedrv: %s\n", what);
	abort();
}

static void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p) {
		fakedrv_die("out of memory");
	}
	return p;
}

/* ---- lifecycle ---- */

static void count_irq(struct vmm_irq *irq)
{
	struct counter *counter = (struct counter *)irq;

	(void)__atomic_fetch_add(&counter->count, 1, __ATOMIC_SEQ_CST);
}

static int irq_eventfd(struct vmm_irq *irq)
{
	return ((struct counter *)irq)->fd;
}

static void on_irq_fd(void *ctx, int fd, uint32_t events)
{
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
		count_irq(ctx);
	}
}

static int make_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0) {
		fakedrv_die("no eventfd");
	}
	return fd;
}

/* What a transport hands over for a device in another process. */
static void make_eventfds(struct fakedrv *drv)
{
	for (unsigned i = 0; i < drv->dev->queue_count; i++) {
		struct counter *irq = &drv->queue_irqs[i];

		drv->kick_fds[i] = make_eventfd();
		irq->fd = make_eventfd();
		if (vmm_loop_add_fd(drv->loop, irq->fd, VMM_LOOP_READABLE, on_irq_fd, irq,
				    &irq->source) < 0) {
			fakedrv_die("cannot watch an eventfd");
		}
	}
}

static void close_eventfds(struct fakedrv *drv)
{
	for (unsigned i = 0; i < VMM_VIRTIO_QUEUES_MAX; i++) {
		vmm_source_remove(drv->queue_irqs[i].source);
		if (drv->kick_fds[i] >= 0) {
			(void)close(drv->kick_fds[i]);
			(void)close(drv->queue_irqs[i].fd);
		}
	}
}

static struct fakedrv *create(struct vmm_virtio_device *dev, struct vmm_loop *loop,
			      const struct vmm_log *log)
{
	struct fakedrv *drv = xcalloc(1, sizeof(*drv));
	struct vmm_irq *irqs[VMM_VIRTIO_QUEUES_MAX];
	struct vmm_error err = {0};
	struct vmm_carrier_config config;

	memfix_init(&drv->fix);
	drv->loop = loop;
	drv->own_loop = !loop;
	if (drv->own_loop && vmm_loop_create(&drv->loop) < 0) {
		fakedrv_die("no event loop");
	}
	drv->dev = dev;
	drv->config_irq.irq.raise = count_irq;
	for (unsigned i = 0; i < VMM_VIRTIO_QUEUES_MAX; i++) {
		drv->kick_fds[i] = -1;
		drv->queue_irqs[i].irq.raise = count_irq;
		drv->queue_irqs[i].irq.eventfd = irq_eventfd;
		drv->queue_irqs[i].fd = -1;
		irqs[i] = &drv->queue_irqs[i].irq;
	}
	if (dev->external_queues) {
		make_eventfds(drv);
	}
	config = (struct vmm_carrier_config){
		.mem = drv->fix.mem,
		.loop = drv->loop,
		.log = log,
		.config_irq = &drv->config_irq.irq,
		.queue_irqs = irqs,
		.kick_fds = drv->kick_fds,
		.shm = &fakedrv_shm_ops,
		.ctx = drv,
	};
	if (vmm_carrier_create(&drv->carrier, dev, &config, &err) < 0) {
		fakedrv_die(err.message);
	}
	return drv;
}

struct fakedrv *fakedrv_create(struct vmm_virtio_device *dev)
{
	return create(dev, NULL, NULL);
}

struct fakedrv *fakedrv_create_on(struct vmm_virtio_device *dev, struct vmm_loop *loop)
{
	return create(dev, loop, NULL);
}

struct fakedrv *fakedrv_create_logged(struct vmm_virtio_device *dev, const struct vmm_log *log)
{
	return create(dev, NULL, log);
}

static void forget_queue(struct queue *q)
{
	free(q->next_free);
	free(q->descs);
	memset(q, 0, sizeof(*q));
}

static void forget_queues(struct fakedrv *drv)
{
	for (unsigned i = 0; i < VMM_VIRTIO_QUEUES_MAX; i++) {
		forget_queue(&drv->queues[i]);
	}
	drv->features = 0;
}

void fakedrv_destroy(struct fakedrv *drv)
{
	if (!drv) {
		return;
	}
	vmm_carrier_destroy(drv->carrier);
	if (fakedrv_shm_count(drv) > 0) {
		fakedrv_die("a shared memory mapping outlives its device");
	}
	close_eventfds(drv);
	if (drv->own_loop) {
		vmm_loop_destroy(drv->loop);
	}
	memfix_finish(&drv->fix);
	forget_queues(drv);
	for (unsigned i = 0; i < VMM_VIRTIO_QUEUES_MAX; i++) {
		free(drv->storage[i].tables);
	}
	free(drv);
}

void fakedrv_reset(struct fakedrv *drv)
{
	vmm_carrier_set_status(drv->carrier, 0);
	forget_queues(drv);
}

/* ---- initialisation ---- */

static const struct storage *get_storage(struct fakedrv *drv, unsigned index)
{
	struct storage *s = &drv->storage[index];
	size_t max = vmm_carrier_queue_size_max(drv->carrier, index);

	if (!s->desc) {
		s->desc = memfix_alloc(&drv->fix, 16 * max, 16);
		s->avail = memfix_alloc(&drv->fix, 6 + 2 * max, 2);
		s->used = memfix_alloc(&drv->fix, 6 + 8 * max, 4);
		s->tables = xcalloc(max, sizeof(struct fakedrv_desc *));
	}
	memset(s->desc, 0, 16 * max);
	memset(s->avail, 0, 6 + 2 * max);
	memset(s->used, 0, 6 + 8 * max);
	return s;
}

static void place_ring(struct queue *q, const struct storage *storage, uint16_t size)
{
	struct fakedrv_ring *r = &q->ring;
	uint16_t *avail = storage->avail;
	uint16_t *used = storage->used;

	r->size = size;
	r->desc = storage->desc;
	r->avail_flags = avail;
	r->avail_idx = avail + 1;
	r->avail = avail + 2;
	r->used_event = avail + 2 + size;
	r->used_flags = used;
	r->used_idx = used + 1;
	r->used = (struct fakedrv_used *)(void *)(used + 2);
	r->avail_event = used + 2 + (size_t)4 * size;
	q->next_free = xcalloc(size, sizeof(*q->next_free));
	q->descs = xcalloc(size, sizeof(*q->descs));
	for (uint32_t i = 0; i < size; i++) {
		q->next_free[i] = i + 1u < size ? i + 1u : NO_DESC;
	}
	q->free_head = 0;
	q->free_count = size;
}

static void set_up_queue(struct fakedrv *drv, unsigned index, uint16_t wish)
{
	uint16_t size = vmm_carrier_queue_size_max(drv->carrier, index);
	struct queue *q = &drv->queues[index];
	struct vmm_carrier_queue regs = {.enabled = true};

	if (wish > 0 && wish < size) {
		size = wish;
	}
	place_ring(q, get_storage(drv, index), size);
	regs.size = size;
	regs.desc = fakedrv_gpa(drv, q->ring.desc);
	regs.driver = fakedrv_gpa(drv, q->ring.avail_flags);
	regs.device = fakedrv_gpa(drv, q->ring.used_flags);
	if (vmm_carrier_set_queue(drv->carrier, index, &regs) < 0) {
		fakedrv_die("the carrier refused a queue");
	}
}

int fakedrv_prepare(struct fakedrv *drv, const struct fakedrv_options *options)
{
	static const struct fakedrv_options defaults;
	struct vmm_carrier *c = drv->carrier;
	uint64_t refuse;

	options = options ? options : &defaults;
	refuse = options->refuse | (options->no_event_idx ? VMM_VIRTIO_F_EVENT_IDX : 0) |
		 (options->no_indirect ? VMM_VIRTIO_F_INDIRECT_DESC : 0);
	fakedrv_reset(drv);
	vmm_carrier_set_status(c, VMM_VIRTIO_S_ACKNOWLEDGE);
	vmm_carrier_set_status(c, fakedrv_status(drv) | VMM_VIRTIO_S_DRIVER);
	vmm_carrier_set_driver_features(c, vmm_carrier_features(c) & ~refuse);
	vmm_carrier_set_status(c, fakedrv_status(drv) | VMM_VIRTIO_S_FEATURES_OK);
	if (!(fakedrv_status(drv) & VMM_VIRTIO_S_FEATURES_OK)) {
		return -EPROTO;
	}
	drv->features = vmm_carrier_driver_features(c);
	for (unsigned i = 0; i < vmm_carrier_queue_count(c); i++) {
		if (i < 64 && (options->skip_queues >> i & 1)) {
			continue;
		}
		set_up_queue(drv, i, options->queue_size);
	}
	return 0;
}

int fakedrv_driver_ok(struct fakedrv *drv)
{
	vmm_carrier_set_status(drv->carrier, fakedrv_status(drv) | VMM_VIRTIO_S_DRIVER_OK);
	return fakedrv_needs_reset(drv) ? -EIO : 0;
}

int fakedrv_driver_resumes(struct fakedrv *drv)
{
	const struct vmm_carrier_start start = {
		.features = drv->features,
		.rings = drv->rings,
		.resumed = true,
	};

	for (unsigned i = 0; i < vmm_carrier_queue_count(drv->carrier); i++) {
		struct vmm_carrier_queue regs;

		(void)vmm_carrier_get_queue(drv->carrier, i, &regs);
		drv->rings[i] = (struct vmm_carrier_ring){
			.enabled = regs.enabled,
			.size = regs.size,
			.desc = regs.desc,
			.driver = regs.driver,
			.device = regs.device,
		};
	}
	return vmm_carrier_start(drv->carrier, &start);
}

int fakedrv_start(struct fakedrv *drv, const struct fakedrv_options *options)
{
	int ret = fakedrv_prepare(drv, options);

	return ret < 0 ? ret : fakedrv_driver_ok(drv);
}

/* ---- parts and registers ---- */

struct vmm_carrier *fakedrv_carrier(struct fakedrv *drv)
{
	return drv->carrier;
}

struct vmm_virtio_device *fakedrv_device(struct fakedrv *drv)
{
	return drv->dev;
}

struct vmm_loop *fakedrv_loop(struct fakedrv *drv)
{
	return drv->loop;
}

struct vmm_mem *fakedrv_mem(struct fakedrv *drv)
{
	return drv->fix.mem;
}

void *fakedrv_alloc(struct fakedrv *drv, size_t len)
{
	return memfix_alloc(&drv->fix, len, 16);
}

vmm_gpa fakedrv_gpa(struct fakedrv *drv, const void *ptr)
{
	return memfix_gpa(&drv->fix, ptr);
}

uint8_t fakedrv_status(struct fakedrv *drv)
{
	return vmm_carrier_status(drv->carrier);
}

bool fakedrv_needs_reset(struct fakedrv *drv)
{
	return fakedrv_status(drv) & VMM_VIRTIO_S_NEEDS_RESET;
}

uint64_t fakedrv_features(struct fakedrv *drv)
{
	return drv->features;
}

void fakedrv_read_config(struct fakedrv *drv, size_t offset, void *buf, size_t len)
{
	vmm_carrier_read_config(drv->carrier, offset, buf, len);
}

void fakedrv_write_config(struct fakedrv *drv, size_t offset, const void *buf, size_t len)
{
	vmm_carrier_write_config(drv->carrier, offset, buf, len);
}

unsigned fakedrv_queue_irqs(struct fakedrv *drv, unsigned queue)
{
	if (queue >= VMM_VIRTIO_QUEUES_MAX) {
		fakedrv_die("no such queue");
	}
	return __atomic_load_n(&drv->queue_irqs[queue].count, __ATOMIC_SEQ_CST);
}

unsigned fakedrv_config_irqs(struct fakedrv *drv)
{
	return __atomic_load_n(&drv->config_irq.count, __ATOMIC_SEQ_CST);
}
