/* SPDX-License-Identifier: MIT */
#include "test_net_fix.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const uint8_t net_mac[6] = {0x0a, 0xb3, 0xec, 0x00, 0x12, 0x34};
const uint8_t net_peer_mac[6] = {0x0a, 0xb3, 0xec, 0x80, 0x12, 0x34};

void netfix_create(struct netfix *fix, const struct vmm_net_config *config)
{
	struct vmm_net_config c = {0};
	struct vmm_virtio_device *dev;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	fix->peer = fds[1];
	ck_assert_int_eq(vmm_tap_from_socket(&fix->tap, fds[0], NULL), 0);
	if (config) {
		c = *config;
	}
	c.tap = fix->tap;
	memcpy(c.mac, net_mac, 6);
	ck_assert_int_eq(vmm_net_create(&dev, &c, NULL), 0);
	fix->drv = fakedrv_create(dev);
}

void netfix_start(struct netfix *fix, const struct vmm_net_config *config,
		  const struct fakedrv_options *options)
{
	netfix_create(fix, config);
	ck_assert_int_eq(fakedrv_start(fix->drv, options), 0);
	fakedrv_run(fix->drv);
}

void netfix_finish(struct netfix *fix)
{
	fakedrv_destroy(fix->drv);
	vmm_tap_destroy(fix->tap);
	if (fix->peer >= 0) {
		(void)close(fix->peer);
	}
}

struct search {
	const char *name;
	uint64_t value;
	bool found;
};

static void look(void *ctx, const char *name, uint64_t value)
{
	struct search *s = ctx;

	if (strcmp(name, s->name) == 0) {
		s->value = value;
		s->found = true;
	}
}

uint64_t netfix_counter(struct netfix *fix, const char *name)
{
	struct vmm_virtio_device *dev = fakedrv_device(fix->drv);
	struct search s = {.name = name};

	dev->ops->counters(dev, look, &s);
	ck_assert_msg(s.found, "no counter %s", name);
	return s.value;
}

void netfix_frame(uint8_t *buf, size_t len, bool from_guest)
{
	uint8_t *frame = buf + NET_HDR;

	memset(buf, 0, NET_HDR);
	for (size_t i = 0; i < len; i++) {
		frame[i] = (uint8_t)(i * 7 + i / 256);
	}
	memcpy(frame, from_guest ? net_peer_mac : net_mac, 6);
	memcpy(frame + 6, from_guest ? net_mac : net_peer_mac, 6);
	frame[12] = 0x08;
	frame[13] = 0x00;
}

ssize_t netfix_peer_read(struct netfix *fix, void *buf, size_t cap)
{
	return recv(fix->peer, buf, cap, MSG_DONTWAIT);
}

void netfix_peer_write(struct netfix *fix, const void *bytes, size_t len)
{
	ck_assert_int_eq(send(fix->peer, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
	fakedrv_run(fix->drv);
}

bool netfix_send(struct netfix *fix, const uint8_t *bytes, size_t len, uint32_t piece)
{
	static uint8_t seen[80000];
	struct fakedrv_buf pieces[256];
	uint8_t *mem = fakedrv_alloc(fix->drv, len);
	struct fakedrv_buf whole = FAKEDRV_OUT(mem, len);
	unsigned count;
	ssize_t got;

	memcpy(mem, bytes, len);
	count = fakedrv_chop(&whole, 1, piece ? piece : (uint32_t)len, pieces, 256);
	ck_assert_uint_eq(fakedrv_request(fix->drv, NET_TX, pieces, count), 0);
	got = netfix_peer_read(fix, seen, sizeof(seen));
	if (got < 0) {
		return false;
	}
	ck_assert_int_eq(got, (ssize_t)len);
	ck_assert_int_eq(memcmp(seen + NET_HDR, bytes + NET_HDR, len - NET_HDR), 0);
	return true;
}

uint8_t *netfix_buffer(struct netfix *fix, uint32_t len, uint32_t piece)
{
	struct fakedrv_buf pieces[256];
	uint8_t *mem = fakedrv_alloc(fix->drv, len);
	struct fakedrv_buf whole = FAKEDRV_IN(mem, len);
	unsigned count = fakedrv_chop(&whole, 1, piece ? piece : len, pieces, 256);

	ck_assert_int_ge(fakedrv_add(fix->drv, NET_RX, pieces, count), 0);
	fakedrv_kick(fix->drv, NET_RX);
	return mem;
}

uint8_t netfix_control(struct netfix *fix, uint8_t class, uint8_t command, const void *data,
		       size_t len)
{
	uint8_t *mem = fakedrv_alloc(fix->drv, 3 + len);
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(mem, 2), FAKEDRV_OUT(mem + 2, len),
				     FAKEDRV_IN(mem + 2 + len, 1)};

	mem[0] = class;
	mem[1] = command;
	if (len > 0) {
		memcpy(mem + 2, data, len);
	}
	mem[2 + len] = 0xee;
	ck_assert_uint_le(fakedrv_request(fix->drv, NET_CTRL, bufs, 3), 1);
	return mem[2 + len];
}

bool netfix_arrives(struct netfix *fix, const uint8_t *bytes, size_t len)
{
	struct fakedrv_used used;

	if (fakedrv_outstanding(fix->drv, NET_RX) == 0) {
		(void)netfix_buffer(fix, 2048, 0);
	}
	netfix_peer_write(fix, bytes, len);
	/* With few buffers the device waits a little before it reads. */
	return fakedrv_wait_used(fix->drv, NET_RX, &used, 20);
}
