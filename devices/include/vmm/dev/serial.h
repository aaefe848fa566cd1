/* SPDX-License-Identifier: MIT */
/*
 * A serial port that only speaks: its transmitter feeds a character back end and its receiver stays
 * silent. For the kernel's log. A 16550A, or ARM's PL011 (DDI 0183, r1p5).
 */
#ifndef VMM_DEV_SERIAL_H
#define VMM_DEV_SERIAL_H

#include <vmm/dev/chardev.h>
#include <vmm/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmm_serial_config {
	/* VMM_PLATFORM_UART_8250 or VMM_PLATFORM_PL011; VMM_PLATFORM_NONE: the kind that this
	 * machine has a place for (vmm_uart_type). */
	enum vmm_platform_type type;
	struct vmm_loop *loop; /* the VM's (vmm_vm_loop); borrowed until destroy */
	/* Where the bytes go; borrowed until destroy, and in use (vmm_chardev_start) from create
	 * to destroy. NULL: nowhere. */
	struct vmm_chardev *output;
};

/*
 * Makes a device for vmm_vm_add_platform, which takes it; before that the caller frees it with
 * vmm_serial_destroy. Loop thread. A guest that writes faster than the loop runs waits for it; the
 * back end itself never makes anybody wait.
 * Errors: -EINVAL (no such type), -EBUSY (output is used by another device), -ENOMEM, -EMFILE.
 */
int vmm_serial_create(struct vmm_platform_device **out, const struct vmm_serial_config *config,
		      struct vmm_error *err);

/*
 * Hands to the back end what has been written so far, for who is about to end the process: else it
 * waits for a line to be complete, or a moment. Loop thread. NULL is a no-op.
 */
void vmm_serial_flush(struct vmm_platform_device *dev);

/* Hands what is left to the back end and frees. NULL is a no-op. Loop thread, no vCPU runs. */
void vmm_serial_destroy(struct vmm_platform_device *dev);

#ifdef __cplusplus
}
#endif

#endif
