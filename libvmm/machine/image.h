/* SPDX-License-Identifier: MIT */
/* Bytes of a file that a machine boots, however they come. */
#ifndef VMM_MACHINE_IMAGE_H
#define VMM_MACHINE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>

/* read is all or nothing: 0 or a negative errno. */
struct vmm_image {
	int (*read)(void *ctx, uint64_t offset, void *buf, size_t len);
	void *ctx;
	uint64_t size;
};

/* An image out of a descriptor, which ctx must hold: -EINVAL when it is no plain file or block
 * device. */
int vmm_image_fd(struct vmm_image *image, int *fd, struct vmm_error *err);

#endif
