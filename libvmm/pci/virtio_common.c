/* SPDX-License-Identifier: MIT */
/*
 * The common configuration registers (VIRTIO 1.2 section 4.1.4.3), decoded one by one. An access
 * stays inside one register; a register is written whole, except that 64-bit ones may be written by
 * halves (section 4.1.3.1). Everything else reads 0 and writes nothing.
 */
#include "pci/virtio_pci.h"

enum {
	CONFIG_MSIX_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	DEVICE_STATUS = 0x14,
	QUEUE_SELECT = 0x16,
	QUEUE_MSIX_VECTOR = 0x1a,
	QUEUE_NOTIFY_OFF = 0x1e,
};

/* Those with VMM_REG_NONE are PCI's own. */
static const struct {
	uint8_t offset;
	uint8_t size;
	uint8_t reg; /* enum vmm_transport_register */
} registers[] = {
	{0x00, 4, VMM_REG_DEVICE_FEATURE_SELECT}, {0x04, 4, VMM_REG_DEVICE_FEATURE},
	{0x08, 4, VMM_REG_DRIVER_FEATURE_SELECT}, {0x0c, 4, VMM_REG_DRIVER_FEATURE},
	{CONFIG_MSIX_VECTOR, 2, VMM_REG_NONE},    {NUM_QUEUES, 2, VMM_REG_NONE},
	{DEVICE_STATUS, 1, VMM_REG_STATUS},       {0x15, 1, VMM_REG_GENERATION},
	{QUEUE_SELECT, 2, VMM_REG_QUEUE_SELECT},  {0x18, 2, VMM_REG_QUEUE_SIZE},
	{QUEUE_MSIX_VECTOR, 2, VMM_REG_NONE},     {0x1c, 2, VMM_REG_QUEUE_ENABLE},
	{QUEUE_NOTIFY_OFF, 2, VMM_REG_NONE},      {0x20, 8, VMM_REG_QUEUE_DESC},
	{0x28, 8, VMM_REG_QUEUE_DRIVER},          {0x30, 8, VMM_REG_QUEUE_DEVICE},
};

#define REGISTERS (sizeof(registers) / sizeof(registers[0]))

/* The register that [offset, offset + len) lies in, or REGISTERS. */
static size_t find_register(unsigned offset, unsigned len)
{
	for (size_t i = 0; i < REGISTERS; i++) {
		unsigned start = registers[i].offset;

		if (offset >= start && offset - start < registers[i].size &&
		    len <= registers[i].size - (offset - start)) {
			return i;
		}
	}
	return REGISTERS;
}

/* The source whose vector is the selected queue's; NULL: there is no such queue. */
static struct vpci_irq *selected(struct virtio_pci *vp)
{
	const struct vmm_transport *t = &vp->transport;

	return t->queue_select < t->queue_count ? &vp->irqs[t->queue_select] : NULL;
}

static uint16_t get_vector(const struct vpci_irq *irq)
{
	return irq ? __atomic_load_n(&irq->vector, __ATOMIC_ACQUIRE) : VPCI_NO_VECTOR;
}

/*
 * A vector that does not exist is answered by NO_VECTOR on read-back (section 4.1.5.1.2). Pairs
 * with the load in the raising function: a device that raises at this moment takes the old or the
 * new vector, nothing else.
 */
static void set_vector(struct virtio_pci *vp, struct vpci_irq *irq, uint16_t vector)
{
	if (!irq) {
		return;
	}
	if (vector >= vmm_pci_msix_count(vp->msix)) {
		vector = VPCI_NO_VECTOR;
	}
	__atomic_store_n(&irq->vector, vector, __ATOMIC_RELEASE);
	vmm_vpci_calls_changed(vp);
}

/* ---- reading ---- */

/* lock held */
static uint64_t read_register(struct virtio_pci *vp, size_t i)
{
	switch (registers[i].offset) {
	case CONFIG_MSIX_VECTOR:
		return get_vector(&vp->config_irq);
	case NUM_QUEUES:
		return vp->transport.queue_count;
	case QUEUE_MSIX_VECTOR:
		return get_vector(selected(vp));
	case QUEUE_NOTIFY_OFF:
		return selected(vp) ? vp->transport.queue_select : 0;
	default:
		return vmm_transport_read(&vp->transport, registers[i].reg);
	}
}

uint64_t vmm_vpci_common_read(struct virtio_pci *vp, unsigned offset, unsigned len)
{
	size_t i = find_register(offset, len);
	uint64_t value;

	if (i == REGISTERS) {
		return 0;
	}
	(void)pthread_mutex_lock(&vp->transport.lock);
	value = read_register(vp, i);
	(void)pthread_mutex_unlock(&vp->transport.lock);
	return value >> (8 * (offset - registers[i].offset));
}

/* ---- writing ---- */

/* lock held */
static void write_register(struct virtio_pci *vp, size_t i, unsigned shift, unsigned len,
			   uint64_t value)
{
	switch (registers[i].offset) {
	case CONFIG_MSIX_VECTOR:
		set_vector(vp, &vp->config_irq, (uint16_t)value);
		break;
	case QUEUE_MSIX_VECTOR:
		set_vector(vp, selected(vp), (uint16_t)value);
		break;
	default:
		vmm_transport_write(&vp->transport, registers[i].reg, shift, len, value);
		break;
	}
}

static void reset_registers(struct virtio_pci *vp)
{
	(void)pthread_mutex_lock(&vp->transport.lock);
	vmm_transport_reset_registers(&vp->transport);
	set_vector(vp, &vp->config_irq, VPCI_NO_VECTOR);
	for (unsigned i = 0; i < vp->transport.queue_count; i++) {
		set_vector(vp, &vp->irqs[i], VPCI_NO_VECTOR);
	}
	__atomic_store_n(&vp->isr, 0, __ATOMIC_RELEASE);
	(void)pthread_mutex_unlock(&vp->transport.lock);
	vmm_pci_msix_clear_pending(vp->msix);
}

void vmm_vpci_reset_device(struct virtio_pci *vp)
{
	vmm_carrier_set_status(vp->transport.carrier, 0);
	reset_registers(vp);
}

void vmm_vpci_common_write(struct virtio_pci *vp, unsigned offset, unsigned len, uint64_t value)
{
	uint64_t mask = len < 8 ? (UINT64_C(1) << (8 * len)) - 1 : UINT64_MAX;
	size_t i = find_register(offset, len);
	bool is_half;

	if (i == REGISTERS) {
		return;
	}
	is_half = registers[i].size == 8 && len == 4;
	if (len != registers[i].size && !is_half) {
		return;
	}
	value &= mask;
	if (registers[i].offset == DEVICE_STATUS) {
		/* May wait for the loop's thread: not under the lock. */
		if (value == 0) {
			vmm_vpci_reset_device(vp);
		} else {
			vmm_carrier_set_status(vp->transport.carrier, (uint8_t)value);
		}
		return;
	}
	(void)pthread_mutex_lock(&vp->transport.lock);
	write_register(vp, i, 8 * (offset - registers[i].offset), len, value);
	(void)pthread_mutex_unlock(&vp->transport.lock);
}
