/* SPDX-License-Identifier: MIT */
/*
 * virtio-console (VIRTIO 1.2 section 5.3): one or more character ports over the back ends of
 * <vmm/dev/chardev.h>. Port 0 is the guest's console, hvc0 in Linux.
 *
 * Counters: out_bytes (from the guest), in_bytes (to it), out_dropped (bytes that the back ends
 * lost), each summed over all ports.
 */
#ifndef VMM_DEV_CONSOLE_H
#define VMM_DEV_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/dev/chardev.h>
#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_CONSOLE_PORTS_MAX 16u
#define VMM_CONSOLE_NAME_MAX  63u

struct vmm_console_port {
	/*
	 * Borrowed until the device is destroyed; in use (vmm_chardev_start) while the device is
	 * active. NULL: the port is there, its output vanishes and it never has input.
	 */
	struct vmm_chardev *chardev;
	/* Copied; what /dev/virtio-ports shows in Linux. At most VMM_CONSOLE_NAME_MAX bytes; NULL:
	 * none. Without meaning for a console of one port. */
	const char *name;
	bool console; /* a terminal (hvcN) rather than a plain pipe of bytes; port 0 always is one
		       */
};

struct vmm_console_config {
	const struct vmm_console_port *ports;
	unsigned port_count; /* 1 .. VMM_CONSOLE_PORTS_MAX; above 1 the driver needs MULTIPORT */
};

/*
 * Makes a virtio-console device. The caller owns it until it is handed to a carrier or a VM, and
 * frees it with vmm_virtio_device_destroy otherwise. Errors: -EINVAL (count, name), -ENOMEM.
 */
int vmm_console_create(struct vmm_virtio_device **out, const struct vmm_console_config *config,
		       struct vmm_error *err);

/*
 * Tells the guest the size of the terminal behind a port. Back ends that know their size do so by
 * themselves. 0 x 0 and ports that do not exist are ignored. Loop thread. dev must be one of
 * vmm_console_create's.
 */
void vmm_console_resize(struct vmm_virtio_device *dev, unsigned port, uint16_t columns,
			uint16_t rows);

#ifdef __cplusplus
}
#endif

#endif
