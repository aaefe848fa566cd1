/* SPDX-License-Identifier: MIT */
#include "test_pci_fix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fix_require(bool holds, const char *what, const char *file, int line)
{
	if (!holds) {
		(void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
		abort();
	}
}

static int fix_alloc(void *ctx, unsigned *gsi)
{
	struct pcifix *fix = ctx;
	int ret = fix->fail_alloc;

	if (ret != 0) {
		return ret;
	}
	ret = -ENOSPC;
	(void)pthread_mutex_lock(&fix->lock);
	for (unsigned i = 0; i < FIX_GSIS; i++) {
		if (!fix->gsis[i].allocated) {
			fix->gsis[i] = (struct fix_gsi){.allocated = true, .eventfd = -1};
			*gsi = i;
			ret = 0;
			break;
		}
	}
	(void)pthread_mutex_unlock(&fix->lock);
	return ret;
}

static void fix_free(void *ctx, unsigned gsi)
{
	struct pcifix *fix = ctx;

	if (!fix->gsis[gsi].allocated || fix->gsis[gsi].eventfd >= 0) {
		fix->misuse++;
	}
	fix->gsis[gsi].allocated = false;
}

static int fix_route(void *ctx, unsigned gsi, const struct vmm_pci_msi *msi)
{
	struct pcifix *fix = ctx;
	struct fix_gsi *g = &fix->gsis[gsi];

	fix->routes++;
	if (!g->allocated) {
		fix->misuse++;
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
	struct fix_gsi *g = &fix->gsis[gsi];

	fix->irqfd_calls++;
	if (connect && fix->fail_irqfd) {
		return fix->fail_irqfd;
	}
	if (!g->allocated || (connect ? !g->routed || g->eventfd >= 0 : g->eventfd != eventfd)) {
		fix->misuse++;
	}
	g->eventfd = connect ? eventfd : -1;
	return 0;
}

static int fix_connect_ioeventfd(struct pcifix *fix, vmm_gpa gpa, unsigned len, int eventfd)
{
	struct fix_ioeventfd *slot = NULL;

	if (fix->fail_ioeventfd) {
		return fix->fail_ioeventfd;
	}
	for (unsigned i = 0; i < FIX_IOEVENTFDS; i++) {
		if (fix->ioeventfds[i].eventfd < 0) {
			slot = &fix->ioeventfds[i];
		} else if (fix->ioeventfds[i].gpa == gpa) {
			return -EEXIST;
		}
	}
	if (!slot) {
		return -ENOSPC;
	}
	*slot = (struct fix_ioeventfd){.gpa = gpa, .len = len, .eventfd = eventfd};
	return 0;
}

static int fix_ioeventfd(void *ctx, vmm_gpa gpa, unsigned len, int eventfd, bool connect)
{
	struct pcifix *fix = ctx;
	int ret = -ENOENT;

	(void)pthread_mutex_lock(&fix->lock);
	fix->ioeventfd_calls++;
	if (connect) {
		ret = fix_connect_ioeventfd(fix, gpa, len, eventfd);
	}
	for (unsigned i = 0; i < FIX_IOEVENTFDS && !connect; i++) {
		struct fix_ioeventfd *e = &fix->ioeventfds[i];

		if (e->eventfd == eventfd && e->gpa == gpa && e->len == len) {
			e->eventfd = -1;
			ret = 0;
		}
	}
	if (!connect && ret < 0) {
		fix->misuse++;
	}
	(void)pthread_mutex_unlock(&fix->lock);
	return ret;
}

static const struct vmm_pci_platform_ops platform_ops = {
	.msi_alloc = fix_alloc,
	.msi_free = fix_free,
	.msi_route = fix_route,
	.irqfd = fix_irqfd,
	.ioeventfd = fix_ioeventfd,
};

static void count_line(void *user, enum vmm_log_level level, const char *message)
{
	struct pcifix *fix = user;

	(void)level;
	(void)message;
	fix->logged++;
}

void pcifix_init(struct pcifix *fix, bool mmio64)
{
	struct vmm_pci_host_config config = {0};
	struct vmm_error err = {0};

	memset(fix, 0, sizeof(*fix));
	(void)pthread_mutex_init(&fix->lock, NULL);
	for (unsigned i = 0; i < FIX_IOEVENTFDS; i++) {
		fix->ioeventfds[i].eventfd = -1;
	}
	fix->log = (struct vmm_log){.level = VMM_LOG_DEBUG, .sink = count_line, .user = fix};
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
	config.log = &fix->log;
	FIX_REQUIRE(vmm_pci_host_create(&fix->host, &config, &err) == 0);
}

void pcifix_finish(struct pcifix *fix)
{
	vmm_pci_host_destroy(fix->host);
	vmm_bus_destroy(fix->mmio);
	vmm_bus_destroy(fix->pio);
	FIX_REQUIRE(pcifix_allocated(fix) == 0);
	FIX_REQUIRE(pcifix_ioeventfds(fix) == 0);
	FIX_REQUIRE(fix->misuse == 0);
	(void)pthread_mutex_destroy(&fix->lock);
}

uint64_t pcifix_read(struct pcifix *fix, uint64_t gpa, unsigned len)
{
	uint64_t value;

	(void)vmm_bus_read(fix->mmio, gpa, len, &value);
	return value;
}

static bool signal_ioeventfd(struct pcifix *fix, uint64_t gpa, unsigned len)
{
	bool found = false;
	uint64_t one = 1;

	(void)pthread_mutex_lock(&fix->lock);
	for (unsigned i = 0; i < FIX_IOEVENTFDS && !found; i++) {
		struct fix_ioeventfd *e = &fix->ioeventfds[i];

		found = e->eventfd >= 0 && e->gpa == gpa && (e->len == 0 || e->len == len);
		if (found) {
			FIX_REQUIRE(write(e->eventfd, &one, sizeof(one)) == 8);
		}
	}
	(void)pthread_mutex_unlock(&fix->lock);
	return found;
}

void pcifix_write(struct pcifix *fix, uint64_t gpa, unsigned len, uint64_t value)
{
	if (!signal_ioeventfd(fix, gpa, len)) {
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
		struct fix_gsi *g = &fix->gsis[i];
		uint64_t value;

		if (g->allocated && g->eventfd >= 0 &&
		    read(g->eventfd, &value, sizeof(value)) == 8) {
			g->delivered++;
		}
		if (g->allocated && g->data == data) {
			count += g->delivered;
		}
	}
	return count;
}

unsigned pcifix_connected(struct pcifix *fix)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FIX_GSIS; i++) {
		count += fix->gsis[i].allocated && fix->gsis[i].eventfd >= 0;
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

unsigned pcifix_ioeventfds(struct pcifix *fix)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FIX_IOEVENTFDS; i++) {
		count += fix->ioeventfds[i].eventfd >= 0;
	}
	return count;
}
