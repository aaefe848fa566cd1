/* SPDX-License-Identifier: MIT */
/*
 * A guest that does anything to a virtio-mmio device, with the loop run in between, next to a model
 * of the registers that is a second reading of VIRTIO 1.2 section 4.2.2. After each step every
 * register reads as the model says, and:
 *   - accesses of a width or alignment that registers do not have read all ones and change nothing,
 *   - what is acknowledged is gone, but for the bit that stands for another process's queues,
 *   - there is an ioeventfd for each ready queue of an active device, and no other.
 *
 * An input is a byte that says whose the queues are, then a list of steps of 12 bytes: operation,
 * length, offset (2), value (8).
 */
#include <string.h>

#include "../unit/test_mmio_fix.h"

#define STEP_SIZE 12u
#define STEPS_MAX 400u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
	uint8_t op;
	unsigned len;
	uint16_t offset;
	uint64_t value;
};

struct model_queue {
	uint32_t max;
	uint32_t num;
	bool ready;
	uint64_t address[3]; /* descriptors, driver, device */
};

struct model {
	bool external;
	uint64_t offered;
	uint32_t device_select;
	uint32_t driver_select;
	uint32_t queue_select;
	uint64_t features;
	uint8_t status; /* without NEEDS_RESET */
	struct model_queue queues[TOY_QUEUES];
	uint8_t config[TOY_CONFIG];
};

static struct mmiofix fix;
static struct model m;

static struct step parse(const uint8_t *bytes)
{
	struct step s = {.op = bytes[0], .len = 1u << (bytes[1] % 4)};

	memcpy(&s.offset, bytes + 2, sizeof(s.offset));
	memcpy(&s.value, bytes + 4, sizeof(s.value));
	return s;
}

static void model_reset(void)
{
	m.device_select = m.driver_select = m.queue_select = 0;
	m.features = 0;
	m.status = 0;
	memset(m.queues, 0, sizeof(m.queues));
	m.queues[0].max = m.queues[0].num = TOY_QUEUE_SIZE;
	m.queues[1].max = m.queues[1].num = 4;
}

/* ---- the model's writes ---- */

/* The selected queue while its registers may change. */
static struct model_queue *open_queue(bool ready)
{
	if ((m.status & 12) != 8 || m.queue_select >= TOY_QUEUES ||
	    m.queues[m.queue_select].ready != ready) {
		return NULL;
	}
	return &m.queues[m.queue_select];
}

static void model_num(uint32_t value)
{
	struct model_queue *q = open_queue(false);

	for (uint32_t num = 1; q && num <= q->max; num *= 2) {
		if (num == value) {
			q->num = num;
		}
	}
}

static void model_ready(uint32_t value)
{
	struct model_queue *q = open_queue(value == 0);

	if (q && value <= 1) {
		q->ready = value == 1;
	}
}

static void model_address(unsigned offset, uint32_t value)
{
	struct model_queue *q = open_queue(false);
	unsigned which = (offset - R_QUEUE_DESC) / 0x10;
	unsigned shift = offset % 8 == 4 ? 32 : 0;

	if (q) {
		q->address[which] &= ~(UINT64_C(0xffffffff) << shift);
		q->address[which] |= (uint64_t)value << shift;
	}
}

/* What the driver's status byte becomes; section 3.1.1 as a sequence. */
static void model_status(uint32_t value)
{
	bool acceptable = (m.features & ~m.offered) == 0 && (m.features & VMM_VIRTIO_F_VERSION_1);
	uint8_t to = (uint8_t)value & 0xbf;

	if (value == 0) {
		model_reset();
	} else if (value > 0xff || (m.status & 0x80)) {
		return;
	} else if (to == (m.status | 0x80) || (to == 1 && m.status == 0) ||
		   (to == 3 && m.status <= 1) || (to == 11 && m.status == 3 && acceptable) ||
		   (to == 15 && m.status == 11)) {
		m.status = to;
	}
}

static void model_features(uint32_t value)
{
	unsigned shift = 32 * (m.driver_select & 1);

	if (m.driver_select < 2 && !(m.status & 8)) {
		m.features &= ~(UINT64_C(0xffffffff) << shift);
		m.features |= (uint64_t)value << shift;
	}
}

static void model_write(unsigned offset, uint32_t value)
{
	switch (offset) {
	case R_DEVICE_FEATURES_SEL:
		m.device_select = value;
		break;
	case R_DRIVER_FEATURES_SEL:
		m.driver_select = value;
		break;
	case R_DRIVER_FEATURES:
		model_features(value);
		break;
	case R_QUEUE_SEL:
		m.queue_select = value;
		break;
	case R_QUEUE_NUM:
		model_num(value);
		break;
	case R_QUEUE_READY:
		model_ready(value);
		break;
	case R_STATUS:
		model_status(value);
		break;
	case R_QUEUE_DESC:
	case R_QUEUE_DESC + 4:
	case R_QUEUE_DRIVER:
	case R_QUEUE_DRIVER + 4:
	case R_QUEUE_DEVICE:
	case R_QUEUE_DEVICE + 4:
		model_address(offset, value);
		break;
	default:
		break;
	}
}

/* The toy takes what lies in its first 8 bytes. */
static void model_config(size_t offset, unsigned len, uint64_t value)
{
	for (unsigned i = 0; offset + len <= 8 && i < len; i++) {
		m.config[offset + i] = (uint8_t)(value >> (8 * i));
	}
}

/* ---- what is read ---- */

static uint32_t feature_half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static void check_queues(void)
{
	const struct model_queue none = {0};
	const struct model_queue *sel =
		m.queue_select < TOY_QUEUES ? &m.queues[m.queue_select] : &none;
	bool active = fix.toy.activations > fix.toy.resets;
	unsigned bells = 0;

	FIX_REQUIRE(reg_read(&fix, R_QUEUE_NUM_MAX) == sel->max);
	FIX_REQUIRE(reg_read(&fix, R_QUEUE_READY) == sel->ready);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		struct vmm_carrier_queue q;

		FIX_REQUIRE(vmm_carrier_get_queue(fix.toy.base.carrier, i, &q) == 0);
		FIX_REQUIRE(q.size == m.queues[i].num && q.enabled == m.queues[i].ready);
		FIX_REQUIRE(q.desc == m.queues[i].address[0]);
		FIX_REQUIRE(q.driver == m.queues[i].address[1]);
		FIX_REQUIRE(q.device == m.queues[i].address[2]);
		bells += active && m.queues[i].ready;
	}
	FIX_REQUIRE(eventfix_ioeventfds(&fix.events) == bells);
}

static void check_registers(void)
{
	uint32_t status = reg_read(&fix, R_STATUS);
	uint32_t interrupt = reg_read(&fix, R_INTERRUPT_STATUS);

	FIX_REQUIRE(reg_read(&fix, R_MAGIC) == 0x74726976);
	FIX_REQUIRE(reg_read(&fix, R_VERSION) == 2);
	FIX_REQUIRE(reg_read(&fix, R_DEVICE_ID) == TOY_ID);
	FIX_REQUIRE(reg_read(&fix, R_DEVICE_FEATURES) == feature_half(m.offered, m.device_select));
	FIX_REQUIRE(vmm_carrier_driver_features(fix.toy.base.carrier) == m.features);
	FIX_REQUIRE((status & ~VMM_VIRTIO_S_NEEDS_RESET) == m.status);
	FIX_REQUIRE(interrupt <= 3);
	if (m.external) {
		FIX_REQUIRE((interrupt & 1) == ((m.status & VMM_VIRTIO_S_DRIVER_OK) != 0));
	}
	check_queues();
	for (unsigned i = 0; i < TOY_CONFIG; i++) {
		FIX_REQUIRE(mmiofix_read(&fix, R_CONFIG + i, 1) == m.config[i]);
	}
	FIX_REQUIRE(fix.events.misuse == 0);
	FIX_REQUIRE(eventfix_connected(&fix.events) == 1);
}

/* ---- steps ---- */

static void guest_write(unsigned offset, unsigned len, uint64_t value)
{
	uint32_t before = reg_read(&fix, R_INTERRUPT_STATUS);

	mmiofix_write(&fix, offset, len, value);
	if (offset % len != 0) {
		return;
	}
	if (offset >= R_CONFIG) {
		model_config(offset - R_CONFIG, len, value);
	} else if (len == 4) {
		model_write(offset, (uint32_t)value);
	}
	if (offset == R_INTERRUPT_ACK && len == 4) {
		uint32_t left = before & ~(uint32_t)value;

		left |= m.external ? before & 1 : 0;
		FIX_REQUIRE(reg_read(&fix, R_INTERRUPT_STATUS) == left);
	}
}

static void guest_read(unsigned offset, unsigned len)
{
	uint64_t value = mmiofix_read(&fix, offset, len);
	bool legal = offset % len == 0 && (len == 4 || offset >= R_CONFIG);

	FIX_REQUIRE(legal || value == UINT64_MAX >> (64 - 8 * len));
}

/* As Linux does it, up to DRIVER_OK; queues 0 and 1 by the bits of which. */
static void bring_up(unsigned which)
{
	guest_write(R_STATUS, 4, 0);
	guest_write(R_STATUS, 4, 1);
	guest_write(R_STATUS, 4, 3);
	for (uint32_t i = 0; i < 2; i++) {
		guest_write(R_DRIVER_FEATURES_SEL, 4, i);
		guest_write(R_DRIVER_FEATURES, 4, feature_half(m.offered, i));
	}
	guest_write(R_STATUS, 4, 11);
	for (uint32_t i = 0; i < TOY_QUEUES; i++) {
		const uint64_t at[] = {fix.rings[i].desc, fix.rings[i].driver, fix.rings[i].device};

		guest_write(R_QUEUE_SEL, 4, i);
		for (unsigned k = 0; k < 3; k++) {
			guest_write(R_QUEUE_DESC + 0x10 * k, 4, (uint32_t)at[k]);
			guest_write(R_QUEUE_DESC + 0x10 * k + 4, 4, at[k] >> 32);
		}
		guest_write(R_QUEUE_READY, 4, which >> i & 1);
	}
	guest_write(R_STATUS, 4, 15);
}

static void update_config(const struct step *s)
{
	size_t offset = s->offset % 16;
	uint32_t generation = reg_read(&fix, R_GENERATION);
	int ret = vmm_virtio_config_update(&fix.toy.base, offset, &s->value, s->len);

	FIX_REQUIRE((ret == 0) == (offset + s->len <= TOY_CONFIG));
	FIX_REQUIRE((reg_read(&fix, R_GENERATION) != generation) == (ret == 0));
	if (ret == 0) {
		memcpy(m.config + offset, &s->value, s->len);
	}
}

static void run_step(const struct step *s)
{
	switch (s->op % 9) {
	case 0:
	case 1:
		/* Most of the time the registers that lead somewhere. */
		guest_write(s->offset % (R_CONFIG / 4) * 4, 4, s->value);
		break;
	case 2:
		guest_write(s->offset % (R_END - 7), s->len, s->value);
		break;
	case 3:
		guest_read(s->offset % (R_END - 7), s->len);
		break;
	case 4:
		mmiofix_run(&fix);
		(void)mmiofix_interrupts(&fix);
		break;
	case 5:
		update_config(s);
		break;
	case 6:
		bring_up((unsigned)s->value);
		break;
	case 7:
		ring_offer(&fix.rings[s->offset % TOY_QUEUES], &fix.mem, s->offset % TOY_QUEUES);
		guest_write(R_QUEUE_NOTIFY, 4, s->offset % TOY_QUEUES);
		break;
	default:
		vmm_virtio_mmio_reset(fix.mmio);
		model_reset();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&m, 0, sizeof(m));
	m.external = size > 0 && (data[0] & 1);
	m.offered = TOY_FEATURE | FIX_RING_FEATURES;
	if (m.external) {
		mmiofix_init_external(&fix);
	} else {
		mmiofix_init(&fix);
	}
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		ring_alloc(&fix.rings[i], &fix.mem);
	}
	model_reset();
	memcpy(m.config, fix.toy.base.config, sizeof(m.config));
	for (size_t i = 0; size > 0 && i < (size - 1) / STEP_SIZE && i < STEPS_MAX; i++) {
		struct step s = parse(data + 1 + i * STEP_SIZE);

		run_step(&s);
		check_registers();
	}
	mmiofix_run(&fix);
	mmiofix_finish(&fix);
	return 0;
}
