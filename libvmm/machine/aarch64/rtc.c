/* SPDX-License-Identifier: MIT */
/*
 * The time of day: ARM's PL031 (DDI 0224), without its alarm. Stock kernels for this architecture
 * have no other way to ask a hypervisor, and a guest in 1970 trusts no certificate.
 */
#include "machine/aarch64/arm.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "machine/aarch64/layout.h"

enum {
	REG_DR = 0x00, /* seconds since 1970 */
	REG_MR = 0x04,
	REG_LR = 0x08, /* sets the clock */
	REG_CR = 0x0c, /* 1: it runs; it cannot be stopped */
	REG_ID = 0xfe0,
};

struct arm_rtc {
	/* What the guest has set its clock forward by. Atomic: a vCPU may set while another reads.
	 */
	uint32_t offset;
	uint32_t match;
};

static uint32_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint32_t)ts.tv_sec;
}

static uint64_t rtc_read(void *ctx, uint64_t offset, unsigned len)
{
	/* Designer ARM, part 0x031. */
	static const uint8_t id[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
	const struct arm_rtc *rtc = ctx;

	(void)len;
	if (offset >= REG_ID && offset % 4 == 0) {
		return id[(offset - REG_ID) / 4];
	}
	switch (offset) {
	case REG_DR:
	case REG_LR:
		return now() + __atomic_load_n(&rtc->offset, __ATOMIC_RELAXED);
	case REG_MR:
		return __atomic_load_n(&rtc->match, __ATOMIC_RELAXED);
	case REG_CR:
		return 1;
	default:
		return 0;
	}
}

static void rtc_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct arm_rtc *rtc = ctx;

	(void)len;
	if (offset == REG_LR) {
		__atomic_store_n(&rtc->offset, (uint32_t)value - now(), __ATOMIC_RELAXED);
	} else if (offset == REG_MR) {
		__atomic_store_n(&rtc->match, (uint32_t)value, __ATOMIC_RELAXED);
	}
}

static const struct vmm_bus_ops rtc_ops = {.read = rtc_read, .write = rtc_write};

int vmm_arm_rtc_create(struct arm_rtc **out, struct vmm_bus *mmio, struct vmm_error *err)
{
	struct arm_rtc *rtc = calloc(1, sizeof(*rtc));
	int ret;

	*out = NULL;
	if (!rtc) {
		return vmm_error_set(err, -ENOMEM, "clock: out of memory");
	}
	ret = vmm_bus_add(mmio, "clock", RTC_GPA, RTC_SIZE, &rtc_ops, rtc, err);
	if (ret < 0) {
		free(rtc);
		return ret;
	}
	*out = rtc;
	return 0;
}

void vmm_arm_rtc_destroy(struct arm_rtc *rtc)
{
	free(rtc);
}

void vmm_arm_rtc_reset(struct arm_rtc *rtc)
{
	rtc->offset = 0;
	rtc->match = 0;
}
