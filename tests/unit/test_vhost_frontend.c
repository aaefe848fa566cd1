/* SPDX-License-Identifier: MIT */
/*
 * The front end against a back end that a thread of the test plays: what it says in which order,
 * what it makes of answers that are wrong, late or missing, and how it goes on with another back
 * end.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/carrier.h>
#include <vmm/vhost_frontend.h>

#include "fdcount.h"
#include "memfix.h"
#include "suite.h"
#include "test_vhost_peer.h"

#define QUEUE_SIZE  16
#define DEADLINE_MS 300

static const uint16_t queue_sizes[QUEUES] = {QUEUE_SIZE, QUEUE_SIZE};

static struct memfix fix;
static struct vmm_loop *loop;
static unsigned lost;
static int lost_why;
static unsigned fds_before;

/* ---- the driver's side ---- */

struct irq {
	struct vmm_irq base;
	int fd;
	unsigned raised;
};

static void raise_irq(struct vmm_irq *base)
{
	((struct irq *)base)->raised++;
}

static int irq_fd(struct vmm_irq *base)
{
	return ((struct irq *)base)->fd;
}

struct driver {
	struct vmm_virtio_device *dev;
	struct vmm_carrier *c;
	struct irq irqs[QUEUES];
	struct irq config_irq;
	int kicks[QUEUES];
	vmm_gpa used[QUEUES];
};

static void on_lost(void *ctx, int why)
{
	(void)ctx;
	lost++;
	lost_why = why;
}

static void set_up(void)
{
	fds_before = fdcount();
	memfix_init(&fix);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	lost = 0;
	lost_why = 0;
}

static void tear_down(void)
{
	vmm_loop_destroy(loop);
	memfix_finish(&fix);
	ck_assert_uint_eq(fdcount(), fds_before);
}

static uint64_t features;
static uint64_t own_features;

static int create(struct driver *d, int fd, bool waits, struct vmm_error *err)
{
	const struct vmm_vhost_frontend_config config = {
		.features = features,
		.own_features = own_features,
		.loop = loop,
		.fd = fd,
		.name = "test",
		.device_id = VMM_VIRTIO_ID_BLOCK,
		.queue_count = QUEUES,
		.queue_sizes = queue_sizes,
		.config_len = CONFIG_LEN,
		.deadline_ms = DEADLINE_MS,
		.waits = waits,
		.on_lost = on_lost,
	};

	memset(d, 0, sizeof(*d));
	return vmm_vhost_frontend_create(&d->dev, &config, err);
}

static void carry(struct driver *d)
{
	struct vmm_irq *irqs[QUEUES];
	struct vmm_carrier_config config = {
		.mem = fix.mem,
		.loop = loop,
		.config_irq = &d->config_irq.base,
		.queue_irqs = irqs,
		.kick_fds = d->kicks,
	};

	d->config_irq.base.raise = raise_irq;
	for (int i = 0; i < QUEUES; i++) {
		d->irqs[i].base = (struct vmm_irq){.raise = raise_irq, .eventfd = irq_fd};
		d->irqs[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		d->kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		irqs[i] = &d->irqs[i].base;
	}
	ck_assert_int_eq(vmm_carrier_create(&d->c, d->dev, &config, NULL), 0);
}

static void drive(struct driver *d)
{
	static const uint8_t steps[] = {1, 3, 11};

	for (size_t i = 0; i < sizeof(steps); i++) {
		if (steps[i] == 11) {
			vmm_carrier_set_driver_features(d->c, vmm_carrier_features(d->c));
		}
		vmm_carrier_set_status(d->c, steps[i]);
	}
	for (unsigned i = 0; i < QUEUES; i++) {
		struct vmm_carrier_queue q = {.size = QUEUE_SIZE, .enabled = true};

		q.desc = memfix_gpa(&fix, memfix_alloc(&fix, 16 * QUEUE_SIZE, 16));
		q.driver = memfix_gpa(&fix, memfix_alloc(&fix, 6 + 2 * QUEUE_SIZE, 2));
		q.device = memfix_gpa(&fix, memfix_alloc(&fix, 6 + 8 * QUEUE_SIZE, 4));
		d->used[i] = q.device;
		ck_assert_int_eq(vmm_carrier_set_queue(d->c, i, &q), 0);
	}
	vmm_carrier_set_status(d->c, 15);
}

static void finish(struct driver *d)
{
	vmm_carrier_destroy(d->c);
	for (int i = 0; d->c && i < QUEUES; i++) {
		(void)close(d->irqs[i].fd);
		(void)close(d->kicks[i]);
	}
}

/* ---- tests ---- */

START_TEST(frontend_hands_over_everything_and_takes_it_back)
{
	uint8_t config[CONFIG_LEN];
	struct back_end b;
	struct driver d;
	uint64_t kicked = 0;

	set_up();
	init_back_end(&b);
	ck_assert_int_eq(create(&d, start_back_end(&b), false, NULL), 0);
	ck_assert(vmm_vhost_frontend_is_connected(d.dev));
	carry(&d);
	/* The transport's own bit stays between the two of them. */
	ck_assert_uint_eq(vmm_carrier_features(d.c),
			  VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_EVENT_IDX | 0x21);
	vmm_carrier_read_config(d.c, 0, config, sizeof(config));
	ck_assert_mem_eq(config, b.config, CONFIG_LEN);
	drive(&d);
	ck_assert_uint_eq(vmm_carrier_status(d.c), 15);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_SET_MEM_TABLE), 1);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_SET_INFLIGHT_FD), 1);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_SET_VRING_ADDR), QUEUES);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_SET_VRING_ENABLE), QUEUES);
	ck_assert_uint_eq(b.log[b.count - 1], VHOST_USER_SET_STATUS);
	/* Whatever the driver did before anybody listened is looked at. */
	ck_assert_int_eq(read(d.kicks[0], &kicked, sizeof(kicked)), sizeof(kicked));

	vmm_carrier_set_status(d.c, 0);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_GET_VRING_BASE), QUEUES);
	drive(&d);
	/* Memory and record are known already. */
	ck_assert_uint_eq(count_of(&b, VHOST_USER_SET_MEM_TABLE), 1);
	ck_assert_uint_eq(b.records_made, 1);
	finish(&d);
	join(&b);
	ck_assert_uint_eq(lost, 0);
	tear_down();
}
END_TEST

START_TEST(frontend_does_without_protocol_features)
{
	struct back_end b;
	struct driver d;

	set_up();
	init_back_end(&b);
	b.features &= ~VHOST_USER_F_PROTOCOL_FEATURES;
	ck_assert_int_eq(create(&d, start_back_end(&b), false, NULL), 0);
	carry(&d);
	drive(&d);
	ck_assert_uint_eq(vmm_carrier_status(d.c), 15);
	finish(&d);
	join(&b);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_SET_VRING_ENABLE), 0);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_GET_CONFIG), 0);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_SET_STATUS), 0);
	tear_down();
}
END_TEST

/* 0x21 is offered by the back end, 0x1 may be had, 0x42 needs no more than configuration. */
START_TEST(frontend_offers_what_may_be_had_and_is_its_own)
{
	const uint64_t ring = VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_EVENT_IDX;
	struct back_end b;
	struct driver d;

	set_up();
	init_back_end(&b);
	if (_i == 1) {
		b.protocol &= ~VHOST_USER_PROTOCOL_F_CONFIG;
	}
	features = 0x1;
	own_features = 0x42;
	ck_assert_int_eq(create(&d, start_back_end(&b), false, NULL), 0);
	carry(&d);
	ck_assert_uint_eq(vmm_carrier_features(d.c), ring | (_i == 1 ? 0x43 : 0x1));
	drive(&d);
	ck_assert_uint_eq(vmm_carrier_status(d.c), 15);
	finish(&d);
	join(&b);
	ck_assert_uint_eq(b.accepted, VHOST_USER_F_PROTOCOL_FEATURES | ring | 0x1);
	features = 0;
	own_features = 0;
	tear_down();
}
END_TEST

START_TEST(frontend_refuses_back_ends_it_cannot_use)
{
	struct vmm_error err = {0};
	struct back_end b;
	struct driver d;
	int fd;

	set_up();
	init_back_end(&b);
	if (_i == 0) {
		b.features &= ~VMM_VIRTIO_F_VERSION_1;
	} else {
		b.queues = QUEUES - 1;
	}
	fd = start_back_end(&b);
	ck_assert_int_eq(create(&d, fd, false, &err), -EPROTO);
	ck_assert_ptr_null(d.dev);
	ck_assert_str_ne(err.message, "");
	(void)close(fd); /* stays the caller's */
	join(&b);
	tear_down();
}
END_TEST

/* _i: which fault. Each message of greeting and start is answered wrongly once. */
START_TEST(frontend_survives_wrong_answers)
{
	bool clean = false;

	set_up();
	for (unsigned at = 0; !clean; at++) {
		struct back_end b;
		struct driver d;
		int fd;
		int ret;

		ck_assert_uint_lt(at, LOG_MAX);
		init_back_end(&b);
		b.fault = (enum fault)_i;
		b.fault_at = at;
		lost = 0;
		fd = start_back_end(&b);
		ret = create(&d, fd, false, NULL);
		if (ret < 0) {
			(void)close(fd);
			join(&b);
			continue;
		}
		carry(&d);
		drive(&d);
		/* An answer that does not matter, or the device is of no use and says so. */
		ck_assert(lost == 1 ? (vmm_carrier_status(d.c) & 0x40) != 0
				    : vmm_carrier_status(d.c) == 15);
		vmm_carrier_set_status(d.c, 0);
		ck_assert_uint_eq(vmm_carrier_status(d.c), 0);
		/* Through to the end without having met the fault. */
		clean = lost == 0 && at >= b.count;
		finish(&d);
		join(&b);
	}
	tear_down();
}
END_TEST

START_TEST(frontend_whose_back_end_dies_needs_a_reset_or_waits)
{
	bool waits = _i == 1;
	struct back_end b;
	struct driver d;

	set_up();
	init_back_end(&b);
	ck_assert_int_eq(create(&d, start_back_end(&b), waits, NULL), 0);
	carry(&d);
	drive(&d);
	(void)shutdown(b.fd, SHUT_RDWR);
	join(&b);
	ck_assert_int_ge(vmm_loop_dispatch(loop, 1000), 1);
	ck_assert_uint_eq(lost, 1);
	ck_assert_int_eq(lost_why, -ECONNRESET);
	ck_assert(!vmm_vhost_frontend_is_connected(d.dev));
	ck_assert_uint_eq(vmm_carrier_status(d.c) & 0x40, waits ? 0 : 0x40);
	ck_assert_uint_eq(d.config_irq.raised, waits ? 0 : 1);
	if (waits) {
		vmm_vhost_frontend_give_up(d.dev);
		ck_assert_uint_eq(vmm_carrier_status(d.c) & 0x40, 0x40);
	}
	vmm_carrier_set_status(d.c, 0);
	drive(&d);
	ck_assert_uint_eq(vmm_carrier_status(d.c) & 0x40, 0x40);
	finish(&d);
	tear_down();
}
END_TEST

START_TEST(frontend_goes_on_with_another_back_end)
{
	uint16_t used = 7;
	struct back_end old;
	struct back_end new;
	struct driver d;

	set_up();
	init_back_end(&old);
	ck_assert_int_eq(create(&d, start_back_end(&old), true, NULL), 0);
	carry(&d);
	drive(&d);
	vmm_carrier_write_config(d.c, 4, "ab", 2);
	ck_assert_int_eq(vmm_mem_write(fix.mem, d.used[1] + 2, &used, sizeof(used)), 0);
	(void)shutdown(old.fd, SHUT_RDWR);
	join(&old);
	ck_assert_int_ge(vmm_loop_dispatch(loop, 1000), 1);

	init_back_end(&new);
	d.irqs[0].raised = 0;
	ck_assert_int_eq(vmm_vhost_frontend_connect(d.dev, start_back_end(&new), NULL), 0);
	ck_assert_uint_eq(vmm_carrier_status(d.c), 15);
	/* It gets the record of the one before, and goes on behind what that one gave back. */
	ck_assert_uint_eq(new.records_made, 0);
	ck_assert_uint_eq(count_of(&new, VHOST_USER_SET_INFLIGHT_FD), 1);
	ck_assert_uint_eq(new.base[0], 0);
	ck_assert_uint_eq(new.base[1], 7);
	ck_assert_mem_eq(new.config + 4, "ab", 2);
	ck_assert_uint_eq(new.written[3] + new.written[6], 0);
	/* An interrupt that the old one owed. */
	ck_assert_uint_eq(d.irqs[0].raised, 1);
	finish(&d);
	join(&new);
	tear_down();
}
END_TEST

START_TEST(frontend_refuses_a_successor_with_less)
{
	struct vmm_error err = {0};
	struct back_end old;
	struct back_end new;
	struct driver d;
	int fd;

	set_up();
	init_back_end(&old);
	ck_assert_int_eq(create(&d, start_back_end(&old), true, NULL), 0);
	carry(&d);
	drive(&d);
	init_back_end(&new);
	new.features &= ~UINT64_C(0x20);
	fd = start_back_end(&new);
	ck_assert_int_eq(vmm_vhost_frontend_connect(d.dev, fd, &err), -EPROTO);
	(void)close(fd);
	ck_assert(!vmm_vhost_frontend_is_connected(d.dev));
	join(&old);
	join(&new);
	finish(&d);
	tear_down();
}
END_TEST

START_TEST(frontend_started_while_alone_is_served_later)
{
	struct back_end old;
	struct back_end new;
	struct driver d;

	set_up();
	init_back_end(&old);
	ck_assert_int_eq(create(&d, start_back_end(&old), true, NULL), 0);
	carry(&d);
	(void)shutdown(old.fd, SHUT_RDWR);
	join(&old);
	ck_assert_int_ge(vmm_loop_dispatch(loop, 1000), 1);
	drive(&d);
	ck_assert_uint_eq(vmm_carrier_status(d.c), 15);
	init_back_end(&new);
	ck_assert_int_eq(vmm_vhost_frontend_connect(d.dev, start_back_end(&new), NULL), 0);
	ck_assert_uint_eq(count_of(&new, VHOST_USER_SET_VRING_KICK), QUEUES);
	finish(&d);
	join(&new);
	tear_down();
}
END_TEST

START_TEST(frontend_reads_a_changed_configuration)
{
	uint8_t config[CONFIG_LEN];
	struct vhost_msg msg;
	struct back_end b;
	struct driver d;

	set_up();
	init_back_end(&b);
	ck_assert_int_eq(create(&d, start_back_end(&b), false, NULL), 0);
	carry(&d);
	drive(&d);
	b.config[0] = 99;
	vmm_vhost_msg_init(&msg, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0);
	msg.header.flags |= VHOST_USER_NEED_REPLY;
	ck_assert_int_eq(vmm_vhost_send(b.channel, &msg, vmm_vhost_deadline(1000)), 0);
	for (int i = 0; i < 3 && d.config_irq.raised == 0; i++) {
		(void)vmm_loop_dispatch(loop, 1000);
	}
	ck_assert_uint_eq(d.config_irq.raised, 1);
	vmm_carrier_read_config(d.c, 0, config, sizeof(config));
	ck_assert_uint_eq(config[0], 99);
	finish(&d);
	join(&b);
	tear_down();
}
END_TEST

/* Junk on the channel of requests, unasked bytes on the main one, an error of a queue. */
START_TEST(frontend_survives_what_a_back_end_says_unasked)
{
	char junk[64];
	struct back_end b;
	struct driver d;
	uint64_t one = 1;

	set_up();
	memset(junk, 0xa5, sizeof(junk));
	init_back_end(&b);
	ck_assert_int_eq(create(&d, start_back_end(&b), false, NULL), 0);
	carry(&d);
	drive(&d);
	if (_i == 0) {
		ck_assert_int_eq(write(b.channel, junk, sizeof(junk)), sizeof(junk));
	} else if (_i == 1) {
		ck_assert_int_eq(write(b.fd, junk, sizeof(junk)), sizeof(junk));
	} else {
		ck_assert_int_eq(write(b.err_fd, &one, sizeof(one)), sizeof(one));
	}
	ck_assert_int_ge(vmm_loop_dispatch(loop, 1000), 1);
	ck_assert_uint_eq(vmm_carrier_status(d.c) & 0x40, 0x40);
	ck_assert_uint_eq(lost, _i < 2);
	finish(&d);
	join(&b);
	tear_down();
}
END_TEST

START_TEST(frontend_tells_when_an_interrupt_moves)
{
	struct back_end b;
	struct driver d;
	unsigned before;

	set_up();
	init_back_end(&b);
	ck_assert_int_eq(create(&d, start_back_end(&b), false, NULL), 0);
	carry(&d);
	drive(&d);
	before = count_of(&b, VHOST_USER_SET_VRING_CALL);
	vmm_carrier_irqs_changed(d.c);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_SET_VRING_CALL), before);
	(void)close(d.irqs[1].fd);
	d.irqs[1].fd = -1;
	vmm_carrier_irqs_changed(d.c);
	ck_assert_uint_eq(count_of(&b, VHOST_USER_SET_VRING_CALL), before + 1);
	ck_assert_int_eq(b.call_fd[1], -1);
	d.irqs[1].fd = eventfd(0, EFD_CLOEXEC);
	finish(&d);
	join(&b);
	tear_down();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{frontend_hands_over_everything_and_takes_it_back, 1},
		{frontend_does_without_protocol_features, 1},
		{frontend_offers_what_may_be_had_and_is_its_own, 2},
		{frontend_refuses_back_ends_it_cannot_use, 2},
		{frontend_survives_wrong_answers, FAULT_COUNT},
		{frontend_whose_back_end_dies_needs_a_reset_or_waits, 2},
		{frontend_goes_on_with_another_back_end, 1},
		{frontend_refuses_a_successor_with_less, 1},
		{frontend_started_while_alone_is_served_later, 1},
		{frontend_reads_a_changed_configuration, 1},
		{frontend_survives_what_a_back_end_says_unasked, 3},
		{frontend_tells_when_an_interrupt_moves, 1},
	};

	return suite_run_looped("vhost-frontend", tests, sizeof(tests) / sizeof(tests[0]));
}
