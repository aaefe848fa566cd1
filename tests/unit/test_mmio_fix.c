/* SPDX-License-Identifier: MIT */
#include "test_mmio_fix.h"

#include <string.h>

static const struct vmm_event_ops event_ops = {
	.windows = &eventfix_window_ops,
	.irqfd = eventfix_irqfd,
	.ioeventfd = eventfix_ioeventfd,
};

void mmiofix_prepare_parts(struct mmiofix *fix)
{
	memset(fix, 0, sizeof(*fix));
	eventfix_init(&fix->events);
	memfix_init(&fix->mem);
	FIX_REQUIRE(vmm_bus_create(&fix->bus) == 0);
	FIX_REQUIRE(vmm_loop_create(&fix->loop) == 0);
	toy_init(&fix->toy);
}

int mmiofix_create(struct mmiofix *fix, struct vmm_error *err)
{
	const struct vmm_transport_device device = {
		.mem = fix->mem.mem,
		.loop = fix->loop,
		.log = &fix->events.log,
		.id = "toy0",
	};
	const struct vmm_virtio_mmio_config config = {
		.events = &event_ops,
		.events_ctx = &fix->events,
		.bus = fix->bus,
		.base = FIX_BASE,
		.gsi = FIX_GSI,
		.shm = {FIX_SHM, FIX_SHM_2},
	};

	return vmm_virtio_mmio_create(&fix->mmio, &fix->toy.base, &device, &config, err);
}

void mmiofix_init(struct mmiofix *fix)
{
	mmiofix_prepare_parts(fix);
	FIX_REQUIRE(mmiofix_create(fix, NULL) == 0);
}

void mmiofix_init_external(struct mmiofix *fix)
{
	mmiofix_prepare_parts(fix);
	fix->toy.base.external_queues = true;
	fix->toy.base.features |= FIX_RING_FEATURES;
	FIX_REQUIRE(mmiofix_create(fix, NULL) == 0);
}

void mmiofix_finish(struct mmiofix *fix)
{
	bool taken = fix->mmio != NULL;

	vmm_virtio_mmio_destroy(fix->mmio);
	FIX_REQUIRE(fix->toy.destroyed == taken);
	FIX_REQUIRE(fix->toy.resets == fix->toy.activations);
	vmm_bus_destroy(fix->bus);
	vmm_loop_destroy(fix->loop);
	memfix_finish(&fix->mem);
	eventfix_finish(&fix->events);
}

uint64_t mmiofix_read(struct mmiofix *fix, unsigned offset, unsigned len)
{
	uint64_t value;

	(void)vmm_bus_read(fix->bus, FIX_BASE + offset, len, &value);
	return value;
}

void mmiofix_write(struct mmiofix *fix, unsigned offset, unsigned len, uint64_t value)
{
	if (!eventfix_write(&fix->events, FIX_BASE + offset, len, value)) {
		(void)vmm_bus_write(fix->bus, FIX_BASE + offset, len, value);
	}
}

uint32_t reg_read(struct mmiofix *fix, unsigned offset)
{
	return (uint32_t)mmiofix_read(fix, offset, 4);
}

void reg_write(struct mmiofix *fix, unsigned offset, uint32_t value)
{
	mmiofix_write(fix, offset, 4, value);
}

static void write_address(struct mmiofix *fix, unsigned offset, uint64_t gpa)
{
	reg_write(fix, offset, (uint32_t)gpa);
	reg_write(fix, offset + 4, (uint32_t)(gpa >> 32));
}

static void setup_queue(struct mmiofix *fix, unsigned queue)
{
	struct ring *r = &fix->rings[queue];

	ring_alloc(r, &fix->mem);
	reg_write(fix, R_QUEUE_SEL, queue);
	FIX_REQUIRE(reg_read(fix, R_QUEUE_READY) == 0);
	reg_write(fix, R_QUEUE_NUM, reg_read(fix, R_QUEUE_NUM_MAX));
	write_address(fix, R_QUEUE_DESC, r->desc);
	write_address(fix, R_QUEUE_DRIVER, r->driver);
	write_address(fix, R_QUEUE_DEVICE, r->device);
	reg_write(fix, R_QUEUE_READY, 1);
	FIX_REQUIRE(reg_read(fix, R_QUEUE_READY) == 1);
}

void mmiofix_prepare(struct mmiofix *fix, unsigned queues)
{
	reg_write(fix, R_STATUS, 0);
	FIX_REQUIRE(reg_read(fix, R_STATUS) == 0);
	reg_write(fix, R_STATUS, VMM_VIRTIO_S_ACKNOWLEDGE);
	reg_write(fix, R_STATUS, STATUS_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t word;

		reg_write(fix, R_DEVICE_FEATURES_SEL, i);
		word = reg_read(fix, R_DEVICE_FEATURES);
		reg_write(fix, R_DRIVER_FEATURES_SEL, i);
		/* Without EVENT_IDX: every flush raises an interrupt. */
		reg_write(fix, R_DRIVER_FEATURES,
			  i == 0 ? word & ~(uint32_t)VMM_VIRTIO_F_EVENT_IDX : word);
	}
	reg_write(fix, R_STATUS, STATUS_FEATURES);
	FIX_REQUIRE(reg_read(fix, R_STATUS) == STATUS_FEATURES);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		if (queues & (1u << i)) {
			setup_queue(fix, i);
		}
	}
}

void mmiofix_start(struct mmiofix *fix)
{
	mmiofix_prepare(fix, 3);
	reg_write(fix, R_STATUS, STATUS_OK);
	FIX_REQUIRE(reg_read(fix, R_STATUS) == STATUS_OK);
}

void mmiofix_run(struct mmiofix *fix)
{
	while (vmm_loop_dispatch(fix->loop, 0) > 0) {
	}
}

void mmiofix_request(struct mmiofix *fix, unsigned queue)
{
	ring_offer(&fix->rings[queue], &fix->mem, queue);
	reg_write(fix, R_QUEUE_NOTIFY, queue);
	mmiofix_run(fix);
}

uint16_t mmiofix_used(struct mmiofix *fix, unsigned queue)
{
	return ring_used(&fix->rings[queue], &fix->mem);
}

unsigned mmiofix_interrupts(struct mmiofix *fix)
{
	return eventfix_delivered(&fix->events, FIX_GSI);
}
