/* SPDX-License-Identifier: MIT */
/*
 * Private to the virtgpu host: a virtio-gpu render node, and memory and commands of the context
 * that one descriptor of it is.
 */
#ifndef WLXD_VIRTGPU_H
#define WLXD_VIRTGPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIRTGPU_RING_QUERY   0u
#define VIRTGPU_RING_CHANNEL 1u
#define VIRTGPU_RING_NONE    UINT32_MAX /* no fence */

/* Memory of the guest's or of the host's, mapped. */
struct virtgpu_memory {
	uint8_t *map;
	uint64_t size;
	uint32_t handle;   /* of this descriptor */
	uint32_t resource; /* of the device */
};

/* The node at path, or (NULL) the first that has what cross-domain contexts need; or -errno. */
int virtgpu_open(const char *path);
/* Makes fd a cross-domain context. -errno. */
int virtgpu_init(int fd);
/* A page of the guest's memory. -errno. */
int virtgpu_guest_memory(int fd, struct virtgpu_memory *memory);
/* What the host has ready as blob_id; size is rounded up to pages. -errno. */
int virtgpu_host_memory(int fd, uint64_t blob_id, uint64_t size, struct virtgpu_memory *memory);
void virtgpu_memory_free(int fd, struct virtgpu_memory *memory);
/* Gives a command to the context; its fence is on ring, and (not 0) in handle's memory. -errno. */
int virtgpu_submit(int fd, const void *command, size_t size, uint32_t ring, uint32_t handle);
/* Waits for the fences in handle's memory. -errno; -EBUSY: the host has not answered for seconds.
 */
int virtgpu_wait(int fd, uint32_t handle);
/* Reads events. How many fences of rings that are polled have come, or -errno. */
int virtgpu_events(int fd);

#endif
