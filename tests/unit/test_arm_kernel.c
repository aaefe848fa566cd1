/* SPDX-License-Identifier: MIT */
/* Kernels of arm64, not compressed: what is accepted and where it goes; initrds beside them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "test_arm_fix.h"

/* ---- headers ---- */

START_TEST(image_is_planned)
{
	open_image();
	ck_assert_msg(make_plan() == 0, "%s", err.message);
	ck_assert(!plan.gzip);
	ck_assert_uint_eq(plan.gpa, RAM_GPA + TEXT_OFFSET);
	ck_assert_uint_eq(plan.size, IMAGE_SIZE);
	ck_assert_uint_eq(plan.page_size, 1);
	ck_assert_uint_eq(file.reads, 1);
	ck_assert_str_eq(err.message, "");
}
END_TEST

START_TEST(image_page_size_is_that_of_its_flags)
{
	/* What the other bits say is none of the loader's business. */
	static const uint64_t others[] = {0, 8, UINT64_MAX & ~UINT64_C(7)};

	open_image();
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned page_size = 0; page_size < 4; page_size++) {
			put(H_FLAGS, others[i] | page_size << 1, 8);
			ck_assert_int_eq(make_plan(), 0);
			ck_assert_uint_eq(plan.page_size, page_size);
		}
	}
}
END_TEST

START_TEST(image_cut_off_anywhere_is_refused)
{
	for (size_t size = 0; size < H_SIZE; size++) {
		char words[64];

		open_image();
		file.size = size;
		image.size = size;
		/* Not a byte behind the end is there. */
		file.bytes = realloc(file.bytes, size ? size : 1);
		ck_assert_ptr_nonnull(file.bytes);
		(void)snprintf(words, sizeof(words), "empty or cut off after %zu bytes", size);
		assert_refused(words);
		ck_assert_uint_eq(file.reads, 0);
	}
	open_image_of(H_SIZE);
	ck_assert_int_eq(make_plan(), 0);
}
END_TEST

START_TEST(image_without_its_magic_is_refused)
{
	open_image();
	for (unsigned i = 0; i < 4; i++) {
		file.bytes[H_MAGIC + i] ^= 0x20;
		assert_refused("no ARM\\x64 at byte 56");
		ck_assert_ptr_null(strstr(err.message, "unpacks"));
		file.bytes[H_MAGIC + i] ^= 0x20;
	}
	/* 32-bit ARM kernels have theirs elsewhere. */
	open_file(FILE_SIZE);
	put(0x24, 0x016f2818, 4);
	assert_refused("no arm64 Image");
}
END_TEST

/* Its first instruction, a branch over the header, may look like the magic of gzip. */
START_TEST(image_that_begins_like_gzip_is_an_image)
{
	open_image();
	put(0, 0x14088b1f, 4);
	ck_assert_msg(make_plan() == 0, "%s", err.message);
	ck_assert(!plan.gzip);
	ck_assert_uint_eq(plan.size, IMAGE_SIZE);
}
END_TEST

START_TEST(image_big_endian_is_refused)
{
	open_image();
	put(H_FLAGS, 3, 8);
	assert_refused("big-endian");
}
END_TEST

/* Before Linux 3.17 the file did not say how large the kernel is, and not reliably where it goes.
 */
START_TEST(image_of_an_old_kernel_goes_where_those_went)
{
	static const uint64_t offsets[] = {0, 0x80000, UINT64_C(0x80000) << 40, UINT64_MAX};

	open_image();
	put(H_IMAGE_SIZE, 0, 8);
	put(H_FLAGS, 0, 8);
	for (unsigned i = 0; i < 4; i++) {
		put(H_TEXT_OFFSET, offsets[i], 8);
		ck_assert_msg(make_plan() == 0, "%s", err.message);
		ck_assert_uint_eq(plan.gpa, RAM_GPA + 0x80000);
		ck_assert_uint_eq(plan.size, FILE_SIZE);
		ck_assert_uint_eq(plan.page_size, 0);
	}
	/* The file's own size then is no more trustworthy than a header's. */
	image.size = MIB(512);
	ck_assert_int_eq(make_plan(), 0);
	image.size = MIB(512) + 1;
	assert_refused("that is no kernel");
	image.size = UINT64_MAX;
	assert_refused("that is no kernel");
}
END_TEST

START_TEST(image_far_from_its_base_is_refused)
{
	static const uint64_t offsets[] = {
		MIB(2), MIB(2) + 1, GIB(4), UINT64_C(1) << 63, UINT64_MAX - RAM_GPA, UINT64_MAX,
	};

	open_image();
	put(H_TEXT_OFFSET, MIB(2) - 1, 8);
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_uint_eq(plan.gpa, RAM_GPA + MIB(2) - 1);
	put(H_TEXT_OFFSET, 0, 8);
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_uint_eq(plan.gpa, RAM_GPA);
	for (unsigned i = 0; i < 6; i++) {
		put(H_TEXT_OFFSET, offsets[i], 8);
		assert_refused("that is no kernel");
	}
	put(H_TEXT_OFFSET, MIB(2), 8);
	assert_refused("0 MiB at 2048 KiB");
}
END_TEST

START_TEST(image_of_absurd_size_is_refused)
{
	static const uint64_t sizes[] = {
		MIB(512) + 1, GIB(4), UINT64_C(1) << 63, UINT64_MAX - RAM_GPA, UINT64_MAX,
	};

	open_image();
	put(H_IMAGE_SIZE, MIB(512), 8);
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_uint_eq(plan.size, MIB(512));
	for (unsigned i = 0; i < 5; i++) {
		put(H_IMAGE_SIZE, sizes[i], 8);
		assert_refused("that is no kernel");
	}
	put(H_IMAGE_SIZE, GIB(4), 8);
	assert_refused("4096 MiB at 64 KiB");
}
END_TEST

START_TEST(image_larger_than_it_says_takes_what_it_has)
{
	open_image();
	put(H_IMAGE_SIZE, FILE_SIZE - 1, 8);
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_uint_eq(plan.size, FILE_SIZE);
	put(H_IMAGE_SIZE, 1, 8);
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_uint_eq(plan.size, FILE_SIZE);
}
END_TEST

START_TEST(image_read_errors_are_passed_on_with_words)
{
	static const int errors[] = {-EIO, -EBADF, -EACCES, -ESTALE};

	open_image();
	for (unsigned i = 0; i < 4; i++) {
		file.reads = 0;
		file.fail_at = 1;
		file.error = errors[i];
		ck_assert_int_eq(make_plan(), errors[i]);
		assert_says("cannot be read: ");
		assert_says(strerror(-errors[i]));
	}
}
END_TEST

/* Any change of a few bytes ends in a plan that keeps its promises, or in a refusal. */
START_TEST(image_mutated_never_breaks_the_plan)
{
	uint32_t state = 1;
	unsigned planned = 0;

	for (unsigned round = 0; round < 20000; round++) {
		open_image();
		for (unsigned i = 0; i < 3; i++) {
			uint32_t at;

			state = state * 1664525 + 1013904223;
			at = H_TEXT_OFFSET + (state >> 8) % 24;
			file.bytes[at] = (uint8_t)(state >> 24);
		}
		if (make_plan() == 0) {
			SUITE_REQUIRE(plan.gpa >= RAM_GPA && plan.gpa - RAM_GPA < MIB(2));
			SUITE_REQUIRE(plan.size >= FILE_SIZE && plan.size <= MIB(512));
			planned++;
		} else {
			SUITE_REQUIRE(err.message[0] != '\0');
		}
	}
	ck_assert_uint_gt(planned, 100);
	ck_assert_uint_lt(planned, 19900);
}
END_TEST

/* ---- loading ---- */

START_TEST(load_puts_the_file_where_it_belongs_and_nothing_else)
{
	static const uint64_t offsets[] = {0, TEXT_OFFSET, 0x80000, MIB(2) - 1};

	for (unsigned i = 0; i < 4; i++) {
		open_image();
		put(H_TEXT_OFFSET, offsets[i], 8);
		make_memory(MIB(6));
		fill();
		ck_assert_int_eq(make_plan(), 0);
		ck_assert_msg(load() == 0, "%s", err.message);
		ck_assert_mem_eq(ram() + offsets[i], file.bytes, FILE_SIZE);
		assert_filled_around(offsets[i], FILE_SIZE);
	}
}
END_TEST

START_TEST(load_fits_up_to_the_device_tree_and_no_further)
{
	open_image();
	make_memory(MIB(6));
	put(H_IMAGE_SIZE, MIB(4) - TEXT_OFFSET, 8);
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_int_eq(load(), 0);
	fill();
	put(H_IMAGE_SIZE, MIB(4) - TEXT_OFFSET + 1, 8);
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_int_eq(load(), -EINVAL);
	assert_says("the machine has 6 MiB");
	assert_filled_around(0, 0);
}
END_TEST

START_TEST(load_into_no_room_at_all_is_refused)
{
	static const uint64_t sizes[] = {MIB(512), UINT64_MAX - RAM_GPA, UINT64_MAX - MIB(2),
					 UINT64_MAX};

	open_image();
	/* The device tree takes all there is, and stands below where the kernel would be. */
	make_memory(MIB(2));
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_int_eq(load(), -EINVAL);
	/* A file may be of any size. */
	make_memory(MIB(6));
	fill();
	for (unsigned i = 0; i < 4; i++) {
		image.size = sizes[i];
		ck_assert_int_eq(make_plan(), 0);
		ck_assert_uint_eq(plan.size, sizes[i]);
		ck_assert_int_eq(load(), -EINVAL);
		assert_says("the machine has 6 MiB");
	}
	assert_filled_around(0, 0);
}
END_TEST

static bool fits(uint64_t memory_size)
{
	make_memory(memory_size);
	return load() == 0;
}

/* How much a kernel is said to need is more than there is, and not more than is enough. */
START_TEST(load_says_how_much_would_do)
{
	static const uint64_t offsets[] = {0, TEXT_OFFSET, 0x80000, MIB(2) - 4096};
	static const uint64_t sizes[] = {FILE_SIZE, MIB(1),       MIB(2), MIB(4) - TEXT_OFFSET,
					 MIB(4),    MIB(5) + 4096};

	for (unsigned i = 0; i < 24; i++) {
		uint64_t enough = MIB(2);

		open_image();
		put(H_TEXT_OFFSET, offsets[i % 4], 8);
		put(H_IMAGE_SIZE, sizes[i / 4], 8);
		ck_assert_int_eq(make_plan(), 0);
		while (!fits(enough)) {
			enough += MIB(2);
		}
		for (uint64_t size = MIB(2); size < enough; size += MIB(2)) {
			unsigned long long needs = 0;

			ck_assert(!fits(size));
			ck_assert_int_eq(sscanf(err.message, "it needs %llu MiB", &needs), 1);
			ck_assert_uint_gt(needs << 20, size);
			ck_assert_uint_le(needs << 20, enough);
		}
	}
}
END_TEST

START_TEST(load_read_errors_are_passed_on_with_words)
{
	open_image();
	make_memory(MIB(6));
	ck_assert_int_eq(make_plan(), 0);
	file.fail_at = file.reads + 1;
	file.error = -ESTALE;
	ck_assert_int_eq(load(), -ESTALE);
	assert_says("cannot be loaded: ");
	assert_says(strerror(ESTALE));
}
END_TEST

/* ---- initrd ---- */

static int load_initrd(uint64_t *gpa)
{
	err = (struct vmm_error){0};
	*gpa = 0;
	return vmm_arm_load_initrd(&image, &plan, mem, &layout, gpa, &err);
}

static void load_a_kernel(uint64_t memory_size)
{
	make_memory(memory_size);
	open_image();
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_int_eq(load(), 0);
}

START_TEST(initrd_goes_as_high_as_may_be)
{
	static const size_t sizes[] = {1, 5000, 65535, 65536, 65537, MIB(1)};
	uint64_t gpa;

	for (unsigned i = 0; i < 6; i++) {
		load_a_kernel(MIB(6));
		fill();
		open_file(sizes[i]);
		memset(file.bytes, 0x77, sizes[i]);
		ck_assert_int_eq(load_initrd(&gpa), 0);
		ck_assert_uint_eq(gpa % 65536, 0);
		ck_assert_uint_le(gpa + sizes[i], vmm_arm_fdt_gpa(&layout));
		ck_assert_uint_gt(gpa + sizes[i] + 65536, vmm_arm_fdt_gpa(&layout));
		ck_assert_mem_eq(ram() + (gpa - RAM_GPA), file.bytes, sizes[i]);
		assert_filled_around(gpa - RAM_GPA, sizes[i]);
	}
}
END_TEST

START_TEST(initrd_begins_no_earlier_than_the_kernel_ends)
{
	uint64_t gpa;
	uint64_t room;

	load_a_kernel(MIB(6));
	/* The kernel takes part of a page of 64 KiB: the initrd begins with the next. */
	room = MIB(4) - TEXT_OFFSET - 65536;
	open_file(room);
	ck_assert_int_eq(load_initrd(&gpa), 0);
	ck_assert_uint_eq(gpa, RAM_GPA + TEXT_OFFSET + 65536);
	image.size = room + 1;
	ck_assert_int_eq(load_initrd(&gpa), -EINVAL);
	assert_says("no room behind the kernel in 6 MiB");
	ck_assert_uint_eq(gpa, 0);
	/* All of it, and then not a byte behind it. */
	plan.size = 65536;
	image.size = room;
	ck_assert_int_eq(load_initrd(&gpa), 0);
	plan.size = 65537;
	ck_assert_int_eq(load_initrd(&gpa), -EINVAL);
}
END_TEST

START_TEST(initrd_that_makes_no_sense_is_refused)
{
	static const uint64_t sizes[] = {
		MIB(4),
		GIB(1),
		RAM_GPA + MIB(4),
		RAM_GPA + MIB(4) + 1,
		UINT64_C(1) << 63,
		UINT64_MAX - 65535,
		UINT64_MAX,
	};
	uint64_t gpa;

	load_a_kernel(MIB(6));
	fill();
	open_file(1);
	for (unsigned i = 0; i < 7; i++) {
		image.size = sizes[i];
		ck_assert_int_eq(load_initrd(&gpa), -EINVAL);
		assert_says("no room behind the kernel");
	}
	image.size = 0;
	ck_assert_int_eq(load_initrd(&gpa), -EINVAL);
	assert_says("it is empty");
	assert_filled_around(0, 0);
	ck_assert_uint_eq(file.reads, 0);
}
END_TEST

START_TEST(initrd_read_errors_are_passed_on_with_words)
{
	uint64_t gpa;

	load_a_kernel(MIB(6));
	open_file(100);
	file.fail_at = 1;
	file.error = -ENODEV;
	ck_assert_int_eq(load_initrd(&gpa), -ENODEV);
	assert_says("cannot be loaded: ");
	assert_says(strerror(ENODEV));
}
END_TEST

/* Kernel, initrd and device tree lie within 32 GiB that begin at a GiB (booting.rst, 2 and 3). */
START_TEST(initrd_stays_near_the_kernel_in_huge_memories)
{
	static const uint64_t sizes[] = {GIB(2),           GIB(32) - MIB(2), GIB(32),
					 GIB(32) + MIB(2), GIB(33),          GIB(100)};
	uint64_t gpa;

	for (unsigned i = 0; i < 6; i++) {
		uint64_t fdt;
		uint64_t end = sizes[i] < GIB(32) ? sizes[i] : GIB(32);

		load_a_kernel(sizes[i]);
		fdt = vmm_arm_fdt_gpa(&layout);
		ck_assert_uint_eq(fdt, RAM_GPA + end - MIB(2));
		open_file(70000);
		memset(file.bytes, 0x77, file.size);
		ck_assert_int_eq(load_initrd(&gpa), 0);
		ck_assert_uint_eq(gpa, fdt - 2 * 65536);
		ck_assert_mem_eq(vmm_mem_ptr(mem, gpa, file.size, 1), file.bytes, file.size);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		image_is_planned,
		image_page_size_is_that_of_its_flags,
		image_cut_off_anywhere_is_refused,
		image_without_its_magic_is_refused,
		image_that_begins_like_gzip_is_an_image,
		image_big_endian_is_refused,
		image_of_an_old_kernel_goes_where_those_went,
		image_far_from_its_base_is_refused,
		image_of_absurd_size_is_refused,
		image_larger_than_it_says_takes_what_it_has,
		image_read_errors_are_passed_on_with_words,
		image_mutated_never_breaks_the_plan,
		load_puts_the_file_where_it_belongs_and_nothing_else,
		load_fits_up_to_the_device_tree_and_no_further,
		load_into_no_room_at_all_is_refused,
		load_says_how_much_would_do,
		load_read_errors_are_passed_on_with_words,
		initrd_goes_as_high_as_may_be,
		initrd_begins_no_earlier_than_the_kernel_ends,
		initrd_that_makes_no_sense_is_refused,
		initrd_read_errors_are_passed_on_with_words,
		initrd_stays_near_the_kernel_in_huge_memories,
	};
	Suite *suite = suite_create("arm_kernel");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, arm_setup, arm_teardown);
	}
	return suite_finish(suite);
}
