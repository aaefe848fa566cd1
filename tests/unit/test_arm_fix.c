/* SPDX-License-Identifier: MIT */
#include "test_arm_fix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "suite.h"

#define GZIP_WINDOW (15 + 16)
#define FILLED      0xa5

struct arm_file file;
struct vmm_image image;
struct arm_gunzip *gunzip;
struct arm_plan plan;
struct arm_layout layout;
struct vmm_mem *mem;
struct vmm_error err;

static int read_file(void *ctx, uint64_t offset, void *buf, size_t len)
{
	struct arm_file *f = ctx;

	SUITE_REQUIRE(len > 0 && offset <= f->size && len <= f->size - offset);
	if (++f->reads == f->fail_at) {
		return f->error;
	}
	memcpy(buf, f->bytes + offset, len);
	return 0;
}

void arm_setup(void)
{
	gunzip = vmm_arm_gunzip_create();
	ck_assert_ptr_nonnull(gunzip);
}

void arm_teardown(void)
{
	close_file();
	free_memory();
	vmm_arm_gunzip_destroy(gunzip);
	gunzip = NULL;
}

void open_file(size_t size)
{
	close_file();
	file = (struct arm_file){
		.bytes = calloc(1, size ? size : 1),
		.size = size,
		.error = -EIO,
	};
	ck_assert_ptr_nonnull(file.bytes);
	image = (struct vmm_image){.read = read_file, .ctx = &file, .size = size};
	memset(&err, 0, sizeof(err));
}

void close_file(void)
{
	free(file.bytes);
	file.bytes = NULL;
}

void put(size_t offset, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		file.bytes[offset + i] = (uint8_t)(value >> (8 * i));
	}
}

void open_image_of(size_t size)
{
	open_file(size);
	for (size_t i = 0; i < size; i++) {
		file.bytes[i] = (uint8_t)(i * 7 + i / 256 + 1);
	}
	if (size >= H_SIZE) {
		put(H_TEXT_OFFSET, TEXT_OFFSET, 8);
		put(H_IMAGE_SIZE, IMAGE_SIZE, 8);
		put(H_FLAGS, 2, 8); /* little-endian, pages of 4 KiB */
		memcpy(file.bytes + H_MAGIC, "ARM\x64", 4);
	}
}

void open_image(void)
{
	open_image_of(FILE_SIZE);
}

void compress_file(int level)
{
	z_stream z = {0};
	uint8_t *packed;
	size_t room;

	ck_assert_int_eq(deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	room = deflateBound(&z, file.size);
	packed = malloc(room);
	ck_assert_ptr_nonnull(packed);
	z.next_in = file.bytes;
	z.avail_in = (uInt)file.size;
	z.next_out = packed;
	z.avail_out = (uInt)room;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	room -= z.avail_out;
	(void)deflateEnd(&z);
	open_file(room);
	memcpy(file.bytes, packed, room);
	free(packed);
}

void make_memory(uint64_t size)
{
	struct vmm_mem_region region = {.gpa = RAM_GPA, .size = size};

	free_memory();
	ck_assert_int_eq(vmm_arm_layout(&layout, size, 40, &err), 0);
	ck_assert_int_eq(vmm_mem_create(&mem, &region, 1, &err), 0);
}

void free_memory(void)
{
	vmm_mem_destroy(mem);
	mem = NULL;
}

uint8_t *ram(void)
{
	uint8_t *bytes = vmm_mem_ptr(mem, RAM_GPA, layout.ram, 1);

	ck_assert_ptr_nonnull(bytes);
	return bytes;
}

void fill(void)
{
	memset(ram(), FILLED, layout.ram);
}

static bool is_filled(const uint8_t *bytes, uint64_t len)
{
	return len == 0 || (bytes[0] == FILLED && memcmp(bytes, bytes + 1, len - 1) == 0);
}

void assert_filled_around(uint64_t offset, uint64_t len)
{
	ck_assert_uint_le(offset, layout.ram);
	ck_assert_uint_le(len, layout.ram - offset);
	ck_assert(is_filled(ram(), offset));
	ck_assert(is_filled(ram() + offset + len, layout.ram - offset - len));
}

int make_plan(void)
{
	err = (struct vmm_error){0};
	return vmm_arm_plan(&image, gunzip, &plan, &err);
}

int load(void)
{
	err = (struct vmm_error){0};
	return vmm_arm_load(&image, gunzip, &plan, mem, &layout, &err);
}

void assert_says(const char *what)
{
	ck_assert_msg(strstr(err.message, what), "'%s' does not say '%s'", err.message, what);
}

void assert_refused(const char *why)
{
	ck_assert_int_eq(make_plan(), -ENOEXEC);
	assert_says(why);
}

void assert_not_loaded(const char *why)
{
	ck_assert_int_eq(load(), -ENOEXEC);
	assert_says(why);
}
