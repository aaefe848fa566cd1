/* SPDX-License-Identifier: MIT */
/* The x86_64 machine's decisions that need no KVM: memory layout, CPUID. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "machine/x86_64/layout.h"
#include "machine/x86_64/x86.h"
#include "suite.h"

#define CAP 256u

/* ---- layout ---- */

static struct x86_layout layout;
static struct vmm_error err;

START_TEST(layout_ram_up_to_the_hole_is_one_range)
{
	ck_assert_int_eq(vmm_x86_layout(&layout, GIB(3), 40, &err), 0);
	ck_assert_uint_eq(layout.low_ram, GIB(3));
	ck_assert_uint_eq(layout.high_ram, 0);
	ck_assert_uint_eq(layout.mmio64.base, GIB(4));
}
END_TEST

START_TEST(layout_more_ram_goes_above_4_gib)
{
	ck_assert_int_eq(vmm_x86_layout(&layout, GIB(3) + MIB(2), 40, &err), 0);
	ck_assert_uint_eq(layout.low_ram, GIB(3));
	ck_assert_uint_eq(layout.high_ram, MIB(2));
	ck_assert_uint_eq(layout.mmio64.base, GIB(5));
	ck_assert_uint_eq(layout.mmio64.size, GIB(32));
}
END_TEST

START_TEST(layout_window_ends_where_addresses_do)
{
	/* 36 bits: 64 GiB of addresses; 59 GiB of RAM above 4 GiB leave one. */
	ck_assert_int_eq(vmm_x86_layout(&layout, GIB(3) + GIB(59), 36, &err), 0);
	ck_assert_uint_eq(layout.mmio64.base, GIB(63));
	ck_assert_uint_eq(layout.mmio64.size, GIB(1));
	ck_assert_int_eq(vmm_x86_layout(&layout, GIB(3) + GIB(60), 36, &err), 0);
	ck_assert_uint_eq(layout.mmio64.size, 0);
}
END_TEST

START_TEST(layout_ram_that_cannot_be_addressed_is_refused)
{
	ck_assert_int_eq(vmm_x86_layout(&layout, GIB(3) + GIB(60) + MIB(2), 36, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "36 bits"));
	ck_assert_int_eq(vmm_x86_layout(&layout, UINT64_MAX & ~UINT64_C(0x1fffff), 52, &err),
			 -EINVAL);
	ck_assert_int_eq(vmm_x86_layout(&layout, MIB(1), 36, &err), -EINVAL);
}
END_TEST

START_TEST(layout_map_covers_ram_and_nothing_twice)
{
	struct x86_map_entry map[X86_MAP_MAX];
	uint64_t end = 0;
	size_t count;

	ck_assert_int_eq(vmm_x86_layout(&layout, GIB(5), 40, &err), 0);
	count = vmm_x86_memory_map(&layout, map);
	ck_assert_uint_le(count, X86_MAP_MAX);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_ge(map[i].gpa, end);
		ck_assert_uint_gt(map[i].size, 0);
		end = map[i].gpa + map[i].size;
	}
	ck_assert_uint_eq(end, GIB(6));
}
END_TEST

START_TEST(layout_map_without_pci_reserves_no_ecam)
{
	struct x86_map_entry with[X86_MAP_MAX];
	struct x86_map_entry without[X86_MAP_MAX];
	size_t count;

	ck_assert_int_eq(vmm_x86_layout(&layout, GIB(5), 40, &err), 0);
	count = vmm_x86_memory_map(&layout, with);
	ck_assert_uint_eq(with[count - 2].gpa, ECAM_GPA);
	layout.no_pci = true;
	ck_assert_uint_eq(vmm_x86_memory_map(&layout, without), count - 1);
	ck_assert_uint_eq(without[count - 2].gpa, HOLE_END);
	layout.no_pci = false;
}
END_TEST

/* As large as that of crosvm's display, aligned to its size. */
START_TEST(layout_window_has_room_for_shared_memory)
{
	static const struct {
		uint64_t ram;
		unsigned bits;
		bool fits;
	} cases[] = {
		{MIB(64), 36, true}, {GIB(5), 36, true},   {GIB(40), 36, true},
		{GIB(5), 39, true},  {GIB(100), 39, true}, {GIB(100), 40, true},
		{GIB(5), 48, true},  {GIB(60), 36, false}, {GIB(52), 36, true},
		{GIB(54), 36, true}, {GIB(56), 36, false}, {GIB(3), 33, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t next;
		uint64_t gpa;

		ck_assert_int_eq(vmm_x86_layout(&layout, cases[i].ram, cases[i].bits, &err), 0);
		next = layout.mmio64.base;
		gpa = vmm_pci_window_take(&layout.mmio64, &next, GIB(8));
		ck_assert_msg((gpa != 0) == cases[i].fits, "%zu: 0x%llx", i,
			      (unsigned long long)gpa);
		if (gpa != 0) {
			ck_assert_uint_eq(gpa % GIB(8), 0);
			ck_assert_uint_ge(gpa, HOLE_END + layout.high_ram);
			ck_assert_uint_le(gpa + GIB(8), UINT64_C(1) << cases[i].bits);
			ck_assert_uint_eq(next, gpa + GIB(8));
		}
	}
}
END_TEST

START_TEST(layout_virtio_devices_have_a_page_each_below_the_ioapic)
{
	ck_assert_uint_ge(vmm_x86_virtio_gpa(0), HOLE_GPA);
	for (unsigned i = 0; i < VIRTIO_PLACES; i++) {
		uint64_t gpa = vmm_x86_virtio_gpa(i);

		ck_assert_uint_eq(gpa % 4096, 0);
		ck_assert_uint_le(gpa + 4096, IOAPIC_GPA);
		for (unsigned k = 0; k < i; k++) {
			ck_assert_uint_ne(gpa, vmm_x86_virtio_gpa(k));
		}
	}
}
END_TEST

/* ---- CPUID ---- */

static struct kvm_cpuid2 *supported;
static struct kvm_cpuid2 *result;

static void setup(void)
{
	static const struct kvm_cpuid_entry2 entries[] = {
		{.function = 0, .eax = 0x1c, .ebx = 0x756e6547},
		{.function = 1, .ebx = 0xff200800, .ecx = 0xffffffff, .edx = 0xffffffff},
		{.function = 4, .index = 0, .flags = 1, .eax = 0xffffc121}, /* level 1 data */
		{.function = 4, .index = 3, .flags = 1, .eax = 0x0000c163}, /* level 3 */
		{.function = 4, .index = 4, .flags = 1},
		{.function = 0xa, .eax = 0x07300404},
		{.function = 0xb, .index = 0, .flags = 1, .eax = 1, .ebx = 2, .ecx = 0x100},
		{.function = 0x1f, .index = 0, .flags = 1, .eax = 1, .ebx = 2, .ecx = 0x100},
		{.function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b},
		{.function = 0x80000001, .ecx = 0xffffffff},
		{.function = 0x80000008, .eax = 0x3030, .ecx = 0x7001},
		{.function = 0x8000000a, .eax = 1, .edx = 0xff},
		{.function = 0x8000001d, .index = 3, .flags = 1, .eax = 0x01c163},
		{.function = 0x8000001e, .eax = 7, .ebx = 0x100, .ecx = 0x300},
		{.function = 0x8000001f, .eax = 0x1f},
		{.function = 0x80000022, .eax = 1},
	};
	size_t count = sizeof(entries) / sizeof(entries[0]);

	supported = calloc(1, sizeof(*supported) + sizeof(entries));
	result = calloc(1, sizeof(*result) + CAP * sizeof(result->entries[0]));
	ck_assert(supported && result);
	supported->nent = (uint32_t)count;
	memcpy(supported->entries, entries, sizeof(entries));
}

static void teardown(void)
{
	free(supported);
	free(result);
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < result->nent; i++) {
		if (result->entries[i].function == function && result->entries[i].index == index) {
			return &result->entries[i];
		}
	}
	return NULL;
}

START_TEST(cpuid_topology_is_one_socket_of_cores)
{
	static const struct {
		unsigned count;
		uint32_t bits;
	} cases[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {8, 3}, {64, 6}};

	for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		unsigned count = cases[c].count;
		unsigned index = count - 1;

		ck_assert_int_eq(vmm_x86_cpuid_for(supported, index, count, true, result, CAP), 0);
		ck_assert_uint_eq(leaf(1, 0)->ebx >> 24, index);
		ck_assert_uint_eq(leaf(1, 0)->ebx >> 16 & 0xff, count);
		ck_assert_uint_eq(leaf(1, 0)->edx >> 28 & 1, count > 1);
		ck_assert_uint_eq(leaf(0xb, 0)->ebx, 1);
		ck_assert_uint_eq(leaf(0xb, 0)->ecx, 0x100);
		ck_assert_uint_eq(leaf(0xb, 0)->edx, index);
		ck_assert_uint_eq(leaf(0xb, 1)->eax, cases[c].bits);
		ck_assert_uint_eq(leaf(0xb, 1)->ebx, count);
		ck_assert_uint_eq(leaf(0xb, 1)->ecx, 0x201);
		ck_assert_uint_eq(leaf(0xb, 1)->edx, index);
		ck_assert_uint_eq(leaf(0x80000008, 0)->ecx, cases[c].bits << 12 | (count - 1));
		if (index > 0) {
			ck_assert_uint_eq(leaf(0x8000001e, 0)->eax, index);
			ck_assert_uint_eq(leaf(0x8000001e, 0)->ebx, index);
			ck_assert_uint_eq(leaf(0x8000001e, 0)->ecx, 0);
		}
	}
}
END_TEST

START_TEST(cpuid_caches_are_shared_from_level_3)
{
	ck_assert_int_eq(vmm_x86_cpuid_for(supported, 0, 8, true, result, CAP), 0);
	ck_assert_uint_eq(leaf(4, 0)->eax >> 14 & 0xfff, 0);
	ck_assert_uint_eq(leaf(4, 3)->eax >> 14 & 0xfff, 7);
	ck_assert_uint_eq(leaf(4, 0)->eax >> 26, 7);
	ck_assert_uint_eq(leaf(4, 3)->eax >> 26, 7);
	ck_assert_uint_eq(leaf(4, 3)->eax & 0x3fff, 0x163);
	ck_assert_uint_eq(leaf(0x8000001d, 3)->eax >> 14 & 0xfff, 7);
}
END_TEST

START_TEST(cpuid_leaves_out_what_guests_do_not_get)
{
	ck_assert_int_eq(vmm_x86_cpuid_for(supported, 0, 2, true, result, CAP), 0);
	ck_assert_uint_eq(leaf(1, 0)->ecx & 1u << 5, 0);           /* VMX */
	ck_assert_uint_eq(leaf(1, 0)->ecx & 1u << 15, 0);          /* PDCM */
	ck_assert_uint_ne(leaf(1, 0)->ecx & 1u << 31, 0);          /* hypervisor */
	ck_assert_uint_eq(leaf(0x80000001, 0)->ecx & 1u << 2, 0);  /* SVM */
	ck_assert_uint_eq(leaf(0x80000001, 0)->ecx & 1u << 23, 0); /* counters */
	ck_assert_ptr_null(leaf(0xa, 0));
	ck_assert_ptr_null(leaf(0x1f, 0));
	ck_assert_ptr_null(leaf(0x8000000a, 0));
	ck_assert_ptr_null(leaf(0x8000001f, 0));
	ck_assert_ptr_null(leaf(0x80000022, 0));
	ck_assert_ptr_nonnull(leaf(0x40000000, 0));
}
END_TEST

START_TEST(cpuid_deadline_timer_follows_kvm)
{
	ck_assert_int_eq(vmm_x86_cpuid_for(supported, 0, 1, true, result, CAP), 0);
	ck_assert_uint_ne(leaf(1, 0)->ecx & 1u << 24, 0);
	ck_assert_int_eq(vmm_x86_cpuid_for(supported, 0, 1, false, result, CAP), 0);
	ck_assert_uint_eq(leaf(1, 0)->ecx & 1u << 24, 0);
}
END_TEST

START_TEST(cpuid_old_processors_get_no_topology_leaf)
{
	supported->entries[0].eax = 0xa;
	ck_assert_int_eq(vmm_x86_cpuid_for(supported, 0, 2, true, result, CAP), 0);
	ck_assert_ptr_null(leaf(0xb, 0));
}
END_TEST

START_TEST(cpuid_too_many_leaves_are_refused)
{
	ck_assert_int_eq(vmm_x86_cpuid_for(supported, 0, 2, true, result, CAP), 0);
	for (unsigned cap = 0; cap < result->nent; cap++) {
		struct kvm_cpuid2 *small =
			calloc(1, sizeof(*small) + cap * sizeof(small->entries[0]));

		ck_assert_ptr_nonnull(small);
		ck_assert_int_eq(vmm_x86_cpuid_for(supported, 0, 2, true, small, cap), -E2BIG);
		free(small);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("machine");
	TCase *layouts = tcase_create("layout");
	TCase *cpuid = tcase_create("cpuid");
	SRunner *runner;
	int failed;

	tcase_add_test(layouts, layout_ram_up_to_the_hole_is_one_range);
	tcase_add_test(layouts, layout_more_ram_goes_above_4_gib);
	tcase_add_test(layouts, layout_window_ends_where_addresses_do);
	tcase_add_test(layouts, layout_ram_that_cannot_be_addressed_is_refused);
	tcase_add_test(layouts, layout_window_has_room_for_shared_memory);
	tcase_add_test(layouts, layout_map_covers_ram_and_nothing_twice);
	tcase_add_test(layouts, layout_map_without_pci_reserves_no_ecam);
	tcase_add_test(layouts, layout_virtio_devices_have_a_page_each_below_the_ioapic);
	tcase_add_checked_fixture(cpuid, setup, teardown);
	tcase_add_test(cpuid, cpuid_topology_is_one_socket_of_cores);
	tcase_add_test(cpuid, cpuid_caches_are_shared_from_level_3);
	tcase_add_test(cpuid, cpuid_leaves_out_what_guests_do_not_get);
	tcase_add_test(cpuid, cpuid_deadline_timer_follows_kvm);
	tcase_add_test(cpuid, cpuid_old_processors_get_no_topology_leaf);
	tcase_add_test(cpuid, cpuid_too_many_leaves_are_refused);
	suite_add_tcase(suite, layouts);
	suite_add_tcase(suite, cpuid);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
