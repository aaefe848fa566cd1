/* SPDX-License-Identifier: MIT */
/*
 * PCI: one segment, one bus, 32 slots of one function each; configuration space through ECAM and
 * through ports 0xcf8/0xcfc; memory BARs that the driver may move; MSI-X.
 *
 * The layer knows no hypervisor. What it needs from one is struct vmm_pci_platform, implemented by
 * kvm/ and by the unit tests. Locking: one mutex per host bridge for configuration space and BAR
 * addresses, held for one register access; a function's own registers (behind its BARs) are locked
 * by the function.
 */
#ifndef VMM_PCI_PCI_H
#define VMM_PCI_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/bus.h>
#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/mem.h>

#include "transport/events.h"

#define VMM_PCI_SLOTS       32u
#define VMM_PCI_BARS        6u
#define VMM_PCI_ECAM_SIZE   (UINT64_C(1) << 20) /* one bus */
#define VMM_PCI_CONFIG_SIZE 4096u

/* A message-signalled interrupt: a write of data to address. */
struct vmm_pci_msi {
	uint64_t address;
	uint32_t data;
	/* Requester ID: bus 15:8, device 7:3, function 2:0. Some interrupt controllers (GICv3 ITS)
	 * look it up. */
	uint32_t requester;
};

/*
 * What a hypervisor does for PCI. All calls may come from any thread. gsi numbers are handed out by
 * msi_alloc and mean nothing here.
 */
struct vmm_pci_platform_ops {
	struct vmm_event_ops events;
	/* A new message-signalled interrupt source. -ENOSPC. */
	int (*msi_alloc)(void *ctx, unsigned *gsi);
	void (*msi_free)(void *ctx, unsigned gsi);
	/*
	 * Where the interrupt goes: the address and data of an MSI-X table entry as the guest wrote
	 * it, and who sends it. -EINVAL for an address that is no interrupt controller's: checked
	 * there.
	 */
	int (*msi_route)(void *ctx, unsigned gsi, const struct vmm_pci_msi *msi);
};

struct vmm_pci_platform {
	const struct vmm_pci_platform_ops *ops;
	void *ctx;
};

/* The windows that BARs live in; both inside what the firmware tables announce. */
struct vmm_pci_window {
	uint64_t base;
	uint64_t size;
};

/*
 * size bytes of a window, a power of two, at an address that is aligned to it, from *next on, which
 * is set behind them. 0: there is no room.
 */
uint64_t vmm_pci_window_take(const struct vmm_pci_window *window, uint64_t *next, uint64_t size);

struct vmm_pci_host_config {
	struct vmm_pci_platform platform;
	struct vmm_bus *mmio; /* ECAM and both windows are added to it */
	struct vmm_bus *pio;  /* 0xcf8..0xcff is added to it; NULL where there are no ports */
	uint64_t ecam_base;   /* VMM_PCI_ECAM_SIZE bytes */
	struct vmm_pci_window mmio32; /* below 4 GiB */
	struct vmm_pci_window mmio64; /* above; may be empty */
	const struct vmm_log *log;
};

struct vmm_pci_host;
struct vmm_pci_function;

/*
 * Makes the host bridge (function 00:00.0) and puts it on the buses, whose handlers borrow it: no
 * access may be dispatched after vmm_pci_host_destroy, nor after this failed. What config points to
 * is borrowed too. Errors: -EINVAL (a range is misaligned, wraps or is on the wrong side of 4 GiB),
 * -EEXIST (a range is taken), -ENOMEM.
 */
int vmm_pci_host_create(struct vmm_pci_host **out, const struct vmm_pci_host_config *config,
			struct vmm_error *err);
/* Destroys every function added, then the bridge. NULL is a no-op. Loop's thread, no vCPU runs. */
void vmm_pci_host_destroy(struct vmm_pci_host *host);

/*
 * Puts everything back as after power-on: BARs at the addresses assigned by the VMM, memory
 * decoding on (there is no firmware to do it), MSI-X off, and calls each function's reset. Loop's
 * thread, no vCPU runs.
 */
void vmm_pci_host_reset(struct vmm_pci_host *host);

/*
 * A BAR's registers: len is 1, 2, 4 or 8, offset is naturally aligned and the whole access lies in
 * the BAR. Other accesses never get here: they read all ones and write nothing.
 */
struct vmm_pci_bar_ops {
	uint64_t (*read)(struct vmm_pci_function *fn, unsigned bar, uint64_t offset, unsigned len);
	void (*write)(struct vmm_pci_function *fn, unsigned bar, uint64_t offset, unsigned len,
		      uint64_t value);
};

struct vmm_pci_function_ops {
	struct vmm_pci_bar_ops bar;
	/*
	 * After a write to / before a read of configuration space, for functions with registers
	 * there that do something (virtio's PCI_CFG window); may be NULL. Called without the host's
	 * lock, because the access behind the window may have to wait for the loop's thread.
	 */
	void (*config_written)(struct vmm_pci_function *fn, unsigned offset, unsigned len);
	void (*config_reading)(struct vmm_pci_function *fn, unsigned offset, unsigned len);
	/*
	 * A BAR now decodes at gpa (mapped) or no longer does: to move ioeventfds. Host's lock
	 * held; must not wait for the loop's thread. May be NULL.
	 */
	void (*bar_mapped)(struct vmm_pci_function *fn, unsigned bar, uint64_t gpa, bool mapped);
	/* The guest was reset; configuration space, BARs and MSI-X follow. Loop's thread. */
	void (*reset)(struct vmm_pci_function *fn);
	/* Frees fn, whose BARs are unmapped already. Loop's thread. */
	void (*destroy)(struct vmm_pci_function *fn);
};

struct vmm_virtio_device;
struct vmm_transport_device;

/*
 * virtio over PCI (VIRTIO 1.2 section 4.1): wraps dev in a function and adds it at the first free
 * slot, decoding at the address assigned to it. Takes dev on success, with all its ties; on failure
 * nothing has changed. Configuration time, loop's thread.
 * Errors: -ENOSPC (no free slot, no room in the windows), -EINVAL or -EBUSY (dev, as for a
 * carrier), -EMFILE, -ENOMEM.
 */
int vmm_virtio_pci_add(struct vmm_pci_host *host, struct vmm_virtio_device *dev,
		       const struct vmm_transport_device *device, unsigned *slot,
		       struct vmm_error *err);

/* The virtio device in a slot, or NULL. Borrowed. */
struct vmm_virtio_device *vmm_virtio_pci_device(struct vmm_pci_host *host, unsigned slot);

#endif
