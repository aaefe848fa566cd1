/* SPDX-License-Identifier: MIT */
/*
 * Cursors over a chain: each operation over every way to cut the same bytes into buffers, so that
 * no result depends on the framing (VIRTIO 1.2 section 2.7.4).
 */
#include <errno.h>
#include <string.h>

#include <vmm/virtq.h>

#include "suite.h"

/* 2^(LEN - 1) ways to cut LEN bytes. */
#define LEN  9u
#define CUTS (1u << (LEN - 1))

static const uint8_t pattern[LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

struct fixture {
	uint8_t in[LEN];
	uint8_t out[LEN];
	struct iovec iov[2 * LEN];
	struct vmm_chain chain;
};

/* Bit i of cut ends a buffer after byte i. Returns the number of buffers. */
static unsigned cut_bytes(uint8_t *bytes, unsigned cut, struct iovec *iov)
{
	unsigned count = 0;
	unsigned start = 0;

	for (unsigned i = 0; i < LEN; i++) {
		if (i + 1 == LEN || (cut >> i & 1)) {
			iov[count].iov_base = bytes + start;
			iov[count].iov_len = i + 1 - start;
			start = i + 1;
			count++;
		}
	}
	return count;
}

static void set_up(struct fixture *f, unsigned cut)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->in, pattern, LEN);
	f->chain.iov = f->iov;
	f->chain.iov_cap = 2 * LEN;
	f->chain.readable = cut_bytes(f->in, cut, f->iov);
	f->chain.writable = cut_bytes(f->out, cut, f->iov + f->chain.readable);
	f->chain.readable_len = LEN;
	f->chain.writable_len = LEN;
}

START_TEST(reader_get_every_split_gives_the_bytes_in_order)
{
	for (unsigned cut = 0; cut < CUTS; cut++) {
		for (size_t first = 0; first <= LEN; first++) {
			struct fixture f;
			struct vmm_reader r;
			uint8_t got[LEN] = {0};

			set_up(&f, cut);
			vmm_chain_reader(&f.chain, &r);
			ck_assert_int_eq(vmm_reader_get(&r, got, first), 0);
			ck_assert_uint_eq(vmm_reader_left(&r), LEN - first);
			ck_assert_int_eq(vmm_reader_get(&r, got + first, LEN - first), 0);
			ck_assert_mem_eq(got, pattern, LEN);
			ck_assert_uint_eq(vmm_reader_left(&r), 0);
		}
	}
}
END_TEST

START_TEST(reader_get_too_much_takes_nothing)
{
	struct fixture f;
	struct vmm_reader r;
	uint8_t got[LEN + 1] = {0};

	set_up(&f, 0x55);
	vmm_chain_reader(&f.chain, &r);
	ck_assert_int_eq(vmm_reader_get(&r, got, LEN + 1), -EPROTO);
	ck_assert_uint_eq(got[0], 0);
	ck_assert_uint_eq(vmm_reader_left(&r), LEN);
	ck_assert_int_eq(vmm_reader_get(&r, got, LEN), 0);
	ck_assert_int_eq(vmm_reader_get(&r, got, 1), -EPROTO);
	ck_assert_int_eq(vmm_reader_get(&r, got, 0), 0);
}
END_TEST

START_TEST(reader_read_and_skip_stop_at_the_end)
{
	for (unsigned cut = 0; cut < CUTS; cut++) {
		for (size_t n = 0; n <= LEN; n++) {
			struct fixture f;
			struct vmm_reader r;
			uint8_t got[2 * LEN] = {0};

			set_up(&f, cut);
			vmm_chain_reader(&f.chain, &r);
			ck_assert_uint_eq(vmm_reader_skip(&r, n), n);
			ck_assert_uint_eq(vmm_reader_read(&r, got, sizeof(got)), LEN - n);
			ck_assert_mem_eq(got, pattern + n, LEN - n);
			ck_assert_uint_eq(vmm_reader_skip(&r, 1), 0);
			ck_assert_uint_eq(vmm_reader_read(&r, got, 1), 0);
		}
	}
}
END_TEST

/* The bytes that iov stands for. */
static size_t gather(const struct iovec *iov, int count, uint8_t *to)
{
	size_t len = 0;

	for (int i = 0; i < count; i++) {
		ck_assert_uint_gt(iov[i].iov_len, 0);
		memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

START_TEST(reader_iov_every_split_clips_exactly)
{
	for (unsigned cut = 0; cut < CUTS; cut++) {
		for (size_t first = 0; first <= LEN; first++) {
			struct iovec iov[LEN];
			struct fixture f;
			struct vmm_reader r;
			uint8_t got[LEN] = {0};
			int n;

			set_up(&f, cut);
			vmm_chain_reader(&f.chain, &r);
			n = vmm_reader_iov(&r, first, iov, LEN);
			ck_assert_int_ge(n, 0);
			ck_assert_uint_eq(gather(iov, n, got), first);
			/* More than is left gives what is left. */
			n = vmm_reader_iov(&r, 2 * LEN, iov, LEN);
			ck_assert_int_ge(n, 0);
			ck_assert_uint_eq(gather(iov, n, got + first), LEN - first);
			ck_assert_mem_eq(got, pattern, LEN);
		}
	}
}
END_TEST

START_TEST(reader_pieces_are_all_bytes_in_order)
{
	for (unsigned cut = 0; cut < CUTS; cut++) {
		for (size_t most = 1; most <= LEN + 1; most++) {
			struct fixture f;
			struct vmm_reader r;
			uint8_t got[LEN] = {0};
			const void *piece = NULL;
			size_t done = 0;
			size_t n;

			set_up(&f, cut);
			vmm_chain_reader(&f.chain, &r);
			while ((n = vmm_reader_piece(&r, most, &piece)) > 0) {
				ck_assert_uint_le(n, most);
				ck_assert_uint_le(n, LEN - done);
				memcpy(got + done, piece, n);
				done += n;
				ck_assert_uint_eq(vmm_reader_left(&r), LEN - done);
			}
			ck_assert_uint_eq(done, LEN);
			ck_assert_mem_eq(got, pattern, LEN);
		}
	}
}
END_TEST

START_TEST(iov_array_too_small_takes_nothing)
{
	struct iovec iov[LEN];
	struct fixture f;
	struct vmm_reader r;
	struct vmm_writer w;

	set_up(&f, CUTS - 1);
	vmm_chain_reader(&f.chain, &r);
	ck_assert_int_eq(vmm_reader_iov(&r, LEN, iov, LEN - 1), -ENOSPC);
	ck_assert_uint_eq(vmm_reader_left(&r), LEN);
	ck_assert_int_eq(vmm_reader_iov(&r, LEN, iov, LEN), (int)LEN);
	vmm_chain_writer(&f.chain, &w);
	ck_assert_int_eq(vmm_writer_iov(&w, LEN, iov, LEN - 1), -ENOSPC);
	ck_assert_uint_eq(vmm_writer_left(&w), LEN);
	ck_assert_uint_eq(vmm_writer_written(&w), 0);
	ck_assert_int_eq(vmm_writer_iov(&w, LEN, iov, LEN), (int)LEN);
	ck_assert_uint_eq(vmm_writer_written(&w), LEN);
}
END_TEST

START_TEST(writer_put_and_fill_every_split_land_in_order)
{
	for (unsigned cut = 0; cut < CUTS; cut++) {
		for (size_t first = 0; first <= LEN; first++) {
			uint8_t expected[LEN];
			struct fixture f;
			struct vmm_writer w;

			set_up(&f, cut);
			vmm_chain_writer(&f.chain, &w);
			ck_assert_int_eq(vmm_writer_put(&w, pattern, first), 0);
			ck_assert_uint_eq(vmm_writer_written(&w), first);
			ck_assert_uint_eq(vmm_writer_fill(&w, 0xee, 2 * LEN), LEN - first);
			memset(expected, 0xee, LEN);
			memcpy(expected, pattern, first);
			ck_assert_mem_eq(f.out, expected, LEN);
			ck_assert_uint_eq(vmm_writer_written(&w), LEN);
			ck_assert_uint_eq(vmm_writer_left(&w), 0);
			ck_assert_uint_eq(vmm_writer_write(&w, pattern, 1), 0);
			/* What the device only reads was not touched. */
			ck_assert_mem_eq(f.in, pattern, LEN);
		}
	}
}
END_TEST

START_TEST(writer_put_too_much_writes_nothing)
{
	static const uint8_t zeroes[LEN];
	uint8_t bytes[LEN + 1];
	struct fixture f;
	struct vmm_writer w;

	memset(bytes, 7, sizeof(bytes));
	set_up(&f, 0x2a);
	vmm_chain_writer(&f.chain, &w);
	ck_assert_int_eq(vmm_writer_put(&w, bytes, LEN + 1), -EPROTO);
	ck_assert_mem_eq(f.out, zeroes, LEN);
	ck_assert_uint_eq(vmm_writer_left(&w), LEN);
	ck_assert_uint_eq(vmm_writer_write(&w, bytes, LEN + 1), LEN);
}
END_TEST

START_TEST(writer_iov_every_split_counts_as_written)
{
	for (unsigned cut = 0; cut < CUTS; cut++) {
		for (size_t first = 0; first <= LEN; first++) {
			struct iovec iov[LEN];
			struct fixture f;
			struct vmm_writer w;
			int n;

			set_up(&f, cut);
			vmm_chain_writer(&f.chain, &w);
			n = vmm_writer_iov(&w, first, iov, LEN);
			for (int i = 0; i < n; i++) {
				memset(iov[i].iov_base, 0x77, iov[i].iov_len);
			}
			ck_assert_uint_eq(vmm_writer_written(&w), first);
			for (size_t i = 0; i < LEN; i++) {
				ck_assert_uint_eq(f.out[i], i < first ? 0x77 : 0);
			}
		}
	}
}
END_TEST

START_TEST(writer_split_tail_every_split_parts_at_the_byte)
{
	for (unsigned cut = 0; cut < CUTS; cut++) {
		for (size_t tail_len = 0; tail_len <= LEN; tail_len++) {
			uint8_t expected[LEN];
			struct fixture f;
			struct vmm_writer w;
			struct vmm_writer tail;

			set_up(&f, cut);
			vmm_chain_writer(&f.chain, &w);
			ck_assert_int_eq(vmm_writer_split_tail(&w, tail_len, &tail), 0);
			ck_assert_uint_eq(vmm_writer_left(&w), LEN - tail_len);
			ck_assert_uint_eq(vmm_writer_left(&tail), tail_len);
			ck_assert_uint_eq(vmm_writer_fill(&tail, 2, 2 * LEN), tail_len);
			ck_assert_uint_eq(vmm_writer_fill(&w, 1, 2 * LEN), LEN - tail_len);
			ck_assert_uint_eq(vmm_writer_written(&tail), tail_len);
			memset(expected, 1, LEN);
			memset(expected + LEN - tail_len, 2, tail_len);
			ck_assert_mem_eq(f.out, expected, LEN);
		}
	}
}
END_TEST

START_TEST(writer_split_tail_too_long_changes_nothing)
{
	struct fixture f;
	struct vmm_writer w;
	struct vmm_writer tail;

	set_up(&f, 1);
	vmm_chain_writer(&f.chain, &w);
	ck_assert_int_eq(vmm_writer_split_tail(&w, LEN + 1, &tail), -EPROTO);
	ck_assert_uint_eq(vmm_writer_left(&w), LEN);
	(void)vmm_writer_fill(&w, 0, 4);
	ck_assert_int_eq(vmm_writer_split_tail(&w, LEN - 3, &tail), -EPROTO);
	ck_assert_int_eq(vmm_writer_split_tail(&w, LEN - 4, &tail), 0);
	ck_assert_uint_eq(vmm_writer_left(&w), 0);
	ck_assert_uint_eq(vmm_writer_written(&w), 4);
	ck_assert_uint_eq(vmm_writer_written(&tail), 0);
}
END_TEST

START_TEST(cursors_of_an_empty_chain_have_nothing)
{
	struct iovec iov[1];
	struct vmm_chain chain = {.iov = iov, .iov_cap = 1};
	struct vmm_reader r;
	struct vmm_writer w;
	uint8_t byte = 0;

	vmm_chain_reader(&chain, &r);
	vmm_chain_writer(&chain, &w);
	ck_assert_int_eq(vmm_reader_get(&r, &byte, 1), -EPROTO);
	ck_assert_uint_eq(vmm_reader_skip(&r, 1), 0);
	ck_assert_int_eq(vmm_reader_iov(&r, 1, iov, 1), 0);
	ck_assert_int_eq(vmm_writer_put(&w, &byte, 1), -EPROTO);
	ck_assert_uint_eq(vmm_writer_fill(&w, 0, 1), 0);
	ck_assert_int_eq(vmm_writer_iov(&w, 1, iov, 1), 0);
}
END_TEST

SUITE_MAIN("virtq_cursor", reader_get_every_split_gives_the_bytes_in_order,
	   reader_get_too_much_takes_nothing, reader_read_and_skip_stop_at_the_end,
	   reader_iov_every_split_clips_exactly, reader_pieces_are_all_bytes_in_order,
	   iov_array_too_small_takes_nothing, writer_put_and_fill_every_split_land_in_order,
	   writer_put_too_much_writes_nothing, writer_iov_every_split_counts_as_written,
	   writer_split_tail_every_split_parts_at_the_byte,
	   writer_split_tail_too_long_changes_nothing, cursors_of_an_empty_chain_have_nothing)
