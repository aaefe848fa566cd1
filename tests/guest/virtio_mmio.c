/* SPDX-License-Identifier: MIT */
/* virtio by MMIO, version 2 (VIRTIO 1.2 section 4.2). */
#include "virtio.h"

#define MAGIC         0x74726976u
#define VERSION       2u
#define VERSION_REG   0x04u
#define DEVICE_ID_REG 0x08u
#define NOTIFY_REG    0x50u
#define CONFIG        0x100u

static const struct virtio_place places[VIRTIO_REGISTERS] = {
	[VIRTIO_FEATURE_SELECT] = {0x14, 4}, [VIRTIO_FEATURE] = {0x10, 4},
	[VIRTIO_DRIVER_SELECT] = {0x24, 4},  [VIRTIO_DRIVER_FEATURE] = {0x20, 4},
	[VIRTIO_STATUS] = {0x70, 4},         [VIRTIO_QUEUE_SELECT] = {0x30, 4},
	[VIRTIO_QUEUE_SIZE_MAX] = {0x34, 4}, [VIRTIO_QUEUE_SIZE] = {0x38, 4},
	[VIRTIO_QUEUE_ENABLE] = {0x44, 4},   [VIRTIO_QUEUE_DESC] = {0x80, 4},
	[VIRTIO_QUEUE_DRIVER] = {0x90, 4},   [VIRTIO_QUEUE_DEVICE] = {0xa0, 4},
};

bool virtio_find_mmio(uint64_t gpa, struct virtio *v)
{
	*v = (struct virtio){
		.places = places,
		.registers = gpa,
		.config = gpa + CONFIG,
		.notify = gpa + NOTIFY_REG,
		.notify_bytes = 4,
	};
	if (get32(gpa) != MAGIC || get32(gpa + VERSION_REG) != VERSION) {
		return false;
	}
	v->type = get32(gpa + DEVICE_ID_REG);
	return v->type != 0;
}
