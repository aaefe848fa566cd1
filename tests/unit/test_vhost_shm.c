/* SPDX-License-Identifier: MIT */
/*
 * Shared memory regions over vhost-user: the front end against a back end that a thread of the test
 * plays, in the words of the specification and in those that crosvm had before; and against the
 * library's own, in a thread with a loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/vhost_backend.h>
#include <vmm/vhost_frontend.h>

#include "fakedrv.h"
#include "fdcount.h"
#include "suite.h"
#include "test_vhost_peer.h"
#include "testdev.h"

#define PAGE        UINT64_C(4096)
#define ID          1
#define LEN         (UINT64_C(8) << 30)
#define FILE_LEN    (4 * PAGE - 100) /* the last page is not whole */
#define DEADLINE_MS 1000
#define NO_ANSWER   UINT64_MAX

static const struct vmm_virtio_shm regions[] = {{.id = ID, .len = LEN}};
static const uint16_t queue_sizes[] = {16, 16};

static struct vmm_loop *loop;
static struct back_end peer;
static struct vmm_virtio_device *dev;
static struct fakedrv *drv;
static int file;
static int other; /* no file */
static unsigned fds_before;
static unsigned lost;
static int lost_why;

/* ---- what the back end asks for ---- */

enum { STANDARD, PRIVATE, DIALECTS };

static const uint64_t feature[DIALECTS] = {VHOST_USER_PROTOCOL_F_SHMEM,
					   VHOST_USER_PROTOCOL_F_SHMEM_PRIVATE};

/* In neither's words. */
struct ask {
	bool unmap;
	uint8_t id;
	uint64_t offset;
	uint64_t fd_offset;
	uint64_t len;
	unsigned flags; /* 0 read-only, 1 writable; 2: such as there are none */
	bool no_file;
	bool silent; /* wants no answer */
};

static void say_standard(const struct ask *a, struct vhost_msg *msg)
{
	vmm_vhost_msg_init(msg,
			   a->unmap ? VHOST_USER_BACKEND_SHMEM_UNMAP : VHOST_USER_BACKEND_SHMEM_MAP,
			   sizeof(msg->payload.mmap));
	msg->header.flags |= a->silent ? 0 : VHOST_USER_NEED_REPLY;
	msg->payload.mmap = (struct vhost_user_mmap){
		.id = a->id,
		.shm_offset = a->offset,
		.fd_offset = a->fd_offset,
		.len = a->len,
		.flags = a->flags,
	};
}

static void say_private(const struct ask *a, struct vhost_msg *msg)
{
	if (a->unmap) {
		vmm_vhost_msg_init(msg, VHOST_USER_BACKEND_UNMAP_PRIVATE,
				   sizeof(msg->payload.unmap_private));
		msg->payload.unmap_private = (struct vhost_user_unmap_private){
			.id = a->id, .shm_offset = a->offset, .len = a->len};
		return;
	}
	vmm_vhost_msg_init(msg, VHOST_USER_BACKEND_MAP_PRIVATE, sizeof(msg->payload.map_private));
	msg->payload.map_private = (struct vhost_user_map_private){
		.flags = (uint8_t)(a->flags == 2   ? 4
				   : a->flags == 1 ? 3
						   : 1),
		.id = a->id,
		.shm_offset = a->offset,
		.fd_offset = a->fd_offset,
		.len = a->len,
	};
}

static void send_ask(const struct back_end *b, int dialect, const struct ask *a)
{
	struct vhost_msg msg;

	if (dialect == STANDARD) {
		say_standard(a, &msg);
	} else {
		say_private(a, &msg);
	}
	if (!a->unmap) {
		msg.fds[0] = a->no_file ? other : file;
		msg.fd_count = 1;
	}
	(void)vmm_vhost_send(b->channel, &msg, vmm_vhost_deadline(DEADLINE_MS));
}

/* What the front end answers. */
static uint64_t ask(const struct back_end *b, int dialect, const struct ask *a)
{
	struct vhost_msg msg;
	uint32_t request;

	send_ask(b, dialect, a);
	if (dialect == STANDARD) {
		request = a->unmap ? VHOST_USER_BACKEND_SHMEM_UNMAP : VHOST_USER_BACKEND_SHMEM_MAP;
	} else {
		request = a->unmap ? VHOST_USER_BACKEND_UNMAP_PRIVATE
				   : VHOST_USER_BACKEND_MAP_PRIVATE;
	}
	return !a->silent && vmm_vhost_receive_answer(b->channel, request, &msg,
						      vmm_vhost_deadline(DEADLINE_MS)) == 0
		       ? msg.payload.u64
		       : NO_ANSWER;
}

#define GOOD                                      \
	{                                         \
		.id = ID, .len = PAGE, .flags = 1 \
	}

/* Asked in this order, and what comes of it. */
static const struct {
	struct ask ask;
	uint64_t answer;
} script[] = {
	{{.id = ID, .len = 2 * PAGE, .flags = 1}, 0},
	{{.id = ID, .offset = PAGE, .len = PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = LEN - PAGE, .fd_offset = 3 * PAGE, .len = PAGE, .flags = 1}, 0},
	{{.id = ID, .offset = 8 * PAGE, .fd_offset = PAGE, .len = PAGE}, 0}, /* read-only */
	/* Outside of the region, in every way. */
	{{.id = ID, .offset = LEN, .len = PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = LEN - 2 * PAGE, .len = 4 * PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = 0 - PAGE, .len = PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = 16 * PAGE, .len = 0 - 16 * PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = 16 * PAGE, .len = 0, .flags = 1}, 1},
	{{.id = ID, .offset = 16 * PAGE + 8, .len = PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = 16 * PAGE, .len = PAGE - 8, .flags = 1}, 1},
	{{.id = ID + 1, .offset = 16 * PAGE, .len = PAGE, .flags = 1}, 1},
	{{.id = 0, .offset = 16 * PAGE, .len = PAGE, .flags = 1}, 1},
	/* Outside of the file. */
	{{.id = ID, .offset = 16 * PAGE, .fd_offset = 4 * PAGE, .len = PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = 16 * PAGE, .fd_offset = 3 * PAGE, .len = 2 * PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = 16 * PAGE, .fd_offset = 0 - PAGE, .len = PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = 16 * PAGE, .fd_offset = 8, .len = PAGE, .flags = 1}, 1},
	{{.id = ID, .offset = 16 * PAGE, .len = PAGE, .flags = 1, .no_file = true}, 1},
	{{.id = ID, .offset = 16 * PAGE, .len = PAGE, .flags = 2}, 1},
	/* Back again. */
	{{.unmap = true, .id = ID, .len = PAGE}, 1},
	{{.unmap = true, .id = ID, .len = 3 * PAGE}, 1},
	{{.unmap = true, .id = ID + 1, .len = 2 * PAGE}, 1},
	{{.unmap = true, .id = ID, .len = 2 * PAGE}, 0},
	{{.unmap = true, .id = ID, .len = 2 * PAGE}, 1},
};
#define STEPS (sizeof(script) / sizeof(script[0]))
#define LEFT  2u /* mappings, in the end */

static int dialect_used;
static uint64_t answers[STEPS];
static bool done;

static void run_script(struct back_end *b)
{
	for (size_t i = 0; i < STEPS; i++) {
		answers[i] = ask(b, dialect_used, &script[i].ask);
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
}

static void check_script(void)
{
	const uint8_t *seen;

	ck_assert(__atomic_load_n(&done, __ATOMIC_ACQUIRE));
	for (size_t i = 0; i < STEPS; i++) {
		ck_assert_msg(answers[i] == script[i].answer, "step %zu: %lld", i,
			      (long long)answers[i]);
	}
	ck_assert_uint_eq(lost, 0);
	ck_assert_uint_eq(fakedrv_shm_count(drv), LEFT);
	seen = fakedrv_shm(drv, ID, LEN - PAGE, PAGE);
	ck_assert_ptr_nonnull(seen);
	ck_assert_uint_eq(seen[5], '3');
	seen = fakedrv_shm(drv, ID, 8 * PAGE, PAGE);
	ck_assert_uint_eq(seen[5], '1');
}

/* ---- life ---- */

static void on_lost(void *ctx, int why)
{
	(void)ctx;
	lost++;
	lost_why = why;
}

static void set_up(void)
{
	fds_before = fdcount();
	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	file = memfd_create("blob", MFD_CLOEXEC);
	other = eventfd(0, EFD_CLOEXEC);
	ck_assert(file >= 0 && other >= 0);
	ck_assert_int_eq(ftruncate(file, FILE_LEN), 0);
	for (int i = 0; i < 4; i++) {
		const char digit = (char)('0' + i);

		ck_assert_int_eq(pwrite(file, &digit, 1, i * (off_t)PAGE + 5), 1);
	}
	lost = 0;
	lost_why = 0;
	done = false;
	drv = NULL;
	dev = NULL;
}

static void tear_down(void)
{
	fakedrv_destroy(drv);
	vmm_loop_destroy(loop);
	(void)close(file);
	(void)close(other);
	ck_assert_uint_eq(fdcount(), fds_before);
}

static void init_peer(int dialect)
{
	init_back_end(&peer);
	dialect_used = dialect;
	peer.protocol |= feature[dialect];
	peer.shmem.count = 1;
	peer.shmem.sizes[ID] = LEN;
	peer.shmem_private.count = 1;
	peer.shmem_private.regions[0].id = ID;
	peer.shmem_private.regions[0].len = LEN;
}

static int create(int fd, const struct vmm_virtio_shm *shm, bool any, struct vmm_error *err)
{
	const struct vmm_vhost_frontend_config config = {
		.loop = loop,
		.fd = fd,
		.name = "test",
		.device_id = VMM_VIRTIO_ID_GPU,
		.queue_count = QUEUES,
		.queue_sizes = queue_sizes,
		.config_len = CONFIG_LEN,
		.deadline_ms = DEADLINE_MS,
		.shm = shm,
		.shm_count = shm ? 1 : 0,
		.shm_any = any,
		.waits = true,
		.on_lost = on_lost,
	};

	return vmm_vhost_frontend_create(&dev, &config, err);
}

static void meet(void)
{
	struct vmm_error err = {0};

	ck_assert_msg(create(start_back_end(&peer), regions, false, &err) == 0, "%s", err.message);
	drv = fakedrv_create_on(dev, loop);
}

/* The front end hangs up. */
static void finish(void)
{
	fakedrv_destroy(drv);
	drv = NULL;
	join(&peer);
}

/* ---- which regions there are ---- */

START_TEST(shm_regions_are_those_of_the_back_end)
{
	struct vmm_error err = {0};

	init_peer(_i % 2);
	if (_i / 2 == 1) {
		/* As some say it: no more than there are. */
		peer.shmem_size = 8 + 2 * sizeof(uint64_t);
	}
	ck_assert_int_eq(create(start_back_end(&peer), NULL, true, &err), 0);
	ck_assert_uint_eq(dev->shm_count, 1);
	ck_assert_uint_eq(dev->shm[0].id, ID);
	ck_assert_uint_eq(dev->shm[0].len, LEN);
	vmm_virtio_device_destroy(dev);
	join(&peer);
}
END_TEST

START_TEST(shm_regions_others_than_expected_are_refused)
{
	struct vmm_error err = {0};
	int dialect = _i % 2;
	int fd;

	init_peer(dialect);
	switch (_i / 2) {
	case 0: /* another length */
		peer.shmem.sizes[ID] = LEN / 2;
		peer.shmem_private.regions[0].len = LEN / 2;
		break;
	case 1: /* one more */
		peer.shmem.sizes[ID + 1] = PAGE;
		peer.shmem_private.regions[1].id = ID + 1;
		peer.shmem_private.regions[1].len = PAGE;
		peer.shmem_private.count = 2;
		break;
	case 2: /* more than there may be */
		for (unsigned i = 0; i < 4; i++) {
			peer.shmem.sizes[ID + i] = LEN;
			peer.shmem_private.regions[i].id = (uint8_t)(ID + i);
			peer.shmem_private.regions[i].len = LEN;
		}
		peer.shmem_private.count = 4;
		break;
	case 3: /* none */
		peer.protocol &= ~feature[dialect];
		break;
	default: /* no way to map */
		peer.protocol &= ~VHOST_USER_PROTOCOL_F_BACKEND_REQ;
		break;
	}
	fd = start_back_end(&peer);
	ck_assert_int_eq(create(fd, regions, false, &err), -EPROTO);
	(void)close(fd);
	join(&peer);
}
END_TEST

/* The features of others mean something else where nobody expects regions. */
START_TEST(shm_is_not_spoken_of_when_none_is_expected)
{
	struct vmm_error err = {0};

	init_peer(STANDARD);
	peer.protocol |= UINT64_C(1) << 20 | UINT64_C(1) << 21 | UINT64_C(1) << 31;
	ck_assert_int_eq(create(start_back_end(&peer), NULL, false, &err), 0);
	ck_assert_uint_eq(dev->shm_count, 0);
	drv = fakedrv_create_on(dev, loop);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	ck_assert_uint_eq(count_of(&peer, VHOST_USER_GET_SHMEM_CONFIG), 0);
	send_ask(&peer, STANDARD, &(struct ask)GOOD);
	fakedrv_run_for(drv, 50, NULL);
	ck_assert_uint_eq(lost, 1);
	ck_assert_int_eq(lost_why, -EPROTO);
	finish();
}
END_TEST

/* ---- mapping ---- */

static void run_script_once(struct back_end *b, uint32_t request)
{
	if (request == VHOST_USER_SET_STATUS && !done) {
		run_script(b);
	}
}

/* The back end asks before it answers. */
START_TEST(shm_is_mapped_while_the_front_end_waits)
{
	init_peer(_i);
	peer.before = run_script_once;
	meet();
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	check_script();
	fakedrv_reset(drv);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 0);
	finish();
}
END_TEST

static void *script_main(void *arg)
{
	run_script(arg);
	return NULL;
}

START_TEST(shm_is_mapped_when_the_front_end_has_nothing_to_say)
{
	pthread_t thread;

	init_peer(_i);
	if (_i == PRIVATE) {
		/* As old back ends are; their requests are answered all the same. */
		peer.protocol &= ~(VHOST_USER_PROTOCOL_F_REPLY_ACK | VHOST_USER_PROTOCOL_F_STATUS);
	}
	meet();
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	/* All that was said is heard, the channel among it. */
	while (__atomic_load_n(&peer.channel, __ATOMIC_ACQUIRE) < 0) {
		(void)usleep(1000);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, script_main, &peer), 0);
	ck_assert(fakedrv_run_for(drv, 20000, &done));
	(void)pthread_join(thread, NULL);
	check_script();
	finish();
}
END_TEST

START_TEST(shm_request_that_wants_no_answer_gets_none)
{
	static const struct ask silent = {.id = ID, .len = PAGE, .flags = 1, .silent = true};
	struct vhost_msg msg;

	init_peer(STANDARD);
	meet();
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	send_ask(&peer, STANDARD, &silent);
	fakedrv_run_for(drv, 50, NULL);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 1);
	ck_assert_int_eq(vmm_vhost_receive_answer(peer.channel, VHOST_USER_BACKEND_SHMEM_MAP, &msg,
						  vmm_vhost_deadline(10)),
			 -ETIMEDOUT);
	finish();
}
END_TEST

START_TEST(shm_is_for_active_devices)
{
	static const struct ask good = GOOD;

	init_peer(_i);
	meet();
	send_ask(&peer, _i, &good);
	fakedrv_run_for(drv, 50, NULL);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 0);
	ck_assert_uint_eq(lost, 0);
	finish();
}
END_TEST

/* ---- mistakes that end the connection ---- */

START_TEST(shm_message_of_another_shape_ends_the_connection)
{
	struct vhost_msg msg;
	int dialect = _i % 2;

	init_peer(dialect);
	meet();
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	if (dialect == STANDARD) {
		say_standard(&(struct ask)GOOD, &msg);
	} else {
		say_private(&(struct ask)GOOD, &msg);
	}
	msg.fds[0] = msg.fds[1] = file;
	msg.fd_count = 1;
	switch (_i / 2) {
	case 0:
		msg.fd_count = 0;
		break;
	case 1:
		msg.fd_count = 2;
		break;
	case 2:
		msg.header.size--;
		break;
	case 3:
		msg.header.size++;
		break;
	case 4: /* the other's words */
		if (dialect == STANDARD) {
			say_private(&(struct ask)GOOD, &msg);
		} else {
			say_standard(&(struct ask)GOOD, &msg);
		}
		msg.fds[0] = file;
		msg.fd_count = 1;
		break;
	default:
		msg.header.flags = 7;
		break;
	}
	(void)vmm_vhost_send(peer.channel, &msg, vmm_vhost_deadline(DEADLINE_MS));
	fakedrv_run_for(drv, 50, NULL);
	ck_assert_uint_eq(lost, 1);
	ck_assert_int_eq(lost_why, -EPROTO);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 0);
	/* What it says after that is not heard. */
	send_ask(&peer, dialect, &(struct ask)GOOD);
	fakedrv_run_for(drv, 50, NULL);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 0);
	finish();
}
END_TEST

/* ---- another back end ---- */

static void map_and_leave(struct back_end *b, uint32_t request)
{
	if (request == VHOST_USER_SET_STATUS) {
		/* Does not wait for the answers. */
		send_ask(b, dialect_used, &(struct ask)GOOD);
		send_ask(b, dialect_used, &(struct ask){.id = ID, .offset = LEN});
	}
}

START_TEST(shm_of_a_new_back_end_starts_empty)
{
	struct vmm_error err = {0};

	init_peer(_i);
	peer.before = map_and_leave;
	meet();
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	fakedrv_run_for(drv, 50, NULL);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 1);
	/* Dies. What the guest may be looking at stays until there is another one. */
	(void)shutdown(peer.fd, SHUT_RDWR);
	fakedrv_run_for(drv, 50, NULL);
	ck_assert_uint_eq(lost, 1);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 1);
	/* What it still says is not heard. */
	send_ask(&peer, _i, &(struct ask){.id = ID, .offset = PAGE, .len = PAGE, .flags = 1});
	fakedrv_run_for(drv, 50, NULL);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 1);
	join(&peer);

	init_peer(_i);
	peer.before = run_script_once;
	ck_assert_msg(vmm_vhost_frontend_connect(dev, start_back_end(&peer), &err) == 0, "%s",
		      err.message);
	/* Its answers are its own, and what it maps is not in the way of what was there. */
	lost = 0;
	check_script();
	finish();
}
END_TEST

/* ---- the library's own back end ---- */

struct mapper {
	struct testdev base;
	int results[4];
	struct vmm_vhost_backend *b;
	struct vmm_loop *loop;
	pthread_t thread;
	int fd;
	bool stop;
};

static struct mapper mapper;
static int (*activate_testdev)(struct vmm_virtio_device *, const struct vmm_virtio_active *);

static int activate(struct vmm_virtio_device *base, const struct vmm_virtio_active *active)
{
	int *results = mapper.results;

	results[0] = vmm_virtio_shm_map(base, ID, 0, file, 0, PAGE, true);
	results[1] = vmm_virtio_shm_map(base, ID, LEN - PAGE, file, PAGE, PAGE, false);
	/* Refused by the other side: it sees no file. */
	results[2] = vmm_virtio_shm_map(base, ID, 4 * PAGE, other, 0, PAGE, true);
	results[3] = vmm_virtio_shm_map(base, ID, 4 * PAGE, file, 0, PAGE, true);
	(void)vmm_virtio_shm_unmap(base, ID, 4 * PAGE, PAGE);
	return activate_testdev(base, active);
}

static void *mapper_main(void *arg)
{
	struct mapper *m = arg;

	while (!__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE)) {
		(void)vmm_loop_dispatch(m->loop, 10);
	}
	return NULL;
}

static int start_mapper(void)
{
	static struct vmm_virtio_ops ops;
	struct vmm_vhost_backend_config config;
	int pair[2];

	memset(&mapper, 0, sizeof(mapper));
	testdev_init(&mapper.base);
	ops = *mapper.base.base.ops;
	activate_testdev = ops.activate;
	ops.activate = activate;
	mapper.base.base.ops = &ops;
	mapper.base.base.shm = regions;
	mapper.base.base.shm_count = 1;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(vmm_loop_create(&mapper.loop), 0);
	config = (struct vmm_vhost_backend_config){.loop = mapper.loop, .fd = pair[1]};
	ck_assert_int_eq(vmm_vhost_backend_create(&mapper.b, &mapper.base.base, &config, NULL), 0);
	ck_assert_int_eq(pthread_create(&mapper.thread, NULL, mapper_main, &mapper), 0);
	return pair[0];
}

static void stop_mapper(void)
{
	__atomic_store_n(&mapper.stop, true, __ATOMIC_RELEASE);
	(void)pthread_join(mapper.thread, NULL);
	vmm_vhost_backend_destroy(mapper.b);
	vmm_loop_destroy(mapper.loop);
}

START_TEST(shm_of_the_librarys_own_back_end)
{
	static const uint16_t sizes[] = {64, 64, 64, 64};
	struct vmm_vhost_frontend_config config = {
		.loop = loop,
		.name = "own",
		.device_id = VMM_VIRTIO_ID_GPU,
		.queue_count = TESTDEV_QUEUES,
		.queue_sizes = sizes,
		.config_len = TESTDEV_CONFIG_LEN,
		.deadline_ms = DEADLINE_MS,
		.shm = regions,
		.shm_count = 1,
		.on_lost = on_lost,
	};
	struct vmm_error err = {0};
	uint8_t *seen;

	config.fd = start_mapper();
	ck_assert_msg(vmm_vhost_frontend_create(&dev, &config, &err) == 0, "%s", err.message);
	drv = fakedrv_create_on(dev, loop);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
		ck_assert_uint_eq(fakedrv_shm_count(drv), 2);
		seen = fakedrv_shm(drv, ID, 0, PAGE);
		ck_assert_ptr_nonnull(seen);
		ck_assert_uint_eq(seen[5], '0');
		seen[6] = 'x';
		ck_assert_int_eq(mapper.results[0], 0);
		ck_assert_int_eq(mapper.results[1], 0);
		ck_assert_int_eq(mapper.results[2], -EREMOTEIO);
		ck_assert_int_eq(mapper.results[3], 0);
		fakedrv_reset(drv);
		ck_assert_uint_eq(fakedrv_shm_count(drv), 0);
	}
	ck_assert_uint_eq(lost, 0);
	stop_mapper();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{shm_regions_are_those_of_the_back_end, 4},
		{shm_regions_others_than_expected_are_refused, 10},
		{shm_is_not_spoken_of_when_none_is_expected, 1},
		{shm_is_mapped_while_the_front_end_waits, DIALECTS},
		{shm_is_mapped_when_the_front_end_has_nothing_to_say, DIALECTS},
		{shm_request_that_wants_no_answer_gets_none, 1},
		{shm_is_for_active_devices, DIALECTS},
		{shm_message_of_another_shape_ends_the_connection, 12},
		{shm_of_a_new_back_end_starts_empty, DIALECTS},
		{shm_of_the_librarys_own_back_end, 1},
	};
	Suite *suite = suite_create("vhost_shm");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, set_up, tear_down);
	}
	return suite_finish(suite);
}
