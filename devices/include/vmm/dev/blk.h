/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk: a disk (VIRTIO 1.2 section 5.2).
 *
 * Offered: SEG_MAX, BLK_SIZE (512), and on a writable disk FLUSH, CONFIG_WCE, WRITE_ZEROES and,
 * where the back end can, DISCARD; RO on a read-only one. A driver that does not take FLUSH, or
 * that turns the write cache off, gets a disk whose every write is stable when it completes.
 *
 * Counters: read_bytes, read_ops, write_bytes, write_ops (finished without error).
 */
#ifndef VMM_DEV_BLK_H
#define VMM_DEV_BLK_H

#include <vmm/dev/disk.h>
#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_BLK_SERIAL_MAX 20

struct vmm_blk_config {
	/* What holds the sectors; taken over on success and destroyed with the device. */
	struct vmm_disk *disk;
	/*
	 * What GET_ID answers (/dev/disk/by-id in a Linux guest): at most VMM_BLK_SERIAL_MAX bytes,
	 * copied; NULL for none.
	 */
	const char *serial;
	/* Entries of the queue: a power of two from 4 to VMM_VIRTQ_SIZE_MAX; 0 for the default,
	 * 256. */
	uint16_t queue_size;
	/*
	 * Buffers of data that one request may have; 0: as many as go into the queue, which is also
	 * the maximum. Less is for a device whose queue may turn out smaller than it can be.
	 */
	uint16_t seg_max;
};

/*
 * Makes a virtio-blk device. The caller owns it until it is handed to a carrier or a VM, and frees
 * it with vmm_virtio_device_destroy otherwise. On failure *out is NULL, the disk stays the caller's
 * and err says why. Errors: -EINVAL (no disk, serial too long, queue size,
 * seg_max), -ENOMEM.
 */
int vmm_blk_create(struct vmm_virtio_device **out, const struct vmm_blk_config *config,
		   struct vmm_error *err);

#ifdef __cplusplus
}
#endif

#endif
