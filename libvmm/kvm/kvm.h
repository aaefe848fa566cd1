/* SPDX-License-Identifier: MIT */
/*
 * KVM: the VM descriptor, memory slots, interrupt routing, ioeventfds and the vCPU threads. What
 * differs between architectures (interrupt controller, registers, CPUID) is done by machine/ with
 * the descriptors this layer hands out.
 *
 * Threads: the loop thread of the VM calls everything here unless a function says otherwise. vCPU
 * threads run guest code, dispatch its accesses on the two buses and stop at a gate when asked to.
 */
#ifndef VMM_KVM_KVM_H
#define VMM_KVM_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/bus.h>
#include <vmm/error.h>
#include <vmm/irq.h>
#include <vmm/log.h>
#include <vmm/loop.h>
#include <vmm/mem.h>

#include "pci/pci.h"
#include "transport/events.h"

struct vmm_kvm;

/* ---- the host ---- */

/* A capability that the caller cannot do without, with the words for a user. */
struct vmm_kvm_cap {
	long cap;
	const char *name;
};

/*
 * Opens /dev/kvm, close-on-exec. A descriptor, or an error that says what to do: -ENOENT, -EACCES,
 * other errno.
 */
int vmm_kvm_open(struct vmm_error *err);
/* API version and what this layer needs. 0, -ENOTSUP, -EINVAL (not /dev/kvm). */
int vmm_kvm_check(int kvm_fd, struct vmm_error *err);
/* As above for a list of the caller's. */
int vmm_kvm_check_caps(int kvm_fd, const struct vmm_kvm_cap *caps, size_t count,
		       struct vmm_error *err);

/* ---- the VM ---- */

enum vmm_kvm_event_kind {
	VMM_KVM_POWEROFF,     /* the guest asked for it through the hypervisor (PSCI) */
	VMM_KVM_RESET,        /* likewise */
	VMM_KVM_TRIPLE_FAULT, /* the CPU shut down */
	VMM_KVM_CRASH,        /* the guest did what KVM cannot carry out */
	VMM_KVM_ERROR,        /* KVM_RUN failed */
};

struct vmm_kvm_event {
	enum vmm_kvm_event_kind kind;
	int code;           /* VMM_KVM_ERROR: negative errno */
	const char *detail; /* constant words */
};

struct vmm_kvm_config {
	int kvm_fd;                /* borrowed for the call */
	struct vmm_loop *loop;     /* borrowed */
	const struct vmm_log *log; /* borrowed, may be NULL */
	struct vmm_bus *mmio;      /* borrowed */
	struct vmm_bus *pio;       /* borrowed; NULL where there are no ports */
	unsigned vm_type;          /* for KVM_CREATE_VM: vmm_machine_vm_type */
	int kick_signal;           /* an empty handler is installed for it */
	/* On a vCPU thread, which does not enter the guest again before the gate has let it. */
	void (*event)(void *ctx, const struct vmm_kvm_event *event);
	/* On each vCPU thread, before it first stands at the gate. <0: start_threads fails. May be
	 * NULL. */
	int (*on_thread)(void *ctx, unsigned index);
	void *ctx;
};

/* Makes the VM descriptor. -ENOMEM, errno of KVM_CREATE_VM, sigaction, eventfd. */
int vmm_kvm_create(struct vmm_kvm **out, const struct vmm_kvm_config *config,
		   struct vmm_error *err);
/* Joins the vCPU threads and closes everything. NULL is a no-op. */
void vmm_kvm_destroy(struct vmm_kvm *kvm);

/* Owned by kvm; for machine/'s own ioctls. */
int vmm_kvm_vm_fd(const struct vmm_kvm *kvm);

/*
 * One slot for each region of mem, which is borrowed until destroy. Before the interrupt
 * controller is made: a slot added later waits for a grace period of the host's kernel.
 */
int vmm_kvm_set_memory(struct vmm_kvm *kvm, const struct vmm_mem *mem, struct vmm_error *err);

/*
 * Windows of this VM; the context is the struct vmm_kvm. At most so many, -ENOSPC, counting those
 * that were destroyed.
 */
#define VMM_KVM_WINDOWS_MAX 32u
extern const struct vmm_window_ops vmm_kvm_window_ops;

/* ---- interrupts; any thread, once the machine's interrupt controller stands ---- */

/*
 * Declares that gsi (below VMM_KVM_GSI_LINES) is wired to a pin of an in-kernel interrupt
 * controller. Configuration time; the table goes to the kernel at vmm_kvm_route_commit.
 * -EINVAL, -ENOSPC.
 */
#define VMM_KVM_GSI_LINES 32u
int vmm_kvm_route_pin(struct vmm_kvm *kvm, unsigned gsi, unsigned irqchip, unsigned pin);
int vmm_kvm_route_commit(struct vmm_kvm *kvm);

/*
 * The same line, when the controller is not in the kernel: it sends that message from now on, or,
 * with NULL, nothing. Any thread. -EINVAL (also an address outside the window, and then nothing);
 * errno of KVM_SET_GSI_ROUTING.
 */
int vmm_kvm_line_route(struct vmm_kvm *kvm, unsigned gsi, const struct vmm_pci_msi *msi);

/*
 * Addresses that raise interrupts when a device writes there; none before. Configuration time, when
 * the machine's interrupt controller stands.
 */
void vmm_kvm_set_msi_window(struct vmm_kvm *kvm, uint64_t base, uint64_t size);

/*
 * Message-signalled interrupts. alloc: a gsi with no route yet, or -ENOSPC. route: -EINVAL when gsi
 * was not allocated or the address lies outside the window (the route is then empty);
 * errno of KVM_SET_GSI_ROUTING.
 */
int vmm_kvm_msi_alloc(struct vmm_kvm *kvm, unsigned *gsi);
void vmm_kvm_msi_free(struct vmm_kvm *kvm, unsigned gsi);
int vmm_kvm_msi_route(struct vmm_kvm *kvm, unsigned gsi, const struct vmm_pci_msi *msi);

/* Connects or disconnects an eventfd (borrowed) and a gsi. -EINVAL, errno of KVM_IRQFD. */
int vmm_kvm_irqfd(struct vmm_kvm *kvm, unsigned gsi, int eventfd, bool connect);
/* Connects or disconnects a doorbell and an eventfd (borrowed). errno of KVM_IOEVENTFD. */
int vmm_kvm_ioeventfd(struct vmm_kvm *kvm, const struct vmm_doorbell *bell, int eventfd,
		      bool connect);

/* An edge-triggered line of gsi, freed with vmm_kvm_line_destroy. -ENOMEM, errno. */
int vmm_kvm_line_create(struct vmm_kvm *kvm, unsigned gsi, struct vmm_irq **out);
void vmm_kvm_line_destroy(struct vmm_kvm *kvm, struct vmm_irq *irq);

/* ---- vCPUs ---- */

#define VMM_KVM_VCPUS_MAX 64u

/* Adds the next vCPU, with no thread yet. -ENOSPC, -ENOMEM, errno of KVM_CREATE_VCPU. */
int vmm_kvm_add_vcpu(struct vmm_kvm *kvm, struct vmm_error *err);
unsigned vmm_kvm_vcpu_count(const struct vmm_kvm *kvm);
/* Owned by kvm. Registers may be touched while no thread runs or all are parked. */
int vmm_kvm_vcpu_fd(const struct vmm_kvm *kvm, unsigned index);

/* Starts a parked thread for each vCPU. On failure none is left. errno of pthread_create, what
 * on_thread returned. */
int vmm_kvm_start_threads(struct vmm_kvm *kvm, struct vmm_error *err);
/* Parks and ends the threads; they can be started again. */
void vmm_kvm_stop_threads(struct vmm_kvm *kvm);
/* Opens the gate. */
void vmm_kvm_run(struct vmm_kvm *kvm);
/*
 * Closes the gate and has every vCPU kicked; returns at once. Any thread. A vCPU that calls it does
 * not enter the guest again; the others are kicked by the loop, as signals are not for vCPUs'
 * threads to send.
 */
void vmm_kvm_request_park(struct vmm_kvm *kvm);
/*
 * Closes the gate and waits until every vCPU has finished its last access and stands at it.
 * Meanwhile posted work of the loop runs, since a vCPU may be waiting for just that.
 */
void vmm_kvm_park(struct vmm_kvm *kvm);

#endif
