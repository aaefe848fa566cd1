/* SPDX-License-Identifier: MIT */
#include "test_disk_fix.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void make_image(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint8_t block[4096];

	ck_assert_int_ge(fd, 0);
	memset(block, 0x11, sizeof(block));
	for (uint64_t at = 0; at < size; at += sizeof(block)) {
		size_t n = size - at < sizeof(block) ? (size_t)(size - at) : sizeof(block);

		ck_assert_int_eq(pwrite(fd, block, n, (off_t)at), (ssize_t)n);
	}
	ck_assert_int_eq(close(fd), 0);
}

void set_up(struct place *p)
{
	strcpy(p->dir, "/tmp/test-disk.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(p->dir));
	(void)snprintf(p->image, sizeof(p->image), "%s/image", p->dir);
	(void)snprintf(p->other, sizeof(p->other), "%s/other", p->dir);
	make_image(p->image, SIZE);
	ck_assert_int_eq(vmm_loop_create(&p->loop), 0);
}

void tear_down(struct place *p)
{
	vmm_loop_destroy(p->loop);
	(void)unlink(p->image);
	(void)unlink(p->other);
	(void)rmdir(p->other);
	ck_assert_int_eq(rmdir(p->dir), 0);
}

struct vmm_disk *must_open(const char *path, enum vmm_disk_engine engine, bool read_only)
{
	struct vmm_disk_config config = {.engine = engine, .read_only = read_only};
	struct vmm_error err = {0};
	struct vmm_disk *disk;

	ck_assert_msg(vmm_disk_open(&disk, path, &config, &err) == 0, "%s", err.message);
	return disk;
}

void on_done(struct vmm_disk_request *req, int result)
{
	struct waiter *w = req->ctx;

	w->done++;
	w->result = result;
	if (w->again > 0) {
		w->again--;
		w->disk->ops->submit(w->disk, req);
	}
}

void wait_for(struct place *p, const struct waiter *w, unsigned done)
{
	for (unsigned i = 0; i < 1000 && w->done < done; i++) {
		ck_assert_int_ge(vmm_loop_dispatch(p->loop, 100), 0);
	}
	ck_assert_uint_eq(w->done, done);
}

int io(struct place *p, struct vmm_disk *disk, enum vmm_disk_op op, unsigned flags, uint64_t offset,
       void *buffer, uint64_t len)
{
	struct iovec iov = {buffer, len};
	struct waiter w = {0};
	struct vmm_disk_request req = {.op = op,
				       .flags = flags,
				       .offset = offset,
				       .len = len,
				       .iov = &iov,
				       .iov_count = buffer ? 1 : 0,
				       .done = on_done,
				       .ctx = &w};

	disk->ops->submit(disk, &req);
	ck_assert_uint_eq(w.done, 0);
	disk->ops->commit(disk);
	wait_for(p, &w, 1);
	return w.result;
}

struct vmm_disk *attached(struct place *p, const char *path, enum vmm_disk_engine engine,
			  bool read_only)
{
	struct vmm_disk *disk = must_open(path, engine, read_only);

	ck_assert_int_eq(disk->ops->attach(disk, p->loop), 0);
	return disk;
}

void let_go(struct vmm_disk *disk)
{
	disk->ops->detach(disk);
	vmm_disk_destroy(disk);
}
