/* SPDX-License-Identifier: MIT */
/*
 * Host back ends of virtio-net: something that takes and gives one Ethernet frame at a time, each
 * behind a 12-byte struct virtio_net_hdr_v1. It lives longer than the device that borrows it, so
 * that an interface stays up while a VM is shut down and booted again.
 */
#ifndef VMM_DEV_TAP_H
#define VMM_DEV_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <vmm/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmm_tap;

/*
 * Attaches to the tap interface called name (1 to 15 bytes) and makes it when there is none; one
 * that was made here goes when the descriptor is closed. Its state (up, bridge) is the caller's
 * business. Errors: -EINVAL (name), -ENOENT (no /dev/net/tun), -EPERM (CAP_NET_ADMIN, or the
 * interface belongs to another user), -EBUSY (attached elsewhere), -ENOMEM.
 */
int vmm_tap_open(struct vmm_tap **out, const char *name, struct vmm_error *err);

/*
 * Uses a descriptor of /dev/net/tun that is attached already, with IFF_TAP, IFF_NO_PI and
 * IFF_VNET_HDR. Takes fd on success. It is put into non-blocking mode. Errors: -EBADF, -ENOTTY (not
 * a tun descriptor), -EINVAL (not attached, or a flag is missing: err says which), -ENOMEM.
 */
int vmm_tap_from_fd(struct vmm_tap **out, int fd, struct vmm_error *err);

/*
 * Uses a connected SOCK_SEQPACKET or SOCK_DGRAM socket instead, one frame with its header in each
 * packet. The peer may be another VM's vmm_tap or any program, and is not trusted. No offloads but
 * those which need no help: checksum and segmentation are passed on as the header says. Takes fd on
 * success. Errors: -EBADF, -ENOTSOCK, -EINVAL (socket type), -ENOMEM.
 */
int vmm_tap_from_socket(struct vmm_tap **out, int fd, struct vmm_error *err);

/* Closes the descriptor and frees. No device may be using it. NULL is a no-op. */
void vmm_tap_destroy(struct vmm_tap *tap);

/* Owned by tap. */
int vmm_tap_fd(const struct vmm_tap *tap);
/* Name of the interface, "" for a socket. Owned by tap. */
const char *vmm_tap_name(const struct vmm_tap *tap);

/* What the receiver of frames can do by itself; the other side may then leave it undone. */
#define VMM_TAP_CSUM 0x01u /* complete a checksum */
#define VMM_TAP_TSO4 0x02u /* take TCP segments larger than a packet */
#define VMM_TAP_TSO6 0x04u
#define VMM_TAP_ECN  0x08u /* such segments with ECN */
#define VMM_TAP_USO  0x10u /* take UDP datagrams larger than a packet (Linux 6.2) */

/* The offloads that this host knows (VMM_TAP_*). */
uint32_t vmm_tap_offloads(const struct vmm_tap *tap);
/*
 * Tells the host what the guest can do. All but CSUM need CSUM as well. 0 or a negative errno. What
 * is in the interface's queue already keeps the form it has.
 */
int vmm_tap_set_offloads(struct vmm_tap *tap, uint32_t offloads);

/* True when the frames come from this host's kernel: what their headers say was checked is checked.
 */
bool vmm_tap_is_trusted(const struct vmm_tap *tap);

/*
 * One frame, header first, in or out. count is at most IOV_MAX (1024). Never waits and never raises
 * SIGPIPE. Returns its length (receive: at most what iov holds, the rest is lost), or a negative
 * errno: -EAGAIN (wait for vmm_tap_fd to be readable or writable), -EBADFD (the interface is
 * deleted, the peer gone: for good), and others that concern this frame only.
 */
ssize_t vmm_tap_receive(struct vmm_tap *tap, const struct iovec *iov, int count);
ssize_t vmm_tap_send(struct vmm_tap *tap, const struct iovec *iov, int count);

#ifdef __cplusplus
}
#endif

#endif
