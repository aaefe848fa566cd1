/* SPDX-License-Identifier: MIT */
/*
 * virtio over PCI, modern only (VIRTIO 1.2 section 4.1): no I/O BAR, no legacy registers, no INTx
 * (interrupt pin 0): interrupts are MSI-X, one vector for each queue and one for the configuration.
 */
#include "pci/virtio_pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VIRTIO_VENDOR   0x1af4u
#define VIRTIO_DEVICE   0x1040u /* plus the virtio device id */
#define VIRTIO_ID_MAX   0x3fu   /* of virtio device ids: as far as PCI's go */
#define VIRTIO_REVISION 1u

/* struct virtio_pci_cap, section 4.1.4 */
#define CAP_LEN       16u
#define CAP_TYPE      3u
#define CAP_BAR       4u
#define CAP_ID        5u
#define CAP_OFFSET    8u
#define CAP_LENGTH    12u
#define CAP_EXTRA     16u /* notify_off_multiplier, pci_cfg_data */
#define CAP_LEN_EXTRA 20u
#define CAP_LENGTH_HI 20u /* of struct virtio_pci_cap64 */
#define CAP_LEN_64    24u
#define TYPE_COMMON   1u
#define TYPE_NOTIFY   2u
#define TYPE_ISR      3u
#define TYPE_DEVICE   4u
#define TYPE_PCI_CFG  5u
#define TYPE_SHM      8u
#define DATA_LEN      4u

static struct virtio_pci *from_fn(struct vmm_pci_function *fn)
{
	return (struct virtio_pci *)fn;
}

/* ---- the BAR ---- */

static uint64_t bar_read(struct vmm_pci_function *fn, unsigned bar, uint64_t offset, unsigned len)
{
	struct virtio_pci *vp = from_fn(fn);
	unsigned in_block = (unsigned)(offset % VPCI_BLOCK_SIZE);

	if (bar != VPCI_BAR) {
		return UINT64_MAX; /* shared memory into which nothing is mapped yet */
	}
	switch (offset - in_block) {
	case VPCI_COMMON:
		return vmm_vpci_common_read(vp, in_block, len);
	case VPCI_ISR:
		/* Reading clears (section 4.1.4.5). */
		return in_block == 0 ? __atomic_exchange_n(&vp->isr, 0, __ATOMIC_ACQ_REL) : 0;
	case VPCI_DEVICE:
		return vmm_transport_config_read(&vp->transport, in_block, len);
	case VPCI_MSIX:
		return vmm_pci_msix_table_read(vp->msix, in_block, len);
	case VPCI_PBA:
		return vmm_pci_msix_pba_read(vp->msix, in_block, len);
	default:
		return 0;
	}
}

static void notify(struct virtio_pci *vp, unsigned offset)
{
	/*
	 * The address alone says which queue: the value written is the same number in the
	 * driver's words and is not looked at, just as an ioeventfd does not.
	 */
	if (offset % VPCI_NOTIFY_STRIDE == 0) {
		vmm_transport_kick(&vp->transport, offset / VPCI_NOTIFY_STRIDE);
	}
}

static void bar_write(struct vmm_pci_function *fn, unsigned bar, uint64_t offset, unsigned len,
		      uint64_t value)
{
	struct virtio_pci *vp = from_fn(fn);
	unsigned in_block = (unsigned)(offset % VPCI_BLOCK_SIZE);

	if (bar != VPCI_BAR) {
		return;
	}
	switch (offset - in_block) {
	case VPCI_COMMON:
		vmm_vpci_common_write(vp, in_block, len, value);
		break;
	case VPCI_DEVICE:
		vmm_transport_config_write(&vp->transport, in_block, len, value);
		break;
	case VPCI_NOTIFY:
		notify(vp, in_block);
		break;
	case VPCI_MSIX:
		vmm_pci_msix_table_write(vp->msix, in_block, len, value);
		break;
	default:
		break; /* the ISR and the pending bits are read-only */
	}
}

static void bar_mapped(struct vmm_pci_function *fn, unsigned bar, uint64_t gpa, bool mapped)
{
	struct vmm_transport *t = &from_fn(fn)->transport;

	if (bar == VPCI_BAR) {
		vmm_transport_set_reachable(t, mapped, gpa + VPCI_NOTIFY);
	} else {
		vmm_transport_shm_decode(t, (bar - VPCI_SHM_BAR(0)) / 2, mapped, gpa);
	}
}

/* ---- the PCI_CFG window: the BAR through configuration space (section 4.1.4.9) ---- */

struct window {
	uint8_t bar;
	uint32_t offset;
	uint32_t len;
	uint32_t data;
};

static uint32_t load_le32(const uint8_t *bytes)
{
	return bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) |
	       ((uint32_t)bytes[3] << 24);
}

/* Copies what the driver set; false when that is no access that the BAR would take. */
static bool load_window(struct virtio_pci *vp, struct window *w)
{
	uint8_t cap[CAP_LEN_EXTRA];

	vmm_pci_function_copy_out(&vp->fn, vp->window, cap, sizeof(cap));
	w->bar = cap[CAP_BAR];
	w->offset = load_le32(cap + CAP_OFFSET);
	w->len = load_le32(cap + CAP_LENGTH);
	w->data = load_le32(cap + CAP_EXTRA);
	/* Aligned, so not across the end either. */
	return w->bar == VPCI_BAR && (w->len == 1 || w->len == 2 || w->len == 4) &&
	       w->offset % w->len == 0 && w->offset < VPCI_BAR_SIZE;
}

static bool touches_data(const struct virtio_pci *vp, unsigned offset, unsigned len)
{
	unsigned data = vp->window + CAP_EXTRA;

	return offset < data + DATA_LEN && offset + len > data;
}

static void config_written(struct vmm_pci_function *fn, unsigned offset, unsigned len)
{
	struct virtio_pci *vp = from_fn(fn);
	struct window w;

	if (offset < VMM_PCI_REG_BAR0 + 4 * VMM_PCI_BARS) {
		/* Here, because the host's lock is not held. */
		vmm_transport_shm_settle(&vp->transport);
	}
	if (offset < fn->msix_cap + CAP_LEN && offset + len > fn->msix_cap) {
		/* MSI-X may have been switched on or off. */
		vmm_vpci_calls_changed(vp);
	}
	if (touches_data(vp, offset, len) && load_window(vp, &w)) {
		uint32_t mask = UINT32_MAX >> (32 - 8 * w.len);

		bar_write(fn, VPCI_BAR, w.offset, w.len, w.data & mask);
	}
}

static void config_reading(struct vmm_pci_function *fn, unsigned offset, unsigned len)
{
	struct virtio_pci *vp = from_fn(fn);
	uint8_t bytes[DATA_LEN];
	struct window w;
	uint64_t value;

	if (!touches_data(vp, offset, len)) {
		return;
	}
	value = UINT64_MAX;
	if (load_window(vp, &w)) {
		value = bar_read(fn, VPCI_BAR, w.offset, w.len);
	} else {
		w.len = DATA_LEN; /* as an access that nobody answers: all ones */
	}
	for (unsigned i = 0; i < w.len; i++) {
		bytes[i] = (uint8_t)(value >> (8 * i));
	}
	vmm_pci_function_copy_in(fn, vp->window + CAP_EXTRA, bytes, w.len);
}

/* ---- making the function ---- */

static unsigned add_cap(struct virtio_pci *vp, uint8_t type, unsigned len, uint32_t offset,
			uint32_t length)
{
	struct vmm_pci_function *fn = &vp->fn;
	unsigned at = vmm_pci_function_add_cap(fn, VMM_PCI_CAP_VENDOR, len);

	if (at != 0) {
		vmm_pci_function_set8(fn, at + 2, (uint8_t)len);
		vmm_pci_function_set8(fn, at + CAP_TYPE, type);
		vmm_pci_function_set8(fn, at + CAP_BAR, VPCI_BAR);
		vmm_pci_function_set32(fn, at + CAP_OFFSET, offset);
		vmm_pci_function_set32(fn, at + CAP_LENGTH, length);
	}
	return at;
}

/* Section 4.1.4.7. */
static void add_shm(struct virtio_pci *vp)
{
	struct vmm_pci_function *fn = &vp->fn;
	const struct vmm_virtio_device *dev = vp->transport.dev;

	for (unsigned i = 0; i < dev->shm_count; i++) {
		const struct vmm_virtio_shm *shm = &dev->shm[i];
		unsigned bar = VPCI_SHM_BAR(i);
		unsigned at;

		/* A length that is no power of two is refused by the carrier, before fn is added.
		 */
		(void)vmm_pci_function_add_bar(fn, bar, shm->len, true, true);
		fn->bars[bar].is_memory = true;
		at = add_cap(vp, TYPE_SHM, CAP_LEN_64, 0, (uint32_t)shm->len);
		vmm_pci_function_set8(fn, at + CAP_BAR, (uint8_t)bar);
		vmm_pci_function_set8(fn, at + CAP_ID, shm->id);
		vmm_pci_function_set32(fn, at + CAP_LENGTH_HI, (uint32_t)(shm->len >> 32));
	}
}

/* All capabilities and MSI-X take 148 of the 192 bytes there are, so nothing here can fail. */
static void add_caps(struct virtio_pci *vp)
{
	struct vmm_pci_function *fn = &vp->fn;
	unsigned at;

	(void)vmm_pci_function_add_msix(fn, vp->msix, VPCI_BAR, VPCI_MSIX, VPCI_PBA);
	(void)add_cap(vp, TYPE_COMMON, CAP_LEN, VPCI_COMMON, VPCI_COMMON_SIZE);
	(void)add_cap(vp, TYPE_ISR, CAP_LEN, VPCI_ISR, 1);
	(void)add_cap(vp, TYPE_DEVICE, CAP_LEN, VPCI_DEVICE, VPCI_BLOCK_SIZE);
	at = add_cap(vp, TYPE_NOTIFY, CAP_LEN_EXTRA, VPCI_NOTIFY, VPCI_BLOCK_SIZE);
	vmm_pci_function_set32(fn, at + CAP_EXTRA, VPCI_NOTIFY_STRIDE);
	at = add_cap(vp, TYPE_PCI_CFG, CAP_LEN_EXTRA, 0, 0);
	vp->window = at;
	fn->writable[at + CAP_BAR] = 0xff;
	memset(&fn->writable[at + CAP_OFFSET], 0xff, 4 + 4 + DATA_LEN);
	if (vp->transport.shm[0].window) {
		add_shm(vp);
	}
}

static uint32_t class_code(uint32_t device_id)
{
	switch (device_id) {
	case VMM_VIRTIO_ID_NET:
		return 0x020000; /* Ethernet */
	case VMM_VIRTIO_ID_BLOCK:
		return 0x018000; /* other mass storage */
	case VMM_VIRTIO_ID_CONSOLE:
		return 0x078000; /* other communication */
	case VMM_VIRTIO_ID_RNG:
		return 0x108000; /* other encryption */
	case VMM_VIRTIO_ID_GPU:
		return 0x038000; /* other display */
	case VMM_VIRTIO_ID_INPUT:
		return 0x098000; /* other input */
	default:
		return 0xff0000; /* fits no class */
	}
}

static void fn_reset(struct vmm_pci_function *fn)
{
	vmm_vpci_reset_device(from_fn(fn));
}

/* Whose carrier is gone, or was never made. */
static void free_vp(struct virtio_pci *vp)
{
	vmm_vpci_call_finish(vp);
	vmm_transport_finish(&vp->transport);
	vmm_pci_msix_destroy(vp->msix);
	free(vp);
}

static void fn_destroy(struct vmm_pci_function *fn)
{
	struct virtio_pci *vp = from_fn(fn);

	vmm_carrier_destroy(vp->transport.carrier);
	free_vp(vp);
}

static const struct vmm_pci_function_ops virtio_pci_ops = {
	.bar = {.read = bar_read, .write = bar_write},
	.config_written = config_written,
	.config_reading = config_reading,
	.bar_mapped = bar_mapped,
	.reset = fn_reset,
	.destroy = fn_destroy,
};

static struct virtio_pci *new_vp(const struct vmm_virtio_device *dev)
{
	struct vmm_pci_ids ids = {
		.vendor = VIRTIO_VENDOR,
		.device = (uint16_t)(VIRTIO_DEVICE + dev->device_id),
		.subsystem_vendor = VIRTIO_VENDOR,
		.subsystem = (uint16_t)(VIRTIO_DEVICE + dev->device_id),
		.class_code = class_code(dev->device_id),
		.revision = VIRTIO_REVISION,
	};
	struct virtio_pci *vp = calloc(1, sizeof(*vp) + dev->queue_count * sizeof(vp->irqs[0]));

	if (!vp) {
		return NULL;
	}
	vmm_pci_function_init(&vp->fn, &virtio_pci_ops, &ids);
	(void)vmm_pci_function_add_bar(&vp->fn, VPCI_BAR, VPCI_BAR_SIZE, true, true);
	vmm_vpci_call_init(vp, &vp->config_irq, VMM_ISR_CONFIG);
	for (unsigned i = 0; i < dev->queue_count; i++) {
		vmm_vpci_call_init(vp, &vp->irqs[i], VMM_ISR_QUEUE);
	}
	return vp;
}

static int carry(struct virtio_pci *vp, const struct vmm_transport_device *device,
		 struct vmm_error *err)
{
	struct vmm_irq *irqs[VMM_VIRTIO_QUEUES_MAX];

	for (unsigned i = 0; i < vp->transport.queue_count; i++) {
		irqs[i] = &vp->irqs[i].base;
	}
	return vmm_transport_carry(&vp->transport, device, &vp->config_irq.base, irqs, err);
}

/* Memory, locks and descriptors; on failure none is left. */
static int create_vp(struct virtio_pci **out, const struct vmm_pci_platform *platform,
		     struct vmm_virtio_device *dev, const struct vmm_transport_device *device,
		     struct vmm_error *err)
{
	const struct vmm_transport_config config = {
		.device = device,
		.events = &platform->ops->events,
		.events_ctx = platform->ctx,
		.notify_stride = VPCI_NOTIFY_STRIDE,
	};
	struct virtio_pci *vp = new_vp(dev);
	int ret;

	if (!vp) {
		(void)vmm_error_set(err, -ENOMEM, "%s: out of memory", dev->name);
		return -ENOMEM;
	}
	ret = vmm_transport_init(&vp->transport, dev, &config, err);
	if (ret < 0) {
		free(vp);
		return ret;
	}
	ret = vmm_pci_msix_create(&vp->msix, dev->queue_count + 1, platform, device->log);
	if (ret == 0) {
		ret = vmm_vpci_call_start(vp);
	}
	if (ret < 0) {
		free_vp(vp);
		(void)vmm_error_wrap(err, ret, "%s: cannot make its event descriptors", dev->name);
		return ret;
	}
	*out = vp;
	return 0;
}

int vmm_virtio_pci_add(struct vmm_pci_host *host, struct vmm_virtio_device *dev,
		       const struct vmm_transport_device *device, unsigned *slot,
		       struct vmm_error *err)
{
	struct virtio_pci *vp;
	int ret = vmm_transport_check(dev, VIRTIO_ID_MAX, err);

	if (ret < 0) {
		return ret;
	}
	ret = create_vp(&vp, vmm_pci_host_platform(host), dev, device, err);
	if (ret < 0) {
		return ret;
	}
	add_caps(vp);
	ret = vmm_pci_host_place(host, &vp->fn, err);
	if (ret == 0) {
		/* Last, because it takes the device. */
		ret = carry(vp, device, err);
	}
	if (ret < 0) {
		free_vp(vp);
		return ret;
	}
	vmm_pci_host_add(host, &vp->fn);
	*slot = vp->fn.slot;
	return 0;
}

struct vmm_virtio_device *vmm_virtio_pci_device(struct vmm_pci_host *host, unsigned slot)
{
	struct vmm_pci_function *fn = vmm_pci_host_function(host, slot);

	return fn && fn->ops == &virtio_pci_ops ? from_fn(fn)->transport.dev : NULL;
}
