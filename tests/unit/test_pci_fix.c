/* SPDX-License-Identifier: MIT */
#include "test_pci_fix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fix_alloc(void *ctx, unsigned *gsi)
{
	struct pcifix *fix = ctx;
	int ret = fix->fail_alloc;

	if (ret != 0) {
		return ret;
	}
	ret = -ENOSPC;
	(void)pthread_mutex_lock(&fix->events.lock);
	for (unsigned i = 0; i < FIX_GSIS; i++) {
		if (!fix->gsis[i].allocated) {
			fix->gsis[i] = (struct fix_gsi){.allocated = true};
			fix->events.lines[i].delivered = 0;
			*gsi = i;
			ret = 0;
			break;
		}
	}
	(void)pthread_mutex_unlock(&fix->events.lock);
	return ret;
}

static void fix_free(void *ctx, unsigned gsi)
{
	struct pcifix *fix = ctx;

	if (!fix->gsis[gsi].allocated || fix->events.lines[gsi].eventfd >= 0) {
		fix->events.misuse++;
	}
	fix->gsis[gsi].allocated = false;
}

static int fix_route(void *ctx, unsigned gsi, const struct vmm_pci_msi *msi)
{
	struct pcifix *fix = ctx;
	struct fix_gsi *g = &fix->gsis[gsi];

	fix->routes++;
	if (!g->allocated) {
		fix->events.misuse++;
	}
	if ((msi->address & ~UINT64_C(0xfffff)) != 0xfee00000) {
		return -EINVAL;
	}
	g->routed = true;
	g->address = msi->address;
	g->data = msi->data;
	g->requester = msi->requester;
	return 0;
}

static int fix_irqfd(void *ctx, unsigned gsi, int eventfd, bool connect)
{
	struct pcifix *fix = ctx;
	const struct fix_gsi *g = &fix->gsis[gsi];

	if (!g->allocated || (connect && !g->routed)) {
		fix->events.misuse++;
	}
	return eventfix_irqfd(&fix->events, gsi, eventfd, connect);
}

static const struct vmm_pci_platform_ops platform_ops = {
	.events = {.windows = &eventfix_window_ops,
		   .irqfd = fix_irqfd,
		   .ioeventfd = eventfix_ioeventfd},
	.msi_alloc = fix_alloc,
	.msi_free = fix_free,
	.msi_route = fix_route,
};

void pcifix_init(struct pcifix *fix, bool mmio64)
{
	struct vmm_pci_host_config config = {0};
	struct vmm_error err = {0};

	memset(fix, 0, sizeof(*fix));
	eventfix_init(&fix->events);
	FIX_REQUIRE(vmm_bus_create(&fix->mmio) == 0);
	FIX_REQUIRE(vmm_bus_create(&fix->pio) == 0);
	config.platform.ops = &platform_ops;
	config.platform.ctx = fix;
	config.mmio = fix->mmio;
	config.pio = fix->pio;
	config.ecam_base = FIX_ECAM;
	config.mmio32 = (struct vmm_pci_window){.base = FIX_MMIO32, .size = FIX_WINDOW};
	if (mmio64) {
		config.mmio64 = (struct vmm_pci_window){.base = FIX_MMIO64, .size = FIX_WINDOW};
	}
	config.log = &fix->events.log;
	FIX_REQUIRE(vmm_pci_host_create(&fix->host, &config, &err) == 0);
}

void pcifix_finish(struct pcifix *fix)
{
	vmm_pci_host_destroy(fix->host);
	vmm_bus_destroy(fix->mmio);
	vmm_bus_destroy(fix->pio);
	FIX_REQUIRE(pcifix_allocated(fix) == 0);
	eventfix_finish(&fix->events);
}

uint64_t pcifix_read(struct pcifix *fix, uint64_t gpa, unsigned len)
{
	uint64_t value;

	(void)vmm_bus_read(fix->mmio, gpa, len, &value);
	return value;
}

void pcifix_write(struct pcifix *fix, uint64_t gpa, unsigned len, uint64_t value)
{
	if (!eventfix_write(&fix->events, gpa, len, value)) {
		(void)vmm_bus_write(fix->mmio, gpa, len, value);
	}
}

uint32_t pcifix_config_read(struct pcifix *fix, unsigned slot, unsigned offset, unsigned len)
{
	return (uint32_t)pcifix_read(fix, FIX_ECAM + slot * UINT64_C(0x8000) + offset, len);
}

void pcifix_config_write(struct pcifix *fix, unsigned slot, unsigned offset, unsigned len,
			 uint32_t value)
{
	pcifix_write(fix, FIX_ECAM + slot * UINT64_C(0x8000) + offset, len, value);
}

uint32_t pcifix_in(struct pcifix *fix, unsigned port, unsigned len)
{
	uint64_t value;

	(void)vmm_bus_read(fix->pio, port, len, &value);
	return (uint32_t)value;
}

void pcifix_out(struct pcifix *fix, unsigned port, unsigned len, uint32_t value)
{
	(void)vmm_bus_write(fix->pio, port, len, value);
}

uint64_t pcifix_bar(struct pcifix *fix, unsigned slot, unsigned bar)
{
	uint32_t low = pcifix_config_read(fix, slot, 0x10 + 4 * bar, 4);
	uint64_t high = 0;

	if ((low & 6) == 4) {
		high = pcifix_config_read(fix, slot, 0x14 + 4 * bar, 4);
	}
	return (high << 32) | (low & ~0xfu);
}

unsigned pcifix_find_cap(struct pcifix *fix, unsigned slot, unsigned id, unsigned from)
{
	unsigned at = pcifix_config_read(fix, slot, from ? from + 1 : 0x34, 1);

	/* A list that never ends is a failure of its own. */
	for (unsigned n = 0; at != 0; n++) {
		FIX_REQUIRE(n < 48);
		FIX_REQUIRE(at % 4 == 0);
		if (pcifix_config_read(fix, slot, at, 1) == id) {
			return at;
		}
		at = pcifix_config_read(fix, slot, at + 1, 1);
	}
	return 0;
}

unsigned pcifix_messages(struct pcifix *fix, uint32_t data)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FIX_GSIS; i++) {
		const struct fix_gsi *g = &fix->gsis[i];

		if (g->allocated) {
			unsigned delivered = eventfix_delivered(&fix->events, i);

			count += g->data == data ? delivered : 0;
		}
	}
	return count;
}

unsigned pcifix_allocated(struct pcifix *fix)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FIX_GSIS; i++) {
		count += fix->gsis[i].allocated;
	}
	return count;
}
