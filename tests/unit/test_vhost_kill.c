/* SPDX-License-Identifier: MIT */
/*
 * Both sides of vhost-user with a real device between them, in a process of its own that is killed
 * over and over: what the driver was told is done stays done, and what it was not told is done
 * again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vmm/dev/blk.h>
#include <vmm/dev/rng.h>
#include <vmm/vhost_backend.h>
#include <vmm/vhost_frontend.h>

#include "fakedrv.h"
#include "fdcount.h"
#include "suite.h"

#define KILLS       200
#define SECTORS     256
#define OUTSTANDING 12
#define QUEUE_SIZE  64
#define BLK_CONFIG  60
#define PATIENCE_MS 5000

enum kind { BLK, RNG };

static struct vmm_loop *loop;
static struct vmm_virtio_device *dev;
static struct fakedrv *drv;
static int disk_fd;
static pid_t child;
static unsigned lost;

/* ---- the device's process ---- */

static void on_closed(void *ctx, int why)
{
	(void)ctx;
	_exit(why == 0 ? 0 : 1);
}

_Noreturn static void serve(int fd, enum kind kind)
{
	struct vmm_vhost_backend_config config = {.fd = fd, .on_closed = on_closed};
	struct vmm_vhost_backend *backend;
	struct vmm_virtio_device *device;
	struct vmm_disk_config disk_config = {.engine = VMM_DISK_SYNC};
	struct vmm_blk_config blk = {.queue_size = QUEUE_SIZE};
	int ret;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	ret = vmm_loop_create(&config.loop);
	if (ret == 0 && kind == BLK) {
		ret = vmm_disk_open_fd(&blk.disk, dup(disk_fd), &disk_config, NULL);
		ret = ret == 0 ? vmm_blk_create(&device, &blk, NULL) : ret;
	} else if (ret == 0) {
		ret = vmm_rng_create(&device, NULL, NULL);
	}
	if (ret == 0) {
		ret = vmm_vhost_backend_create(&backend, device, &config, NULL);
	}
	if (ret == 0) {
		(void)vmm_loop_run(config.loop);
	}
	_exit(2);
}

/* Starts one; the front end's end of its socket. */
static int start_process(enum kind kind)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)close(pair[0]);
		serve(pair[1], kind);
	}
	(void)close(pair[1]);
	return pair[0];
}

static void kill_process(void)
{
	int status;

	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
}

/* ---- the driver's side ---- */

static void on_lost(void *ctx, int why)
{
	(void)ctx;
	(void)why;
	lost++;
}

static void set_up(enum kind kind)
{
	static const uint16_t sizes[] = {QUEUE_SIZE};
	struct vmm_vhost_frontend_config config = {
		.name = kind == BLK ? "blk" : "rng",
		.device_id = kind == BLK ? VMM_VIRTIO_ID_BLOCK : VMM_VIRTIO_ID_RNG,
		.queue_count = 1,
		.queue_sizes = sizes,
		.config_len = kind == BLK ? BLK_CONFIG : 0,
		.waits = true,
		.on_lost = on_lost,
	};

	lost = 0;
	disk_fd = memfd_create("disk", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(disk_fd, SECTORS * 512), 0);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	config.loop = loop;
	config.fd = start_process(kind);
	ck_assert_int_eq(vmm_vhost_frontend_create(&dev, &config, NULL), 0);
	drv = fakedrv_create_on(dev, loop);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
}

static void tear_down(void)
{
	int status;

	fakedrv_destroy(drv);
	vmm_loop_destroy(loop);
	(void)close(disk_fd);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* ---- a busy disk ---- */

struct request {
	uint8_t *header; /* 16 bytes */
	uint8_t *data;   /* 512 */
	uint8_t *status;
	int head; /* -1: free */
	unsigned sector;
	bool write;
};

static struct request requests[OUTSTANDING];
static uint64_t acked[SECTORS]; /* what the driver knows to be there */
static bool is_out[SECTORS];
static uint64_t number;
static unsigned done;

static void fill(uint8_t *data, uint64_t value)
{
	for (size_t i = 0; i < 512; i += sizeof(value)) {
		memcpy(data + i, &value, sizeof(value));
	}
}

static void submit(struct request *r)
{
	struct fakedrv_buf bufs[] = {
		FAKEDRV_OUT(r->header, 16),
		{.ptr = r->data, .len = 512},
		FAKEDRV_IN(r->status, 1),
	};
	uint64_t sector = (uint64_t)(rand() % SECTORS);

	if (is_out[sector]) {
		return;
	}
	r->sector = (unsigned)sector;
	r->write = rand() % 3 != 0;
	is_out[sector] = true;
	memset(r->header, 0, 16);
	r->header[0] = r->write ? 1 : 0;
	memcpy(r->header + 8, &sector, sizeof(sector));
	fill(r->data, r->write ? ++number : 0);
	bufs[1].write = !r->write;
	*r->status = 0xff;
	r->head = fakedrv_add(drv, 0, bufs, 3);
	ck_assert_int_ge(r->head, 0);
}

static void complete(struct request *r)
{
	uint64_t value;

	memcpy(&value, r->data, sizeof(value));
	SUITE_REQUIRE(*r->status == 0);
	if (r->write) {
		acked[r->sector] = value;
	} else {
		SUITE_REQUIRE(value == acked[r->sector]);
	}
	is_out[r->sector] = false;
	r->head = -1;
	done++;
}

/* Takes answers, until there are `want` of them or the time is up. False: it was up. */
static bool take(unsigned want, int timeout_ms)
{
	unsigned before = done;
	struct fakedrv_used used;

	while (done - before < want) {
		struct request *r = requests;

		if (!fakedrv_wait_used(drv, 0, &used, timeout_ms)) {
			return false;
		}
		while (r->head != (int)used.head) {
			r++;
			SUITE_REQUIRE(r < requests + OUTSTANDING);
		}
		complete(r);
	}
	return true;
}

static unsigned count_out(void)
{
	unsigned count = 0;

	for (int i = 0; i < OUTSTANDING; i++) {
		count += requests[i].head >= 0;
	}
	return count;
}

static void submit_all(void)
{
	for (int i = 0; i < OUTSTANDING; i++) {
		if (requests[i].head < 0) {
			submit(&requests[i]);
		}
	}
	(void)fakedrv_kick_if_needed(drv, 0);
}

static void check_disk(void)
{
	uint8_t expected[512];
	uint8_t sector[512];

	for (unsigned i = 0; i < SECTORS; i++) {
		fill(expected, acked[i]);
		ck_assert_int_eq(pread(disk_fd, sector, 512, i * 512), 512);
		ck_assert_mem_eq(sector, expected, 512);
	}
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

START_TEST(killed_blk_loses_no_acknowledged_write_and_wedges_no_queue)
{
	uint64_t ns[KILLS];
	struct timespec pause = {0};

	set_up(BLK);
	srand(11);
	memset(acked, 0, sizeof(acked));
	memset(is_out, 0, sizeof(is_out));
	done = 0;
	for (int i = 0; i < OUTSTANDING; i++) {
		requests[i] = (struct request){
			.header = fakedrv_alloc(drv, 16),
			.data = fakedrv_alloc(drv, 512),
			.status = fakedrv_alloc(drv, 1),
			.head = -1,
		};
	}
	for (int i = 0; i < KILLS; i++) {
		uint64_t start;

		submit_all();
		SUITE_REQUIRE(take((unsigned)(rand() % OUTSTANDING), PATIENCE_MS));
		submit_all();
		pause.tv_nsec = rand() % 200000;
		(void)nanosleep(&pause, NULL);
		kill_process();
		start = now_ns();
		ck_assert_int_eq(vmm_vhost_frontend_connect(dev, start_process(BLK), NULL), 0);
		SUITE_REQUIRE(take(1, PATIENCE_MS));
		ns[i] = now_ns() - start;
		SUITE_REQUIRE(!fakedrv_needs_reset(drv));
	}
	SUITE_REQUIRE(take(count_out(), PATIENCE_MS));
	check_disk();
	qsort(ns, KILLS, sizeof(ns[0]), compare_u64);
	printf("figure: kills of a blk process: kills %d, requests %u, acknowledged writes lost 0, wedged "
	       "queues 0, ms until service p50 %.1f, p99 %.1f\n",
	       KILLS, done, (double)ns[KILLS / 2] / 1e6, (double)ns[KILLS * 99 / 100] / 1e6);
	tear_down();
}
END_TEST

START_TEST(killed_rng_answers_each_request_once)
{
	struct fakedrv_used used;
	uint8_t *bytes[8];

	set_up(RNG);
	for (int i = 0; i < 8; i++) {
		bytes[i] = fakedrv_alloc(drv, 64);
	}
	for (int i = 0; i < 50; i++) {
		for (int n = 0; n < 8; n++) {
			const struct fakedrv_buf buf = FAKEDRV_IN(bytes[n], 64);

			ck_assert_int_ge(fakedrv_add(drv, 0, &buf, 1), 0);
		}
		fakedrv_kick(drv, 0);
		kill_process();
		ck_assert_int_eq(vmm_vhost_frontend_connect(dev, start_process(RNG), NULL), 0);
		for (int n = 0; n < 8; n++) {
			/* Aborts when a chain comes back that is not out. */
			ck_assert(fakedrv_wait_used(drv, 0, &used, PATIENCE_MS));
			ck_assert_uint_eq(used.len, 64);
		}
	}
	ck_assert_uint_eq(fakedrv_outstanding(drv, 0), 0);
	tear_down();
}
END_TEST

START_TEST(reset_after_a_kill_starts_afresh)
{
	const unsigned fds = fdcount();

	set_up(RNG);
	for (int i = 0; i < 5; i++) {
		const struct fakedrv_buf buf = FAKEDRV_IN(fakedrv_alloc(drv, 64), 64);

		ck_assert_int_ge(fakedrv_add(drv, 0, &buf, 1), 0);
		kill_process();
		ck_assert_int_ge(vmm_loop_dispatch(loop, 1000), 1);
		fakedrv_reset(drv);
		ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
		ck_assert_int_eq(vmm_vhost_frontend_connect(dev, start_process(RNG), NULL), 0);
		ck_assert_uint_eq(fakedrv_request(drv, 0, &buf, 1), 64);
		/* And with the same back end. */
		fakedrv_reset(drv);
		ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
		ck_assert_uint_eq(fakedrv_request(drv, 0, &buf, 1), 64);
	}
	ck_assert_uint_eq(lost, 5);
	tear_down();
	ck_assert_uint_eq(fdcount(), fds);
}
END_TEST

SUITE_MAIN("vhost-kill", killed_blk_loses_no_acknowledged_write_and_wedges_no_queue,
	   killed_rng_answers_each_request_once, reset_after_a_kill_starts_afresh)
