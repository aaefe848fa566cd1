/* SPDX-License-Identifier: MIT */
/*
 * A second reading of VIRTIO 1.2 section 2.7 and of vhost-user's record of chains in flight: slow,
 * plain, one byte at a time, and sharing no line with the product.
 */
#include "judge_priv.h"

#include <string.h>

uint64_t model_get(const uint8_t *p, unsigned len)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < len; i++) {
		value |= (uint64_t)p[i] << (8 * i);
	}
	return value;
}

static struct {
	uint64_t gpa;
	uint64_t len;
	uint8_t *host;
} regions[RANGES_MAX];
static unsigned region_count;

void model_set_memory(const struct vmm_mem *mem)
{
	struct vmm_mem_mapping map;

	region_count = 0;
	judge.ram_start = UINTPTR_MAX;
	judge.ram_end = 0;
	for (size_t i = 0; i < RANGES_MAX && vmm_mem_get_mapping(mem, i, &map) == 0; i++) {
		regions[i].gpa = map.gpa;
		regions[i].len = map.size;
		regions[i].host = map.host;
		judge.ram[i] = (struct iovec){map.host, map.size};
		judge.ram_start = (uintptr_t)map.host < judge.ram_start ? (uintptr_t)map.host
									: judge.ram_start;
		judge.ram_end = (uintptr_t)map.host + map.size > judge.ram_end
					? (uintptr_t)map.host + map.size
					: judge.ram_end;
		region_count++;
	}
	judge.ram_count = region_count;
}

uint8_t *model_translate(uint64_t gpa, uint64_t len)
{
	unsigned __int128 end = (unsigned __int128)gpa + len;

	for (unsigned i = 0; i < region_count; i++) {
		unsigned __int128 limit = (unsigned __int128)regions[i].gpa + regions[i].len;

		if (gpa >= regions[i].gpa && end <= limit && gpa < limit) {
			return regions[i].host + (gpa - regions[i].gpa);
		}
	}
	return NULL;
}

struct model_desc {
	uint64_t addr;
	uint32_t len;
	bool next;
	bool write;
	bool indirect;
	uint16_t link;
};

static struct model_desc get_desc(const uint8_t *p)
{
	uint64_t flags = model_get(p + 12, 2);

	return (struct model_desc){
		.addr = model_get(p, 8),
		.len = (uint32_t)model_get(p + 8, 4),
		.next = flags & 1,
		.write = flags & 2,
		.indirect = flags & 4,
		.link = (uint16_t)model_get(p + 14, 2),
	};
}

static void note_fetch(const struct ring *r, struct model_chain *c, const uint8_t *p)
{
	c->overlaps |= p < r->avail + 6 + 2 * (size_t)r->size && r->avail < p + 16;
	for (unsigned i = 0; i < c->fetch_count; i++) {
		c->overlaps |= p < c->fetch[i] + 16 && c->fetch[i] < p + 16;
	}
	c->fetched[c->fetch_count] = 0;
	c->fetch[c->fetch_count++] = p;
}

/* Adds a buffer; false when no chain may have it. */
static bool add_buffer(struct model_chain *c, const struct model_desc *d)
{
	uint8_t *host = model_translate(d->addr, d->len);

	if (d->len == 0) {
		return true;
	}
	if ((!d->write && c->count > c->readable) || !host) {
		return false;
	}
	c->buf[c->count++] = (struct iovec){host, d->len};
	c->readable += !d->write;
	c->total[d->write] += d->len;
	return c->total[d->write] <= UINT32_MAX;
}

/* The chain of head, its buffers listed first and judged one by one. */
void model_walk(const struct ring *r, uint16_t head, struct model_chain *c)
{
	const uint8_t *table = r->desc;
	uint64_t entries = r->size;
	uint64_t at = head;
	bool inside = false;
	struct model_desc d;

	for (unsigned followed = 0; at < entries && followed < r->size;) {
		note_fetch(r, c, table + at * 16);
		d = get_desc(table + at * 16);
		if (d.indirect) {
			table = model_translate(d.addr, d.len);
			if (!r->indirect || inside || d.next || d.len == 0 || d.len % 16 != 0 ||
			    d.len / 16 > r->size || !table) {
				return;
			}
			inside = true;
			entries = d.len / 16;
			at = 0;
			continue;
		}
		followed++;
		if (!add_buffer(c, &d)) {
			return;
		}
		if (!d.next) {
			c->valid = true;
			return;
		}
		at = d.link;
	}
}

uint16_t model_avail_idx(const struct ring *r)
{
	return (uint16_t)model_get(r->avail + 2, 2);
}

/* ---- the record of chains in flight (vhost-user, "Inflight I/O tracking", split ring) ---- */

static uint8_t *entry(const struct ring *r, uint64_t head)
{
	return r->record + 16 + 16 * head;
}

/* The heads of a last batch that the driver has been given already. */
static bool forget_batch(const struct ring *r, bool *is_out)
{
	uint16_t count = (uint16_t)(r->next_used - model_get(r->record + 14, 2));
	uint64_t head = model_get(r->record + 12, 2);

	if (count > r->size) {
		return false;
	}
	for (; count > 0; count--) {
		if (head >= r->size) {
			return false;
		}
		is_out[head] = false;
		head = model_get(entry(r, head) + 6, 2);
	}
	return true;
}

bool model_open_record(struct ring *r)
{
	bool is_out[SIZE_LIMIT] = {false};

	if (model_get(r->record + 8, 2) == 0) {
		return true;
	}
	if (model_get(r->record + 8, 2) != 1 || model_get(r->record + 10, 2) != r->size) {
		return false;
	}
	for (unsigned i = 0; i < r->size; i++) {
		is_out[i] = entry(r, i)[0] != 0;
	}
	if (!forget_batch(r, is_out)) {
		return false;
	}
	/* The oldest first, by their counters; of two that are equal the lower head. */
	for (;;) {
		unsigned oldest = r->size;

		for (unsigned i = 0; i < r->size; i++) {
			if (is_out[i] &&
			    (oldest == r->size ||
			     model_get(entry(r, i) + 8, 8) < model_get(entry(r, oldest) + 8, 8))) {
				oldest = i;
			}
		}
		if (oldest == r->size) {
			break;
		}
		is_out[oldest] = false;
		r->replay[r->replay_count++] = (uint16_t)oldest;
	}
	r->next_avail = r->next_used;
	r->seen_avail = r->next_used;
	return true;
}

void model_check_record(const struct ring *r)
{
	uint8_t must[SIZE_LIMIT] = {0};

	if (!r->record || r->broken || r->confused) {
		return;
	}
	for (unsigned i = 0; i < r->size; i++) {
		must[i] = r->chains[i].out;
	}
	for (unsigned i = 0; i < r->replay_count; i++) {
		must[r->replay[i]] = 1;
	}
	for (unsigned i = 0; i < r->batch_count; i++) {
		must[r->batch[i]] = 1;
	}
	for (unsigned i = 0; i < r->size; i++) {
		if (entry(r, i)[0] != must[i]) {
			judge_die("ring", "the record of chains in flight says something else");
		}
	}
}
