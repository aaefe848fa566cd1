/* SPDX-License-Identifier: MIT */
/*
 * How rings and devices access guest memory, which another processor may be changing: every byte
 * that a decision may depend on is read once, indices are read and written in one piece, and
 * nothing is written but the used ring and the buffers that are there to be written.
 *
 * A byte that is read twice can be one thing when it is checked and another when it is used.
 */
#include <string.h>
#include <sys/socket.h>

#include <vmm/dev/rng.h>

#include "fetch.h"
#include "test_blk_fix.h"
#include "test_console_fix.h"
#include "test_net_fix.h"

#define BUFS_MAX 256u

/* What the test's chains consist of, until the next clear. */
static struct fakedrv_buf known[BUFS_MAX];
static unsigned known_count;

static void clear(void)
{
	known_count = 0;
}

/* Adds a chain, its buffers chopped into pieces (0: as they are), in an indirect table or not. */
static void add(struct fakedrv *d, unsigned queue, const struct fakedrv_buf *bufs, unsigned count,
		uint32_t piece, bool indirect)
{
	struct fakedrv_buf *out = &known[known_count];
	unsigned n = count;

	if (piece > 0) {
		n = fakedrv_chop(bufs, count, piece, out, BUFS_MAX - known_count);
	} else {
		memcpy(out, bufs, count * sizeof(*bufs));
	}
	known_count += n;
	if (indirect) {
		ck_assert_int_ge(fakedrv_add_indirect(d, queue, out, n, 0), 0);
	} else {
		ck_assert_int_ge(fakedrv_add(d, queue, out, n), 0);
	}
}

/* ---- the rules ---- */

static bool within(const uint8_t *at, size_t len, const void *start, size_t room)
{
	const uint8_t *s = start;

	return at >= s && at + len <= s + room;
}

enum place {
	ELSEWHERE,
	AVAIL,
	USED,
};

static enum place ring_of(struct fakedrv *d, const struct fetch *f)
{
	for (unsigned q = 0; q < vmm_carrier_queue_count(fakedrv_carrier(d)); q++) {
		const struct fakedrv_ring *r = fakedrv_ring(d, q);

		if (within(f->at, f->len, r->avail_flags, 6 + 2u * r->size)) {
			return AVAIL;
		}
		if (within(f->at, f->len, r->used_flags, 6 + 8u * r->size)) {
			return USED;
		}
	}
	return ELSEWHERE;
}

/* A torn index is one that nobody has written. */
static void check_ring(const struct fetch *f, enum place place)
{
	size_t align = (uintptr_t)f->at % f->len;

	ck_assert_msg(f->atomic && align == 0, "%zu bytes of a ring %s in pieces", f->len,
		      f->write ? "written" : "read");
	ck_assert_msg(place == USED || !f->write, "the available ring is written");
	ck_assert_msg(f->len == 2 || (place == USED && f->write && f->len == 4),
		      "%zu bytes of a ring at once", f->len);
}

static bool is_in_buffer(const struct fetch *f, bool write)
{
	for (unsigned i = 0; i < known_count; i++) {
		if (known[i].write == write && within(f->at, f->len, known[i].ptr, known[i].len)) {
			return true;
		}
	}
	return false;
}

/* Runs a queue and looks at how it did that. Returns how many times each byte of *ptr was read. */
static void serve(struct fakedrv *d, unsigned queue)
{
	struct vmm_mem_mapping map;
	const struct fetch *list;
	uint8_t *reads;
	size_t count;
	unsigned index_reads = 0;

	ck_assert_int_eq(vmm_mem_get_mapping(fakedrv_mem(d), 0, &map), 0);
	fetch_start(map.host, map.size);
	vmm_carrier_kick(fakedrv_carrier(d), queue);
	fakedrv_run(d);
	fetch_stop();
	list = fetch_list(&count);
	reads = calloc(1, map.size);
	for (size_t i = 0; i < count; i++) {
		const struct fetch *f = &list[i];
		enum place place = ring_of(d, f);

		if (place != ELSEWHERE) {
			check_ring(f, place);
			index_reads += f->at == (const uint8_t *)fakedrv_ring(d, queue)->avail_idx;
			continue;
		}
		if (f->write) {
			ck_assert_msg(is_in_buffer(f, true), "a write of %zu bytes, not for it",
				      f->len);
			continue;
		}
		ck_assert_msg(!is_in_buffer(f, true), "a buffer that is to be written is read");
		for (size_t k = 0; k < f->len; k++) {
			uint8_t *n = &reads[f->at + k - (const uint8_t *)map.host];

			ck_assert_msg(*n == 0, "a byte is read twice: %zu bytes, the %zuth", f->len,
				      k);
			*n = 1;
		}
	}
	ck_assert_uint_gt(index_reads, 0);
	/* Buffers the device reads: all of their bytes were seen, or the test would be blind. */
	for (unsigned i = 0; i < known_count; i++) {
		const uint8_t *at = known[i].ptr;

		for (uint32_t k = 0; !known[i].write && k < known[i].len; k++) {
			SUITE_REQUIRE(reads[at + k - (const uint8_t *)map.host] == 1);
		}
	}
	free(reads);
}

/* ---- disks ---- */

static uint8_t blk_request(struct blkfix *fix, uint32_t type, uint32_t len, uint32_t piece,
			   bool indirect)
{
	bool in = type == BLK_T_IN || type == BLK_T_GET_ID;
	struct fakedrv_buf bufs[] = {
		FAKEDRV_OUT(fix->header, 16),
		{.ptr = fix->data, .len = len, .write = in},
		FAKEDRV_IN(fix->status, 1),
	};
	struct fakedrv_used used;

	if (len == 0) {
		bufs[1] = bufs[2];
	}
	*fix->header = (struct blk_header){.type = type, .sector = 8};
	*fix->status = BLK_S_NONE;
	clear();
	add(fix->drv, 0, bufs, len == 0 ? 2 : 3, piece, indirect);
	serve(fix->drv, 0);
	ck_assert(fakedrv_wait_used(fix->drv, 0, &used, FAKEDRV_PATIENCE_MS));
	return *fix->status;
}

static void blk_segments(struct blkfix *fix, uint32_t type, uint32_t piece)
{
	struct blk_segment segments[3] = {{8, 8, 0}, {64, 1, 0}, {100, 2, 0}};

	memcpy(fix->data, segments, sizeof(segments));
	ck_assert_uint_eq(blk_request(fix, type, sizeof(segments), piece, false), BLK_S_OK);
}

START_TEST(fetch_blk_requests_once)
{
	static const uint32_t pieces[] = {0, 1, 3, 8, 15, 100};
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, false);
	for (unsigned i = 0; i < 6; i++) {
		uint32_t piece = pieces[i];
		uint32_t data = piece > 0 && piece < 8 ? 0 : 512;

		/* A chain has at most as many pieces as the ring. */
		if (data > 0) {
			ck_assert_uint_eq(blk_request(&fix, BLK_T_IN, data, piece, false), 0);
			ck_assert_uint_eq(blk_request(&fix, BLK_T_OUT, data, piece, false), 0);
			ck_assert_uint_eq(blk_request(&fix, BLK_T_OUT, data, piece, true), 0);
		}
		ck_assert_uint_eq(blk_request(&fix, BLK_T_FLUSH, 0, piece, false), 0);
		ck_assert_uint_eq(blk_request(&fix, BLK_T_GET_ID, 20, piece, true), 0);
		ck_assert_uint_eq(blk_request(&fix, 99, 0, piece, false), BLK_S_UNSUPP);
		blk_segments(&fix, BLK_T_DISCARD, piece);
		blk_segments(&fix, BLK_T_WRITE_ZEROES, piece);
	}
	blkfix_finish(&fix);
}
END_TEST

/* ---- networks ---- */

static uint8_t frame[4096];

/* Sends one in each of these framings, and with an indirect table, too. */
static void send_frames(uint32_t len, const uint32_t *pieces, unsigned count)
{
	struct vmm_net_config config = {.drop_foreign_source = true};
	struct netfix fix;
	uint8_t *mem;

	netfix_start(&fix, &config, NULL);
	mem = fakedrv_alloc(fix.drv, sizeof(frame));
	struct fakedrv_buf buf = FAKEDRV_OUT(mem, NET_HDR + len);
	for (unsigned i = 0; i < 2 * count; i++) {
		struct fakedrv_used used;

		netfix_frame(mem, len, true);
		clear();
		add(fix.drv, NET_TX, &buf, 1, pieces[i / 2], i & 1);
		serve(fix.drv, NET_TX);
		ck_assert(fakedrv_used(fix.drv, NET_TX, &used));
		ck_assert_int_eq(netfix_peer_read(&fix, frame, sizeof(frame)), NET_HDR + len);
	}
	netfix_finish(&fix);
}

START_TEST(fetch_net_frames_sent_once)
{
	static const uint32_t pieces[] = {0, 1, 2, 12, 13, 25, 26, 27, 60};
	static const uint32_t large[] = {0, 12, 13, 25, 26, 27, 1000};

	send_frames(NET_FRAME, pieces, sizeof(pieces) / sizeof(pieces[0]));
	send_frames(NET_LARGE_FRAME, large, sizeof(large) / sizeof(large[0]));
}
END_TEST

START_TEST(fetch_net_frames_received_touch_no_more_than_their_buffers)
{
	struct fakedrv_options options = {.refuse = NET_F_GUEST_OFFLOADS};
	struct netfix fix;
	struct fakedrv_used used;
	uint8_t *mem;

	netfix_start(&fix, NULL, &options);
	mem = fakedrv_alloc(fix.drv, 2048);
	struct fakedrv_buf buf = FAKEDRV_IN(mem, 2048);
	for (uint32_t piece = 0; piece < 40; piece += 13) {
		netfix_frame(frame, NET_FRAME, false);
		ck_assert_int_gt(send(fix.peer, frame, NET_HDR + NET_FRAME, 0), 0);
		clear();
		add(fix.drv, NET_RX, &buf, 1, piece, false);
		serve(fix.drv, NET_RX);
		ck_assert(fakedrv_wait_used(fix.drv, NET_RX, &used, FAKEDRV_PATIENCE_MS));
		ck_assert_mem_eq(mem + NET_HDR, frame + NET_HDR, NET_FRAME);
	}
	netfix_finish(&fix);
}
END_TEST

START_TEST(fetch_net_commands_once)
{
	static const uint32_t pieces[] = {0, 1, 2, 3, 5, 20};
	struct netfix fix;
	uint8_t *mem;

	netfix_start(&fix, NULL, NULL);
	mem = fakedrv_alloc(fix.drv, 64);
	/* A class, a command, two tables of two addresses each; room for the answer. */
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(mem, 2 + 4 + 12 + 4 + 12),
				     FAKEDRV_IN(mem + 40, 1)};
	for (unsigned i = 0; i < 6; i++) {
		struct fakedrv_used used;

		memset(mem, 0, 64);
		mem[0] = 1;
		mem[2] = 2;
		mem[18] = 2;
		mem[40] = 0xee;
		clear();
		add(fix.drv, NET_CTRL, bufs, 2, pieces[i], false);
		serve(fix.drv, NET_CTRL);
		ck_assert(fakedrv_used(fix.drv, NET_CTRL, &used));
		ck_assert_uint_eq(mem[40], 0);
	}
	netfix_finish(&fix);
}
END_TEST

/* ---- consoles, random numbers ---- */

START_TEST(fetch_console_bytes_and_messages_once)
{
	static const unsigned queues[] = {OUT0, OUT1, CONTROL_OUT};
	uint8_t *mem;

	consolefix_start(3);
	mem = fakedrv_alloc(drv, 64);
	struct fakedrv_buf buf = FAKEDRV_OUT(mem, 8);
	for (unsigned i = 0; i < 3; i++) {
		for (uint32_t piece = 0; piece < 9; piece++) {
			struct fakedrv_used used;

			memset(mem, 0, 8);
			clear();
			add(drv, queues[i], &buf, 1, piece, piece & 1);
			serve(drv, queues[i]);
			ck_assert(fakedrv_used(drv, queues[i], &used));
		}
	}
	consolefix_finish();
}
END_TEST

START_TEST(fetch_rng_reads_no_buffer)
{
	struct vmm_virtio_device *dev;
	struct fakedrv *d;
	uint8_t *mem;

	ck_assert_int_eq(vmm_rng_create(&dev, NULL, NULL), 0);
	d = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(d, NULL), 0);
	mem = fakedrv_alloc(d, 64);
	struct fakedrv_buf buf = FAKEDRV_IN(mem, 64);
	for (uint32_t piece = 0; piece < 30; piece += 3) {
		struct fakedrv_used used;

		clear();
		add(d, 0, &buf, 1, piece, piece & 1);
		serve(d, 0);
		ck_assert(fakedrv_used(d, 0, &used));
		ck_assert_uint_eq(used.len, 64);
	}
	fakedrv_destroy(d);
}
END_TEST

SUITE_MAIN("fetch", fetch_blk_requests_once, fetch_net_frames_sent_once,
	   fetch_net_frames_received_touch_no_more_than_their_buffers, fetch_net_commands_once,
	   fetch_console_bytes_and_messages_once, fetch_rng_reads_no_buffer)
