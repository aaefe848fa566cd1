/* SPDX-License-Identifier: MIT */
#include "vm/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *vm_file_name(const struct vm_file *file)
{
	return file->path ? file->path : "(descriptor)";
}

int vm_file_open(const struct vm_file *file, const char *what, struct vmm_error *err)
{
	const char *path = vm_file_name(file);
	struct stat st;
	int ret;
	int fd;

	/* O_NONBLOCK: opening a FIFO must not hang. */
	fd = file->fd >= 0 ? fcntl(file->fd, F_DUPFD_CLOEXEC, 3)
			   : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		ret = -errno;
		if (fd >= 0) {
			close(fd);
		}
		return vmm_error_set(err, ret, "%s '%.250s': %s", what, path, strerror(-ret));
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return vmm_error_set(err, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL,
				     "%s '%.250s': it is %s, not a file", what, path,
				     S_ISDIR(st.st_mode) ? "a directory" : "a special file");
	}
	return fd;
}

int vm_disk_open(struct vmm_disk **out, const struct vm_disk *disk, enum vmm_disk_engine engine,
		 struct vmm_error *err)
{
	const struct vmm_disk_config config = {.read_only = disk->readonly, .engine = engine};
	int ret;
	int fd;

	if (disk->file.fd < 0) {
		return vmm_disk_open(out, disk->file.path, &config, err);
	}
	fd = fcntl(disk->file.fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		return vmm_error_set(err, -errno, "%s", strerror(errno));
	}
	ret = vmm_disk_open_fd(out, fd, &config, err);
	if (ret < 0) {
		close(fd);
	}
	return ret;
}
