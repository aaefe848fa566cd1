/* SPDX-License-Identifier: MIT */
/*
 * One PCI function: 256 bytes of type 0 configuration space kept as bytes plus a mask of the bits
 * that the driver may change, so that no write can reach anything else, BAR sizing included (PCI
 * 3.0 section 6.2.5.1: the bits below a BAR's size are simply not writable).
 *
 * Whoever makes functions (virtio_pci.c) embeds struct vmm_pci_function first in its own struct.
 */
#ifndef VMM_PCI_FUNCTION_H
#define VMM_PCI_FUNCTION_H

#include "pci/pci.h"

/* Bytes of configuration space with something in them; the rest of the 4096 reads 0. */
#define VMM_PCI_CONFIG_USED 256u

/* Registers of a type 0 header. */
#define VMM_PCI_REG_VENDOR           0x00u
#define VMM_PCI_REG_DEVICE           0x02u
#define VMM_PCI_REG_COMMAND          0x04u
#define VMM_PCI_REG_STATUS           0x06u
#define VMM_PCI_REG_REVISION         0x08u
#define VMM_PCI_REG_CLASS            0x09u
#define VMM_PCI_REG_BAR0             0x10u
#define VMM_PCI_REG_SUBSYSTEM_VENDOR 0x2cu
#define VMM_PCI_REG_SUBSYSTEM        0x2eu
#define VMM_PCI_REG_CAPABILITIES     0x34u

#define VMM_PCI_COMMAND_MEMORY       0x0002u
#define VMM_PCI_COMMAND_BUS_MASTER   0x0004u
#define VMM_PCI_COMMAND_INTX_DISABLE 0x0400u
#define VMM_PCI_STATUS_CAPABILITIES  0x0010u

#define VMM_PCI_CAP_VENDOR 0x09u
#define VMM_PCI_CAP_MSIX   0x11u

struct vmm_pci_msix;

/* A memory BAR. A 64-bit one also takes the next index. */
struct vmm_pci_bar {
	uint64_t size; /* 0: there is none; else a power of two, at least 4096 */
	bool is_64;
	bool prefetchable;
	/*
	 * The guest sees memory there: the hypervisor serves it without a word, and so it decodes
	 * nowhere where another BAR does, nor another one inside of it. The first one counts.
	 */
	bool is_memory;
	uint64_t assigned; /* where the VMM put it */
	bool mapped;       /* decoding, at gpa, inside one of the host's windows */
	uint64_t gpa;
};

struct vmm_pci_function {
	const struct vmm_pci_function_ops *ops;
	struct vmm_pci_host *host; /* set when added */
	unsigned slot;
	uint8_t config[VMM_PCI_CONFIG_USED];
	uint8_t writable[VMM_PCI_CONFIG_USED]; /* bits that the driver may change */
	uint8_t power_on[VMM_PCI_CONFIG_USED]; /* config as it is after a reset */
	struct vmm_pci_bar bars[VMM_PCI_BARS];
	unsigned cap_end;          /* first byte free for a capability */
	unsigned cap_link;         /* where the pointer to the next capability goes */
	struct vmm_pci_msix *msix; /* the maker's; may be NULL */
	unsigned msix_cap;         /* offset of the MSI-X capability */
};

struct vmm_pci_ids {
	uint16_t vendor;
	uint16_t device;
	uint16_t subsystem_vendor;
	uint16_t subsystem;
	uint32_t class_code; /* 24 bits: base class, subclass, programming interface */
	uint8_t revision;
};

/* ---- making one; configuration time ---- */

void vmm_pci_function_init(struct vmm_pci_function *fn, const struct vmm_pci_function_ops *ops,
			   const struct vmm_pci_ids *ids);
/* A memory BAR. -EINVAL: index, size or the place is taken. */
int vmm_pci_function_add_bar(struct vmm_pci_function *fn, unsigned index, uint64_t size, bool is_64,
			     bool prefetchable);
/*
 * Appends a capability of len bytes (4 .. 252), all zero but id and link. Returns its offset, 0
 * when there is no room.
 */
unsigned vmm_pci_function_add_cap(struct vmm_pci_function *fn, uint8_t id, unsigned len);
/* The MSI-X capability for msix, its table and pending bits in `bar`. 0 or -ENOSPC. */
int vmm_pci_function_add_msix(struct vmm_pci_function *fn, struct vmm_pci_msix *msix, unsigned bar,
			      uint32_t table, uint32_t pba);
/* Little-endian stores into configuration space, whatever is writable there. */
void vmm_pci_function_set8(struct vmm_pci_function *fn, unsigned offset, uint8_t value);
void vmm_pci_function_set16(struct vmm_pci_function *fn, unsigned offset, uint16_t value);
void vmm_pci_function_set32(struct vmm_pci_function *fn, unsigned offset, uint32_t value);
uint16_t vmm_pci_function_get16(const struct vmm_pci_function *fn, unsigned offset);
uint32_t vmm_pci_function_get32(const struct vmm_pci_function *fn, unsigned offset);

/* ---- the host's side (config.c is below host.c): host's lock held ---- */

/* offset < 4096, naturally aligned for len 1, 2 or 4. */
uint32_t vmm_pci_config_load(const struct vmm_pci_function *fn, unsigned offset, unsigned len);
void vmm_pci_config_store(struct vmm_pci_function *fn, unsigned offset, unsigned len,
			  uint32_t value);
/* Puts configuration space, BARs and MSI-X back as after power-on. */
void vmm_pci_config_reset(struct vmm_pci_function *fn);
/* Takes every BAR off the buses. */
void vmm_pci_config_unmap(struct vmm_pci_function *fn);
/* True when a BAR may decode at gpa: inside one of the host's windows, and where is_memory lets it
 * (host.c). */
bool vmm_pci_host_may_decode(const struct vmm_pci_host *host, const struct vmm_pci_bar *bar,
			     uint64_t gpa);

/* ---- adding one to the host; configuration time ---- */

/*
 * Finds a slot and addresses for fn without taking them yet, so that the caller's last step that
 * may fail can still come in between. -ENOSPC: no free slot, or no room in the windows.
 */
int vmm_pci_host_place(struct vmm_pci_host *host, struct vmm_pci_function *fn,
		       struct vmm_error *err);
/* Takes what the last place found: fn belongs to the host from here on. */
void vmm_pci_host_add(struct vmm_pci_host *host, struct vmm_pci_function *fn);
/* NULL for an empty slot. */
struct vmm_pci_function *vmm_pci_host_function(struct vmm_pci_host *host, unsigned slot);
const struct vmm_pci_platform *vmm_pci_host_platform(const struct vmm_pci_host *host);

/* For hooks, which run without the lock: a function's own configuration bytes. */
void vmm_pci_function_copy_out(struct vmm_pci_function *fn, unsigned offset, void *dst, size_t len);
void vmm_pci_function_copy_in(struct vmm_pci_function *fn, unsigned offset, const void *src,
			      size_t len);

#endif
