/* SPDX-License-Identifier: MIT */
/* The aarch64 machine's clock, asked through a bus at a time that the test sets. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "faultinj.h"
#include "machine/aarch64/arm.h"
#include "machine/aarch64/layout.h"
#include "suite.h"

enum {
	DR = 0x00,
	MR = 0x04,
	LR = 0x08,
	CR = 0x0c,
	IMSC = 0x10,
	RIS = 0x14,
	MIS = 0x18,
	ICR = 0x1c,
	ID = 0xfe0,
};

int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __real_clock_gettime(clockid_t id, struct timespec *ts);

static time_t host_time; /* 0: what it is */

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (host_time != 0 && id == CLOCK_REALTIME) {
		*ts = (struct timespec){.tv_sec = host_time, .tv_nsec = 999999999};
		return 0;
	}
	return __real_clock_gettime(id, ts);
}

static struct vmm_bus *bus;
static struct arm_rtc *rtc;

static void setup(void)
{
	struct vmm_error err = {0};

	host_time = 1700000000;
	ck_assert_int_eq(vmm_bus_create(&bus), 0);
	ck_assert_msg(vmm_arm_rtc_create(&rtc, bus, &err) == 0, "%s", err.message);
}

static void teardown(void)
{
	vmm_arm_rtc_destroy(rtc);
	vmm_bus_destroy(bus);
}

static uint64_t in_of(uint64_t reg, unsigned len)
{
	uint64_t value = 0;

	ck_assert(vmm_bus_read(bus, RTC_GPA + reg, len, &value));
	return value;
}

static uint32_t in(uint64_t reg)
{
	return (uint32_t)in_of(reg, 4);
}

static void out(uint64_t reg, uint64_t value)
{
	ck_assert(vmm_bus_write(bus, RTC_GPA + reg, 4, value));
}

START_TEST(rtc_gives_the_time_of_day)
{
	time_t before;
	uint32_t now;

	ck_assert_uint_eq(in(DR), 1700000000);
	host_time++;
	ck_assert_uint_eq(in(DR), 1700000001);
	host_time = 0;
	before = time(NULL);
	now = in(DR);
	ck_assert_uint_ge(now, (uint64_t)before - 1);
	ck_assert_uint_le(now, (uint64_t)before + 2);
}
END_TEST

START_TEST(rtc_can_be_set_and_goes_on_from_there)
{
	static const uint32_t times[] = {0, 1, 1699999999, 1700000001, 0x80000000, 0xffffffff};

	for (unsigned i = 0; i < 6; i++) {
		host_time = 1700000000;
		out(LR, times[i]);
		ck_assert_uint_eq(in(DR), times[i]);
		ck_assert_uint_eq(in(LR), times[i]);
		host_time += 5;
		ck_assert_uint_eq(in(DR), (uint32_t)(times[i] + 5));
	}
}
END_TEST

/* 32 bits of seconds since 1970, which go on after 2038 and end in 2106. */
START_TEST(rtc_ends_in_2106)
{
	host_time = INT64_C(0x80000000);
	ck_assert_uint_eq(in(DR), 0x80000000);
	host_time = INT64_C(0xffffffff);
	ck_assert_uint_eq(in(DR), 0xffffffff);
	host_time = INT64_C(0x100000007);
	ck_assert_uint_eq(in(DR), 7);
	out(LR, 100);
	ck_assert_uint_eq(in(DR), 100);
}
END_TEST

START_TEST(rtc_reset_goes_back_to_the_time_of_day)
{
	out(LR, 77);
	out(MR, 78);
	vmm_arm_rtc_reset(rtc);
	ck_assert_uint_eq(in(DR), 1700000000);
	ck_assert_uint_eq(in(MR), 0);
}
END_TEST

/* The steps of Linux's amba bus and pl031 driver. */
START_TEST(rtc_probe_looks_like_pl031)
{
	uint32_t id = 0;
	uint32_t cell = 0;

	for (unsigned i = 0; i < 4; i++) {
		id |= (in(ID + 4 * i) & 0xff) << (8 * i);
		cell |= (in(ID + 16 + 4 * i) & 0xff) << (8 * i);
	}
	ck_assert_uint_eq(cell, 0xb105f00d);
	ck_assert_uint_eq(id & 0xfffff, 0x41031);
	ck_assert_uint_eq(in(CR), 1);
	out(CR, 0); /* cannot be stopped */
	ck_assert_uint_eq(in(CR), 1);
	out(CR, 1);
	ck_assert_uint_eq(in(DR), 1700000000);
}
END_TEST

START_TEST(rtc_alarm_never_rings)
{
	out(MR, 1700000001);
	out(IMSC, 1);
	host_time += 2;
	ck_assert_uint_eq(in(MR), 1700000001);
	ck_assert_uint_eq(in(RIS), 0);
	ck_assert_uint_eq(in(MIS), 0);
	out(ICR, 1);
}
END_TEST

/* Reading or writing anything, anyhow, sets the clock only where the clock is set. */
START_TEST(rtc_any_access_is_survived)
{
	out(MR, 0x12345678);
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (uint64_t reg = 0; reg < RTC_SIZE; reg++) {
			uint64_t value = 0;
			bool inside = reg + len <= RTC_SIZE;

			SUITE_REQUIRE(vmm_bus_read(bus, RTC_GPA + reg, len, &value) == inside);
			if (reg == LR || reg == MR) {
				continue;
			}
			SUITE_REQUIRE(vmm_bus_write(bus, RTC_GPA + reg, len, UINT64_MAX) == inside);
		}
	}
	ck_assert_uint_eq(in(DR), 1700000000);
	ck_assert_uint_eq(in(MR), 0x12345678);
	ck_assert_uint_eq(in_of(DR, 8), 1700000000);
	ck_assert_uint_eq(in_of(DR, 1), 1700000000 & 0xff);
	ck_assert_uint_eq(in_of(DR + 4, 2), 0x5678);
	ck_assert_uint_eq(in_of(ID + 28, 1), 0xb1);
	ck_assert_uint_eq(in_of(0x800, 4), 0);
	/* What is beside it is none of its business. */
	ck_assert(!vmm_bus_write(bus, RTC_GPA - 4, 8, 0));
	ck_assert_uint_eq(in(DR), 1700000000);
}
END_TEST

static void *set_and_read(void *ctx)
{
	const uint32_t *value = ctx;
	uint64_t got;

	for (unsigned i = 0; i < 20000; i++) {
		(void)vmm_bus_write(bus, RTC_GPA + LR, 4, *value);
		(void)vmm_bus_read(bus, RTC_GPA + DR, 4, &got);
		if (got != 0x1111 && got != 0x22220000) {
			return ctx;
		}
	}
	return NULL;
}

START_TEST(rtc_two_vcpus_see_one_time_or_the_other)
{
	static uint32_t times[] = {0x1111, 0x22220000};
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, set_and_read, &times[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		void *failed = NULL;

		(void)pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
}
END_TEST

START_TEST(rtc_that_cannot_be_made_is_none)
{
	struct faultinj f = {0};
	struct arm_rtc *second = rtc;
	struct vmm_error err = {0};

	ck_assert_int_eq(vmm_arm_rtc_create(&second, bus, &err), -EEXIST);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(err.message, "clock"));
	while (faultinj_next(&f)) {
		struct vmm_bus *other;
		int ret = vmm_bus_create(&other);

		if (ret == 0) {
			ret = vmm_arm_rtc_create(&second, other, &err);
		}
		faultinj_stop(&f);
		ck_assert_int_eq(ret, f.failed ? -ENOMEM : 0);
		if (other) {
			ck_assert((ret == 0) == (second != NULL));
			vmm_arm_rtc_destroy(second);
		}
		vmm_bus_destroy(other);
	}
	vmm_arm_rtc_destroy(NULL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		rtc_gives_the_time_of_day,
		rtc_can_be_set_and_goes_on_from_there,
		rtc_ends_in_2106,
		rtc_reset_goes_back_to_the_time_of_day,
		rtc_probe_looks_like_pl031,
		rtc_alarm_never_rings,
		rtc_any_access_is_survived,
		rtc_two_vcpus_see_one_time_or_the_other,
		rtc_that_cannot_be_made_is_none,
	};
	Suite *suite = suite_create("arm_rtc");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, setup, teardown);
	}
	return suite_finish(suite);
}
