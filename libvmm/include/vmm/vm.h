/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine: the composition root. It knows no concrete device: the caller adds those it
 * wants; nothing is implicit.
 *
 *	          set_kernel, add_*        start             pause
 *	 create -> CONFIGURING ----------> RUNNING <------------------> PAUSED
 *	                                      |         resume            |
 *	                      guest off/crash |                           |
 *	                      or vmm_vm_stop  v                           v
 *	                                   STOPPED <----------------------+
 *
 * A stopped VM is destroyed; to run again, build another (the caller keeps what should live on:
 * taps, ptys, disks). A guest's reset does not stop it: the VM reboots in place with the same
 * devices.
 *
 * Threads: all functions are called on one thread, the one that dispatches the VM's loop, unless a
 * function says otherwise. Each vCPU has a thread of its own, named "vcpuN".
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/bus.h>
#include <vmm/error.h>
#include <vmm/irq.h>
#include <vmm/log.h>
#include <vmm/loop.h>
#include <vmm/mem.h>
#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_VCPUS_MAX 64

struct vmm_vm;

enum vmm_vm_state {
	VMM_VM_CONFIGURING,
	VMM_VM_RUNNING,
	VMM_VM_PAUSED,
	VMM_VM_STOPPED,
};

/* How virtio devices are found and driven; what is above their registers is the same. */
enum vmm_transport_type {
	VMM_TRANSPORT_PCI, /* 31 devices, interrupts by MSI-X */
	/*
	 * virtio-mmio: no PCI at all, for guests that are to be small. x86_64: 16 devices, found by
	 * ACPI, or by words on the kernel's command line where that has acpi=off; aarch64: 30,
	 * found by the device tree. One interrupt line for each device.
	 */
	VMM_TRANSPORT_MMIO,
};

/* Why a VM stopped. */
enum vmm_exit_reason {
	VMM_EXIT_NONE,     /* it has not stopped */
	VMM_EXIT_POWEROFF, /* the guest powered itself off (ACPI S5, PSCI) */
	VMM_EXIT_RESET,    /* the guest asked for a reset and config.reset_stops is set */
	VMM_EXIT_STOPPED,  /* vmm_vm_stop */
	/*
	 * An instruction that KVM cannot emulate, or the fifth triple fault in a row within a
	 * second of a boot. Any other triple fault is a reset, as on hardware.
	 */
	VMM_EXIT_CRASH,
	VMM_EXIT_ERROR, /* the host failed: KVM_RUN gave an error, a reboot could not be carried out
			 */
};

struct vmm_exit {
	enum vmm_exit_reason reason;
	int code;           /* VMM_EXIT_ERROR: negative errno */
	const char *detail; /* constant words, may be NULL */
};

/* Zero-initialise; zero means the default in each field. */
struct vmm_vm_config {
	uint64_t memory_size;  /* bytes, multiple of 2 MiB; default 512 MiB */
	bool huge_pages;       /* memory in huge pages of 2 MiB: vmm_mem_create_huge */
	unsigned vcpus;        /* 1 .. VMM_VCPUS_MAX; default 1 */
	int kvm_fd;            /* > 0: an open /dev/kvm, borrowed for the call; else it is opened */
	struct vmm_loop *loop; /* borrowed; NULL: the VM makes its own (vmm_vm_loop) */
	const struct vmm_log *log; /* borrowed, may be NULL */
	enum vmm_transport_type transport;
	bool reset_stops; /* a guest reset stops the VM instead of rebooting it */
	int kick_signal;  /* signal that interrupts vCPU threads; default SIGRTMIN */
	/*
	 * Called on the loop's thread when the VM has stopped by itself (not for vmm_vm_stop). May
	 * call vmm_vm_* but not vmm_vm_destroy.
	 */
	void (*on_exit)(void *ctx, const struct vmm_exit *exit);
	/* Called on the loop's thread after each reboot in place. May be NULL. */
	void (*on_reboot)(void *ctx);
	/*
	 * For callers that give up rights before the guest's first instruction. Both are called
	 * during vmm_vm_start, which fails with what they return below 0; both may be NULL.
	 * on_vcpu_thread: on each vCPU thread, first thing. before_run: on the loop's thread, when
	 * all vCPU threads exist and wait, and nothing of the guest has run. After it the VM
	 * allocates no memory and makes no descriptor, threads or mappings until it is stopped; see
	 * <vmm/jail.h> for the system calls that remain.
	 */
	int (*on_vcpu_thread)(void *ctx, unsigned index);
	int (*before_run)(void *ctx);
	/*
	 * A VM that stops leaves its vCPU threads parked until it is destroyed: for a process whose
	 * threads have no right to end, and that ends as a whole.
	 */
	bool threads_stay;
	void *ctx;
};

/*
 * Can this host run VMs? Opens /dev/kvm (or takes kvm_fd > 0) and checks the API version and every
 * capability the library needs. 0, or an error that says what to do (-ENOENT: module not loaded;
 * -EACCES: group kvm; -ENOTSUP: what is missing).
 */
int vmm_host_check(int kvm_fd, struct vmm_error *err);

/*
 * Makes an empty VM. Nothing of config is kept but the borrowed pointers. Installs an empty handler
 * for config.kick_signal, the one process-wide effect of the library. Errors: -EINVAL (a field,
 * named), those of vmm_host_check, -ENOMEM, errno of KVM.
 */
int vmm_vm_create(struct vmm_vm **out, const struct vmm_vm_config *config, struct vmm_error *err);
/* Stops if need be, frees devices and memory. NULL is a no-op. */
void vmm_vm_destroy(struct vmm_vm *vm);

struct vmm_loop *vmm_vm_loop(struct vmm_vm *vm);
struct vmm_mem *vmm_vm_mem(struct vmm_vm *vm);
enum vmm_vm_state vmm_vm_state(const struct vmm_vm *vm);

/* ---- CONFIGURING; all return -EBUSY in another state ---- */

/*
 * The kernel: an ELF with a PVH note, or a bzImage (x86_64); an Image, also one compressed by gzip
 * (aarch64). Takes the descriptor, which must be
 * readable with pread, on success; it stays open so that a guest reset loads it afresh. The file is
 * checked here, loaded at start. -ENOEXEC: none of the formats this machine boots (err says which
 * were tried and why not); -EIO, -EINVAL.
 */
int vmm_vm_set_kernel(struct vmm_vm *vm, int fd, struct vmm_error *err);
/* An initial RAM disk, as is. Takes fd on success. */
int vmm_vm_set_initrd(struct vmm_vm *vm, int fd, struct vmm_error *err);
/* The kernel's command line, copied. -E2BIG above what the boot protocol allows (vmm_vm_start may
 * find so, too, where words for virtio-mmio devices come on top). */
int vmm_vm_set_cmdline(struct vmm_vm *vm, const char *cmdline, struct vmm_error *err);

/*
 * Puts a virtio device on the PCI bus, in order of the calls from slot 1 on, or with
 * VMM_TRANSPORT_MMIO at the next place for one. Takes dev on success. id (copied, 1 to 31 bytes)
 * names it in logs and in vmm_vm_find_virtio. -EEXIST (id), -ENOSPC (no free slot or place),
 * -EINVAL, -ENOMEM.
 */
int vmm_vm_add_virtio(struct vmm_vm *vm, const char *id, struct vmm_virtio_device *dev,
		      struct vmm_error *err);

/*
 * A simple platform device (a serial port): registers on the machine's bus and one interrupt line.
 * Where it sits is the machine's choice by type.
 */
enum vmm_platform_type {
	VMM_PLATFORM_NONE,
	VMM_PLATFORM_UART_8250, /* x86_64: COM1, 8 ports at 0x3f8, IRQ 4 */
	VMM_PLATFORM_PL011,     /* aarch64: 4 KiB of registers */
};

/* The kind of serial port that this machine has a place for. Any thread. */
enum vmm_platform_type vmm_uart_type(void);
/* What Linux calls it: "ttyS0", "ttyAMA0". Any thread. */
const char *vmm_uart_tty(void);

struct vmm_platform_device;

struct vmm_platform_ops {
	struct vmm_bus_ops bus; /* ctx is the struct vmm_platform_device; vCPU threads */
	void (*reset)(struct vmm_platform_device *dev); /* guest reset; no vCPU runs; may be NULL */
	void (*destroy)(struct vmm_platform_device *dev); /* may be NULL */
};

struct vmm_platform_device {
	const struct vmm_platform_ops *ops;
	enum vmm_platform_type type;
	struct vmm_irq *irq; /* set by the VM when the device is added; NULL before */
};

/* Takes dev on success. -EOPNOTSUPP: this machine has no place for the type; -EEXIST: taken. */
int vmm_vm_add_platform(struct vmm_vm *vm, struct vmm_platform_device *dev, struct vmm_error *err);

/* ---- running ---- */

/*
 * Loads the kernel, builds the tables, starts the vCPU threads. On failure the VM is STOPPED.
 * -EINVAL (no kernel; it does not fit into memory), -EIO, errno of KVM or pthread_create.
 */
int vmm_vm_start(struct vmm_vm *vm, struct vmm_error *err);

/* Stops / lets go on all vCPUs; devices stay active and the guest's clocks run on. -EBUSY in a
 * state other than RUNNING / PAUSED.
 */
int vmm_vm_pause(struct vmm_vm *vm);
int vmm_vm_resume(struct vmm_vm *vm);

/* Presses the power button; what happens is the guest's decision. -EBUSY unless RUNNING. */
int vmm_vm_power_button(struct vmm_vm *vm);

/* Resets the guest as if it had asked to, whatever reset_stops says. -EBUSY unless RUNNING or
 * PAUSED. */
int vmm_vm_reboot(struct vmm_vm *vm);

/*
 * Pulls the plug. Returns when no vCPU runs any more. 0 also when already stopped.
 *
 * vmm_vm_pause, _reboot and _stop run work posted to the loop while they wait for vCPUs; called by
 * such work they return -EBUSY (vmm_vm_request_stop works there).
 */
int vmm_vm_stop(struct vmm_vm *vm);

/* Dispatches the VM's loop until it has stopped and says why; -EBUSY before it was started. For
 * callers without a loop of their own. */
int vmm_vm_wait(struct vmm_vm *vm, struct vmm_exit *exit);

/* Asks for vmm_vm_stop from any thread or signal handler; the loop carries it out and on_exit is
 * called. */
void vmm_vm_request_stop(struct vmm_vm *vm);

/* ---- looking ---- */

/* The device added under id, or NULL. Borrowed. */
struct vmm_virtio_device *vmm_vm_find_virtio(struct vmm_vm *vm, const char *id);
/* PCI address "0000:00:SS.0" of the device added under id: 0, -ENOENT, or -EOPNOTSUPP in a VM
 * without PCI. buf has at least 13 bytes. */
int vmm_vm_virtio_bdf(struct vmm_vm *vm, const char *id, char *buf, size_t len);

#ifdef __cplusplus
}
#endif

#endif
