/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk under a hostile driver, over a disk in memory whose requests end late, out of order
 * and with errors. Beyond what devfuzz holds it to: what reaches the disk lies within its capacity,
 * is of whole sectors, matches its buffers, is no change to a read-only disk, is submitted only
 * while the disk is attached and never twice at once, and is what the header and the segments said
 * when the chain was popped: nothing but OUT, WRITE_ZEROES and DISCARD changes the disk.
 */
#include <errno.h>
#include <string.h>

#include <vmm/dev/blk.h>

#include "devfuzz.h"

#define SECTORS  64u
#define HELD_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the guest asked for, as it stood in its memory when the chain was popped. */
struct wish {
	struct vmm_disk_request *req;
	struct judge_peek chain;
	unsigned segment;
};

struct ram_disk {
	struct vmm_disk base;
	bool attached;
	bool hold;
	int result;
	struct vmm_disk_request *held[HELD_MAX];
	unsigned held_count;
	struct wish wishes[HELD_MAX]; /* of the requests held, in no order */
	unsigned wish_count;
	struct wish ending; /* of the request that is about to end */
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

static uint64_t get(const uint8_t *p, unsigned len)
{
	uint64_t value = 0;

	while (len-- > 0) {
		value = value << 8 | p[len];
	}
	return value;
}

/* VIRTIO 1.2 section 5.2.6. */
static void check_wish(const struct wish *w)
{
	const struct vmm_disk_request *req = w->req;
	const uint8_t *segment = w->chain.bytes + 16 + (size_t)w->segment * 16;

	REQUIRE(w->chain.len >= 16);
	switch (get(w->chain.bytes, 4)) {
	case 0:
		REQUIRE(req->op == VMM_DISK_READ && req->len == w->chain.writable - 1);
		REQUIRE(req->offset == get(w->chain.bytes + 8, 8) * VMM_DISK_SECTOR);
		break;
	case 1:
		REQUIRE(req->op == VMM_DISK_WRITE && req->len == w->chain.readable - 16);
		REQUIRE(req->offset == get(w->chain.bytes + 8, 8) * VMM_DISK_SECTOR);
		break;
	case 4:
		REQUIRE(req->op == VMM_DISK_FLUSH);
		break;
	case 11:
	case 13:
		REQUIRE(req->op ==
			(get(w->chain.bytes, 4) == 11 ? VMM_DISK_DISCARD : VMM_DISK_WRITE_ZEROES));
		REQUIRE(w->chain.len >= 16 + ((size_t)w->segment + 1) * 16);
		REQUIRE(req->offset == get(segment, 8) * VMM_DISK_SECTOR);
		REQUIRE(req->len == get(segment + 8, 4) * VMM_DISK_SECTOR);
		break;
	default:
		judge_die("disk", "a request of a type that the disk knows nothing of");
	}
}

/* A new request, or the next segment of the one that has just ended. */
static void note_wish(struct ram_disk *ram, struct vmm_disk_request *req)
{
	struct wish *w = &ram->wishes[ram->wish_count++];

	if (ram->ending.req == req) {
		*w = ram->ending;
		w->segment++;
		ram->ending.req = NULL;
	} else {
		w->req = req;
		w->chain = *judge_last();
		w->segment = 0;
	}
	check_wish(w);
}

static void take_wish(struct ram_disk *ram, const struct vmm_disk_request *req)
{
	for (unsigned i = 0; i < ram->wish_count; i++) {
		if (ram->wishes[i].req == req) {
			ram->ending = ram->wishes[i];
			ram->wishes[i] = ram->wishes[--ram->wish_count];
			return;
		}
	}
	judge_die("disk", "the end of a request that was never submitted");
}

static void ram_submit(struct vmm_disk *disk, struct vmm_disk_request *req)
{
	struct ram_disk *ram = (struct ram_disk *)disk;

	REQUIRE(ram->attached && ram->held_count < HELD_MAX);
	for (unsigned i = 0; i < ram->held_count; i++) {
		REQUIRE(ram->held[i] != req);
	}
	check(ram, req);
	note_wish(ram, req);
	ram->held[ram->held_count++] = req;
}

static void move(struct ram_disk *ram, struct vmm_disk_request *req)
{
	uint8_t *at = ram->bytes + (req->op == VMM_DISK_FLUSH ? 0 : req->offset);

	for (unsigned i = 0; i < req->iov_count; i++) {
		if (req->op == VMM_DISK_READ) {
			judge_store(req->iov[i].iov_base, req->iov[i].iov_len);
			memcpy(req->iov[i].iov_base, at, req->iov[i].iov_len);
		} else if (req->op == VMM_DISK_WRITE) {
			judge_load(req->iov[i].iov_base, req->iov[i].iov_len);
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
	take_wish(ram, req);
	req->done(req, ram->result);
	ram->ending.req = NULL;
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
	ram->wish_count = 0;
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
static void outside(void *ctx, struct fuzz_input *in)
{
	static const int results[] = {0, 0, 0, -EIO, -ENOSPC, -EOPNOTSUPP, -EROFS, 0};
	struct ram_disk *ram = ctx;
	uint8_t what = fuzz_u8(in);

	ram->hold = (what & 0x80u) != 0;
	ram->result = results[what & 7u];
	if (ram->held_count > 0) {
		end(ram, what / 8u % ram->held_count);
		ram->base.batch(ram->base.batch_ctx);
	}
}

static void settle(void *ctx)
{
	struct ram_disk *ram = ctx;

	ram->hold = false;
	ram->result = 0;
	while (ram->held_count > 0) {
		end(ram, 0);
	}
	if (ram->attached) {
		ram->base.batch(ram->base.batch_ctx);
	}
}

/* One request of a header, a sector and a status byte; returns the status. */
static uint8_t request(struct fakedrv *drv, uint8_t *memory, uint8_t type, bool in)
{
	struct fakedrv_buf bufs[] = {
		FAKEDRV_OUT(memory, 16),
		{.ptr = memory + 512, .len = 512, .write = in},
		FAKEDRV_IN(memory + 16, 1),
	};

	memset(memory, 0, 16);
	memory[0] = type;
	memory[8] = 3;
	memory[16] = 0xff;
	REQUIRE(fakedrv_request(drv, 0, bufs, 3) == (in ? 513 : 1));
	return memory[16];
}

static void serve(void *ctx, struct fakedrv *drv, uint8_t *memory)
{
	struct ram_disk *ram = ctx;

	memset(memory + 512, 'w', 512);
	if (ram->base.read_only) {
		memset(ram->bytes + 3 * 512, 'w', 512);
	}
	REQUIRE(request(drv, memory, 1, false) == (ram->base.read_only ? 1 : 0));
	memset(memory + 512, 0, 512);
	REQUIRE(request(drv, memory, 0, true) == 0);
	REQUIRE(memory[512] == 'w' && memory[1023] == 'w');
}

static struct devfuzz *create(struct ram_disk *ram, bool read_only, bool discard)
{
	struct vmm_blk_config config = {.queue_size = HELD_MAX, .serial = "fuzz"};
	struct devfuzz_device device = {
		.drains = 1, .other = outside, .settle = settle, .serve = serve, .ctx = ram};

	ram->base.ops = &ram_ops;
	ram->base.capacity = sizeof(ram->bytes);
	ram->base.read_only = read_only;
	ram->base.discard = discard;
	config.disk = &ram->base;
	REQUIRE(vmm_blk_create(&device.dev, &config, NULL) == 0);
	return devfuzz_create(&device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ram_disk disks[4];
	static struct devfuzz *devices[4];
	struct fuzz_input in = {data, size};
	uint8_t how = fuzz_u8(&in);
	struct ram_disk *ram = &disks[how & 3u];

	if (!devices[how & 3u]) {
		devices[how & 3u] = create(ram, (how & 1u) != 0, (how & 2u) == 0);
	}
	memset(ram->bytes, 0, sizeof(ram->bytes));
	ram->hold = (how & 4u) != 0;
	ram->result = 0;
	devfuzz_run(devices[how & 3u], &in);
	return 0;
}
