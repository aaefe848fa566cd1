/* SPDX-License-Identifier: MIT */
/*
 * virtio-net between a hostile driver and a hostile peer. Beyond what devfuzz holds it to: no frame
 * leaves whose source is not the device's own.
 */
#include <string.h>
#include <sys/socket.h>

#include <vmm/dev/net.h>

#include "devfuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t mac[6] = {0x0a, 0xb3, 0xec, 0x00, 0x12, 0x34};

#define F_MRG_RXBUF (UINT64_C(1) << 15)

struct outside {
	struct vmm_virtio_device *dev;
	struct vmm_tap *tap;
	int peer;
	unsigned sent;
};

static void check_sent(struct outside *o)
{
	uint8_t packet[70000];
	ssize_t len;

	while ((len = recv(o->peer, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		REQUIRE(len >= 26 && memcmp(packet + 12 + 6, mac, 6) == 0);
		o->sent++;
	}
}

static void outside(void *ctx, struct fuzz_input *in)
{
	struct outside *o = ctx;
	uint8_t packet[4096] = {0};
	uint8_t what = fuzz_u8(in);
	size_t len = fuzz_u8(in) * (what & 1u ? 16u : 1u);

	check_sent(o);
	if ((what & 0xf0u) == 0x10) {
		vmm_net_set_link(o->dev, (what & 1u) != 0);
	} else if (len > 0) {
		fuzz_bytes(in, packet, len < 26 ? len : 26);
		(void)!send(o->peer, packet, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static void settle(void *ctx)
{
	struct outside *o = ctx;
	uint8_t byte;

	check_sent(o);
	vmm_net_set_link(o->dev, true);
	/* What nobody has received would meet the next input. */
	while (recv(vmm_tap_fd(o->tap), &byte, 1, MSG_DONTWAIT) >= 0) {
	}
}

/* A frame comes with a kick that the device asked for. */
static void receive(struct outside *o, struct fakedrv *drv, uint8_t *memory, bool frame_first)
{
	struct fakedrv_buf in[] = {FAKEDRV_IN(memory + 128, 128)};
	struct fakedrv_used used;

	for (unsigned i = 0; i < 2; i++) {
		if (frame_first == (i == 0)) {
			REQUIRE(send(o->peer, memory, 76, MSG_NOSIGNAL | MSG_DONTWAIT) == 76);
			fakedrv_run(drv);
		} else {
			REQUIRE(fakedrv_add(drv, 0, in, 1) >= 0);
			(void)fakedrv_kick_if_needed(drv, 0);
		}
	}
	REQUIRE(fakedrv_wait_used(drv, 0, &used, FAKEDRV_PATIENCE_MS) && used.len == 76);
	REQUIRE(memcmp(memory + 128 + 12 + 6, mac, 6) == 0);
}

/* A frame of 64 bytes there, and some back. */
static void serve(void *ctx, struct fakedrv *drv, uint8_t *memory)
{
	struct outside *o = ctx;
	struct fakedrv_buf out[] = {FAKEDRV_OUT(memory, 76)};

	memset(memory, 0, 256);
	memcpy(memory + 12 + 6, mac, 6);
	check_sent(o);
	o->sent = 0;
	REQUIRE(fakedrv_request(drv, 1, out, 1) == 0);
	check_sent(o);
	REQUIRE(o->sent == 1);
	receive(o, drv, memory, false);
	receive(o, drv, memory, true);
	receive(o, drv, memory, true);
}

static struct devfuzz *create(struct outside *o, uint16_t mtu)
{
	struct vmm_net_config config = {.drop_foreign_source = true, .mtu = mtu};
	struct devfuzz_device device = {
		.drains = 1u << 1 | 1u << 2, /* receive buffers wait for frames */
		.other = outside,
		.settle = settle,
		.serve = serve,
		.refuse = F_MRG_RXBUF, /* with it, small buffers wait for more of them */
		.ctx = o,
	};
	int fds[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	REQUIRE(vmm_tap_from_socket(&o->tap, fds[0], NULL) == 0);
	o->peer = fds[1];
	config.tap = o->tap;
	memcpy(config.mac, mac, sizeof(mac));
	REQUIRE(vmm_net_create(&o->dev, &config, NULL) == 0);
	device.dev = o->dev;
	return devfuzz_create(&device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outside outsides[2];
	static struct devfuzz *devices[2];
	struct fuzz_input in = {data, size};

	if (!devices[size % 2]) {
		devices[size % 2] = create(&outsides[size % 2], size % 2 ? 1400 : 0);
	}
	devfuzz_run(devices[size % 2], &in);
	return 0;
}
