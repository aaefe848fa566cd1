/* SPDX-License-Identifier: MIT */
/*
 * virtio-net between a hostile driver and a hostile peer. Beyond what devfuzz holds it to: no frame
 * leaves whose source is not the device's own.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/dev/net.h>

#include "devfuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t mac[6] = {0x0a, 0xb3, 0xec, 0x00, 0x12, 0x34};

struct outside {
	struct vmm_virtio_device *dev;
	int peer;
};

static void check_sent(struct outside *o)
{
	uint8_t packet[70000];
	ssize_t len;

	while ((len = recv(o->peer, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		if (len < 26 || memcmp(packet + 12 + 6, mac, 6) != 0) {
			(void)fprintf(stderr, "a forged frame of %zd bytes got out\n", len);
			abort();
		}
	}
}

static void outside(void *ctx, struct devfuzz_input *in)
{
	struct outside *o = ctx;
	uint8_t packet[4096] = {0};
	uint8_t what = devfuzz_u8(in);
	size_t len = devfuzz_u8(in) * (what & 1u ? 16u : 1u);

	check_sent(o);
	if ((what & 0xf0u) == 0x10) {
		vmm_net_set_link(o->dev, (what & 1u) != 0);
	} else if (len > 0) {
		devfuzz_bytes(in, packet, len < 26 ? len : 26);
		(void)!send(o->peer, packet, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_net_config config = {.drop_foreign_source = true};
	struct devfuzz_input in = {data, size};
	struct outside o;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0 ||
	    vmm_tap_from_socket(&config.tap, fds[0], NULL) != 0) {
		abort();
	}
	o.peer = fds[1];
	memcpy(config.mac, mac, sizeof(mac));
	config.mtu = size % 2 ? 1400 : 0;
	if (vmm_net_create(&o.dev, &config, NULL) != 0) {
		abort();
	}
	devfuzz_run(o.dev, &in, outside, &o);
	check_sent(&o);
	vmm_tap_destroy(config.tap);
	(void)close(o.peer);
	return 0;
}
