/* SPDX-License-Identifier: MIT */
#include "test_gpu_channel_fix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdcount.h"

/* ---- the device ---- */

static int blob_fd(void *ctx, uint32_t id)
{
	const struct channel_fix *f = ctx;

	return id == BLOB && f->blob >= 0 ? f->blob : -ENOENT;
}

static int ring_write(void *ctx, uint32_t id, const void *bytes, size_t len)
{
	struct channel_fix *f = ctx;

	if (f->no_ring || (id != QUERY_RING && id != CHANNEL_RING) || len > XD_RING_SIZE) {
		return -ENOENT;
	}
	if (bytes) {
		memcpy(id == QUERY_RING ? f->query : f->ring, bytes, len);
	}
	return 0;
}

static void complete(void *ctx, uint64_t token)
{
	struct channel_fix *f = ctx;

	ck_assert_uint_lt(f->done_count, DONE_MAX);
	f->done[f->done_count++] = token;
}

static int connect_to(void *ctx)
{
	struct channel_fix *f = ctx;
	int fd = f->other_end;

	f->asked++;
	if (f->late) {
		return 0;
	}
	if (fd < 0) {
		return -ECONNREFUSED;
	}
	f->other_end = -1;
	vmm_gpu_channel_connected(f->channel, fd);
	return 0;
}

static const struct gpu_channel_ops ops = {
	.blob_fd = blob_fd,
	.ring_write = ring_write,
	.complete = complete,
	.connect = connect_to,
};

void channel_start(struct channel_fix *f, const struct vmm_wl_filter_config *policy)
{
	struct gpu_channel_config config = {
		.ops = &ops,
		.ctx = f,
		.log_limit = &f->log_limit,
		.budget = &f->budget,
		.policy = policy,
	};
	int pair[2];

	/* As every program with the device does. */
	(void)signal(SIGPIPE, SIG_IGN);
	memset(f, 0, sizeof(*f));
	f->fds_before = fdcount();
	f->budget.max = 64u << 20;
	f->blob = -1;
	ck_assert_int_eq(vmm_loop_create(&f->loop), 0);
	config.loop = f->loop;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	f->compositor = pair[0];
	f->other_end = pair[1];
	ck_assert_int_eq(vmm_gpu_channel_create(&f->channel, &config), 0);
}

void channel_start_open(struct channel_fix *f, const struct vmm_wl_filter_config *policy)
{
	channel_start(f, policy);
	ck_assert_int_eq(channel_init(f, sizeof(struct xd_init), XD_CHANNEL_WAYLAND), 0);
}

void channel_stop(struct channel_fix *f)
{
	uint64_t tokens = f->tokens;

	vmm_gpu_channel_destroy(f->channel);
	/* Each came back, and in the order they were given. */
	ck_assert_uint_eq(f->done_count, tokens);
	for (unsigned i = 0; i < f->done_count; i++) {
		ck_assert_uint_eq(f->done[i], i + 1);
	}
	ck_assert_uint_eq(f->budget.used, 0);
	vmm_loop_destroy(f->loop);
	if (f->compositor >= 0) {
		(void)close(f->compositor);
	}
	if (f->other_end >= 0) {
		(void)close(f->other_end);
	}
	if (f->blob >= 0) {
		(void)close(f->blob);
	}
	ck_assert_uint_eq(fdcount(), f->fds_before);
}

/* ---- the guest ---- */

int channel_init(struct channel_fix *f, size_t size, uint32_t type)
{
	_Alignas(8) uint8_t bytes[64] = {0};
	struct xd_init *init = (void *)bytes;

	*init = (struct xd_init){
		.h = {.cmd = XD_INIT, .ring = 0xff, .size = (uint16_t)size},
		.query_ring = QUERY_RING,
		.channel_ring = CHANNEL_RING,
		.channel_type = type,
	};
	if (size == sizeof(struct xd_init_short)) {
		init->query_ring = CHANNEL_RING;
		init->channel_ring = type;
	}
	return vmm_gpu_channel_submit(f->channel, bytes, size);
}

int channel_send(struct channel_fix *f, const void *bytes, uint32_t len, unsigned ids,
		 const uint32_t *id, const uint32_t *type)
{
	size_t size = sizeof(struct xd_send) + len;
	struct xd_send *send = calloc(1, size);
	int ret;

	send->h = (struct xd_header){.cmd = XD_SEND, .size = (uint16_t)size};
	send->len = len;
	send->ids = ids;
	for (unsigned i = 0; i < ids; i++) {
		send->id[i] = id[i];
		send->type[i] = type[i];
	}
	memcpy(send + 1, bytes, len);
	ret = vmm_gpu_channel_submit(f->channel, (const void *)send, size);
	free(send);
	return ret;
}

int channel_write(struct channel_fix *f, uint32_t id, const void *bytes, uint32_t len, bool hang_up)
{
	_Alignas(8) uint8_t buf[XD_RING_SIZE] = {0};
	struct xd_write *cmd = (void *)buf;

	ck_assert_uint_le(len, XD_READ_MAX);
	*cmd = (struct xd_write){
		.h = {.cmd = XD_WRITE, .size = (uint16_t)(sizeof(*cmd) + len)},
		.id = id,
		.hang_up = hang_up,
		.len = len,
	};
	if (len > 0) {
		memcpy(cmd + 1, bytes, len);
	}
	return vmm_gpu_channel_submit(f->channel, buf, sizeof(*cmd) + len);
}

int channel_poll(struct channel_fix *f)
{
	int ret;

	f->tokens++;
	ret = vmm_gpu_channel_park(f->channel, f->tokens);
	if (ret < 0) {
		f->tokens--;
	}
	return ret;
}

void channel_run_until(struct channel_fix *f, unsigned count)
{
	while (f->done_count < count) {
		ck_assert_int_gt(vmm_loop_dispatch(f->loop, 5000), 0);
	}
}

int channel_run(struct channel_fix *f)
{
	int all = 0;
	int ran;

	do {
		ran = vmm_loop_dispatch(f->loop, 0);
		ck_assert_int_ge(ran, 0);
		all += ran;
		/* What does not come to rest spins. */
		ck_assert_int_lt(all, 10000);
	} while (ran > 0);
	return all;
}

const struct xd_send *channel_receive(struct channel_fix *f)
{
	memset(f->ring, 0xee, sizeof(f->ring));
	ck_assert_int_eq(channel_poll(f), 0);
	channel_run_until(f, (unsigned)f->tokens);
	return channel_message(f);
}

const struct xd_send *channel_message(const struct channel_fix *f)
{
	const struct xd_send *m = (const void *)f->ring;

	ck_assert_uint_eq(m->h.cmd, XD_RECEIVE);
	ck_assert_uint_le(m->len, XD_RECEIVE_MAX);
	ck_assert_uint_eq(m->h.size, sizeof(*m) + m->len);
	return m;
}

const uint8_t *channel_message_bytes(const struct channel_fix *f)
{
	return f->ring + sizeof(struct xd_send);
}

const struct xd_write *channel_read(const struct channel_fix *f)
{
	const struct xd_write *m = (const void *)f->ring;

	ck_assert_uint_eq(m->h.cmd, XD_READ);
	ck_assert_uint_le(m->len, XD_READ_MAX);
	return m;
}

const uint8_t *channel_read_bytes(const struct channel_fix *f)
{
	return f->ring + sizeof(struct xd_write);
}

/* ---- the compositor ---- */

void compositor_says(struct channel_fix *f, const void *bytes, size_t len, const int *fds,
		     unsigned count)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, len};

	ck_assert_int_eq(vmm_gpu_send_fds(f->compositor, &iov, fds, count), (ssize_t)len);
	vmm_gpu_close_fds(fds, count);
}

size_t compositor_hears(struct channel_fix *f, void *bytes, size_t len, int *fds, unsigned *count)
{
	struct iovec iov = {bytes, len};
	int came[XD_IDS_MAX];
	unsigned n;
	ssize_t got = vmm_gpu_recv_fds(f->compositor, &iov, came, &n);

	if (fds) {
		memcpy(fds, came, n * sizeof(*fds));
		*count = n;
	} else {
		vmm_gpu_close_fds(came, n);
	}
	ck_assert(got >= 0 || got == -EAGAIN || got == -ECONNRESET);
	return got > 0 ? (size_t)got : 0;
}

void compositor_dies(struct channel_fix *f)
{
	(void)close(f->compositor);
	f->compositor = -1;
}

uint8_t pattern_byte(size_t at, uint8_t seed)
{
	return (uint8_t)(at * 31 + at / 251 + seed);
}

int pattern_file(size_t len, uint8_t seed)
{
	int fd = memfd_create("pattern", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *bytes = malloc(len > 0 ? len : 1);

	for (size_t i = 0; i < len; i++) {
		bytes[i] = pattern_byte(i, seed);
	}
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, len, 0), (ssize_t)len);
	free(bytes);
	return fd;
}
