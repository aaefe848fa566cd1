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
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shapes.h"

#define QUEUE_SIZE  64
#define REQUEST_MAX 256
#define BATCH_MAX   QUEUE_SIZE

struct rng {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active;
	int source_fd;         /* 0: getrandom */
	struct vmm_work again; /* the rest of a queue that was longer than one batch */
	struct vmm_chain chain;
	struct iovec iov[QUEUE_SIZE];
};

static const uint16_t queue_sizes[] = {QUEUE_SIZE};

const struct vmm_dev_shape vmm_rng_shape = {
	.kind = "rng",
	.device_id = VMM_VIRTIO_ID_RNG,
	.queue_count = 1,
	.queue_sizes = queue_sizes,
};

static struct rng *from_base(struct vmm_virtio_device *dev)
{
	return (struct rng *)dev;
}

static ssize_t get_bytes(const struct rng *rng, void *buf, size_t len)
{
	/* Neither is ever short at this size once the kernel's pool is ready (random(7)). */
	return rng->source_fd > 0 ? read(rng->source_fd, buf, len) : getrandom(buf, len, 0);
}

/* Bytes written to the request; 0 when it has no room for one. */
static uint32_t serve(const struct rng *rng, const struct vmm_chain *chain)
{
	uint8_t bytes[REQUEST_MAX];
	struct vmm_writer w;
	size_t want;
	ssize_t got;

	vmm_chain_writer(chain, &w);
	want = vmm_writer_left(&w) < sizeof(bytes) ? vmm_writer_left(&w) : sizeof(bytes);
	got = get_bytes(rng, bytes, want);
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
			(void)vmm_virtq_push(q, rng->chain.head, serve(rng, &rng->chain));
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

/* A guest fed by something that ends, or that somebody else writes, would not notice. */
static int check_source(int fd, struct vmm_error *err)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) != 0) {
		int ret = -errno;

		return vmm_error_set(err, ret, "rng: descriptor %d: %s", fd, strerror(-ret));
	}
	if (!S_ISCHR(st.st_mode) || (flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH)) {
		return vmm_error_set(err, -EINVAL,
				     "rng: descriptor %d is not a random device open for reading",
				     fd);
	}
	return 0;
}

int vmm_rng_create(struct vmm_virtio_device **out, const struct vmm_rng_config *config,
		   struct vmm_error *err)
{
	int source_fd = config ? config->source_fd : 0;
	struct rng *rng;
	int ret;

	*out = NULL;
	ret = source_fd > 0 ? check_source(source_fd, err) : 0;
	if (ret < 0) {
		return ret;
	}
	rng = calloc(1, sizeof(*rng));
	if (!rng) {
		return vmm_error_set(err, -ENOMEM, "rng: out of memory");
	}
	rng->source_fd = source_fd;
	rng->base.ops = &rng_ops;
	vmm_dev_shape_apply(&vmm_rng_shape, &rng->base);
	rng->again.fn = drain_again;
	rng->again.ctx = rng;
	rng->chain.iov = rng->iov;
	rng->chain.iov_cap = QUEUE_SIZE;
	*out = &rng->base;
	return 0;
}
