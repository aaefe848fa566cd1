/* SPDX-License-Identifier: MIT */
/*
 * A PCI host bridge on two buses over a platform that does what a hypervisor does.
 */
#ifndef TESTS_PCI_FIX_H
#define TESTS_PCI_FIX_H

#include "pci/function.h"
#include "pci/msix.h"
#include "test_transport_fix.h"

#define FIX_ECAM   UINT64_C(0xe0000000)
#define FIX_MMIO32 UINT64_C(0xc0000000)
#define FIX_MMIO64 UINT64_C(0x800000000)
/* Not a multiple of a BAR's size, so that a BAR can lie across the end. */
#define FIX_WINDOW  UINT64_C(0x1001000)
#define FIX_ALIGNED UINT64_C(0x1000000)

struct fix_gsi {
	bool allocated;
	bool routed;
	uint64_t address;
	uint32_t data;
	uint32_t requester;
};

struct pcifix {
	struct eventfix events; /* first */
	struct vmm_bus *mmio;
	struct vmm_bus *pio;
	struct vmm_pci_host *host;
	struct fix_gsi gsis[FIX_GSIS];
	unsigned routes; /* calls so far */
	int fail_alloc;  /* as in struct eventfix */
};

/* With both windows of FIX_WINDOW bytes; mmio64 false: without the one above 4 GiB. */
void pcifix_init(struct pcifix *fix, bool mmio64);
/* Destroys host and buses; fails the test when anything is left connected or allocated. */
void pcifix_finish(struct pcifix *fix);

/* What a guest does. A write that an ioeventfd waits for goes there. */
uint64_t pcifix_read(struct pcifix *fix, uint64_t gpa, unsigned len);
void pcifix_write(struct pcifix *fix, uint64_t gpa, unsigned len, uint64_t value);
uint32_t pcifix_config_read(struct pcifix *fix, unsigned slot, unsigned offset, unsigned len);
void pcifix_config_write(struct pcifix *fix, unsigned slot, unsigned offset, unsigned len,
			 uint32_t value);
uint32_t pcifix_in(struct pcifix *fix, unsigned port, unsigned len);
void pcifix_out(struct pcifix *fix, unsigned port, unsigned len, uint32_t value);
/* The address in a BAR; is_64 as the BAR says itself. */
uint64_t pcifix_bar(struct pcifix *fix, unsigned slot, unsigned bar);
/* Offset of the capability after `from` (0: the first) with this id; 0 when there is none. */
unsigned pcifix_find_cap(struct pcifix *fix, unsigned slot, unsigned id, unsigned from);

/* Delivers what was raised, as the hypervisor would; messages with this data so far. */
unsigned pcifix_messages(struct pcifix *fix, uint32_t data);
unsigned pcifix_allocated(struct pcifix *fix);

#endif
