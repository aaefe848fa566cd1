/* SPDX-License-Identifier: MIT */
/*
 * The registers that mean the same at whatever offset they stand. The carrier says whether and when
 * a queue may be changed; a refusal is no event.
 */
#include "transport/transport.h"

static uint32_t half(uint64_t value, uint32_t select)
{
	return select < 2 ? (uint32_t)(value >> (32 * select)) : 0;
}

/* ---- reading ---- */

static uint64_t read_queue(struct vmm_transport *t, enum vmm_transport_register reg)
{
	struct vmm_carrier_queue q;

	if (vmm_carrier_get_queue(t->carrier, t->queue_select, &q) < 0) {
		/* A queue that does not exist has size 0 (sections 4.1.4.3.1, 4.2.2). */
		return 0;
	}
	switch (reg) {
	case VMM_REG_QUEUE_SIZE:
		return q.size;
	case VMM_REG_QUEUE_SIZE_MAX:
		return vmm_carrier_queue_size_max(t->carrier, t->queue_select);
	case VMM_REG_QUEUE_ENABLE:
		return q.enabled;
	case VMM_REG_QUEUE_DESC:
		return q.desc;
	case VMM_REG_QUEUE_DRIVER:
		return q.driver;
	case VMM_REG_QUEUE_DEVICE:
		return q.device;
	default:
		return 0;
	}
}

uint64_t vmm_transport_read(struct vmm_transport *t, enum vmm_transport_register reg)
{
	switch (reg) {
	case VMM_REG_DEVICE_FEATURE_SELECT:
		return t->device_feature_select;
	case VMM_REG_DEVICE_FEATURE:
		return half(vmm_carrier_features(t->carrier), t->device_feature_select);
	case VMM_REG_DRIVER_FEATURE_SELECT:
		return t->driver_feature_select;
	case VMM_REG_DRIVER_FEATURE:
		return half(vmm_carrier_driver_features(t->carrier), t->driver_feature_select);
	case VMM_REG_STATUS:
		return vmm_carrier_status(t->carrier);
	case VMM_REG_GENERATION:
		return vmm_carrier_config_generation(t->carrier);
	case VMM_REG_QUEUE_SELECT:
		return t->queue_select;
	default:
		return read_queue(t, reg);
	}
}

/* ---- writing ---- */

static void write_driver_features(struct vmm_transport *t, uint32_t value)
{
	uint64_t features = vmm_carrier_driver_features(t->carrier);

	if (t->driver_feature_select == 0) {
		features = (features & ~UINT64_C(0xffffffff)) | value;
	} else if (t->driver_feature_select == 1) {
		features = (features & 0xffffffff) | ((uint64_t)value << 32);
	} else {
		return;
	}
	vmm_carrier_set_driver_features(t->carrier, features);
}

/* A 64-bit register of which [shift, shift + 8 * len) was written. */
static void merge(vmm_gpa *address, unsigned shift, unsigned len, uint64_t value)
{
	uint64_t mask = len == 8 ? UINT64_MAX : UINT64_C(0xffffffff) << shift;

	*address = (*address & ~mask) | ((value << shift) & mask);
}

static void write_queue(struct vmm_transport *t, enum vmm_transport_register reg, unsigned shift,
			unsigned len, uint64_t value)
{
	struct vmm_carrier_queue q;
	uint32_t queue = t->queue_select;

	if (vmm_carrier_get_queue(t->carrier, queue, &q) < 0) {
		return;
	}
	switch (reg) {
	case VMM_REG_QUEUE_SIZE:
		/* Cut to 16 bits, a wild size could look like a good one. */
		q.size = value <= UINT16_MAX ? (uint16_t)value : 0;
		break;
	case VMM_REG_QUEUE_ENABLE:
		q.enabled = q.enabled || value == 1;
		break;
	case VMM_REG_QUEUE_DESC:
		merge(&q.desc, shift, len, value);
		break;
	case VMM_REG_QUEUE_DRIVER:
		merge(&q.driver, shift, len, value);
		break;
	case VMM_REG_QUEUE_DEVICE:
		merge(&q.device, shift, len, value);
		break;
	default:
		return;
	}
	if (vmm_carrier_set_queue(t->carrier, queue, &q) == 0 && q.enabled) {
		vmm_transport_set_enabled(t, queue, true);
	}
}

void vmm_transport_write(struct vmm_transport *t, enum vmm_transport_register reg, unsigned shift,
			 unsigned len, uint64_t value)
{
	switch (reg) {
	case VMM_REG_DEVICE_FEATURE_SELECT:
		t->device_feature_select = (uint32_t)value;
		break;
	case VMM_REG_DRIVER_FEATURE_SELECT:
		t->driver_feature_select = (uint32_t)value;
		break;
	case VMM_REG_DRIVER_FEATURE:
		write_driver_features(t, (uint32_t)value);
		break;
	case VMM_REG_QUEUE_SELECT:
		t->queue_select = (uint32_t)value;
		break;
	default:
		write_queue(t, reg, shift, len, value);
		break;
	}
}

void vmm_transport_reset_registers(struct vmm_transport *t)
{
	t->device_feature_select = 0;
	t->driver_feature_select = 0;
	t->queue_select = 0;
	for (unsigned i = 0; i < t->queue_count; i++) {
		vmm_transport_set_enabled(t, i, false);
	}
}
