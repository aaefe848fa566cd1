/* SPDX-License-Identifier: MIT */
/*
 * Registers and interrupts of virtio-mmio.
 *
 * The interrupt line is an edge: an eventfd that the hypervisor turns into one (irqfd). A device
 * sets its bit in InterruptStatus first and writes to the eventfd then. A driver reads the status,
 * acknowledges what it read, and looks at what these bits stand for after that. So no edge can be
 * lost in between: a bit that was set after the driver's read is not among those it acknowledges,
 * unless it was among those it read, whose cause it has yet to look at; and in either case the edge
 * comes after the bit, and brings the driver back.
 *
 * Queues that another process serves (external_queues) raise the line without anybody here knowing:
 * that process writes to the eventfd itself, so that nothing of this one has to wake up for each
 * request. Who does not know of used buffers cannot show them in InterruptStatus. Therefore, while
 * such a device is at work, its used buffer bit always reads 1 and no acknowledgement clears it. A
 * driver that finds nothing used has looked at its ring in vain, which is all that an interrupt too
 * many ever costs; a bit that reads 0 would be a lost interrupt.
 */
#include "mmio/mmio.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAGIC   0x74726976u /* "virt" */
#define VERSION 2u
#define VENDOR  0x1af4u /* as in virtio-pci */

/* Section 4.2.2. */
enum {
	MAGIC_VALUE = 0x000,
	VERSION_NUMBER = 0x004,
	DEVICE_ID = 0x008,
	VENDOR_ID = 0x00c,
	DEVICE_FEATURES = 0x010,
	DEVICE_FEATURES_SEL = 0x014,
	DRIVER_FEATURES = 0x020,
	DRIVER_FEATURES_SEL = 0x024,
	QUEUE_SEL = 0x030,
	QUEUE_NUM_MAX = 0x034,
	QUEUE_NUM = 0x038,
	QUEUE_READY = 0x044,
	QUEUE_NOTIFY = 0x050,
	INTERRUPT_STATUS = 0x060,
	INTERRUPT_ACK = 0x064,
	STATUS = 0x070,
	QUEUE_DESC_LOW = 0x080,
	QUEUE_DESC_HIGH = 0x084,
	QUEUE_DRIVER_LOW = 0x090,
	QUEUE_DRIVER_HIGH = 0x094,
	QUEUE_DEVICE_LOW = 0x0a0,
	QUEUE_DEVICE_HIGH = 0x0a4,
	SHM_SEL = 0x0ac,
	SHM_LEN_LOW = 0x0b0,
	SHM_LEN_HIGH = 0x0b4,
	SHM_BASE_LOW = 0x0b8,
	SHM_BASE_HIGH = 0x0bc,
	CONFIG_GENERATION = 0x0fc,
	CONFIG = 0x100,
};

struct mmio_irq {
	struct vmm_irq base;
	struct vmm_virtio_mmio *m;
	uint32_t bit; /* in InterruptStatus */
};

struct vmm_virtio_mmio {
	struct vmm_transport transport;
	unsigned gsi;
	int irq_fd;
	bool connected;     /* irq_fd to gsi */
	uint32_t interrupt; /* atomic: InterruptStatus, but for what external queues add */
	struct mmio_irq queue_irq;
	struct mmio_irq config_irq;
	uint32_t shm_select; /* under transport.lock */
};

/* ---- interrupts; any thread, no lock ---- */

static void raise_irq(struct vmm_irq *base)
{
	struct mmio_irq *irq = (struct mmio_irq *)base;
	uint64_t one = 1;

	__atomic_fetch_or(&irq->m->interrupt, irq->bit, __ATOMIC_ACQ_REL);
	/* EAGAIN: the counter is at its maximum, so there are edges to come already. */
	(void)!write(irq->m->irq_fd, &one, sizeof(one));
}

static int irq_eventfd(struct vmm_irq *base)
{
	return ((struct mmio_irq *)base)->m->irq_fd;
}

static void init_irq(struct vmm_virtio_mmio *m, struct mmio_irq *irq, uint32_t bit)
{
	irq->base.raise = raise_irq;
	irq->base.eventfd = irq_eventfd;
	irq->m = m;
	irq->bit = bit;
}

static uint32_t interrupt_status(struct vmm_virtio_mmio *m)
{
	uint32_t bits = __atomic_load_n(&m->interrupt, __ATOMIC_ACQUIRE);

	/*
	 * Not from activation on but from DRIVER_OK: the other process may be quicker than the
	 * loop's thread is with the rest of the activation.
	 */
	if (m->transport.dev->external_queues &&
	    (vmm_carrier_status(m->transport.carrier) & VMM_VIRTIO_S_DRIVER_OK)) {
		bits |= VMM_ISR_QUEUE;
	}
	return bits;
}

/* ---- registers ---- */

/* What a register that both transports have is called there; bits 63:32 of an address apart. */
static enum vmm_transport_register shared(uint64_t offset)
{
	switch (offset) {
	case DEVICE_FEATURES:
		return VMM_REG_DEVICE_FEATURE;
	case DEVICE_FEATURES_SEL:
		return VMM_REG_DEVICE_FEATURE_SELECT;
	case DRIVER_FEATURES:
		return VMM_REG_DRIVER_FEATURE;
	case DRIVER_FEATURES_SEL:
		return VMM_REG_DRIVER_FEATURE_SELECT;
	case QUEUE_SEL:
		return VMM_REG_QUEUE_SELECT;
	case QUEUE_NUM_MAX:
		return VMM_REG_QUEUE_SIZE_MAX;
	case QUEUE_NUM:
		return VMM_REG_QUEUE_SIZE;
	case QUEUE_READY:
		return VMM_REG_QUEUE_ENABLE;
	case STATUS:
		return VMM_REG_STATUS;
	case QUEUE_DESC_LOW:
	case QUEUE_DESC_HIGH:
		return VMM_REG_QUEUE_DESC;
	case QUEUE_DRIVER_LOW:
	case QUEUE_DRIVER_HIGH:
		return VMM_REG_QUEUE_DRIVER;
	case QUEUE_DEVICE_LOW:
	case QUEUE_DEVICE_HIGH:
		return VMM_REG_QUEUE_DEVICE;
	case CONFIG_GENERATION:
		return VMM_REG_GENERATION;
	default:
		return VMM_REG_NONE;
	}
}

static uint64_t read_shared(struct vmm_virtio_mmio *m, uint64_t offset)
{
	uint64_t value;

	(void)pthread_mutex_lock(&m->transport.lock);
	value = vmm_transport_read(&m->transport, shared(offset));
	(void)pthread_mutex_unlock(&m->transport.lock);
	return value;
}

/* Of the selected region; length and base of one that is not there are -1. */
static uint32_t read_shm(struct vmm_virtio_mmio *m, uint64_t offset)
{
	const struct vmm_transport *t = &m->transport;
	uint64_t len = UINT64_MAX;
	uint64_t base = UINT64_MAX;

	(void)pthread_mutex_lock(&m->transport.lock);
	for (unsigned i = 0; i < t->dev->shm_count; i++) {
		if (t->dev->shm[i].id == m->shm_select && t->shm[i].window) {
			len = t->dev->shm[i].len;
			base = t->shm[i].gpa;
		}
	}
	(void)pthread_mutex_unlock(&m->transport.lock);
	switch (offset) {
	case SHM_LEN_LOW:
		return (uint32_t)len;
	case SHM_LEN_HIGH:
		return (uint32_t)(len >> 32);
	case SHM_BASE_LOW:
		return (uint32_t)base;
	default:
		return (uint32_t)(base >> 32);
	}
}

/* Those that only a driver writes, and those that are not there, read 0. */
static uint64_t read_register(struct vmm_virtio_mmio *m, uint64_t offset)
{
	switch (offset) {
	case MAGIC_VALUE:
		return MAGIC;
	case VERSION_NUMBER:
		return VERSION;
	case DEVICE_ID:
		return m->transport.dev->device_id;
	case VENDOR_ID:
		return VENDOR;
	case INTERRUPT_STATUS:
		return interrupt_status(m);
	case DEVICE_FEATURES:
	case QUEUE_NUM_MAX:
	case QUEUE_READY:
	case STATUS:
	case CONFIG_GENERATION:
		return read_shared(m, offset);
	case SHM_LEN_LOW:
	case SHM_LEN_HIGH:
	case SHM_BASE_LOW:
	case SHM_BASE_HIGH:
		return read_shm(m, offset);
	default:
		return 0;
	}
}

void vmm_virtio_mmio_reset(struct vmm_virtio_mmio *m)
{
	vmm_carrier_set_status(m->transport.carrier, 0);
	(void)pthread_mutex_lock(&m->transport.lock);
	vmm_transport_reset_registers(&m->transport);
	m->shm_select = 0;
	__atomic_store_n(&m->interrupt, 0, __ATOMIC_RELEASE);
	(void)pthread_mutex_unlock(&m->transport.lock);
}

/* May wait for the loop's thread: under no lock. */
static void write_status(struct vmm_virtio_mmio *m, uint32_t value)
{
	if (value == 0) {
		vmm_virtio_mmio_reset(m);
	} else if (value <= UINT8_MAX) {
		vmm_carrier_set_status(m->transport.carrier, (uint8_t)value);
	}
}

/*
 * Linux clears the bit also of a queue whose set-up it breaks off. Once the device is active only a
 * reset stops a queue, as QUEUE_RESET is not offered: the driver finds the bit set still.
 */
static void write_queue_ready(struct vmm_virtio_mmio *m, uint32_t value)
{
	struct vmm_transport *t = &m->transport;

	if (value != 0) {
		vmm_transport_write(t, VMM_REG_QUEUE_ENABLE, 0, sizeof(value), value);
	} else if (vmm_carrier_disable_queue(t->carrier, t->queue_select) == 0) {
		vmm_transport_set_enabled(t, t->queue_select, false);
	}
}

/* lock held */
static void write_shared(struct vmm_virtio_mmio *m, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case QUEUE_READY:
		write_queue_ready(m, value);
		break;
	case SHM_SEL:
		m->shm_select = value;
		break;
	case QUEUE_DESC_HIGH:
	case QUEUE_DRIVER_HIGH:
	case QUEUE_DEVICE_HIGH:
		vmm_transport_write(&m->transport, shared(offset), 32, sizeof(value), value);
		break;
	default:
		vmm_transport_write(&m->transport, shared(offset), 0, sizeof(value), value);
		break;
	}
}

static void write_register(struct vmm_virtio_mmio *m, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case QUEUE_NOTIFY:
		/* Usually an ioeventfd takes it before it comes here. */
		vmm_transport_kick(&m->transport, value);
		break;
	case INTERRUPT_ACK:
		__atomic_fetch_and(&m->interrupt, ~value, __ATOMIC_ACQ_REL);
		break;
	case STATUS:
		write_status(m, value);
		break;
	default:
		(void)pthread_mutex_lock(&m->transport.lock);
		write_shared(m, offset, value);
		(void)pthread_mutex_unlock(&m->transport.lock);
		break;
	}
}

/* Registers are read and written whole (section 4.2.2.2); nobody answers other accesses. */
static bool is_legal(uint64_t offset, unsigned len)
{
	return offset % len == 0 && (offset >= CONFIG || len == sizeof(uint32_t));
}

static uint64_t mmio_read(void *ctx, uint64_t offset, unsigned len)
{
	struct vmm_virtio_mmio *m = ctx;

	if (!is_legal(offset, len)) {
		return UINT64_MAX;
	}
	if (offset >= CONFIG) {
		return vmm_transport_config_read(&m->transport, offset - CONFIG, len);
	}
	return read_register(m, offset);
}

static void mmio_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct vmm_virtio_mmio *m = ctx;

	if (!is_legal(offset, len)) {
		return;
	}
	if (offset >= CONFIG) {
		vmm_transport_config_write(&m->transport, offset - CONFIG, len, value);
	} else {
		write_register(m, offset, (uint32_t)value);
	}
}

/* ---- life ---- */

static const struct vmm_bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write};

/* Whose carrier is gone, or was never made. */
static void free_mmio(struct vmm_virtio_mmio *m)
{
	if (m->connected) {
		(void)m->transport.events->irqfd(m->transport.events_ctx, m->gsi, m->irq_fd, false);
	}
	if (m->irq_fd >= 0) {
		(void)close(m->irq_fd);
	}
	vmm_transport_finish(&m->transport);
	free(m);
}

void vmm_virtio_mmio_destroy(struct vmm_virtio_mmio *m)
{
	if (m) {
		vmm_carrier_destroy(m->transport.carrier);
		free_mmio(m);
	}
}

static int connect_line(struct vmm_virtio_mmio *m)
{
	int ret;

	m->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->irq_fd < 0) {
		return -errno;
	}
	ret = m->transport.events->irqfd(m->transport.events_ctx, m->gsi, m->irq_fd, true);
	m->connected = ret == 0;
	return ret;
}

/* Without its carrier. On failure nothing is left. */
static int create_mmio(struct vmm_virtio_mmio **out, struct vmm_virtio_device *dev,
		       const struct vmm_transport_device *device,
		       const struct vmm_virtio_mmio_config *config, struct vmm_error *err)
{
	const struct vmm_transport_config tc = {
		.device = device,
		.events = config->events,
		.events_ctx = config->events_ctx,
	};
	struct vmm_virtio_mmio *m = calloc(1, sizeof(*m));
	int ret;

	if (!m) {
		(void)vmm_error_set(err, -ENOMEM, "%s: out of memory", dev->name);
		return -ENOMEM;
	}
	m->gsi = config->gsi;
	init_irq(m, &m->queue_irq, VMM_ISR_QUEUE);
	init_irq(m, &m->config_irq, VMM_ISR_CONFIG);
	ret = vmm_transport_init(&m->transport, dev, &tc, err);
	if (ret < 0) {
		free(m);
		return ret;
	}
	ret = connect_line(m);
	if (ret < 0) {
		free_mmio(m);
		(void)vmm_error_wrap(err, ret, "%s: cannot make its interrupt line", dev->name);
		return ret;
	}
	*out = m;
	return 0;
}

static int carry(struct vmm_virtio_mmio *m, const struct vmm_transport_device *device,
		 struct vmm_error *err)
{
	struct vmm_irq *irqs[VMM_VIRTIO_QUEUES_MAX];

	for (unsigned i = 0; i < m->transport.queue_count; i++) {
		irqs[i] = &m->queue_irq.base;
	}
	return vmm_transport_carry(&m->transport, device, &m->config_irq.base, irqs, err);
}

int vmm_virtio_mmio_create(struct vmm_virtio_mmio **out, struct vmm_virtio_device *dev,
			   const struct vmm_transport_device *device,
			   const struct vmm_virtio_mmio_config *config, struct vmm_error *err)
{
	struct vmm_virtio_mmio *m;
	int ret;

	*out = NULL;
	ret = vmm_transport_check(dev, UINT32_MAX, err);
	if (ret < 0) {
		return ret;
	}
	ret = create_mmio(&m, dev, device, config, err);
	if (ret < 0) {
		return ret;
	}
	ret = carry(m, device, err);
	if (ret < 0) {
		free_mmio(m);
		return ret;
	}
	/* Last, as nothing can be taken off a bus. */
	ret = vmm_bus_add(config->bus, vmm_carrier_id(m->transport.carrier), config->base,
			  VMM_VIRTIO_MMIO_SIZE, &mmio_ops, m, err);
	if (ret < 0) {
		(void)vmm_carrier_release(m->transport.carrier);
		free_mmio(m);
		return ret;
	}
	vmm_transport_set_reachable(&m->transport, true, config->base + QUEUE_NOTIFY);
	for (unsigned i = 0; i < dev->shm_count; i++) {
		vmm_transport_shm_decode(&m->transport, i, true, config->shm[i]);
	}
	*out = m;
	return 0;
}
