/* SPDX-License-Identifier: MIT */
/*
 * The common configuration registers (VIRTIO 1.2 section 4.1.4.3), decoded one by one. An access
 * stays inside one register; a register is written whole, except that 64-bit ones may be written by
 * halves (section 4.1.3.1). Everything else reads 0 and writes nothing.
 */
#include "pci/virtio_pci.h"

enum {
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_MSIX_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	DEVICE_STATUS = 0x14,
	CONFIG_GENERATION = 0x15,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_MSIX_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
};

/* Each register is as long as the way to the next. */
static const uint8_t registers[] = {
	DEVICE_FEATURE_SELECT, DEVICE_FEATURE, DRIVER_FEATURE_SELECT, DRIVER_FEATURE,
	CONFIG_MSIX_VECTOR,    NUM_QUEUES,     DEVICE_STATUS,         CONFIG_GENERATION,
	QUEUE_SELECT,          QUEUE_SIZE,     QUEUE_MSIX_VECTOR,     QUEUE_ENABLE,
	QUEUE_NOTIFY_OFF,      QUEUE_DESC,     QUEUE_DRIVER,          QUEUE_DEVICE,
	VPCI_COMMON_SIZE,
};

#define REGISTERS (sizeof(registers) - 1)

/* The register that [offset, offset + len) lies in, or VPCI_COMMON_SIZE. */
static unsigned find_register(unsigned offset, unsigned len, unsigned *size)
{
	for (unsigned i = 0; i < REGISTERS; i++) {
		if (offset >= registers[i] && offset < registers[i + 1] &&
		    len <= registers[i + 1] - offset) {
			*size = (unsigned)(registers[i + 1] - registers[i]);
			return registers[i];
		}
	}
	*size = 0;
	return VPCI_COMMON_SIZE;
}

static uint16_t get_vector(const struct vpci_irq *irq)
{
	return __atomic_load_n(&irq->vector, __ATOMIC_ACQUIRE);
}

/*
 * A vector that does not exist is answered by NO_VECTOR on read-back (section 4.1.5.1.2). Pairs
 * with the load in the raising function: a device that raises at this moment takes the old or the
 * new vector, nothing else.
 */
static void set_vector(struct virtio_pci *vp, struct vpci_irq *irq, uint16_t vector)
{
	if (vector >= vmm_pci_msix_count(vp->msix)) {
		vector = VPCI_NO_VECTOR;
	}
	__atomic_store_n(&irq->vector, vector, __ATOMIC_RELEASE);
	vmm_vpci_calls_changed(vp);
}

static uint32_t half(uint64_t value, uint32_t select)
{
	return select < 2 ? (uint32_t)(value >> (32 * select)) : 0;
}

/* ---- reading; lock held ---- */

static uint64_t read_queue(struct virtio_pci *vp, unsigned reg)
{
	struct vmm_carrier_queue q = {0};
	unsigned queue = vp->queue_select;

	if (vmm_carrier_get_queue(vp->carrier, queue, &q) < 0) {
		/* A queue that does not exist has size 0 (section 4.1.4.3.1). */
		return reg == QUEUE_MSIX_VECTOR ? VPCI_NO_VECTOR : 0;
	}
	switch (reg) {
	case QUEUE_SIZE:
		return q.size;
	case QUEUE_MSIX_VECTOR:
		return get_vector(&vp->queues[queue].irq);
	case QUEUE_ENABLE:
		return q.enabled;
	case QUEUE_NOTIFY_OFF:
		return queue;
	case QUEUE_DESC:
		return q.desc;
	case QUEUE_DRIVER:
		return q.driver;
	case QUEUE_DEVICE:
		return q.device;
	default:
		return 0;
	}
}

static uint64_t read_register(struct virtio_pci *vp, unsigned reg)
{
	switch (reg) {
	case DEVICE_FEATURE_SELECT:
		return vp->device_feature_select;
	case DEVICE_FEATURE:
		return half(vmm_carrier_features(vp->carrier), vp->device_feature_select);
	case DRIVER_FEATURE_SELECT:
		return vp->driver_feature_select;
	case DRIVER_FEATURE:
		return half(vmm_carrier_driver_features(vp->carrier), vp->driver_feature_select);
	case CONFIG_MSIX_VECTOR:
		return get_vector(&vp->config_irq);
	case NUM_QUEUES:
		return vp->queue_count;
	case DEVICE_STATUS:
		return vmm_carrier_status(vp->carrier);
	case CONFIG_GENERATION:
		return vmm_carrier_config_generation(vp->carrier);
	case QUEUE_SELECT:
		return vp->queue_select;
	default:
		return read_queue(vp, reg);
	}
}

uint64_t vmm_vpci_common_read(struct virtio_pci *vp, unsigned offset, unsigned len)
{
	unsigned size;
	unsigned reg = find_register(offset, len, &size);
	uint64_t value;

	if (reg == VPCI_COMMON_SIZE) {
		return 0;
	}
	(void)pthread_mutex_lock(&vp->lock);
	value = read_register(vp, reg);
	(void)pthread_mutex_unlock(&vp->lock);
	return value >> (8 * (offset - reg));
}

/* ---- writing ---- */

static void write_driver_features(struct virtio_pci *vp, uint32_t value)
{
	uint64_t features = vmm_carrier_driver_features(vp->carrier);

	if (vp->driver_feature_select == 0) {
		features = (features & ~UINT64_C(0xffffffff)) | value;
	} else if (vp->driver_feature_select == 1) {
		features = (features & 0xffffffff) | ((uint64_t)value << 32);
	} else {
		return;
	}
	vmm_carrier_set_driver_features(vp->carrier, features);
}

/* A 64-bit register of which [shift, shift + 8 * len) was written. */
static void merge(vmm_gpa *address, unsigned shift, unsigned len, uint64_t value)
{
	uint64_t mask = len == 8 ? UINT64_MAX : UINT64_C(0xffffffff) << shift;

	*address = (*address & ~mask) | ((value << shift) & mask);
}

static void write_queue(struct virtio_pci *vp, unsigned reg, unsigned shift, unsigned len,
			uint64_t value)
{
	struct vmm_carrier_queue q;
	unsigned queue = vp->queue_select;

	if (vmm_carrier_get_queue(vp->carrier, queue, &q) < 0) {
		return;
	}
	switch (reg) {
	case QUEUE_SIZE:
		q.size = (uint16_t)value;
		break;
	case QUEUE_ENABLE:
		/* Only a reset disables: QUEUE_RESET is not offered. */
		q.enabled = q.enabled || value == 1;
		break;
	case QUEUE_DESC:
		merge(&q.desc, shift, len, value);
		break;
	case QUEUE_DRIVER:
		merge(&q.driver, shift, len, value);
		break;
	case QUEUE_DEVICE:
		merge(&q.device, shift, len, value);
		break;
	default:
		return; /* queue_notify_off is read-only */
	}
	/* The carrier says whether and when a queue may be changed; a refusal is no event. */
	if (vmm_carrier_set_queue(vp->carrier, queue, &q) == 0 && q.enabled) {
		vmm_vpci_kick_set_enabled(vp, queue, true);
	}
}

/* lock held */
static void write_register(struct virtio_pci *vp, unsigned reg, unsigned shift, unsigned len,
			   uint64_t value)
{
	switch (reg) {
	case DEVICE_FEATURE_SELECT:
		vp->device_feature_select = (uint32_t)value;
		break;
	case DRIVER_FEATURE_SELECT:
		vp->driver_feature_select = (uint32_t)value;
		break;
	case DRIVER_FEATURE:
		write_driver_features(vp, (uint32_t)value);
		break;
	case CONFIG_MSIX_VECTOR:
		set_vector(vp, &vp->config_irq, (uint16_t)value);
		break;
	case QUEUE_SELECT:
		vp->queue_select = (uint16_t)value;
		break;
	case QUEUE_MSIX_VECTOR:
		if (vp->queue_select < vp->queue_count) {
			set_vector(vp, &vp->queues[vp->queue_select].irq, (uint16_t)value);
		}
		break;
	case DEVICE_FEATURE:
	case NUM_QUEUES:
	case CONFIG_GENERATION:
		break;
	default:
		write_queue(vp, reg, shift, len, value);
		break;
	}
}

static void reset_registers(struct virtio_pci *vp)
{
	(void)pthread_mutex_lock(&vp->lock);
	vp->device_feature_select = 0;
	vp->driver_feature_select = 0;
	vp->queue_select = 0;
	set_vector(vp, &vp->config_irq, VPCI_NO_VECTOR);
	for (unsigned i = 0; i < vp->queue_count; i++) {
		set_vector(vp, &vp->queues[i].irq, VPCI_NO_VECTOR);
		vmm_vpci_kick_set_enabled(vp, i, false);
	}
	__atomic_store_n(&vp->isr, 0, __ATOMIC_RELEASE);
	(void)pthread_mutex_unlock(&vp->lock);
	vmm_pci_msix_clear_pending(vp->msix);
}

void vmm_vpci_reset_device(struct virtio_pci *vp)
{
	vmm_carrier_set_status(vp->carrier, 0);
	reset_registers(vp);
}

void vmm_vpci_common_write(struct virtio_pci *vp, unsigned offset, unsigned len, uint64_t value)
{
	unsigned size;
	unsigned reg = find_register(offset, len, &size);
	bool is_half = size == 8 && len == 4;

	if (reg == VPCI_COMMON_SIZE || (len != size && !is_half)) {
		return;
	}
	if (reg == DEVICE_STATUS) {
		/* May wait for the loop's thread: not under the lock. */
		if ((uint8_t)value == 0) {
			vmm_vpci_reset_device(vp);
		} else {
			vmm_carrier_set_status(vp->carrier, (uint8_t)value);
		}
		return;
	}
	(void)pthread_mutex_lock(&vp->lock);
	write_register(vp, reg, 8 * (offset - reg), len, value);
	(void)pthread_mutex_unlock(&vp->lock);
}
