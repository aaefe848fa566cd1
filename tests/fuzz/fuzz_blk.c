/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk under a hostile driver, over a disk in memory whose requests end late, out of order
 * and with errors. Beyond what devfuzz holds it to: what reaches the disk lies within its capacity,
 * is of whole sectors, matches its buffers, is no change to a read-only disk, is submitted only
 * while the disk is attached and never twice at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/dev/blk.h>

#include "devfuzz.h"

#define SECTORS  64u
#define HELD_MAX 64u

#define REQUIRE(condition)                                                                 \
	do {                                                                               \
		if (!(condition)) {                                                        \
			(void)fprintf(stderr, "%s: not true: %s\n", __func__, #condition); \
			abort();                                                           \
		}                                                                          \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ram_disk {
	struct vmm_disk base;
	bool attached;
	bool hold;
	int result;
	struct vmm_disk_request *held[HELD_MAX];
	unsigned held_count;
	uint8_t bytes[SECTORS * VMM_DISK_SECTOR];
};

static int ram_attach(struct vmm_disk *disk, struct vmm_loop *loop)
{
	struct ram_disk *ram = (struct ram_disk *)disk;

	REQUIRE(loop && !ram->attached);
	ram->attached = true;
	return 0;
}

static void check(const struct ram_disk *ram, const struct vmm_disk_request *req)
{
	uint64_t total = 0;

	REQUIRE(req->op >= VMM_DISK_READ && req->op <= VMM_DISK_WRITE_ZEROES);
	if (req->op == VMM_DISK_FLUSH) {
		return;
	}
	REQUIRE(req->op == VMM_DISK_READ || !ram->base.read_only);
	REQUIRE(req->offset % VMM_DISK_SECTOR == 0 && req->len % VMM_DISK_SECTOR == 0);
	REQUIRE(req->offset <= sizeof(ram->bytes) && req->len <= sizeof(ram->bytes) - req->offset);
	if (req->op == VMM_DISK_READ || req->op == VMM_DISK_WRITE) {
		for (unsigned i = 0; i < req->iov_count; i++) {
			total += req->iov[i].iov_len;
		}
		REQUIRE(total == req->len);
	}
}

static void ram_submit(struct vmm_disk *disk, struct vmm_disk_request *req)
{
	struct ram_disk *ram = (struct ram_disk *)disk;

	REQUIRE(ram->attached && ram->held_count < HELD_MAX);
	for (unsigned i = 0; i < ram->held_count; i++) {
		REQUIRE(ram->held[i] != req);
	}
	check(ram, req);
	ram->held[ram->held_count++] = req;
}

static void move(struct ram_disk *ram, struct vmm_disk_request *req)
{
	uint8_t *at = ram->bytes + (req->op == VMM_DISK_FLUSH ? 0 : req->offset);

	for (unsigned i = 0; i < req->iov_count; i++) {
		if (req->op == VMM_DISK_READ) {
			memcpy(req->iov[i].iov_base, at, req->iov[i].iov_len);
		} else if (req->op == VMM_DISK_WRITE) {
			memcpy(at, req->iov[i].iov_base, req->iov[i].iov_len);
		} else {
			break;
		}
		at += req->iov[i].iov_len;
	}
	if (req->op == VMM_DISK_WRITE_ZEROES) {
		memset(at, 0, req->len);
	}
}

static void end(struct ram_disk *ram, unsigned index)
{
	struct vmm_disk_request *req = ram->held[index];

	ram->held[index] = ram->held[--ram->held_count];
	if (ram->result == 0) {
		move(ram, req);
	}
	req->done(req, ram->result);
}

static void ram_commit(struct vmm_disk *disk)
{
	struct ram_disk *ram = (struct ram_disk *)disk;

	while (!ram->hold && ram->held_count > 0) {
		end(ram, 0);
	}
}

static void ram_detach(struct vmm_disk *disk)
{
	struct ram_disk *ram = (struct ram_disk *)disk;

	REQUIRE(ram->attached);
	ram->attached = false;
	ram->held_count = 0;
}

static void ram_destroy(struct vmm_disk *disk)
{
	REQUIRE(!((struct ram_disk *)disk)->attached);
}

static const struct vmm_disk_ops ram_ops = {
	.attach = ram_attach,
	.submit = ram_submit,
	.commit = ram_commit,
	.detach = ram_detach,
	.destroy = ram_destroy,
};

/* The disk's own moves: how requests end from now on, and the end of one that was held. */
static void outside(void *ctx, struct devfuzz_input *in)
{
	static const int results[] = {0, 0, 0, -EIO, -ENOSPC, -EOPNOTSUPP, -EROFS, 0};
	struct ram_disk *ram = ctx;
	uint8_t what = devfuzz_u8(in);

	ram->hold = (what & 0x80u) != 0;
	ram->result = results[what & 7u];
	if (ram->held_count > 0) {
		end(ram, what / 8u % ram->held_count);
		ram->base.batch(ram->base.batch_ctx);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct devfuzz_input in = {data, size};
	struct ram_disk *ram = calloc(1, sizeof(*ram));
	struct vmm_blk_config config = {.queue_size = HELD_MAX, .serial = "fuzz"};
	struct vmm_virtio_device *dev;
	uint8_t how = devfuzz_u8(&in);

	REQUIRE(ram != NULL);
	ram->base.ops = &ram_ops;
	ram->base.capacity = sizeof(ram->bytes);
	ram->base.read_only = (how & 1u) != 0;
	ram->base.discard = (how & 2u) == 0;
	ram->hold = (how & 4u) != 0;
	config.disk = &ram->base;
	REQUIRE(vmm_blk_create(&dev, &config, NULL) == 0);
	devfuzz_run(dev, &in, outside, ram);
	free(ram);
	return 0;
}
