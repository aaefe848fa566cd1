/* SPDX-License-Identifier: MIT */
/*
 * The machine: what an architecture adds to KVM, buses and devices to make a computer. Memory
 * layout, interrupt controller, CPU state, kernel formats, firmware tables, power management.
 * Implemented once for each architecture in a folder that the build chooses; nothing above this
 * header knows which.
 *
 *	create -> (guest memory is made) -> setup -> place/boot ... boot -> destroy
 *
 * Threads: the VM's loop thread unless a function says otherwise. No vCPU runs during setup and
 * boot.
 */
#ifndef VMM_MACHINE_MACHINE_H
#define VMM_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/bus.h>
#include <vmm/error.h>
#include <vmm/mem.h>
#include <vmm/vm.h>

#include "kvm/kvm.h"
#include "pci/pci.h"

struct vmm_machine;

enum vmm_machine_event {
	VMM_MACHINE_POWEROFF,
	VMM_MACHINE_RESET,
};

struct vmm_machine_config {
	int kvm_fd; /* borrowed for the call */
	uint64_t memory_size;
	unsigned vcpus;
	enum vmm_transport_type transport; /* MMIO: there is no PCI */
	/* The guest used the machine's power or reset registers; on a vCPU thread. */
	void (*event)(void *ctx, enum vmm_machine_event event);
	void *ctx;
};

/* What this architecture needs beyond vmm_kvm_check. -ENOTSUP. */
int vmm_machine_host_check(int kvm_fd, struct vmm_error *err);

/* Decides the layout; makes nothing in KVM yet. -EINVAL (memory size, named), -ENOMEM, errno. */
int vmm_machine_create(struct vmm_machine **out, const struct vmm_machine_config *config,
		       struct vmm_error *err);
/* NULL is a no-op. Before kvm and the buses given to setup go. */
void vmm_machine_destroy(struct vmm_machine *machine);

/* Fills regions (VMM_MEM_REGIONS_MAX entries) with where RAM is and returns their number. */
size_t vmm_machine_ram(const struct vmm_machine *machine, struct vmm_mem_region *regions);
/* For KVM_CREATE_VM. */
unsigned vmm_machine_vm_type(const struct vmm_machine *machine);
/* Whether this architecture has a space of ports beside memory. */
bool vmm_machine_has_ports(void);
/* Fills the address fields of config: ECAM and the windows. With VMM_TRANSPORT_MMIO only mmio64 is
 * there, and free. */
void vmm_machine_pci(const struct vmm_machine *machine, struct vmm_pci_host_config *config);

struct vmm_machine_parts {
	struct vmm_kvm *kvm; /* its memory slots are set */
	struct vmm_mem *mem;
	struct vmm_bus *mmio;
	struct vmm_bus *pio; /* NULL where there are no ports */
};

/*
 * Makes the interrupt controller, the vCPUs and the machine's own devices, and remembers the state
 * of power-on. All parts are borrowed until destroy. errno of KVM.
 */
int vmm_machine_setup(struct vmm_machine *machine, const struct vmm_machine_parts *parts,
		      struct vmm_error *err);

/* The serial port there is a place for, and what Linux calls it. */
extern const enum vmm_platform_type vmm_machine_uart;
extern const char vmm_machine_tty[];

/* Where a platform device of a type goes. */
struct vmm_machine_place {
	const char *name;
	struct vmm_bus *bus; /* borrowed from the parts */
	uint64_t base;
	uint64_t size;
	unsigned gsi;
};

/*
 * Reserves the place for a device, which the tables of the next boot announce. -EOPNOTSUPP: there
 * is none for this type; -EEXIST: taken. unplace gives it back.
 */
int vmm_machine_place(struct vmm_machine *machine, enum vmm_platform_type type,
		      struct vmm_machine_place *place, struct vmm_error *err);
void vmm_machine_unplace(struct vmm_machine *machine, enum vmm_platform_type type);

/*
 * With VMM_TRANSPORT_MMIO: the place for the next virtio device, which the tables of the next boot
 * announce as well. -ENOSPC: all are taken. unplace gives the last one back.
 */
int vmm_machine_place_virtio(struct vmm_machine *machine, struct vmm_machine_place *place,
			     struct vmm_error *err);
void vmm_machine_unplace_virtio(struct vmm_machine *machine);

/* Can this machine boot what fd holds? -ENOEXEC with words; -EIO, -EINVAL (not a plain file). */
int vmm_machine_check_kernel(int fd, struct vmm_error *err);
/* The longest command line, without its NUL: Linux's COMMAND_LINE_SIZE, the same everywhere. */
#define VMM_MACHINE_CMDLINE_MAX 2047u
/* -E2BIG when it is longer. */
int vmm_machine_check_cmdline(const char *cmdline, struct vmm_error *err);

struct vmm_machine_image {
	int kernel_fd;
	int initrd_fd; /* -1: none */
	const char *cmdline;
};

/*
 * Power-on: puts interrupt controller, vCPUs and the machine's devices into their first state,
 * loads the kernel into RAM that reads as zero, writes the tables, points vCPU 0 at the kernel.
 * Both for the first start and for a reboot. -EINVAL (does not fit into memory), -ENOEXEC, -EIO,
 * -E2BIG (the command line, with words for virtio devices), errno of KVM.
 */
int vmm_machine_boot(struct vmm_machine *machine, const struct vmm_machine_image *image,
		     struct vmm_error *err);

/* The vCPUs are about to go on after a pause. */
void vmm_machine_resuming(struct vmm_machine *machine);
/* Presses the power button. */
void vmm_machine_power_button(struct vmm_machine *machine);

#endif
