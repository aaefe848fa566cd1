/* SPDX-License-Identifier: MIT */
/*
 * What a kind of device looks like before one exists: for who puts something in its place that must
 * look the same, such as the front end of a device in another process.
 */
#ifndef VMM_DEV_SHAPE_H
#define VMM_DEV_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmm_virtio_shm;

/* Constant, and alive as long as the library is loaded. */
struct vmm_dev_shape {
	const char *kind;   /* "blk" */
	uint32_t device_id; /* VMM_VIRTIO_ID_* */
	unsigned queue_count;
	const uint16_t *queue_sizes;      /* queue_count entries: the largest size of each */
	size_t config_len;                /* bytes of the configuration space */
	const struct vmm_virtio_shm *shm; /* shm_count entries: shared memory regions */
	unsigned shm_count;
	/* It may have such regions, if asked for; which, only the device itself knows. */
	bool shares_memory;
};

/*
 * The shape of "blk", "console", "gpu", "input", "net" or "rng" as its create function makes it
 * when nothing else is asked for; NULL for other kinds. Two things may be asked for: a blk with
 * another queue_size has one queue of that size, and a console of N > 1 ports has 2 * N + 2 queues
 * of the size of the first. Any thread.
 */
const struct vmm_dev_shape *vmm_dev_shape_find(const char *kind);

#ifdef __cplusplus
}
#endif

#endif
