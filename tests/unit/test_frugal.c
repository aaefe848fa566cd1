/* SPDX-License-Identifier: MIT */
/*
 * What a device does once it has started: activation, work and reset, again and again, without
 * allocating, mapping, freeing or opening anything. A process that serves one may then be denied
 * all of it, and is: the last time under the filter of its kind.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmm/dev/console.h>
#include <vmm/dev/input.h>
#include <vmm/dev/rng.h>
#include <vmm/dev/serial.h>
#include <vmm/jail.h>

#include "faultinj.h"
#include "fdcount.h"
#include "test_blk_fix.h"
#include "test_net_fix.h"

#define CYCLES 5

/* The work of one cycle; watched, so SUITE_REQUIRE and no ck_assert in it. */
typedef void (*work_fn)(struct fakedrv *drv, void *ctx);

static void cycle(struct fakedrv *drv, work_fn work, void *ctx)
{
	SUITE_REQUIRE(fakedrv_driver_ok(drv) == 0);
	work(drv, ctx);
	vmm_carrier_set_status(fakedrv_carrier(drv), 0);
	fakedrv_run(drv);
}

/* In a process that dies by SIGSYS of any call that is not in the profile. */
static void jailed_cycle(struct fakedrv *drv, const char *profile, work_fn work, void *ctx)
{
	int status;
	pid_t pid;

	fakedrv_reset(drv);
	ck_assert_int_eq(fakedrv_prepare(drv, NULL), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		    vmm_jail_seal_thread(profile) != 0) {
			_exit(1);
		}
		cycle(drv, work, ctx);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "%s: status 0x%x", profile, (unsigned)status);
}

/*
 * Whatever there is to allocate may be allocated in the first cycle: sources that the loop has
 * never had before. profile may be NULL.
 */
static void cycles(struct fakedrv *drv, const char *profile, work_fn work, void *ctx)
{
	struct faultinj_watch w = {0};
	unsigned fds = 0;

	for (unsigned i = 0; i < CYCLES; i++) {
		/* The driver itself allocates, what it drives does not. */
		fakedrv_reset(drv);
		ck_assert_int_eq(fakedrv_prepare(drv, NULL), 0);
		if (i > 0) {
			faultinj_watch(&w);
		}
		cycle(drv, work, ctx);
		faultinj_unwatch();
		ck_assert_msg(w.calls == 0, "cycle %u: %u calls, first %s", i, w.calls, w.first);
		if (i > 0) {
			ck_assert_uint_eq(fdcount(), fds);
		}
		fds = fdcount();
	}
	if (profile) {
		jailed_cycle(drv, profile, work, ctx);
	}
}

/* As fakedrv_request, with an answer of any length. */
static void request(struct fakedrv *drv, unsigned queue, const struct fakedrv_buf *bufs,
		    unsigned count)
{
	struct fakedrv_used used;

	SUITE_REQUIRE(fakedrv_add(drv, queue, bufs, count) >= 0);
	fakedrv_kick(drv, queue);
	SUITE_REQUIRE(fakedrv_wait_used(drv, queue, &used, FAKEDRV_PATIENCE_MS));
}

/* ---- rng ---- */

static void ask_for_bytes(struct fakedrv *drv, void *ctx)
{
	struct fakedrv_buf buf = FAKEDRV_IN(ctx, 16);
	struct fakedrv_used used;

	for (unsigned i = 0; i < 64; i++) {
		SUITE_REQUIRE(fakedrv_add(drv, 0, &buf, 1) >= 0);
	}
	fakedrv_kick(drv, 0);
	for (unsigned i = 0; i < 64; i++) {
		SUITE_REQUIRE(fakedrv_wait_used(drv, 0, &used, FAKEDRV_PATIENCE_MS));
		SUITE_REQUIRE(used.len == 16);
	}
}

START_TEST(frugal_rng)
{
	struct vmm_rng_config config = {.source_fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC)};
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;

	ck_assert_int_eq(vmm_rng_create(&dev, _i == 0 ? NULL : &config, NULL), 0);
	drv = fakedrv_create(dev);
	cycles(drv, _i == 0 ? NULL : "rng", ask_for_bytes, fakedrv_alloc(drv, 16));
	fakedrv_destroy(drv);
	ck_assert_int_eq(close(config.source_fd), 0);
}
END_TEST

/* ---- input ---- */

struct typist {
	int fd;
	uint8_t *memory;
};

/* More than there are buffers for, so that the device owes something at the end. */
static void type_a_key(struct fakedrv *drv, void *ctx)
{
	static const uint64_t strokes[2][2] = {{0x00000001001e0001, 0}, {0x00000000001e0001, 0}};
	const struct typist *typist = ctx;

	for (unsigned i = 0; i < 2; i++) {
		struct fakedrv_buf buf = FAKEDRV_IN(typist->memory + (size_t)i * 8, 8);

		SUITE_REQUIRE(fakedrv_add(drv, 0, &buf, 1) >= 0);
	}
	fakedrv_kick(drv, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct fakedrv_used used;

		SUITE_REQUIRE(write(typist->fd, strokes[i], 16) == 16);
		fakedrv_run(drv);
		SUITE_REQUIRE(fakedrv_used(drv, 0, &used) == (i == 0));
		SUITE_REQUIRE(fakedrv_used(drv, 0, &used) == (i == 0));
	}
}

START_TEST(frugal_input)
{
	struct vmm_input_config config = {.kind = VMM_INPUT_KEYBOARD};
	struct vmm_virtio_device *dev;
	struct typist typist;
	struct fakedrv *drv;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	config.source_fd = fds[0];
	ck_assert_int_eq(vmm_input_create(&dev, &config, NULL), 0);
	drv = fakedrv_create(dev);
	typist = (struct typist){.fd = fds[1], .memory = fakedrv_alloc(drv, 64)};
	cycles(drv, "input", type_a_key, &typist);
	fakedrv_destroy(drv);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
}
END_TEST

/* ---- blk ---- */

static void one_io(struct blkfix *fix, uint32_t type, uint32_t len)
{
	struct fakedrv_buf bufs[] = {
		FAKEDRV_OUT(fix->header, sizeof(*fix->header)),
		{.ptr = fix->data, .len = len, .write = type == BLK_T_IN},
		FAKEDRV_IN(fix->status, 1),
	};

	if (len == 0) {
		bufs[1] = bufs[2];
	}
	*fix->header = (struct blk_header){.type = type, .sector = 8};
	*fix->status = BLK_S_NONE;
	request(fix->drv, 0, bufs, len == 0 ? 2 : 3);
	SUITE_REQUIRE(*fix->status == BLK_S_OK);
}

static void every_request(struct fakedrv *drv, void *ctx)
{
	struct blkfix *fix = ctx;
	const struct blk_segment segment = {.sector = 16, .sectors = 8};
	const uint8_t off = 0;

	one_io(fix, BLK_T_IN, BLKFIX_DATA);
	one_io(fix, BLK_T_OUT, BLKFIX_DATA);
	one_io(fix, BLK_T_FLUSH, 0);
	memcpy(fix->data, &segment, sizeof(segment));
	one_io(fix, BLK_T_WRITE_ZEROES, sizeof(segment));
	one_io(fix, BLK_T_DISCARD, sizeof(segment));
	fakedrv_write_config(drv, 32, &off, 1);
	one_io(fix, BLK_T_OUT, 512);
	/* Left in flight when the reset comes. */
	for (unsigned i = 0; i < 64; i++) {
		struct fakedrv_buf bufs[] = {
			FAKEDRV_OUT(fix->header, sizeof(*fix->header)),
			FAKEDRV_IN(fix->data, 4096),
			FAKEDRV_IN(fix->status, 1),
		};

		SUITE_REQUIRE(fakedrv_add(drv, 0, bufs, 3) >= 0);
	}
	vmm_carrier_kick(fakedrv_carrier(drv), 0);
}

START_TEST(frugal_blk)
{
	struct blkfix fix;

	blkfix_start(&fix, _i == 0 ? VMM_DISK_SYNC : VMM_DISK_AUTO, false);
	cycles(fix.drv, _i == 0 ? "blk" : "blk-uring", every_request, &fix);
	blkfix_finish(&fix);
}
END_TEST

/* ---- net ---- */

struct net_work {
	struct netfix fix;
	uint8_t *mem;
	uint8_t frame[NET_HDR + NET_FRAME];
};

static void control(struct net_work *n, uint8_t class, uint8_t command, uint8_t value)
{
	uint8_t *ack = n->mem + 256;
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(n->mem + 260, 3), FAKEDRV_IN(ack, 1)};
	const uint8_t bytes[] = {class, command, value};

	memcpy(n->mem + 260, bytes, sizeof(bytes));
	*ack = 0xee;
	request(n->fix.drv, NET_CTRL, bufs, 2);
	SUITE_REQUIRE(*ack == 0);
}

static void talk(struct fakedrv *drv, void *ctx)
{
	struct net_work *n = ctx;
	struct fakedrv_buf out = FAKEDRV_OUT(n->mem, sizeof(n->frame));
	struct fakedrv_buf in = FAKEDRV_IN(n->mem + 1024, 2048);
	struct fakedrv_used used;
	uint8_t seen[256];

	control(n, 0, 0, 0);
	netfix_frame(n->mem, NET_FRAME, true);
	request(drv, NET_TX, &out, 1);
	SUITE_REQUIRE(recv(n->fix.peer, seen, sizeof(seen), MSG_DONTWAIT) > 0);
	/* One buffer is less than a frame may need, so the timer runs as well. */
	SUITE_REQUIRE(fakedrv_add(drv, NET_RX, &in, 1) >= 0);
	fakedrv_kick(drv, NET_RX);
	SUITE_REQUIRE(send(n->fix.peer, n->frame, sizeof(n->frame), MSG_NOSIGNAL) > 0);
	SUITE_REQUIRE(fakedrv_wait_used(drv, NET_RX, &used, FAKEDRV_PATIENCE_MS));
	vmm_net_set_link(fakedrv_device(drv), false);
	vmm_net_set_link(fakedrv_device(drv), true);
	/* And left in hand. */
	SUITE_REQUIRE(fakedrv_add(drv, NET_RX, &in, 1) >= 0);
	fakedrv_kick(drv, NET_RX);
}

START_TEST(frugal_net)
{
	struct net_work n = {0};

	netfix_create(&n.fix, NULL);
	n.mem = fakedrv_alloc(n.fix.drv, 4096);
	netfix_frame(n.frame, NET_FRAME, false);
	/* A profile is for taps. */
	cycles(n.fix.drv, NULL, talk, &n);
	netfix_finish(&n.fix);
}
END_TEST

/* Nobody is at the other end of the tap, which is not even up: what is sent is lost. */
static void talk_to_nobody(struct fakedrv *drv, void *ctx)
{
	struct net_work *n = ctx;
	struct fakedrv_buf out = FAKEDRV_OUT(n->mem, sizeof(n->frame));
	struct fakedrv_buf in = FAKEDRV_IN(n->mem + 1024, 2048);

	control(n, 0, 0, 0);
	for (unsigned i = 0; i < 300; i++) {
		request(drv, NET_TX, &out, 1);
	}
	SUITE_REQUIRE(fakedrv_add(drv, NET_RX, &in, 1) >= 0);
	fakedrv_kick(drv, NET_RX);
	(void)fakedrv_run_for(drv, 10, NULL);
}

START_TEST(frugal_net_on_a_tap)
{
	struct vmm_net_config config = {0};
	struct vmm_virtio_device *dev;
	struct net_work n = {0};

	n.fix.peer = -1;
	if (vmm_tap_open(&n.fix.tap, "frugal0", NULL) < 0) {
		return; /* no right to, or no tun */
	}
	config.tap = n.fix.tap;
	memcpy(config.mac, net_mac, sizeof(net_mac));
	ck_assert_int_eq(vmm_net_create(&dev, &config, NULL), 0);
	n.fix.drv = fakedrv_create(dev);
	n.mem = fakedrv_alloc(n.fix.drv, 4096);
	netfix_frame(n.mem, NET_FRAME, true);
	cycles(n.fix.drv, "net", talk_to_nobody, &n);
	netfix_finish(&n.fix);
}
END_TEST

/* ---- console ---- */

struct console_work {
	struct vmm_chardev *cd;
	int client; /* what is typed here arrives at the guest */
	uint8_t *mem;
};

static void chat(struct fakedrv *drv, void *ctx)
{
	struct console_work *c = ctx;
	struct fakedrv_buf in = FAKEDRV_IN(c->mem, 64);
	struct fakedrv_buf out = FAKEDRV_OUT(c->mem + 64, 2048);
	struct fakedrv_used used;
	char seen[4096];

	request(drv, 1, &out, 1);
	SUITE_REQUIRE(fakedrv_add(drv, 0, &in, 1) >= 0);
	fakedrv_kick(drv, 0);
	SUITE_REQUIRE(write(c->client, "k", 1) == 1);
	SUITE_REQUIRE(fakedrv_wait_used(drv, 0, &used, FAKEDRV_PATIENCE_MS));
	(void)fakedrv_run_for(drv, 20, NULL);
	SUITE_REQUIRE(read(c->client, seen, sizeof(seen)) > 0);
	/* More than anybody takes. */
	for (unsigned i = 0; i < 100; i++) {
		request(drv, 1, &out, 1);
	}
	while (read(c->client, seen, sizeof(seen)) > 0) {
		fakedrv_run(drv);
	}
	fakedrv_write_config(drv, 8, "e", 1);
}

static void run_console(struct console_work *c)
{
	struct vmm_console_port port = {.chardev = c->cd};
	struct vmm_console_config config = {.ports = &port, .port_count = 1};
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;

	ck_assert_int_eq(vmm_console_create(&dev, &config, NULL), 0);
	drv = fakedrv_create(dev);
	c->mem = fakedrv_alloc(drv, 4096);
	cycles(drv, "console", chat, c);
	fakedrv_destroy(drv);
}

START_TEST(frugal_console_on_a_pty)
{
	struct console_work c = {0};
	char path[64];
	int master;
	int inotify_fd;

	ck_assert_int_eq(vmm_pty_open(&master, &inotify_fd, path, sizeof(path), NULL), 0);
	if (_i == 1) {
		ck_assert_int_eq(close(inotify_fd), 0);
		inotify_fd = -1;
	}
	ck_assert_int_eq(vmm_pty_from_fds(&c.cd, master, inotify_fd, NULL), 0);
	ck_assert_str_eq(vmm_pty_path(c.cd), path);
	c.client = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(c.client, 0);
	run_console(&c);
	ck_assert_int_eq(close(c.client), 0);
	vmm_chardev_destroy(c.cd);
}
END_TEST

START_TEST(frugal_console_on_a_socket)
{
	struct vmm_fdchar_config config = {0};
	struct console_work c = {0};
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	config.in_fd = fds[0];
	config.out_fd = fds[0];
	ck_assert_int_eq(vmm_fdchar_create(&c.cd, &config, NULL), 0);
	c.client = fds[1];
	run_console(&c);
	vmm_chardev_destroy(c.cd);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
}
END_TEST

/* ---- serial ---- */

START_TEST(frugal_serial)
{
	struct vmm_fdchar_config log = {.in_fd = -1};
	struct vmm_serial_config config = {0};
	struct vmm_platform_device *dev;
	struct faultinj_watch w = {0};
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	log.out_fd = fds[1];
	ck_assert_int_eq(vmm_loop_create(&config.loop), 0);
	ck_assert_int_eq(vmm_fdchar_create(&config.output, &log, NULL), 0);
	ck_assert_int_eq(vmm_serial_create(&dev, &config, NULL), 0);
	faultinj_watch(&w);
	for (unsigned i = 0; i < 10; i++) {
		char seen[65536];

		for (unsigned k = 0; k < 20000; k++) {
			dev->ops->bus.write(dev, 0, 1, k % 1000 == 999 ? '\n' : 'x');
		}
		dev->ops->bus.write(dev, 0, 1, '$');
		while (vmm_loop_dispatch(config.loop, 30) > 0) {
		}
		SUITE_REQUIRE(read(fds[0], seen, sizeof(seen)) > 0);
		dev->ops->reset(dev);
	}
	faultinj_unwatch();
	ck_assert_msg(w.calls == 0, "%u calls, first %s", w.calls, w.first);
	vmm_serial_destroy(dev);
	vmm_chardev_destroy(config.output);
	vmm_loop_destroy(config.loop);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(close(fds[1]), 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{frugal_rng, 2},
		{frugal_input, 1},
		{frugal_blk, 2},
		{frugal_net, 1},
		{frugal_net_on_a_tap, 1},
		{frugal_console_on_a_pty, 2},
		{frugal_console_on_a_socket, 1},
		{frugal_serial, 1},
	};

	return suite_run_looped("frugal", tests, sizeof(tests) / sizeof(tests[0]));
}
