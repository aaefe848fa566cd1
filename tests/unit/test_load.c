/* SPDX-License-Identifier: MIT */
/* Kernels and initrds in guest memory, and what a kernel is told there. */
#include <errno.h>
#include <string.h>

#include "machine/x86_64/layout.h"
#include "suite.h"
#include "test_loader_fix.h"

static struct vmm_mem *make_memory(uint64_t size)
{
	struct vmm_mem_region region = {.gpa = 0, .size = size};
	struct vmm_mem *mem;

	ck_assert_int_eq(vmm_x86_layout(&layout, size, 40, &err), 0);
	ck_assert_int_eq(vmm_mem_create(&mem, &region, 1, &err), 0);
	return mem;
}

START_TEST(load_puts_segments_where_they_belong)
{
	struct vmm_mem *mem = make_memory(MIB(4));
	uint8_t got[0x401];

	open_elf();
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_int_eq(vmm_x86_load(&image, &plan, mem, &layout, &err), 0);
	ck_assert_int_eq(vmm_mem_read(mem, MIB(1), got, sizeof(got)), 0);
	ck_assert_mem_eq(got, file.bytes + 0x800, 0x400);
	ck_assert_uint_eq(got[0x400], 0);
	close_file();
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(load_into_too_little_memory_is_refused)
{
	struct vmm_mem *mem = make_memory(MIB(18));

	open_bzimage();
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_int_eq(vmm_x86_load(&image, &plan, mem, &layout, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "20 MiB"));
	close_file();
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(initrd_goes_to_the_end_of_memory)
{
	struct vmm_mem *mem = make_memory(MIB(4));
	uint8_t byte;
	uint64_t gpa;

	open_elf();
	ck_assert_int_eq(make_plan(), 0);
	close_file();
	open_file(5000);
	memset(file.bytes, 0x77, 5000);
	ck_assert_int_eq(vmm_x86_load_initrd(&image, &plan, mem, &layout, &gpa, &err), 0);
	ck_assert_uint_eq(gpa, MIB(4) - 8192);
	ck_assert_int_eq(vmm_mem_read(mem, gpa + 4999, &byte, 1), 0);
	ck_assert_uint_eq(byte, 0x77);
	/* A kernel that cannot reach so high has it lower. */
	plan.initrd_last = MIB(2) - 1;
	ck_assert_int_eq(vmm_x86_load_initrd(&image, &plan, mem, &layout, &gpa, &err), 0);
	ck_assert_uint_eq(gpa, MIB(2) - 8192);
	close_file();
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(initrd_that_does_not_fit_is_refused)
{
	struct vmm_mem *mem = make_memory(MIB(4));
	uint64_t gpa;

	open_elf();
	ck_assert_int_eq(make_plan(), 0);
	close_file();
	open_file(1);
	image.size = MIB(4) - plan.end + 1;
	ck_assert_int_eq(vmm_x86_load_initrd(&image, &plan, mem, &layout, &gpa, &err), -EINVAL);
	image.size = UINT64_MAX;
	ck_assert_int_eq(vmm_x86_load_initrd(&image, &plan, mem, &layout, &gpa, &err), -EINVAL);
	image.size = 0;
	ck_assert_int_eq(vmm_x86_load_initrd(&image, &plan, mem, &layout, &gpa, &err), -EINVAL);
	plan.initrd_last = 0;
	image.size = 1;
	ck_assert_int_eq(vmm_x86_load_initrd(&image, &plan, mem, &layout, &gpa, &err), -EINVAL);
	close_file();
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(params_pvh_describe_memory_and_initrd)
{
	struct vmm_mem *mem = make_memory(MIB(4));
	struct x86_boot_params params = {
		.layout = &layout,
		.rsdp = ACPI_GPA,
		.cmdline = CMDLINE_GPA,
		.initrd = MIB(3),
		.initrd_size = 77,
	};
	uint32_t words[14];
	uint64_t module[2];

	ck_assert_int_eq(vmm_x86_pvh_params(mem, &params), 0);
	ck_assert_int_eq(vmm_mem_read(mem, START_INFO_GPA, words, sizeof(words)), 0);
	ck_assert_uint_eq(words[0], 0x336ec578);
	ck_assert_uint_eq(words[1], 1);
	ck_assert_uint_eq(words[3], 1);
	ck_assert_uint_eq(words[6], CMDLINE_GPA);
	ck_assert_uint_eq(words[8], ACPI_GPA);
	ck_assert_uint_eq(words[12], 5);
	ck_assert_int_eq(vmm_mem_read(mem, words[4], module, sizeof(module)), 0);
	ck_assert_uint_eq(module[0], MIB(3));
	ck_assert_uint_eq(module[1], 77);
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(params_linux_fill_the_zero_page)
{
	struct vmm_mem *mem = make_memory(MIB(32));
	struct x86_boot_params params = {
		.layout = &layout,
		.rsdp = ACPI_GPA,
		.cmdline = CMDLINE_GPA,
		.initrd = MIB(24),
		.initrd_size = 77,
	};
	uint8_t page[4096];
	uint64_t value;

	open_bzimage();
	ck_assert_int_eq(make_plan(), 0);
	close_file();
	ck_assert_int_eq(vmm_x86_linux_params(mem, &plan, &params), 0);
	ck_assert_int_eq(vmm_mem_read(mem, ZERO_PAGE_GPA, page, sizeof(page)), 0);
	ck_assert_mem_eq(page + 0x202, "HdrS", 4);
	ck_assert_uint_eq(page[0x210], 0xff);
	ck_assert_uint_eq(page[0x1e8], 5);
	memcpy(&value, page + 0x70, 8);
	ck_assert_uint_eq(value, ACPI_GPA);
	memcpy(&value, page + 0x218, 8);
	ck_assert_uint_eq(value, UINT64_C(77) << 32 | MIB(24));
	/* The fourth entry of the memory map is RAM from 1 MiB on. */
	memcpy(&value, page + 0x2d0 + 60, 8);
	ck_assert_uint_eq(value, MIB(1));
	memcpy(&value, page + 0x2d0 + 68, 8);
	ck_assert_uint_eq(value, MIB(31));
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(tables_map_the_first_4_gib_to_itself)
{
	struct vmm_mem *mem = make_memory(MIB(4));

	ck_assert_int_eq(vmm_x86_write_tables(mem), 0);
	for (uint64_t gpa = 0; gpa < GIB(4); gpa += MIB(2)) {
		uint64_t entry;
		uint64_t table = PAGE_TABLE_GPA;

		ck_assert_int_eq(vmm_mem_read(mem, table + (gpa >> 39) * 8, &entry, 8), 0);
		ck_assert_uint_eq(entry & 0x81, 1);
		table = entry & ~UINT64_C(0xfff);
		ck_assert_int_eq(vmm_mem_read(mem, table + (gpa >> 30 & 511) * 8, &entry, 8), 0);
		ck_assert_uint_eq(entry & 0x81, 1);
		table = entry & ~UINT64_C(0xfff);
		ck_assert_int_eq(vmm_mem_read(mem, table + (gpa >> 21 & 511) * 8, &entry, 8), 0);
		ck_assert_uint_eq(entry, gpa | 0x83);
	}
	vmm_mem_destroy(mem);
}
END_TEST

SUITE_MAIN("load", load_puts_segments_where_they_belong, load_into_too_little_memory_is_refused,
	   initrd_goes_to_the_end_of_memory, initrd_that_does_not_fit_is_refused,
	   params_pvh_describe_memory_and_initrd, params_linux_fill_the_zero_page,
	   tables_map_the_first_4_gib_to_itself)
