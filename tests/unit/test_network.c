/* SPDX-License-Identifier: MIT */
/*
 * Bridges and taps, in a user and network namespace of the test's own. Where those (or
 * /dev/net/tun) are not to be had, the suite is skipped with the reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "network.h"
#include "suite.h"

#define SKIP 77

static short flags_of(const char *name)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	ck_assert_int_ge(fd, 0);
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ck_assert_int_eq(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	ck_assert_int_eq(close(fd), 0);
	return ifr.ifr_flags;
}

START_TEST(network_names_follow_the_pid)
{
	struct network_names n;

	network_names(4660, &n);
	ck_assert_str_eq(n.bridge, "br4660");
	ck_assert_str_eq(n.client_tap, "client4660");
	ck_assert_str_eq(n.router_tap, "router4660");
	ck_assert_str_eq(n.client_mac, "0A:B3:EC:00:12:34");
	ck_assert_str_eq(n.router_mac, "0A:B3:EC:80:12:34");
	/* The largest pid there can be still fits the names. */
	network_names(4194304, &n);
	ck_assert_str_eq(n.router_tap, "router4194304");
	ck_assert_str_eq(n.client_mac, "0A:B3:EC:00:00:00");
}
END_TEST

START_TEST(network_bridge_comes_up_and_goes)
{
	struct vmm_error err = {0};

	ck_assert_int_eq(network_bridge_add("br77", NULL), 0);
	ck_assert_int_ne(flags_of("br77") & IFF_UP, 0);
	ck_assert_int_eq(network_bridge_add("br77", &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.message, "br77"));
	ck_assert_int_eq(network_bridge_delete("br77", NULL), 0);
	ck_assert_uint_eq(if_nametoindex("br77"), 0);
	ck_assert_int_eq(network_bridge_delete("br77", NULL), -ENODEV);
}
END_TEST

START_TEST(network_bad_names_are_refused)
{
	ck_assert_int_eq(network_bridge_add("br%d", NULL), -EINVAL);
	ck_assert_int_eq(network_bridge_add("", NULL), -EINVAL);
	ck_assert_int_eq(network_bridge_add("a/b", NULL), -EINVAL);
	ck_assert_int_eq(network_bridge_add("..", NULL), -EINVAL);
	ck_assert_int_eq(network_bridge_add("sixteen-letters-", NULL), -ENAMETOOLONG);
	ck_assert_int_eq(network_bridge_delete("sixteen-letters-", NULL), -ENAMETOOLONG);
	ck_assert_int_eq(network_tap_create("tap%d", NULL), -EINVAL);
	ck_assert_int_eq(network_tap_create("sixteen-letters-", NULL), -ENAMETOOLONG);
}
END_TEST

START_TEST(network_tap_has_vnet_headers_and_lives_with_its_descriptor)
{
	struct ifreq ifr = {0};
	int fd = network_tap_create("client77", NULL);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ioctl(fd, TUNGETIFF, &ifr), 0);
	ck_assert_str_eq(ifr.ifr_name, "client77");
	ck_assert_int_eq(ifr.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR),
			 IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(network_tap_create("client77", NULL), -EBUSY);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_uint_eq(if_nametoindex("client77"), 0);
}
END_TEST

START_TEST(network_tap_on_bridge_is_enslaved_and_up)
{
	struct stat st;
	int fd;

	ck_assert_int_eq(network_bridge_add("br77", NULL), 0);
	fd = network_tap_on_bridge("br77", "router77", NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ne(flags_of("router77") & IFF_UP, 0);
	/* sysfs shows the namespace it was mounted in, so this holds only where it could be mounted
	 * anew. */
	if (stat("/sys/class/net/router77", &st) == 0) {
		ck_assert_int_eq(stat("/sys/class/net/br77/brif/router77", &st), 0);
	}
	ck_assert_int_eq(network_bridge_attach("br77", "router77", NULL), -EBUSY);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(network_tap_on_bridge("nobridge", "router77", NULL), -ENODEV);
	ck_assert_uint_eq(if_nametoindex("router77"), 0);
	ck_assert_int_eq(network_bridge_attach("br77", "nosuchif", NULL), -ENODEV);
	ck_assert_int_eq(network_bridge_delete("br77", NULL), 0);
}
END_TEST

START_TEST(network_interface_delete_takes_a_tap_that_is_held)
{
	int fd = network_tap_create("router77", NULL);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(network_interface_delete("router77", NULL), 0);
	ck_assert_uint_eq(if_nametoindex("router77"), 0);
	ck_assert_int_eq(network_interface_delete("router77", NULL), -ENODEV);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* Root makes the network namespace directly; anybody else through a user namespace. */
static int own_network(void)
{
	if (unshare(CLONE_NEWNET) == 0) {
		return 0;
	}
	return unshare(CLONE_NEWUSER | CLONE_NEWNET);
}

int main(void)
{
	const TTest *const tests[] = {
		network_names_follow_the_pid,
		network_bridge_comes_up_and_goes,
		network_bad_names_are_refused,
		network_tap_has_vnet_headers_and_lives_with_its_descriptor,
		network_tap_on_bridge_is_enslaved_and_up,
		network_interface_delete_takes_a_tap_that_is_held,
	};

	if (access("/dev/net/tun", R_OK | W_OK) != 0) {
		printf("skipped: /dev/net/tun: %s\n", strerror(errno));
		return SKIP;
	}
	if (own_network() != 0) {
		printf("skipped: no network namespace of one's own: %s\n", strerror(errno));
		return SKIP;
	}
	return suite_run("network", tests, sizeof(tests) / sizeof(tests[0]));
}
