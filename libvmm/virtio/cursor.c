/* SPDX-License-Identifier: MIT */
/*
 * Cursors over the buffers of a chain. A reader and a writer differ in the direction of the copy
 * only; both move a position that always points at a byte, or at nothing when nothing is left.
 */
#include <vmm/virtq.h>

#include <errno.h>
#include <string.h>

struct position {
	const struct iovec **iov;
	unsigned *count;
	size_t *offset;
	size_t *left;
};

static struct position of_reader(struct vmm_reader *r)
{
	return (struct position){&r->iov, &r->count, &r->offset, &r->left};
}

static struct position of_writer(struct vmm_writer *w)
{
	return (struct position){&w->iov, &w->count, &w->offset, &w->left};
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The next piece of at most len > 0 bytes, which must be left. */
static struct iovec piece(const struct position *p, size_t len)
{
	const struct iovec *iov = *p->iov;

	return (struct iovec){
		.iov_base = (uint8_t *)iov->iov_base + *p->offset,
		.iov_len = min_size(len, iov->iov_len - *p->offset),
	};
}

static void advance(const struct position *p, size_t len)
{
	*p->offset += len;
	*p->left -= len;
	if (*p->offset == (*p->iov)->iov_len) {
		(*p->iov)++;
		(*p->count)--;
		*p->offset = 0;
	}
}

static void skip(const struct position *p, size_t len)
{
	while (len > 0) {
		struct iovec v = piece(p, len);

		advance(p, v.iov_len);
		len -= v.iov_len;
	}
}

static int clip(const struct position *p, size_t len, struct iovec *out, unsigned cap)
{
	const struct iovec *iov = *p->iov;
	size_t offset = *p->offset;
	size_t left = min_size(len, *p->left);
	unsigned filled = 0;

	len = left;
	while (left > 0) {
		size_t n = min_size(left, iov->iov_len - offset);

		if (filled == cap) {
			return -ENOSPC;
		}
		out[filled].iov_base = (uint8_t *)iov->iov_base + offset;
		out[filled].iov_len = n;
		filled++;
		left -= n;
		offset = 0;
		iov++;
	}
	skip(p, len);
	return (int)filled;
}

/* ---- readers ---- */

void vmm_chain_reader(const struct vmm_chain *chain, struct vmm_reader *r)
{
	*r = (struct vmm_reader){
		.iov = chain->iov,
		.count = chain->readable,
		.left = chain->readable_len,
	};
}

size_t vmm_reader_read(struct vmm_reader *r, void *dst, size_t len)
{
	struct position p = of_reader(r);
	uint8_t *to = dst;
	size_t done = 0;

	len = min_size(len, r->left);
	while (done < len) {
		struct iovec v = piece(&p, len - done);

		memcpy(to + done, v.iov_base, v.iov_len);
		advance(&p, v.iov_len);
		done += v.iov_len;
	}
	return len;
}

int vmm_reader_get(struct vmm_reader *r, void *dst, size_t len)
{
	if (len > r->left) {
		return -EPROTO;
	}
	(void)vmm_reader_read(r, dst, len);
	return 0;
}

size_t vmm_reader_skip(struct vmm_reader *r, size_t len)
{
	struct position p = of_reader(r);

	len = min_size(len, r->left);
	skip(&p, len);
	return len;
}

int vmm_reader_iov(struct vmm_reader *r, size_t len, struct iovec *out, unsigned cap)
{
	struct position p = of_reader(r);

	return clip(&p, len, out, cap);
}

size_t vmm_reader_piece(struct vmm_reader *r, size_t len, const void **out)
{
	struct position p = of_reader(r);
	struct iovec v;

	len = min_size(len, r->left);
	if (len == 0) {
		return 0;
	}
	v = piece(&p, len);
	advance(&p, v.iov_len);
	*out = v.iov_base;
	return v.iov_len;
}

/* ---- writers ---- */

void vmm_chain_writer(const struct vmm_chain *chain, struct vmm_writer *w)
{
	*w = (struct vmm_writer){
		.iov = chain->iov + chain->readable,
		.count = chain->writable,
		.left = chain->writable_len,
	};
}

size_t vmm_writer_write(struct vmm_writer *w, const void *src, size_t len)
{
	struct position p = of_writer(w);
	const uint8_t *from = src;
	size_t done = 0;

	len = min_size(len, w->left);
	while (done < len) {
		struct iovec v = piece(&p, len - done);

		memcpy(v.iov_base, from + done, v.iov_len);
		advance(&p, v.iov_len);
		done += v.iov_len;
	}
	w->written += len;
	return len;
}

int vmm_writer_put(struct vmm_writer *w, const void *src, size_t len)
{
	if (len > w->left) {
		return -EPROTO;
	}
	(void)vmm_writer_write(w, src, len);
	return 0;
}

size_t vmm_writer_fill(struct vmm_writer *w, uint8_t byte, size_t len)
{
	struct position p = of_writer(w);
	size_t done = 0;

	len = min_size(len, w->left);
	while (done < len) {
		struct iovec v = piece(&p, len - done);

		memset(v.iov_base, byte, v.iov_len);
		advance(&p, v.iov_len);
		done += v.iov_len;
	}
	w->written += len;
	return len;
}

int vmm_writer_iov(struct vmm_writer *w, size_t len, struct iovec *out, unsigned cap)
{
	struct position p = of_writer(w);
	size_t before = w->left;
	int ret = clip(&p, len, out, cap);

	w->written += before - w->left;
	return ret;
}

int vmm_writer_split_tail(struct vmm_writer *w, size_t len, struct vmm_writer *tail)
{
	struct position p;

	if (len > w->left) {
		return -EPROTO;
	}
	*tail = *w;
	tail->written = 0;
	p = of_writer(tail);
	skip(&p, w->left - len);
	w->left -= len;
	return 0;
}
