/* SPDX-License-Identifier: MIT */
#include "machine/image.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#define MIB UINT64_C(1048576)

static int read_fd(void *ctx, uint64_t offset, void *buf, size_t len)
{
	const int *fd = ctx;
	uint8_t *at = buf;

	while (len > 0) {
		ssize_t got = pread(*fd, at, len, (off_t)offset);

		if (got < 0) {
			if (errno == EINTR) {
				continue;
			}
			return -errno;
		}
		if (got == 0) {
			return -EIO; /* it was longer when it was measured */
		}
		at += got;
		len -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

int vmm_image_fd(struct vmm_image *image, int *fd, struct vmm_error *err)
{
	struct stat st;
	uint64_t size;

	if (fstat(*fd, &st) != 0) {
		return vmm_error_wrap(err, -errno, "cannot be read");
	}
	size = (uint64_t)st.st_size;
	if (S_ISDIR(st.st_mode)) {
		return vmm_error_set(err, -EINVAL, "it is a directory");
	}
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(*fd, BLKGETSIZE64, &size) != 0) {
			return vmm_error_wrap(err, -errno, "its size cannot be read");
		}
	} else if (!S_ISREG(st.st_mode)) {
		return vmm_error_set(err, -EINVAL, "it is neither a file nor a block device");
	}
	*image = (struct vmm_image){.read = read_fd, .ctx = fd, .size = size};
	return 0;
}

int vmm_image_load_initrd(const struct vmm_image *image, const struct vmm_initrd_room *room,
			  struct vmm_mem *mem, uint64_t *gpa, struct vmm_error *err)
{
	struct iovec iov;
	int ret;

	if (image->size == 0) {
		return vmm_error_set(err, -EINVAL, "it is empty");
	}
	if (image->size > room->top ||
	    ((room->top - image->size) & ~(room->align - 1)) < room->bottom) {
		return vmm_error_set(err, -EINVAL,
				     "it has %llu MiB, for which there is no room behind the "
				     "kernel in %llu MiB of memory",
				     (unsigned long long)((image->size + MIB - 1) / MIB),
				     (unsigned long long)(room->ram / MIB));
	}
	*gpa = (room->top - image->size) & ~(room->align - 1);
	ret = vmm_mem_iov(mem, *gpa, image->size, &iov);
	if (ret == 0) {
		ret = image->read(image->ctx, 0, iov.iov_base, iov.iov_len);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "cannot be loaded") : 0;
}
