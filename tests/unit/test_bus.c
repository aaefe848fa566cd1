/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/bus.h>

#include "suite.h"

/* A range that remembers the last access and answers with a pattern. */
struct echo {
	uint64_t offset;
	unsigned len;
	uint64_t value;
	unsigned calls;
};

static uint64_t echo_read(void *ctx, uint64_t offset, unsigned len)
{
	struct echo *e = ctx;

	e->offset = offset;
	e->len = len;
	e->calls++;
	return UINT64_C(0x1122334455667788);
}

static void echo_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct echo *e = ctx;

	e->offset = offset;
	e->len = len;
	e->value = value;
	e->calls++;
}

static const struct vmm_bus_ops echo_ops = {.read = echo_read, .write = echo_write};

START_TEST(bus_add_refuses_overlap_wrap_and_nothing)
{
	struct vmm_error err = {0};
	struct echo e = {0};
	struct vmm_bus *bus;

	ck_assert_int_eq(vmm_bus_create(&bus), 0);
	ck_assert_int_eq(vmm_bus_add(bus, "uart", 0x3f8, 8, &echo_ops, &e, NULL), 0);
	ck_assert_int_eq(vmm_bus_add(bus, "other", 0x3ff, 1, &echo_ops, &e, &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.message, "uart"));
	ck_assert_int_eq(vmm_bus_add(bus, "other", 0x3f0, 9, &echo_ops, &e, NULL), -EEXIST);
	ck_assert_int_eq(vmm_bus_add(bus, "other", 0x3f0, 0x100, &echo_ops, &e, NULL), -EEXIST);
	ck_assert_int_eq(vmm_bus_add(bus, "other", 0x3f0, 8, &echo_ops, &e, NULL), 0);
	ck_assert_int_eq(vmm_bus_add(bus, "other", 0x400, 1, &echo_ops, &e, NULL), 0);
	ck_assert_int_eq(vmm_bus_add(bus, "none", 0x500, 0, &echo_ops, &e, NULL), -EINVAL);
	ck_assert_int_eq(vmm_bus_add(bus, "wrap", UINT64_MAX, 2, &echo_ops, &e, NULL), -EINVAL);
	ck_assert_int_eq(vmm_bus_add(bus, "end", UINT64_MAX, 1, &echo_ops, &e, NULL), 0);
	vmm_bus_destroy(bus);
	vmm_bus_destroy(NULL);
}
END_TEST

START_TEST(bus_dispatch_gives_offset_and_masks_values)
{
	struct echo low = {0};
	struct echo high = {0};
	struct vmm_bus *bus;
	uint64_t value;

	ck_assert_int_eq(vmm_bus_create(&bus), 0);
	/* Added out of order on purpose. */
	ck_assert_int_eq(vmm_bus_add(bus, "high", 0x2000, 0x100, &echo_ops, &high, NULL), 0);
	ck_assert_int_eq(vmm_bus_add(bus, "low", 0x1000, 0x100, &echo_ops, &low, NULL), 0);

	ck_assert(vmm_bus_read(bus, 0x2004, 2, &value));
	ck_assert_uint_eq(value, 0x7788);
	ck_assert_uint_eq(high.offset, 4);
	ck_assert_uint_eq(high.len, 2);
	ck_assert(vmm_bus_write(bus, 0x10ff, 1, 0xabcd));
	ck_assert_uint_eq(low.value, 0xcd);
	ck_assert_uint_eq(low.offset, 0xff);
	ck_assert(vmm_bus_read(bus, 0x20f8, 8, &value));
	ck_assert_uint_eq(value, UINT64_C(0x1122334455667788));
	vmm_bus_destroy(bus);
}
END_TEST

START_TEST(bus_unmapped_crossing_and_odd_lengths_read_ones)
{
	static const struct {
		uint64_t addr;
		unsigned len;
		uint64_t ones;
	} bad[] = {
		{0xfff, 1, 0xff},         {0x1100, 4, 0xffffffff},     {0x10ff, 2, 0xffff},
		{0x10f9, 8, UINT64_MAX},  {0x1000, 3, 0xffffff},       {0x1000, 0, 0},
		{0x1000, 16, UINT64_MAX}, {UINT64_MAX, 8, UINT64_MAX},
	};
	struct echo e = {0};
	struct vmm_bus *bus;

	ck_assert_int_eq(vmm_bus_create(&bus), 0);
	ck_assert_int_eq(vmm_bus_add(bus, "e", 0x1000, 0x100, &echo_ops, &e, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t value = 0x5a5a;

		ck_assert(!vmm_bus_read(bus, bad[i].addr, bad[i].len, &value));
		ck_assert_uint_eq(value, bad[i].ones);
		ck_assert(!vmm_bus_write(bus, bad[i].addr, bad[i].len, 1));
	}
	ck_assert_uint_eq(e.calls, 0);
	vmm_bus_destroy(bus);
}
END_TEST

SUITE_MAIN("bus", bus_add_refuses_overlap_wrap_and_nothing,
	   bus_dispatch_gives_offset_and_masks_values,
	   bus_unmapped_crossing_and_odd_lengths_read_ones)
