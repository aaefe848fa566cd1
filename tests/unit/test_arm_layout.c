/* SPDX-License-Identifier: MIT */
/* Where the aarch64 machine has its memory, windows and device tree. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vmm/vm.h>

#include "machine/aarch64/arm.h"
#include "machine/aarch64/layout.h"
#include "suite.h"

static struct arm_layout layout;
static struct vmm_error err;

/* Every layout that is made keeps these promises. */
static void assert_sound(uint64_t memory_size, unsigned ipa_bits)
{
	uint64_t limit = UINT64_C(1) << ipa_bits;
	const struct vmm_pci_window *high = &layout.mmio64;
	uint64_t fdt = vmm_arm_fdt_gpa(&layout);

	SUITE_REQUIRE(layout.ram == memory_size);
	SUITE_REQUIRE(RAM_GPA + layout.ram <= limit);
	SUITE_REQUIRE(high->base >= GIB(4));
	SUITE_REQUIRE(high->base >= RAM_GPA + layout.ram);
	SUITE_REQUIRE(high->base % GIB(1) == 0 && high->size % GIB(1) == 0);
	SUITE_REQUIRE(high->size <= MMIO64_SIZE);
	SUITE_REQUIRE(high->size == 0 || high->base + high->size <= limit);
	/* There is none only where there is no room. */
	SUITE_REQUIRE(high->size == MMIO64_SIZE || high->base + high->size >= limit);
	SUITE_REQUIRE(fdt % FDT_ROOM == 0);
	SUITE_REQUIRE(fdt >= RAM_GPA && fdt + FDT_ROOM <= RAM_GPA + layout.ram);
	SUITE_REQUIRE(fdt + FDT_ROOM <= RAM_GPA + INITRD_WINDOW);
}

START_TEST(layout_keeps_its_promises_at_every_edge)
{
	static const unsigned bits[] = {32, 36, 40, 42, 44, 48, 52};
	static const uint64_t edges[] = {
		MIB(2), MIB(4), GIB(1), GIB(2), GIB(3), GIB(4), GIB(31), GIB(32), GIB(33), GIB(64),
	};

	for (unsigned b = 0; b < 7; b++) {
		uint64_t most = (UINT64_C(1) << bits[b]) - RAM_GPA;
		unsigned made = 0;

		for (unsigned e = 0; e < 20; e++) {
			uint64_t edge = e < 10 ? edges[e] : most - edges[e - 10];

			for (uint64_t size = edge - MIB(2); size != edge + MIB(4); size += MIB(2)) {
				int ret = vmm_arm_layout(&layout, size, bits[b], &err);

				if (size < MIB(2) || size > most) {
					SUITE_REQUIRE(ret == -EINVAL && err.code == -EINVAL);
				} else {
					SUITE_REQUIRE(ret == 0);
					assert_sound(size, bits[b]);
					made++;
				}
			}
		}
		ck_assert_uint_gt(made, 10);
	}
}
END_TEST

START_TEST(layout_smallest_memory_is_2_mib)
{
	ck_assert_int_eq(vmm_arm_layout(&layout, MIB(2), 40, &err), 0);
	ck_assert_uint_eq(layout.ram, MIB(2));
	ck_assert_uint_eq(vmm_arm_fdt_gpa(&layout), RAM_GPA);
	ck_assert_int_eq(vmm_arm_layout(&layout, MIB(2) - 1, 40, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "memory of 2097151 bytes"));
	ck_assert_int_eq(vmm_arm_layout(&layout, 0, 40, NULL), -EINVAL);
}
END_TEST

START_TEST(layout_window_is_above_4_gib_and_above_memory)
{
	ck_assert_int_eq(vmm_arm_layout(&layout, MIB(512), 40, &err), 0);
	ck_assert_uint_eq(layout.mmio64.base, GIB(4));
	ck_assert_uint_eq(layout.mmio64.size, GIB(32));
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(3), 40, &err), 0);
	ck_assert_uint_eq(layout.mmio64.base, GIB(4));
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(3) + MIB(2), 40, &err), 0);
	ck_assert_uint_eq(layout.mmio64.base, GIB(5));
	ck_assert_uint_eq(layout.mmio64.size, GIB(32));
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(100), 40, &err), 0);
	ck_assert_uint_eq(layout.mmio64.base, GIB(101));
}
END_TEST

START_TEST(layout_window_ends_where_addresses_do)
{
	ck_assert_int_eq(vmm_arm_layout(&layout, MIB(512), 32, &err), 0);
	ck_assert_uint_eq(layout.mmio64.size, 0);
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(3), 32, &err), 0);
	ck_assert_uint_eq(layout.mmio64.size, 0);
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(62), 36, &err), 0);
	ck_assert_uint_eq(layout.mmio64.base, GIB(63));
	ck_assert_uint_eq(layout.mmio64.size, GIB(1));
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(62) + MIB(2), 36, &err), 0);
	ck_assert_uint_eq(layout.mmio64.size, 0);
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(63), 36, &err), 0);
	ck_assert_uint_eq(layout.mmio64.size, 0);
}
END_TEST

START_TEST(layout_memory_that_cannot_be_addressed_is_refused)
{
	static const unsigned bits[] = {32, 36, 40, 48, 52};

	for (unsigned b = 0; b < 5; b++) {
		uint64_t most = (UINT64_C(1) << bits[b]) - RAM_GPA;
		char words[64];

		ck_assert_int_eq(vmm_arm_layout(&layout, most, bits[b], &err), 0);
		ck_assert_int_eq(vmm_arm_layout(&layout, most + MIB(2), bits[b], &err), -EINVAL);
		(void)snprintf(words, sizeof(words), "%u bits, %llu MiB at most", bits[b],
			       (unsigned long long)(most >> 20));
		ck_assert_msg(strstr(err.message, words), "%s", err.message);
		ck_assert_int_eq(vmm_arm_layout(&layout, most + 1, bits[b], &err), -EINVAL);
		ck_assert_int_eq(vmm_arm_layout(&layout, UINT64_C(1) << bits[b], bits[b], &err),
				 -EINVAL);
		ck_assert_int_eq(vmm_arm_layout(&layout, UINT64_MAX & ~(MIB(2) - 1), bits[b], &err),
				 -EINVAL);
		ck_assert_int_eq(vmm_arm_layout(&layout, UINT64_MAX, bits[b], &err), -EINVAL);
	}
}
END_TEST

START_TEST(layout_device_tree_is_in_the_last_2_mib_that_the_kernel_reaches)
{
	ck_assert_int_eq(vmm_arm_layout(&layout, MIB(512), 40, &err), 0);
	ck_assert_uint_eq(vmm_arm_fdt_gpa(&layout), RAM_GPA + MIB(510));
	/* Where memory is no multiple of it, the last that is whole. */
	ck_assert_int_eq(vmm_arm_layout(&layout, MIB(5), 40, &err), 0);
	ck_assert_uint_eq(vmm_arm_fdt_gpa(&layout), RAM_GPA + MIB(2));
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(32), 40, &err), 0);
	ck_assert_uint_eq(vmm_arm_fdt_gpa(&layout), RAM_GPA + GIB(32) - MIB(2));
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(500), 40, &err), 0);
	ck_assert_uint_eq(vmm_arm_fdt_gpa(&layout), RAM_GPA + GIB(32) - MIB(2));
}
END_TEST

/* The addresses that do not move, and the most vCPUs there may be. */
START_TEST(layout_devices_do_not_overlap)
{
	static const struct {
		uint64_t base;
		uint64_t size;
	} parts[] = {
		{GICD_GPA, GICD_SIZE},
		{ITS_GPA, ITS_SIZE},
		{GICR_GPA, VMM_VCPUS_MAX * GICR_CPU_SIZE},
		{UART_GPA, KIB(64)},
		{RTC_GPA, KIB(64)},
		{VIRTIO_GPA, VIRTIO_PLACES * VIRTIO_STRIDE},
		{MMIO32_GPA, MMIO32_SIZE},
		{ECAM_GPA, VMM_PCI_ECAM_SIZE},
		{RAM_GPA, UINT64_MAX - RAM_GPA},
	};

	for (unsigned i = 0; i < 9; i++) {
		ck_assert_uint_eq(parts[i].base % KIB(64), 0);
		if (i > 0) {
			ck_assert_uint_le(parts[i - 1].base + parts[i - 1].size, parts[i].base);
		}
	}
	ck_assert_uint_ge(ITS_MSI_GPA, ITS_GPA);
	ck_assert_uint_eq(ITS_MSI_GPA + ITS_MSI_SIZE, ITS_GPA + ITS_SIZE);
	ck_assert_uint_ge(GIC_SPIS, UART_GSI + 1);
	ck_assert_uint_ge(GIC_SPIS, BUTTON_GSI + 1);
	ck_assert_uint_ge(GIC_SPIS, VIRTIO_GSI + VIRTIO_PLACES);
	ck_assert_uint_eq(VIRTIO_STRIDE % KIB(64), 0); /* the largest pages there are */
}
END_TEST

SUITE_MAIN("arm_layout", layout_keeps_its_promises_at_every_edge, layout_smallest_memory_is_2_mib,
	   layout_window_is_above_4_gib_and_above_memory, layout_window_ends_where_addresses_do,
	   layout_memory_that_cannot_be_addressed_is_refused,
	   layout_device_tree_is_in_the_last_2_mib_that_the_kernel_reaches,
	   layout_devices_do_not_overlap)
