/* SPDX-License-Identifier: MIT */
/*
 * What vmm-window takes for a message of its display. (Which rules there are is seen from outside
 * in tests/gpu/window_local; here, that nothing else gets past and nothing is kept.)
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/window/link.h"
#include "fdcount.h"
#include "suite.h"

struct fixture {
	struct link link;
	int display;
	int ours;
};

static void set_up(struct fixture *f)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	f->ours = pair[0];
	f->display = pair[1];
	link_init(&f->link, f->ours);
}

static void tear_down(struct fixture *f)
{
	ck_assert_int_eq(close(f->ours), 0);
	ck_assert_int_eq(close(f->display), 0);
}

static int make_memfd(size_t size)
{
	int fd = memfd_create("picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	SUITE_REQUIRE(ftruncate(fd, (off_t)size) == 0);
	SUITE_REQUIRE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

static void send_packet(struct fixture *f, const void *bytes, size_t len, int fd, unsigned count)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(16 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		for (unsigned i = 0; i < count; i++) {
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fd, sizeof(int));
		}
	}
	SUITE_REQUIRE(sendmsg(f->display, &m, 0) == (ssize_t)len);
}

static struct vmm_window_message pool(uint32_t serial)
{
	return (struct vmm_window_message){
		.type = VMM_WINDOW_POOL,
		.serial = serial,
		.pool = {.width = 8,
			 .height = 4,
			 .stride = 32,
			 .format = VMM_DISPLAY_B8G8R8X8,
			 .buffers = 2,
			 .size = 256},
	};
}

static struct vmm_window_message picture(uint32_t serial, uint32_t buffer)
{
	return (struct vmm_window_message){
		.type = VMM_WINDOW_PRESENT,
		.serial = serial,
		.present = {.buffer = buffer, .count = 1, .rects = {{1, 1, 7, 3}}},
	};
}

static int receive(struct fixture *f)
{
	struct vmm_window_message msg;
	int memfd;
	int ret = link_receive(&f->link, &msg, &memfd);

	SUITE_REQUIRE(ret == 1 || memfd == -1);
	if (memfd >= 0) {
		SUITE_REQUIRE(close(memfd) == 0);
	}
	return ret;
}

static int hear(struct fixture *f, const struct vmm_window_message *msg, int fd)
{
	send_packet(f, msg, sizeof(*msg), fd, fd >= 0);
	return receive(f);
}

START_TEST(conversation_as_it_should_be)
{
	struct vmm_window_message msg;
	struct vmm_window_message got;
	struct fixture f;
	int fd = make_memfd(256);

	set_up(&f);
	ck_assert_int_eq(receive(&f), -EAGAIN);
	msg = pool(1);
	ck_assert_int_eq(hear(&f, &msg, fd), 1);
	msg = picture(1, 1);
	ck_assert_int_eq(hear(&f, &msg, -1), 1);
	/* A pointer does not wait for the pool to be taken. */
	msg = (struct vmm_window_message){.type = VMM_WINDOW_CURSOR, .serial = 2};
	ck_assert_int_eq(hear(&f, &msg, -1), 1);
	ck_assert_int_eq(link_taken(&f.link, 1), 0);
	ck_assert_int_eq(recv(f.display, &got, sizeof(got), 0), sizeof(got));
	ck_assert_uint_eq(got.type, VMM_WINDOW_TAKEN);
	ck_assert_uint_eq(got.serial, 1);
	ck_assert_int_eq(link_frame(&f.link, 1), 0);
	ck_assert_int_eq(recv(f.display, &got, sizeof(got), 0), sizeof(got));
	ck_assert_uint_eq(got.type, VMM_WINDOW_FRAME);
	/* Once is enough. */
	ck_assert_int_eq(link_frame(&f.link, 1), 0);
	ck_assert_int_eq(recv(f.display, &got, sizeof(got), MSG_DONTWAIT), -1);
	msg = picture(1, 0);
	ck_assert_int_eq(hear(&f, &msg, -1), 1);
	ck_assert_int_eq(link_released(&f.link, 1, 1), 0);
	ck_assert_int_eq(recv(f.display, &got, sizeof(got), 0), sizeof(got));
	ck_assert_uint_eq(got.released.buffer, 1);
	/* What is about the pool before is no news. */
	msg = pool(3);
	ck_assert_int_eq(hear(&f, &msg, fd), 1);
	ck_assert_int_eq(link_released(&f.link, 1, 0), 0);
	ck_assert_int_eq(link_frame(&f.link, 1), 0);
	ck_assert_int_eq(recv(f.display, &got, sizeof(got), MSG_DONTWAIT), -1);
	/* A second pool that is not taken is too many. */
	msg = pool(4);
	ck_assert_int_eq(hear(&f, &msg, fd), -EPROTO);
	ck_assert_ptr_nonnull(f.link.why);
	tear_down(&f);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* The display's process is killed, and another one goes on with the same socket. */
START_TEST(another_display_starts_again)
{
	struct vmm_window_message msg;
	struct fixture f;
	int fd = make_memfd(256);

	set_up(&f);
	for (uint32_t serial = 1; serial <= 3; serial++) {
		msg = pool(serial);
		ck_assert_int_eq(hear(&f, &msg, fd), 1);
		ck_assert_int_eq(link_taken(&f.link, serial), 0);
	}
	msg = picture(3, 1);
	ck_assert_int_eq(hear(&f, &msg, -1), 1);
	msg = pool(1);
	ck_assert_int_eq(hear(&f, &msg, fd), 1);
	msg = picture(1, 1);
	ck_assert_int_eq(hear(&f, &msg, -1), 1);
	/* That is no way to make it hold more than it would. */
	msg = pool(1);
	ck_assert_int_eq(hear(&f, &msg, fd), -EPROTO);
	tear_down(&f);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(packets_of_every_other_length_are_refused)
{
	struct fixture f;
	uint8_t bytes[2 * sizeof(struct vmm_window_message)] = {0};
	struct vmm_window_message msg = pool(1);
	int fd = make_memfd(256);
	unsigned before;

	set_up(&f);
	before = fdcount();
	memcpy(bytes, &msg, sizeof(msg));
	for (size_t len = 1; len <= sizeof(bytes); len++) {
		link_init(&f.link, f.ours);
		send_packet(&f, bytes, len, fd, 1);
		SUITE_REQUIRE(receive(&f) == (len == sizeof(msg) ? 1 : -EPROTO));
	}
	/* However many descriptors come, none stays. */
	for (unsigned count = 0; count <= 16; count++) {
		link_init(&f.link, f.ours);
		send_packet(&f, &msg, sizeof(msg), fd, count);
		SUITE_REQUIRE(receive(&f) == (count == 1 ? 1 : -EPROTO));
	}
	ck_assert_uint_eq(fdcount(), before);
	tear_down(&f);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* What must hold for whatever was let through. */
static void check_pool(const struct vmm_window_pool *p)
{
	uint64_t bytes = (uint64_t)p->width * p->height * 4;

	if (p->width == 0) {
		return;
	}
	SUITE_REQUIRE(p->height > 0 && bytes <= VMM_DISPLAY_BYTES_MAX);
	SUITE_REQUIRE(p->stride == p->width * 4 && p->buffers >= 2 && p->buffers <= 3);
	SUITE_REQUIRE(p->buffers * bytes <= 4096 && p->size <= 4096);
}

static void check_rects(const struct fixture *f, const struct vmm_window_present *p)
{
	SUITE_REQUIRE(p->buffer < f->link.pool.buffers && p->count >= 1 && p->count <= 16);
	for (uint32_t i = 0; i < p->count; i++) {
		uint64_t right = (uint64_t)p->rects[i].x + p->rects[i].width;
		uint64_t bottom = (uint64_t)p->rects[i].y + p->rects[i].height;

		SUITE_REQUIRE(right <= f->link.pool.width && bottom <= f->link.pool.height);
	}
}

/* Each field of a good message in turn with numbers that are often a mistake. */
START_TEST(words_of_every_kind_are_checked)
{
	static const uint32_t odd[] = {0,          1,          2,          3,          4,
				       7,          8,          9,          16,         17,
				       255,        256,        257,        1024,       4095,
				       4096,       4097,       16384,      16385,      0x10000,
				       0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000, 0xffffffff};
	struct fixture f;
	int fd = make_memfd(4096);
	uint32_t words[sizeof(struct vmm_window_message) / 4];
	struct vmm_window_message msg;

	set_up(&f);
	for (unsigned round = 0; round < 2 * 14 * 25 * 14 * 25; round++) {
		bool present = round & 1;
		unsigned n = round / 2;
		int ret;

		link_init(&f.link, f.ours);
		msg = pool(1);
		SUITE_REQUIRE(!present || hear(&f, &msg, fd) == 1);
		msg = present ? picture(1, 0) : pool(1);
		memcpy(words, &msg, sizeof(words));
		words[n % 14] = odd[n / 14 % 25];
		words[n / 350 % 14] = odd[n / 4900 % 25];
		memcpy(&msg, words, sizeof(words));
		ret = hear(&f, &msg, present ? -1 : fd);
		SUITE_REQUIRE(ret == 1 || ret == -EPROTO);
		if (ret == 1 && msg.type == VMM_WINDOW_PRESENT) {
			check_rects(&f, &msg.present);
		} else if (ret == 1 && msg.type == VMM_WINDOW_POOL) {
			check_pool(&msg.pool);
		}
	}
	tear_down(&f);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(display_that_does_not_read_is_noticed)
{
	struct fixture f;
	int ret = 0;

	set_up(&f);
	for (int i = 0; i < 100000 && ret == 0; i++) {
		ret = link_resize(&f.link, 1, 1);
	}
	ck_assert_int_eq(ret, -EAGAIN);
	ck_assert_int_eq(close(f.display), 0);
	ck_assert_int_eq(link_resize(&f.link, 1, 1), -EPIPE);
	f.display = dup(f.ours);
	ck_assert_int_eq(receive(&f), -EPIPE);
	tear_down(&f);
}
END_TEST

SUITE_MAIN("window-link", conversation_as_it_should_be, another_display_starts_again,
	   packets_of_every_other_length_are_refused, words_of_every_kind_are_checked,
	   display_that_does_not_read_is_noticed)
