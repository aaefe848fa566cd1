/* SPDX-License-Identifier: MIT */
/*
 * virtio-rng (VIRTIO 1.2 section 5.4). One queue of device-writable buffers to fill with random
 * bytes.
 *
 * A request is served with at most REQUEST_MAX bytes, however long its buffers are: descriptors may
 * overlap, so their lengths say nothing about the guest's memory, and the driver asks again for
 * more.
 */
#include <vmm/dev/rng.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define QUEUE_SIZE  64
#define REQUEST_MAX 256
#define BATCH_MAX   QUEUE_SIZE

struct rng {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active;
	struct vmm_work again; /* the rest of a queue that was longer than one batch */
	struct vmm_chain chain;
	struct iovec iov[QUEUE_SIZE];
};

static const uint16_t queue_sizes[] = {QUEUE_SIZE};

static struct rng *from_base(struct vmm_virtio_device *dev)
{
	return (struct rng *)dev;
}

/* Bytes written to the request; 0 when it has no room for one. */
static uint32_t serve(const struct vmm_chain *chain)
{
	uint8_t bytes[REQUEST_MAX];
	struct vmm_writer w;
	size_t want;
	ssize_t got;

	vmm_chain_writer(chain, &w);
	want = vmm_writer_left(&w) < sizeof(bytes) ? vmm_writer_left(&w) : sizeof(bytes);
	/* Never short at this size once the kernel's pool is ready (getrandom(2)). */
	got = getrandom(bytes, want, 0);
	if (got < 0) {
		return 0;
	}
	return (uint32_t)vmm_writer_write(&w, bytes, (size_t)got);
}

static void drain(struct rng *rng)
{
	struct vmm_virtq *q = rng->active.queues[0];
	unsigned budget = BATCH_MAX;

	do {
		vmm_virtq_kick_disable(q);
		while (budget > 0 && vmm_virtq_pop(q, &rng->chain) == 1) {
			(void)vmm_virtq_push(q, rng->chain.head, serve(&rng->chain));
			budget--;
		}
		vmm_virtq_flush(q);
		if (budget == 0) {
			/* Let other devices of this loop have their turn. */
			vmm_loop_post(rng->active.loop, &rng->again);
			return;
		}
	} while (vmm_virtq_kick_enable(q));
}

static void drain_again(void *ctx)
{
	struct rng *rng = ctx;

	/* The device may have been reset since this was posted. */
	if (rng->active.queues) {
		drain(rng);
	}
}

static int rng_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct rng *rng = from_base(dev);

	if (!active->queues[0]) {
		return -EPROTO;
	}
	rng->active = *active;
	return 0;
}

static void rng_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	(void)queue;
	drain(from_base(dev));
}

static void rng_reset(struct vmm_virtio_device *dev)
{
	struct rng *rng = from_base(dev);

	vmm_loop_cancel(rng->active.loop, &rng->again);
	memset(&rng->active, 0, sizeof(rng->active));
}

static void rng_destroy(struct vmm_virtio_device *dev)
{
	free(from_base(dev));
}

static const struct vmm_virtio_ops rng_ops = {
	.activate = rng_activate,
	.notify = rng_notify,
	.reset = rng_reset,
	.destroy = rng_destroy,
};

int vmm_rng_create(struct vmm_virtio_device **out, struct vmm_error *err)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	*out = NULL;
	if (!rng) {
		return vmm_error_set(err, -ENOMEM, "rng: out of memory");
	}
	rng->base.ops = &rng_ops;
	rng->base.name = "rng";
	rng->base.device_id = VMM_VIRTIO_ID_RNG;
	rng->base.queue_count = 1;
	rng->base.queue_sizes = queue_sizes;
	rng->again.fn = drain_again;
	rng->again.ctx = rng;
	rng->chain.iov = rng->iov;
	rng->chain.iov_cap = QUEUE_SIZE;
	*out = &rng->base;
	return 0;
}
