/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <vmm/dev/blk.h>
#include <vmm/virtq.h>

/*
 * What goes into the queue of 128 that VMMs give a vhost-user disk unless told otherwise. The back
 * end learns of it only when the driver, which goes by this number, has read it.
 */
#define FOREIGN_SEG_MAX 126

static const char help[] =
	"blk: a disk\n"
	"  --path FILE          a raw image or a block device\n"
	"  --disk-fd N          the same, open already\n"
	"  --readonly           the guest may not write; N is then open for reading only\n"
	"  --serial TEXT        what the guest finds it by, at most 20 bytes\n"
	"  --queue-size N       entries of the queue (256)\n"
	"  --engine sync|io_uring\n"
	"                       how it is read and written (sync: what a killed process\n"
	"                       had begun is over when it is)\n";

static const struct option_spec options[] = {
	{"path", OPTION_VALUE, true},        {"disk-fd", OPTION_FD, false},
	{"readonly", OPTION_FLAG, false},    {"serial", OPTION_VALUE, false},
	{"queue-size", OPTION_VALUE, false}, {"engine", OPTION_VALUE, false},
	{NULL, OPTION_FLAG, false},
};

static bool wants_uring(const struct program *p)
{
	const char *engine = program_value(p, "engine");

	return engine && strcmp(engine, "io_uring") == 0;
}

static int blk_check(const struct program *p, struct vmm_error *err)
{
	const char *engine = program_value(p, "engine");
	const char *serial = program_value(p, "serial");
	uint64_t size;
	int ret;

	if (!program_value(p, "path") == (program_fd(p, "disk-fd") < 0)) {
		return vmm_error_set(err, -EINVAL, "one of --path and --disk-fd is needed");
	}
	if (engine && !wants_uring(p) && strcmp(engine, "sync") != 0) {
		return vmm_error_set(err, -EINVAL, "--engine '%.40s': must be sync or io_uring",
				     engine);
	}
	if (wants_uring(p) && (program_value(p, "socket") || program_fd(p, "listen-fd") >= 0)) {
		return vmm_error_set(err, -EINVAL, "--engine io_uring goes with --fd only");
	}
	if (serial && strlen(serial) > VMM_BLK_SERIAL_MAX) {
		return vmm_error_set(err, -EINVAL, "--serial: at most %d bytes",
				     VMM_BLK_SERIAL_MAX);
	}
	ret = program_number(p, "queue-size", 4, VMM_VIRTQ_SIZE_MAX, 0, &size, err);
	if (ret == 0 && (size & (size - 1)) != 0) {
		ret = vmm_error_set(err, -EINVAL, "--queue-size: must be a power of two");
	}
	return ret;
}

static int blk_open(struct program *p, struct vmm_error *err)
{
	const char *path = program_value(p, "path");
	int mode = program_flag(p, "readonly") ? O_RDONLY : O_RDWR;
	int fd;

	if (!path) {
		return 0;
	}
	/* A FIFO must not keep it waiting. */
	fd = open(path, mode | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		return vmm_error_set(err, -errno, "'%.200s': %s", path, strerror(errno));
	}
	return program_add_fd(p, "disk-fd", fd, err);
}

/* In the jail there is no memory that can be locked, which a ring is charged for. */
static int blk_prepare(struct program *p, struct vmm_error *err)
{
	struct vmm_disk_config config = {
		.read_only = program_flag(p, "readonly"),
		.engine = wants_uring(p) ? VMM_DISK_URING : VMM_DISK_SYNC,
	};
	struct vmm_disk *disk;
	int fd = program_fd(p, "disk-fd");
	int ret;

	/* What is read-only is so because the kernel says so. */
	if (config.read_only && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY) {
		return vmm_error_set(err, -EACCES, "--readonly: descriptor %d can write", fd);
	}
	ret = vmm_disk_open_fd(&disk, fd, &config, err);
	if (ret < 0) {
		return ret;
	}
	p->host = disk;
	p->extra_fd = vmm_disk_ring_fd(disk);
	if (wants_uring(p) && p->isolated && !vmm_disk_is_restricted(disk)) {
		return vmm_error_set(err, -EOPNOTSUPP,
				     "--engine io_uring: the kernel cannot restrict it");
	}
	return 0;
}

static int blk_create(struct program *p, struct vmm_virtio_device **out, struct vmm_error *err)
{
	struct vmm_blk_config config = {.disk = p->host, .serial = program_value(p, "serial")};
	uint64_t size;
	int ret;

	(void)program_number(p, "queue-size", 4, VMM_VIRTQ_SIZE_MAX, 0, &size, err);
	config.queue_size = (uint16_t)size;
	if (size == 0 && program_fd(p, "listen-fd") >= 0) {
		config.seg_max = FOREIGN_SEG_MAX;
	}
	ret = vmm_blk_create(out, &config, err);
	if (ret == 0) {
		p->host = NULL;
	}
	return ret;
}

static void blk_finish(struct program *p)
{
	vmm_disk_destroy(p->host);
}

static const char *blk_profile(const struct program *p)
{
	return wants_uring(p) ? "blk-uring" : "blk";
}

static uint64_t blk_file_limit(const struct program *p)
{
	off_t end = program_flag(p, "readonly") ? 0 : lseek(program_fd(p, "disk-fd"), 0, SEEK_END);

	return end < 0 ? 0 : (uint64_t)end;
}

const struct kind blk_kind = {
	.name = "blk",
	.help = help,
	.options = options,
	.check = blk_check,
	.open = blk_open,
	.prepare = blk_prepare,
	.create = blk_create,
	.finish = blk_finish,
	.profile = blk_profile,
	.file_limit = blk_file_limit,
};
