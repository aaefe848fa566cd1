/* SPDX-License-Identifier: MIT */
/*
 * A back end that is killed while chains are in flight, and the next one that goes on with the
 * record. A kill is played by a copy of guest memory and record at that moment: what the dying
 * process of this test does afterwards, as it is only destroyed, is undone by putting the copy
 * back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"
#include "test_vhost_fix.h"

#define CHAINS 40
#define STEPS  130 /* more than the script below has */

/* ---- the record's file ---- */

struct record {
	int fd;
	struct vhost_user_inflight d;
};

static void get_record(struct fix *f, struct record *r, uint16_t queues, uint16_t size)
{
	struct vhost_msg reply;
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, VHOST_USER_GET_INFLIGHT_FD, sizeof(msg.payload.inflight));
	msg.payload.inflight.queue_count = queues;
	msg.payload.inflight.queue_size = size;
	ck_assert_int_eq(fix_ask(f, &msg, &reply), 0);
	ck_assert_uint_eq(reply.fd_count, 1);
	r->fd = vmm_vhost_msg_take_fd(&reply);
	r->d = reply.payload.inflight;
}

static int set_record(struct fix *f, const struct record *r)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, VHOST_USER_SET_INFLIGHT_FD, sizeof(msg.payload.inflight));
	msg.payload.inflight = r->d;
	msg.fds[0] = r->fd;
	msg.fd_count = 1;
	return fix_tell(f, &msg);
}

START_TEST(record_is_sealed_zeroed_and_large_enough)
{
	struct record r;
	struct stat st;
	uint8_t byte = 1;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	get_record(&f, &r, 4, FIX_SIZE);
	ck_assert_uint_eq(r.d.mmap_size, 4 * vmm_inflight_size(FIX_SIZE));
	ck_assert_uint_eq(r.d.mmap_offset, 0);
	ck_assert_int_eq(fstat(r.fd, &st), 0);
	ck_assert_int_eq(st.st_size, (off_t)r.d.mmap_size);
	ck_assert_int_eq(fcntl(r.fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW),
			 F_SEAL_SHRINK | F_SEAL_GROW);
	ck_assert(fcntl(r.fd, F_GETFD) & FD_CLOEXEC);
	for (off_t i = 0; i < st.st_size; i++) {
		SUITE_REQUIRE(pread(r.fd, &byte, 1, i) == 1 && byte == 0);
	}
	ck_assert_int_eq(set_record(&f, &r), 0);
	ck_assert_int_eq(set_record(&f, &r), 0);
	(void)close(r.fd);
	fix_finish(&f);
}
END_TEST

/* Catalogue row 39: each number of the description, wrong. */
START_TEST(catalogue_39_record_that_does_not_add_up_is_refused)
{
	struct record r;
	struct fix f;
	int loose;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	get_record(&f, &r, 4, FIX_SIZE);
	loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(loose, 1 << 20), 0);
	switch (_i) {
	case 0:
		r.d.mmap_size--;
		break;
	case 1:
		r.d.mmap_size = 0;
		break;
	case 2:
		r.d.mmap_offset = 1;
		break;
	case 3:
		r.d.mmap_offset = 4096;
		break;
	case 4:
		r.d.mmap_offset = UINT64_MAX - 4095;
		break;
	case 5:
		r.d.queue_count = 0;
		break;
	case 6:
		r.d.queue_count = 5;
		break;
	case 7:
		r.d.queue_count = UINT16_MAX;
		break;
	case 8:
		r.d.queue_size = 0;
		break;
	case 9:
		r.d.queue_size = FIX_SIZE - 1;
		break;
	case 10:
		r.d.queue_size = FIX_SIZE * 2;
		break;
	case 11:
		r.d.queue_size = 0x8000;
		break;
	case 12:
		/* A file that can shrink. */
		r.fd = dup2(loose, r.fd);
		break;
	case 13:
		/* Or cannot be written. */
		(void)close(r.fd);
		r.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		break;
	default:
		/* Or is none. */
		r.fd = dup2(f.rings[0].kick, r.fd);
		break;
	}
	ck_assert_int_eq(set_record(&f, &r), 1);
	ck_assert(!fix_is_closed(&f));
	(void)close(r.fd);
	(void)close(loose);
	fix_finish(&f);
}
END_TEST

START_TEST(record_of_queues_that_make_no_sense_is_not_made)
{
	static const uint16_t cases[][2] = {{0, 16}, {67, 16},  {UINT16_MAX, 16}, {1, 0},
					    {1, 3},  {1, 2048}, {1, 0x8000}};
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	vmm_vhost_msg_init(&msg, VHOST_USER_GET_INFLIGHT_FD, sizeof(msg.payload.inflight));
	msg.payload.inflight.queue_count = cases[_i][0];
	msg.payload.inflight.queue_size = cases[_i][1];
	fix_send(&f, &msg);
	ck_assert(fix_is_closed(&f));
	fix_finish(&f);
}
END_TEST

START_TEST(record_smaller_than_its_ring_needs_a_reset)
{
	struct record r;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	get_record(&f, &r, 4, FIX_SIZE / 2);
	fix_give_memory(&f);
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	fix_driver_ok(&f);
	ck_assert(!f.b->active);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 0x4f);
	(void)close(r.fd);
	fix_finish(&f);
}
END_TEST

/* Whatever stands in it: the front end, or a back end that was taken over, may have written it. */
START_TEST(record_full_of_nonsense_does_no_harm)
{
	struct record r;
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	for (int round = 0; round < 300; round++) {
		uint8_t *p;

		fix_reconnect(&f);
		memset(f.rings[0].desc, 0, 0x10000);
		f.rings[0].seen = 0;
		fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
		get_record(&f, &r, 1, FIX_SIZE);
		p = mmap(NULL, r.d.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
		ck_assert(p != MAP_FAILED);
		for (size_t i = 0; i < r.d.mmap_size; i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			p[i] = round % 3 == 0 ? (uint8_t)state : (uint8_t)(state & state >> 8 & 1);
		}
		if (round % 2) {
			/* As far as the header it is right. */
			memset(p, 0, 16);
			p[8] = 1;
			p[10] = FIX_SIZE;
			p[14] = (uint8_t)(round % 5);
		}
		ck_assert_int_eq(set_record(&f, &r), 0);
		fix_give_memory(&f);
		for (uint16_t head = 0; head < 4; head++) {
			fix_offer(&f, 0, head);
		}
		fix_give_ring(&f, 0, 0);
		fix_enable(&f, 0, true);
		fix_driver_ok(&f);
		fix_kick(&f, 0);
		ck_assert(!fix_is_closed(&f));
		/* At most one answer for each head. */
		ck_assert_uint_le(fix_used_idx(&f, 0), 2 * FIX_SIZE);
		(void)munmap(p, r.d.mmap_size);
		(void)close(r.fd);
	}
	fix_finish(&f);
}
END_TEST

/* ---- kills ---- */

/* What lives on: guest memory, of which the ring is enough, and the record. */
#define RING_LEN 0x10000

struct snapshot {
	uint8_t *mem;
	uint8_t *record;
};

static void take_snapshot(const struct fix *f, const struct record *r, struct snapshot *s)
{
	s->mem = malloc(RING_LEN);
	s->record = malloc(r->d.mmap_size);
	memcpy(s->mem, f->rings[0].desc, RING_LEN);
	ck_assert_int_eq(pread(r->fd, s->record, r->d.mmap_size, 0), (ssize_t)r->d.mmap_size);
}

static void put_back(struct fix *f, const struct record *r, struct snapshot *s)
{
	memcpy(f->rings[0].desc, s->mem, RING_LEN);
	ck_assert_int_eq(pwrite(r->fd, s->record, r->d.mmap_size, 0), (ssize_t)r->d.mmap_size);
	free(s->mem);
	free(s->record);
}

static void connect_and_start(struct fix *f, struct record *r, uint16_t base)
{
	fix_negotiate(f, FIX_FEATURES, FIX_PROTOCOL);
	if (r->fd < 0) {
		get_record(f, r, FIX_QUEUES, FIX_SIZE);
	}
	ck_assert_int_eq(set_record(f, r), 0);
	fix_give_memory(f);
	fix_give_ring(f, 0, base);
	fix_enable(f, 0, true);
	fix_driver_ok(f);
	ck_assert(f->b->active);
}

/* Another process takes over; base is the used index, as a front end sees it. */
static void kill_and_restart(struct fix *f, struct record *r)
{
	struct snapshot s;

	take_snapshot(f, r, &s);
	vmm_vhost_backend_destroy(f->b);
	f->b = NULL;
	put_back(f, r, &s);
	fix_reconnect(f);
	connect_and_start(f, r, fix_used_idx(f, 0));
	ck_assert(f->dev.active.resumed);
}

/* A driver and a device that answers out of order, step by step. */
struct script {
	struct fix f;
	struct record r;
	unsigned offered;
	unsigned answered;
	bool out[FIX_SIZE];      /* offered, not answered */
	uint16_t held[FIX_SIZE]; /* popped by the device */
	unsigned held_count;
	unsigned served[CHAINS]; /* how often the device answered the n-th chain */
	unsigned chain_of[FIX_SIZE];
};

static void collect_answers(struct script *s)
{
	int head;

	while ((head = fix_used(&s->f, 0)) >= 0) {
		/* Each head comes back once for each time it was offered. */
		SUITE_REQUIRE(head < FIX_SIZE && s->out[head]);
		s->out[head] = false;
		s->served[s->chain_of[head]]++;
		s->answered++;
	}
}

static void offer_some(struct script *s, unsigned n)
{
	for (uint16_t head = 0; head < FIX_SIZE && n > 0; head++) {
		if (!s->out[head] && s->offered < CHAINS) {
			s->out[head] = true;
			s->chain_of[head] = s->offered++;
			fix_offer(&s->f, 0, head);
			n--;
		}
	}
}

static void pop_some(struct script *s, unsigned n)
{
	struct vmm_virtq *q = testdev_queue(&s->f.dev, 0);

	while (n > 0 && vmm_virtq_pop(q, &s->f.dev.chain) == 1) {
		s->held[s->held_count++] = s->f.dev.chain.head;
		n--;
	}
}

/* The which-th of those held. */
static void push_one(struct script *s, unsigned which)
{
	struct vmm_virtq *q = testdev_queue(&s->f.dev, 0);

	if (s->held_count == 0) {
		return;
	}
	which %= s->held_count;
	SUITE_REQUIRE(vmm_virtq_push(q, s->held[which], 1) == 0);
	s->held[which] = s->held[--s->held_count];
}

/* One step of a script that has everything in it. False at its end. */
static bool step(struct script *s, unsigned n)
{
	unsigned held;

	switch (n % 6) {
	case 0:
		offer_some(s, n % 4 + 1);
		break;
	case 1:
		pop_some(s, n % 3 + 1);
		break;
	case 2:
	case 3:
		push_one(s, n * 7);
		break;
	case 4:
		held = s->held_count;
		pop_some(s, 1);
		if (n % 4 == 0 && s->held_count > held) {
			/* No room: back with it. */
			vmm_virtq_unpop(testdev_queue(&s->f.dev, 0), 1);
			s->held_count--;
		}
		break;
	default:
		vmm_virtq_flush(testdev_queue(&s->f.dev, 0));
		collect_answers(s);
		break;
	}
	return s->answered < CHAINS;
}

/* Once at the chosen step, or again and again from there on, in every phase of the script. */
static bool is_time(unsigned n, unsigned chosen)
{
	return n == chosen || (n > chosen && chosen % 10 == 0 && (n - chosen) % 5 == 0);
}

START_TEST(kill_at_any_step_gives_each_head_exactly_once)
{
	struct script s;

	memset(&s, 0, sizeof(s));
	fix_init(&s.f);
	s.r.fd = -1;
	connect_and_start(&s.f, &s.r, 0);
	ck_assert(!s.f.dev.active.resumed);
	for (unsigned n = 0; step(&s, n); n++) {
		SUITE_REQUIRE(n < 1000);
		if (is_time(n, (unsigned)_i)) {
			kill_and_restart(&s.f, &s.r);
			/* The new process holds nothing, and pops what the old one held. */
			s.held_count = 0;
			collect_answers(&s);
		}
	}
	ck_assert_uint_eq(s.offered, CHAINS);
	for (unsigned i = 0; i < CHAINS; i++) {
		ck_assert_uint_eq(s.served[i], 1);
	}
	(void)close(s.r.fd);
	fix_finish(&s.f);
}
END_TEST

/* The same for a driver that stops and starts the rings of one process. */
START_TEST(stop_at_any_step_gives_each_head_exactly_once)
{
	struct script s;

	memset(&s, 0, sizeof(s));
	fix_init(&s.f);
	s.r.fd = -1;
	connect_and_start(&s.f, &s.r, 0);
	for (unsigned n = 0; step(&s, n); n++) {
		SUITE_REQUIRE(n < 1000);
		if (is_time(n, (unsigned)_i)) {
			int base = fix_get_base(&s.f, 0);

			ck_assert_int_ge(base, 0);
			s.held_count = 0;
			collect_answers(&s);
			fix_give_ring(&s.f, 0, (uint16_t)base);
			ck_assert(s.f.b->active);
		}
	}
	for (unsigned i = 0; i < CHAINS; i++) {
		ck_assert_uint_eq(s.served[i], 1);
	}
	(void)close(s.r.fd);
	fix_finish(&s.f);
}
END_TEST

/* The used index may stand at 0 again after 65536 answers. */
START_TEST(record_says_that_a_driver_goes_on_even_at_index_0)
{
	struct record r = {.fd = -1};
	struct fix f;

	fix_init(&f);
	connect_and_start(&f, &r, 0);
	ck_assert(!f.dev.active.resumed);
	kill_and_restart(&f, &r);
	(void)close(r.fd);
	fix_finish(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{record_is_sealed_zeroed_and_large_enough, 1},
		{catalogue_39_record_that_does_not_add_up_is_refused, 15},
		{record_of_queues_that_make_no_sense_is_not_made, 7},
		{record_smaller_than_its_ring_needs_a_reset, 1},
		{record_full_of_nonsense_does_no_harm, 1},
		{kill_at_any_step_gives_each_head_exactly_once, STEPS},
		{stop_at_any_step_gives_each_head_exactly_once, STEPS},
		{record_says_that_a_driver_goes_on_even_at_index_0, 1},
	};

	return suite_run_looped("vhost-inflight", tests, sizeof(tests) / sizeof(tests[0]));
}
