/* SPDX-License-Identifier: MIT */
/*
 * A PCI host bridge on two buses over a platform that does what a hypervisor does with irqfds and
 * ioeventfds, and keeps count.
 */
#ifndef TESTS_PCI_FIX_H
#define TESTS_PCI_FIX_H

#include <pthread.h>

#include "pci/function.h"
#include "pci/msix.h"

/* Fixtures serve fuzz targets too, which have no check; what fails here aborts. */
#define FIX_REQUIRE(condition) fix_require((condition), #condition, __FILE__, __LINE__)
void fix_require(bool holds, const char *what, const char *file, int line);

#define FIX_ECAM   UINT64_C(0xe0000000)
#define FIX_MMIO32 UINT64_C(0xc0000000)
#define FIX_MMIO64 UINT64_C(0x800000000)
/* Not a multiple of a BAR's size, so that a BAR can lie across the end. */
#define FIX_WINDOW     UINT64_C(0x1001000)
#define FIX_ALIGNED    UINT64_C(0x1000000)
#define FIX_GSIS       128u
#define FIX_IOEVENTFDS 128u

struct fix_gsi {
	bool allocated;
	bool routed;
	uint64_t address;
	uint32_t data;
	uint32_t requester;
	int eventfd; /* -1: not connected */
	unsigned delivered;
};

struct fix_ioeventfd {
	uint64_t gpa;
	unsigned len;
	int eventfd; /* -1: free */
};

struct pcifix {
	struct vmm_bus *mmio;
	struct vmm_bus *pio;
	struct vmm_pci_host *host;
	pthread_mutex_t lock;
	struct fix_gsi gsis[FIX_GSIS];
	struct fix_ioeventfd ioeventfds[FIX_IOEVENTFDS];
	/* Calls so far; misuse counts those that no caller may make. */
	unsigned routes;
	unsigned irqfd_calls;
	unsigned ioeventfd_calls;
	unsigned misuse;
	/* What is to fail, while it is not 0. */
	int fail_alloc;
	int fail_irqfd;
	int fail_ioeventfd;
	struct vmm_log log;
	unsigned logged;
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
unsigned pcifix_connected(struct pcifix *fix);
unsigned pcifix_allocated(struct pcifix *fix);
unsigned pcifix_ioeventfds(struct pcifix *fix);

#endif
