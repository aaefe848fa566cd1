/* SPDX-License-Identifier: MIT */
#include "machine/image.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

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
