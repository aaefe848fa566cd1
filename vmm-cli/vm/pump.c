/* SPDX-License-Identifier: MIT */
#include "vm/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Chunks in a row, before others of the loop have their turn. */
#define CHUNKS 16
/* What a child can have left in a pipe or pty at its end is less than this many chunks. */
#define DRAIN_CHUNKS 512

static void watch(struct vm_pump *p)
{
	uint32_t events = p->ended ? 0 : VMM_LOOP_READABLE;

	if (p->ahead_len > 0) {
		events |= VMM_LOOP_WRITABLE;
	}
	(void)vmm_source_set_events(p->source, events);
	vmm_chardev_want_input(p->chardev, p->input && p->ahead_len == 0);
}

/* ---- from the child ---- */

static void take(struct vm_pump *p, int chunks)
{
	uint8_t bytes[PUMP_BYTES];

	for (int i = 0; !p->ended && i < chunks; i++) {
		ssize_t got = read(p->fd, bytes, sizeof(bytes));

		if (got > 0) {
			vmm_chardev_write(p->chardev, bytes, (size_t)got);
		} else if (got < 0 && errno == EAGAIN) {
			return;
		} else if (got == 0 || errno != EINTR) {
			/* EIO: the other side of a pty is closed. */
			p->ended = true;
		}
	}
}

/* ---- to the child ---- */

static void give(struct vm_pump *p)
{
	ssize_t wrote = write(p->fd, p->ahead, p->ahead_len);

	if (wrote > 0) {
		p->ahead_len -= (size_t)wrote;
		memmove(p->ahead, p->ahead + wrote, p->ahead_len);
	} else if (wrote < 0 && errno != EAGAIN && errno != EINTR) {
		p->ahead_len = 0;
		p->input = false;
	}
}

static void on_input(void *ctx)
{
	struct vm_pump *p = ctx;

	while (p->input && p->ahead_len == 0) {
		p->ahead_len = vmm_chardev_read(p->chardev, p->ahead, sizeof(p->ahead));
		if (p->ahead_len == 0) {
			break;
		}
		give(p);
	}
	watch(p);
}

static void on_ready(void *ctx, int fd, uint32_t events)
{
	struct vm_pump *p = ctx;

	(void)fd;
	if (events & VMM_LOOP_WRITABLE) {
		give(p);
	}
	if (events & ~(uint32_t)VMM_LOOP_WRITABLE) {
		take(p, CHUNKS);
	}
	watch(p);
}

/* ---- life ---- */

static const struct vmm_chardev_events events = {.readable = on_input};

int vm_pump_start(struct vm_pump *p, struct vmm_loop *loop, int fd, struct vmm_chardev *chardev,
		  bool input)
{
	int ret;

	memset(p, 0, sizeof(*p));
	p->fd = -1;
	p->chardev = chardev;
	p->input = input && chardev;
	ret = vmm_chardev_start(chardev, loop, &events, p);
	if (ret < 0) {
		return ret;
	}
	ret = vmm_loop_add_fd(loop, fd, VMM_LOOP_READABLE, on_ready, p, &p->source);
	if (ret < 0) {
		vmm_chardev_stop(chardev);
		return ret;
	}
	p->fd = fd;
	watch(p);
	return 0;
}

void vm_pump_drain(struct vm_pump *p)
{
	if (p->fd >= 0) {
		take(p, DRAIN_CHUNKS);
	}
}

void vm_pump_stop(struct vm_pump *p)
{
	if (p->fd < 0) {
		return;
	}
	vm_pump_drain(p);
	vmm_source_remove(p->source);
	p->source = NULL;
	vmm_chardev_stop(p->chardev);
	(void)close(p->fd);
	p->fd = -1;
}
