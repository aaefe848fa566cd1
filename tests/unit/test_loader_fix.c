/* SPDX-License-Identifier: MIT */
#include "test_loader_fix.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine/x86_64/layout.h"

struct file file;
struct vmm_image image;
struct x86_plan plan;
struct x86_layout layout;
struct vmm_error err;

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

void open_file(size_t size)
{
	file = (struct file){.bytes = calloc(1, size ? size : 1), .size = size};
	ck_assert_ptr_nonnull(file.bytes);
	image = (struct vmm_image){.read = read_file, .ctx = &file, .size = size};
	memset(&err, 0, sizeof(err));
}

void close_file(void)
{
	free(file.bytes);
}

int make_plan(void)
{
	err = (struct vmm_error){0};
	return vmm_x86_plan(&image, &plan, &err);
}

void assert_refused(const char *why)
{
	ck_assert_int_eq(make_plan(), -ENOEXEC);
	ck_assert_msg(strstr(err.message, why), "'%s' does not say '%s'", err.message, why);
}

Elf64_Ehdr *ehdr(void)
{
	return (Elf64_Ehdr *)(void *)file.bytes;
}

Elf64_Phdr *phdr(unsigned i)
{
	return (Elf64_Phdr *)(void *)(file.bytes + 64 + i * sizeof(Elf64_Phdr));
}

/* One segment, then the note; the note's entry is at 0x1010. */
void open_elf(void)
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

void put(size_t offset, uint64_t value, size_t len)
{
	memcpy(file.bytes + offset, &value, len);
}

void open_bzimage(void)
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
