/* SPDX-License-Identifier: MIT */
/*
 * A driver that uses the registers of a device in any order and with any value, and a device that
 * fails whenever it likes. After each step:
 *   - the status is what the state machine allows, and DEVICE_NEEDS_RESET stays until a reset,
 *   - the device is active exactly when it was started and has not been reset,
 *   - registers that may not change have not, and configuration reads give the device's bytes,
 *   - a failure is told with one interrupt.
 * After the last step the device is reset, started by the rules, and serves a request: nothing that
 * a driver does can wedge it.
 *
 * An input is steps of 8 bytes: operation, a, b, and five more.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "fakedrv.h"
#include "judge.h"
#include "testdev.h"

#define STEP_SIZE  ((size_t)8)
#define STEPS_MAX  256u
#define ARENA_SIZE 0x4000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Made once: creating it would take longer than a run. */
static struct {
	struct fakedrv *drv;
	struct vmm_carrier *c;
	struct testdev dev;
	uint8_t *arena;
	vmm_gpa arena_gpa;

	/* What the registers must show. */
	uint8_t status; /* without DEVICE_NEEDS_RESET */
	bool failed;    /* DEVICE_NEEDS_RESET must show */
	uint64_t features;
	struct vmm_carrier_queue queues[TESTDEV_QUEUES];
	uint8_t config[TESTDEV_CONFIG_LEN];
} f;

static void model_reset(void)
{
	f.status = 0;
	f.failed = false;
	f.features = 0;
	memset(f.queues, 0, sizeof(f.queues));
	for (unsigned i = 0; i < TESTDEV_QUEUES; i++) {
		f.queues[i].size = TESTDEV_QUEUE_SIZE;
	}
}

static void set_up(void)
{
	if (!f.drv) {
		testdev_init(&f.dev);
		f.drv = fakedrv_create(&f.dev.base);
		f.c = fakedrv_carrier(f.drv);
		f.arena = fakedrv_alloc(f.drv, ARENA_SIZE);
		f.arena_gpa = fakedrv_gpa(f.drv, f.arena);
	}
	memset(f.arena, 0, ARENA_SIZE);
	f.dev.echo = true;
	f.dev.activate_result = 0;
	f.dev.fail_in_activate = false;
	memcpy(f.config, f.dev.base.config, sizeof(f.config));
	model_reset();
}

static bool needs_reset(void)
{
	return vmm_carrier_status(f.c) & VMM_VIRTIO_S_NEEDS_RESET;
}

/* What the driver's status byte becomes; section 3.1.1 as a sequence. */
static uint8_t model_status(uint8_t value)
{
	uint8_t now = f.status;
	bool acceptable = (f.features & ~vmm_carrier_features(f.c)) == 0 &&
			  (f.features & VMM_VIRTIO_F_VERSION_1);

	value &= 0xbf;
	if (now & 0x80) {
		return now;
	}
	if (value == (now | 0x80)) {
		return value;
	}
	switch (value) {
	case 1:
		return now == 0 ? 1 : now;
	case 3:
		return now == 0 || now == 1 ? 3 : now;
	case 11:
		return now == 3 && acceptable ? 11 : now;
	case 15:
		return now == 11 ? 15 : now;
	default:
		return now;
	}
}

static void step_status(uint8_t value)
{
	unsigned irqs = fakedrv_config_irqs(f.drv);
	bool starts;

	if (value == 0) {
		vmm_carrier_set_status(f.c, 0);
		model_reset();
		REQUIRE(vmm_carrier_status(f.c) == 0);
		return;
	}
	starts = (model_status(value) & ~f.status) & VMM_VIRTIO_S_DRIVER_OK;
	f.status = model_status(value);
	vmm_carrier_set_status(f.c, value);
	if (starts && (f.failed || f.dev.activate_result < 0 || f.dev.fail_in_activate)) {
		REQUIRE(needs_reset());
		REQUIRE(fakedrv_config_irqs(f.drv) == irqs + 1);
	}
}

static vmm_gpa pick_address(uint8_t kind, uint8_t which)
{
	switch (kind & 7) {
	case 0:
		return 0;
	case 1:
		return MEMFIX_HOLE + which;
	case 2:
		return MEMFIX_LOW_BASE + MEMFIX_LOW_SIZE - which * UINT64_C(16);
	case 3:
		return f.arena_gpa + which;
	case 4:
		return UINT64_MAX - which;
	default:
		return f.arena_gpa + (which & 15) * UINT64_C(0x400);
	}
}

static void step_queue(const uint8_t *s)
{
	static const uint16_t sizes[] = {64, 64, 64, 8, 1, 0, 3, 128};
	unsigned queue = s[1] < 250 ? s[1] % TESTDEV_QUEUES : s[1];
	struct vmm_carrier_queue q = {
		.size = s[2] < 250 ? sizes[s[2] % 8] : (uint16_t)(s[2] * 257),
		.enabled = s[3] & 1,
		.desc = pick_address(s[4], s[5]),
		.driver = pick_address(s[4] >> 3, (uint8_t)(s[5] + s[6])),
		.device = pick_address(s[3] >> 5, (uint8_t)(s[5] + s[7])),
	};
	bool valid = queue < TESTDEV_QUEUES && (q.size == 1 || q.size == 8 || q.size == 64);
	bool open = (f.status & 12) == 8;
	int ret = vmm_carrier_set_queue(f.c, queue, &q);

	if (!valid) {
		REQUIRE(ret == -EINVAL);
	} else if (!open || f.queues[queue].enabled) {
		REQUIRE(ret == -EBUSY);
	} else {
		REQUIRE(ret == 0);
		f.queues[queue] = q;
	}
}

static void step_fail(void)
{
	unsigned irqs = fakedrv_config_irqs(f.drv);
	bool tell = (f.status & VMM_VIRTIO_S_DRIVER_OK) && !needs_reset();

	vmm_virtio_fail(&f.dev.base, "it felt like it");
	f.failed = true;
	REQUIRE(fakedrv_config_irqs(f.drv) == irqs + tell);
}

static void step_update(const uint8_t *s)
{
	size_t offset = s[1] % 24;
	size_t len = s[2] % 5;
	uint8_t generation = vmm_carrier_config_generation(f.c);
	int ret = vmm_virtio_config_update(&f.dev.base, offset, s + 3, len);

	if (offset + len > TESTDEV_CONFIG_LEN) {
		REQUIRE(ret == -EINVAL);
		REQUIRE(vmm_carrier_config_generation(f.c) == generation);
	} else {
		REQUIRE(ret == 0);
		memcpy(f.config + offset, s + 3, len);
		REQUIRE(vmm_carrier_config_generation(f.c) != generation);
	}
}

static void step_config(const uint8_t *s, bool write)
{
	size_t offset = s[1] < 200 ? s[1] % 24 : (size_t)s[1] << (s[2] >> 3);
	size_t len = s[2] & 7;
	unsigned writes = f.dev.config_writes;
	uint8_t got[8];

	if (write) {
		bool inside = len > 0 && len <= 5 && offset < 20 && offset + len <= 20;

		if (len <= 5) {
			vmm_carrier_write_config(f.c, offset, s + 3, len);
			REQUIRE(f.dev.config_writes == writes + inside);
		}
		return;
	}
	vmm_carrier_read_config(f.c, offset, got, len);
	for (size_t i = 0; i < len; i++) {
		size_t at = offset + i;

		REQUIRE(got[i] == (at >= offset && at < TESTDEV_CONFIG_LEN ? f.config[at] : 0));
	}
}

/* Queue 0 to 3 somewhere sensible and DRIVER_OK, as far as the state allows. */
static void step_start(uint8_t which)
{
	step_status(0);
	f.features = vmm_carrier_features(f.c) & ~((uint64_t)(which >> 4 & 3) << 28);
	vmm_carrier_set_driver_features(f.c, f.features);
	step_status(1);
	step_status(3);
	step_status(11);
	for (uint8_t i = 0; i < TESTDEV_QUEUES; i++) {
		const uint8_t s[] = {0, i, 0, (uint8_t)(7 << 5 | (which >> i & 1)), 0x3f, 0, 1, 2};

		step_queue(s);
	}
	step_status(15);
}

static void check(void)
{
	uint8_t status = vmm_carrier_status(f.c);
	bool active = f.dev.active.queues != NULL;
	struct vmm_carrier_queue none;

	REQUIRE((status & 0xbf) == f.status);
	REQUIRE(!f.failed || (status & VMM_VIRTIO_S_NEEDS_RESET));
	f.failed = status & VMM_VIRTIO_S_NEEDS_RESET;
	REQUIRE(!active || (status & VMM_VIRTIO_S_DRIVER_OK));
	REQUIRE(active || f.failed || !(status & VMM_VIRTIO_S_DRIVER_OK));
	REQUIRE(vmm_carrier_driver_features(f.c) == f.features);
	REQUIRE(vmm_carrier_get_queue(f.c, TESTDEV_QUEUES, &none) == -EINVAL);
	REQUIRE(vmm_carrier_get_queue(f.c, UINT_MAX, &none) == -EINVAL);
	for (unsigned i = 0; i < TESTDEV_QUEUES; i++) {
		struct vmm_carrier_queue q;

		REQUIRE(vmm_carrier_get_queue(f.c, i, &q) == 0);
		REQUIRE(q.size == f.queues[i].size && q.enabled == f.queues[i].enabled);
		REQUIRE(q.desc == f.queues[i].desc && q.driver == f.queues[i].driver &&
			q.device == f.queues[i].device);
		REQUIRE(!active || (f.dev.active.queues[i] != NULL) == q.enabled);
	}
}

static void run_step(const uint8_t *s)
{
	switch (s[0] % 14) {
	case 0:
	case 1:
		step_status(s[1]);
		break;
	case 2:
		if (!(f.status & VMM_VIRTIO_S_FEATURES_OK)) {
			f.features = (s[1] & 1 ? vmm_carrier_features(f.c) : 0) ^
				     (UINT64_C(1) << (s[2] % 64));
		}
		vmm_carrier_set_driver_features(f.c, f.status & 8 ? UINT64_MAX : f.features);
		break;
	case 3:
	case 4:
		step_queue(s);
		break;
	case 5:
	case 6:
		vmm_carrier_kick(f.c, s[1] < 200 ? s[1] % TESTDEV_QUEUES : s[1] * 0x01010101u);
		break;
	case 7:
		memcpy(f.arena + (size_t)(s[1] | s[2] << 8) % (ARENA_SIZE - 8), s + 3, 5);
		break;
	case 8:
		step_update(s);
		break;
	case 9:
		step_config(s, s[1] & 1);
		break;
	case 10:
		(void)vmm_loop_dispatch(fakedrv_loop(f.drv), 0);
		break;
	case 11:
		step_start(s[1]);
		break;
	case 12:
		f.dev.activate_result = s[1] & 1 ? -EIO : 0;
		f.dev.fail_in_activate = s[1] & 2;
		break;
	default:
		if (s[1] > 200) {
			step_fail();
		}
		break;
	}
	check();
}

static void check_it_still_works(void)
{
	uint8_t *bytes = f.arena;
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(bytes, 8), FAKEDRV_IN(bytes + 8, 8)};

	f.dev.activate_result = 0;
	f.dev.fail_in_activate = false;
	REQUIRE(fakedrv_start(f.drv, NULL) == 0);
	memcpy(bytes, "stilldoesxxxxxxx", 16);
	REQUIRE(fakedrv_request(f.drv, 1, bufs, 2) == 8);
	REQUIRE(memcmp(bytes + 8, "stilldoe", 8) == 0);
	fakedrv_reset(f.drv);
	REQUIRE(f.dev.active.queues == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	set_up();
	for (unsigned i = 0; i < STEPS_MAX && (i + 1) * STEP_SIZE <= size; i++) {
		run_step(data + i * STEP_SIZE);
	}
	check_it_still_works();
	return 0;
}
