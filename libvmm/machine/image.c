/* SPDX-License-Identifier: MIT */
#include "machine/image.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#define MIB UINT64_C(1048576)

/* Up to len bytes, fewer only at the end of the file; how many, or -errno. */
static ssize_t read_some(int fd, uint64_t offset, uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t got = pread(fd, buf + done, len - done, (off_t)(offset + done));

		if (got < 0 && errno != EINTR) {
			return -errno;
		}
		if (got == 0) {
			break;
		}
		done += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)done;
}

static bool has(const struct vmm_image_file *file, uint64_t offset, size_t len)
{
	return offset >= file->at && offset - file->at <= file->len &&
	       len <= file->len - (offset - file->at);
}

static int read_fd(void *ctx, uint64_t offset, void *buf, size_t len)
{
	struct vmm_image_file *file = ctx;
	ssize_t got;

	if (len <= sizeof(file->bytes) && !has(file, offset, len)) {
		got = read_some(file->fd, offset, file->bytes, sizeof(file->bytes));
		file->at = offset;
		file->len = got > 0 ? (size_t)got : 0;
		if (got < 0) {
			return (int)got;
		}
	}
	if (has(file, offset, len)) {
		memcpy(buf, file->bytes + (offset - file->at), len);
		return 0;
	}
	got = read_some(file->fd, offset, buf, len);
	if (got < 0) {
		return (int)got;
	}
	/* It was longer when it was measured. */
	return (size_t)got == len ? 0 : -EIO;
}

int vmm_image_fd(struct vmm_image *image, struct vmm_image_file *file, int fd,
		 struct vmm_error *err)
{
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st) != 0) {
		return vmm_error_wrap(err, -errno, "cannot be read");
	}
	size = (uint64_t)st.st_size;
	if (S_ISDIR(st.st_mode)) {
		return vmm_error_set(err, -EINVAL, "it is a directory");
	}
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &size) != 0) {
			return vmm_error_wrap(err, -errno, "its size cannot be read");
		}
	} else if (!S_ISREG(st.st_mode)) {
		return vmm_error_set(err, -EINVAL, "it is neither a file nor a block device");
	}
	file->fd = fd;
	file->at = 0;
	file->len = 0;
	*image = (struct vmm_image){.read = read_fd, .ctx = file, .size = size};
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
	vmm_mem_expect(mem, *gpa, image->size);
	ret = vmm_mem_iov(mem, *gpa, image->size, &iov);
	if (ret == 0) {
		ret = image->read(image->ctx, 0, iov.iov_base, iov.iov_len);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "cannot be loaded") : 0;
}
