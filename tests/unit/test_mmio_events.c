/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"
#include "test_mmio_fix.h"

/* ---- kicks ---- */

START_TEST(kick_reaches_the_device_through_ioeventfds_of_its_value)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_prepare(&fix, 3);
	ck_assert_uint_eq(fix.events.ioeventfd_calls, 0);
	reg_write(&fix, R_STATUS, STATUS_OK);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 2);
	for (unsigned i = 0; i < FIX_IOEVENTFDS; i++) {
		const struct fix_ioeventfd *e = &fix.events.ioeventfds[i];

		if (e->eventfd >= 0) {
			ck_assert_uint_eq(e->bell.gpa, FIX_BASE + R_QUEUE_NOTIFY);
			ck_assert_uint_eq(e->bell.len, 4);
			ck_assert_uint_lt(e->bell.value, TOY_QUEUES);
		}
	}
	/* What arrives as a register write is not for the ioeventfds to miss. */
	vmm_bus_destroy(fix.bus);
	ck_assert_int_eq(vmm_bus_create(&fix.bus), 0);
	for (unsigned i = 1; i <= 20; i++) {
		mmiofix_request(&fix, i % 2);
		ck_assert_uint_eq(mmiofix_used(&fix, i % 2), (i + 1) / 2);
	}
	ck_assert_uint_eq(fix.toy.notifies[0], 11);
	ck_assert_uint_eq(fix.toy.notifies[1], 11);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(kick_takes_the_slow_path_when_there_is_no_ioeventfd)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	fix.events.fail_ioeventfd = -ENOSPC;
	mmiofix_start(&fix);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 0);
	ck_assert_uint_eq(fix.events.logged, 1); /* once for both queues */
	mmiofix_request(&fix, 0);
	mmiofix_request(&fix, 1);
	ck_assert_uint_eq(mmiofix_used(&fix, 0), 1);
	ck_assert_uint_eq(mmiofix_used(&fix, 1), 1);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(kick_of_a_queue_that_does_not_exist_is_ignored)
{
	static const uint32_t beyond[] = {TOY_QUEUES, 0x7f,    0x80,       0xffff,
					  0x10000,    0x10001, 0x80000000, UINT32_MAX};
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_start(&fix);
	mmiofix_run(&fix);
	for (unsigned i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		reg_write(&fix, R_QUEUE_NOTIFY, beyond[i]);
	}
	mmiofix_write(&fix, R_QUEUE_NOTIFY, 2, 0);
	mmiofix_write(&fix, R_QUEUE_NOTIFY, 1, 0);
	mmiofix_write(&fix, R_QUEUE_NOTIFY, 8, 0);
	mmiofix_run(&fix);
	ck_assert_uint_eq(fix.toy.notifies[0], 1);
	ck_assert_uint_eq(fix.toy.notifies[1], 1);
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_NOTIFY), 0);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(kick_of_a_queue_that_is_not_ready_or_not_active_is_ignored)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	/* Both ready the time before. */
	mmiofix_start(&fix);
	mmiofix_prepare(&fix, 1);
	reg_write(&fix, R_QUEUE_NOTIFY, 0);
	mmiofix_run(&fix);
	ck_assert_uint_eq(fix.toy.notifies[0], 1);
	reg_write(&fix, R_STATUS, STATUS_OK);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 1);
	reg_write(&fix, R_QUEUE_NOTIFY, 1);
	mmiofix_run(&fix);
	ck_assert_uint_eq(fix.toy.notifies[1], 1);
	mmiofix_request(&fix, 0);
	ck_assert_uint_eq(mmiofix_used(&fix, 0), 1);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(host_reset_of_an_active_device_starts_over)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	for (unsigned i = 1; i <= 20; i++) {
		mmiofix_start(&fix);
		ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 2);
		mmiofix_request(&fix, 0);
		ck_assert_uint_eq(mmiofix_used(&fix, 0), 1);
		ck_assert_uint_eq(mmiofix_interrupts(&fix), i);
		vmm_virtio_mmio_reset(fix.mmio);
		ck_assert_uint_eq(fix.toy.resets, i);
		ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 0);
		ck_assert_uint_eq(reg_read(&fix, R_STATUS), 0);
		ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 0);
	}
	/* The line is the device's for as long as it lives. */
	ck_assert_uint_eq(fix.events.irqfd_calls, 1);
	mmiofix_finish(&fix);
}
END_TEST

/* ---- interrupts ---- */

START_TEST(interrupt_of_a_queue_shows_until_acknowledged)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_start(&fix);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 0);
	ck_assert_uint_eq(mmiofix_interrupts(&fix), 0);
	for (unsigned i = 1; i <= 4; i++) {
		mmiofix_request(&fix, i % 2);
		ck_assert_uint_eq(mmiofix_interrupts(&fix), i);
		ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 1);
		ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 1);
		reg_write(&fix, R_INTERRUPT_STATUS, 0);
		reg_write(&fix, R_INTERRUPT_ACK, 2);
		reg_write(&fix, R_INTERRUPT_ACK, 0xfffffffc);
		ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 1);
		reg_write(&fix, R_INTERRUPT_ACK, 1);
		ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 0);
	}
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(interrupt_of_a_configuration_change)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	vmm_virtio_config_update(&fix.toy.base, 0, "x", 1);
	ck_assert_uint_eq(mmiofix_interrupts(&fix), 0); /* no driver yet */
	mmiofix_start(&fix);
	vmm_virtio_config_update(&fix.toy.base, 0, "y", 1);
	ck_assert_uint_eq(mmiofix_interrupts(&fix), 1);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 2);
	mmiofix_request(&fix, 0);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 3);
	reg_write(&fix, R_INTERRUPT_ACK, 2);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 1);
	mmiofix_finish(&fix);
}
END_TEST

/* Between a driver's read and its acknowledgement: the new bit stays, and there is a new edge. */
START_TEST(interrupt_raised_before_the_acknowledgement_is_not_lost)
{
	struct mmiofix fix;
	uint32_t seen;

	mmiofix_init(&fix);
	mmiofix_start(&fix);
	mmiofix_request(&fix, 0);
	ck_assert_uint_eq(mmiofix_interrupts(&fix), 1);
	seen = reg_read(&fix, R_INTERRUPT_STATUS);
	vmm_virtio_config_update(&fix.toy.base, 0, "x", 1);
	reg_write(&fix, R_INTERRUPT_ACK, seen);
	ck_assert_uint_eq(mmiofix_interrupts(&fix), 2);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 2);
	/* The same bit once more: the edge is there, whatever the bit is. */
	seen = reg_read(&fix, R_INTERRUPT_STATUS);
	vmm_virtio_config_update(&fix.toy.base, 0, "y", 1);
	reg_write(&fix, R_INTERRUPT_ACK, seen);
	ck_assert_uint_eq(mmiofix_interrupts(&fix), 3);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(device_that_fails_needs_a_reset_and_says_so)
{
	const uint64_t bad[] = {0, MEMFIX_HOLE, FIX_BASE + R_CONFIG, UINT64_MAX - 15};
	struct mmiofix fix;

	mmiofix_init(&fix);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unsigned before = mmiofix_interrupts(&fix);

		mmiofix_prepare(&fix, 2);
		reg_write(&fix, R_QUEUE_SEL, 0);
		for (unsigned at = R_QUEUE_DESC; at <= R_QUEUE_DEVICE; at += 0x10) {
			reg_write(&fix, at, (uint32_t)bad[i]);
			reg_write(&fix, at + 4, (uint32_t)(bad[i] >> 32));
		}
		reg_write(&fix, R_QUEUE_READY, 1);
		reg_write(&fix, R_STATUS, STATUS_OK);
		ck_assert_uint_eq(reg_read(&fix, R_STATUS), STATUS_OK | VMM_VIRTIO_S_NEEDS_RESET);
		ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 2);
		ck_assert_uint_eq(mmiofix_interrupts(&fix), before + 1);
		/* Never active, so no ioeventfd either. */
		ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 0);
	}
	mmiofix_start(&fix);
	mmiofix_request(&fix, 0);
	ck_assert_uint_eq(mmiofix_used(&fix, 0), 1);
	mmiofix_finish(&fix);
}
END_TEST

/* ---- queues of another process ---- */

START_TEST(external_queues_always_show_used_buffers_while_active)
{
	struct mmiofix fix;

	mmiofix_init_external(&fix);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 0);
	mmiofix_prepare(&fix, 3);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 0);
	reg_write(&fix, R_STATUS, STATUS_OK);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 1);
	reg_write(&fix, R_INTERRUPT_ACK, 1);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 1);
	vmm_virtio_config_update(&fix.toy.base, 0, "x", 1);
	ck_assert_uint_eq(mmiofix_interrupts(&fix), 1);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 3);
	reg_write(&fix, R_INTERRUPT_ACK, 3);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 1);
	reg_write(&fix, R_STATUS, 0);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 0);
	mmiofix_finish(&fix);
}
END_TEST

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* Neither a kick nor an interrupt takes this process, once its queues are handed over. */
START_TEST(external_queues_get_the_descriptors_themselves)
{
	const uint64_t one = 1;
	struct mmiofix fix;
	struct vmm_irq *irq;
	int fd;

	mmiofix_init_external(&fix);
	mmiofix_start(&fix);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		irq = fix.toy.active.queue_irqs[i];
		fd = irq->eventfd(irq);
		ck_assert_int_eq(fd, fix.events.lines[FIX_GSI].eventfd);
		ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
		ck_assert_uint_eq(mmiofix_interrupts(&fix), i + 1);
		ck_assert(!is_readable(fix.toy.active.kick_fds[i]));
		reg_write(&fix, R_QUEUE_NOTIFY, i);
		mmiofix_run(&fix);
		ck_assert(is_readable(fix.toy.active.kick_fds[i]));
	}
	ck_assert_uint_eq(fix.toy.notifies[0], 0);
	/* Raised by this process on the other's behalf: after its death, say. */
	vmm_irq_raise(fix.toy.active.queue_irqs[0]);
	ck_assert_uint_eq(mmiofix_interrupts(&fix), TOY_QUEUES + 1);
	/* Without an ioeventfd a kick gets there all the same. */
	reg_write(&fix, R_STATUS, 0);
	fix.events.fail_ioeventfd = -ENOSPC;
	mmiofix_start(&fix);
	fd = fix.toy.active.kick_fds[1];
	ck_assert_int_eq(read(fd, &(uint64_t){0}, sizeof(one)), sizeof(one));
	reg_write(&fix, R_QUEUE_NOTIFY, 1);
	ck_assert(is_readable(fd));
	mmiofix_finish(&fix);
}
END_TEST

/* ---- several threads ---- */

struct boots {
	struct mmiofix *fix;
	unsigned count;
	bool done; /* atomic */
};

/* A vCPU: resets and starts the device again and again; every status write waits for the loop. */
static void *boot(void *ctx)
{
	struct boots *b = ctx;

	for (; b->count < 50; b->count++) {
		mmiofix_start(b->fix);
		reg_write(b->fix, R_QUEUE_NOTIFY, 0);
		reg_write(b->fix, R_INTERRUPT_ACK, reg_read(b->fix, R_INTERRUPT_STATUS));
		reg_write(b->fix, R_STATUS, 0);
	}
	__atomic_store_n(&b->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Another, which touches what the first one has no use for at the moment. */
static void *disturb(void *ctx)
{
	struct boots *b = ctx;
	struct mmiofix *fix = b->fix;

	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE)) {
		mmiofix_write(fix, R_CONFIG, 4, 0);
		(void)reg_read(fix, R_GENERATION);
		(void)reg_read(fix, R_INTERRUPT_STATUS);
		reg_write(fix, R_QUEUE_NOTIFY, 1);
		reg_write(fix, R_INTERRUPT_ACK, 3);
	}
	return NULL;
}

START_TEST(device_driven_by_two_vcpus_beside_the_loop)
{
	struct mmiofix fix;
	struct boots boots = {.fix = &fix};
	pthread_t threads[2];

	mmiofix_init(&fix);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, boot, &boots), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, disturb, &boots), 0);
	while (!__atomic_load_n(&boots.done, __ATOMIC_ACQUIRE)) {
		(void)vmm_loop_dispatch(fix.loop, 10);
	}
	/* The second may be waiting for the loop once more. */
	for (unsigned i = 0; i < 10; i++) {
		(void)vmm_loop_dispatch(fix.loop, 10);
	}
	(void)pthread_join(threads[0], NULL);
	(void)pthread_join(threads[1], NULL);
	ck_assert_uint_eq(fix.toy.activations, 50);
	ck_assert_uint_eq(fix.toy.resets, 50);
	ck_assert_uint_gt(fix.toy.configs, 0);
	mmiofix_finish(&fix);
}
END_TEST

SUITE_MAIN("mmio-events", kick_reaches_the_device_through_ioeventfds_of_its_value,
	   kick_takes_the_slow_path_when_there_is_no_ioeventfd,
	   kick_of_a_queue_that_does_not_exist_is_ignored,
	   kick_of_a_queue_that_is_not_ready_or_not_active_is_ignored,
	   host_reset_of_an_active_device_starts_over,
	   interrupt_of_a_queue_shows_until_acknowledged, interrupt_of_a_configuration_change,
	   interrupt_raised_before_the_acknowledgement_is_not_lost,
	   device_that_fails_needs_a_reset_and_says_so,
	   external_queues_always_show_used_buffers_while_active,
	   external_queues_get_the_descriptors_themselves,
	   device_driven_by_two_vcpus_beside_the_loop)
