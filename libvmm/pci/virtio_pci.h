/* SPDX-License-Identifier: MIT */
/*
 * virtio over PCI, split by register block: virtio_pci.c (making the function, capabilities, the
 * BAR), virtio_common.c (the common configuration registers), virtio_call.c (from the device to an
 * interrupt). What virtio-mmio has as well, the locks among it, is in transport/. Raising an
 * interrupt takes no lock.
 */
#ifndef VMM_PCI_VIRTIO_PCI_H
#define VMM_PCI_VIRTIO_PCI_H

#include "pci/function.h"
#include "pci/msix.h"
#include "transport/transport.h"

/* The BAR: one page for each block, so that a page may be mapped or trapped for itself. */
#define VPCI_BAR           0u
#define VPCI_BAR_SIZE      0x8000u
#define VPCI_COMMON        0x0000u
#define VPCI_COMMON_SIZE   0x38u
#define VPCI_ISR           0x1000u
#define VPCI_DEVICE        0x2000u
#define VPCI_NOTIFY        0x3000u
#define VPCI_MSIX          0x4000u
#define VPCI_PBA           0x5000u
#define VPCI_BLOCK_SIZE    0x1000u
#define VPCI_NOTIFY_STRIDE 4u

/* Each shared memory region has a BAR of 64 bits: 2 and 4. */
#define VPCI_SHM_BAR(i) (2u + 2u * (i))

#define VPCI_NO_VECTOR 0xffffu

struct virtio_pci;

/* An interrupt source: a queue, or the configuration. */
struct vpci_irq {
	struct vmm_irq base;
	struct virtio_pci *vp;
	uint8_t isr_bit;
	uint16_t vector; /* atomic: the driver changes it while the device raises */
	/*
	 * Of a queue that another process reads: what that process writes to while there is no
	 * vector to write to. -1 for all others.
	 */
	int poll_fd;
	struct vmm_source *source; /* poll_fd */
};

struct virtio_pci {
	struct vmm_pci_function fn;
	struct vmm_transport transport;
	struct vmm_pci_msix *msix;
	unsigned window; /* offset of the PCI_CFG capability */
	struct vpci_irq config_irq;
	uint8_t isr;                   /* atomic */
	struct vmm_work calls_changed; /* a vector or MSI-X's enable bit changed */
	struct vpci_irq irqs[];        /* of the queues */
};

/* virtio_common.c: offset is relative to the block; any thread. */
uint64_t vmm_vpci_common_read(struct virtio_pci *vp, unsigned offset, unsigned len);
void vmm_vpci_common_write(struct virtio_pci *vp, unsigned offset, unsigned len, uint64_t value);
/* Resets the device and with it every register. */
void vmm_vpci_reset_device(struct virtio_pci *vp);

/* virtio_call.c */
void vmm_vpci_call_init(struct virtio_pci *vp, struct vpci_irq *irq, uint8_t isr_bit);
/* For a device with external queues: makes poll_fd for each of them. -EMFILE, -ENOMEM. */
int vmm_vpci_call_start(struct virtio_pci *vp);
void vmm_vpci_call_finish(struct virtio_pci *vp);
/* Interrupts go elsewhere from now on: a device with external queues is told. Any thread. */
void vmm_vpci_calls_changed(struct virtio_pci *vp);

#endif
