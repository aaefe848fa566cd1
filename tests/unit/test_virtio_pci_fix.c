/* SPDX-License-Identifier: MIT */
#include "test_virtio_pci_fix.h"

#include <string.h>

static void init(struct vpcifix *fix, bool shm)
{
	struct vmm_transport_device config = {.id = "toy0"};
	struct vmm_error err = {0};

	memset(fix, 0, sizeof(*fix));
	pcifix_init(&fix->pci, true);
	memfix_init(&fix->mem);
	FIX_REQUIRE(vmm_loop_create(&fix->loop) == 0);
	toy_init(&fix->toy);
	if (shm) {
		toy_add_shm(&fix->toy);
	}
	config.mem = fix->mem.mem;
	config.loop = fix->loop;
	config.log = &fix->pci.events.log;
	FIX_REQUIRE(vmm_virtio_pci_add(fix->pci.host, &fix->toy.base, &config, &fix->slot, &err) ==
		    0);
	vpcifix_probe(fix);
}

void vpcifix_init(struct vpcifix *fix)
{
	init(fix, false);
}

void vpcifix_init_shm(struct vpcifix *fix)
{
	init(fix, true);
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
	case 8:
		FIX_REQUIRE(pcifix_config_read(&fix->pci, fix->slot, at + 2, 1) == 24);
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

	ring_alloc(r, &fix->mem);
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
	ring_offer(&fix->rings[queue], &fix->mem, queue);
	pcifix_write(&fix->pci, vpcifix_notify_address(fix, queue), 2, queue);
	vpcifix_run(fix);
}

uint16_t vpcifix_used(struct vpcifix *fix, unsigned queue)
{
	return ring_used(&fix->rings[queue], &fix->mem);
}
