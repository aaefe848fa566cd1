/* SPDX-License-Identifier: MIT */
/*
 * virtio-input (VIRTIO 1.2 section 5.8). Queue 0 takes events to the driver, one in each buffer;
 * queue 1 brings those of the driver (lights of a keyboard), which nobody here wants.
 *
 * The source is a socket whose other end may be in anybody's hands: a packet is read once, checked
 * whole, and passed on or dropped whole. There is nothing to fill up: what the driver has no
 * buffers for is gone. Only keys must not stay down for that, so the device keeps two sets: keys
 * that are held, and keys that the guest believes to be held. Whenever the second has more than
 * the first, it owes releases, and waits for buffers to send them.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "input_priv.h"
#include "shapes.h"

#define QUEUE_SIZE VMM_INPUT_EVENTS_MAX
#define EVENTQ     0
#define STATUSQ    1

#define BATCH_MAX   QUEUE_SIZE
#define PACKETS_MAX 64 /* read in one turn */
/* A socket holds fewer packets than this: whoever has more is still writing. */
#define STALE_MAX 4096

/* One more bit than the highest code of any kind that a device here has. */
#define KEYS 0x118u

#define KEY_BYTES (KEYS / 8)

struct input {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active;
	const struct vmm_input_model *model;
	const char *serial;
	char serial_bytes[CFG_DATA];
	uint8_t selectors[2]; /* select and subsel, as the driver wrote them */
	int fd;               /* -1: there is no source, or no more */
	struct vmm_source *source;
	struct vmm_work again; /* the rest of a status queue that was longer than one batch */
	uint8_t held[KEY_BYTES];
	uint8_t told[KEY_BYTES];
	bool owes; /* told has more than held */
	struct vmm_chain chain;
	struct iovec iov[QUEUE_SIZE];
	uint64_t events; /* counters */
	uint64_t dropped;
	uint64_t refused;
};

static const uint16_t queue_sizes[] = {QUEUE_SIZE, QUEUE_SIZE};

const struct vmm_dev_shape vmm_input_shape = {
	.kind = "input",
	.device_id = VMM_VIRTIO_ID_INPUT,
	.queue_count = 2,
	.queue_sizes = queue_sizes,
	.config_len = sizeof(struct input_config),
};

static struct input *from_base(struct vmm_virtio_device *dev)
{
	return (struct input *)dev;
}

static void count(uint64_t *counter, unsigned n)
{
	(void)__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* ---- configuration space ---- */

/* Bytes behind the selectors are not the driver's to write. */
static void input_set_config(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			     size_t len)
{
	struct input *in = from_base(dev);
	struct input_config c = {0};

	if (offset >= sizeof(in->selectors)) {
		return;
	}
	for (size_t i = 0; i < len && offset + i < sizeof(in->selectors); i++) {
		in->selectors[offset + i] = ((const uint8_t *)bytes)[i];
	}
	c.select = in->selectors[0];
	c.subsel = in->selectors[1];
	vmm_input_answer(in->model, in->serial, &c);
	(void)vmm_virtio_config_update(dev, 0, &c, sizeof(c));
}

/* ---- to the driver ---- */

static bool is_set(const uint8_t *keys, unsigned code)
{
	return (keys[code / 8] & (1u << (code % 8))) != 0;
}

static void set(uint8_t *keys, unsigned code, bool value)
{
	uint8_t bit = (uint8_t)(1u << (code % 8));

	keys[code / 8] = (uint8_t)(value ? keys[code / 8] | bit : keys[code / 8] & ~bit);
}

static void note_keys(uint8_t *keys, const struct vmm_input_event *events, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (le16toh(events[i].type) == EV_KEY) {
			set(keys, le16toh(events[i].code), events[i].value != 0);
		}
	}
}

/* All n events, or none: half a group would be a lie. */
static bool deliver(struct input *in, const struct vmm_input_event *events, unsigned n)
{
	struct vmm_virtq *q = in->active.queues[EVENTQ];
	struct vmm_writer w;

	if (vmm_virtq_avail_count(q) < n) {
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		if (vmm_virtq_pop(q, &in->chain) != 1) {
			break;
		}
		/* A buffer that is too small is the driver's loss. */
		vmm_chain_writer(&in->chain, &w);
		(void)vmm_writer_put(&w, &events[i], sizeof(events[i]));
		(void)vmm_virtq_push(q, in->chain.head, (uint32_t)vmm_writer_written(&w));
	}
	vmm_virtq_flush(q);
	note_keys(in->told, events, n);
	count(&in->events, n);
	return true;
}

/* The next releases that are owed, in a group of at most max; 0: there are none, or no room. */
static unsigned collect_releases(const struct input *in, struct vmm_input_event *events,
				 unsigned max)
{
	unsigned n = 0;

	for (unsigned code = 0; code < KEYS && n + 1 < max; code++) {
		if (is_set(in->told, code) && !is_set(in->held, code)) {
			events[n++] = (struct vmm_input_event){htole16(EV_KEY),
							       htole16((uint16_t)code), 0};
		}
	}
	if (n > 0) {
		events[n++] = (struct vmm_input_event){htole16(EV_SYN), htole16(SYN_REPORT), 0};
	}
	return n;
}

/* Sends what is owed, as far as there are buffers; how many chains that leaves. */
static unsigned send_releases(struct input *in)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];
	unsigned avail;
	unsigned n;

	do {
		avail = vmm_virtq_avail_count(in->active.queues[EVENTQ]);
		n = collect_releases(in, events, avail < QUEUE_SIZE ? avail : QUEUE_SIZE);
	} while (n > 0 && deliver(in, events, n));
	in->owes = collect_releases(in, events, 2) > 0;
	return avail;
}

/* The driver is asked for notifications only while it has too few buffers for what is owed. */
static void settle(struct input *in)
{
	struct vmm_virtq *q = in->active.queues[EVENTQ];
	unsigned avail;

	vmm_virtq_kick_disable(q);
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		avail = send_releases(in);
		/* One buffer is of no use: whether there are more by now is what counts. */
		if (!in->owes || !vmm_virtq_kick_enable(q) || vmm_virtq_avail_count(q) == avail) {
			return;
		}
	}
}

/* ---- from the source ---- */

static bool is_legal(const struct input *in, const struct vmm_input_event *event)
{
	uint16_t type = le16toh(event->type);
	uint16_t code = le16toh(event->code);
	uint32_t value = le32toh(event->value);

	switch (type) {
	case EV_SYN:
		return code == SYN_REPORT && value == 0;
	case EV_KEY:
		return vmm_input_has(in->model, type, code) && value <= 1;
	case EV_REL:
		return vmm_input_has(in->model, type, code) && value + 0x8000u <= 0xffffu;
	case EV_ABS:
		return vmm_input_has(in->model, type, code) && value <= VMM_INPUT_ABS_MAX;
	default:
		return false;
	}
}

/* How many events a packet of len bytes has; 0 for what is no packet of this device. */
static unsigned check_packet(const struct input *in, const struct vmm_input_event *events,
			     size_t len)
{
	unsigned n = (unsigned)(len / sizeof(*events));

	/* One that was longer than it may be was cut off in the middle of an event. */
	if (len % sizeof(*events) != 0 || n == 0 || le16toh(events[n - 1].type) != EV_SYN) {
		return 0;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!is_legal(in, &events[i])) {
			return 0;
		}
	}
	return n;
}

static void end_source(struct input *in)
{
	vmm_source_remove(in->source);
	in->source = NULL;
	in->fd = -1;
	memset(in->held, 0, sizeof(in->held));
}

/* The next packet: its number of events, 0 when it is none, -EAGAIN when there is no more. */
static int next_packet(struct input *in, struct vmm_input_event *events)
{
	/* One byte more than is legal shows that there were more. */
	union {
		struct vmm_input_event events[VMM_INPUT_EVENTS_MAX + 1];
		uint8_t bytes[VMM_INPUT_EVENTS_MAX * sizeof(struct vmm_input_event) + 1];
	} packet;
	ssize_t got = read(in->fd, packet.bytes, sizeof(packet.bytes));
	unsigned n;

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return -EAGAIN;
	}
	if (got <= 0) {
		end_source(in);
		return -EPIPE;
	}
	n = check_packet(in, packet.events, (size_t)got);
	memcpy(events, packet.events, n * sizeof(*events));
	count(&in->refused, n == 0);
	return (int)n;
}

static void on_source(void *ctx, int fd, uint32_t happened)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];
	struct input *in = ctx;
	int n = 0;

	(void)fd;
	(void)happened;
	for (unsigned i = 0; i < PACKETS_MAX && n >= 0; i++) {
		n = next_packet(in, events);
		if (n <= 0) {
			continue;
		}
		/* First what is owed, or a key that is pressed again would seem to have been held.
		 */
		if (in->owes) {
			settle(in);
		}
		note_keys(in->held, events, (unsigned)n);
		if (!deliver(in, events, (unsigned)n)) {
			count(&in->dropped, (unsigned)n);
		}
	}
	settle(in);
}

/* What is left from before the driver came is not for it. */
static void drop_stale(struct input *in)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];
	int n = 0;

	for (unsigned i = 0; i < STALE_MAX && in->fd >= 0 && n >= 0; i++) {
		n = next_packet(in, events);
	}
}

/* ---- status queue ---- */

static void drain_status(struct input *in)
{
	struct vmm_virtq *q = in->active.queues[STATUSQ];
	unsigned budget = BATCH_MAX;

	do {
		vmm_virtq_kick_disable(q);
		while (budget > 0 && vmm_virtq_pop(q, &in->chain) == 1) {
			(void)vmm_virtq_push(q, in->chain.head, 0);
			budget--;
		}
		vmm_virtq_flush(q);
		if (budget == 0) {
			vmm_loop_post(in->active.loop, &in->again);
			return;
		}
	} while (vmm_virtq_kick_enable(q));
}

static void drain_again(void *ctx)
{
	struct input *in = ctx;

	/* The device may have been reset since this was posted. */
	if (in->active.queues) {
		drain_status(in);
	}
}

/* ---- callbacks ---- */

static int input_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct input *in = from_base(dev);
	int ret = 0;

	if (!active->queues[EVENTQ] || !active->queues[STATUSQ]) {
		return -EPROTO;
	}
	in->active = *active;
	drop_stale(in);
	memset(in->held, 0, sizeof(in->held));
	memset(in->told, 0, sizeof(in->told));
	/* Any key may be held, as far as a driver knows that had its events from another process.
	 */
	for (unsigned code = 0; active->resumed && code < KEYS; code++) {
		set(in->told, code, vmm_input_has(in->model, EV_KEY, (uint16_t)code));
	}
	if (in->fd >= 0) {
		ret = vmm_loop_add_fd(active->loop, in->fd, VMM_LOOP_READABLE, on_source, in,
				      &in->source);
	}
	if (ret < 0) {
		memset(&in->active, 0, sizeof(in->active));
	}
	return ret;
}

static void input_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	struct input *in = from_base(dev);

	if (queue == STATUSQ) {
		drain_status(in);
	} else {
		settle(in);
	}
}

static void input_reset(struct vmm_virtio_device *dev)
{
	struct input *in = from_base(dev);

	vmm_loop_cancel(in->active.loop, &in->again);
	vmm_source_remove(in->source);
	in->source = NULL;
	in->owes = false;
	memset(&in->active, 0, sizeof(in->active));
}

static void input_destroy(struct vmm_virtio_device *dev)
{
	free(from_base(dev));
}

static void input_counters(struct vmm_virtio_device *dev,
			   void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	const struct input *in = from_base(dev);

	emit(ctx, "events", __atomic_load_n(&in->events, __ATOMIC_RELAXED));
	emit(ctx, "events_dropped", __atomic_load_n(&in->dropped, __ATOMIC_RELAXED));
	emit(ctx, "packets_refused", __atomic_load_n(&in->refused, __ATOMIC_RELAXED));
}

static const struct vmm_virtio_ops input_ops = {
	.activate = input_activate,
	.notify = input_notify,
	.reset = input_reset,
	.set_config = input_set_config,
	.destroy = input_destroy,
	.counters = input_counters,
};

/* ---- creation ---- */

/* A stream would join packets, and one that blocks would stop the loop. */
static int check_source(int fd, struct vmm_error *err)
{
	int type = 0;
	socklen_t len = sizeof(type);
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0) {
		int ret = -errno;

		return vmm_error_set(err, ret, "input: descriptor %d: %s", fd, strerror(-ret));
	}
	if (type != SOCK_SEQPACKET || !(flags & O_NONBLOCK)) {
		return vmm_error_set(err, -EINVAL,
				     "input: descriptor %d is not a socket of packets that does "
				     "not block",
				     fd);
	}
	return 0;
}

static int check(const struct vmm_input_config *config, struct vmm_error *err)
{
	if (!vmm_input_model(config->kind)) {
		return vmm_error_set(err, -EINVAL, "input: there is no kind %d", (int)config->kind);
	}
	if (config->serial && strlen(config->serial) >= CFG_DATA) {
		return vmm_error_set(err, -EINVAL, "input: a serial number has at most %d bytes",
				     CFG_DATA - 1);
	}
	return config->source_fd >= 0 ? check_source(config->source_fd, err) : 0;
}

int vmm_input_create(struct vmm_virtio_device **out, const struct vmm_input_config *config,
		     struct vmm_error *err)
{
	struct input *in;
	int ret;

	*out = NULL;
	ret = check(config, err);
	if (ret < 0) {
		return ret;
	}
	in = calloc(1, sizeof(*in));
	if (!in) {
		return vmm_error_set(err, -ENOMEM, "input: out of memory");
	}
	in->model = vmm_input_model(config->kind);
	in->fd = config->source_fd < 0 ? -1 : config->source_fd;
	if (config->serial) {
		memcpy(in->serial_bytes, config->serial, strlen(config->serial));
		in->serial = in->serial_bytes;
	}
	in->base.ops = &input_ops;
	vmm_dev_shape_apply(&vmm_input_shape, &in->base);
	in->again.fn = drain_again;
	in->again.ctx = in;
	in->chain.iov = in->iov;
	in->chain.iov_cap = QUEUE_SIZE;
	*out = &in->base;
	return 0;
}
