/* SPDX-License-Identifier: MIT */
/* Kernel files in memory, for the tests of the loaders. */
#ifndef TESTS_UNIT_LOADER_FIX_H
#define TESTS_UNIT_LOADER_FIX_H

#include <elf.h>

#include "machine/x86_64/x86.h"

#define FILE_SIZE 8192u
#define ENTRY     UINT64_C(0x100040)

/* A file in memory that ends where its buffer ends, so that the sanitizer sees any read beyond. */
struct file {
	uint8_t *bytes;
	size_t size;
	unsigned reads;
	unsigned fail_at; /* the n-th read fails */
};

extern struct file file;
extern struct vmm_image image; /* of file */
extern struct x86_plan plan;
extern struct x86_layout layout;
extern struct vmm_error err;

void open_file(size_t size);
void close_file(void);
/* vmm_x86_plan of image into plan and err. */
int make_plan(void);
/* It gives -ENOEXEC with these words. */
void assert_refused(const char *why);

/* FILE_SIZE bytes: one segment of 0x400 bytes at 0x800, its note at 0x1000. */
void open_elf(void);
Elf64_Ehdr *ehdr(void);
Elf64_Phdr *phdr(unsigned i);

/* FILE_SIZE bytes, the kernel's 4096 at 2048, to be loaded at 16 MiB. */
void open_bzimage(void);
void put(size_t offset, uint64_t value, size_t len);

#endif
