/* SPDX-License-Identifier: MIT */
#include "testdev.h"

#include <string.h>

static struct testdev *from_base(struct vmm_virtio_device *dev)
{
	return (struct testdev *)dev;
}

static uint32_t echo_chain(const struct vmm_chain *chain)
{
	struct vmm_reader r;
	struct vmm_writer w;
	uint8_t bytes[256];

	vmm_chain_reader(chain, &r);
	vmm_chain_writer(chain, &w);
	while (vmm_reader_left(&r) > 0 && vmm_writer_left(&w) > 0) {
		size_t n = vmm_reader_read(&r, bytes, sizeof(bytes));

		(void)vmm_writer_write(&w, bytes, n);
	}
	return (uint32_t)vmm_writer_written(&w);
}

static void echo_queue(struct testdev *dev, struct vmm_virtq *q)
{
	unsigned budget = TESTDEV_ECHO_BUDGET;

	do {
		vmm_virtq_kick_disable(q);
		while (budget > 0 && vmm_virtq_pop(q, &dev->chain) == 1) {
			(void)vmm_virtq_push(q, dev->chain.head, echo_chain(&dev->chain));
			dev->echoed++;
			budget--;
		}
		vmm_virtq_flush(q);
		if (budget == 0) {
			vmm_loop_post(dev->active.loop, &dev->again);
			return;
		}
	} while (vmm_virtq_kick_enable(q));
}

static void echo_again(void *ctx)
{
	struct testdev *dev = ctx;

	for (unsigned i = 0; i < dev->active.queue_count; i++) {
		if (dev->active.queues[i]) {
			echo_queue(dev, dev->active.queues[i]);
		}
	}
}

static int testdev_activate(struct vmm_virtio_device *base, const struct vmm_virtio_active *active)
{
	struct testdev *dev = from_base(base);

	dev->activated++;
	if (dev->fail_in_activate) {
		vmm_virtio_fail(base, "as the test asked");
	}
	if (dev->activate_result == 0) {
		dev->active = *active;
	}
	return dev->activate_result;
}

static void testdev_notify(struct vmm_virtio_device *base, unsigned queue)
{
	struct testdev *dev = from_base(base);

	dev->notified[queue]++;
	if (dev->echo) {
		echo_queue(dev, dev->active.queues[queue]);
	}
}

static void testdev_reset(struct vmm_virtio_device *base)
{
	struct testdev *dev = from_base(base);

	dev->resets++;
	vmm_loop_cancel(dev->active.loop, &dev->again);
	memset(&dev->active, 0, sizeof(dev->active));
}

static void testdev_set_config(struct vmm_virtio_device *base, size_t offset, const void *bytes,
			       size_t len)
{
	struct testdev *dev = from_base(base);

	dev->config_writes++;
	dev->config_offset = offset;
	dev->config_len = len;
	memcpy(dev->config_bytes, bytes, len);
}

static void testdev_destroy(struct vmm_virtio_device *base)
{
	from_base(base)->destroyed++;
}

static const struct vmm_virtio_ops testdev_ops = {
	.activate = testdev_activate,
	.notify = testdev_notify,
	.reset = testdev_reset,
	.set_config = testdev_set_config,
	.destroy = testdev_destroy,
};

void testdev_init(struct testdev *dev)
{
	memset(dev, 0, sizeof(*dev));
	for (unsigned i = 0; i < TESTDEV_QUEUES; i++) {
		dev->sizes[i] = TESTDEV_QUEUE_SIZE;
	}
	dev->base.ops = &testdev_ops;
	dev->base.name = "testdev";
	dev->base.device_id = 42;
	dev->base.features = TESTDEV_FEATURE;
	dev->base.queue_count = TESTDEV_QUEUES;
	dev->base.queue_sizes = dev->sizes;
	dev->base.config_len = TESTDEV_CONFIG_LEN;
	for (unsigned i = 0; i < TESTDEV_CONFIG_LEN; i++) {
		dev->base.config[i] = (uint8_t)(i + 1);
	}
	dev->again.fn = echo_again;
	dev->again.ctx = dev;
	dev->chain.iov = dev->iov;
	dev->chain.iov_cap = TESTDEV_QUEUE_SIZE;
}

struct vmm_virtq *testdev_queue(struct testdev *dev, unsigned queue)
{
	return dev->active.queues[queue];
}
