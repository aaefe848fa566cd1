/* SPDX-License-Identifier: MIT */
#include "test_virtio_pci_fix.h"

#include <string.h>

static const uint16_t toy_sizes[TOY_QUEUES] = {TOY_QUEUE_SIZE, 4};

static int toy_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct toy *toy = (struct toy *)dev;

	toy->active = *active;
	toy->activations++;
	return 0;
}

static void toy_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	struct toy *toy = (struct toy *)dev;
	struct iovec iov[TOY_QUEUE_SIZE];
	struct vmm_chain chain = {.iov = iov, .iov_cap = TOY_QUEUE_SIZE};
	struct vmm_virtq *q = toy->active.queues[queue];

	toy->notifies[queue]++;
	while (vmm_virtq_pop(q, &chain) == 1) {
		FIX_REQUIRE(vmm_virtq_push(q, chain.head, 0) == 0);
	}
	vmm_virtq_flush(q);
}

static void toy_reset(struct vmm_virtio_device *dev)
{
	((struct toy *)dev)->resets++;
}

/* Accepts what is written to the first 8 bytes. */
static void toy_set_config(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			   size_t len)
{
	((struct toy *)dev)->configs++;
	if (offset + len <= 8) {
		(void)vmm_virtio_config_update(dev, offset, bytes, len);
	}
}

static void toy_destroy(struct vmm_virtio_device *dev)
{
	((struct toy *)dev)->destroyed = true;
}

static const struct vmm_virtio_ops toy_ops = {
	.activate = toy_activate,
	.notify = toy_notify,
	.reset = toy_reset,
	.set_config = toy_set_config,
	.destroy = toy_destroy,
};

void toy_init(struct toy *toy)
{
	memset(toy, 0, sizeof(*toy));
	toy->base.ops = &toy_ops;
	toy->base.name = "toy";
	toy->base.device_id = TOY_ID;
	toy->base.features = TOY_FEATURE;
	toy->base.queue_count = TOY_QUEUES;
	toy->base.queue_sizes = toy_sizes;
	toy->base.config_len = TOY_CONFIG;
	memcpy(toy->base.config, "abcdefghijkl", TOY_CONFIG);
}

void vpcifix_init(struct vpcifix *fix)
{
	struct vmm_virtio_pci_config config = {.id = "toy0"};
	struct vmm_error err = {0};

	memset(fix, 0, sizeof(*fix));
	pcifix_init(&fix->pci, true);
	memfix_init(&fix->mem);
	FIX_REQUIRE(vmm_loop_create(&fix->loop) == 0);
	toy_init(&fix->toy);
	config.mem = fix->mem.mem;
	config.loop = fix->loop;
	config.log = &fix->pci.log;
	FIX_REQUIRE(vmm_virtio_pci_add(fix->pci.host, &fix->toy.base, &config, &fix->slot, &err) ==
		    0);
	vpcifix_probe(fix);
}

void vpcifix_finish(struct vpcifix *fix)
{
	pcifix_finish(&fix->pci);
	FIX_REQUIRE(fix->toy.destroyed);
	FIX_REQUIRE(fix->toy.resets == fix->toy.activations);
	vmm_loop_destroy(fix->loop);
	memfix_finish(&fix->mem);
}

static uint32_t config32(struct vpcifix *fix, unsigned offset)
{
	return pcifix_config_read(&fix->pci, fix->slot, offset, 4);
}

static void probe_cap(struct vpcifix *fix, unsigned at)
{
	unsigned bar_index = pcifix_config_read(&fix->pci, fix->slot, at + 4, 1);
	uint64_t bar = pcifix_bar(&fix->pci, fix->slot, bar_index);
	uint32_t offset = config32(fix, at + 8);
	uint32_t length = config32(fix, at + 12);

	switch (pcifix_config_read(&fix->pci, fix->slot, at + 3, 1)) {
	case 1:
		FIX_REQUIRE(length >= 56);
		fix->common = bar + offset;
		break;
	case 2:
		FIX_REQUIRE(pcifix_config_read(&fix->pci, fix->slot, at + 2, 1) == 20);
		fix->notify = bar + offset;
		fix->notify_length = length;
		fix->notify_multiplier = config32(fix, at + 16);
		break;
	case 3:
		FIX_REQUIRE(length >= 1);
		fix->isr = bar + offset;
		break;
	case 4:
		FIX_REQUIRE(length >= TOY_CONFIG);
		fix->device = bar + offset;
		break;
	case 5:
		FIX_REQUIRE(pcifix_config_read(&fix->pci, fix->slot, at + 2, 1) == 20);
		fix->window = at;
		return;
	default:
		/* No such type of capability. */
		FIX_REQUIRE(false);
	}
	FIX_REQUIRE(offset % 4 == 0);
	FIX_REQUIRE(offset + length <= 0x8000);
}

void vpcifix_probe(struct vpcifix *fix)
{
	unsigned at = pcifix_find_cap(&fix->pci, fix->slot, 0x09, 0);
	uint64_t bar;

	fix->common = fix->notify = fix->isr = fix->device = 0;
	for (; at != 0; at = pcifix_find_cap(&fix->pci, fix->slot, 0x09, at)) {
		probe_cap(fix, at);
	}
	FIX_REQUIRE(fix->common && fix->notify && fix->isr && fix->device && fix->window);
	fix->msix_cap = pcifix_find_cap(&fix->pci, fix->slot, 0x11, 0);
	FIX_REQUIRE(fix->msix_cap != 0);
	FIX_REQUIRE((config32(fix, fix->msix_cap + 4) & 7) == 0);
	bar = pcifix_bar(&fix->pci, fix->slot, 0);
	fix->table = bar + (config32(fix, fix->msix_cap + 4) & ~7u);
	fix->pba = bar + (config32(fix, fix->msix_cap + 8) & ~7u);
}

uint64_t common_read(struct vpcifix *fix, unsigned offset, unsigned len)
{
	return pcifix_read(&fix->pci, fix->common + offset, len);
}

void common_write(struct vpcifix *fix, unsigned offset, unsigned len, uint64_t value)
{
	pcifix_write(&fix->pci, fix->common + offset, len, value);
}

uint8_t vpcifix_status(struct vpcifix *fix)
{
	return (uint8_t)common_read(fix, C_STATUS, 1);
}

void vpcifix_msix_control(struct vpcifix *fix, bool enabled, bool masked)
{
	pcifix_config_write(&fix->pci, fix->slot, fix->msix_cap + 2, 2,
			    (enabled ? 0x8000u : 0) | (masked ? 0x4000u : 0));
}

void vpcifix_set_vector(struct vpcifix *fix, unsigned vector, uint64_t address, uint32_t data,
			bool masked)
{
	uint64_t entry = fix->table + 16ull * vector;

	/* As Linux does: masked while it changes. */
	pcifix_write(&fix->pci, entry + 12, 4, 1);
	pcifix_write(&fix->pci, entry, 4, (uint32_t)address);
	pcifix_write(&fix->pci, entry + 4, 4, address >> 32);
	pcifix_write(&fix->pci, entry + 8, 4, data);
	pcifix_write(&fix->pci, entry + 12, 4, masked);
}

void vpcifix_start_msix(struct vpcifix *fix)
{
	vpcifix_msix_control(fix, true, true);
	for (unsigned i = 0; i <= TOY_QUEUES; i++) {
		vpcifix_set_vector(fix, i, 0xfee01000, MESSAGE(i), false);
	}
	vpcifix_msix_control(fix, true, false);
}

static void setup_queue(struct vpcifix *fix, unsigned queue)
{
	struct ring *r = &fix->rings[queue];

	r->desc = memfix_gpa(&fix->mem, memfix_alloc(&fix->mem, (size_t)16 * TOY_QUEUE_SIZE, 16));
	r->driver = memfix_gpa(&fix->mem, memfix_alloc(&fix->mem, 6 + 2 * TOY_QUEUE_SIZE, 2));
	r->device = memfix_gpa(&fix->mem, memfix_alloc(&fix->mem, 6 + 8 * TOY_QUEUE_SIZE, 4));
	r->next = 0;
	common_write(fix, C_QUEUE_SELECT, 2, queue);
	common_write(fix, C_QUEUE_DESC, 4, (uint32_t)r->desc);
	common_write(fix, C_QUEUE_DESC + 4, 4, r->desc >> 32);
	common_write(fix, C_QUEUE_DRIVER, 4, (uint32_t)r->driver);
	common_write(fix, C_QUEUE_DRIVER + 4, 4, r->driver >> 32);
	common_write(fix, C_QUEUE_DEVICE, 8, r->device);
	common_write(fix, C_QUEUE_MSIX, 2, queue + 1);
	FIX_REQUIRE(common_read(fix, C_QUEUE_MSIX, 2) == queue + 1);
	common_write(fix, C_QUEUE_ENABLE, 2, 1);
	FIX_REQUIRE(common_read(fix, C_QUEUE_ENABLE, 2) == 1);
}

void vpcifix_prepare(struct vpcifix *fix, unsigned queues)
{
	uint32_t word;

	common_write(fix, C_STATUS, 1, 0);
	FIX_REQUIRE(vpcifix_status(fix) == 0);
	common_write(fix, C_STATUS, 1, VMM_VIRTIO_S_ACKNOWLEDGE);
	common_write(fix, C_STATUS, 1, VMM_VIRTIO_S_ACKNOWLEDGE | VMM_VIRTIO_S_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		common_write(fix, C_DEVICE_FEATURE_SELECT, 4, i);
		word = (uint32_t)common_read(fix, C_DEVICE_FEATURE, 4);
		common_write(fix, C_DRIVER_FEATURE_SELECT, 4, i);
		/* Without EVENT_IDX: every flush raises an interrupt. */
		common_write(fix, C_DRIVER_FEATURE, 4,
			     i == 0 ? word & ~(uint32_t)VMM_VIRTIO_F_EVENT_IDX : word);
	}
	common_write(fix, C_STATUS, 1, STATUS_FEATURES);
	FIX_REQUIRE(vpcifix_status(fix) == STATUS_FEATURES);
	common_write(fix, C_MSIX_CONFIG, 2, 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		if (queues & (1u << i)) {
			setup_queue(fix, i);
		}
	}
}

void vpcifix_start(struct vpcifix *fix)
{
	vpcifix_start_msix(fix);
	vpcifix_prepare(fix, 3);
	common_write(fix, C_STATUS, 1, STATUS_OK);
	FIX_REQUIRE(vpcifix_status(fix) == STATUS_OK);
}

uint64_t vpcifix_notify_address(struct vpcifix *fix, unsigned queue)
{
	common_write(fix, C_QUEUE_SELECT, 2, queue);
	return fix->notify + common_read(fix, C_QUEUE_NOTIFY_OFF, 2) * fix->notify_multiplier;
}

void vpcifix_run(struct vpcifix *fix)
{
	while (vmm_loop_dispatch(fix->loop, 0) > 0) {
	}
}

void vpcifix_request(struct vpcifix *fix, unsigned queue)
{
	struct ring *r = &fix->rings[queue];
	uint16_t size = toy_sizes[queue];
	uint16_t head = r->next % size;
	uint8_t desc[16] = {0};
	uint64_t buffer = MEMFIX_LOW_BASE;
	uint32_t len = 16;

	memcpy(desc, &buffer, 8);
	memcpy(desc + 8, &len, 4);
	FIX_REQUIRE(vmm_mem_write(fix->mem.mem, r->desc + 16ull * head, desc, 16) == 0);
	FIX_REQUIRE(vmm_mem_write(fix->mem.mem, r->driver + 4 + 2ull * head, &head, 2) == 0);
	r->next++;
	FIX_REQUIRE(vmm_mem_write(fix->mem.mem, r->driver + 2, &r->next, 2) == 0);
	pcifix_write(&fix->pci, vpcifix_notify_address(fix, queue), 2, queue);
	vpcifix_run(fix);
}

uint16_t vpcifix_used(struct vpcifix *fix, unsigned queue)
{
	uint16_t idx;

	FIX_REQUIRE(vmm_mem_read(fix->mem.mem, fix->rings[queue].device + 2, &idx, 2) == 0);
	return idx;
}
