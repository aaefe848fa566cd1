/* SPDX-License-Identifier: MIT */
/*
 * A virtio device whose inside is the test's: it counts what the carrier calls, and either echoes
 * (copies the readable bytes of each chain into its writable ones) or leaves its queues to the
 * test, which then plays the device with testdev_queue().
 */
#ifndef TESTS_TESTDEV_H
#define TESTS_TESTDEV_H

#include <vmm/virtio.h>

#define TESTDEV_QUEUES      4
#define TESTDEV_QUEUE_SIZE  64
#define TESTDEV_CONFIG_LEN  20
#define TESTDEV_FEATURE     (UINT64_C(1) << 5)
#define TESTDEV_ECHO_BUDGET 64 /* chains for each notification */

struct testdev {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active; /* all zero while the device is not active */
	uint16_t sizes[TESTDEV_QUEUES];

	/* Set by the test. */
	bool echo;
	int activate_result;
	bool fail_in_activate; /* calls vmm_virtio_fail */

	/* Counted. */
	unsigned activated;
	unsigned resets;
	unsigned destroyed;
	unsigned notified[TESTDEV_QUEUES];
	unsigned echoed;
	unsigned config_writes;
	size_t config_offset; /* of the last write */
	size_t config_len;
	uint8_t config_bytes[VMM_VIRTIO_CONFIG_MAX];

	struct vmm_work again;
	struct vmm_chain chain;
	struct iovec iov[TESTDEV_QUEUE_SIZE];
};

/*
 * Fills dev, which stays the caller's memory: TESTDEV_QUEUES queues of TESTDEV_QUEUE_SIZE entries,
 * TESTDEV_CONFIG_LEN bytes of configuration (byte n is n + 1), TESTDEV_FEATURE offered.
 */
void testdev_init(struct testdev *dev);

/* A queue of the active device; NULL where the driver enabled none. */
struct vmm_virtq *testdev_queue(struct testdev *dev, unsigned queue);

#endif
