/* SPDX-License-Identifier: MIT */
/* Shared memory regions of a virtio device on the PCI bus. */
#include <errno.h>

#include "suite.h"
#include "test_virtio_pci_fix.h"

#define COMMAND 0x04u

static struct vpcifix fix;

static void set_up(void)
{
	vpcifix_init_shm(&fix);
	vpcifix_start(&fix);
}

static void tear_down(void)
{
	vpcifix_finish(&fix);
}

static uint32_t config32(unsigned offset)
{
	return pcifix_config_read(&fix.pci, fix.slot, offset, 4);
}

/* Writes both halves of a BAR, as a driver does that moves it with decoding on. */
static void move_bar(unsigned bar, uint64_t gpa)
{
	pcifix_config_write(&fix.pci, fix.slot, 0x10 + 4 * bar, 4, (uint32_t)gpa);
	pcifix_config_write(&fix.pci, fix.slot, 0x14 + 4 * bar, 4, (uint32_t)(gpa >> 32));
}

static const struct vmm_window *window(unsigned i)
{
	return &fix.pci.events.windows[i];
}

/* The capability of a region; 0: there is none. */
static unsigned find_region(unsigned id)
{
	unsigned at = pcifix_find_cap(&fix.pci, fix.slot, 0x09, 0);

	while (at != 0 && (pcifix_config_read(&fix.pci, fix.slot, at + 3, 1) != 8 ||
			   pcifix_config_read(&fix.pci, fix.slot, at + 5, 1) != id)) {
		at = pcifix_find_cap(&fix.pci, fix.slot, 0x09, at);
	}
	return at;
}

static void check_region(unsigned id, uint64_t len)
{
	unsigned at = find_region(id);
	unsigned bar = pcifix_config_read(&fix.pci, fix.slot, at + 4, 1);

	ck_assert_uint_ne(at, 0);
	ck_assert_uint_eq(config32(at + 8), 0);
	ck_assert_uint_eq(config32(at + 12), len);
	ck_assert_uint_eq(config32(at + 16), 0);
	ck_assert_uint_eq(config32(at + 20), 0);
	/* 64 bits, prefetchable, as large as the region, aligned to that. */
	ck_assert_uint_eq(config32(0x10 + 4 * bar) & 0xf, 0xc);
	ck_assert_uint_ge(pcifix_bar(&fix.pci, fix.slot, bar), FIX_MMIO64);
	ck_assert_uint_eq(pcifix_bar(&fix.pci, fix.slot, bar) % len, 0);
	pcifix_config_write(&fix.pci, fix.slot, 0x10 + 4 * bar, 4, UINT32_MAX);
	ck_assert_uint_eq(config32(0x10 + 4 * bar), (uint32_t)(0 - len) | 0xc);
}

START_TEST(virtio_pci_shm_has_a_capability_and_a_bar)
{
	check_region(TOY_SHM_ID, TOY_SHM_LEN);
	check_region(TOY_SHM_ID_2, TOY_SHM_LEN_2);
	ck_assert_uint_eq(find_region(0), 0);
}
END_TEST

START_TEST(virtio_pci_shm_follows_the_bar_when_something_is_mapped)
{
	uint64_t bar = pcifix_bar(&fix.pci, fix.slot, 2);

	ck_assert(!window(0)->visible);
	/* Nobody has mapped anything: as a device that does not answer. */
	ck_assert_uint_eq(pcifix_read(&fix.pci, bar, 4), UINT32_MAX);
	pcifix_write(&fix.pci, bar, 4, 0);
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), 0);
	ck_assert(window(0)->visible && window(0)->gpa == bar);
	ck_assert(!window(1)->used);
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID_2, 0), 0);
	ck_assert(window(1)->visible && window(1)->gpa == pcifix_bar(&fix.pci, fix.slot, 4));
	move_bar(2, bar + 4 * TOY_SHM_LEN);
	ck_assert(window(0)->visible && window(0)->gpa == bar + 4 * TOY_SHM_LEN);
	ck_assert_int_eq(toy_unmap(&fix.toy, TOY_SHM_ID, 0), 0);
	ck_assert_uint_eq(window(0)->mapped, 0);
	ck_assert_uint_eq(window(1)->mapped, 1);
}
END_TEST

START_TEST(virtio_pci_shm_goes_when_decoding_does)
{
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), 0);
	pcifix_config_write(&fix.pci, fix.slot, COMMAND, 2, 0);
	ck_assert(!window(0)->visible);
	/* Mapping goes on, out of sight. */
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0x1000), 0);
	ck_assert(!window(0)->visible);
	pcifix_config_write(&fix.pci, fix.slot, COMMAND, 2, 2);
	ck_assert(window(0)->visible);
	ck_assert_uint_eq(window(0)->mapped, 2);
}
END_TEST

static const uint64_t outside[] = {
	0,
	MEMFIX_LOW_BASE,
	FIX_MMIO32 - TOY_SHM_LEN,
	FIX_MMIO64 - TOY_SHM_LEN,
	FIX_MMIO64 + FIX_ALIGNED, /* across the end: the window is a page longer */
	FIX_ECAM,
	UINT64_MAX - TOY_SHM_LEN + 1,
};

START_TEST(virtio_pci_shm_is_seen_in_the_windows_only)
{
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), 0);
	move_bar(2, outside[_i]);
	ck_assert(!window(0)->visible);
	move_bar(2, FIX_MMIO64 + 8 * TOY_SHM_LEN);
	ck_assert(window(0)->visible);
}
END_TEST

START_TEST(virtio_pci_shm_does_not_cover_other_bars)
{
	uint64_t registers = pcifix_bar(&fix.pci, fix.slot, 0);
	uint64_t shm;

	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), 0);
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID_2, 0), 0);
	ck_assert_uint_lt(registers, FIX_MMIO64 + TOY_SHM_LEN);
	move_bar(2, FIX_MMIO64);
	ck_assert(!window(0)->visible);
	ck_assert_uint_eq(vpcifix_status(&fix), STATUS_OK);
	/* Nor do others come to lie inside of it, registers or memory. */
	shm = FIX_MMIO64 + 4 * TOY_SHM_LEN;
	move_bar(2, shm);
	ck_assert(window(0)->visible);
	move_bar(0, shm + 0x8000);
	ck_assert_uint_eq(pcifix_read(&fix.pci, shm + 0x8000 + C_STATUS, 1), 0xff);
	ck_assert(window(1)->visible);
	move_bar(4, shm + TOY_SHM_LEN - TOY_SHM_LEN_2);
	ck_assert(!window(1)->visible);
	move_bar(4, shm + TOY_SHM_LEN);
	ck_assert(window(1)->visible);
	move_bar(0, registers);
	ck_assert_uint_eq(vpcifix_status(&fix), STATUS_OK);
}
END_TEST

START_TEST(virtio_pci_shm_is_not_behind_the_window_in_configuration_space)
{
	pcifix_config_write(&fix.pci, fix.slot, fix.window + 4, 1, 2);
	pcifix_config_write(&fix.pci, fix.slot, fix.window + 8, 4, 0);
	pcifix_config_write(&fix.pci, fix.slot, fix.window + 12, 4, 4);
	ck_assert_uint_eq(config32(fix.window + 16), UINT32_MAX);
}
END_TEST

START_TEST(virtio_pci_shm_is_empty_after_a_reset)
{
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), 0);
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID_2, 0), 0);
	common_write(&fix, C_STATUS, 1, 0);
	ck_assert(!window(0)->used && window(0)->mapped == 0);
	ck_assert(!window(1)->used && window(1)->mapped == 0);
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), -ENOTCONN);
	vpcifix_start(&fix);
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), 0);
	vmm_pci_host_reset(fix.pci.host);
	ck_assert(!window(0)->used && window(0)->mapped == 0);
}
END_TEST

START_TEST(virtio_pci_shm_that_cannot_be_placed_is_refused)
{
	fix.pci.events.fail_place = -EEXIST;
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), -EEXIST);
	ck_assert_uint_eq(window(0)->mapped, 0);
	fix.pci.events.fail_place = 0;
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), 0);
	/* Nobody is there to be told when a guest moves it, but the log. */
	fix.pci.events.fail_place = -EEXIST;
	move_bar(2, FIX_MMIO64 + 8 * TOY_SHM_LEN);
	ck_assert_uint_gt(fix.pci.events.logged, 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{virtio_pci_shm_has_a_capability_and_a_bar, 1},
		{virtio_pci_shm_follows_the_bar_when_something_is_mapped, 1},
		{virtio_pci_shm_goes_when_decoding_does, 1},
		{virtio_pci_shm_is_seen_in_the_windows_only, sizeof(outside) / sizeof(outside[0])},
		{virtio_pci_shm_does_not_cover_other_bars, 1},
		{virtio_pci_shm_is_not_behind_the_window_in_configuration_space, 1},
		{virtio_pci_shm_is_empty_after_a_reset, 1},
		{virtio_pci_shm_that_cannot_be_placed_is_refused, 1},
	};
	Suite *suite = suite_create("virtio_pci_shm");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, set_up, tear_down);
	}
	return suite_finish(suite);
}
