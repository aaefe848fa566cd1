/* SPDX-License-Identifier: MIT */
#include "vm/channel.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vm/text.h"

/* A peer that talks without end gets no more attention than this at a time. */
#define LOOK_MAX 64

void vm_channel_close(struct vm_channel *c)
{
	if (c->fd >= 0) {
		(void)close(c->fd);
	}
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

void vm_channel_begin(struct vm_channel *c, struct wire_message *question, enum wire_type type)
{
	c->seq = c->seq == UINT32_MAX ? 1 : c->seq + 1;
	wire_begin(question, type, c->seq);
}

static void keep_news(struct vm_channel *c, const struct wire_message *m)
{
	switch (m->header.type) {
	case WIRE_REBOOTED:
		c->news.rebooted = true;
		break;
	case WIRE_EXITED:
		c->news.exited = true;
		c->news.exit = m->u.exited;
		vm_text_clean(c->news.exit.detail);
		break;
	case WIRE_DEVICE_LOST:
		c->news.lost |= UINT64_C(1) << m->u.lost.index;
		c->news.generation[m->u.lost.index] = m->u.lost.generation;
		c->news.why[m->u.lost.index] = m->u.lost.why;
		break;
	default:
		/* A reply that nobody waits for. */
		c->news.error = -EPROTO;
		break;
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until the reply to seq is in *m. */
static int wait_for_reply(struct vm_channel *c, uint32_t seq, struct wire_message *m,
			  int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	int fds[WIRE_FDS_MAX];

	for (;;) {
		int64_t left = end - now_ms();
		int ret = left <= 0 ? -ETIMEDOUT : wire_receive(c->fd, WIRE_VM, m, fds, (int)left);

		if (ret < 0) {
			return ret;
		}
		if (m->header.type == WIRE_REPLY && m->header.seq == seq) {
			return 0;
		}
		keep_news(c, m);
		if (c->news.error < 0) {
			return c->news.error;
		}
	}
}

static int broken(struct vm_channel *c, int ret, struct vmm_error *err)
{
	c->news.error = ret;
	switch (ret) {
	case -ECONNRESET:
	case -EPIPE:
		return vmm_error_set(err, ret, "the vm process has ended");
	case -ETIMEDOUT:
		return vmm_error_set(err, ret, "the vm process does not answer");
	case -EPROTO:
		return vmm_error_set(err, ret, "the vm process does not make sense");
	default:
		return vmm_error_wrap(err, ret, "the vm process cannot be reached");
	}
}

void vm_channel_ask(struct vm_channel *c, const struct wire_message *question, const int *fds,
		    int timeout_ms)
{
	c->asked = c->fd < 0 ? -EPIPE : wire_send(c->fd, question, fds, timeout_ms);
}

int vm_channel_await(struct vm_channel *c, int timeout_ms, struct vmm_error *err)
{
	struct wire_message m;
	int ret = c->asked;

	wire_begin(&m, WIRE_REPLY, c->seq);
	if (ret == -EINVAL) {
		return vmm_error_set(err, ret, "a value is out of range");
	}
	if (ret == 0) {
		ret = wait_for_reply(c, c->seq, &m, timeout_ms);
	}
	if (ret < 0) {
		return broken(c, ret, err);
	}
	ret = m.u.reply.result;
	if (ret < 0) {
		vm_text_clean(m.u.reply.text);
		(void)vmm_error_set(err, ret, "%s",
				    m.u.reply.text[0] ? m.u.reply.text : strerror(-ret));
	}
	return ret;
}

int vm_channel_call(struct vm_channel *c, const struct wire_message *question, const int *fds,
		    int timeout_ms, struct vmm_error *err)
{
	vm_channel_ask(c, question, fds, timeout_ms);
	return vm_channel_await(c, timeout_ms, err);
}

void vm_channel_look(struct vm_channel *c)
{
	struct wire_message m;
	int fds[WIRE_FDS_MAX];
	int ret = 0;

	for (int i = 0; c->fd >= 0 && ret == 0 && i < LOOK_MAX && c->news.error == 0; i++) {
		ret = wire_receive(c->fd, WIRE_VM, &m, fds, 0);
		if (ret == 0) {
			keep_news(c, &m);
		}
	}
	if (ret < 0 && ret != -ETIMEDOUT) {
		c->news.error = ret;
	}
}

bool vm_channel_has_news(const struct vm_channel *c)
{
	return c->news.rebooted || c->news.exited || c->news.lost || c->news.error;
}

void vm_channel_take(struct vm_channel *c, struct vm_news *out)
{
	*out = c->news;
	memset(&c->news, 0, sizeof(c->news));
}
