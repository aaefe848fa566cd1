/* SPDX-License-Identifier: MIT */
/*
 * Driver and device on two threads, each of which sleeps whenever the other does not ask to be
 * woken: a wake-up that gets lost leaves both asleep, and the test fails by its time limit. The
 * fences that prevent it are in vmm_virtq_flush and vmm_virtq_kick_enable.
 *
 * And one carrier under several vCPU threads: status, configuration and queue registers at once.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include <vmm/carrier.h>
#include <vmm/virtq.h>

#include "fakedrv.h"
#include "memfix.h"
#include "suite.h"
#include "testdev.h"

#define SIZE        8u
#define REQUESTS    400000u
#define PATIENCE_MS 10000
#define SPINS       2000u

/*
 * A wake-up without a system call, so that the two sides meet as often as possible in the few
 * instructions where a missing fence shows.
 */
struct event {
	struct vmm_irq irq; /* first: the queue raises it */
	unsigned pending;   /* atomic */
	unsigned count;     /* atomic */
};

static void signal_event(struct vmm_irq *irq)
{
	struct event *event = (struct event *)irq;

	(void)__atomic_fetch_add(&event->count, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&event->pending, 1, __ATOMIC_RELEASE);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* False when nobody signalled for far too long. */
static bool wait_event(struct event *event)
{
	int64_t end = now_ms() + PATIENCE_MS;

	for (unsigned spins = 1; __atomic_exchange_n(&event->pending, 0, __ATOMIC_ACQUIRE) == 0;
	     spins++) {
		if (spins % SPINS == 0) {
			(void)sched_yield();
			if (now_ms() > end) {
				return false;
			}
		}
	}
	return true;
}

struct race {
	struct memfix fix;
	struct vmm_virtq *q;
	bool event_idx;
	struct event kick;
	struct event irq;
	uint16_t *avail;
	uint16_t *used;
	unsigned served;
	unsigned kicks_lost; /* the device waited in vain */
};

static void set_up(struct race *race, bool event_idx)
{
	struct vmm_virtq_config config = {.size = SIZE, .size_max = SIZE};
	struct fakedrv_desc *desc;

	memset(race, 0, sizeof(*race));
	memfix_init(&race->fix);
	race->event_idx = event_idx;
	race->kick.irq.raise = signal_event;
	race->irq.irq.raise = signal_event;
	desc = memfix_alloc(&race->fix, SIZE * sizeof(*desc), 16);
	race->avail = memfix_alloc(&race->fix, 6 + 2 * SIZE, 4096);
	race->used = memfix_alloc(&race->fix, 6 + 8 * SIZE, 4096);
	config.desc = memfix_gpa(&race->fix, desc);
	config.driver = memfix_gpa(&race->fix, race->avail);
	config.device = memfix_gpa(&race->fix, race->used);
	config.features = event_idx ? VMM_VIRTIO_F_EVENT_IDX : 0;
	for (unsigned i = 0; i < SIZE; i++) {
		desc[i] = (struct fakedrv_desc){.addr = config.desc, .len = 1};
	}
	ck_assert_int_eq(
		vmm_virtq_create(&race->q, race->fix.mem, &config, &race->irq.irq, NULL, NULL), 0);
}

static void tear_down(struct race *race)
{
	vmm_virtq_destroy(race->q);
	memfix_finish(&race->fix);
}

static void *run_device(void *ctx)
{
	struct race *race = ctx;
	struct iovec iov[SIZE];
	struct vmm_chain chain = {.iov = iov, .iov_cap = SIZE};

	while (race->served < REQUESTS) {
		do {
			vmm_virtq_kick_disable(race->q);
			while (vmm_virtq_pop(race->q, &chain) == 1) {
				(void)vmm_virtq_push(race->q, chain.head, 0);
				race->served++;
			}
			vmm_virtq_flush(race->q);
		} while (vmm_virtq_kick_enable(race->q));
		if (race->served < REQUESTS && !wait_event(&race->kick)) {
			race->kicks_lost++;
			return NULL;
		}
	}
	return NULL;
}

static bool passed(uint16_t event, uint16_t from, uint16_t to)
{
	return (uint16_t)(event - from) < (uint16_t)(to - from);
}

static void driver_kicks(struct race *race, uint16_t from, uint16_t to)
{
	uint16_t *avail_event = race->used + 2 + 4 * SIZE;

	/* Pairs with the fence in vmm_virtq_kick_enable. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (race->event_idx ? passed(__atomic_load_n(avail_event, __ATOMIC_RELAXED), from, to)
			    : !(__atomic_load_n(&race->used[0], __ATOMIC_RELAXED) & 1)) {
		signal_event(&race->kick.irq);
	}
}

static void driver_wants_irq(struct race *race, uint16_t seen, bool wanted)
{
	if (race->event_idx && wanted) {
		__atomic_store_n(&race->avail[2 + SIZE], seen, __ATOMIC_RELAXED);
	} else if (!race->event_idx) {
		__atomic_store_n(&race->avail[0], wanted ? 0 : 1, __ATOMIC_RELAXED);
	}
	/* Pairs with the fence in vmm_virtq_flush. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Keeps at most SIZE requests out, in batches of changing size. True when all came back. */
static bool run_driver(struct race *race)
{
	uint16_t *used_idx = &race->used[1];
	unsigned done = 0;
	unsigned added = 0;

	while (done < REQUESTS) {
		unsigned batch = 1 + added % 3;
		uint16_t from = (uint16_t)added;

		while (batch-- > 0 && added - done < SIZE && added < REQUESTS) {
			__atomic_store_n(&race->avail[2 + added % SIZE], (uint16_t)(added % SIZE),
					 __ATOMIC_RELAXED);
			added++;
		}
		__atomic_store_n(&race->avail[1], (uint16_t)added, __ATOMIC_RELEASE);
		driver_kicks(race, from, (uint16_t)added);
		driver_wants_irq(race, (uint16_t)done, false);
		done += (uint16_t)(__atomic_load_n(used_idx, __ATOMIC_ACQUIRE) - done);
		if (done < added && (added - done == SIZE || added == REQUESTS)) {
			driver_wants_irq(race, (uint16_t)done, true);
			if (__atomic_load_n(used_idx, __ATOMIC_ACQUIRE) == (uint16_t)done &&
			    !wait_event(&race->irq)) {
				return false;
			}
		}
	}
	return true;
}

/* _i & 1: without EVENT_IDX. */
START_TEST(wake_ups_between_two_threads_are_never_lost)
{
	struct race race;
	pthread_t device;

	set_up(&race, !(_i & 1));
	ck_assert_int_eq(pthread_create(&device, NULL, run_device, &race), 0);
	ck_assert(run_driver(&race));
	ck_assert_int_eq(pthread_join(device, NULL), 0);
	ck_assert_uint_eq(race.kicks_lost, 0);
	ck_assert_uint_eq(race.served, REQUESTS);
	ck_assert(!vmm_virtq_is_broken(race.q));
	/* Suppression worked: a wake-up for each request would mean it was never tried. */
	ck_assert_uint_lt(__atomic_load_n(&race.irq.count, __ATOMIC_RELAXED), REQUESTS);
	tear_down(&race);
}
END_TEST

/* ---- a guest that changes its mind while the device reads ---- */

struct flipper {
	struct fakedrv_desc *desc;
	vmm_gpa good;
	bool stop; /* atomic */
};

/* A descriptor that is in turn good, outside memory, far too long and endless. */
static void *flip(void *ctx)
{
	struct flipper *flipper = ctx;
	uint64_t *addr = &flipper->desc->addr;
	uint64_t *rest = addr + 1;
	const uint64_t flags = 32; /* bit position in rest */

	for (unsigned i = 0; !__atomic_load_n(&flipper->stop, __ATOMIC_RELAXED); i++) {
		__atomic_store_n(addr, i & 1 ? MEMFIX_HOLE : flipper->good, __ATOMIC_RELAXED);
		__atomic_store_n(
			rest,
			i & 2 ? UINT32_MAX
			      : (16 | (uint64_t)(i & 4 ? FAKEDRV_DESC_WRITE | FAKEDRV_DESC_NEXT
						       : FAKEDRV_DESC_WRITE)
					      << flags),
			__ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(descriptor_changed_while_read_gives_a_checked_chain_or_none)
{
	struct testdev dev;
	struct fakedrv *drv;
	struct vmm_virtq *q;
	struct iovec iov[TESTDEV_QUEUE_SIZE];
	struct vmm_chain chain = {.iov = iov, .iov_cap = TESTDEV_QUEUE_SIZE};
	struct vmm_mem_mapping map;
	struct flipper flipper;
	pthread_t thread;
	unsigned good = 0;

	testdev_init(&dev);
	drv = fakedrv_create(&dev.base);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	q = testdev_queue(&dev, 0);
	ck_assert_int_eq(vmm_mem_get_mapping(fakedrv_mem(drv), 0, &map), 0);
	flipper = (struct flipper){.desc = &fakedrv_ring(drv, 0)->desc[0],
				   .good = fakedrv_gpa(drv, fakedrv_alloc(drv, 64))};
	ck_assert_int_eq(pthread_create(&thread, NULL, flip, &flipper), 0);
	for (unsigned i = 0; i < 3000 || (good == 0 && i < 300000); i++) {
		struct vmm_chain *c = &chain;
		const uint8_t *start = map.host;
		const uint8_t *base;

		fakedrv_offer(drv, 0, 0);
		if (vmm_virtq_pop(q, c) != 1) {
			ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
			q = testdev_queue(&dev, 0);
			continue;
		}
		ck_assert_uint_eq(c->readable, 0);
		if (c->writable == 0) {
			/* The descriptor as a reset of the driver left it: no bytes. */
			ck_assert_uint_eq(c->writable_len, 0);
			ck_assert_int_eq(vmm_virtq_push(q, 0, 0), 0);
			continue;
		}
		good++;
		/* Once or more: NEXT led back to the descriptor, which had changed by then. */
		ck_assert_uint_le(c->writable, TESTDEV_QUEUE_SIZE);
		ck_assert_uint_eq(c->writable_len, 16 * c->writable);
		for (unsigned j = 0; j < c->writable; j++) {
			base = iov[j].iov_base;
			ck_assert_uint_eq(iov[j].iov_len, 16);
			ck_assert(base >= start && base + 16 <= start + map.size);
		}
		ck_assert_int_eq(vmm_virtq_push(q, 0, 16), 0);
	}
	__atomic_store_n(&flipper.stop, true, __ATOMIC_RELAXED);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_gt(good, 0);
	fakedrv_destroy(drv);
}
END_TEST

/* ---- one carrier, several vCPUs ---- */

#define VCPU_ROUNDS 300u

struct machine {
	struct testdev dev;
	struct memfix fix;
	struct vmm_loop *loop;
	struct vmm_carrier *c;
	struct vmm_carrier_queue regs;
	bool stop;     /* atomic */
	unsigned torn; /* atomic: a configuration that was half of one and half of another */
	struct vmm_work update; /* the device changes its configuration */
	struct vmm_work kick;
	uint8_t value;
};

static void update_config(void *ctx)
{
	struct machine *m = ctx;
	uint8_t bytes[TESTDEV_CONFIG_LEN];

	m->value++;
	memset(bytes, m->value, sizeof(bytes));
	(void)vmm_virtio_config_update(&m->dev.base, 0, bytes, sizeof(bytes));
}

static void kick_queue(void *ctx)
{
	struct machine *m = ctx;

	vmm_carrier_kick(m->c, 0);
}

static void *loop_thread(void *ctx)
{
	struct machine *m = ctx;

	(void)vmm_loop_run(m->loop);
	return NULL;
}

/* Resets the device and starts it again, over and over. */
static void *starting_vcpu(void *ctx)
{
	struct machine *m = ctx;

	for (unsigned i = 0; i < VCPU_ROUNDS; i++) {
		vmm_carrier_set_status(m->c, 0);
		vmm_carrier_set_driver_features(m->c, VMM_VIRTIO_F_VERSION_1);
		vmm_carrier_set_status(m->c, 1);
		vmm_carrier_set_status(m->c, 3);
		vmm_carrier_set_status(m->c, 11);
		(void)vmm_carrier_set_queue(m->c, 0, &m->regs);
		vmm_carrier_set_status(m->c, 15);
	}
	return NULL;
}

static void *reading_vcpu(void *ctx)
{
	struct machine *m = ctx;

	while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED)) {
		uint8_t bytes[TESTDEV_CONFIG_LEN];
		struct vmm_carrier_queue q;
		uint8_t before;

		do {
			before = vmm_carrier_config_generation(m->c);
			for (size_t i = 0; i < sizeof(bytes); i += 4) {
				vmm_carrier_read_config(m->c, i, bytes + i, 4);
			}
		} while (vmm_carrier_config_generation(m->c) != before);
		for (size_t i = 1; i < sizeof(bytes); i++) {
			if (bytes[i] != bytes[0]) {
				(void)__atomic_fetch_add(&m->torn, 1, __ATOMIC_RELAXED);
			}
		}
		(void)vmm_carrier_status(m->c);
		(void)vmm_carrier_get_queue(m->c, 0, &q);
		(void)vmm_carrier_driver_features(m->c);
		vmm_carrier_write_config(m->c, 0, bytes, 4);
		vmm_loop_post(m->loop, &m->update);
		vmm_loop_post(m->loop, &m->kick);
	}
	return NULL;
}

static void machine_set_up(struct machine *m)
{
	struct vmm_carrier_config config = {0};
	uint8_t *ring;

	memset(m, 0, sizeof(*m));
	memfix_init(&m->fix);
	testdev_init(&m->dev);
	m->dev.echo = true;
	memset(m->dev.base.config, 0, TESTDEV_CONFIG_LEN);
	m->update.fn = update_config;
	m->update.ctx = m;
	m->kick.fn = kick_queue;
	m->kick.ctx = m;
	ring = memfix_alloc(&m->fix, 4096, 4096);
	m->regs = (struct vmm_carrier_queue){.size = 4, .enabled = true};
	m->regs.desc = memfix_gpa(&m->fix, ring);
	m->regs.driver = m->regs.desc + 1024;
	m->regs.device = m->regs.desc + 2048;
	ck_assert_int_eq(vmm_loop_create(&m->loop), 0);
	config.mem = m->fix.mem;
	config.loop = m->loop;
	ck_assert_int_eq(vmm_carrier_create(&m->c, &m->dev.base, &config, NULL), 0);
}

START_TEST(registers_of_one_device_under_many_vcpus_stay_consistent)
{
	struct machine m;
	pthread_t loop;
	pthread_t starter[2];
	pthread_t reader[2];

	machine_set_up(&m);
	ck_assert_int_eq(pthread_create(&loop, NULL, loop_thread, &m), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_create(&reader[i], NULL, reading_vcpu, &m), 0);
		ck_assert_int_eq(pthread_create(&starter[i], NULL, starting_vcpu, &m), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_join(starter[i], NULL), 0);
	}
	__atomic_store_n(&m.stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_join(reader[i], NULL), 0);
	}
	vmm_loop_stop(m.loop);
	ck_assert_int_eq(pthread_join(loop, NULL), 0);
	ck_assert_uint_eq(m.torn, 0);
	ck_assert_uint_gt(m.dev.activated, 0);
	/* The loop's thread is gone: this one takes its place. */
	(void)vmm_loop_dispatch(m.loop, 0);
	vmm_carrier_destroy(m.c);
	ck_assert_uint_eq(m.dev.activated, m.dev.resets);
	ck_assert_uint_eq(m.dev.destroyed, 1);
	vmm_loop_destroy(m.loop);
	memfix_finish(&m.fix);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{wake_ups_between_two_threads_are_never_lost, 4},
		{descriptor_changed_while_read_gives_a_checked_chain_or_none, 1},
		{registers_of_one_device_under_many_vcpus_stay_consistent, 1},
	};

	return suite_run_looped("virtq_race", tests, sizeof(tests) / sizeof(tests[0]));
}
