/* SPDX-License-Identifier: MIT */
#include "test_input_fix.h"

#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void set_up_on(struct fixture *f, enum vmm_input_kind kind)
{
	struct vmm_input_config config = {.kind = kind, .serial = "no. 7"};
	struct vmm_virtio_device *dev;
	int pair[2];

	memset(f, 0, sizeof(*f));
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	f->ours = pair[0];
	f->theirs = pair[1];
	config.source_fd = f->theirs;
	ck_assert_int_eq(vmm_input_create(&dev, &config, NULL), 0);
	f->drv = fakedrv_create(dev);
	f->buffers = fakedrv_alloc(f->drv, (size_t)EVENT * 256);
}

void set_up(struct fixture *f, enum vmm_input_kind kind)
{
	set_up_on(f, kind);
	ck_assert_int_eq(fakedrv_start(f->drv, NULL), 0);
}

void tear_down(struct fixture *f)
{
	fakedrv_destroy(f->drv);
	if (f->ours >= 0) {
		ck_assert_int_eq(close(f->ours), 0);
	}
	ck_assert_int_eq(close(f->theirs), 0);
}

void offer(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t *at = f->buffers + (size_t)(f->slot++ % 256) * EVENT;
		struct fakedrv_buf buf = FAKEDRV_IN(at, EVENT);
		int head = fakedrv_add(f->drv, EVENTQ, &buf, 1);

		ck_assert_int_ge(head, 0);
		f->of_head[head] = at;
	}
	(void)fakedrv_kick_if_needed(f->drv, EVENTQ);
	fakedrv_run(f->drv);
}

void send_bytes(struct fixture *f, const void *bytes, size_t len)
{
	ck_assert_int_eq(send(f->ours, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
	fakedrv_run(f->drv);
}

void send_events(struct fixture *f, unsigned n, ...)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX + 1];
	va_list args;

	va_start(args, n);
	for (unsigned i = 0; i < n; i++) {
		events[i] = va_arg(args, struct vmm_input_event);
	}
	va_end(args);
	send_bytes(f, events, n * sizeof(events[0]));
}

void press(struct fixture *f, uint16_t code, uint32_t value)
{
	send_events(f, 2, event(EV_KEY, code, value), SYN);
}

bool take(struct fixture *f, struct vmm_input_event *out)
{
	struct fakedrv_used used;

	if (!fakedrv_used(f->drv, EVENTQ, &used)) {
		return false;
	}
	ck_assert_uint_eq(used.len, EVENT);
	memcpy(out, f->of_head[used.head], EVENT);
	return true;
}

void expect(struct fixture *f, uint16_t type, uint16_t code, uint32_t value)
{
	struct vmm_input_event got;

	ck_assert(take(f, &got));
	ck_assert_uint_eq(got.type, type);
	ck_assert_uint_eq(got.code, code);
	ck_assert_uint_eq(got.value, value);
}

void expect_none(struct fixture *f)
{
	struct vmm_input_event got;

	ck_assert(!take(f, &got));
}

void expect_key(struct fixture *f, uint16_t code, uint32_t value)
{
	expect(f, EV_KEY, code, value);
	expect(f, EV_SYN, SYN_REPORT, 0);
}

struct wanted {
	const char *name;
	uint64_t value;
};

static void find_counter(void *ctx, const char *name, uint64_t value)
{
	struct wanted *w = ctx;

	if (strcmp(w->name, name) == 0) {
		w->value = value;
	}
}

uint64_t counter(struct fixture *f, const char *name)
{
	struct wanted w = {name, UINT64_MAX};
	struct vmm_virtio_device *dev = fakedrv_device(f->drv);

	dev->ops->counters(dev, find_counter, &w);
	return w.value;
}
