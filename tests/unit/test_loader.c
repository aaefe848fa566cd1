/* SPDX-License-Identifier: MIT */
/* Kernel files: what is accepted, what is refused and why, and where it ends up in memory. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/x86_64/layout.h"
#include "machine/x86_64/x86.h"
#include "suite.h"

#define FILE_SIZE 8192u
#define ENTRY     (MIB(1) + 0x40)

/* A file in memory that ends where its buffer ends, so that the sanitizer sees any read beyond. */
struct file {
	uint8_t *bytes;
	size_t size;
	unsigned reads;
	unsigned fail_at; /* the n-th read fails */
};

static struct file file;
static struct x86_image image;
static struct x86_plan plan;
static struct x86_layout layout;
static struct vmm_error err;

static int read_file(void *ctx, uint64_t offset, void *buf, size_t len)
{
	struct file *f = ctx;

	ck_assert_uint_le(offset, f->size);
	ck_assert_uint_le(len, f->size - offset);
	if (++f->reads == f->fail_at) {
		return -EIO;
	}
	memcpy(buf, f->bytes + offset, len);
	return 0;
}

static void open_file(size_t size)
{
	file = (struct file){.bytes = calloc(1, size ? size : 1), .size = size};
	ck_assert_ptr_nonnull(file.bytes);
	image = (struct x86_image){.read = read_file, .ctx = &file, .size = size};
	memset(&err, 0, sizeof(err));
}

static void close_file(void)
{
	free(file.bytes);
}

static int make_plan(void)
{
	err = (struct vmm_error){0};
	return vmm_x86_plan(&image, &plan, &err);
}

static void assert_refused(const char *why)
{
	ck_assert_int_eq(make_plan(), -ENOEXEC);
	ck_assert_msg(strstr(err.message, why), "'%s' does not say '%s'", err.message, why);
}

/* ---- ELF ---- */

static Elf64_Ehdr *ehdr(void)
{
	return (Elf64_Ehdr *)(void *)file.bytes;
}

static Elf64_Phdr *phdr(unsigned i)
{
	return (Elf64_Phdr *)(void *)(file.bytes + 64 + i * sizeof(Elf64_Phdr));
}

/* One segment, then the note; the note's entry is at 0x1010. */
static void open_elf(void)
{
	static const uint32_t note[] = {4, 4, 18, 0x006e6558, (uint32_t)ENTRY};

	open_file(FILE_SIZE);
	memcpy(ehdr()->e_ident, ELFMAG, SELFMAG);
	ehdr()->e_ident[EI_CLASS] = ELFCLASS64;
	ehdr()->e_ident[EI_DATA] = ELFDATA2LSB;
	ehdr()->e_machine = EM_X86_64;
	ehdr()->e_phoff = 64;
	ehdr()->e_phentsize = sizeof(Elf64_Phdr);
	ehdr()->e_phnum = 2;
	*phdr(0) = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = 0x800,
		.p_filesz = 0x400,
		.p_memsz = 0x3000,
		.p_paddr = MIB(1),
	};
	*phdr(1) = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = 0x1000,
		.p_filesz = sizeof(note),
		.p_align = 4,
	};
	memcpy(file.bytes + 0x1000, note, sizeof(note));
	for (unsigned i = 0; i < 0x400; i++) {
		file.bytes[0x800 + i] = (uint8_t)(i * 7 + 1);
	}
}

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

static void put(size_t offset, uint64_t value, size_t len)
{
	memcpy(file.bytes + offset, &value, len);
}

static void open_bzimage(void)
{
	open_file(FILE_SIZE);
	put(0x1f1, 3, 1);     /* setup sectors */
	put(0x1f4, 0x100, 4); /* 16-byte units */
	put(0x1fe, 0xaa55, 2);
	put(0x201, 0x6a, 1); /* jump over the header */
	memcpy(file.bytes + 0x202, "HdrS", 4);
	put(0x206, 0x020f, 2);
	put(0x22c, 0x7fffffff, 4); /* highest initrd address */
	put(0x236, 1, 2);          /* 64-bit entry */
	put(0x238, 255, 4);        /* command line */
	put(0x258, MIB(16), 8);
	put(0x260, MIB(4), 4);
	memset(file.bytes + 2048, 0xc3, 4096);
}

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

/* ---- loading ---- */

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

/* ---- descriptors ---- */

START_TEST(image_of_no_file_is_refused)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(vmm_x86_image_fd(&image, &fds[0], &err), -EINVAL);
	(void)close(fds[0]);
	(void)close(fds[1]);
	ck_assert_int_eq(vmm_x86_image_fd(&image, &fds[0], &err), -EBADF);
}
END_TEST

START_TEST(image_that_shrinks_is_an_io_error)
{
	FILE *f = tmpfile();
	uint8_t byte;
	int fd;

	ck_assert_ptr_nonnull(f);
	fd = fileno(f);
	ck_assert_int_eq(ftruncate(fd, 100), 0);
	ck_assert_int_eq(vmm_x86_image_fd(&image, &fd, &err), 0);
	ck_assert_uint_eq(image.size, 100);
	ck_assert_int_eq(image.read(image.ctx, 99, &byte, 1), 0);
	ck_assert_int_eq(ftruncate(fd, 50), 0);
	ck_assert_int_eq(image.read(image.ctx, 99, &byte, 1), -EIO);
	(void)fclose(f);
}
END_TEST

SUITE_MAIN("loader", elf_with_note_is_planned, elf_note_behind_others_and_of_8_bytes_is_found,
	   elf_cut_off_anywhere_is_refused, elf_of_another_machine_is_refused,
	   elf_without_note_is_refused_with_advice, elf_with_hostile_headers_is_refused,
	   elf_with_too_many_segments_is_refused, elf_with_hostile_notes_is_refused,
	   elf_read_errors_are_passed_on, bzimage_is_planned,
	   bzimage_unfit_is_refused_with_the_reason, bzimage_long_header_is_cut_at_its_room,
	   kernel_of_any_short_length_is_refused, kernel_mutated_never_breaks_the_plan,
	   load_puts_segments_where_they_belong, load_into_too_little_memory_is_refused,
	   initrd_goes_to_the_end_of_memory, initrd_that_does_not_fit_is_refused,
	   params_pvh_describe_memory_and_initrd, params_linux_fill_the_zero_page,
	   tables_map_the_first_4_gib_to_itself, image_of_no_file_is_refused,
	   image_that_shrinks_is_an_io_error)
