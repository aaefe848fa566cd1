/* SPDX-License-Identifier: MIT */
/*
 * MSI-X (PCI 3.0 section 6.8.2): a table of messages and their pending bits.
 *
 * Each vector has an eventfd. Raising the interrupt is one write to it, from any thread and without
 * a lock; while the vector is unmasked the hypervisor turns the write into the message, while it is
 * masked nobody reads the eventfd, so that its being readable *is* the pending bit, and connecting
 * it again delivers what was pending.
 */
#ifndef VMM_PCI_MSIX_H
#define VMM_PCI_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#include "pci/pci.h"

#define VMM_PCI_MSIX_ENTRY_SIZE 16u
#define VMM_PCI_MSIX_MAX        2048u

struct vmm_pci_msix;

/* platform and log are borrowed. -EINVAL (count), -ENOMEM, -EMFILE. */
int vmm_pci_msix_create(struct vmm_pci_msix **out, unsigned count,
			const struct vmm_pci_platform *platform, const struct vmm_log *log);
/* NULL is a no-op. Nobody may raise any more. */
void vmm_pci_msix_destroy(struct vmm_pci_msix *m);
unsigned vmm_pci_msix_count(const struct vmm_pci_msix *m);
/* Who sends the messages: see struct vmm_pci_msi. Configuration time. */
void vmm_pci_msix_set_requester(struct vmm_pci_msix *m, uint32_t requester);

/* ---- the driver's side; any thread ---- */

/* The enable and function mask bits of the capability. */
void vmm_pci_msix_set_control(struct vmm_pci_msix *m, bool enabled, bool masked);
/* Off, all vectors masked and zero, nothing pending. */
void vmm_pci_msix_reset(struct vmm_pci_msix *m);
/*
 * Table and pending bits. Only naturally aligned accesses of 4 and 8 bytes exist: other reads give
 * all ones, other writes vanish. Past the end: 0, ignored.
 */
uint64_t vmm_pci_msix_table_read(struct vmm_pci_msix *m, uint64_t offset, unsigned len);
void vmm_pci_msix_table_write(struct vmm_pci_msix *m, uint64_t offset, unsigned len,
			      uint64_t value);
uint64_t vmm_pci_msix_pba_read(struct vmm_pci_msix *m, uint64_t offset, unsigned len);

/* ---- the device's side; any thread, no lock ---- */

bool vmm_pci_msix_enabled(const struct vmm_pci_msix *m);
/* Raises a vector; one that does not exist is ignored, as is everything while MSI-X is off. */
void vmm_pci_msix_raise(struct vmm_pci_msix *m, unsigned vector);
/*
 * The eventfd that raises a vector when it is written to, owned by m: the vector's pending bit
 * while it is masked. -1 for a vector that does not exist.
 */
int vmm_pci_msix_eventfd(const struct vmm_pci_msix *m, unsigned vector);
/* Forgets what is pending: the device was reset. */
void vmm_pci_msix_clear_pending(struct vmm_pci_msix *m);

#endif
