/* SPDX-License-Identifier: MIT */
/*
 * virtio-gpu with contexts under a hostile driver that also knows what it is doing, and a
 * compositor that may be slow, absent or hostile: contexts, blobs, the shared memory region and
 * channels go through the control queue. Beyond what devfuzz holds the device to: each request
 * comes back with the fence that it had, what the host keeps is bounded and gone after a reset, and
 * guest memory is written only where the driver put rings.
 *
 * The first byte says whether the filter is there; without it, bytes need not be Wayland to pass.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/dev/gpu.h>

#include "devfuzz.h"
#include "gpu/context_priv.h"
#include "gpu/xdomain.h"

#define BLOBS_BYTES (1u << 20)
#define MEMORY_MAX  (256u << 10)
#define PEERS       8u
#define PAGES       8u
#define PAGE        4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;
	uint8_t *pages; /* of rings */
	int peers[PEERS];
	struct {
		void (*done)(void *done_ctx, int fd);
		void *ctx;
	} asking[CONTEXTS_MAX];
	uint64_t fences;
	uint64_t left; /* what there is that should be gone after a reset */
};

static struct world world;

static struct gpu *the_gpu(void)
{
	return (struct gpu *)world.dev;
}

/* ---- guest memory that no chain gives ---- */

int __real_vmm_gpu_backing_read(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
				void *dst, size_t len);
int __wrap_vmm_gpu_backing_read(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
				void *dst, size_t len);
int __real_vmm_gpu_backing_write(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
				 const void *src, size_t len);
int __wrap_vmm_gpu_backing_write(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
				 const void *src, size_t len);

int __wrap_vmm_gpu_backing_read(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
				void *dst, size_t len)
{
	int ret;

	judge_allow_reads(true);
	ret = __real_vmm_gpu_backing_read(gpu, b, offset, dst, len);
	judge_allow_reads(false);
	return ret;
}

/* A driver may put its rings where its queues are; what comes of that is its own affair. */
int __wrap_vmm_gpu_backing_write(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
				 const void *src, size_t len)
{
	uint64_t low = fakedrv_gpa(world.drv, world.pages);
	int ret;

	for (uint32_t i = 0; i < b->count; i++) {
		uint64_t size = b->entries[i].end - (i > 0 ? b->entries[i - 1].end : 0);

		if (b->entries[i].addr < low ||
		    b->entries[i].addr + size > low + (uint64_t)PAGES * PAGE) {
			return -EFAULT;
		}
	}
	judge_allow_writes(true);
	ret = __real_vmm_gpu_backing_write(gpu, b, offset, src, len);
	judge_allow_writes(false);
	REQUIRE(ret < 0 || (offset <= b->len && len <= b->len - offset));
	return ret;
}

/* ---- connections ---- */

static int connect_later(void *ctx, struct vmm_loop *loop, void (*done)(void *done_ctx, int fd),
			 void *done_ctx)
{
	(void)ctx;
	(void)loop;
	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		if (!world.asking[i].done) {
			world.asking[i].done = done;
			world.asking[i].ctx = done_ctx;
			return 0;
		}
	}
	return -EBUSY;
}

static void cancel(void *ctx, void *done_ctx)
{
	bool found = false;

	(void)ctx;
	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		if (world.asking[i].done && world.asking[i].ctx == done_ctx) {
			REQUIRE(!found);
			found = true;
			world.asking[i].done = NULL;
		}
	}
	REQUIRE(found);
}

static int new_peer(unsigned n)
{
	int pair[2];

	if (world.peers[n] >= 0) {
		(void)close(world.peers[n]);
	}
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	world.peers[n] = pair[0];
	return pair[1];
}

/* The oldest who asks gets a connection, or learns that there is none. */
static void let_in(unsigned n, bool refuse)
{
	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		void (*done)(void *, int) = world.asking[i].done;

		if (done) {
			world.asking[i].done = NULL;
			done(world.asking[i].ctx, refuse ? -ECONNREFUSED : new_peer(n));
			return;
		}
	}
}

static void say(int peer, struct fuzz_input *in)
{
	uint8_t bytes[64];
	struct iovec iov = {bytes, 1 + fuzz_u8(in) % sizeof(bytes)};
	uint8_t what = fuzz_u8(in);
	int pair[2] = {-1, -1};

	fuzz_bytes(in, bytes, iov.iov_len);
	if (what % 4 == 1) {
		pair[1] = memfd_create("fuzz", MFD_CLOEXEC);
		(void)ftruncate(pair[1], what);
	} else if (what % 4 == 2) {
		REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
	} else if (what % 4 == 3) {
		pair[1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	}
	(void)vmm_gpu_send_fds(peer, &iov, &pair[1], pair[1] >= 0);
	vmm_gpu_close_fds(pair, pair[0] >= 0 ? 2 : 0);
	if (pair[0] < 0 && pair[1] >= 0) {
		(void)close(pair[1]);
	}
}

static void hear(int peer)
{
	uint8_t bytes[4096];
	struct iovec iov = {bytes, sizeof(bytes)};
	int fds[XD_IDS_MAX];
	unsigned count;

	(void)vmm_gpu_recv_fds(peer, &iov, fds, &count);
	vmm_gpu_close_fds(fds, count);
}

static void outside(void *ctx, struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	unsigned n = what % PEERS;

	(void)ctx;
	switch (what / PEERS % 8) {
	case 0:
	case 1:
	case 2:
		let_in(n, what >= 0xc0);
		break;
	case 3:
		hear(world.peers[n]);
		break;
	case 4:
		if (world.peers[n] >= 0) {
			(void)close(world.peers[n]);
			world.peers[n] = -1;
		}
		break;
	default:
		say(world.peers[n], in);
		break;
	}
}

/* ---- requests ---- */

/* Behind the header. */
static uint8_t *put(uint8_t *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

#define PUT(to, ...) put((to), &__VA_ARGS__, sizeof(__VA_ARGS__))

static uint32_t small_id(struct fuzz_input *in)
{
	return 1u + fuzz_u8(in) % 8u;
}

static uint8_t *put_guest_blob(uint8_t *at, struct fuzz_input *in)
{
	uint32_t count = 1u + fuzz_u8(in) % 3u;
	uint64_t low = fakedrv_gpa(world.drv, world.pages);

	at = PUT(at, (struct gpu_create_blob){.resource_id = small_id(in),
					      .mem = BLOB_MEM_GUEST,
					      .flags = fuzz_u8(in) % 8u,
					      .count = count,
					      .size = PAGE});
	while (count-- > 0) {
		at = PUT(at, (struct gpu_mem_entry){.addr = low + fuzz_u16(in) % (PAGES * PAGE),
						    .length = fuzz_u16(in) % (PAGE + 1)});
	}
	return at;
}

static uint8_t *put_send(uint8_t *at, struct fuzz_input *in)
{
	uint8_t bytes[64];
	struct xd_send send = {.ids = fuzz_u8(in) % 3u, .len = fuzz_u8(in) % sizeof(bytes)};

	for (unsigned i = 0; i < send.ids; i++) {
		bool pipe = (fuzz_u8(in) & 1u) != 0;

		send.type[i] = pipe ? XD_ID_READ_PIPE : XD_ID_BLOB;
		send.id[i] = pipe ? XD_READ_PIPE_START + small_id(in) : small_id(in);
	}
	send.h = (struct xd_header){.cmd = XD_SEND, .size = (uint16_t)(sizeof(send) + send.len)};
	fuzz_bytes(in, bytes, send.len);
	return put(PUT(at, send), bytes, send.len);
}

static uint8_t *put_write(uint8_t *at, struct fuzz_input *in)
{
	uint8_t bytes[32];
	struct xd_write write = {.id = XD_FIRST_ITEM + small_id(in),
				 .hang_up = fuzz_u8(in) & 1u,
				 .len = fuzz_u8(in) % sizeof(bytes)};

	write.h =
		(struct xd_header){.cmd = XD_WRITE, .size = (uint16_t)(sizeof(write) + write.len)};
	fuzz_bytes(in, bytes, write.len);
	return put(PUT(at, write), bytes, write.len);
}

static uint8_t *put_command(uint8_t *at, struct fuzz_input *in, uint8_t kind)
{
	uint32_t id = small_id(in);

	switch (kind) {
	case 0:
		return PUT(at,
			   (struct xd_init){.h = {.cmd = XD_INIT, .size = sizeof(struct xd_init)},
					    .query_ring = id,
					    .channel_ring = small_id(in),
					    .channel_type = fuzz_u8(in) % 8 != 0});
	case 1:
		return PUT(at, (struct xd_get_image){.h = {.cmd = XD_GET_IMAGE,
							   .size = sizeof(struct xd_get_image)},
						     .width = fuzz_u16(in),
						     .height = id,
						     .fourcc = 0x20203852});
	case 2:
		return put_send(at, in);
	case 3:
		return put_write(at, in);
	default:
		return PUT(at,
			   (struct xd_header){.cmd = XD_POLL, .size = sizeof(struct xd_header)});
	}
}

static uint8_t *put_submit(uint8_t *at, struct fuzz_input *in, uint8_t kind)
{
	uint8_t *end = put_command(at + sizeof(struct gpu_submit), in, kind);
	uint32_t size = (uint32_t)((size_t)(end - at) - sizeof(struct gpu_submit));

	(void)PUT(at, (struct gpu_submit){.size = size});
	return end;
}

static uint8_t *put_body(uint8_t *at, struct fuzz_input *in, uint32_t type, uint8_t kind)
{
	switch (type) {
	case CMD_CTX_CREATE:
		return PUT(at, (struct gpu_ctx_create){.context_init =
							       kind < 0xf0 ? XD_CAPSET_ID : kind});
	case CMD_CTX_DESTROY:
		return at;
	case CMD_RESOURCE_CREATE_BLOB:
		if (kind % 2 != 0) {
			return put_guest_blob(at, in);
		}
		return PUT(at, (struct gpu_create_blob){.resource_id = small_id(in),
							.mem = BLOB_MEM_HOST3D,
							.flags = BLOB_FLAG_MAPPABLE,
							.blob_id = XD_FIRST_ITEM + fuzz_u8(in) % 8u,
							.size = fuzz_u16(in)});
	case CMD_MAP_BLOB:
		return PUT(at, (struct gpu_map_blob){.resource_id = small_id(in),
						     .offset = fuzz_u8(in) % 16u * (uint64_t)PAGE});
	case CMD_SUBMIT_3D:
		return put_submit(at, in, kind % 8);
	default:
		return PUT(at, (struct gpu_resource_id){.resource_id = small_id(in)});
	}
}

static size_t request(void *ctx, struct fuzz_input *in, uint8_t *bytes)
{
	static const uint32_t types[16] = {
		CMD_CTX_CREATE,
		CMD_CTX_DESTROY,
		CMD_RESOURCE_CREATE_BLOB,
		CMD_RESOURCE_CREATE_BLOB,
		CMD_CTX_ATTACH_RESOURCE,
		CMD_CTX_ATTACH_RESOURCE,
		CMD_CTX_DETACH_RESOURCE,
		CMD_MAP_BLOB,
		CMD_UNMAP_BLOB,
		CMD_RESOURCE_UNREF,
		CMD_RESOURCE_ASSIGN_UUID,
		CMD_SUBMIT_3D,
		CMD_SUBMIT_3D,
		CMD_SUBMIT_3D,
		CMD_SUBMIT_3D,
		CMD_SUBMIT_3D,
	};
	uint8_t which = fuzz_u8(in);
	struct gpu_header h = {
		.type = types[which % 16],
		.flags = FLAG_FENCE | (which & 0x10u ? 0 : FLAG_INFO_RING_IDX),
		.fence_id = ++world.fences,
		.ctx_id = 1u + (which >> 5) % 3u,
		.ring_idx = XD_RING_CHANNEL,
	};

	(void)ctx;
	return (size_t)(put_body(PUT(bytes, h), in, h.type, fuzz_u8(in)) - bytes);
}

static void answer(void *ctx, const uint8_t *asked, const uint8_t *answered, uint32_t len)
{
	struct gpu_header q;
	struct gpu_header a;

	(void)ctx;
	REQUIRE(len >= sizeof(a));
	memcpy(&q, asked, sizeof(q));
	memcpy(&a, answered, sizeof(a));
	REQUIRE(a.type >= RESP_OK_NODATA && a.flags == q.flags && a.fence_id == q.fence_id &&
		a.ctx_id == q.ctx_id);
}

/* ---- the end ---- */

static void look(void *ctx, const char *name, uint64_t value)
{
	(void)ctx;
	REQUIRE(strcmp(name, "blob_bytes") != 0 || value <= BLOBS_BYTES);
	REQUIRE(strcmp(name, "memory_bytes") != 0 || value <= MEMORY_MAX);
	REQUIRE(strcmp(name, "contexts") != 0 || value <= CONTEXTS_MAX);
	if (strcmp(name, "blob_bytes") == 0 || strcmp(name, "memory_bytes") == 0 ||
	    strcmp(name, "contexts") == 0 || strcmp(name, "resources") == 0) {
		world.left += value;
	}
}

static void close_peers(void)
{
	for (unsigned i = 0; i < PEERS; i++) {
		if (world.peers[i] >= 0) {
			(void)close(world.peers[i]);
		}
		world.peers[i] = -1;
	}
}

/* The guest's programs end, and with them what they wait for. */
static void settle(void *ctx)
{
	const struct gpu_command *destroy = vmm_gpu_contexts_command(CMD_CTX_DESTROY);
	struct gpu *gpu = the_gpu();

	(void)ctx;
	world.dev->ops->counters(world.dev, look, NULL);
	close_peers();
	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		struct gpu_request req = {.gpu = gpu, .header.ctx_id = gpu->contexts->list[i].id};

		if (req.header.ctx_id != 0) {
			REQUIRE(destroy->handle(gpu, &req) == RESP_OK_NODATA);
		}
	}
}

static void serve(void *ctx, struct fakedrv *drv, uint8_t *memory)
{
	struct {
		struct gpu_header h;
		struct gpu_ctx_create cmd;
	} create = {.h = {.type = CMD_CTX_CREATE, .flags = FLAG_FENCE, .fence_id = 7, .ctx_id = 1},
		    .cmd = {.context_init = XD_CAPSET_ID}};
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(memory, sizeof(create)),
				     FAKEDRV_IN(memory + 1024, 1024)};
	struct gpu_header a;

	(void)ctx;
	world.left = 0;
	world.dev->ops->counters(world.dev, look, NULL);
	REQUIRE(world.left == 0 && fakedrv_shm_count(drv) == 0);
	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		REQUIRE(!world.asking[i].done);
	}
	memcpy(memory, &create, sizeof(create));
	REQUIRE(fakedrv_request(drv, QUEUE_CONTROL, bufs, 2) >= sizeof(a));
	memcpy(&a, memory + 1024, sizeof(a));
	REQUIRE(a.type == RESP_OK_NODATA && a.fence_id == 7 && a.flags == FLAG_FENCE);
}

static void prepare(void *ctx, struct fakedrv *drv)
{
	(void)ctx;
	world.drv = drv;
	world.pages = fakedrv_alloc(drv, (size_t)PAGES * PAGE);
}

static struct devfuzz *create(void)
{
	static const struct vmm_gpu_connector connector = {.connect = connect_later,
							   .cancel = cancel};
	const struct vmm_gpu_config config = {
		.contexts = true,
		.connector = &connector,
		.memory_max = MEMORY_MAX,
		.blobs_max = BLOBS_BYTES,
	};
	struct devfuzz_device device = {
		.drains = 3,
		.other = outside,
		.settle = settle,
		.serve = serve,
		.prepare = prepare,
		.request = request,
		.answer = answer,
	};

	memset(world.peers, 0xff, sizeof(world.peers));
	REQUIRE(vmm_gpu_create(&world.dev, &config, NULL) == 0);
	device.dev = world.dev;
	return devfuzz_create(&device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct devfuzz *device;
	struct fuzz_input in = {data, size};
	struct gpu_contexts *contexts;

	if (!device) {
		/* As every program with the device does. */
		(void)signal(SIGPIPE, SIG_IGN);
		device = create();
		judge_rules(JUDGE_ALL & ~JUDGE_LOOP);
	}
	contexts = the_gpu()->contexts;
	contexts->filter = fuzz_u8(&in) % 2 == 0 ? NULL : &contexts->policy;
	devfuzz_run(device, &in);
	return 0;
}
