/* SPDX-License-Identifier: MIT */
/*
 * A toy virtio device behind virtio-pci, and the driver's side of it as Linux does things: find the
 * capabilities, map the BAR, program MSI-X, negotiate, set up queues, kick.
 */
#ifndef TESTS_VIRTIO_PCI_FIX_H
#define TESTS_VIRTIO_PCI_FIX_H

#include "test_pci_fix.h"
#include "transport/transport.h"

/* Common configuration (VIRTIO 1.2 section 4.1.4.3). */
enum {
	C_DEVICE_FEATURE_SELECT = 0x00,
	C_DEVICE_FEATURE = 0x04,
	C_DRIVER_FEATURE_SELECT = 0x08,
	C_DRIVER_FEATURE = 0x0c,
	C_MSIX_CONFIG = 0x10,
	C_NUM_QUEUES = 0x12,
	C_STATUS = 0x14,
	C_GENERATION = 0x15,
	C_QUEUE_SELECT = 0x16,
	C_QUEUE_SIZE = 0x18,
	C_QUEUE_MSIX = 0x1a,
	C_QUEUE_ENABLE = 0x1c,
	C_QUEUE_NOTIFY_OFF = 0x1e,
	C_QUEUE_DESC = 0x20,
	C_QUEUE_DRIVER = 0x28,
	C_QUEUE_DEVICE = 0x30,
};

struct vpcifix {
	struct pcifix pci;
	struct memfix mem;
	struct vmm_loop *loop;
	struct toy toy;
	unsigned slot;
	/* Where the blocks are. */
	uint64_t common;
	uint64_t notify;
	uint64_t isr;
	uint64_t device;
	uint32_t notify_multiplier;
	uint32_t notify_length;
	uint64_t table;
	uint64_t pba;
	unsigned msix_cap;
	unsigned window; /* PCI_CFG capability */
	struct ring rings[TOY_QUEUES];
};

void vpcifix_init(struct vpcifix *fix);
/* With a toy that has shared memory regions. */
void vpcifix_init_shm(struct vpcifix *fix);
void vpcifix_finish(struct vpcifix *fix);
/* Reads the capabilities: addresses follow the BAR. Fails the test on one that is malformed. */
void vpcifix_probe(struct vpcifix *fix);

uint64_t common_read(struct vpcifix *fix, unsigned offset, unsigned len);
void common_write(struct vpcifix *fix, unsigned offset, unsigned len, uint64_t value);
uint8_t vpcifix_status(struct vpcifix *fix);

/* Enables MSI-X, message n with data 0x40 + n and unmasked; vector 0 is the configuration's. */
void vpcifix_start_msix(struct vpcifix *fix);
#define MESSAGE(n) (0x40u + (n))
/* One table entry. */
void vpcifix_set_vector(struct vpcifix *fix, unsigned vector, uint64_t address, uint32_t data,
			bool masked);
void vpcifix_msix_control(struct vpcifix *fix, bool enabled, bool masked);
/* Up to FEATURES_OK, with all features accepted, and the queues of `queues` (bits) set up. */
void vpcifix_prepare(struct vpcifix *fix, unsigned queues);
/* All of it, MSI-X included, up to DRIVER_OK. */
void vpcifix_start(struct vpcifix *fix);

uint64_t vpcifix_notify_address(struct vpcifix *fix, unsigned queue);
/* Offers one empty-handed chain, kicks as Linux does, runs the loop. */
void vpcifix_request(struct vpcifix *fix, unsigned queue);
/* used.idx of the queue. */
uint16_t vpcifix_used(struct vpcifix *fix, unsigned queue);
/* Runs the loop until nothing is ready. */
void vpcifix_run(struct vpcifix *fix);

#endif
