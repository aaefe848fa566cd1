/* SPDX-License-Identifier: MIT */
/* Kernels for the aarch64 machine: files in memory, compressed or not, and RAM to load them to. */
#ifndef TESTS_UNIT_ARM_FIX_H
#define TESTS_UNIT_ARM_FIX_H

#include <vmm/mem.h>

#include "machine/aarch64/arm.h"
#include "machine/aarch64/layout.h"

/* Bytes of the kernels that open_image makes, and what their headers ask for. */
#define FILE_SIZE   8192u
#define TEXT_OFFSET UINT64_C(0x10000)
#define IMAGE_SIZE  UINT64_C(0x5000)

/* Offsets in the header of an Image. */
enum {
	H_TEXT_OFFSET = 8,
	H_IMAGE_SIZE = 16,
	H_FLAGS = 24,
	H_MAGIC = 56,
	H_SIZE = 64,
};

/* A file in memory that ends where its buffer ends, so that the sanitizer sees any read beyond. */
struct arm_file {
	uint8_t *bytes;
	size_t size;
	unsigned reads;
	unsigned fail_at; /* the n-th read fails */
	int error;        /* with this */
};

extern struct arm_file file;
extern struct vmm_image image; /* of file */
extern struct arm_gunzip *gunzip;
extern struct arm_plan plan;
extern struct arm_layout layout;
extern struct vmm_mem *mem;
extern struct vmm_error err;

/* Checked fixtures: room for unpacking. Teardown closes the file and frees memory that is left. */
void arm_setup(void);
void arm_teardown(void);

/* Another file, of zeroes. */
void open_file(size_t size);
void close_file(void);
/* An Image of FILE_SIZE bytes, all different from their neighbours. */
void open_image(void);
/* The same with another size. */
void open_image_of(size_t size);
void put(size_t offset, uint64_t value, size_t len);
/* The file as gzip has it at a level of 0 to 9. */
void compress_file(int level);

/* A layout and RAM of so many bytes. */
void make_memory(uint64_t size);
void free_memory(void);
uint8_t *ram(void);
/* Writes a pattern to all of it, and looks whether all is still there but len bytes at offset. */
void fill(void);
void assert_filled_around(uint64_t offset, uint64_t len);

/* vmm_arm_plan of image into plan and err; vmm_arm_load of that. */
int make_plan(void);
int load(void);
/* The plan, or loading, gives -ENOEXEC with these words. */
void assert_refused(const char *why);
void assert_not_loaded(const char *why);
/* The last message has these words. */
void assert_says(const char *what);

#endif
