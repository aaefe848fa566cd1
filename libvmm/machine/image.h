/* SPDX-License-Identifier: MIT */
/* Bytes of a file that a machine boots, however they come. */
#ifndef VMM_MACHINE_IMAGE_H
#define VMM_MACHINE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/mem.h>

/* read is all or nothing: 0 or a negative errno. */
struct vmm_image {
	int (*read)(void *ctx, uint64_t offset, void *buf, size_t len);
	void *ctx;
	uint64_t size;
};

/*
 * A file, and bytes of it that lie beside some that were asked for: headers are read in small
 * pieces.
 */
struct vmm_image_file {
	int fd;
	uint64_t at;
	size_t len;
	uint8_t bytes[1024];
};

/* An image out of a descriptor (borrowed), for which *file is ctx: -EINVAL when it is no plain file
 * or block device. */
int vmm_image_fd(struct vmm_image *image, struct vmm_image_file *file, int fd,
		 struct vmm_error *err);

/* Guest memory that an initrd may take. */
struct vmm_initrd_room {
	uint64_t bottom; /* the end of the kernel */
	uint64_t top;
	uint64_t align; /* power of two */
	uint64_t ram;   /* bytes of all of it, for the message */
};

/* Puts an initrd as high as it may be. *gpa: where. -EINVAL: empty, or too large; errno of read. */
int vmm_image_load_initrd(const struct vmm_image *image, const struct vmm_initrd_room *room,
			  struct vmm_mem *mem, uint64_t *gpa, struct vmm_error *err);

#endif
