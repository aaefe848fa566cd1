/* SPDX-License-Identifier: MIT */
/*
 * A split queue whose driver writes anything anywhere, and whose device pops, pushes, gives back
 * and flushes in any order. A second, plain reading of the specification (model_*) says what must
 * come of each step:
 *   - pop gives exactly the chain that the model finds, or an error where the model finds none,
 *   - a head is out at most once, and comes back at most once,
 *   - no more bytes are reported than the chain had room for,
 *   - the used ring holds exactly what was pushed, and nothing else of memory is written,
 *   - an interrupt comes exactly when the model says so.
 *
 * An input is one byte of options and then steps of 8 bytes: operation, a, b, c (2), d (3 low bytes
 * of the rest).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/virtio.h>

/* Guest memory: one region, and everything in it has its place. */
#define RAM_BASE   UINT64_C(0x10000)
#define RAM_SIZE   UINT64_C(0x4000)
#define DESC_GPA   (RAM_BASE + 0x0000)
#define AVAIL_GPA  (RAM_BASE + 0x0400)
#define USED_GPA   (RAM_BASE + 0x0800)
#define TABLE_GPA  (RAM_BASE + 0x1000)
#define BUFFER_GPA (RAM_BASE + 0x2000)
#define SIZE_MAX_  16u
#define STEP_SIZE  ((size_t)8)
#define STEPS_MAX  512u

#define REQUIRE(what)                                                                    \
	do {                                                                             \
		if (!(what)) {                                                           \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                         \
		}                                                                        \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model_chain {
	bool valid;
	unsigned count;
	unsigned readable;
	uint64_t addr[SIZE_MAX_];
	uint32_t len[SIZE_MAX_];
	uint64_t total[2];
};

struct fuzz {
	struct vmm_mem *mem;
	uint8_t *ram;
	uint8_t shadow[RAM_SIZE]; /* what memory must hold */
	struct vmm_virtq *q;
	struct vmm_irq irq;
	unsigned irqs;
	unsigned broken_calls;

	/* The model's state. */
	uint64_t size;
	bool event_idx;
	bool indirect;
	bool broken;
	uint16_t next_avail;
	uint16_t seen_avail;
	uint16_t next_used;
	uint16_t published;
	bool out[SIZE_MAX_];
	uint64_t room[SIZE_MAX_];
	uint16_t popped[65536]; /* heads by position */
	unsigned in_flight;
};

/* One fuzz program, one thread: the state of a run is too large for a stack. */
static struct fuzz fuzz;

static void count_irq(struct vmm_irq *irq)
{
	(void)irq;
	fuzz.irqs++;
}

static void count_broken(void *ctx, const char *why)
{
	struct fuzz *f = ctx;

	REQUIRE(why && *why);
	f->broken_calls++;
}

/* ---- the model: slow, plain, one byte at a time ---- */

static uint64_t model_get(const struct fuzz *f, uint64_t gpa, unsigned len)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < len; i++) {
		value |= (uint64_t)f->ram[gpa - RAM_BASE + i] << (8 * i);
	}
	return value;
}

static bool model_in_ram(uint64_t gpa, uint64_t len)
{
	unsigned __int128 end = (unsigned __int128)gpa + len;

	return gpa >= RAM_BASE && end <= RAM_BASE + RAM_SIZE;
}

struct model_desc {
	uint64_t addr;
	uint32_t len;
	bool next;
	bool write;
	bool indirect;
	uint16_t link;
};

static struct model_desc model_desc(const struct fuzz *f, uint64_t gpa)
{
	uint64_t flags = model_get(f, gpa + 12, 2);

	return (struct model_desc){
		.addr = model_get(f, gpa, 8),
		.len = (uint32_t)model_get(f, gpa + 8, 4),
		.next = flags & 1,
		.write = flags & 2,
		.indirect = flags & 4,
		.link = (uint16_t)model_get(f, gpa + 14, 2),
	};
}

/* The chain of head, its buffers listed first and judged afterwards. */
static void model_walk(const struct fuzz *f, uint16_t head, struct model_chain *c)
{
	uint64_t table = DESC_GPA;
	uint64_t entries = f->size;
	uint64_t at = head;
	bool inside = false;
	bool writing = false;

	memset(c, 0, sizeof(*c));
	for (unsigned followed = 0;;) {
		struct model_desc d;

		if (at >= entries) {
			return;
		}
		d = model_desc(f, table + at * 16);
		if (d.indirect) {
			if (!f->indirect || inside || d.next || d.len == 0 || d.len % 16 ||
			    d.len / 16 > f->size || !model_in_ram(d.addr, d.len) ||
			    followed == f->size) {
				return;
			}
			inside = true;
			table = d.addr;
			entries = d.len / 16;
			at = 0;
			continue;
		}
		if (followed == f->size) {
			return;
		}
		followed++;
		if (d.len > 0) {
			if ((writing && !d.write) || !model_in_ram(d.addr, d.len)) {
				return;
			}
			writing = d.write;
			c->addr[c->count] = d.addr;
			c->len[c->count] = d.len;
			c->total[d.write] += d.len;
			c->count++;
			c->readable += !d.write;
		}
		if (!d.next) {
			/* All of memory is far less than 2^32 / 16, so no total can be too large.
			 */
			c->valid = true;
			return;
		}
		at = d.link;
	}
}

static uint16_t model_avail_idx(const struct fuzz *f)
{
	return (uint16_t)model_get(f, AVAIL_GPA + 2, 2);
}

/* The index is read only when no chain seen earlier is left, or when the device asks. */
static void model_look(struct fuzz *f)
{
	if (f->broken) {
		return;
	}
	if ((uint16_t)(model_avail_idx(f) - f->next_avail) > f->size) {
		f->broken = true;
	} else {
		f->seen_avail = model_avail_idx(f);
	}
}

/* ---- steps ---- */

static void step_pop(struct fuzz *f)
{
	struct iovec iov[SIZE_MAX_];
	struct vmm_chain chain = {
		.iov = iov, .iov_cap = SIZE_MAX_, .readable = 1, .writable_len = 1};
	struct model_chain c = {0};
	uint16_t head = 0;
	int ret;

	if (f->seen_avail == f->next_avail) {
		model_look(f);
	}
	ret = vmm_virtq_pop(f->q, &chain);
	if (!f->broken && f->seen_avail == f->next_avail) {
		REQUIRE(ret == 0);
	} else if (!f->broken) {
		head = (uint16_t)model_get(f, AVAIL_GPA + 4 + 2 * (f->next_avail % f->size), 2);
		if (head < f->size && !f->out[head]) {
			model_walk(f, head, &c);
		}
		f->broken = !c.valid;
	}
	if (!c.valid) {
		REQUIRE(ret == 0 || ret == -EPROTO || ret == -EFAULT);
		REQUIRE((ret == 0) == !f->broken);
		REQUIRE(chain.readable + chain.writable == 0);
		REQUIRE(chain.readable_len + chain.writable_len == 0);
		return;
	}
	REQUIRE(ret == 1 && chain.head == head);
	REQUIRE(chain.readable == c.readable && chain.readable + chain.writable == c.count);
	REQUIRE(chain.readable_len == c.total[0] && chain.writable_len == c.total[1]);
	for (unsigned i = 0; i < c.count; i++) {
		REQUIRE(iov[i].iov_base == f->ram + (c.addr[i] - RAM_BASE));
		REQUIRE(iov[i].iov_len == c.len[i]);
	}
	f->out[head] = true;
	f->room[head] = c.total[1];
	f->popped[f->next_avail] = head;
	f->next_avail++;
	f->in_flight++;
}

static void put_shadow(struct fuzz *f, uint64_t gpa, unsigned len, uint64_t value)
{
	for (unsigned i = 0; i < len; i++) {
		f->shadow[gpa - RAM_BASE + i] = (uint8_t)(value >> (8 * i));
	}
}

static void step_push(struct fuzz *f, uint16_t head, uint32_t written)
{
	bool good = head < f->size && f->out[head] && written <= f->room[head];
	int ret = vmm_virtq_push(f->q, head, written);

	REQUIRE(ret == (good ? 0 : -EINVAL));
	if (!good) {
		return;
	}
	f->out[head] = false;
	f->in_flight--;
	if (!f->broken) {
		uint64_t elem = USED_GPA + 4 + 8 * (f->next_used % f->size);

		put_shadow(f, elem, 4, head);
		put_shadow(f, elem + 4, 4, written);
		f->next_used++;
	}
}

static void step_flush(struct fuzz *f)
{
	unsigned before = f->irqs;
	unsigned wanted = 0;

	if (!f->broken && f->next_used != f->published) {
		uint16_t event = (uint16_t)model_get(f, AVAIL_GPA + 4 + 2 * f->size, 2);

		put_shadow(f, USED_GPA + 2, 2, f->next_used);
		for (uint16_t i = f->published; i != f->next_used; i++) {
			wanted |= f->event_idx && i == event;
		}
		if (!f->event_idx) {
			wanted = !(model_get(f, AVAIL_GPA, 2) & 1);
		}
		f->published = f->next_used;
	}
	vmm_virtq_flush(f->q);
	REQUIRE(f->irqs == before + wanted);
}

static void step_unpop(struct fuzz *f, unsigned n)
{
	vmm_virtq_unpop(f->q, (uint16_t)n);
	for (; n > 0 && f->in_flight > 0; n--) {
		uint16_t head = f->popped[(uint16_t)(f->next_avail - 1)];

		if (!f->out[head]) {
			return;
		}
		f->out[head] = false;
		f->in_flight--;
		f->next_avail--;
	}
}

/* Unpop is for the most recent chains with none of them pushed: more is a device's bug. */
static unsigned unpop_limit(const struct fuzz *f)
{
	bool seen[SIZE_MAX_] = {false};
	unsigned n = 0;

	while (n < f->in_flight) {
		uint16_t head = f->popped[(uint16_t)(f->next_avail - 1 - n)];

		if (!f->out[head] || seen[head]) {
			break;
		}
		seen[head] = true;
		n++;
	}
	return n;
}

static void step_kick(struct fuzz *f, bool enable)
{
	bool ret;

	if (!enable) {
		vmm_virtq_kick_disable(f->q);
		if (!f->broken && !f->event_idx) {
			put_shadow(f, USED_GPA, 2, 1);
		}
		return;
	}
	model_look(f);
	ret = vmm_virtq_kick_enable(f->q);
	if (!f->broken && f->event_idx) {
		put_shadow(f, USED_GPA + 4 + 8 * f->size, 2, model_avail_idx(f));
	} else if (!f->broken) {
		put_shadow(f, USED_GPA, 2, 0);
	}
	REQUIRE(ret == (!f->broken && model_avail_idx(f) != f->next_avail));
}

/* The driver writes memory: both copies change. */
static void driver_put(struct fuzz *f, uint64_t gpa, unsigned len, uint64_t value)
{
	if (model_in_ram(gpa, len)) {
		put_shadow(f, gpa, len, value);
		memcpy(f->ram + (gpa - RAM_BASE), f->shadow + (gpa - RAM_BASE), len);
	}
}

/* An address that is good, or bad in an interesting way. */
static uint64_t pick_address(uint8_t kind, uint16_t offset)
{
	switch (kind % 8) {
	case 0:
	case 1:
	case 2:
		return BUFFER_GPA + offset % 0x2000;
	case 3:
		return TABLE_GPA + offset % 0x1000;
	case 4:
		return RAM_BASE + offset % RAM_SIZE;
	case 5:
		return RAM_BASE + RAM_SIZE - offset % 64;
	case 6:
		return UINT64_MAX - offset;
	default:
		return offset;
	}
}

static void step_desc(struct fuzz *f, uint64_t gpa, const uint8_t *s)
{
	static const uint32_t lengths[] = {0, 1, 16, 32, 17, 64, 4096, UINT32_MAX};

	driver_put(f, gpa, 8, pick_address(s[2], (uint16_t)(s[3] | s[4] << 8)));
	driver_put(f, gpa + 8, 4, s[5] < 128 ? s[5] : lengths[s[5] % 8]);
	driver_put(f, gpa + 12, 2, s[6]);
	driver_put(f, gpa + 14, 2, s[7]);
}

static void run_step(struct fuzz *f, const uint8_t *s)
{
	uint16_t word = (uint16_t)(s[2] | s[3] << 8);

	switch (s[0] % 16) {
	case 0:
	case 1:
	case 2:
		step_desc(f, DESC_GPA + 16 * (s[1] % f->size), s);
		break;
	case 3:
		step_desc(f, TABLE_GPA + UINT64_C(16) * (s[1] % 64) + (s[0] >> 4 & 7), s);
		break;
	case 4:
		/* Offer a head as a driver does. */
		driver_put(f, AVAIL_GPA + 4 + 2 * (model_avail_idx(f) % f->size), 2,
			   s[2] < 224 ? s[1] % f->size : word);
		driver_put(f, AVAIL_GPA + 2, 2, model_avail_idx(f) + 1u);
		break;
	case 5:
		driver_put(f, AVAIL_GPA + 2, 2, s[1] < 128 ? model_avail_idx(f) + s[1] % 4u : word);
		break;
	case 6:
		driver_put(f, AVAIL_GPA + (s[1] & 1 ? 0 : 4 + 2 * f->size), 2, word);
		break;
	case 7:
	case 8:
		step_pop(f);
		break;
	case 9:
		step_push(f, (uint16_t)(s[1] < 224 ? s[1] % f->size : word), s[4]);
		break;
	case 10:
		step_flush(f);
		break;
	case 11:
		step_unpop(f, s[1] % (unpop_limit(f) + 1));
		break;
	case 12:
		step_kick(f, s[1] & 1);
		break;
	case 13:
		model_look(f);
		REQUIRE(vmm_virtq_avail_count(f->q) ==
			(f->broken ? 0u : (uint16_t)(model_avail_idx(f) - f->next_avail)));
		break;
	case 14:
		driver_put(f, RAM_BASE + word % RAM_SIZE, 1, s[4]);
		break;
	default:
		if (s[1] == 255) {
			vmm_virtq_break(f->q, "the device gives up");
			f->broken = true;
		}
		break;
	}
	REQUIRE(vmm_virtq_is_broken(f->q) == f->broken);
	REQUIRE(f->broken_calls == f->broken);
	REQUIRE(vmm_virtq_in_flight(f->q) == f->in_flight);
	REQUIRE(memcmp(f->ram, f->shadow, RAM_SIZE) == 0);
}

/* Memory is made once: creating it would take longer than a run. */
static void set_up(struct fuzz *f, uint8_t options)
{
	static const struct vmm_mem_region region = {RAM_BASE, RAM_SIZE};
	struct vmm_mem *mem = f->mem;
	struct vmm_virtq_config config = {
		.size = (uint16_t)(1u << (options >> 2 & 3)),
		.size_max = SIZE_MAX_,
		.desc = DESC_GPA,
		.driver = AVAIL_GPA,
		.device = USED_GPA,
	};
	struct vmm_mem_mapping map;

	if (options & 0x10) {
		config.size = SIZE_MAX_;
	}
	if (!mem) {
		REQUIRE(vmm_mem_create(&mem, &region, 1, NULL) == 0);
	}
	memset(f, 0, sizeof(*f));
	f->mem = mem;
	REQUIRE(vmm_mem_get_mapping(mem, 0, &map) == 0);
	f->ram = map.host;
	memset(f->ram, 0, RAM_SIZE);
	f->irq.raise = count_irq;
	f->event_idx = options & 1;
	f->indirect = options & 2;
	f->size = config.size;
	config.features = (f->event_idx ? VMM_VIRTIO_F_EVENT_IDX : 0) |
			  (f->indirect ? VMM_VIRTIO_F_INDIRECT_DESC : 0);
	REQUIRE(vmm_virtq_create(&f->q, mem, &config, &f->irq, count_broken, f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0) {
		return 0;
	}
	set_up(&fuzz, data[0]);
	for (unsigned i = 0; i < STEPS_MAX && 1 + (i + 1) * STEP_SIZE <= size; i++) {
		run_step(&fuzz, data + 1 + i * STEP_SIZE);
	}
	vmm_virtq_destroy(fuzz.q);
	return 0;
}
