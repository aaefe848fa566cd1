/* SPDX-License-Identifier: MIT */
/* The display's side of a window: what it says, how much of it, and to whom it listens. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/dev/window_proto.h>

#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"

#define WIDTH  64u
#define HEIGHT 48u

static struct vmm_loop *loop;
static struct vmm_display *display;
static int peer; /* the window's end */
static unsigned fds_before;

static uint64_t fetched; /* bytes */
static uint32_t colour;
static unsigned frames;
static unsigned resizes;
static uint32_t resized[2];

/* sendmsg as it is when too many descriptors are on their way, for so many calls. */
static unsigned too_many;

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (too_many > 0) {
		too_many--;
		errno = ETOOMANYREFS;
		return -1;
	}
	return __real_sendmsg(fd, msg, flags);
}

static const struct vmm_display_rect all = {0, 0, WIDTH, HEIGHT};

static void copy(void *ctx, const struct vmm_display_rect *rect, void *dst, size_t stride)
{
	uint8_t *row = dst;

	(void)ctx;
	for (uint32_t y = 0; y < rect->height; y++) {
		for (uint32_t x = 0; x < rect->width; x++) {
			memcpy(row + x * 4ul, &colour, 4);
		}
		row += stride;
	}
	fetched += rect->width * rect->height * 4ul;
}

static void on_frame(void *ctx, unsigned scanout)
{
	(void)ctx;
	frames += scanout == 0;
}

static void on_resize(void *ctx, unsigned scanout, uint32_t width, uint32_t height)
{
	(void)ctx;
	(void)scanout;
	resizes++;
	resized[0] = width;
	resized[1] = height;
}

static const struct vmm_display_events events = {.frame = on_frame, .resize = on_resize};

static void start(void)
{
	int fds[2];

	fds_before = fdcount();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	ck_assert_int_eq(vmm_display_window(&display, fds[0], NULL, NULL), 0);
	ck_assert_int_eq(vmm_display_start(display, loop, &events, NULL), 0);
	peer = fds[1];
	fetched = 0;
	frames = 0;
	resizes = 0;
	colour = 0x11223344;
}

static void finish(void)
{
	vmm_display_stop(display);
	vmm_display_destroy(display);
	vmm_loop_destroy(loop);
	if (peer >= 0) {
		ck_assert_int_eq(close(peer), 0);
	}
	ck_assert_uint_eq(fdcount(), fds_before);
}

static void run(int ms)
{
	while (vmm_loop_dispatch(loop, ms) > 0) {
		ms = 0;
	}
}

static void set(uint32_t width, uint32_t height)
{
	const struct vmm_display_picture p = {.width = width,
					      .height = height,
					      .format = VMM_DISPLAY_B8G8R8X8,
					      .source = {.copy = copy}};

	vmm_display_set(display, 0, width > 0 ? &p : NULL);
}

static bool present(uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	const struct vmm_display_rect r = {x, y, width, height};

	return vmm_display_present(display, 0, &r, 1);
}

/* The next message, with its descriptor or -1; false: there is none. */
static bool hear(struct vmm_window_message *m, int *memfd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t got = recvmsg(peer, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c;

	*memfd = -1;
	if (got <= 0) {
		return false;
	}
	ck_assert_int_eq(got, sizeof(*m));
	c = CMSG_FIRSTHDR(&msg);
	if (c) {
		memcpy(memfd, CMSG_DATA(c), sizeof(int));
	}
	return true;
}

/* The next message, which is of this type and has a descriptor or not; the descriptor. */
static int expect(struct vmm_window_message *m, uint32_t type, bool with_fd)
{
	int memfd;

	ck_assert(hear(m, &memfd));
	ck_assert_uint_eq(m->type, type);
	ck_assert_int_eq(memfd >= 0, with_fd);
	return memfd;
}

static void expect_nothing(void)
{
	struct vmm_window_message m;
	int memfd;

	ck_assert(!hear(&m, &memfd));
}

static void say(uint32_t type, uint32_t serial, uint32_t a, uint32_t b)
{
	struct vmm_window_message m = {.type = type, .serial = serial};

	m.resize.width = a; /* or released.buffer */
	m.resize.height = b;
	ck_assert_int_eq(send(peer, &m, sizeof(m), MSG_NOSIGNAL), sizeof(m));
	run(0);
}

/* A window with a picture, whose first present it has. The pool, mapped. */
static const uint32_t *open_window(uint32_t *serial)
{
	struct vmm_window_message m;
	void *map;
	int memfd;

	set(WIDTH, HEIGHT);
	memfd = expect(&m, VMM_WINDOW_POOL, true);
	*serial = m.serial;
	ck_assert_uint_eq(m.pool.width, WIDTH);
	ck_assert_uint_eq(m.pool.height, HEIGHT);
	ck_assert_uint_eq(m.pool.stride, WIDTH * 4);
	ck_assert_uint_eq(m.pool.format, VMM_DISPLAY_B8G8R8X8);
	ck_assert_uint_eq(m.pool.size, m.pool.buffers * m.pool.stride * HEIGHT);
	ck_assert_int_eq(fcntl(memfd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	map = mmap(NULL, m.pool.size, PROT_READ, MAP_SHARED, memfd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(close(memfd), 0);
	ck_assert(!present(0, 0, WIDTH, HEIGHT));
	(void)expect(&m, VMM_WINDOW_PRESENT, false);
	ck_assert_uint_eq(m.serial, *serial);
	ck_assert_uint_eq(m.present.buffer, 0);
	ck_assert_uint_eq(m.present.count, 1);
	ck_assert_mem_eq(&m.present.rects[0], &all, sizeof(all));
	ck_assert_uint_eq(((uint32_t *)map)[0], colour);
	ck_assert_uint_eq(((uint32_t *)map)[WIDTH * HEIGHT - 1], colour);
	say(VMM_WINDOW_TAKEN, *serial, 0, 0);
	return map;
}

/* Frees what open_window mapped. */
static void close_pool(const uint32_t *map)
{
	ck_assert_int_eq(munmap((void *)(uintptr_t)map, 3ul * WIDTH * HEIGHT * 4), 0);
}

/* ---- a window that does what it should ---- */

START_TEST(window_gets_one_picture_for_each_frame)
{
	struct vmm_window_message m;
	const uint32_t *map;
	uint32_t serial;

	start();
	map = open_window(&serial);
	/* Not asked for: it stays here, however much it is. */
	colour = 0x55667788;
	ck_assert(!present(1, 2, 3, 4));
	ck_assert(!present(5, 6, 7, 8));
	expect_nothing();
	ck_assert_uint_eq(frames, 0);
	say(VMM_WINDOW_FRAME, serial, 0, 0);
	ck_assert_uint_eq(frames, 1);
	(void)expect(&m, VMM_WINDOW_PRESENT, false);
	/* Buffer 0 is not released yet. */
	ck_assert_uint_ne(m.present.buffer, 0);
	ck_assert_uint_eq(m.present.count, 2);
	ck_assert_mem_eq(&m.present.rects[1], (&(struct vmm_display_rect){5, 6, 7, 8}), 16);
	ck_assert_uint_eq(map[m.present.buffer * WIDTH * HEIGHT + 2 * WIDTH + 1], colour);
	expect_nothing();
	/* Asked for with nothing to show; then shown at once. */
	say(VMM_WINDOW_FRAME, serial, 0, 0);
	expect_nothing();
	ck_assert(!present(1, 2, 3, 4));
	(void)expect(&m, VMM_WINDOW_PRESENT, false);
	close_pool(map);
	finish();
}
END_TEST

/* Descriptors that others do not take: the socket can be written, and must not be waited for. */
START_TEST(window_too_many_descriptors_on_their_way_are_waited_for_quietly)
{
	struct vmm_window_message m;

	start();
	too_many = 2;
	set(WIDTH, HEIGHT);
	expect_nothing();
	ck_assert_uint_eq(too_many, 1);
	run(0);
	ck_assert_uint_eq(too_many, 1);
	for (unsigned i = 0; i < 10 && too_many > 0; i++) {
		run(100);
	}
	run(100);
	ck_assert_int_eq(close(expect(&m, VMM_WINDOW_POOL, true)), 0);
	finish();
}
END_TEST

START_TEST(window_small_change_is_a_small_copy)
{
	struct vmm_window_message m;
	const uint32_t *map;
	uint32_t serial;

	start();
	map = open_window(&serial);
	say(VMM_WINDOW_RELEASED, serial, 0, 0);
	fetched = 0;
	for (unsigned i = 0; i < 10; i++) {
		colour = i;
		(void)present(20, 20, 10, 10);
		say(VMM_WINDOW_FRAME, serial, 0, 0);
		(void)expect(&m, VMM_WINDOW_PRESENT, false);
		ck_assert_uint_eq(m.present.buffer, 0);
		ck_assert_uint_eq(map[20 * WIDTH + 20], i);
		ck_assert_uint_eq(map[19 * WIDTH + 20], 0x11223344);
		say(VMM_WINDOW_RELEASED, serial, 0, 0);
	}
	ck_assert_uint_eq(fetched, 10 * 400);
	close_pool(map);
	finish();
}
END_TEST

START_TEST(window_every_buffer_has_all_changes)
{
	struct vmm_window_message m;
	const uint32_t *map;
	uint32_t serial;

	start();
	map = open_window(&serial);
	for (unsigned i = 0; i < 30; i++) {
		uint32_t x = i * 2;

		colour = i;
		(void)present(x, 0, 2, 2);
		say(VMM_WINDOW_FRAME, serial, 0, 0);
		(void)expect(&m, VMM_WINDOW_PRESENT, false);
		/* Each change of the past is there, or a later colour where rects were joined. */
		for (uint32_t j = 0; j <= i; j++) {
			uint32_t at = map[m.present.buffer * WIDTH * HEIGHT + j * 2];

			SUITE_REQUIRE(at >= j && at <= i);
		}
		/* Two behind, as a compositor does. */
		say(VMM_WINDOW_RELEASED, serial, m.present.buffer == 0 ? 2 : m.present.buffer - 1,
		    0);
	}
	close_pool(map);
	finish();
}
END_TEST

START_TEST(window_no_buffer_no_picture)
{
	struct vmm_window_message m;
	const uint32_t *map;
	uint32_t serial;

	start();
	map = open_window(&serial);
	for (unsigned i = 0; i < 2; i++) {
		(void)present(0, 0, 1, 1);
		say(VMM_WINDOW_FRAME, serial, 0, 0);
		(void)expect(&m, VMM_WINDOW_PRESENT, false);
	}
	(void)present(9, 9, 1, 1);
	say(VMM_WINDOW_FRAME, serial, 0, 0);
	expect_nothing();
	say(VMM_WINDOW_RELEASED, serial, 1, 0);
	(void)expect(&m, VMM_WINDOW_PRESENT, false);
	ck_assert_uint_eq(m.present.buffer, 1);
	ck_assert_mem_eq(&m.present.rects[0], (&(struct vmm_display_rect){9, 9, 1, 1}), 16);
	close_pool(map);
	finish();
}
END_TEST

START_TEST(window_flip_keeps_the_pool_and_shows_all)
{
	struct vmm_window_message m;
	const uint32_t *map;
	uint32_t serial;

	start();
	map = open_window(&serial);
	say(VMM_WINDOW_RELEASED, serial, 0, 0);
	say(VMM_WINDOW_FRAME, serial, 0, 0);
	colour = 0x99;
	set(WIDTH, HEIGHT);
	expect_nothing();
	(void)present(0, 0, WIDTH, HEIGHT);
	(void)expect(&m, VMM_WINDOW_PRESENT, false);
	ck_assert_uint_eq(m.serial, serial);
	ck_assert_uint_eq(map[m.present.buffer * WIDTH * HEIGHT + 5], 0x99);
	close_pool(map);
	finish();
}
END_TEST

START_TEST(window_off_and_on_again)
{
	struct vmm_window_message m;
	const uint32_t *map;
	uint32_t serial;

	start();
	map = open_window(&serial);
	set(0, 0);
	(void)expect(&m, VMM_WINDOW_POOL, false);
	ck_assert_uint_eq(m.pool.width, 0);
	ck_assert_uint_eq(m.serial, serial + 1);
	ck_assert(present(0, 0, 1, 1));
	say(VMM_WINDOW_TAKEN, serial + 1, 0, 0);
	set(100, 10);
	ck_assert_int_eq(close(expect(&m, VMM_WINDOW_POOL, true)), 0);
	ck_assert_uint_eq(m.pool.width, 100);
	/* Late words about pools that were replaced. */
	say(VMM_WINDOW_RELEASED, serial, 0, 0);
	say(VMM_WINDOW_FRAME, serial, 0, 0);
	(void)present(0, 0, 100, 10);
	(void)expect(&m, VMM_WINDOW_PRESENT, false);
	(void)present(0, 0, 100, 10);
	say(VMM_WINDOW_FRAME, serial, 0, 0);
	expect_nothing();
	close_pool(map);
	finish();
}
END_TEST

START_TEST(window_pointer_is_sent_with_its_image)
{
	struct vmm_display_cursor c = {.width = 8,
				       .height = 4,
				       .format = VMM_DISPLAY_B8G8R8A8,
				       .hot_x = 2,
				       .hot_y = 3,
				       .source = {.copy = copy}};
	struct vmm_window_message m;
	uint32_t image[33];
	uint32_t first;
	int memfd;

	start();
	vmm_display_set_cursor(display, 0, NULL);
	expect_nothing();
	vmm_display_set_cursor(display, 0, &c);
	memfd = expect(&m, VMM_WINDOW_CURSOR, true);
	first = m.serial;
	ck_assert_uint_eq(m.cursor.width, 8);
	ck_assert_uint_eq(m.cursor.height, 4);
	ck_assert_uint_eq(m.cursor.format, VMM_DISPLAY_B8G8R8A8);
	ck_assert_uint_eq(m.cursor.hot_x, 2);
	ck_assert_uint_eq(m.cursor.hot_y, 3);
	ck_assert_int_eq(pread(memfd, image, sizeof(image), 0), 128);
	ck_assert_uint_eq(image[31], colour);
	ck_assert_int_eq(close(memfd), 0);
	/* Of those that come meanwhile, the last. */
	for (unsigned i = 0; i < 1000; i++) {
		c.hot_x = i % 8;
		vmm_display_set_cursor(display, 0, &c);
	}
	expect_nothing();
	say(VMM_WINDOW_TAKEN, first, 0, 0);
	ck_assert_int_eq(close(expect(&m, VMM_WINDOW_CURSOR, true)), 0);
	ck_assert_uint_eq(m.cursor.hot_x, 7);
	say(VMM_WINDOW_TAKEN, m.serial, 0, 0);
	vmm_display_set_cursor(display, 0, NULL);
	(void)expect(&m, VMM_WINDOW_CURSOR, false);
	ck_assert_uint_eq(m.cursor.width, 0);
	finish();
}
END_TEST

START_TEST(window_size_is_told_when_it_rests)
{
	start();
	for (uint32_t i = 1; i <= 50; i++) {
		say(VMM_WINDOW_RESIZE, 0, 100 + i, 200);
	}
	ck_assert_uint_eq(resizes, 0);
	run(300);
	ck_assert_uint_eq(resizes, 1);
	ck_assert_uint_eq(resized[0], 150);
	ck_assert_uint_eq(resized[1], 200);
	finish();
}
END_TEST

/* ---- one that stands still ---- */

START_TEST(window_that_stands_still_costs_nothing)
{
	struct vmm_window_message m;
	unsigned fds;
	int memfd;
	unsigned count = 0;

	start();
	fds = fdcount();
	for (uint32_t i = 0; i < 1000; i++) {
		struct vmm_display_cursor c = {
			.width = 8, .height = 8, .format = 1, .source = {.copy = copy}};

		set(WIDTH + i % 2, HEIGHT);
		(void)present(0, 0, WIDTH, HEIGHT);
		vmm_display_set_cursor(display, 0, &c);
		ck_assert_uint_le(fdcount(), fds + 2);
	}
	while (hear(&m, &memfd)) {
		count++;
		if (memfd >= 0) {
			ck_assert_int_eq(close(memfd), 0);
		}
	}
	/* A pool, a picture of it, a pointer. */
	ck_assert_uint_eq(count, 3);
	finish();
}
END_TEST

START_TEST(window_that_nobody_sees_does_not_hold_the_guest)
{
	const uint32_t *map;
	uint32_t serial;

	start();
	map = open_window(&serial);
	ck_assert(!present(0, 0, 1, 1));
	run(500);
	ck_assert_uint_eq(frames, 1);
	ck_assert(!present(0, 0, 1, 1));
	run(500);
	ck_assert_uint_eq(frames, 2);
	expect_nothing();
	close_pool(map);
	finish();
}
END_TEST

/* ---- one that means harm, or is gone ---- */

static void check_gone(void)
{
	struct vmm_window_message m;
	int memfd;

	while (hear(&m, &memfd)) {
		if (memfd >= 0) {
			ck_assert_int_eq(close(memfd), 0);
		}
	}
	ck_assert_int_eq(recv(peer, &m, sizeof(m), MSG_DONTWAIT), 0);
	ck_assert(present(0, 0, 1, 1));
	set(0, 0);
	set(WIDTH, HEIGHT);
	ck_assert(present(0, 0, 1, 1));
}

START_TEST(window_gone_the_display_goes_on)
{
	const uint32_t *map;
	uint32_t serial;

	start();
	map = open_window(&serial);
	ck_assert(!present(0, 0, 1, 1));
	ck_assert_int_eq(close(peer), 0);
	peer = -1;
	run(0);
	run(500);
	ck_assert_uint_eq(frames, 1);
	ck_assert(present(0, 0, 1, 1));
	set(0, 0);
	set(WIDTH, HEIGHT);
	ck_assert(present(0, 0, 1, 1));
	close_pool(map);
	/* Another user may start it, too. */
	vmm_display_stop(display);
	ck_assert_int_eq(vmm_display_start(display, loop, &events, NULL), 0);
	finish();
}
END_TEST

START_TEST(window_that_breaks_the_protocol_is_left)
{
	static const struct {
		uint32_t type, a, b;
		size_t len;
	} bad[] = {
		{0, 0, 0, 0},
		{VMM_WINDOW_POOL, 0, 0, 0},
		{VMM_WINDOW_PRESENT, 0, 0, 0},
		{UINT32_MAX, 0, 0, 0},
		{VMM_WINDOW_RELEASED, 3, 0, 0},
		{VMM_WINDOW_RELEASED, UINT32_MAX, 0, 0},
		{VMM_WINDOW_RESIZE, 0, 1, 0},
		{VMM_WINDOW_RESIZE, 1, 0, 0},
		{VMM_WINDOW_RESIZE, 16385, 1, 0},
		{VMM_WINDOW_RESIZE, 1, UINT32_MAX, 0},
		{VMM_WINDOW_FRAME, 0, 0, 1},
		{VMM_WINDOW_FRAME, 0, 0, sizeof(struct vmm_window_message) - 1},
		{VMM_WINDOW_FRAME, 0, 0, sizeof(struct vmm_window_message) + 1},
	};
	uint8_t bytes[sizeof(struct vmm_window_message) + 1] = {0};
	struct vmm_window_message m = {.type = bad[_i].type};
	const uint32_t *map;
	uint32_t serial;

	start();
	map = open_window(&serial);
	m.serial = serial;
	m.resize.width = bad[_i].a;
	m.resize.height = bad[_i].b;
	memcpy(bytes, &m, sizeof(m));
	ck_assert_int_gt(send(peer, bytes, bad[_i].len > 0 ? bad[_i].len : sizeof(m), 0), 0);
	run(0);
	check_gone();
	close_pool(map);
	finish();
}
END_TEST

START_TEST(window_descriptors_are_not_taken)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct vmm_window_message m = {.type = VMM_WINDOW_FRAME};
	struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	unsigned fds;

	start();
	fds = fdcount();
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &peer, sizeof(int));
	ck_assert_int_eq(sendmsg(peer, &msg, 0), sizeof(m));
	run(0);
	ck_assert_uint_le(fdcount(), fds);
	check_gone();
	finish();
}
END_TEST

/* Anything at all, in any order: what stays is a display that works or has given up. */
START_TEST(window_random_words_do_no_harm)
{
	start();
	srand((unsigned)_i);
	set(WIDTH, HEIGHT);
	for (unsigned i = 0; i < 400; i++) {
		struct vmm_window_message m = {.type = 16 + (uint32_t)rand() % 4,
					       .serial = (uint32_t)rand() % 8};
		int memfd;

		m.resize.width = (uint32_t)rand() % 3;
		m.resize.height = 1;
		if (m.type == VMM_WINDOW_RESIZE && rand() % 16 != 0) {
			m.resize.width = 5;
		}
		(void)send(peer, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL);
		run(0);
		set(rand() % 8 == 0 ? 0 : WIDTH + (uint32_t)rand() % 2, HEIGHT);
		(void)present(0, 0, 1 + (uint32_t)rand() % WIDTH, 3);
		while (hear(&m, &memfd)) {
			SUITE_REQUIRE(m.type != VMM_WINDOW_PRESENT ||
				      (m.present.buffer < 3 && m.present.count > 0 &&
				       m.present.count <= VMM_WINDOW_RECTS_MAX));
			if (memfd >= 0) {
				SUITE_REQUIRE(close(memfd) == 0);
			}
		}
	}
	finish();
}
END_TEST

START_TEST(window_memory_that_is_not_there_shows_nothing)
{
	struct faultinj f = {.only = NULL};

	while (faultinj_next(&f)) {
		struct vmm_display *d = NULL;
		int fds[2];
		int ret = -1;

		fds_before = fdcount();
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0) {
			ret = vmm_loop_create(&loop);
			ret = ret == 0 ? vmm_display_window(&d, fds[0], NULL, NULL) : ret;
			ret = ret == 0 ? vmm_display_start(d, loop, &events, NULL) : ret;
			if (ret == 0) {
				display = d;
				set(WIDTH, HEIGHT);
				(void)present(0, 0, 1, 1);
			}
			faultinj_stop(&f);
			vmm_display_stop(d);
			if (!d) {
				(void)close(fds[0]);
			}
			vmm_display_destroy(d);
			vmm_loop_destroy(loop);
			(void)close(fds[1]);
		}
		faultinj_stop(&f);
		loop = NULL;
		ck_assert_uint_eq(fdcount(), fds_before);
		ck_assert(ret == 0 || f.failed);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{window_gets_one_picture_for_each_frame, 1},
		{window_too_many_descriptors_on_their_way_are_waited_for_quietly, 1},
		{window_small_change_is_a_small_copy, 1},
		{window_every_buffer_has_all_changes, 1},
		{window_no_buffer_no_picture, 1},
		{window_flip_keeps_the_pool_and_shows_all, 1},
		{window_off_and_on_again, 1},
		{window_pointer_is_sent_with_its_image, 1},
		{window_size_is_told_when_it_rests, 1},
		{window_that_stands_still_costs_nothing, 1},
		{window_that_nobody_sees_does_not_hold_the_guest, 1},
		{window_gone_the_display_goes_on, 1},
		{window_that_breaks_the_protocol_is_left, 13},
		{window_descriptors_are_not_taken, 1},
		{window_random_words_do_no_harm, 20},
		{window_memory_that_is_not_there_shows_nothing, 1},
	};

	return suite_run_looped("display_window", tests, sizeof(tests) / sizeof(tests[0]));
}
