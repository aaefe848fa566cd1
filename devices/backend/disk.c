/* SPDX-License-Identifier: MIT */
/* Opening a file or a block device as a disk: what it is, what it may be used for, its lock. */
#include "backend/disk_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES    50
#define LOCK_PAUSE_NS 10000000

/* What the user knows the disk by: "disk '/x/root.img'" or "disk descriptor 7". */
struct label {
	char text[256];
};

static const char *strange_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
		return "a character device";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "of an unknown kind";
	}
}

static int find_size(int fd, const struct stat *st, uint64_t *size)
{
	off_t end = st->st_size;

	if (S_ISBLK(st->st_mode)) {
		end = lseek(fd, 0, SEEK_END);
		if (end < 0) {
			return -errno;
		}
	}
	*size = (uint64_t)end;
	return 0;
}

static int check_kind(int fd, const struct label *label, uint64_t *capacity, struct vmm_error *err)
{
	struct stat st;
	uint64_t size = 0;
	int ret;

	if (fstat(fd, &st) < 0) {
		ret = -errno;
		return vmm_error_set(err, ret, "%s: %s", label->text, strerror(-ret));
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		ret = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
		return vmm_error_set(err, ret,
				     "%s: it is %s; a disk is a regular file or a block device",
				     label->text, strange_kind(st.st_mode));
	}
	ret = find_size(fd, &st, &size);
	if (ret < 0) {
		return vmm_error_set(err, ret, "%s: its size cannot be found: %s", label->text,
				     strerror(-ret));
	}
	*capacity = size / VMM_DISK_SECTOR * VMM_DISK_SECTOR;
	if (*capacity == 0) {
		return vmm_error_set(err, -EINVAL,
				     "%s: it has %llu bytes, fewer than one sector of %u",
				     label->text, (unsigned long long)size, VMM_DISK_SECTOR);
	}
	return 0;
}

static int check_access(int fd, const struct label *label, bool read_only, struct vmm_error *err)
{
	int flags = fcntl(fd, F_GETFL);
	int ret;

	if (flags < 0) {
		ret = -errno;
		return vmm_error_set(err, ret, "%s: %s", label->text, strerror(-ret));
	}
	if (flags & O_PATH) {
		return vmm_error_set(err, -EINVAL, "%s: it is open as a path only (O_PATH)",
				     label->text);
	}
	if ((flags & O_ACCMODE) == O_WRONLY) {
		return vmm_error_set(err, -EACCES, "%s: it is open for writing only", label->text);
	}
	if (!read_only && (flags & O_ACCMODE) != O_RDWR) {
		return vmm_error_set(err, -EACCES,
				     "%s: it is open for reading only; make the disk read-only or "
				     "open it for writing",
				     label->text);
	}
	/* Linux then appends whatever the offset of pwritev. */
	if (!read_only && (flags & O_APPEND)) {
		return vmm_error_set(err, -EINVAL, "%s: it is open for appending (O_APPEND)",
				     label->text);
	}
	/* It kept open from blocking on a FIFO; on a file it would make io_uring give up early. */
	if ((flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
		ret = -errno;
		return vmm_error_set(err, ret, "%s: %s", label->text, strerror(-ret));
	}
	return 0;
}

/*
 * Linux takes an io_uring apart some time after the process that had it was killed, tens of
 * milliseconds as a rule, and the file and its lock stay in use until then.
 */
static int lock_patiently(int fd)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	for (unsigned tries = 1; fcntl(fd, F_OFD_SETLK, &lock) != 0; tries++) {
		if ((errno != EAGAIN && errno != EACCES) || tries == LOCK_TRIES) {
			return -errno;
		}
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static int lock_writer(int fd, const struct label *label, struct vmm_error *err)
{
	int ret = lock_patiently(fd);

	if (ret == 0) {
		return 0;
	}
	if (ret == -EAGAIN || ret == -EACCES) {
		return vmm_error_set(err, -EBUSY,
				     "%s: another VM or program has it locked for writing; stop "
				     "that one or make the disk read-only",
				     label->text);
	}
	return vmm_error_set(err, ret, "%s: it cannot be locked: %s", label->text, strerror(-ret));
}

/*
 * Punching a hole behind the end changes nothing, and file systems that cannot do it at all say so.
 * Block devices answer EINVAL there and are asked when the time comes.
 */
static bool can_punch(int fd, uint64_t capacity)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(capacity + VMM_DISK_SECTOR), VMM_DISK_SECTOR) == 0 ||
	       errno != EOPNOTSUPP;
}

static int start_engine(struct file_disk *disk, int fd, enum vmm_disk_engine engine,
			const struct label *label, struct vmm_error *err)
{
	int ret;

	if (engine == VMM_DISK_SYNC) {
		return 0;
	}
	ret = vmm_disk_uring_create(disk, fd);
	if (ret == 0) {
		disk->base.ops = &vmm_disk_uring_ops;
	} else if (engine == VMM_DISK_URING) {
		return vmm_error_set(err, ret, "%s: io_uring is not to be had here: %s",
				     label->text, strerror(-ret));
	}
	return 0;
}

void vmm_disk_file_destroy(struct file_disk *disk)
{
	if (disk->zeroes) {
		(void)munmap(disk->zeroes, DISK_STEP_MAX);
	}
	if (disk->fd >= 0) {
		(void)close(disk->fd);
	}
	free(disk);
}

static int fill(struct file_disk *disk, int fd, const struct label *label,
		const struct vmm_disk_config *config, struct vmm_error *err)
{
	int ret = check_kind(fd, label, &disk->base.capacity, err);

	if (ret == 0) {
		ret = check_access(fd, label, config->read_only, err);
	}
	if (ret < 0) {
		return ret;
	}
	disk->base.read_only = config->read_only;
	disk->base.discard = !config->read_only && can_punch(fd, disk->base.capacity);
	disk->no_punch_hole = !disk->base.discard;
	disk->zeroes = mmap(NULL, DISK_STEP_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (disk->zeroes == MAP_FAILED) {
		disk->zeroes = NULL;
		return vmm_error_set(err, -ENOMEM, "%s: out of memory", label->text);
	}
	ret = start_engine(disk, fd, config->engine, label, err);
	/* Last, so that a descriptor that stays the caller's is not left locked. */
	if (ret == 0 && !config->read_only) {
		ret = lock_writer(fd, label, err);
	}
	return ret;
}

static int make(struct vmm_disk **out, int fd, const struct label *label,
		const struct vmm_disk_config *config, struct vmm_error *err)
{
	struct file_disk *disk = calloc(1, sizeof(*disk));
	int ret;

	if (!disk) {
		return vmm_error_set(err, -ENOMEM, "%s: out of memory", label->text);
	}
	disk->base.ops = &vmm_disk_sync_ops;
	disk->fd = -1;
	ret = fill(disk, fd, label, config, err);
	if (ret < 0) {
		vmm_disk_destroy(&disk->base);
		return ret;
	}
	disk->fd = fd;
	*out = &disk->base;
	return 0;
}

static int open_failed(int ret, const struct label *label, bool read_only, struct vmm_error *err)
{
	switch (-ret) {
	case EISDIR:
		return vmm_error_set(err, ret, "%s: it is a directory", label->text);
	case ENXIO:
		return vmm_error_set(err, ret, "%s: it is a socket, or a device that is not there",
				     label->text);
	case EACCES:
	case EROFS:
	case EPERM:
		return vmm_error_set(err, ret, "%s: it cannot be opened for %s: %s", label->text,
				     read_only ? "reading" : "reading and writing", strerror(-ret));
	default:
		return vmm_error_set(err, ret, "%s: %s", label->text, strerror(-ret));
	}
}

int vmm_disk_open(struct vmm_disk **out, const char *path, const struct vmm_disk_config *config,
		  struct vmm_error *err)
{
	struct label label;
	int ret;
	int fd;

	*out = NULL;
	(void)snprintf(label.text, sizeof(label.text), "disk '%s'", path);
	/* O_NONBLOCK: a FIFO or a tape in place of the image must not hang us before fstat. */
	fd = open(path,
		  (config->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		return open_failed(-errno, &label, config->read_only, err);
	}
	ret = make(out, fd, &label, config, err);
	if (ret < 0) {
		(void)close(fd);
	}
	return ret;
}

int vmm_disk_open_fd(struct vmm_disk **out, int fd, const struct vmm_disk_config *config,
		     struct vmm_error *err)
{
	struct label label;

	*out = NULL;
	(void)snprintf(label.text, sizeof(label.text), "disk descriptor %d", fd);
	return make(out, fd, &label, config, err);
}

int vmm_disk_get_fd(const struct vmm_disk *disk)
{
	return ((const struct file_disk *)disk)->fd;
}

enum vmm_disk_engine vmm_disk_get_engine(const struct vmm_disk *disk)
{
	return disk->ops == &vmm_disk_uring_ops ? VMM_DISK_URING : VMM_DISK_SYNC;
}

bool vmm_disk_is_restricted(const struct vmm_disk *disk)
{
	return vmm_disk_get_engine(disk) == VMM_DISK_URING &&
	       vmm_disk_uring_is_restricted((const struct file_disk *)disk);
}

int vmm_disk_ring_fd(const struct vmm_disk *disk)
{
	return vmm_disk_get_engine(disk) == VMM_DISK_URING
		       ? vmm_disk_uring_fd((const struct file_disk *)disk)
		       : -1;
}

void vmm_disk_destroy(struct vmm_disk *disk)
{
	if (disk) {
		disk->ops->destroy(disk);
	}
}
