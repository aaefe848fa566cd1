/* SPDX-License-Identifier: MIT */
/*
 * The host bridge: finds the function that an access to configuration space (ECAM, or ports 0xcf8
 * and 0xcfc) or to one of the BAR windows is for.
 *
 * Functions come while the VM is configured and stay until it is destroyed, so the table of slots
 * needs no lock. The lock guards the bytes of configuration space and where BARs decode; it is
 * dropped before a function's registers are accessed, since that may wait for the loop's thread.
 */
#include "pci/function.h"
#include "pci/msix.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CF8_BASE     0xcf8u
#define CF8_PORTS    8u
#define CF8_DATA     4u /* offset of the data register */
#define CF8_ENABLE   0x80000000u
#define CF8_READABLE 0x80fffffcu
#define FOUR_GIB     (UINT64_C(1) << 32)

/* Linux trusts ports 0xcf8/0xcfc only when it finds a host bridge behind them. */
static const struct vmm_pci_ids bridge_ids = {
	.vendor = 0x8086,
	.device = 0x0d57,
	.class_code = 0x060000,
};

struct window {
	struct vmm_pci_host *host;
	struct vmm_pci_window range;
	uint64_t next;    /* first address not assigned to a BAR */
	uint64_t planned; /* next, once the function being placed is added */
};

enum {
	WINDOW_32,
	WINDOW_64,
	WINDOWS,
};

struct vmm_pci_host {
	struct vmm_pci_platform platform;
	pthread_mutex_t lock;
	uint32_t cf8;
	struct window windows[WINDOWS];
	struct vmm_pci_function bridge;
	struct vmm_pci_function *slots[VMM_PCI_SLOTS];
	unsigned slots_end; /* past the last one taken */
};

const struct vmm_pci_platform *vmm_pci_host_platform(const struct vmm_pci_host *host)
{
	return &host->platform;
}

struct vmm_pci_function *vmm_pci_host_function(struct vmm_pci_host *host, unsigned slot)
{
	return slot < VMM_PCI_SLOTS ? host->slots[slot] : NULL;
}

static void lock(struct vmm_pci_host *host)
{
	(void)pthread_mutex_lock(&host->lock);
}

static void unlock(struct vmm_pci_host *host)
{
	(void)pthread_mutex_unlock(&host->lock);
}

static bool in_range(const struct vmm_pci_window *range, uint64_t gpa, uint64_t size)
{
	return gpa >= range->base && gpa - range->base < range->size &&
	       size <= range->size - (gpa - range->base);
}

static bool in_window(const struct vmm_pci_host *host, uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < WINDOWS; i++) {
		if (in_range(&host->windows[i].range, gpa, size)) {
			return true;
		}
	}
	return false;
}

/* Both lie in a window, so neither sum wraps. */
static bool in_the_way(const struct vmm_pci_bar *other, const struct vmm_pci_bar *bar, uint64_t gpa)
{
	return other != bar && other->mapped && (other->is_memory || bar->is_memory) &&
	       gpa < other->gpa + other->size && other->gpa < gpa + bar->size;
}

bool vmm_pci_host_may_decode(const struct vmm_pci_host *host, const struct vmm_pci_bar *bar,
			     uint64_t gpa)
{
	bool free = in_window(host, gpa, bar->size);

	for (unsigned slot = 1; free && slot < host->slots_end; slot++) {
		const struct vmm_pci_function *fn = host->slots[slot];

		for (unsigned i = 0; fn && free && i < VMM_PCI_BARS; i++) {
			free = !in_the_way(&fn->bars[i], bar, gpa);
		}
	}
	return free;
}

void vmm_pci_function_copy_out(struct vmm_pci_function *fn, unsigned offset, void *dst, size_t len)
{
	lock(fn->host);
	memcpy(dst, fn->config + offset, len);
	unlock(fn->host);
}

void vmm_pci_function_copy_in(struct vmm_pci_function *fn, unsigned offset, const void *src,
			      size_t len)
{
	lock(fn->host);
	memcpy(fn->config + offset, src, len);
	unlock(fn->host);
}

/* ---- configuration space ---- */

static bool config_access_is_legal(uint64_t offset, unsigned len)
{
	return (len == 1 || len == 2 || len == 4) && offset % len == 0;
}

static uint64_t config_read(struct vmm_pci_function *fn, unsigned offset, unsigned len)
{
	uint32_t value;

	if (fn->ops->config_reading) {
		fn->ops->config_reading(fn, offset, len);
	}
	lock(fn->host);
	value = vmm_pci_config_load(fn, offset, len);
	unlock(fn->host);
	return value;
}

static void config_write(struct vmm_pci_function *fn, unsigned offset, unsigned len, uint32_t value)
{
	lock(fn->host);
	vmm_pci_config_store(fn, offset, len, value);
	unlock(fn->host);
	if (fn->ops->config_written) {
		fn->ops->config_written(fn, offset, len);
	}
}

/* offset is 20 bits: device 19:15, function 14:12, register 11:0 (PCI Express section 7.2.2). */
static struct vmm_pci_function *ecam_function(struct vmm_pci_host *host, uint64_t offset)
{
	bool first = ((offset >> 12) & 7) == 0;

	return first ? vmm_pci_host_function(host, (unsigned)(offset >> 15)) : NULL;
}

static uint64_t ecam_read(void *ctx, uint64_t offset, unsigned len)
{
	struct vmm_pci_function *fn = ecam_function(ctx, offset);

	if (!fn || !config_access_is_legal(offset, len)) {
		return UINT64_MAX;
	}
	return config_read(fn, offset & 0xfff, len);
}

static void ecam_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct vmm_pci_function *fn = ecam_function(ctx, offset);

	if (fn && config_access_is_legal(offset, len)) {
		config_write(fn, offset & 0xfff, len, (uint32_t)value);
	}
}

/*
 * The function that the address register selects, and the register that a data port stands for.
 * Address: enable 31, bus 23:16, device 15:11, function 10:8, register 7:2 (PCI 3.0
 * section 3.2.2.3.2).
 */
static struct vmm_pci_function *cf8_function(struct vmm_pci_host *host, uint64_t port,
					     unsigned *offset)
{
	uint32_t address;

	lock(host);
	address = host->cf8;
	unlock(host);
	*offset = (address & 0xfc) | (unsigned)(port & 3);
	if (!(address & CF8_ENABLE) || (address & 0x00ff0700) != 0) {
		return NULL;
	}
	return vmm_pci_host_function(host, (address >> 11) & 0x1f);
}

static uint64_t cf8_read(void *ctx, uint64_t port, unsigned len)
{
	struct vmm_pci_host *host = ctx;
	struct vmm_pci_function *fn;
	unsigned offset;
	uint64_t value = UINT64_MAX;

	if (port == 0 && len == 4) {
		lock(host);
		value = host->cf8;
		unlock(host);
		return value;
	}
	/* Ports of the address register accessed with less than 4 bytes are somebody else's. */
	if (port < CF8_DATA || !config_access_is_legal(port, len)) {
		return UINT64_MAX;
	}
	fn = cf8_function(host, port, &offset);
	return fn ? config_read(fn, offset, len) : UINT64_MAX;
}

static void cf8_write(void *ctx, uint64_t port, unsigned len, uint64_t value)
{
	struct vmm_pci_host *host = ctx;
	struct vmm_pci_function *fn;
	unsigned offset;

	if (port == 0 && len == 4) {
		lock(host);
		host->cf8 = (uint32_t)value & CF8_READABLE;
		unlock(host);
		return;
	}
	if (port < CF8_DATA || !config_access_is_legal(port, len)) {
		return;
	}
	fn = cf8_function(host, port, &offset);
	if (fn) {
		config_write(fn, offset, len, (uint32_t)value);
	}
}

/* ---- BARs ---- */

struct target {
	struct vmm_pci_function *fn;
	unsigned bar;
	uint64_t offset;
};

/* Where BARs overlap, the lower slot answers: some answer, always the same. Lock held. */
static bool find_bar(struct vmm_pci_host *host, uint64_t gpa, unsigned len, struct target *t)
{
	/* In slot 0 is the bridge, which has none. */
	for (unsigned slot = 1; slot < host->slots_end; slot++) {
		struct vmm_pci_function *fn = host->slots[slot];

		for (unsigned i = 0; fn && i < VMM_PCI_BARS; i++) {
			const struct vmm_pci_bar *bar = &fn->bars[i];

			if (!bar->mapped || gpa < bar->gpa || gpa - bar->gpa >= bar->size) {
				continue;
			}
			t->fn = fn;
			t->bar = i;
			t->offset = gpa - bar->gpa;
			/* Aligned, so not across the end either: sizes are powers of two. */
			return t->offset % len == 0;
		}
	}
	return false;
}

static bool find_target(struct window *w, uint64_t offset, unsigned len, struct target *t)
{
	bool found;

	lock(w->host);
	found = find_bar(w->host, w->range.base + offset, len, t);
	unlock(w->host);
	return found;
}

static uint64_t window_read(void *ctx, uint64_t offset, unsigned len)
{
	struct target t;

	if (!find_target(ctx, offset, len, &t)) {
		return UINT64_MAX;
	}
	return t.fn->ops->bar.read(t.fn, t.bar, t.offset, len);
}

static void window_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct target t;

	if (find_target(ctx, offset, len, &t)) {
		t.fn->ops->bar.write(t.fn, t.bar, t.offset, len, value);
	}
}

/* ---- adding functions ---- */

uint64_t vmm_pci_window_take(const struct vmm_pci_window *window, uint64_t *next, uint64_t size)
{
	uint64_t used = *next - window->base;
	uint64_t pad = (0 - *next) & (size - 1);
	uint64_t at = *next + pad;

	if (pad > window->size - used || size > window->size - used - pad) {
		return 0;
	}
	*next = at + size;
	return at;
}

static uint64_t take(struct window *w, uint64_t size)
{
	return vmm_pci_window_take(&w->range, &w->planned, size);
}

static uint64_t assign(struct vmm_pci_host *host, const struct vmm_pci_bar *bar)
{
	uint64_t at = 0;

	/* Only prefetchable ranges may be forwarded above 4 GiB by a bridge, so drivers' resource
	 * allocators expect no others there. */
	if (bar->is_64 && bar->prefetchable) {
		at = take(&host->windows[WINDOW_64], bar->size);
	}
	return at != 0 ? at : take(&host->windows[WINDOW_32], bar->size);
}

int vmm_pci_host_place(struct vmm_pci_host *host, struct vmm_pci_function *fn,
		       struct vmm_error *err)
{
	unsigned slot = 1;

	while (slot < VMM_PCI_SLOTS && host->slots[slot]) {
		slot++;
	}
	if (slot == VMM_PCI_SLOTS) {
		return vmm_error_set(err, -ENOSPC, "all %u slots of the PCI bus are taken",
				     VMM_PCI_SLOTS - 1);
	}
	for (unsigned i = 0; i < WINDOWS; i++) {
		host->windows[i].planned = host->windows[i].next;
	}
	for (unsigned i = 0; i < VMM_PCI_BARS; i++) {
		struct vmm_pci_bar *bar = &fn->bars[i];

		if (bar->size == 0) {
			continue;
		}
		bar->assigned = assign(host, bar);
		if (bar->assigned == 0) {
			return vmm_error_set(err, -ENOSPC,
					     "the PCI windows have no room for %llu bytes",
					     (unsigned long long)bar->size);
		}
	}
	fn->host = host;
	fn->slot = slot;
	return 0;
}

void vmm_pci_host_add(struct vmm_pci_host *host, struct vmm_pci_function *fn)
{
	for (unsigned i = 0; i < WINDOWS; i++) {
		host->windows[i].next = host->windows[i].planned;
	}
	/* No firmware runs in the guest that could turn decoding on. */
	vmm_pci_function_set16(fn, VMM_PCI_REG_COMMAND, VMM_PCI_COMMAND_MEMORY);
	memcpy(fn->power_on, fn->config, sizeof(fn->power_on));
	if (fn->msix) {
		vmm_pci_msix_set_requester(fn->msix, fn->slot << 3);
	}
	host->slots[fn->slot] = fn;
	if (fn->slot >= host->slots_end) {
		host->slots_end = fn->slot + 1;
	}
	lock(host);
	vmm_pci_config_reset(fn);
	unlock(host);
}

/* ---- life ---- */

static const struct vmm_bus_ops ecam_ops = {.read = ecam_read, .write = ecam_write};
static const struct vmm_bus_ops cf8_ops = {.read = cf8_read, .write = cf8_write};
static const struct vmm_bus_ops window_ops = {.read = window_read, .write = window_write};
static const struct vmm_pci_function_ops bridge_ops = {.destroy = NULL};

static int check_config(const struct vmm_pci_host_config *c, struct vmm_error *err)
{
	if (c->ecam_base % VMM_PCI_ECAM_SIZE != 0) {
		return vmm_error_set(err, -EINVAL, "PCI: ECAM at 0x%llx is not aligned to 1 MiB",
				     (unsigned long long)c->ecam_base);
	}
	if (c->mmio32.size != 0 && c->mmio32.base == 0) {
		return vmm_error_set(err, -EINVAL, "PCI: the 32-bit window is at address 0");
	}
	if (c->mmio32.base > FOUR_GIB || c->mmio32.size > FOUR_GIB - c->mmio32.base) {
		return vmm_error_set(err, -EINVAL, "PCI: the 32-bit window ends above 4 GiB");
	}
	if (c->mmio64.size != 0 &&
	    (c->mmio64.base < FOUR_GIB || c->mmio64.size > UINT64_MAX - c->mmio64.base)) {
		return vmm_error_set(err, -EINVAL, "PCI: the 64-bit window is not above 4 GiB");
	}
	return 0;
}

static int add_window(struct vmm_pci_host *host, unsigned index, const char *name,
		      const struct vmm_pci_window *range, struct vmm_bus *bus,
		      struct vmm_error *err)
{
	struct window *w = &host->windows[index];

	w->host = host;
	w->range = *range;
	w->next = range->base;
	if (range->size == 0) {
		return 0;
	}
	return vmm_bus_add(bus, name, range->base, range->size, &window_ops, w, err);
}

static int add_to_buses(struct vmm_pci_host *host, const struct vmm_pci_host_config *c,
			struct vmm_error *err)
{
	int ret = vmm_bus_add(c->mmio, "PCI ECAM", c->ecam_base, VMM_PCI_ECAM_SIZE, &ecam_ops, host,
			      err);

	if (ret == 0) {
		ret = add_window(host, WINDOW_32, "PCI 32-bit window", &c->mmio32, c->mmio, err);
	}
	if (ret == 0) {
		ret = add_window(host, WINDOW_64, "PCI 64-bit window", &c->mmio64, c->mmio, err);
	}
	if (ret == 0 && c->pio) {
		ret = vmm_bus_add(c->pio, "PCI configuration ports", CF8_BASE, CF8_PORTS, &cf8_ops,
				  host, err);
	}
	return ret;
}

int vmm_pci_host_create(struct vmm_pci_host **out, const struct vmm_pci_host_config *config,
			struct vmm_error *err)
{
	struct vmm_pci_host *host;
	int ret;

	*out = NULL;
	ret = check_config(config, err);
	if (ret < 0) {
		return ret;
	}
	host = calloc(1, sizeof(*host));
	if (!host) {
		return vmm_error_set(err, -ENOMEM, "PCI: out of memory");
	}
	host->platform = config->platform;
	(void)pthread_mutex_init(&host->lock, NULL);
	vmm_pci_function_init(&host->bridge, &bridge_ops, &bridge_ids);
	host->bridge.host = host;
	vmm_pci_host_add(host, &host->bridge);
	ret = add_to_buses(host, config, err);
	if (ret < 0) {
		vmm_pci_host_destroy(host);
		return ret;
	}
	*out = host;
	return 0;
}

void vmm_pci_host_destroy(struct vmm_pci_host *host)
{
	if (!host) {
		return;
	}
	for (unsigned slot = VMM_PCI_SLOTS; slot-- > 0;) {
		struct vmm_pci_function *fn = host->slots[slot];

		if (!fn) {
			continue;
		}
		lock(host);
		vmm_pci_config_unmap(fn);
		unlock(host);
		host->slots[slot] = NULL;
		if (fn->ops->destroy) {
			fn->ops->destroy(fn);
		}
	}
	(void)pthread_mutex_destroy(&host->lock);
	free(host);
}

void vmm_pci_host_reset(struct vmm_pci_host *host)
{
	for (unsigned slot = 0; slot < VMM_PCI_SLOTS; slot++) {
		struct vmm_pci_function *fn = host->slots[slot];

		if (!fn) {
			continue;
		}
		if (fn->ops->reset) {
			fn->ops->reset(fn);
		}
		lock(host);
		vmm_pci_config_reset(fn);
		unlock(host);
	}
	lock(host);
	host->cf8 = 0;
	unlock(host);
}
