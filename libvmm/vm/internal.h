/* SPDX-License-Identifier: MIT */
/* What the files of vm/ share. */
#ifndef VMM_VM_INTERNAL_H
#define VMM_VM_INTERNAL_H

#include <pthread.h>

#include <vmm/vm.h>

#include "kvm/kvm.h"
#include "machine/machine.h"
#include "mmio/mmio.h"
#include "pci/pci.h"

#define ID_MAX        31u
#define PLATFORMS_MAX 4u
#define VIRTIO_MAX    VMM_PCI_SLOTS

struct virtio_slot {
	char id[ID_MAX + 1];           /* empty: free */
	struct vmm_virtio_device *dev; /* the transport's */
	unsigned slot;                 /* on the PCI bus */
	struct vmm_virtio_mmio *mmio;  /* NULL: it is on the PCI bus */
};

struct platform {
	struct vmm_platform_device *dev;
	struct vmm_irq *irq;
};

struct vmm_vm {
	struct vmm_vm_config config;
	struct vmm_loop *loop;
	bool own_loop;
	enum vmm_vm_state state;
	struct vmm_exit exit;
	/*
	 * An operation is waiting for vCPUs; posted work runs meanwhile and must not start another.
	 */
	bool busy;

	struct vmm_kvm *kvm;
	struct vmm_machine *machine;
	struct vmm_mem *mem;
	struct vmm_bus *mmio;
	struct vmm_bus *pio;
	struct vmm_pci_host *pci; /* NULL: VMM_TRANSPORT_MMIO */
	uint64_t shm_next;        /* without PCI: first address free for shared memory; 0: all */

	int kernel_fd;
	int initrd_fd;
	char *cmdline;
	struct virtio_slot virtio[VIRTIO_MAX];
	struct platform platforms[PLATFORMS_MAX];

	/* What the guest did that the loop has yet to act upon; the first of several counts. */
	pthread_mutex_t event_lock;
	bool event_pending;
	struct vmm_kvm_event event;
	struct vmm_work event_work;

	int stop_fd;
	struct vmm_source *stop_source;

	unsigned early_faults; /* triple faults in a row, each shortly after a boot */
	uint64_t booted_ns;
	uint64_t reboot_logged_ns;
};

/* vm.c: what KVM does for transports; the context is the struct vmm_kvm. */
extern const struct vmm_pci_platform_ops vmm_vm_platform_ops;

/* run.c: callbacks of the layers below, and of the loop. */
void vmm_vm_on_kvm_event(void *ctx, const struct vmm_kvm_event *event);
void vmm_vm_on_machine_event(void *ctx, enum vmm_machine_event event);
void vmm_vm_on_event_work(void *ctx);
void vmm_vm_on_stop_fd(void *ctx, int fd, uint32_t events);
/* Ends the vCPU threads and is STOPPED; tells nobody. */
void vmm_vm_halt(struct vmm_vm *vm, const struct vmm_exit *why);

#endif
