/* SPDX-License-Identifier: MIT */
/* Kernel files: what is accepted, what is refused, and why. */
#include <errno.h>
#include <string.h>

#include "machine/x86_64/layout.h"
#include "suite.h"
#include "test_loader_fix.h"

/* ---- ELF ---- */

START_TEST(elf_with_note_is_planned)
{
	open_elf();
	ck_assert_msg(make_plan() == 0, "%s", err.message);
	ck_assert_int_eq(plan.boot, X86_BOOT_PVH);
	ck_assert_uint_eq(plan.entry, ENTRY);
	ck_assert_uint_eq(plan.segment_count, 1);
	ck_assert_uint_eq(plan.end, MIB(1) + 0x3000);
	close_file();
}
END_TEST

START_TEST(elf_note_behind_others_and_of_8_bytes_is_found)
{
	static const uint32_t notes[] = {
		3,    5, 1,  0x00554e47, 0x11111111,
		0x22,                    /* another, padded */
		4,    0, 18, 0x006e6558, /* too short to be it */
		4,    8, 18, 0x006e6558, (uint32_t)(ENTRY + 1),
		0,
	};

	open_elf();
	memcpy(file.bytes + 0x1000, notes, sizeof(notes));
	phdr(1)->p_filesz = sizeof(notes);
	ck_assert_msg(make_plan() == 0, "%s", err.message);
	ck_assert_uint_eq(plan.entry, ENTRY + 1);
	close_file();
}
END_TEST

START_TEST(elf_cut_off_anywhere_is_refused)
{
	uint8_t *whole;

	open_elf();
	whole = file.bytes;
	/* Behind the note nothing is needed. */
	for (size_t size = 0; size < 0x1000 + 20; size++) {
		file.bytes = malloc(size ? size : 1);
		ck_assert_ptr_nonnull(file.bytes);
		memcpy(file.bytes, whole, size);
		file.size = size;
		image.size = size;
		ck_assert_int_eq(make_plan(), -ENOEXEC);
		ck_assert_uint_gt(strlen(err.message), 0);
		free(file.bytes);
	}
	file.bytes = whole;
	close_file();
}
END_TEST

START_TEST(elf_of_another_machine_is_refused)
{
	open_elf();
	ehdr()->e_machine = EM_AARCH64;
	assert_refused("not for x86_64");
	ehdr()->e_machine = EM_X86_64;
	ehdr()->e_ident[EI_CLASS] = ELFCLASS32;
	assert_refused("not for x86_64");
	close_file();
}
END_TEST

START_TEST(elf_without_note_is_refused_with_advice)
{
	open_elf();
	phdr(1)->p_type = PT_NULL;
	assert_refused("CONFIG_PVH");
	close_file();
}
END_TEST

START_TEST(elf_with_hostile_headers_is_refused)
{
	open_elf();
	ehdr()->e_phoff = UINT64_MAX - 8;
	assert_refused("program header");
	ehdr()->e_phoff = 64;
	ehdr()->e_phnum = 0xffff;
	assert_refused("program header");
	ehdr()->e_phnum = 2;
	ehdr()->e_phentsize = 1;
	assert_refused("program header");
	ehdr()->e_phentsize = sizeof(Elf64_Phdr);

	phdr(0)->p_offset = UINT64_MAX - 0x100;
	assert_refused("outside it");
	phdr(0)->p_offset = 0x800;
	phdr(0)->p_filesz = UINT64_MAX;
	phdr(0)->p_memsz = UINT64_MAX;
	assert_refused("outside it");
	phdr(0)->p_filesz = 0x400;
	assert_refused("segment outside");
	phdr(0)->p_memsz = 0x3ff;
	assert_refused("outside it");
	phdr(0)->p_memsz = 0x3000;
	phdr(0)->p_paddr = UINT64_MAX - 0x1000;
	assert_refused("segment outside");
	phdr(0)->p_paddr = GIB(3) - 0x2fff;
	assert_refused("segment outside");
	phdr(0)->p_paddr = MIB(1) - 1;
	assert_refused("segment outside");
	phdr(0)->p_paddr = MIB(2);
	assert_refused("entry lies outside");
	close_file();
}
END_TEST

START_TEST(elf_with_too_many_segments_is_refused)
{
	open_elf();
	ehdr()->e_phnum = 20;
	for (unsigned i = 0; i < 20; i++) {
		*phdr(i) = (Elf64_Phdr){.p_type = PT_LOAD, .p_memsz = 1, .p_paddr = MIB(1)};
	}
	assert_refused("more than");
	close_file();
}
END_TEST

/* Lengths that would lead the scan out of the notes, or back. */
START_TEST(elf_with_hostile_notes_is_refused)
{
	static const uint32_t lengths[] = {5, 0x7fffffff, 0xfffffffc, 0xffffffff};

	for (unsigned i = 0; i < 4; i++) {
		open_elf();
		memcpy(file.bytes + 0x1000, &lengths[i], 4);
		assert_refused("PVH entry note");
		memcpy(file.bytes + 0x1000, "\4\0\0\0", 4);
		memcpy(file.bytes + 0x1004, &lengths[i], 4);
		assert_refused("PVH entry note");
		close_file();
	}
}
END_TEST

START_TEST(elf_read_errors_are_passed_on)
{
	unsigned total;

	open_elf();
	ck_assert_int_eq(make_plan(), 0);
	total = file.reads;
	for (unsigned n = 1; n <= total; n++) {
		file.reads = 0;
		file.fail_at = n;
		ck_assert_int_eq(make_plan(), -EIO);
	}
	close_file();
}
END_TEST

/* ---- bzImage ---- */

START_TEST(bzimage_is_planned)
{
	open_bzimage();
	ck_assert_msg(make_plan() == 0, "%s", err.message);
	ck_assert_int_eq(plan.boot, X86_BOOT_LINUX64);
	ck_assert_uint_eq(plan.entry, MIB(16) + 0x200);
	ck_assert_uint_eq(plan.end, MIB(20));
	ck_assert_uint_eq(plan.cmdline_max, 255);
	ck_assert_uint_eq(plan.segments[0].offset, 2048);
	ck_assert_uint_eq(plan.segments[0].size, 4096);
	close_file();
}
END_TEST

START_TEST(bzimage_unfit_is_refused_with_the_reason)
{
	open_bzimage();
	put(0x1f4, 0x101 + (FILE_SIZE - 2048 - 4096) / 16, 4);
	assert_refused("cut off");
	put(0x1f4, 0xffffffff, 4);
	assert_refused("cut off");
	put(0x1f4, 0, 4);
	assert_refused("cut off");
	put(0x1f4, 0x100, 4);
	put(0x1f1, 0xff, 1);
	assert_refused("cut off");
	put(0x1f1, 3, 1);
	put(0x206, 0x020b, 2);
	assert_refused("2.11");
	put(0x206, 0x020f, 2);
	put(0x236, 0, 2);
	assert_refused("32-bit");
	put(0x236, 1, 2);
	put(0x258, UINT64_MAX - 4096, 8);
	assert_refused("load address");
	put(0x258, 4096, 8);
	assert_refused("load address");
	put(0x258, MIB(16), 8);
	put(0x201, 0, 1);
	assert_refused("setup header");
	put(0x201, 0x6a, 1);
	put(0x1fe, 0, 2);
	assert_refused("neither");
	close_file();
}
END_TEST

START_TEST(bzimage_long_header_is_cut_at_its_room)
{
	open_bzimage();
	put(0x201, 0xff, 1);
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_uint_eq(plan.setup_len, sizeof(plan.setup));
	close_file();
}
END_TEST

START_TEST(kernel_of_any_short_length_is_refused)
{
	for (size_t size = 0; size < 1024; size++) {
		open_file(size);
		ck_assert_int_eq(make_plan(), -ENOEXEC);
		memset(file.bytes, 0x7f, size);
		ck_assert_int_eq(make_plan(), -ENOEXEC);
		close_file();
	}
}
END_TEST

/* Any change of a few bytes ends in a plan that keeps its promises, or in a refusal. */
START_TEST(kernel_mutated_never_breaks_the_plan)
{
	uint32_t state = 1;

	for (unsigned round = 0; round < 20000; round++) {
		if (round % 2) {
			open_elf();
		} else {
			open_bzimage();
		}
		for (unsigned i = 0; i < 4; i++) {
			uint32_t at;

			state = state * 1664525 + 1013904223;
			at = round % 2 ? (state >> 8) % 0x200 : 0x1f0 + (state >> 8) % 0x80;
			if (round % 4 == 1 && i == 0) {
				at = 0x1000 + at % 20;
			}
			file.bytes[at] = (uint8_t)(state >> 24);
		}
		if (make_plan() == 0) {
			ck_assert_uint_le(plan.segment_count, X86_SEGMENTS_MAX);
			for (size_t i = 0; i < plan.segment_count; i++) {
				const struct x86_segment *s = &plan.segments[i];

				ck_assert_uint_le(s->offset, image.size);
				ck_assert_uint_le(s->size, image.size - s->offset);
				ck_assert_uint_le(s->size, s->memory);
				ck_assert_uint_ge(s->gpa, MIB(1));
				ck_assert_uint_le(s->gpa + s->memory, plan.end);
			}
		} else {
			ck_assert_uint_gt(strlen(err.message), 0);
		}
		close_file();
	}
}
END_TEST

SUITE_MAIN("loader", elf_with_note_is_planned, elf_note_behind_others_and_of_8_bytes_is_found,
	   elf_cut_off_anywhere_is_refused, elf_of_another_machine_is_refused,
	   elf_without_note_is_refused_with_advice, elf_with_hostile_headers_is_refused,
	   elf_with_too_many_segments_is_refused, elf_with_hostile_notes_is_refused,
	   elf_read_errors_are_passed_on, bzimage_is_planned,
	   bzimage_unfit_is_refused_with_the_reason, bzimage_long_header_is_cut_at_its_room,
	   kernel_of_any_short_length_is_refused, kernel_mutated_never_breaks_the_plan)
