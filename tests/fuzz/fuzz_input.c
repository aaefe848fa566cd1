/* SPDX-License-Identifier: MIT */
/*
 * virtio-input between a hostile driver and a hostile source: the input is also the source's
 * packets. What the device owes its driver is what devfuzz and the judge say; of events it owes
 * none, so only the status queue drains.
 */
#include <linux/input.h>
#include <sys/socket.h>

#include <vmm/dev/input.h>

#include "devfuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int source_fd;

/* Bytes as they come, or a packet that is right but for its numbers. */
static void send_packet(void *ctx, struct fuzz_input *in)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX + 1];
	unsigned n = fuzz_u8(in) % (VMM_INPUT_EVENTS_MAX + 2);

	(void)ctx;
	for (unsigned i = 0; i < n; i++) {
		uint8_t type = fuzz_u8(in);

		events[i] = (struct vmm_input_event){EV_KEY, fuzz_u8(in), type & 1};
		if (type >= 0xf0) {
			events[i].type = type & 0xf;
			events[i].value = (uint32_t)fuzz_u8(in) << 8;
		}
	}
	if (n > 0 && fuzz_u8(in) != 0) {
		events[n - 1] = (struct vmm_input_event){EV_SYN, SYN_REPORT, 0};
	}
	if (n > 0) {
		(void)send(source_fd, events, n * sizeof(events[0]), MSG_DONTWAIT);
	}
}

/* A key that no packet of the input holds comes to a driver that is new. */
static void serve(void *ctx, struct fakedrv *drv, uint8_t *memory)
{
	static const struct vmm_input_event stroke[] = {{EV_KEY, KEY_Q, 1},
							{EV_SYN, SYN_REPORT, 0}};
	struct fakedrv_buf bufs[] = {FAKEDRV_IN(memory, 8), FAKEDRV_IN(memory + 64, 8)};
	struct fakedrv_used used;

	(void)ctx;
	for (unsigned i = 0; i < 2; i++) {
		REQUIRE(fakedrv_add(drv, 0, &bufs[i], 1) >= 0);
	}
	REQUIRE(send(source_fd, stroke, sizeof(stroke), 0) == (ssize_t)sizeof(stroke));
	fakedrv_run(drv);
	for (unsigned i = 0; i < 2; i++) {
		REQUIRE(fakedrv_used(drv, 0, &used) && used.len == 8);
	}
	REQUIRE(memory[0] == EV_KEY && memory[2] == KEY_Q && memory[4] == 1);
	REQUIRE(memory[64] == EV_SYN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct devfuzz *f;
	struct devfuzz_device device = {.drains = 2, .other = send_packet, .serve = serve};
	struct vmm_input_config config = {.kind = VMM_INPUT_KEYBOARD};
	struct fuzz_input in = {data, size};
	int fds[2];

	if (!f) {
		REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) == 0);
		config.source_fd = fds[0];
		source_fd = fds[1];
		REQUIRE(vmm_input_create(&device.dev, &config, NULL) == 0);
		f = devfuzz_create(&device);
	}
	devfuzz_run(f, &in);
	return 0;
}
