/* SPDX-License-Identifier: MIT */
/* From a device that was found to one that runs (VIRTIO 1.2 section 3.1). */
#include "virtio.h"

#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER      2u
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u
#define STATUS_AGREED      (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK)

uint32_t virtio_get(const struct virtio *v, enum virtio_register reg)
{
	uint64_t at = v->registers + v->places[reg].offset;

	switch (v->places[reg].bytes) {
	case 1:
		return get8(at);
	case 2:
		return get16(at);
	default:
		return get32(at);
	}
}

void virtio_put(const struct virtio *v, enum virtio_register reg, uint32_t value)
{
	uint64_t at = v->registers + v->places[reg].offset;

	switch (v->places[reg].bytes) {
	case 1:
		put8(at, (uint8_t)value);
		break;
	case 2:
		put16(at, (uint16_t)value);
		break;
	default:
		put32(at, value);
		break;
	}
}

void virtio_put_address(const struct virtio *v, enum virtio_register reg, const volatile void *p)
{
	uint64_t at = v->registers + v->places[reg].offset;

	/* 64-bit registers are written by halves. */
	put32(at, (uint32_t)(uint64_t)p);
	put32(at + 4, (uint32_t)((uint64_t)p >> 32));
}

bool virtio_begin(struct virtio *v, uint64_t wanted)
{
	uint64_t offered;

	virtio_put(v, VIRTIO_STATUS, 0);
	virtio_put(v, VIRTIO_STATUS, STATUS_ACKNOWLEDGE);
	virtio_put(v, VIRTIO_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	virtio_put(v, VIRTIO_FEATURE_SELECT, 0);
	offered = virtio_get(v, VIRTIO_FEATURE);
	virtio_put(v, VIRTIO_FEATURE_SELECT, 1);
	offered |= (uint64_t)virtio_get(v, VIRTIO_FEATURE) << 32;
	v->features = offered & (wanted | VIRTIO_VERSION_1);
	virtio_put(v, VIRTIO_DRIVER_SELECT, 0);
	virtio_put(v, VIRTIO_DRIVER_FEATURE, (uint32_t)v->features);
	virtio_put(v, VIRTIO_DRIVER_SELECT, 1);
	virtio_put(v, VIRTIO_DRIVER_FEATURE, (uint32_t)(v->features >> 32));
	virtio_put(v, VIRTIO_STATUS, STATUS_AGREED);
	return virtio_get(v, VIRTIO_STATUS) == STATUS_AGREED;
}

bool virtio_ready(const struct virtio *v)
{
	virtio_put(v, VIRTIO_STATUS, STATUS_AGREED | STATUS_DRIVER_OK);
	return virtio_get(v, VIRTIO_STATUS) == (STATUS_AGREED | STATUS_DRIVER_OK);
}
