/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"
#include "test_virtio_pci_fix.h"

/* ---- making it ---- */

static int try_add(struct pcifix *pci, struct toy *toy, struct vmm_mem *mem, struct vmm_loop *loop,
		   struct vmm_error *err)
{
	struct vmm_transport_device config = {.mem = mem, .loop = loop};
	unsigned slot;

	return vmm_virtio_pci_add(pci->host, &toy->base, &config, &slot, err);
}

START_TEST(virtio_pci_add_bad_device_is_refused_and_kept)
{
	struct vmm_error err = {0};
	struct vmm_loop *loop;
	struct memfix mem;
	struct pcifix pci;
	struct toy toy;

	pcifix_init(&pci, true);
	memfix_init(&mem);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	toy_init(&toy);
	toy.base.queue_count = VMM_VIRTIO_QUEUES_MAX + 1;
	ck_assert_int_eq(try_add(&pci, &toy, mem.mem, loop, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "toy"));
	toy_init(&toy);
	toy.base.device_id = 0;
	ck_assert_int_eq(try_add(&pci, &toy, mem.mem, loop, &err), -EINVAL);
	toy.base.device_id = 0x40;
	ck_assert_int_eq(try_add(&pci, &toy, mem.mem, loop, &err), -EINVAL);
	/* Refused by the carrier, as the last step. */
	toy_init(&toy);
	toy.base.config_len = VMM_VIRTIO_CONFIG_MAX + 1;
	ck_assert_int_eq(try_add(&pci, &toy, mem.mem, loop, &err), -EINVAL);
	ck_assert(!toy.destroyed);
	ck_assert_ptr_null(toy.base.carrier);
	ck_assert_ptr_null(vmm_virtio_pci_device(pci.host, 1));
	pcifix_finish(&pci);
	vmm_loop_destroy(loop);
	memfix_finish(&mem);
}
END_TEST

/* One host on buses of its own, which a failure leaves unfit for another. */
static int create_host(struct vmm_error *err)
{
	struct vmm_pci_host_config config = {
		.ecam_base = FIX_ECAM,
		.mmio32 = {.base = FIX_MMIO32, .size = FIX_WINDOW},
		.mmio64 = {.base = FIX_MMIO64, .size = FIX_WINDOW},
	};
	struct vmm_pci_host *host;
	int ret = vmm_bus_create(&config.mmio);

	if (ret == 0) {
		ret = vmm_bus_create(&config.pio);
	}
	if (ret == 0) {
		ret = vmm_pci_host_create(&host, &config, err);
		vmm_pci_host_destroy(host);
	}
	vmm_bus_destroy(config.mmio);
	vmm_bus_destroy(config.pio);
	return ret;
}

START_TEST(host_create_every_failure_is_told_and_leaves_nothing)
{
	struct faultinj f = {0};
	unsigned failures = 0;

	while (faultinj_next(&f)) {
		struct vmm_error err = {0};
		int ret = create_host(&err);

		faultinj_stop(&f);
		ck_assert_int_eq(ret, f.failed ? -ENOMEM : 0);
		/* The first two are the buses'. */
		ck_assert_int_eq(err.code, failures < 2 ? 0 : ret);
		failures += f.failed != NULL;
	}
	/* Two buses, the host, four ranges. */
	ck_assert_uint_eq(failures, 7);
}
END_TEST

START_TEST(virtio_pci_add_every_failure_is_told_and_leaves_nothing)
{
	struct faultinj f = {0};
	struct vmm_loop *loop;
	struct memfix mem;
	struct pcifix pci;
	struct toy toy;
	unsigned failures = 0;
	unsigned before;

	pcifix_init(&pci, true);
	memfix_init(&mem);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	before = fdcount();
	toy_init(&toy);
	while (faultinj_next(&f)) {
		struct vmm_error err = {0};
		int ret = try_add(&pci, &toy, mem.mem, loop, &err);

		faultinj_stop(&f);
		if (!f.failed) {
			ck_assert_int_eq(ret, 0);
			break;
		}
		failures++;
		ck_assert_int_lt(ret, 0);
		ck_assert_int_eq(err.code, ret);
		ck_assert_ptr_nonnull(strstr(err.message, "toy"));
		ck_assert_uint_eq(fdcount(), before);
		ck_assert(!toy.destroyed);
		ck_assert_ptr_null(toy.base.carrier);
		ck_assert_ptr_null(vmm_virtio_pci_device(pci.host, 1));
	}
	/* The function, MSI-X, three vectors, two kicks and their sources, the carrier. */
	ck_assert_uint_ge(failures, 10);
	ck_assert_ptr_eq(vmm_virtio_pci_device(pci.host, 1), &toy.base);
	pcifix_finish(&pci);
	ck_assert(toy.destroyed);
	vmm_loop_destroy(loop);
	memfix_finish(&mem);
}
END_TEST

START_TEST(virtio_pci_identity_and_capabilities)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	ck_assert_uint_eq(fix.slot, 1);
	ck_assert_uint_eq(pcifix_config_read(&fix.pci, 1, 0x00, 4), 0x10431af4);
	ck_assert_uint_ge(pcifix_config_read(&fix.pci, 1, 0x08, 1), 1);
	ck_assert_uint_eq(pcifix_config_read(&fix.pci, 1, 0x0a, 2), 0x0780);
	ck_assert_uint_eq(pcifix_config_read(&fix.pci, 1, 0x2c, 2), 0x1af4);
	ck_assert_uint_eq(pcifix_config_read(&fix.pci, 1, 0x3d, 1), 0); /* no INTx */
	/* T10: a power of two, and room for the last queue. */
	ck_assert_uint_eq(fix.notify_multiplier, 4);
	ck_assert_uint_ge(fix.notify_length, UINT64_C(4) * TOY_QUEUES);
	ck_assert_uint_ge(fix.notify_length, (VMM_VIRTIO_QUEUES_MAX - 1) * 4 + 2);
	/* T12: a vector for each queue and one for the configuration. */
	ck_assert_uint_eq(pcifix_config_read(&fix.pci, 1, fix.msix_cap + 2, 2), TOY_QUEUES);
	ck_assert_uint_eq(common_read(&fix, C_NUM_QUEUES, 2), TOY_QUEUES);
	ck_assert_ptr_eq(vmm_virtio_pci_device(fix.pci.host, 1), &fix.toy.base);
	ck_assert_ptr_null(vmm_virtio_pci_device(fix.pci.host, 0));
	ck_assert_ptr_null(vmm_virtio_pci_device(fix.pci.host, 2));
	vpcifix_finish(&fix);
}
END_TEST

/* ---- common configuration ---- */

START_TEST(common_features_by_select)
{
	const uint64_t offered = TOY_FEATURE | VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_EVENT_IDX |
				 VMM_VIRTIO_F_INDIRECT_DESC;
	struct vpcifix fix;

	vpcifix_init(&fix);
	ck_assert_uint_eq(common_read(&fix, C_DEVICE_FEATURE, 4), (uint32_t)offered);
	common_write(&fix, C_DEVICE_FEATURE_SELECT, 4, 1);
	ck_assert_uint_eq(common_read(&fix, C_DEVICE_FEATURE, 4), offered >> 32);
	for (uint32_t beyond = 2; beyond != 0; beyond = beyond * 2) {
		common_write(&fix, C_DEVICE_FEATURE_SELECT, 4, beyond);
		ck_assert_uint_eq(common_read(&fix, C_DEVICE_FEATURE, 4), 0);
	}
	common_write(&fix, C_STATUS, 1, VMM_VIRTIO_S_ACKNOWLEDGE | VMM_VIRTIO_S_DRIVER);
	common_write(&fix, C_DRIVER_FEATURE, 4, (uint32_t)VMM_VIRTIO_F_EVENT_IDX);
	common_write(&fix, C_DRIVER_FEATURE_SELECT, 4, 1);
	common_write(&fix, C_DRIVER_FEATURE, 4, VMM_VIRTIO_F_VERSION_1 >> 32);
	ck_assert_uint_eq(common_read(&fix, C_DRIVER_FEATURE, 4), VMM_VIRTIO_F_VERSION_1 >> 32);
	common_write(&fix, C_DRIVER_FEATURE_SELECT, 4, 2);
	common_write(&fix, C_DRIVER_FEATURE, 4, 0xffffffff);
	ck_assert_uint_eq(common_read(&fix, C_DRIVER_FEATURE, 4), 0);
	common_write(&fix, C_DRIVER_FEATURE_SELECT, 4, 0);
	ck_assert_uint_eq(common_read(&fix, C_DRIVER_FEATURE, 4), (uint32_t)VMM_VIRTIO_F_EVENT_IDX);
	common_write(&fix, C_STATUS, 1, STATUS_FEATURES);
	ck_assert_uint_eq(vpcifix_status(&fix), STATUS_FEATURES);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(common_features_not_offered_are_refused)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	common_write(&fix, C_STATUS, 1, VMM_VIRTIO_S_ACKNOWLEDGE | VMM_VIRTIO_S_DRIVER);
	common_write(&fix, C_DRIVER_FEATURE, 4, 1);
	common_write(&fix, C_DRIVER_FEATURE_SELECT, 4, 1);
	common_write(&fix, C_DRIVER_FEATURE, 4, VMM_VIRTIO_F_VERSION_1 >> 32);
	common_write(&fix, C_STATUS, 1, STATUS_FEATURES);
	ck_assert_uint_eq(vpcifix_status(&fix), VMM_VIRTIO_S_ACKNOWLEDGE | VMM_VIRTIO_S_DRIVER);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(common_wide_registers_by_halves_and_whole)
{
	static const unsigned regs[] = {C_QUEUE_DESC, C_QUEUE_DRIVER, C_QUEUE_DEVICE};
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_prepare(&fix, 0);
	for (unsigned i = 0; i < 3; i++) {
		unsigned reg = regs[i];

		common_write(&fix, reg, 8, UINT64_C(0x1122334455667788));
		ck_assert_uint_eq(common_read(&fix, reg, 8), UINT64_C(0x1122334455667788));
		common_write(&fix, reg, 4, 0xaaaaaaaa);
		ck_assert_uint_eq(common_read(&fix, reg, 8), UINT64_C(0x11223344aaaaaaaa));
		common_write(&fix, reg + 4, 4, 0xbbbbbbbb);
		ck_assert_uint_eq(common_read(&fix, reg, 4), 0xaaaaaaaa);
		ck_assert_uint_eq(common_read(&fix, reg + 4, 4), 0xbbbbbbbb);
		/* Smaller pieces are no access that the specification knows. */
		common_write(&fix, reg, 1, 0);
		common_write(&fix, reg + 2, 2, 0);
		common_write(&fix, reg + 4, 1, 0);
		ck_assert_uint_eq(common_read(&fix, reg, 8), UINT64_C(0xbbbbbbbbaaaaaaaa));
		ck_assert_uint_eq(common_read(&fix, reg + 7, 1), 0xbb);
	}
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(common_every_offset_and_width_is_harmless)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_prepare(&fix, 3);
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (unsigned at = 0; at + len <= 0x1000; at += len) {
			if (at == C_STATUS && len == 1) {
				continue;
			}
			common_write(&fix, at, len, UINT64_MAX);
			if (at >= 0x38) {
				ck_assert_uint_eq(common_read(&fix, at, len), 0);
			}
		}
	}
	ck_assert_uint_eq(vpcifix_status(&fix), STATUS_FEATURES);
	ck_assert_uint_eq(common_read(&fix, C_NUM_QUEUES, 2), TOY_QUEUES);
	/* Accesses over two registers, and of another size than the register's. */
	common_write(&fix, C_QUEUE_SELECT, 2, 1);
	common_write(&fix, C_QUEUE_SELECT, 1, 0);
	common_write(&fix, C_NUM_QUEUES - 2, 4, 0);
	ck_assert_uint_eq(common_read(&fix, C_NUM_QUEUES - 2, 4), 0);
	ck_assert_uint_eq(common_read(&fix, C_QUEUE_SELECT, 2), 1);
	ck_assert_uint_eq(common_read(&fix, C_QUEUE_SELECT, 1), 1);
	ck_assert_uint_eq(common_read(&fix, C_QUEUE_SIZE, 2), 4);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(common_queue_select_beyond_the_last_reads_nothing)
{
	static const uint16_t beyond[] = {TOY_QUEUES, 0x7fff, 0x8000, 0xffff};
	struct vmm_carrier_queue before;
	struct vmm_carrier_queue after;
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_prepare(&fix, 0);
	ck_assert_int_eq(vmm_carrier_get_queue(fix.toy.base.carrier, 1, &before), 0);
	for (unsigned i = 0; i < 4; i++) {
		common_write(&fix, C_QUEUE_SELECT, 2, beyond[i]);
		ck_assert_uint_eq(common_read(&fix, C_QUEUE_SELECT, 2), beyond[i]);
		for (unsigned reg = C_QUEUE_SIZE; reg < 0x38; reg += 2) {
			common_write(&fix, reg, 2, 1);
			common_write(&fix, reg & ~3u, 4, 1);
			common_write(&fix, reg & ~7u, 8, 1);
			ck_assert_uint_eq(common_read(&fix, reg, 2),
					  reg == C_QUEUE_MSIX ? 0xffff : 0);
		}
	}
	ck_assert_int_eq(vmm_carrier_get_queue(fix.toy.base.carrier, 1, &after), 0);
	ck_assert_uint_eq(before.desc, after.desc);
	ck_assert_uint_eq(before.size, after.size);
	ck_assert_uint_eq(before.enabled, after.enabled);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(common_queue_registers_after_driver_ok_do_not_change)
{
	struct vpcifix fix;
	uint64_t desc;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	common_write(&fix, C_QUEUE_SELECT, 2, 0);
	desc = common_read(&fix, C_QUEUE_DESC, 8);
	common_write(&fix, C_QUEUE_SIZE, 2, 4);
	common_write(&fix, C_QUEUE_SIZE, 2, 0);
	common_write(&fix, C_QUEUE_ENABLE, 2, 0);
	common_write(&fix, C_QUEUE_DESC, 8, 0);
	common_write(&fix, C_QUEUE_DRIVER, 4, 0xffffffff);
	common_write(&fix, C_QUEUE_DEVICE + 4, 4, 0xffffffff);
	common_write(&fix, C_QUEUE_NOTIFY_OFF, 2, 7);
	ck_assert_uint_eq(common_read(&fix, C_QUEUE_SIZE, 2), TOY_QUEUE_SIZE);
	ck_assert_uint_eq(common_read(&fix, C_QUEUE_ENABLE, 2), 1);
	ck_assert_uint_eq(common_read(&fix, C_QUEUE_DESC, 8), desc);
	ck_assert_uint_eq(common_read(&fix, C_QUEUE_NOTIFY_OFF, 2), 0);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(vpcifix_used(&fix, 0), 1);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(common_status_zero_resets_every_register)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.pci.events), 2);
	common_write(&fix, C_STATUS, 1, 0);
	ck_assert_uint_eq(vpcifix_status(&fix), 0);
	ck_assert_uint_eq(fix.toy.resets, 1);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.pci.events), 0);
	ck_assert_uint_eq(common_read(&fix, C_DEVICE_FEATURE_SELECT, 4), 0);
	ck_assert_uint_eq(common_read(&fix, C_DRIVER_FEATURE_SELECT, 4), 0);
	ck_assert_uint_eq(common_read(&fix, C_QUEUE_SELECT, 2), 0);
	ck_assert_uint_eq(common_read(&fix, C_MSIX_CONFIG, 2), 0xffff);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		common_write(&fix, C_QUEUE_SELECT, 2, i);
		ck_assert_uint_eq(common_read(&fix, C_QUEUE_MSIX, 2), 0xffff);
		ck_assert_uint_eq(common_read(&fix, C_QUEUE_ENABLE, 2), 0);
		ck_assert_uint_eq(common_read(&fix, C_QUEUE_DESC, 8), 0);
	}
	/* A kick now is nobody's. */
	pcifix_write(&fix.pci, vpcifix_notify_address(&fix, 0), 2, 0);
	ck_assert_int_eq(vmm_loop_dispatch(fix.loop, 0), 0);
	ck_assert_uint_eq(fix.toy.notifies[0], 1);
	/* And once more, with the same features (C6). */
	vpcifix_start(&fix);
	vpcifix_request(&fix, 1);
	ck_assert_uint_eq(vpcifix_used(&fix, 1), 1);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(2)), 1);
	vpcifix_finish(&fix);
}
END_TEST

/* ---- device configuration ---- */

START_TEST(device_config_every_offset_and_width_stays_inside)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.device, 4), 0x64636261);
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (unsigned at = 0; at + len <= 0x1000; at += len) {
			uint64_t value = pcifix_read(&fix.pci, fix.device + at, len);

			if (at >= TOY_CONFIG) {
				ck_assert_uint_eq(value, 0);
			}
			if (at + len > TOY_CONFIG) {
				pcifix_write(&fix.pci, fix.device + at, len, UINT64_MAX);
			}
		}
	}
	ck_assert_uint_eq(fix.toy.configs, 0);
	/* The last bytes, and what lies behind them in an access that runs over the end. */
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.device + 8, 8), 0x6c6b6a69);
	pcifix_write(&fix.pci, fix.device + 4, 4, 0x44434241);
	ck_assert_uint_eq(fix.toy.configs, 1);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.device, 8), UINT64_C(0x4443424164636261));
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(device_config_change_moves_the_generation)
{
	struct vpcifix fix;
	uint64_t generation;

	vpcifix_init(&fix);
	generation = common_read(&fix, C_GENERATION, 1);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t next;

		pcifix_write(&fix.pci, fix.device, 1, i);
		next = common_read(&fix, C_GENERATION, 1);
		ck_assert_uint_ne(next, generation);
		ck_assert_uint_eq(common_read(&fix, C_GENERATION, 1), next);
		generation = next;
	}
	vpcifix_finish(&fix);
}
END_TEST

/* ---- the PCI_CFG window ---- */

static void set_window(struct vpcifix *fix, uint32_t bar, uint32_t offset, uint32_t len)
{
	pcifix_config_write(&fix->pci, fix->slot, fix->window + 4, 1, bar);
	pcifix_config_write(&fix->pci, fix->slot, fix->window + 8, 4, offset);
	pcifix_config_write(&fix->pci, fix->slot, fix->window + 12, 4, len);
}

static uint32_t window_read(struct vpcifix *fix, uint32_t offset, unsigned len)
{
	set_window(fix, 0, offset, len);
	return pcifix_config_read(&fix->pci, fix->slot, fix->window + 16, len);
}

static void window_write(struct vpcifix *fix, uint32_t offset, unsigned len, uint32_t value)
{
	set_window(fix, 0, offset, len);
	pcifix_config_write(&fix->pci, fix->slot, fix->window + 16, len, value);
}

START_TEST(window_performs_exactly_the_access_asked)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	/* No memory decoding is needed for it. */
	pcifix_config_write(&fix.pci, fix.slot, 4, 2, 0);
	ck_assert_uint_eq(window_read(&fix, C_NUM_QUEUES, 2), TOY_QUEUES);
	window_write(&fix, C_DEVICE_FEATURE_SELECT, 4, 1);
	ck_assert_uint_eq(window_read(&fix, C_DEVICE_FEATURE, 4),
			  (TOY_FEATURE | VMM_VIRTIO_F_VERSION_1) >> 32);
	window_write(&fix, C_STATUS, 1, VMM_VIRTIO_S_ACKNOWLEDGE);
	ck_assert_uint_eq(window_read(&fix, C_STATUS, 1), VMM_VIRTIO_S_ACKNOWLEDGE);
	/* A length of 1 with 4 bytes of data is an access of 1 byte. */
	set_window(&fix, 0, 0x2000, 1);
	pcifix_config_write(&fix.pci, fix.slot, fix.window + 16, 4, 0x5a5a5a5a);
	ck_assert_uint_eq(window_read(&fix, 0x2000, 4), 0x6463625a);
	/* Only the data register does anything. */
	set_window(&fix, 0, C_STATUS, 1);
	ck_assert_uint_eq(vmm_carrier_status(fix.toy.base.carrier), VMM_VIRTIO_S_ACKNOWLEDGE);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(window_bad_bar_offset_and_length_are_ignored)
{
	static const struct {
		uint32_t bar;
		uint32_t offset;
		uint32_t len;
	} bad[] = {
		{1, 0x2000, 4},     {6, 0x2000, 4},     {255, 0x2000, 4},   {0, 0x2000, 0},
		{0, 0x2000, 3},     {0, 0x2001, 3},     {0, 0x2000, 8},     {0, 0x2000, 0xffffffff},
		{0, 0x2001, 2},     {0, 0x2002, 4},     {0, 0x8000, 1},     {0, 0x7ffe, 4},
		{0, 0xfffffffc, 4}, {0, 0xffffffff, 1}, {0, 0x80002000, 4},
	};
	struct vpcifix fix;

	vpcifix_init(&fix);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set_window(&fix, bad[i].bar, bad[i].offset, bad[i].len);
		pcifix_config_write(&fix.pci, fix.slot, fix.window + 16, 4, 0);
		ck_assert_uint_eq(pcifix_config_read(&fix.pci, fix.slot, fix.window + 16, 4),
				  0xffffffff);
	}
	ck_assert_uint_eq(fix.toy.configs, 0);
	ck_assert_uint_eq(window_read(&fix, 0x2000, 4), 0x64636261);
	/* The capability's constant bytes stay what they are. */
	pcifix_config_write(&fix.pci, fix.slot, fix.window, 4, 0);
	ck_assert_uint_eq(pcifix_config_read(&fix.pci, fix.slot, fix.window + 3, 1), 5);
	ck_assert_uint_eq(pcifix_config_read(&fix.pci, fix.slot, fix.window, 1), 9);
	vpcifix_finish(&fix);
}
END_TEST

SUITE_MAIN("virtio-pci", virtio_pci_add_bad_device_is_refused_and_kept,
	   host_create_every_failure_is_told_and_leaves_nothing,
	   virtio_pci_add_every_failure_is_told_and_leaves_nothing,
	   virtio_pci_identity_and_capabilities, common_features_by_select,
	   common_features_not_offered_are_refused, common_wide_registers_by_halves_and_whole,
	   common_every_offset_and_width_is_harmless,
	   common_queue_select_beyond_the_last_reads_nothing,
	   common_queue_registers_after_driver_ok_do_not_change,
	   common_status_zero_resets_every_register,
	   device_config_every_offset_and_width_stays_inside,
	   device_config_change_moves_the_generation, window_performs_exactly_the_access_asked,
	   window_bad_bar_offset_and_length_are_ignored)
