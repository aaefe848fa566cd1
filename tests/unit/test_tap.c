/* SPDX-License-Identifier: MIT */
/*
 * The tap back end with the real /dev/net/tun, in a network namespace of its own; where that is not
 * permitted those tests say so and pass over it.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include <vmm/dev/net.h>

#include "fakedrv.h"
#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static void expect_error(int ret, int code, const struct vmm_error *err, const char *words,
			 struct vmm_tap *const *tap)
{
	ck_assert_int_eq(ret, code);
	ck_assert_ptr_null(*tap);
	ck_assert_msg(strstr(err->message, words), "'%s' lacks '%s'", err->message, words);
}

START_TEST(tap_bad_names_are_refused_in_words)
{
	const char *names[] = {"", "sixteen-bytes-xx", "tap%d", "a/b"};

	for (unsigned i = 0; i < 4; i++) {
		struct vmm_tap *tap = (struct vmm_tap *)&names;
		struct vmm_error err = {0};

		expect_error(vmm_tap_open(&tap, names[i], &err), -EINVAL, &err, "1 to 15", &tap);
	}
}
END_TEST

START_TEST(tap_descriptor_that_is_no_tap_is_refused)
{
	struct vmm_tap *tap;
	struct vmm_error err = {0};
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	expect_error(vmm_tap_from_fd(&tap, fd, &err), -ENOTTY, &err, "not an attached tap", &tap);
	(void)close(fd);
	memset(&err, 0, sizeof(err));
	expect_error(vmm_tap_from_fd(&tap, 99999, &err), -EBADF, &err, "99999", &tap);
}
END_TEST

START_TEST(tap_socket_must_keep_packets_apart)
{
	struct vmm_tap *tap;
	struct vmm_error err = {0};
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	expect_error(vmm_tap_from_socket(&tap, fds[0], &err), -EINVAL, &err, "SEQPACKET", &tap);
	(void)close(fds[0]);
	(void)close(fds[1]);
	memset(&err, 0, sizeof(err));
	expect_error(vmm_tap_from_socket(&tap, 99999, &err), -EBADF, &err, "99999", &tap);
	vmm_tap_destroy(NULL);
}
END_TEST

START_TEST(tap_socket_takes_and_gives_datagrams)
{
	struct iovec out = {.iov_base = (char[]){"frame"}, .iov_len = 5};
	char buf[16] = {0};
	struct iovec in = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct vmm_tap *tap;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(vmm_tap_from_socket(&tap, fds[0], NULL), 0);
	ck_assert(!vmm_tap_is_trusted(tap));
	ck_assert_str_eq(vmm_tap_name(tap), "");
	ck_assert_int_eq(vmm_tap_receive(tap, &in, 1), -EAGAIN);
	ck_assert_int_eq(vmm_tap_send(tap, &out, 1), 5);
	ck_assert_int_eq(read(fds[1], buf, sizeof(buf)), 5);
	ck_assert_int_eq(write(fds[1], "reply", 5), 5);
	ck_assert_int_eq(vmm_tap_receive(tap, &in, 1), 5);
	ck_assert_str_eq(buf, "reply");
	(void)close(fds[1]);
	/* No SIGPIPE. */
	ck_assert_int_lt(vmm_tap_send(tap, &out, 1), 0);
	vmm_tap_destroy(tap);
}
END_TEST

START_TEST(tap_from_socket_survives_every_failure)
{
	struct faultinj f = {0};
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	while (faultinj_next(&f)) {
		struct vmm_tap *tap;
		int ret = vmm_tap_from_socket(&tap, fds[0], NULL);

		faultinj_stop(&f);
		ck_assert_int_eq(tap == NULL, f.failed != NULL);
		ck_assert_int_eq(ret < 0, f.failed != NULL);
		if (tap) {
			vmm_tap_destroy(tap);
			fds[0] = -1;
		}
	}
	ck_assert_int_eq(fds[0], -1);
	(void)close(fds[1]);
}
END_TEST

/* ---- with the kernel's taps ---- */

#define SKIPPED 77

/* As root, or as root of a user namespace, which programs started from here keep being. */
static bool enter_namespace(void)
{
	uid_t uid = getuid();
	FILE *map;

	if (unshare(CLONE_NEWNET) == 0) {
		return true;
	}
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
		return false;
	}
	map = fopen("/proc/self/uid_map", "we");
	return map && fprintf(map, "0 %u 1", (unsigned)uid) > 0 && fclose(map) == 0;
}

/* Runs fn in a child with a network of its own. */
static void in_namespace(void (*fn)(void))
{
	pid_t pid;
	int status;

	(void)fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (!enter_namespace() || access("/dev/net/tun", R_OK | W_OK) != 0) {
			_exit(SKIPPED);
		}
		fn();
		exit(0); /* not _exit: what measures coverage writes its figures then */
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "child died of signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == SKIPPED) {
		(void)printf("skipped: no network namespace or no /dev/net/tun here\n");
		return;
	}
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}

/* ck_assert does not work in the child. */
#define REQUIRE(condition)                                                            \
	do {                                                                          \
		if (!(condition)) {                                                   \
			(void)fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
			_exit(1);                                                     \
		}                                                                     \
	} while (0)

static void set_up(const char *name, bool up)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	REQUIRE(ioctl(fd, SIOCGIFFLAGS, &ifr) == 0);
	ifr.ifr_flags = (short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
	REQUIRE(ioctl(fd, SIOCSIFFLAGS, &ifr) == 0);
	(void)close(fd);
}

static void open_twice(void)
{
	struct vmm_error err = {0};
	struct vmm_tap *tap;
	struct vmm_tap *second;
	unsigned fds = fdcount();

	REQUIRE(vmm_tap_open(&tap, "vmmtest0", &err) == 0);
	REQUIRE(strcmp(vmm_tap_name(tap), "vmmtest0") == 0);
	REQUIRE(vmm_tap_is_trusted(tap));
	REQUIRE((vmm_tap_offloads(tap) & VMM_TAP_CSUM) != 0);
	REQUIRE(if_nametoindex("vmmtest0") != 0);
	REQUIRE(vmm_tap_open(&second, "vmmtest0", &err) == -EBUSY);
	REQUIRE(strstr(err.message, "another process") != NULL);
	REQUIRE(vmm_tap_open(&second, "lo", &err) == -EINVAL);
	vmm_tap_destroy(tap);
	REQUIRE(if_nametoindex("vmmtest0") == 0);
	REQUIRE(fdcount() == fds);
}

START_TEST(tap_open_makes_an_interface_and_close_removes_it)
{
	in_namespace(open_twice);
}
END_TEST

static int attach(const char *name, int flags)
{
	struct ifreq ifr = {0};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	(void)snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	ifr.ifr_flags = (short)flags;
	REQUIRE(flags == 0 || ioctl(fd, TUNSETIFF, &ifr) == 0);
	return fd;
}

static void refuse_flags(void)
{
	const struct {
		int flags;
		const char *words;
	} cases[] = {
		{0, "not an attached tap"},
		{IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, "not a tap"},
		{IFF_TAP | IFF_NO_PI, "IFF_VNET_HDR"},
	};

	for (unsigned i = 0; i < 3; i++) {
		int fd = attach("vmmtest1", cases[i].flags);
		struct vmm_error err = {0};
		struct vmm_tap *tap;

		REQUIRE(vmm_tap_from_fd(&tap, fd, &err) == -EINVAL);
		REQUIRE(strstr(err.message, cases[i].words) != NULL);
		(void)close(fd);
	}
}

START_TEST(tap_descriptor_with_wrong_flags_is_refused_in_words)
{
	in_namespace(refuse_flags);
}
END_TEST

static void fail_each(void)
{
	struct faultinj f = {0};
	unsigned fds = fdcount();

	while (faultinj_next(&f)) {
		struct vmm_tap *tap;
		int ret = vmm_tap_open(&tap, "vmmtest2", NULL);

		faultinj_stop(&f);
		REQUIRE((ret < 0) == (tap == NULL));
		vmm_tap_destroy(tap);
		REQUIRE(fdcount() == fds);
	}
	REQUIRE(f.n > 5);
}

START_TEST(tap_open_survives_every_failure)
{
	in_namespace(fail_each);
}
END_TEST

/* An ARP request from the host, as sending to an address of a network on the tap makes it. */
static void provoke_arp(void)
{
	char command[256];

	(void)snprintf(command, sizeof(command),
		       "ip addr add 192.0.2.1/24 dev vmmtest3 2>/dev/null;"
		       "ip link set vmmtest3 up 2>/dev/null");
	REQUIRE(system(command) == 0);
}

static struct fakedrv *drive(struct vmm_tap *tap)
{
	struct vmm_net_config config = {.tap = tap};
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;

	memcpy(config.mac, mac, 6);
	REQUIRE(vmm_net_create(&dev, &config, NULL) == 0);
	drv = fakedrv_create(dev);
	REQUIRE(fakedrv_start(drv, NULL) == 0);
	return drv;
}

static bool send_arp(struct fakedrv *drv, struct vmm_tap *tap)
{
	static const uint8_t frame[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0,   0, 0, 0, 1, 8, 6, 0, 1, 8, 0,   6, 4, 0,
		1,    2,    0,    0,    0,    0,    1, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1,
	};
	uint8_t *mem = fakedrv_alloc(drv, 12 + 60);
	struct fakedrv_buf buf = FAKEDRV_OUT(mem, 12 + 60);

	(void)tap;
	memcpy(mem + 12, frame, sizeof(frame));
	return fakedrv_request(drv, 1, &buf, 1) == 0;
}

/* The guest asks who has the host's address; the host answers. */
static void resolve(void)
{
	struct vmm_tap *tap;
	struct fakedrv *drv;
	bool answered = false;

	if (system("command -v ip >/dev/null") != 0) {
		_exit(SKIPPED);
	}
	REQUIRE(vmm_tap_open(&tap, "vmmtest3", NULL) == 0);
	provoke_arp();
	drv = drive(tap);
	for (unsigned i = 0; i < 8; i++) {
		uint8_t *mem = fakedrv_alloc(drv, 1526);
		struct fakedrv_buf buf = FAKEDRV_IN(mem, 1526);

		REQUIRE(fakedrv_add(drv, 0, &buf, 1) >= 0);
		if (i == 0) {
			REQUIRE(send_arp(drv, tap));
		}
	}
	fakedrv_kick(drv, 0);
	for (unsigned i = 0; i < 8 && !answered; i++) {
		const struct fakedrv_ring *ring = fakedrv_ring(drv, 0);
		struct fakedrv_used used;
		const uint8_t *mem;

		REQUIRE(fakedrv_wait_used(drv, 0, &used, 3000));
		mem = memfix_ptr(&(struct memfix){.mem = fakedrv_mem(drv)},
				 ring->desc[used.head].addr, 1526);
		/* ARP reply to us, from 192.0.2.1. */
		answered = memcmp(mem + 12, mac, 6) == 0 && mem[12 + 13] == 6 &&
			   mem[12 + 21] == 2 && mem[12 + 31] == 1;
	}
	REQUIRE(answered);
	/* Down: what is sent is lost; up again, all is well. */
	set_up("vmmtest3", false);
	REQUIRE(send_arp(drv, tap));
	set_up("vmmtest3", true);
	REQUIRE(send_arp(drv, tap));
	fakedrv_destroy(drv);
	vmm_tap_destroy(tap);
}

START_TEST(tap_carries_frames_between_guest_and_host)
{
	in_namespace(resolve);
}
END_TEST

static void lose(void)
{
	struct vmm_tap *tap;
	struct fakedrv *drv;
	uint8_t status = 1;
	uint8_t *mem;

	if (system("command -v ip >/dev/null") != 0) {
		_exit(SKIPPED);
	}
	REQUIRE(vmm_tap_open(&tap, "vmmtest4", NULL) == 0);
	set_up("vmmtest4", true);
	drv = drive(tap);
	mem = fakedrv_alloc(drv, 1526);
	struct fakedrv_buf buf = FAKEDRV_IN(mem, 1526);
	for (unsigned i = 0; i < 64; i++) {
		REQUIRE(fakedrv_add(drv, 0, &buf, 1) >= 0);
	}
	fakedrv_kick(drv, 0);
	REQUIRE(system("ip link del vmmtest4") == 0);
	for (unsigned i = 0; i < 100 && status != 0; i++) {
		(void)vmm_loop_dispatch(fakedrv_loop(drv), 20);
		fakedrv_read_config(drv, 6, &status, 1);
	}
	REQUIRE(status == 0);
	REQUIRE(vmm_loop_dispatch(fakedrv_loop(drv), 100) == 0);
	REQUIRE(send_arp(drv, tap));
	REQUIRE(!fakedrv_needs_reset(drv));
	REQUIRE(fakedrv_start(drv, NULL) == 0);
	fakedrv_destroy(drv);
	vmm_tap_destroy(tap);
}

START_TEST(tap_deleted_under_the_device_takes_the_link_down)
{
	in_namespace(lose);
}
END_TEST

SUITE_MAIN("tap", tap_bad_names_are_refused_in_words, tap_descriptor_that_is_no_tap_is_refused,
	   tap_socket_must_keep_packets_apart, tap_socket_takes_and_gives_datagrams,
	   tap_from_socket_survives_every_failure, tap_open_makes_an_interface_and_close_removes_it,
	   tap_descriptor_with_wrong_flags_is_refused_in_words, tap_open_survives_every_failure,
	   tap_carries_frames_between_guest_and_host,
	   tap_deleted_under_the_device_takes_the_link_down)
