/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "suite.h"
#include "test_virtio_pci_fix.h"

START_TEST(kick_reaches_the_device_through_an_ioeventfd)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_start_msix(&fix);
	vpcifix_prepare(&fix, 3);
	/* None before DRIVER_OK: sizing the BAR costs nothing then. */
	pcifix_config_write(&fix.pci, fix.slot, 4, 2, 0);
	pcifix_config_write(&fix.pci, fix.slot, 4, 2, 6);
	ck_assert_uint_eq(fix.pci.events.ioeventfd_calls, 0);
	common_write(&fix, C_STATUS, 1, STATUS_OK);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.pci.events), 2);
	ck_assert_uint_eq(fix.pci.events.ioeventfds[FIX_IOEVENTFDS - 1].bell.len, 0);
	for (unsigned i = 1; i <= 20; i++) {
		vpcifix_request(&fix, i % 2);
		ck_assert_uint_eq(vpcifix_used(&fix, i % 2), (i + 1) / 2);
	}
	ck_assert_uint_eq(fix.toy.notifies[0], 11);
	ck_assert_uint_eq(fix.toy.notifies[1], 11);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(kick_takes_the_slow_path_when_there_is_no_ioeventfd)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	fix.pci.events.fail_ioeventfd = -ENOSPC;
	vpcifix_start(&fix);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.pci.events), 0);
	ck_assert_uint_eq(fix.pci.events.logged, 1); /* once for both queues */
	vpcifix_request(&fix, 0);
	vpcifix_request(&fix, 1);
	ck_assert_uint_eq(vpcifix_used(&fix, 0), 1);
	ck_assert_uint_eq(vpcifix_used(&fix, 1), 1);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(kick_of_a_queue_that_does_not_exist_is_ignored)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	fix.pci.events.fail_ioeventfd = -ENOSPC;
	vpcifix_start(&fix);
	vpcifix_run(&fix);
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (unsigned at = TOY_QUEUES * 4; at + len <= 0x1000; at += len) {
			pcifix_write(&fix.pci, fix.notify + at, len, at);
		}
	}
	pcifix_write(&fix.pci, fix.notify + 2, 2, 0);
	pcifix_write(&fix.pci, fix.notify + 1, 1, 0);
	vpcifix_run(&fix);
	ck_assert_uint_eq(fix.toy.notifies[0], 1);
	ck_assert_uint_eq(fix.toy.notifies[1], 1);
	/* The address names the queue; a wild value in it changes nothing. */
	pcifix_write(&fix.pci, fix.notify, 4, 0xffffffff);
	pcifix_write(&fix.pci, fix.notify, 2, TOY_QUEUES);
	vpcifix_run(&fix);
	pcifix_write(&fix.pci, fix.notify, 2, 0x7fff);
	vpcifix_run(&fix);
	pcifix_write(&fix.pci, fix.notify, 2, 0x8000);
	vpcifix_run(&fix);
	ck_assert_uint_eq(fix.toy.notifies[0], 4);
	ck_assert_uint_eq(fix.toy.notifies[1], 1);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.notify, 4), 0);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(kick_of_a_disabled_queue_is_ignored)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	/* Enabled the time before. */
	vpcifix_start(&fix);
	vpcifix_prepare(&fix, 1);
	common_write(&fix, C_STATUS, 1, STATUS_OK);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.pci.events), 1);
	pcifix_write(&fix.pci, vpcifix_notify_address(&fix, 1), 2, 1);
	vpcifix_run(&fix);
	ck_assert_uint_eq(fix.toy.notifies[1], 1);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(vpcifix_used(&fix, 0), 1);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(kick_follows_the_bar)
{
	struct vpcifix fix;
	uint64_t old;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	old = fix.notify;
	pcifix_config_write(&fix.pci, fix.slot, 4, 2, 0);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.pci.events), 0);
	pcifix_config_write(&fix.pci, fix.slot, 0x10, 4, 0x100000);
	pcifix_config_write(&fix.pci, fix.slot, 4, 2, 6);
	vpcifix_probe(&fix);
	ck_assert_uint_ne(fix.notify, old);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.pci.events), 2);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(vpcifix_used(&fix, 0), 1);
	pcifix_write(&fix.pci, old, 2, 0);
	vpcifix_run(&fix);
	ck_assert_uint_eq(fix.toy.notifies[0], 2);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(kick_survives_two_devices_at_one_address)
{
	struct vmm_transport_device config = {0};
	struct vpcifix other;
	struct vpcifix fix;

	vpcifix_init(&fix);
	memset(&other, 0, sizeof(other));
	toy_init(&other.toy);
	config.mem = fix.mem.mem;
	config.loop = fix.loop;
	ck_assert_int_eq(
		vmm_virtio_pci_add(fix.pci.host, &other.toy.base, &config, &other.slot, NULL), 0);
	vpcifix_start(&fix);
	/* The second on top of the first: the first answers still. */
	pcifix_config_write(&fix.pci, 2, 0x10, 4, (uint32_t)FIX_MMIO64);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(vpcifix_used(&fix, 0), 1);
	/* The first under the second, active one: which one answers is the driver's problem. */
	pcifix_config_write(&fix.pci, 1, 4, 2, 0);
	ck_assert_uint_eq(common_read(&fix, C_STATUS, 1), 0);
	pcifix_config_write(&fix.pci, 2, 4, 2, 0);
	pcifix_config_write(&fix.pci, 1, 4, 2, 2);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(vpcifix_used(&fix, 0), 2);
	vpcifix_finish(&fix);
	ck_assert(other.toy.destroyed);
}
END_TEST

/* ---- hostile memory and guest resets ---- */

START_TEST(queue_in_a_bar_or_a_hole_needs_a_reset)
{
	struct vpcifix fix;
	const uint64_t bad[] = {0, MEMFIX_HOLE, FIX_MMIO64 + 0x2000, FIX_ECAM, UINT64_MAX - 15};

	vpcifix_init(&fix);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vpcifix_prepare(&fix, 2);
		common_write(&fix, C_QUEUE_SELECT, 2, 0);
		common_write(&fix, C_QUEUE_DESC, 8, bad[i]);
		common_write(&fix, C_QUEUE_DRIVER, 8, bad[i]);
		common_write(&fix, C_QUEUE_DEVICE, 8, bad[i]);
		common_write(&fix, C_QUEUE_ENABLE, 2, 1);
		common_write(&fix, C_STATUS, 1, STATUS_OK);
		ck_assert_uint_eq(vpcifix_status(&fix), STATUS_OK | VMM_VIRTIO_S_NEEDS_RESET);
		/* Never active, so no ioeventfd either. */
		ck_assert_uint_eq(eventfix_ioeventfds(&fix.pci.events), 0);
	}
	/* A buffer inside the device's own BAR. */
	vpcifix_start(&fix);
	ck_assert_int_eq(vmm_mem_write(fix.mem.mem, fix.rings[0].desc, &fix.device, 8), 0);
	ck_assert_int_eq(vmm_mem_write(fix.mem.mem, fix.rings[0].desc + 8, &(uint32_t){4}, 4), 0);
	ck_assert_int_eq(vmm_mem_write(fix.mem.mem, fix.rings[0].driver + 2, &(uint16_t){1}, 2), 0);
	pcifix_write(&fix.pci, vpcifix_notify_address(&fix, 0), 2, 0);
	vpcifix_run(&fix);
	ck_assert_uint_eq(vpcifix_status(&fix), STATUS_OK | VMM_VIRTIO_S_NEEDS_RESET);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(0)), 1);
	vpcifix_start(&fix);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(vpcifix_used(&fix, 0), 1);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(host_reset_of_an_active_device_starts_over)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	for (unsigned i = 1; i <= 20; i++) {
		vpcifix_start(&fix);
		vpcifix_request(&fix, 0);
		ck_assert_uint_eq(vpcifix_used(&fix, 0), 1);
		ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), i);
		pcifix_config_write(&fix.pci, fix.slot, 0x10, 4, 0x200000);
		vmm_pci_host_reset(fix.pci.host);
		ck_assert_uint_eq(fix.toy.resets, i);
		ck_assert_uint_eq(eventfix_connected(&fix.pci.events), 0);
		ck_assert_uint_eq(eventfix_ioeventfds(&fix.pci.events), 0);
		ck_assert_uint_eq(pcifix_bar(&fix.pci, fix.slot, 0), FIX_MMIO64);
		ck_assert_uint_eq(pcifix_config_read(&fix.pci, 1, fix.msix_cap + 2, 2), TOY_QUEUES);
		ck_assert_uint_eq(vpcifix_status(&fix), 0);
		ck_assert_uint_eq(pcifix_read(&fix.pci, fix.table + 12, 4), 1);
		ck_assert_uint_eq(pcifix_read(&fix.pci, fix.table, 8), 0);
	}
	ck_assert_uint_eq(pcifix_allocated(&fix.pci), TOY_QUEUES + 1);
	vpcifix_finish(&fix);
}
END_TEST

SUITE_MAIN("virtio-pci-kick", kick_reaches_the_device_through_an_ioeventfd,
	   kick_takes_the_slow_path_when_there_is_no_ioeventfd,
	   kick_of_a_queue_that_does_not_exist_is_ignored, kick_of_a_disabled_queue_is_ignored,
	   kick_follows_the_bar, kick_survives_two_devices_at_one_address,
	   queue_in_a_bar_or_a_hole_needs_a_reset, host_reset_of_an_active_device_starts_over)
