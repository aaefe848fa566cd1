/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (VIRTIO 1.2 section 5.2). One queue of requests, each a header, data and a status
 * byte, which go to a disk back end (<vmm/dev/disk.h>) and come back in any order.
 *
 * A chain is taken apart once, when it is popped: the header and the segments of DISCARD are copied
 * and checked as copies, the data buffers become the slot's iovecs and the status byte an address.
 * There is a slot for each entry of the queue, made with the device, so a request allocates nothing
 * and the ring bounds what is in flight.
 *
 * used.len counts bytes written without a gap from the first writable byte on: all of them with the
 * status byte when the data was written whole, else none of what follows the gap.
 */
#include <vmm/dev/blk.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "blk_proto.h"
#include "shapes.h"

#define QUEUE_SIZE_DEFAULT 256
#define QUEUE_SIZE_MIN     4

/* Of one DISCARD or WRITE_ZEROES request. */
#define SEGMENTS_MAX        16
#define SEGMENT_SECTORS_MAX (1u << 21) /* 1 GiB */

static const uint16_t default_queue_sizes[] = {QUEUE_SIZE_DEFAULT};

const struct vmm_dev_shape vmm_blk_shape = {
	.kind = "blk",
	.device_id = VMM_VIRTIO_ID_BLOCK,
	.queue_count = 1,
	.queue_sizes = default_queue_sizes,
	.config_len = CONFIG_LEN,
};

struct blk;

/* One request between pop and push. */
struct slot {
	struct vmm_disk_request io;
	struct blk *blk;
	struct slot *next_free;
	struct iovec *iov;  /* blk->seg_max entries */
	uint8_t *status;    /* in guest memory */
	uint32_t data_room; /* writable bytes in front of the status byte */
	uint16_t head;
	uint16_t segment; /* DISCARD, WRITE_ZEROES: the one at work, of `segments` */
	uint16_t segments;
	struct segment segment_list[SEGMENTS_MAX];
};

struct blk {
	struct vmm_virtio_device base;
	struct vmm_disk *disk; /* owned */
	uint16_t queue_size;
	uint16_t seg_max;
	bool writeback;
	char serial[VMM_BLK_SERIAL_MAX]; /* padded with zeroes, not terminated */

	struct vmm_virtio_active active;
	struct vmm_work again; /* the rest of a queue that was longer than one batch */
	struct slot *slots;
	struct iovec *slot_iov;
	struct slot *free;
	struct vmm_chain chain;
	struct iovec chain_iov[VMM_VIRTQ_SIZE_MAX];

	_Atomic uint64_t read_bytes;
	_Atomic uint64_t read_ops;
	_Atomic uint64_t write_bytes;
	_Atomic uint64_t write_ops;
};

static struct blk *from_base(struct vmm_virtio_device *dev)
{
	return (struct blk *)dev;
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	/* The loop's thread alone writes them: no locked addition, twice for each request. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* ---- the end of a request ---- */

static void free_slot(struct blk *blk, struct slot *slot)
{
	slot->next_free = blk->free;
	blk->free = slot;
}

/* data: bytes written from the start of the data buffers on. */
static void finish(struct slot *slot, uint8_t status, uint32_t data)
{
	struct blk *blk = slot->blk;

	*(volatile uint8_t *)slot->status = status;
	if (data == slot->data_room) {
		data++;
	}
	(void)vmm_virtq_push(blk->active.queues[0], slot->head, data);
	free_slot(blk, slot);
}

static void start_segment(struct slot *slot);

static void io_done(struct vmm_disk_request *io, int result)
{
	struct slot *slot = io->ctx;
	struct blk *blk = slot->blk;

	if (result < 0) {
		finish(slot, result == -EOPNOTSUPP ? S_UNSUPP : S_IOERR, 0);
		return;
	}
	if (io->op == VMM_DISK_READ) {
		count(&blk->read_bytes, io->len);
		count(&blk->read_ops, 1);
		finish(slot, S_OK, (uint32_t)io->len);
		return;
	}
	if (io->op == VMM_DISK_WRITE) {
		count(&blk->write_bytes, io->len);
		count(&blk->write_ops, 1);
	}
	slot->segment++;
	if (slot->segment < slot->segments) {
		start_segment(slot);
		return;
	}
	finish(slot, S_OK, 0);
}

static void batch_done(void *ctx)
{
	struct blk *blk = ctx;

	vmm_virtq_flush(blk->active.queues[0]);
}

/* ---- the start of a request: each returns a status to finish with, or IN_FLIGHT ---- */

#define IN_FLIGHT 0xffu

/*
 * Whether every write must be stable when it completes (section 5.2.6.2): a driver that took
 * neither FLUSH nor the cache switch cannot ask for it otherwise.
 */
static bool write_through(const struct blk *blk)
{
	if (!(blk->active.features & F_FLUSH)) {
		return true;
	}
	return (blk->active.features & F_CONFIG_WCE) && !blk->writeback;
}

static bool in_capacity(const struct blk *blk, uint64_t sector, uint64_t bytes)
{
	uint64_t sectors = blk->disk->capacity / VMM_DISK_SECTOR;

	return sector <= sectors && bytes <= (sectors - sector) * VMM_DISK_SECTOR;
}

static void submit(struct slot *slot, enum vmm_disk_op op, unsigned flags)
{
	struct blk *blk = slot->blk;

	if (op != VMM_DISK_READ && op != VMM_DISK_FLUSH && write_through(blk)) {
		flags |= VMM_DISK_THROUGH;
	}
	slot->io.op = op;
	slot->io.flags = flags;
	blk->disk->ops->submit(blk->disk, &slot->io);
}

static uint8_t start_transfer(struct slot *slot, const struct header *h, uint64_t len,
			      int iov_count, enum vmm_disk_op op)
{
	if (len % VMM_DISK_SECTOR != 0 || iov_count < 0 ||
	    !in_capacity(slot->blk, h->sector, len)) {
		return S_IOERR;
	}
	slot->io.offset = h->sector * VMM_DISK_SECTOR;
	slot->io.len = len;
	slot->io.iov = slot->iov;
	slot->io.iov_count = (unsigned)iov_count;
	slot->segments = 0;
	submit(slot, op, 0);
	return IN_FLIGHT;
}

static uint8_t start_read(struct slot *slot, const struct header *h, struct vmm_writer *data)
{
	size_t len = vmm_writer_left(data);

	return start_transfer(slot, h, len,
			      vmm_writer_iov(data, len, slot->iov, slot->blk->seg_max),
			      VMM_DISK_READ);
}

static uint8_t start_write(struct slot *slot, const struct header *h, struct vmm_reader *data)
{
	size_t len = vmm_reader_left(data);

	if (slot->blk->disk->read_only) {
		return S_IOERR;
	}
	return start_transfer(slot, h, len,
			      vmm_reader_iov(data, len, slot->iov, slot->blk->seg_max),
			      VMM_DISK_WRITE);
}

static uint8_t start_flush(struct slot *slot)
{
	slot->segments = 0;
	submit(slot, VMM_DISK_FLUSH, 0);
	return IN_FLIGHT;
}

static uint8_t check_segment(const struct blk *blk, const struct segment *s, enum vmm_disk_op op)
{
	uint32_t known = op == VMM_DISK_WRITE_ZEROES ? SEGMENT_UNMAP : 0;

	if (s->flags & ~known) {
		return S_UNSUPP;
	}
	if (s->sectors > SEGMENT_SECTORS_MAX ||
	    !in_capacity(blk, s->sector, (uint64_t)s->sectors * VMM_DISK_SECTOR)) {
		return S_IOERR;
	}
	return S_OK;
}

static void start_segment(struct slot *slot)
{
	const struct segment *s = &slot->segment_list[slot->segment];

	slot->io.offset = s->sector * VMM_DISK_SECTOR;
	slot->io.len = (uint64_t)s->sectors * VMM_DISK_SECTOR;
	submit(slot, slot->io.op, s->flags & SEGMENT_UNMAP ? VMM_DISK_UNMAP : 0);
}

/* DISCARD and WRITE_ZEROES: all segments are checked before the first has an effect. */
static uint8_t start_segments(struct slot *slot, struct vmm_reader *data, enum vmm_disk_op op)
{
	struct blk *blk = slot->blk;
	size_t len = vmm_reader_left(data);
	uint8_t status;

	if (blk->disk->read_only) {
		return S_IOERR;
	}
	if (!(blk->active.features & (op == VMM_DISK_DISCARD ? F_DISCARD : F_WRITE_ZEROES))) {
		return S_UNSUPP;
	}
	if (len == 0 || len % sizeof(struct segment) != 0 || len > sizeof(slot->segment_list)) {
		return S_IOERR;
	}
	(void)vmm_reader_get(data, slot->segment_list, len);
	slot->segment = 0;
	slot->segments = (uint16_t)(len / sizeof(struct segment));
	for (unsigned i = 0; i < slot->segments; i++) {
		status = check_segment(blk, &slot->segment_list[i], op);
		if (status != S_OK) {
			return status;
		}
	}
	slot->io.op = op;
	start_segment(slot);
	return IN_FLIGHT;
}

static uint8_t start(struct slot *slot, struct vmm_reader *out, struct vmm_writer *in)
{
	struct blk *blk = slot->blk;
	struct header h;

	if (vmm_reader_get(out, &h, sizeof(h)) < 0) {
		return S_IOERR;
	}
	switch (h.type) {
	case T_IN:
		return start_read(slot, &h, in);
	case T_OUT:
		return start_write(slot, &h, out);
	case T_FLUSH:
		return start_flush(slot);
	case T_DISCARD:
		return start_segments(slot, out, VMM_DISK_DISCARD);
	case T_WRITE_ZEROES:
		return start_segments(slot, out, VMM_DISK_WRITE_ZEROES);
	case T_GET_ID:
		(void)vmm_writer_write(in, blk->serial, sizeof(blk->serial));
		return S_OK;
	default:
		return S_UNSUPP;
	}
}

/* Takes the chain just popped apart. One without a status byte gets its head back and no more. */
static void take(struct blk *blk)
{
	struct slot *slot = blk->free;
	struct vmm_reader out;
	struct vmm_writer in;
	struct vmm_writer tail;
	struct iovec status_iov;
	uint8_t status;

	vmm_chain_reader(&blk->chain, &out);
	vmm_chain_writer(&blk->chain, &in);
	if (vmm_writer_split_tail(&in, 1, &tail) < 0 ||
	    vmm_writer_iov(&tail, 1, &status_iov, 1) != 1) {
		(void)vmm_virtq_push(blk->active.queues[0], blk->chain.head, 0);
		return;
	}
	blk->free = slot->next_free;
	slot->head = blk->chain.head;
	slot->status = status_iov.iov_base;
	slot->data_room = (uint32_t)vmm_writer_left(&in);
	status = start(slot, &out, &in);
	if (status != IN_FLIGHT) {
		/* Only GET_ID answers here and now; else no data byte was written. */
		finish(slot, status, status == S_OK ? (uint32_t)vmm_writer_written(&in) : 0);
	}
}

static void drain(struct blk *blk)
{
	struct vmm_virtq *q = blk->active.queues[0];
	unsigned budget = vmm_virtq_size(q);

	do {
		vmm_virtq_kick_disable(q);
		/* The queue refuses a head that is in flight, so the slots never run out. */
		while (budget > 0 && vmm_virtq_pop(q, &blk->chain) == 1) {
			take(blk);
			budget--;
		}
		blk->disk->ops->commit(blk->disk);
		vmm_virtq_flush(q);
		if (budget == 0) {
			/* Let other devices of this loop have their turn. */
			vmm_loop_post(blk->active.loop, &blk->again);
			return;
		}
	} while (vmm_virtq_kick_enable(q));
}

static void drain_again(void *ctx)
{
	drain(ctx);
}

/* ---- life ---- */

static void set_writeback(struct blk *blk, bool on)
{
	uint8_t byte = on;

	blk->writeback = on;
	(void)vmm_virtio_config_update(&blk->base, offsetof(struct config, writeback), &byte, 1);
}

static void free_all_slots(struct blk *blk)
{
	blk->free = NULL;
	for (unsigned i = blk->queue_size; i-- > 0;) {
		free_slot(blk, &blk->slots[i]);
	}
}

static int make_slots(struct blk *blk)
{
	blk->slots = calloc(blk->queue_size, sizeof(*blk->slots));
	/* Most of it is never touched, so it takes address space rather than memory. */
	blk->slot_iov = calloc((size_t)blk->queue_size * blk->seg_max, sizeof(*blk->slot_iov));
	if (!blk->slots || !blk->slot_iov) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < blk->queue_size; i++) {
		struct slot *slot = &blk->slots[i];

		slot->blk = blk;
		slot->iov = &blk->slot_iov[(size_t)i * blk->seg_max];
		slot->io.done = io_done;
		slot->io.ctx = slot;
	}
	free_all_slots(blk);
	return 0;
}

static int blk_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct blk *blk = from_base(dev);
	int ret;

	if (!active->queues[0]) {
		return -EPROTO;
	}
	blk->active = *active;
	ret = blk->disk->ops->attach(blk->disk, active->loop);
	if (ret < 0) {
		memset(&blk->active, 0, sizeof(blk->active));
		return ret;
	}
	/* Section 5.2.5: without FLUSH the cache starts switched off. */
	if ((active->features & F_CONFIG_WCE) && !(active->features & F_FLUSH)) {
		set_writeback(blk, false);
	}
	return 0;
}

static void blk_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	(void)queue;
	drain(from_base(dev));
}

static void blk_reset(struct vmm_virtio_device *dev)
{
	struct blk *blk = from_base(dev);

	vmm_loop_cancel(blk->active.loop, &blk->again);
	blk->disk->ops->detach(blk->disk);
	free_all_slots(blk);
	memset(&blk->active, 0, sizeof(blk->active));
	if (!blk->writeback) {
		set_writeback(blk, true);
	}
}

/* The driver may write one byte, writeback, and only when it took CONFIG_WCE (section 5.2.5). */
static void blk_set_config(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			   size_t len)
{
	struct blk *blk = from_base(dev);
	uint8_t value = *(const uint8_t *)bytes;

	if (offset != offsetof(struct config, writeback) || len != 1 || value > 1 ||
	    !(blk->active.features & F_CONFIG_WCE)) {
		return;
	}
	set_writeback(blk, value == 1);
}

static void blk_destroy(struct vmm_virtio_device *dev)
{
	struct blk *blk = from_base(dev);

	vmm_disk_destroy(blk->disk);
	free(blk->slots);
	free(blk->slot_iov);
	free(blk);
}

static void blk_counters(struct vmm_virtio_device *dev,
			 void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	struct blk *blk = from_base(dev);

	emit(ctx, "read_bytes", atomic_load_explicit(&blk->read_bytes, memory_order_relaxed));
	emit(ctx, "read_ops", atomic_load_explicit(&blk->read_ops, memory_order_relaxed));
	emit(ctx, "write_bytes", atomic_load_explicit(&blk->write_bytes, memory_order_relaxed));
	emit(ctx, "write_ops", atomic_load_explicit(&blk->write_ops, memory_order_relaxed));
}

static const struct vmm_virtio_ops blk_ops = {
	.activate = blk_activate,
	.notify = blk_notify,
	.reset = blk_reset,
	.set_config = blk_set_config,
	.destroy = blk_destroy,
	.counters = blk_counters,
};

static void fill_config(struct blk *blk)
{
	struct config c = {
		.capacity = blk->disk->capacity / VMM_DISK_SECTOR,
		.seg_max = blk->seg_max,
		.blk_size = VMM_DISK_SECTOR,
	};

	blk->base.features = F_SEG_MAX | F_BLK_SIZE;
	if (blk->disk->read_only) {
		blk->base.features |= F_RO;
	} else {
		blk->base.features |= F_FLUSH | F_CONFIG_WCE | F_WRITE_ZEROES;
		c.writeback = 1;
		c.max_write_zeroes_sectors = SEGMENT_SECTORS_MAX;
		c.max_write_zeroes_seg = SEGMENTS_MAX;
		c.write_zeroes_may_unmap = blk->disk->discard;
	}
	if (!blk->disk->read_only && blk->disk->discard) {
		blk->base.features |= F_DISCARD;
		c.max_discard_sectors = SEGMENT_SECTORS_MAX;
		c.max_discard_seg = SEGMENTS_MAX;
		c.discard_sector_alignment = 4096 / VMM_DISK_SECTOR;
	}
	memcpy(blk->base.config, &c, CONFIG_LEN);
}

static int check_config(const struct vmm_blk_config *config, struct vmm_error *err)
{
	unsigned size = config->queue_size;

	if (!config->disk) {
		return vmm_error_set(err, -EINVAL, "blk: no disk given");
	}
	if (config->serial && strlen(config->serial) > VMM_BLK_SERIAL_MAX) {
		return vmm_error_set(err, -EINVAL, "blk: serial '%s' is longer than %d bytes",
				     config->serial, VMM_BLK_SERIAL_MAX);
	}
	if (size != 0 &&
	    (size < QUEUE_SIZE_MIN || size > VMM_VIRTQ_SIZE_MAX || (size & (size - 1)) != 0)) {
		return vmm_error_set(err, -EINVAL,
				     "blk: queue size %u is not a power of two from %d to %d", size,
				     QUEUE_SIZE_MIN, VMM_VIRTQ_SIZE_MAX);
	}
	if (config->seg_max > (size != 0 ? size : QUEUE_SIZE_DEFAULT) - 2) {
		return vmm_error_set(err, -EINVAL, "blk: %u buffers do not go into the queue",
				     config->seg_max);
	}
	return 0;
}

int vmm_blk_create(struct vmm_virtio_device **out, const struct vmm_blk_config *config,
		   struct vmm_error *err)
{
	struct blk *blk;
	int ret;

	*out = NULL;
	ret = check_config(config, err);
	if (ret < 0) {
		return ret;
	}
	blk = calloc(1, sizeof(*blk));
	if (!blk) {
		return vmm_error_set(err, -ENOMEM, "blk: out of memory");
	}
	blk->queue_size = config->queue_size ? config->queue_size : QUEUE_SIZE_DEFAULT;
	/* A chain as long as the ring, less header and status. */
	blk->seg_max = config->seg_max ? config->seg_max : (uint16_t)(blk->queue_size - 2);
	if (make_slots(blk) < 0) {
		/* The disk stays the caller's. */
		blk_destroy(&blk->base);
		return vmm_error_set(err, -ENOMEM, "blk: out of memory");
	}
	blk->disk = config->disk;
	blk->writeback = true;
	if (config->serial) {
		memcpy(blk->serial, config->serial, strlen(config->serial));
	}
	fill_config(blk);
	blk->base.ops = &blk_ops;
	vmm_dev_shape_apply(&vmm_blk_shape, &blk->base);
	blk->base.queue_sizes = &blk->queue_size;
	blk->again.fn = drain_again;
	blk->again.ctx = blk;
	blk->chain.iov = blk->chain_iov;
	blk->chain.iov_cap = VMM_VIRTQ_SIZE_MAX;
	blk->disk->batch = batch_done;
	blk->disk->batch_ctx = blk;
	*out = &blk->base;
	return 0;
}
