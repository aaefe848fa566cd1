/* SPDX-License-Identifier: MIT */
/*
 * A virtio device of one's own, and how to try it without a VM: own-device.
 *
 * "shout" takes a line in the readable part of a request and gives it back in capitals in the
 * writable part. Here the driver is this program: it lays out a ring in guest memory, as a guest's
 * kernel would, and kicks. Handed to vmm_vm_add_virtio instead, the same device would serve a
 * guest.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vmm/carrier.h>

#define QUEUE_SIZE 8
#define LINE_MAX   64

struct shout {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active;
	struct vmm_chain chain;
	struct iovec iov[QUEUE_SIZE];
};

static int shout_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct shout *shout = (struct shout *)dev;

	if (!active->queues[0]) {
		return -EPROTO;
	}
	shout->active = *active;
	return 0;
}

static void shout_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	struct shout *shout = (struct shout *)dev;
	struct vmm_virtq *q = shout->active.queues[queue];

	do {
		vmm_virtq_kick_disable(q);
		while (vmm_virtq_pop(q, &shout->chain) == 1) {
			struct vmm_reader r;
			struct vmm_writer w;
			char line[LINE_MAX];
			size_t len;

			vmm_chain_reader(&shout->chain, &r);
			vmm_chain_writer(&shout->chain, &w);
			/* One copy of the guest's bytes; all that follows looks at the copy. */
			len = vmm_reader_read(&r, line, sizeof(line));
			for (size_t i = 0; i < len; i++) {
				line[i] = (char)toupper((unsigned char)line[i]);
			}
			len = vmm_writer_write(&w, line, len);
			vmm_virtq_push(q, shout->chain.head, (uint32_t)len);
		}
		vmm_virtq_flush(q);
	} while (vmm_virtq_kick_enable(q));
}

static void shout_reset(struct vmm_virtio_device *dev)
{
	struct shout *shout = (struct shout *)dev;

	memset(&shout->active, 0, sizeof(shout->active));
}

static const struct vmm_virtio_ops shout_ops = {
	.activate = shout_activate,
	.notify = shout_notify,
	.reset = shout_reset,
};

static const uint16_t shout_queues[] = {QUEUE_SIZE};

static void shout_init(struct shout *shout)
{
	*shout = (struct shout){
		.base = {.ops = &shout_ops,
			 .name = "shout",
			 .device_id = 63, /* none that the specification gives away */
			 .queue_count = 1,
			 .queue_sizes = shout_queues},
		.chain = {.iov = shout->iov, .iov_cap = QUEUE_SIZE},
	};
}

/* ---- the driver ---- */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

static void raise_irq(struct vmm_irq *irq)
{
	(void)irq;
	puts("interrupt");
}

int main(void)
{
	static const char line[] = "hello from the driver";
	static const struct vmm_mem_region ram = {.gpa = 0, .size = 1 << 20};
	/* Descriptor 0 is read by the device and goes on at 1, which it writes. */
	const struct desc table[2] = {{0x4000, sizeof(line), 1, 1}, {0x5000, LINE_MAX, 2, 0}};
	const uint16_t avail[3] = {0, 1, 0}; /* flags, index, the first head */
	struct vmm_carrier_queue ring = {QUEUE_SIZE, true, 0x1000, 0x2000, 0x3000};
	struct vmm_irq irq = {.raise = raise_irq};
	struct vmm_irq *irqs[] = {&irq};
	struct vmm_carrier_config config = {.queue_irqs = irqs};
	struct vmm_carrier *carrier = NULL;
	struct vmm_error err = {0};
	struct shout shout;
	char answer[LINE_MAX] = "";

	shout_init(&shout);
	if (vmm_mem_create(&config.mem, &ram, 1, &err) < 0 || vmm_loop_create(&config.loop) < 0 ||
	    vmm_carrier_create(&carrier, &shout.base, &config, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	vmm_carrier_set_status(carrier, VMM_VIRTIO_S_ACKNOWLEDGE | VMM_VIRTIO_S_DRIVER);
	vmm_carrier_set_driver_features(carrier, VMM_VIRTIO_F_VERSION_1);
	vmm_carrier_set_status(carrier, VMM_VIRTIO_S_ACKNOWLEDGE | VMM_VIRTIO_S_DRIVER |
						VMM_VIRTIO_S_FEATURES_OK);
	vmm_carrier_set_queue(carrier, 0, &ring);
	vmm_carrier_set_status(carrier, VMM_VIRTIO_S_ACKNOWLEDGE | VMM_VIRTIO_S_DRIVER |
						VMM_VIRTIO_S_FEATURES_OK | VMM_VIRTIO_S_DRIVER_OK);

	vmm_mem_write(config.mem, 0x4000, line, sizeof(line));
	vmm_mem_write(config.mem, ring.desc, table, sizeof(table));
	vmm_mem_write(config.mem, ring.driver, avail, sizeof(avail));
	vmm_carrier_kick(carrier, 0);

	vmm_mem_read(config.mem, 0x5000, answer, sizeof(answer) - 1);
	printf("%s\n", answer);
	vmm_carrier_destroy(carrier);
	vmm_loop_destroy(config.loop);
	vmm_mem_destroy(config.mem);
	return strcmp(answer, "HELLO FROM THE DRIVER") == 0 ? 0 : 1;
}
