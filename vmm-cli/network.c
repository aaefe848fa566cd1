/* SPDX-License-Identifier: MIT */
#include "network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The prefix that marks links between guests; bit 7 of the fourth octet marks the router's side. */
#define MAC_PREFIX "0A:B3:EC"

void network_names(pid_t pid, struct network_names *out)
{
	unsigned low = (unsigned)pid & 0xffffu;

	(void)snprintf(out->bridge, sizeof(out->bridge), "br%d", (int)pid);
	(void)snprintf(out->client_tap, sizeof(out->client_tap), "client%d", (int)pid);
	(void)snprintf(out->router_tap, sizeof(out->router_tap), "router%d", (int)pid);
	(void)snprintf(out->client_mac, sizeof(out->client_mac), MAC_PREFIX ":00:%02X:%02X",
		       low >> 8, low & 0xffu);
	(void)snprintf(out->router_mac, sizeof(out->router_mac), MAC_PREFIX ":80:%02X:%02X",
		       low >> 8, low & 0xffu);
}

static int check_name(const char *name, struct vmm_error *err)
{
	size_t len = strlen(name);

	if (len >= IFNAMSIZ) {
		return vmm_error_set(err, -ENAMETOOLONG,
				     "network interface '%s': its name is longer than %d bytes",
				     name, IFNAMSIZ - 1);
	}
	/* '%' would make the kernel choose a number, '/' would leave the directory below. */
	if (len == 0 || strpbrk(name, "%/ \t\n") || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0) {
		return vmm_error_set(err, -EINVAL, "network interface '%s': not a valid name",
				     name);
	}
	return 0;
}

static int open_control(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* One ioctl on a socket of its own; 0 or a negative errno. */
static int control(unsigned request, void *arg)
{
	int fd = open_control();
	int ret = 0;

	if (fd < 0) {
		return fd;
	}
	if (ioctl(fd, request, arg) != 0) {
		ret = -errno;
	}
	(void)close(fd);
	return ret;
}

/* The host speaks no IPv6 on these links either: no link-local address, no neighbour discovery. */
static void disable_ipv6(const char *name)
{
	char path[64 + IFNAMSIZ];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		return; /* a kernel without IPv6 */
	}
	(void)!write(fd, "1", 1);
	(void)close(fd);
}

static int set_up(const char *name, bool up)
{
	struct ifreq ifr = {0};
	int ret;

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ret = control(SIOCGIFFLAGS, &ifr);
	if (ret < 0) {
		return ret;
	}
	if (up) {
		ifr.ifr_flags |= IFF_UP;
	} else {
		ifr.ifr_flags = (short)(ifr.ifr_flags & ~IFF_UP);
	}
	return control(SIOCSIFFLAGS, &ifr);
}

int network_bridge_add(const char *name, struct vmm_error *err)
{
	char buf[IFNAMSIZ] = "";
	int ret = check_name(name, err);

	if (ret < 0) {
		return ret;
	}
	(void)snprintf(buf, sizeof(buf), "%s", name);
	ret = control(SIOCBRADDBR, buf);
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "cannot make the bridge '%s'%s", name,
				      ret == -EPERM ? " (making networks needs root)" : "");
	}
	disable_ipv6(name);
	ret = set_up(name, true);
	if (ret < 0) {
		(void)network_bridge_delete(name, NULL);
		return vmm_error_wrap(err, ret, "cannot bring up the bridge '%s'", name);
	}
	return 0;
}

int network_bridge_delete(const char *name, struct vmm_error *err)
{
	char buf[IFNAMSIZ] = "";
	int ret = check_name(name, err);

	if (ret < 0) {
		return ret;
	}
	(void)snprintf(buf, sizeof(buf), "%s", name);
	ret = set_up(name, false);
	if (ret == 0) {
		ret = control(SIOCBRDELBR, buf);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "cannot delete the bridge '%s'", name);
	}
	return 0;
}

int network_bridge_attach(const char *bridge, const char *interface, struct vmm_error *err)
{
	struct ifreq ifr = {0};
	unsigned index = if_nametoindex(interface);
	int ret;

	if (index == 0) {
		return vmm_error_wrap(err, -errno, "network interface '%s'", interface);
	}
	disable_ipv6(interface);
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", bridge);
	ifr.ifr_ifindex = (int)index;
	ret = control(SIOCBRADDIF, &ifr);
	if (ret == 0) {
		ret = set_up(interface, true);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "cannot put '%s' on the bridge '%s'", interface,
				      bridge);
	}
	return 0;
}

int network_tap_create(const char *name, struct vmm_error *err)
{
	struct ifreq ifr = {0};
	int ret = check_name(name, err);
	int fd;

	if (ret < 0) {
		return ret;
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		return vmm_error_wrap(err, -errno, "tap '%s': /dev/net/tun", name);
	}
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
	if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
		ret = -errno;
		(void)close(fd);
		return vmm_error_wrap(err, ret, "cannot make the tap '%s'%s", name,
				      ret == -EPERM ? " (making networks needs root)" : "");
	}
	return fd;
}

int network_tap_on_bridge(const char *bridge, const char *tap, struct vmm_error *err)
{
	int fd = network_tap_create(tap, err);
	int ret;

	if (fd < 0) {
		return fd;
	}
	ret = network_bridge_attach(bridge, tap, err);
	if (ret < 0) {
		(void)close(fd);
		return ret;
	}
	return fd;
}

/* The kernel's answer to one rtnetlink request: 0 or a negative errno. */
static int read_ack(int fd)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} ack = {0};
	ssize_t got = recv(fd, &ack, sizeof(ack), 0);

	if (got < 0) {
		return -errno;
	}
	if (got < (ssize_t)sizeof(ack.header) + (ssize_t)sizeof(ack.error.error) ||
	    ack.header.nlmsg_type != NLMSG_ERROR) {
		return -EPROTO;
	}
	return ack.error.error;
}

static int delete_link(unsigned index)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_DELLINK,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)index},
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int ret;

	if (fd < 0) {
		return -errno;
	}
	ret = send(fd, &request, sizeof(request), 0) < 0 ? -errno : read_ack(fd);
	(void)close(fd);
	return ret;
}

int network_interface_delete(const char *name, struct vmm_error *err)
{
	unsigned index = if_nametoindex(name);
	int ret = index == 0 ? -errno : delete_link(index);

	if (ret < 0) {
		return vmm_error_wrap(err, ret, "cannot delete the interface '%s'", name);
	}
	return 0;
}
