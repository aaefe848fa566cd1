/* SPDX-License-Identifier: MIT */
/*
 * virtio-input: a keyboard or a pointer with absolute coordinates (VIRTIO 1.2 section 5.8). What
 * happens comes by a socket, from whoever has the window that the guest is seen in.
 */
#ifndef VMM_DEV_INPUT_H
#define VMM_DEV_INPUT_H

#include <stdint.h>

#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One event as the source sends it and the driver gets it (section 5.8.6): type and code are
 * Linux's (<linux/input-event-codes.h>), all three are little endian.
 */
struct vmm_input_event {
	uint16_t type;
	uint16_t code;
	uint32_t value;
};

/*
 * A packet of the source is one or more groups of events, each ending in EV_SYN SYN_REPORT; at most
 * so many events in all, which is what the driver can have buffers for.
 */
#define VMM_INPUT_EVENTS_MAX 64u

/* The keys of a keyboard are KEY_ESC to this one: what X and Linux consoles know. */
#define VMM_INPUT_KEY_MAX 248u

/* The coordinates of a tablet are 0 to this, in both directions. */
#define VMM_INPUT_ABS_MAX 32767u

enum vmm_input_kind {
	/* EV_KEY with codes 1 to VMM_INPUT_KEY_MAX, values 0 and 1. The guest repeats by itself. */
	VMM_INPUT_KEYBOARD,
	/*
	 * EV_ABS ABS_X and ABS_Y; EV_KEY BTN_LEFT to BTN_TASK; EV_REL REL_WHEEL, REL_HWHEEL and
	 * their _HI_RES. A wheel moves from -32768 to 32767 at a time.
	 */
	VMM_INPUT_TABLET,
};

/* Zero-initialise. */
struct vmm_input_config {
	enum vmm_input_kind kind;
	/*
	 * The receiving end of a SOCK_SEQPACKET socket that does not block; borrowed until destroy.
	 * A packet with anything in it that is not described above is dropped. When the other end
	 * is closed, or sends an empty packet, keys that the guest believes to be held are released
	 * and nothing is read any more. Below 0: there is no source; the guest sees a device that
	 * is never touched.
	 */
	int source_fd;
	/* At most 127 bytes; copied. NULL: no serial number. */
	const char *serial;
};

/*
 * Makes a virtio-input device. The caller owns it until it is handed to a carrier or a VM, and
 * frees it with vmm_virtio_device_destroy otherwise. What came before the driver started the device
 * is dropped, as are groups for which the driver has no buffers; a key that was released in such a
 * group is released when there are some again. Errors: -EBADF, -EINVAL (kind, serial; source_fd is
 * not such a socket), -ENOMEM.
 */
int vmm_input_create(struct vmm_virtio_device **out, const struct vmm_input_config *config,
		     struct vmm_error *err);

#ifdef __cplusplus
}
#endif

#endif
