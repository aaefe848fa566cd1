/* SPDX-License-Identifier: MIT */
/* A virtio-mmio driver as small as it can be (VIRTIO 1.2 section 4.2), for the first place that the
 * machine has. */
#include "hw.h"

#define BASE UINT64_C(0xfeb00000)
#define LINE 16u

#define MAGIC               (BASE + 0x00)
#define VERSION             (BASE + 0x04)
#define DRIVER_FEATURES     (BASE + 0x20)
#define DRIVER_FEATURES_SEL (BASE + 0x24)
#define QUEUE_SEL           (BASE + 0x30)
#define QUEUE_NUM           (BASE + 0x38)
#define QUEUE_READY         (BASE + 0x44)
#define QUEUE_NOTIFY        (BASE + 0x50)
#define INTERRUPT_STATUS    (BASE + 0x60)
#define INTERRUPT_ACK       (BASE + 0x64)
#define STATUS              (BASE + 0x70)
#define QUEUE_DESC          (BASE + 0x80)
#define QUEUE_DRIVER        (BASE + 0x90)
#define QUEUE_DEVICE        (BASE + 0xa0)
#define STATUS_READY        0x0bu /* ACKNOWLEDGE, DRIVER, FEATURES_OK */
#define STATUS_OK           0x0fu

static bool start(const struct virtio_ring *ring)
{
	if (get32(MAGIC) != 0x74726976u || get32(VERSION) != 2) {
		return false;
	}
	put32(STATUS, 0);
	put32(STATUS, 1);
	put32(STATUS, 3);
	put32(DRIVER_FEATURES_SEL, 1);
	put32(DRIVER_FEATURES, 1); /* VERSION_1 is bit 32 */
	put32(STATUS, STATUS_READY);
	put32(QUEUE_SEL, 0);
	put32(QUEUE_NUM, ring->size);
	virtio_put_address(QUEUE_DESC, ring->desc);
	virtio_put_address(QUEUE_DRIVER, ring->avail);
	virtio_put_address(QUEUE_DEVICE, ring->used);
	put32(QUEUE_READY, 1);
	put32(STATUS, STATUS_OK);
	return get32(QUEUE_READY) == 1 && get32(STATUS) == STATUS_OK;
}

int virtio_mmio_fill(void *buf, uint32_t len, bool interrupt)
{
	int got;

	ioapic_route(LINE);
	if (!start(virtio_empty_ring()) || get32(INTERRUPT_STATUS) != 0) {
		return -1;
	}
	got = virtio_transfer(QUEUE_NOTIFY, buf, len, interrupt);
	if (get32(INTERRUPT_STATUS) != interrupt) {
		bad("the interrupt's cause");
	}
	put32(INTERRUPT_ACK, 1);
	if (get32(INTERRUPT_STATUS) != 0) {
		bad("the interrupt is not acknowledged");
	}
	return got;
}
