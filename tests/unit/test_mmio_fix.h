/* SPDX-License-Identifier: MIT */
/* A toy virtio device behind virtio-mmio, and the driver's side of it as Linux does things. */
#ifndef TESTS_MMIO_FIX_H
#define TESTS_MMIO_FIX_H

#include "mmio/mmio.h"
#include "test_transport_fix.h"

#define FIX_BASE UINT64_C(0xfeb00000)
#define FIX_GSI  17u
/* Where shared memory regions are. */
#define FIX_SHM   UINT64_C(0x1234500000)
#define FIX_SHM_2 UINT64_C(0x1234600000)
/* All but the toy's own. */
#define FIX_RING_FEATURES \
	(VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_EVENT_IDX | VMM_VIRTIO_F_INDIRECT_DESC)

/* VIRTIO 1.2 section 4.2.2. */
enum {
	R_MAGIC = 0x000,
	R_VERSION = 0x004,
	R_DEVICE_ID = 0x008,
	R_VENDOR_ID = 0x00c,
	R_DEVICE_FEATURES = 0x010,
	R_DEVICE_FEATURES_SEL = 0x014,
	R_DRIVER_FEATURES = 0x020,
	R_DRIVER_FEATURES_SEL = 0x024,
	R_QUEUE_SEL = 0x030,
	R_QUEUE_NUM_MAX = 0x034,
	R_QUEUE_NUM = 0x038,
	R_QUEUE_READY = 0x044,
	R_QUEUE_NOTIFY = 0x050,
	R_INTERRUPT_STATUS = 0x060,
	R_INTERRUPT_ACK = 0x064,
	R_STATUS = 0x070,
	R_QUEUE_DESC = 0x080,
	R_QUEUE_DRIVER = 0x090,
	R_QUEUE_DEVICE = 0x0a0,
	R_SHM_SEL = 0x0ac,
	R_SHM_LEN_LOW = 0x0b0,
	R_SHM_BASE_LOW = 0x0b8,
	R_SHM_BASE_HIGH = 0x0bc,
	R_QUEUE_RESET = 0x0c0,
	R_GENERATION = 0x0fc,
	R_CONFIG = 0x100,
	R_END = 0x1000,
};

struct mmiofix {
	struct eventfix events;
	struct vmm_bus *bus;
	struct memfix mem;
	struct vmm_loop *loop;
	struct toy toy;
	struct vmm_virtio_mmio *mmio;
	struct ring rings[TOY_QUEUES];
};

/* Bus, memory, loop and a toy, not yet joined. */
void mmiofix_prepare_parts(struct mmiofix *fix);
int mmiofix_create(struct mmiofix *fix, struct vmm_error *err);
void mmiofix_init(struct mmiofix *fix);
/* The toy's queues are another process's. */
void mmiofix_init_external(struct mmiofix *fix);
/* Fails the test when the device was not reset as often as it was activated, or anything is left.
 */
void mmiofix_finish(struct mmiofix *fix);

/* What a guest does. A write that an ioeventfd waits for goes there. */
uint64_t mmiofix_read(struct mmiofix *fix, unsigned offset, unsigned len);
void mmiofix_write(struct mmiofix *fix, unsigned offset, unsigned len, uint64_t value);
uint32_t reg_read(struct mmiofix *fix, unsigned offset);
void reg_write(struct mmiofix *fix, unsigned offset, uint32_t value);

/* Up to FEATURES_OK, with all features accepted but EVENT_IDX, and the queues of `queues` (bits)
 * set up. */
void mmiofix_prepare(struct mmiofix *fix, unsigned queues);
/* All of it, up to DRIVER_OK. */
void mmiofix_start(struct mmiofix *fix);
/* Offers one empty-handed chain, kicks, runs the loop. */
void mmiofix_request(struct mmiofix *fix, unsigned queue);
uint16_t mmiofix_used(struct mmiofix *fix, unsigned queue);
/* Runs the loop until nothing is ready. */
void mmiofix_run(struct mmiofix *fix);
/* Interrupts so far. */
unsigned mmiofix_interrupts(struct mmiofix *fix);

#endif
