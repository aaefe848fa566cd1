/* SPDX-License-Identifier: MIT */
#include <vmm/dev/tap.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

/* Bytes of struct virtio_net_hdr_v1, with num_buffers. */
#define HEADER_SIZE 12

/* Linux 6.2; older headers do not have them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct vmm_tap {
	int fd;
	bool is_socket;
	bool is_stream; /* a socket with an end: 0 bytes mean that the peer is gone */
	uint32_t offloads;
	char name[IFNAMSIZ];
};

static unsigned long to_tun(uint32_t offloads)
{
	unsigned long flags = 0;

	flags |= offloads & VMM_TAP_CSUM ? TUN_F_CSUM : 0u;
	flags |= offloads & VMM_TAP_TSO4 ? TUN_F_TSO4 : 0u;
	flags |= offloads & VMM_TAP_TSO6 ? TUN_F_TSO6 : 0u;
	flags |= offloads & VMM_TAP_ECN ? TUN_F_TSO_ECN : 0u;
	flags |= offloads & VMM_TAP_USO ? TUN_F_USO4 | TUN_F_USO6 : 0u;
	return flags;
}

int vmm_tap_set_offloads(struct vmm_tap *tap, uint32_t offloads)
{
	if (tap->is_socket) {
		return 0;
	}
	return ioctl(tap->fd, TUNSETOFFLOAD, to_tun(offloads)) == 0 ? 0 : -errno;
}

uint32_t vmm_tap_offloads(const struct vmm_tap *tap)
{
	return tap->offloads;
}

static void find_offloads(struct vmm_tap *tap)
{
	const uint32_t tries[] = {
		VMM_TAP_CSUM | VMM_TAP_TSO4 | VMM_TAP_TSO6 | VMM_TAP_ECN | VMM_TAP_USO,
		VMM_TAP_CSUM | VMM_TAP_TSO4 | VMM_TAP_TSO6 | VMM_TAP_ECN,
		VMM_TAP_CSUM,
	};

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]) && tap->offloads == 0; i++) {
		if (vmm_tap_set_offloads(tap, tries[i]) == 0) {
			tap->offloads = tries[i];
		}
	}
	(void)vmm_tap_set_offloads(tap, 0);
}

static struct vmm_tap *new_tap(int fd, bool is_socket)
{
	struct vmm_tap *tap = calloc(1, sizeof(*tap));

	if (tap) {
		tap->fd = fd;
		tap->is_socket = is_socket;
	}
	return tap;
}

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

static int check_flags(const struct ifreq *ifr, struct vmm_error *err)
{
	unsigned flags = (unsigned short)ifr->ifr_flags;

	if ((flags & IFF_TAP) == 0) {
		return vmm_error_set(err, -EINVAL,
				     "tap '%s': it is a tun (IP) interface, not a tap",
				     ifr->ifr_name);
	}
	if ((flags & IFF_VNET_HDR) == 0) {
		return vmm_error_set(err, -EINVAL, "tap '%s': it was attached without IFF_VNET_HDR",
				     ifr->ifr_name);
	}
	if ((flags & IFF_NO_PI) == 0) {
		return vmm_error_set(err, -EINVAL, "tap '%s': it was attached without IFF_NO_PI",
				     ifr->ifr_name);
	}
	return 0;
}

int vmm_tap_from_fd(struct vmm_tap **out, int fd, struct vmm_error *err)
{
	int size = HEADER_SIZE;
	struct ifreq ifr;
	struct vmm_tap *tap;
	int ret;

	*out = NULL;
	memset(&ifr, 0, sizeof(ifr));
	if (ioctl(fd, TUNGETIFF, &ifr) != 0) {
		ret = errno == EBADFD ? -EINVAL : -errno;
		return vmm_error_set(err, ret, "tap: descriptor %d is not an attached tap: %s", fd,
				     strerror(errno));
	}
	ret = check_flags(&ifr, err);
	if (ret < 0) {
		return ret;
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &size) != 0 || set_nonblocking(fd) != 0) {
		ret = -errno;
		return vmm_error_set(err, ret, "tap '%s': cannot set it up: %s", ifr.ifr_name,
				     strerror(-ret));
	}
	tap = new_tap(fd, false);
	if (!tap) {
		return vmm_error_set(err, -ENOMEM, "tap: out of memory");
	}
	memcpy(tap->name, ifr.ifr_name, IFNAMSIZ - 1);
	find_offloads(tap);
	*out = tap;
	return 0;
}

static int attach(int fd, const char *name, struct vmm_error *err)
{
	struct ifreq ifr;
	int ret;

	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &ifr) == 0) {
		return 0;
	}
	ret = -errno;
	switch (ret) {
	case -EPERM:
		return vmm_error_set(err, ret,
				     "tap '%s': not permitted: CAP_NET_ADMIN is needed, or an "
				     "interface made for this user (ip tuntap add user)",
				     name);
	case -EBUSY:
		return vmm_error_set(err, ret, "tap '%s': another process is attached to it", name);
	case -EINVAL:
		return vmm_error_set(err, ret,
				     "tap '%s': an interface of this name is not a tap with one "
				     "queue",
				     name);
	default:
		return vmm_error_set(err, ret, "tap '%s': cannot attach: %s", name, strerror(-ret));
	}
}

int vmm_tap_open(struct vmm_tap **out, const char *name, struct vmm_error *err)
{
	size_t len = strlen(name);
	int fd;
	int ret;

	*out = NULL;
	/* The kernel would take % as a pattern and make a name of its own. */
	if (len == 0 || len >= IFNAMSIZ || strchr(name, '%') || strchr(name, '/')) {
		return vmm_error_set(err, -EINVAL,
				     "tap '%s': a name has 1 to %d bytes and no '%%' or '/'", name,
				     IFNAMSIZ - 1);
	}
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		ret = errno == ENODEV || errno == ENXIO ? -ENOENT : -errno;
		return vmm_error_set(err, ret, "tap '%s': cannot open /dev/net/tun: %s", name,
				     strerror(errno));
	}
	ret = attach(fd, name, err);
	if (ret == 0) {
		ret = vmm_tap_from_fd(out, fd, err);
	}
	if (ret < 0) {
		(void)close(fd);
	}
	return ret;
}

int vmm_tap_from_socket(struct vmm_tap **out, int fd, struct vmm_error *err)
{
	struct vmm_tap *tap;
	int type;
	socklen_t len = sizeof(type);
	int ret;

	*out = NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0) {
		ret = -errno;
		return vmm_error_set(err, ret, "net: descriptor %d is not a socket: %s", fd,
				     strerror(-ret));
	}
	if (type != SOCK_SEQPACKET && type != SOCK_DGRAM) {
		return vmm_error_set(err, -EINVAL,
				     "net: a socket must keep packets apart (SOCK_SEQPACKET or "
				     "SOCK_DGRAM)");
	}
	ret = set_nonblocking(fd);
	if (ret < 0) {
		return vmm_error_set(err, ret, "net: descriptor %d: %s", fd, strerror(-ret));
	}
	tap = new_tap(fd, true);
	if (!tap) {
		return vmm_error_set(err, -ENOMEM, "net: out of memory");
	}
	tap->is_stream = type == SOCK_SEQPACKET;
	tap->offloads = VMM_TAP_CSUM | VMM_TAP_TSO4 | VMM_TAP_TSO6 | VMM_TAP_ECN | VMM_TAP_USO;
	*out = tap;
	return 0;
}

void vmm_tap_destroy(struct vmm_tap *tap)
{
	if (!tap) {
		return;
	}
	(void)close(tap->fd);
	free(tap);
}

int vmm_tap_fd(const struct vmm_tap *tap)
{
	return tap->fd;
}

const char *vmm_tap_name(const struct vmm_tap *tap)
{
	return tap->name;
}

bool vmm_tap_is_trusted(const struct vmm_tap *tap)
{
	return !tap->is_socket;
}

ssize_t vmm_tap_receive(struct vmm_tap *tap, const struct iovec *iov, int count)
{
	ssize_t got;

	do {
		got = readv(tap->fd, iov, count);
	} while (got < 0 && errno == EINTR);
	if (got == 0 && tap->is_stream) {
		return -EBADFD;
	}
	return got < 0 ? -errno : got;
}

static ssize_t send_packet(int fd, const struct iovec *iov, int count)
{
	/* sendmsg does not write to the array, its type only does not say so. */
	const union {
		const struct iovec *given;
		struct iovec *wanted;
	} parts = {.given = iov};
	struct msghdr msg = {.msg_iov = parts.wanted};

	msg.msg_iovlen = (__typeof__(msg.msg_iovlen))count;
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static ssize_t send_frame(int fd, const struct iovec *iov, int count)
{
	return count == 1 ? write(fd, iov->iov_base, iov->iov_len) : writev(fd, iov, count);
}

ssize_t vmm_tap_send(struct vmm_tap *tap, const struct iovec *iov, int count)
{
	ssize_t sent;

	do {
		sent = tap->is_socket ? send_packet(tap->fd, iov, count)
				      : send_frame(tap->fd, iov, count);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}
