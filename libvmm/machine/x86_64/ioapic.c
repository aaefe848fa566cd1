/* SPDX-License-Identifier: MIT */
/*
 * The IOAPIC: 24 lines, and for each an entry that says which message a local APIC gets. It is here
 * and not in the kernel: less of the kernel is in front of the guest, and a VM without the kernel's
 * PICs and IOAPIC ends in a fraction of a millisecond, where each of theirs costs a grace period.
 *
 * Nothing passes through here when a line is raised: an entry becomes a route, and a line is an
 * irqfd. All lines of this machine are edges, so an entry that says "level" gets edges as well: no
 * end of interrupt is waited for, and one that comes while its line is masked is lost, as it is on
 * hardware.
 */
#include "machine/x86_64/x86.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "machine/x86_64/layout.h"

#define REG_SELECT 0x00u
#define REG_WINDOW 0x10u

#define INDEX_ID      0x00u
#define INDEX_VERSION 0x01u
#define INDEX_ARB     0x02u
#define INDEX_ENTRIES 0x10u

#define VERSION 0x11u
#define ID_MASK UINT32_C(0x0f000000)

/* An entry. */
#define VECTOR(e)      ((unsigned)(e)&0xffu)
#define MODE(e)        ((unsigned)((e) >> 8) & 7u)
#define LOGICAL        (UINT64_C(1) << 11)
#define PENDING        (UINT64_C(1) << 12)
#define REMOTE_IRR     (UINT64_C(1) << 14)
#define MASKED         (UINT64_C(1) << 16)
#define DESTINATION(e) ((e) >> 56)
/* What the guest may write. */
#define WRITABLE (UINT64_C(0xff0000000001ffff) & ~(PENDING | REMOTE_IRR))

#define MODE_FIXED   0u
#define MODE_LOWEST  1u
#define MODE_NMI     4u
#define FIRST_VECTOR 16u /* those below are for exceptions */

/* A message (Intel SDM volume 3, section 11.11). */
#define MSI_DESTINATION(d) ((d) << 12)
#define MSI_LOGICAL        UINT64_C(0x4)
#define MSI_HINT           UINT64_C(0x8)
#define MSI_MODE(m)        ((uint32_t)(m) << 8)

struct x86_ioapic {
	x86_ioapic_route_fn route;
	void *ctx;
	/* Several vCPUs may be here at a time. */
	pthread_mutex_t lock;
	uint8_t select;
	uint32_t id;
	uint64_t entries[IOAPIC_PINS];
};

/* False when the line goes nowhere. */
static bool make_message(uint64_t entry, struct vmm_pci_msi *msi)
{
	unsigned mode = MODE(entry);

	*msi = (struct vmm_pci_msi){
		.address = LAPIC_GPA | MSI_DESTINATION(DESTINATION(entry)),
		.data = VECTOR(entry) | MSI_MODE(mode),
	};
	if (entry & LOGICAL) {
		msi->address |= MSI_LOGICAL;
	}
	if (mode == MODE_LOWEST) {
		msi->address |= MSI_HINT;
	}
	if (entry & MASKED) {
		return false;
	}
	return mode == MODE_NMI ||
	       ((mode == MODE_FIXED || mode == MODE_LOWEST) && VECTOR(entry) >= FIRST_VECTOR);
}

/* Lock held. */
static void set_entry(struct x86_ioapic *io, unsigned pin, uint64_t entry)
{
	struct vmm_pci_msi msi;

	io->entries[pin] = entry & WRITABLE;
	io->route(io->ctx, pin, make_message(io->entries[pin], &msi) ? &msi : NULL);
}

static uint32_t read_window(const struct x86_ioapic *io)
{
	unsigned entry = io->select - INDEX_ENTRIES;

	switch (io->select) {
	case INDEX_ID:
	case INDEX_ARB:
		return io->id;
	case INDEX_VERSION:
		return VERSION | (IOAPIC_PINS - 1) << 16;
	default:
		if (io->select < INDEX_ENTRIES || entry / 2 >= IOAPIC_PINS) {
			return 0;
		}
		return (uint32_t)(io->entries[entry / 2] >> (entry % 2 * 32));
	}
}

static void write_window(struct x86_ioapic *io, uint32_t value)
{
	unsigned entry = io->select - INDEX_ENTRIES;
	unsigned shift = entry % 2 * 32;
	uint64_t kept;

	if (io->select == INDEX_ID) {
		io->id = value & ID_MASK;
	} else if (io->select >= INDEX_ENTRIES && entry / 2 < IOAPIC_PINS) {
		kept = io->entries[entry / 2] & ~(UINT64_C(0xffffffff) << shift);
		set_entry(io, entry / 2, kept | (uint64_t)value << shift);
	}
}

static uint64_t ioapic_read(void *ctx, uint64_t offset, unsigned len)
{
	struct x86_ioapic *io = ctx;
	uint64_t value = 0;

	(void)len;
	(void)pthread_mutex_lock(&io->lock);
	if (offset == REG_SELECT) {
		value = io->select;
	} else if (offset == REG_WINDOW) {
		value = read_window(io);
	}
	(void)pthread_mutex_unlock(&io->lock);
	return value;
}

static void ioapic_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct x86_ioapic *io = ctx;

	(void)pthread_mutex_lock(&io->lock);
	if (offset == REG_SELECT) {
		io->select = (uint8_t)value;
	} else if (offset == REG_WINDOW && len >= 4) {
		write_window(io, (uint32_t)value);
	}
	(void)pthread_mutex_unlock(&io->lock);
}

static const struct vmm_bus_ops ioapic_ops = {.read = ioapic_read, .write = ioapic_write};

void vmm_x86_ioapic_reset(struct x86_ioapic *io)
{
	(void)pthread_mutex_lock(&io->lock);
	io->select = 0;
	io->id = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		set_entry(io, pin, MASKED);
	}
	(void)pthread_mutex_unlock(&io->lock);
}

int vmm_x86_ioapic_create(struct x86_ioapic **out, struct vmm_bus *mmio, x86_ioapic_route_fn route,
			  void *ctx, struct vmm_error *err)
{
	struct x86_ioapic *io = calloc(1, sizeof(*io));
	int ret;

	*out = NULL;
	if (!io) {
		return vmm_error_set(err, -ENOMEM, "IOAPIC: out of memory");
	}
	io->route = route;
	io->ctx = ctx;
	(void)pthread_mutex_init(&io->lock, NULL);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		io->entries[pin] = MASKED;
	}
	ret = vmm_bus_add(mmio, "IOAPIC", IOAPIC_GPA, IOAPIC_SIZE, &ioapic_ops, io, err);
	if (ret < 0) {
		vmm_x86_ioapic_destroy(io);
		return ret;
	}
	*out = io;
	return 0;
}

void vmm_x86_ioapic_destroy(struct x86_ioapic *io)
{
	if (io) {
		(void)pthread_mutex_destroy(&io->lock);
		free(io);
	}
}
