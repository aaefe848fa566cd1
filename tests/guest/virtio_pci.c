/* SPDX-License-Identifier: MIT */
/* virtio by PCI (VIRTIO 1.2 section 4.1): register blocks, and one MSI-X vector. */
#include "virtio.h"

#define VENDOR        0x1af4u
#define DEVICE_MODERN 0x1040u
#define CAP_POINTER   0x34u
#define CAP_VENDOR    0x09u
#define CAP_MSIX      0x11u
#define MSIX_ENABLE   0x8000u
#define CFG_COMMON    1u
#define CFG_NOTIFY    2u
#define CFG_DEVICE    4u
#define CFG_SHM       8u

/* Offsets in the common configuration (section 4.1.4.3). */
#define QUEUE_VECTOR     0x1au
#define QUEUE_NOTIFY_OFF 0x1eu

static const struct virtio_place places[VIRTIO_REGISTERS] = {
	[VIRTIO_FEATURE_SELECT] = {0x00, 4}, [VIRTIO_FEATURE] = {0x04, 4},
	[VIRTIO_DRIVER_SELECT] = {0x08, 4},  [VIRTIO_DRIVER_FEATURE] = {0x0c, 4},
	[VIRTIO_STATUS] = {0x14, 1},         [VIRTIO_QUEUE_SELECT] = {0x16, 2},
	[VIRTIO_QUEUE_SIZE_MAX] = {0x18, 2}, [VIRTIO_QUEUE_SIZE] = {0x18, 2},
	[VIRTIO_QUEUE_ENABLE] = {0x1c, 2},   [VIRTIO_QUEUE_DESC] = {0x20, 4},
	[VIRTIO_QUEUE_DRIVER] = {0x28, 4},   [VIRTIO_QUEUE_DEVICE] = {0x30, 4},
};

static uint64_t bar(uint64_t space, unsigned index)
{
	uint64_t at = space + 0x10 + 4 * index;
	uint32_t low = get32(at);

	return (low & 4u) ? ((uint64_t)get32(at + 4) << 32 | (low & ~15u)) : (low & ~15u);
}

static void read_capability(uint64_t space, uint64_t cap, struct virtio *v)
{
	uint64_t gpa = bar(space, get8(cap + 4)) + get32(cap + 8);

	switch (get8(cap + 3)) {
	case CFG_COMMON:
		v->registers = gpa;
		break;
	case CFG_NOTIFY:
		v->notify = gpa;
		v->notify_multiplier = get32(cap + 16);
		break;
	case CFG_DEVICE:
		v->config = gpa;
		break;
	case CFG_SHM:
		if (v->shm_len == 0) {
			v->shm = gpa;
			v->shm_len = get32(cap + 12) | (uint64_t)get32(cap + 20) << 32;
			v->shm_bar = space + 0x10 + 4 * get8(cap + 4);
		}
		break;
	default:
		break;
	}
}

bool virtio_find_pci(const struct acpi *acpi, unsigned slot, struct virtio *v)
{
	uint64_t space = pci_ecam(acpi, slot, 0);
	uint32_t id = get32(space);
	unsigned at;

	*v = (struct virtio){
		.places = places,
		.type = (id >> 16) - DEVICE_MODERN,
		.notify_bytes = 2,
		.notify_offset = QUEUE_NOTIFY_OFF,
	};
	if ((id & 0xffff) != VENDOR || id >> 16 < DEVICE_MODERN) {
		return false;
	}
	at = get8(space + CAP_POINTER);
	for (unsigned i = 0; at != 0 && i < 48; i++, at = get8(space + at + 1)) {
		if (get8(space + at) == CAP_MSIX) {
			uint32_t table = get32(space + at + 4);

			v->msix_control = space + at + 2;
			v->msix_table = bar(space, table & 7u) + (table & ~7u);
		} else if (get8(space + at) == CAP_VENDOR) {
			read_capability(space, space + at, v);
		}
	}
	return v->registers && v->notify && v->msix_table;
}

void virtio_use_interrupts(struct virtio *v)
{
	put32(v->msix_table, 0xfee00000u); /* APIC 0 */
	put32(v->msix_table + 4, 0);
	put32(v->msix_table + 8, VECTOR);
	put32(v->msix_table + 12, 0);
	put16(v->msix_control, (uint16_t)(get16(v->msix_control) | MSIX_ENABLE));
	v->interrupts = true;
}

bool virtio_pci_set_vector(const struct virtio *v)
{
	put16(v->registers + QUEUE_VECTOR, 0);
	return get16(v->registers + QUEUE_VECTOR) == 0;
}
