/* SPDX-License-Identifier: MIT */
/*
 * The channel of a cross-domain context between a guest and a compositor that are both hostile.
 * What it owes, whatever they do:
 *   - each POLL comes back once, and in the order they were parked; none is left after destroy,
 *   - no descriptor and no part of the budget is left, and memory it gives away is accounted for,
 *   - the loop comes to rest,
 *   - without a filter, bytes arrive as they were said, in order, none twice and none made up.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdcount.h"
#include "gpu/channel.h"
#include "gpu/xdomain.h"
#include "input.h"
#include "judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 200u
#define HELD_MAX  8u
#define BLOB      3u

/* One direction of the connection, when what is said is a pattern. */
struct said {
	uint64_t said;
	uint64_t heard;
	bool unknown; /* it is not the pattern any more */
};

struct world {
	struct vmm_loop *loop;
	struct gpu_channel *channel;
	struct gpu_budget budget;
	struct vmm_log_limit log_limit;
	int compositor; /* -1: dead */
	int other_end;  /* to be given by connect; -1: it has been, or there is none */
	bool late;
	bool waiting; /* for the connection */
	bool no_ring;
	int blob;
	int held[HELD_MAX]; /* ends of pipes and files that the compositor got, or kept; -1: free */
	uint32_t last_id;   /* of an item or pipe that the guest was told of */
	uint32_t read_pipes;
	struct said requests;
	struct said events;
	_Alignas(8) uint8_t query[XD_RING_SIZE];
	_Alignas(8) uint8_t ring[XD_RING_SIZE];
	uint64_t tokens;
	uint64_t done;
};

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 7 + at / 253);
}

static void fill(struct said *s, uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bytes[i] = pattern(s->said + i);
	}
	s->said += len;
}

static void check(struct said *s, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len && !s->unknown; i++) {
		REQUIRE(bytes[i] == pattern(s->heard + i));
	}
	s->heard += len;
	REQUIRE(s->unknown || s->heard <= s->said);
}

/* ---- the device ---- */

static int blob_fd(void *ctx, uint32_t id)
{
	const struct world *w = ctx;

	return id == BLOB ? w->blob : -ENOENT;
}

static int ring_write(void *ctx, uint32_t id, const void *bytes, size_t len)
{
	struct world *w = ctx;

	if (w->no_ring || (id != 1 && id != 2) || len > XD_RING_SIZE) {
		return -ENOENT;
	}
	if (bytes) {
		memcpy(id == 1 ? w->query : w->ring, bytes, len);
	}
	return 0;
}

/* The guest reads the message that it was told of. */
static void complete(void *ctx, uint64_t token)
{
	struct world *w = ctx;
	const struct xd_send *m = (const void *)w->ring;

	w->done++;
	REQUIRE(token == w->done);
	REQUIRE(w->done <= w->tokens);
	if (m->h.cmd == XD_RECEIVE) {
		REQUIRE(m->ids <= XD_IDS_MAX && m->len <= XD_RECEIVE_MAX);
		check(&w->events, w->ring + sizeof(*m), m->len);
		for (uint32_t i = 0; i < m->ids; i++) {
			REQUIRE(m->id[i] >= XD_FIRST_ITEM && m->id[i] < XD_READ_PIPE_START);
			REQUIRE(m->type[i] == XD_ID_WRITE_PIPE || m->type[i] == XD_ID_BLOB);
			w->last_id = m->id[i];
		}
	} else if (m->h.cmd == XD_READ) {
		const struct xd_write *r = (const void *)w->ring;

		REQUIRE(r->len <= XD_READ_MAX && (r->len == 0) == (r->hang_up == 1));
		REQUIRE(r->id > XD_READ_PIPE_START);
	}
	/* Nothing is read twice. */
	memset(w->ring, 0, sizeof(w->ring));
}

static int connect_to(void *ctx)
{
	struct world *w = ctx;
	int fd = w->other_end;

	if (w->late) {
		w->waiting = true;
		return 0;
	}
	w->other_end = -1;
	if (fd < 0) {
		return -ECONNREFUSED;
	}
	vmm_gpu_channel_connected(w->channel, fd);
	return 0;
}

static const struct gpu_channel_ops ops = {
	.blob_fd = blob_fd,
	.ring_write = ring_write,
	.complete = complete,
	.connect = connect_to,
};

/* ---- the guest ---- */

static void submit(struct world *w, const uint8_t *bytes, size_t len)
{
	/* Exactly as long, so that a read behind it shows. */
	uint8_t *copy = malloc(len > 0 ? len : 1);

	REQUIRE(copy);
	if (len > 0) {
		memcpy(copy, bytes, len);
	}
	(void)vmm_gpu_channel_submit(w->channel, copy, len);
	free(copy);
	/* With one ring for both, an answer is where messages are. */
	memset(w->ring, 0, sizeof(w->ring));
}

static void submit_raw(struct world *w, struct fuzz_input *in)
{
	uint8_t bytes[1024];
	size_t len = fuzz_u16(in) % sizeof(bytes);

	fuzz_bytes(in, bytes, len);
	w->requests.unknown = true;
	submit(w, bytes, len);
}

static void submit_init(struct world *w, struct fuzz_input *in)
{
	static const uint8_t sizes[] = {20, 16, 24, 36, 8, 12, 21, 19};
	uint8_t what = fuzz_u8(in);
	_Alignas(8) uint8_t bytes[40] = {0};
	struct xd_init *init = (void *)bytes;

	init->h.cmd = XD_INIT;
	init->h.size = sizes[what % 8];
	init->query_ring = 1 + what / 8u % 4 / 3 * 7;
	init->channel_ring = 2;
	init->channel_type = what / 32 == 7 ? fuzz_u8(in) : what / 32 != 6;
	if (init->h.size == 16) {
		init->query_ring = 2;
		init->channel_ring = init->channel_type;
	}
	submit(w, bytes, init->h.size);
}

static void submit_image(struct world *w, struct fuzz_input *in)
{
	static const char fourccs[4][4] = {{'R', '8', ' ', ' '},
					   {'X', 'R', '2', '4'},
					   {'R', 'G', '1', '6'},
					   {'N', 'V', '1', '2'}};
	struct xd_get_image cmd = {.h = {.cmd = XD_GET_IMAGE, .size = sizeof(cmd)}};
	struct xd_image answer;
	uint8_t what = fuzz_u8(in);

	memcpy(&cmd.fourcc, fourccs[what % 4], 4);
	cmd.width = what < 128 ? fuzz_u16(in) : fuzz_u32(in);
	cmd.height = what < 128 ? fuzz_u8(in) : fuzz_u32(in);
	memset(w->query, 0, sizeof(w->query));
	submit(w, (const void *)&cmd, sizeof(cmd));
	memcpy(&answer, w->query, sizeof(answer));
	if (answer.blob_id != 0) {
		REQUIRE(answer.size % 4096 == 0 && answer.size <= w->budget.max + 4096);
		REQUIRE((uint64_t)answer.strides[0] * cmd.height <= answer.size);
		w->last_id = answer.blob_id;
	}
}

static void submit_send(struct world *w, struct fuzz_input *in)
{
	_Alignas(8) uint8_t bytes[XD_RING_SIZE * 2];
	struct xd_send *send = (void *)bytes;
	uint32_t len = fuzz_u16(in) % (uint32_t)(sizeof(bytes) - sizeof(*send));
	uint8_t ids = fuzz_u8(in);
	uint64_t said = w->requests.said;
	uint32_t pipes = 0;

	memset(send, 0, sizeof(*send));
	send->h = (struct xd_header){.cmd = XD_SEND, .size = (uint16_t)(sizeof(*send) + len)};
	send->len = len;
	send->ids = ids < 128 ? ids % 4 : ids % 32;
	for (unsigned i = 0; i < send->ids && i < XD_IDS_MAX; i++) {
		uint8_t kind = fuzz_u8(in);

		if (kind < 100) {
			send->type[i] = XD_ID_BLOB;
			send->id[i] = BLOB;
		} else if (kind < 220) {
			send->type[i] = XD_ID_READ_PIPE;
			send->id[i] = XD_READ_PIPE_START + w->read_pipes + ++pipes;
		} else {
			send->type[i] = kind % 6;
			send->id[i] = fuzz_u32(in);
		}
	}
	fill(&w->requests, bytes + sizeof(*send), len);
	if (vmm_gpu_channel_submit(w->channel, bytes, send->h.size) < 0) {
		w->requests.said = said;
	} else {
		w->read_pipes += pipes;
	}
}

static void submit_write(struct world *w, struct fuzz_input *in)
{
	uint8_t bytes[XD_RING_SIZE] = {0};
	uint16_t len = fuzz_u16(in) % XD_READ_MAX;
	uint8_t what = fuzz_u8(in);
	struct xd_write cmd = {
		.h = {.cmd = XD_WRITE, .size = (uint16_t)(sizeof(cmd) + len)},
		.id = w->last_id - what % 3,
		.hang_up = what >= 200,
		.len = len,
	};

	memcpy(bytes, &cmd, sizeof(cmd));
	submit(w, bytes, sizeof(cmd) + len);
}

static void poll(struct world *w)
{
	w->tokens++;
	if (vmm_gpu_channel_park(w->channel, w->tokens) < 0) {
		w->tokens--;
	}
}

static void take_blob(struct world *w, struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	uint64_t id = what < 200 ? w->last_id - what % 2 : fuzz_u32(in);
	uint64_t len = what % 16 == 15 ? fuzz_u32(in) : 4096u * (what % 16);
	uint64_t used = w->budget.used;
	struct stat st;
	int fd = vmm_gpu_channel_take_blob(w->channel, id, len);

	if (fd < 0) {
		REQUIRE(w->budget.used == used);
		return;
	}
	REQUIRE(fstat(fd, &st) == 0 && (uint64_t)st.st_size >= len && st.st_size % 4096 == 0);
	REQUIRE(w->budget.used <= w->budget.max && w->budget.used >= (uint64_t)st.st_size);
	vmm_gpu_budget_release(&w->budget, (uint64_t)st.st_size);
	(void)close(fd);
}

/* ---- the compositor ---- */

static void hold(struct world *w, int fd)
{
	for (unsigned i = 0; i < HELD_MAX; i++) {
		if (w->held[i] < 0) {
			(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
			w->held[i] = fd;
			return;
		}
	}
	(void)close(fd);
}

static int memory(uint16_t len)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	REQUIRE(fd >= 0 && ftruncate(fd, len) == 0);
	return fd;
}

static int new_fd(struct world *w, struct fuzz_input *in)
{
	uint8_t kind = fuzz_u8(in);
	int pair[2];

	if (kind < 120) {
		return memory(fuzz_u16(in));
	}
	if (kind >= 250) {
		return open(kind == 250 ? "/dev/zero" : "/dev/null", O_RDONLY | O_CLOEXEC);
	}
	REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
	hold(w, pair[kind >= 240]);
	return pair[kind < 240];
}

static void says(struct world *w, struct fuzz_input *in, bool raw)
{
	uint8_t bytes[6000];
	size_t len = fuzz_u16(in) % sizeof(bytes);
	struct iovec iov = {bytes, len};
	uint64_t said = w->events.said;
	uint8_t what = fuzz_u8(in);
	unsigned count = what < 100 ? 0 : what < 250 ? what % 4 : what % 29;
	int fds[XD_IDS_MAX];

	if (w->compositor < 0 || len == 0) {
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		fds[i] = new_fd(w, in);
	}
	if (raw) {
		fuzz_bytes(in, bytes, len);
	} else {
		fill(&w->events, bytes, len);
	}
	if (vmm_gpu_send_fds(w->compositor, &iov, fds, count) != (ssize_t)len) {
		w->events.said = said;
		w->events.unknown = true;
	}
	vmm_gpu_close_fds(fds, count);
}

static void hears(struct world *w, struct fuzz_input *in)
{
	uint8_t bytes[8192];
	struct iovec iov = {bytes, 1 + fuzz_u16(in) % sizeof(bytes)};
	int fds[XD_IDS_MAX];
	unsigned count;
	ssize_t n;

	if (w->compositor < 0) {
		return;
	}
	n = vmm_gpu_recv_fds(w->compositor, &iov, fds, &count);
	check(&w->requests, bytes, n > 0 ? (size_t)n : 0);
	for (unsigned i = 0; i < count; i++) {
		hold(w, fds[i]);
	}
}

static void dies(struct world *w, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	if (w->compositor >= 0 && how % 4 != 0) {
		(void)shutdown(w->compositor, how % 4 == 1   ? SHUT_RD
					      : how % 4 == 2 ? SHUT_WR
							     : SHUT_RDWR);
	} else if (w->compositor >= 0) {
		(void)close(w->compositor);
		w->compositor = -1;
	}
}

static void use_held(struct world *w, struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	int *fd = &w->held[what % HELD_MAX];
	static uint8_t bytes[8192];

	if (*fd < 0) {
		return;
	}
	if (what >= 240) {
		(void)close(*fd);
		*fd = -1;
		return;
	}
	/* Whichever it is for. */
	(void)!write(*fd, bytes, fuzz_u16(in) % sizeof(bytes));
	(void)!read(*fd, bytes, sizeof(bytes));
}

static void connects(struct world *w)
{
	int fd = w->other_end;

	if (w->waiting) {
		w->waiting = false;
		w->other_end = -1;
		vmm_gpu_channel_connected(w->channel, fd);
	}
}

/* ---- an input ---- */

static void run(struct world *w)
{
	unsigned batches = 0;

	while (vmm_loop_dispatch(w->loop, 0) > 0) {
		REQUIRE(++batches < 1000);
	}
}

static void step(struct world *w, struct fuzz_input *in, bool raw)
{
	switch (fuzz_u8(in) % 20) {
	case 0:
		submit_raw(w, in);
		break;
	case 1:
		submit_init(w, in);
		break;
	case 2:
		submit_image(w, in);
		break;
	case 3:
	case 4:
		submit_send(w, in);
		break;
	case 5:
	case 6:
		submit_write(w, in);
		break;
	case 7:
	case 8:
	case 9:
		poll(w);
		break;
	case 10:
		take_blob(w, in);
		break;
	case 11:
	case 12:
		says(w, in, raw);
		break;
	case 13:
		hears(w, in);
		break;
	case 14:
		dies(w, in);
		break;
	case 15:
		use_held(w, in);
		break;
	case 16:
		connects(w);
		break;
	case 17:
		w->no_ring = !w->no_ring;
		break;
	default:
		run(w);
		break;
	}
}

static void begin(struct world *w, struct vmm_loop *loop, uint8_t how,
		  const struct vmm_wl_filter_config *policy)
{
	const struct gpu_channel_config config = {
		.ops = &ops,
		.ctx = w,
		.loop = loop,
		.log_limit = &w->log_limit,
		.budget = &w->budget,
		.policy = policy,
	};
	int pair[2];

	memset(w, 0, sizeof(*w));
	w->loop = loop;
	w->budget.max = how % 2 == 0 ? 64u << 20 : 65536;
	w->late = how / 2 % 2 == 1;
	w->requests.unknown = policy != NULL;
	w->events.unknown = policy != NULL;
	memset(w->held, -1, sizeof(w->held));
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	w->compositor = pair[0];
	w->other_end = pair[1];
	w->blob = memory(4096);
	REQUIRE(vmm_gpu_channel_create(&w->channel, &config) == 0);
}

static void end(struct world *w)
{
	run(w);
	/* Where nothing has happened nothing happens. */
	REQUIRE(vmm_loop_dispatch(w->loop, 0) == 0);
	vmm_gpu_channel_destroy(w->channel);
	REQUIRE(w->done == w->tokens);
	REQUIRE(w->budget.used == 0);
	for (unsigned i = 0; i < HELD_MAX; i++) {
		vmm_gpu_close_fds(&w->held[i], w->held[i] >= 0);
	}
	vmm_gpu_close_fds(&w->compositor, w->compositor >= 0);
	vmm_gpu_close_fds(&w->other_end, w->other_end >= 0);
	(void)close(w->blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vmm_wl_filter_config policy = {.vm_name = "vm",
							   .clipboard = VMM_WL_CLIPBOARD_BOTH};
	static struct vmm_loop *loop;
	static struct world w;
	struct fuzz_input in = {data, size};
	uint8_t how = fuzz_u8(&in);
	unsigned before;

	if (!loop) {
		(void)signal(SIGPIPE, SIG_IGN);
		REQUIRE(vmm_loop_create(&loop) == 0);
	}
	before = fdcount();
	begin(&w, loop, how, how >= 192 ? &policy : NULL);
	for (unsigned i = 0; i < STEPS_MAX && in.size > 0; i++) {
		step(&w, &in, how >= 128);
		if (how >= 128) {
			w.events.unknown = true;
		}
	}
	end(&w);
	REQUIRE(fdcount() == before);
	return 0;
}
