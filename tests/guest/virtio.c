/* SPDX-License-Identifier: MIT */
/*
 * A virtio-pci driver as small as it can be (VIRTIO 1.2 section 4.1): finds the register blocks by
 * their capabilities, negotiates VERSION_1, sets up one queue and one MSI-X vector.
 */
#include "hw.h"

#define CAP_POINTER  0x34u
#define CAP_VENDOR   0x09u
#define CAP_MSIX     0x11u
#define MSIX_ENABLE  0x8000u
#define CFG_COMMON   1u
#define CFG_NOTIFY   2u
#define QUEUE_SIZE   8u
#define POLLS_MAX    2000000u
#define STATUS_READY 0x0bu /* ACKNOWLEDGE, DRIVER, FEATURES_OK */
#define STATUS_OK    0x04u

/* Offsets in the common configuration (section 4.1.4.3). */
#define DRIVER_FEATURE_SELECT 0x08u
#define DRIVER_FEATURE        0x0cu
#define DEVICE_STATUS         0x14u
#define QUEUE_SELECT          0x16u
#define QUEUE_SIZE_REG        0x18u
#define QUEUE_VECTOR          0x1au
#define QUEUE_ENABLE          0x1cu
#define QUEUE_NOTIFY_OFF      0x1eu
#define QUEUE_DESC            0x20u
#define QUEUE_DRIVER          0x28u
#define QUEUE_DEVICE          0x30u

static struct virtio_desc descs[QUEUE_SIZE] __attribute__((aligned(16)));
static volatile uint16_t avail[3 + QUEUE_SIZE] __attribute__((aligned(2)));
static volatile uint32_t used[2 + 2 * QUEUE_SIZE] __attribute__((aligned(4)));

static uint64_t bar(const struct acpi *acpi, unsigned slot, unsigned index)
{
	uint64_t at = pci_ecam(acpi, slot, 0x10 + 4 * index);
	uint32_t low = get32(at);

	return (low & 4u) ? ((uint64_t)get32(at + 4) << 32 | (low & ~15u)) : (low & ~15u);
}

bool virtio_find(const struct acpi *acpi, unsigned slot, struct virtio_blocks *b)
{
	uint64_t space = pci_ecam(acpi, slot, 0);
	unsigned at = get8(space + CAP_POINTER);

	*b = (struct virtio_blocks){0};
	for (unsigned i = 0; at != 0 && i < 48; i++, at = get8(space + at + 1)) {
		if (get8(space + at) == CAP_MSIX) {
			uint32_t table = get32(space + at + 4);

			b->msix_control = space + at + 2;
			b->msix_table = bar(acpi, slot, table & 7u) + (table & ~7u);
		} else if (get8(space + at) == CAP_VENDOR) {
			uint64_t gpa =
				bar(acpi, slot, get8(space + at + 4)) + get32(space + at + 8);

			if (get8(space + at + 3) == CFG_COMMON) {
				b->common = gpa;
			} else if (get8(space + at + 3) == CFG_NOTIFY) {
				b->notify = gpa;
				b->notify_multiplier = get32(space + at + 16);
			}
		}
	}
	return b->common && b->notify && b->msix_table;
}

static void enable_vector(const struct virtio_blocks *b)
{
	put32(b->msix_table, 0xfee00000u); /* APIC 0 */
	put32(b->msix_table + 4, 0);
	put32(b->msix_table + 8, VECTOR);
	put32(b->msix_table + 12, 0);
	put16(b->msix_control, (uint16_t)(get16(b->msix_control) | MSIX_ENABLE));
}

void virtio_put_address(uint64_t reg, const volatile void *p)
{
	put32(reg, (uint32_t)(uint64_t)p);
	put32(reg + 4, (uint32_t)((uint64_t)p >> 32));
}

bool virtio_start(const struct virtio_blocks *b, const struct virtio_ring *ring)
{
	uint64_t c = b->common;

	enable_vector(b);
	put8(c + DEVICE_STATUS, 0);
	put8(c + DEVICE_STATUS, 1);
	put8(c + DEVICE_STATUS, 3);
	put32(c + DRIVER_FEATURE_SELECT, 1);
	put32(c + DRIVER_FEATURE, 1); /* VERSION_1 is bit 32 */
	put8(c + DEVICE_STATUS, STATUS_READY);
	if (get8(c + DEVICE_STATUS) != STATUS_READY) {
		return false;
	}
	put16(c + QUEUE_SELECT, 0);
	put16(c + QUEUE_SIZE_REG, ring->size);
	put16(c + QUEUE_VECTOR, 0);
	virtio_put_address(c + QUEUE_DESC, ring->desc);
	virtio_put_address(c + QUEUE_DRIVER, ring->avail);
	virtio_put_address(c + QUEUE_DEVICE, ring->used);
	put16(c + QUEUE_ENABLE, 1);
	put8(c + DEVICE_STATUS, STATUS_READY | STATUS_OK);
	return get16(c + QUEUE_VECTOR) == 0 &&
	       get8(c + DEVICE_STATUS) == (STATUS_READY | STATUS_OK);
}

uint64_t virtio_notify_address(const struct virtio_blocks *b)
{
	return b->notify + get16(b->common + QUEUE_NOTIFY_OFF) * b->notify_multiplier;
}

static uint16_t used_index(void)
{
	return (uint16_t)(used[0] >> 16);
}

const struct virtio_ring *virtio_empty_ring(void)
{
	static const struct virtio_ring ring = {QUEUE_SIZE, descs, avail, used};

	for (unsigned i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
		used[i] = 0;
	}
	avail[1] = 0;
	return &ring;
}

int virtio_transfer(uint64_t notify, void *buf, uint32_t len, bool interrupt)
{
	uint32_t before = interrupts;

	descs[0] =
		(struct virtio_desc){.addr = (uint64_t)buf, .len = len, .flags = VIRTIO_DESC_WRITE};
	avail[0] = interrupt ? 0 : 1; /* NO_INTERRUPT */
	avail[2] = 0;
	__asm__ volatile("" : : : "memory");
	avail[1] = 1;
	put32(notify, 0);
	if (interrupt) {
		while (interrupts == before) {
			wait_interrupt();
		}
	}
	for (unsigned i = 0; used_index() == 0 && i < POLLS_MAX; i++) {
		__asm__ volatile("pause");
	}
	return used_index() == 1 ? (int)used[2] : -1;
}

int virtio_fill(const struct acpi *acpi, unsigned slot, void *buf, uint32_t len, bool interrupt)
{
	const struct virtio_ring *ring = virtio_empty_ring();
	struct virtio_blocks b;

	if (!virtio_find(acpi, slot, &b) || !virtio_start(&b, ring)) {
		return -1;
	}
	return virtio_transfer(virtio_notify_address(&b), buf, len, interrupt);
}
