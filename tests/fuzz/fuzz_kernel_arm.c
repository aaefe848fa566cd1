/* SPDX-License-Identifier: MIT */
/*
 * Any file as a kernel of arm64, compressed or not, whole, damaged or unreadable: either it is
 * refused with words, or it stands in memory as it was in the file, and nothing else has changed.
 *
 * An input is how (1), where (2), then the file, which the target itself compresses if it is told
 * to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "input.h"
#include "machine/aarch64/arm.h"
#include "machine/aarch64/layout.h"

enum {
	COMPRESS = 1,
	DAMAGE = 2,    /* the byte at the place */
	CUT = 4,       /* there */
	FAIL = 8,      /* the read of that number */
	MEMORY = 0x30, /* one of four sizes */
	LEVEL = 0xc0,  /* of compression; or, of what is not compressed: */
	HUGE = 0x40,   /* as large as the place says, in units of 2^48 bytes */
};

#define AROUND   4096u
#define FILE_MAX (UINT64_C(1) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct file {
	uint8_t *bytes;
	size_t size;
	uint64_t zeroes; /* that follow */
	unsigned reads;
	unsigned fail_at;
	bool failed;
};

/* An input, and what it was before it was compressed and damaged. */
struct input {
	unsigned how;
	unsigned where;
	const uint8_t *original;
	size_t original_size;
	struct file file;
};

static void require(bool condition, const char *what)
{
	if (!condition) {
		(void)fprintf(stderr, "not true: %s\n", what);
		abort();
	}
}

static int read_file(void *ctx, uint64_t offset, void *buf, size_t len)
{
	struct file *file = ctx;

	require(offset <= file->size + file->zeroes && len <= file->size + file->zeroes - offset,
		"reads stay inside the file");
	require(len > 0, "reads are of something");
	if (++file->reads == file->fail_at) {
		file->failed = true;
		return -EIO;
	}
	memset(buf, 0, len);
	if (offset < file->size) {
		memcpy(buf, file->bytes + offset,
		       len < file->size - offset ? len : file->size - offset);
	}
	return 0;
}

/* ---- the file ---- */

static void compress_to(struct file *file, const uint8_t *data, size_t size, unsigned level)
{
	static const int levels[] = {0, 1, 6, 9};
	/* zlib does not write to it, but its types do not say so. */
	uint8_t *copy = malloc(size ? size : 1);
	z_stream z = {.next_in = copy, .avail_in = (uInt)size};
	size_t room;

	require(copy && deflateInit2(&z, levels[level], Z_DEFLATED, 15 + 16, 8,
				     Z_DEFAULT_STRATEGY) == Z_OK,
		"memory");
	if (size > 0) {
		memcpy(copy, data, size);
	}
	room = deflateBound(&z, size);
	file->bytes = malloc(room);
	require(file->bytes != NULL, "memory");
	z.next_out = file->bytes;
	z.avail_out = (uInt)room;
	require(deflate(&z, Z_FINISH) == Z_STREAM_END, "it can be compressed");
	file->size = room - z.avail_out;
	(void)deflateEnd(&z);
	free(copy);
}

static void make_file(struct input *in)
{
	struct file *file = &in->file;

	if (in->how & COMPRESS) {
		compress_to(file, in->original, in->original_size, (in->how & LEVEL) >> 6);
	} else {
		file->size = in->original_size;
		file->bytes = malloc(file->size ? file->size : 1);
		require(file->bytes != NULL, "memory");
		if (file->size > 0) {
			memcpy(file->bytes, in->original, file->size);
		}
	}
	if ((in->how & DAMAGE) && file->size > 0) {
		file->bytes[in->where % file->size] ^= (uint8_t)(1u << (in->where >> 13));
	}
	if ((in->how & CUT) && file->size > 0) {
		/* Exactly as long, so that a sanitizer sees a read behind it. */
		file->size = in->where % file->size;
		file->bytes = realloc(file->bytes, file->size ? file->size : 1);
		require(file->bytes != NULL, "memory");
	}
	file->fail_at = (in->how & FAIL) ? 1 + in->where % 8 : 0;
	file->zeroes = (in->how & (COMPRESS | HUGE)) == HUGE ? (uint64_t)in->where << 48 : 0;
}

static bool is_whole(const struct input *in)
{
	return (in->how & (DAMAGE | CUT | FAIL)) == 0 && in->file.zeroes == 0;
}

/* ---- what must hold ---- */

static uint64_t file_size(const struct file *file)
{
	return file->size + file->zeroes;
}

/* Of an Image, wherever it comes from: gzip may leave bytes as they are. */
static bool has_magic(const struct file *file)
{
	return file->size >= 60 && memcmp(file->bytes + 56, "ARM\x64", 4) == 0;
}

static void check_plan(const struct input *in, const struct arm_plan *plan)
{
	require(plan->gpa >= RAM_GPA && plan->gpa - RAM_GPA < MIB(2),
		"it is near where RAM begins");
	require(plan->size > 0, "it takes memory");
	require(plan->size <= MIB(512) || (!plan->gzip && plan->size == file_size(&in->file)),
		"it takes no more than kernels do");
	require(plan->gzip || plan->size >= file_size(&in->file), "it has room for the file");
	require(plan->page_size <= 3, "its pages have one of three sizes");
	require(plan->gzip == (memcmp(in->file.bytes, "\x1f\x8b", 2) == 0 && !has_magic(&in->file)),
		"what is compressed is known as that");
}

static bool is_zero(const struct vmm_mem *mem, uint64_t gpa, uint64_t len)
{
	const uint8_t *bytes = vmm_mem_ptr(mem, gpa, len, 1);

	return len == 0 || !bytes || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* Of the memory around, what is near: to look at all of it would take too long. */
static void check_around(const struct vmm_mem *mem, uint64_t gpa, uint64_t size)
{
	uint64_t before = gpa - RAM_GPA < AROUND ? gpa - RAM_GPA : AROUND;

	require(is_zero(mem, gpa - before, before), "nothing is written before it");
	require(is_zero(mem, gpa + size, AROUND), "nothing is written behind it");
}

static void check_bytes(const struct vmm_mem *mem, uint64_t gpa, const uint8_t *bytes, size_t size)
{
	const void *at = vmm_mem_ptr(mem, gpa, size, 1);

	require(size == 0 || (at && memcmp(at, bytes, size) == 0),
		"it is in memory as it is in the file");
}

static void check_initrd(struct input *in, const struct vmm_image *image,
			 const struct arm_plan *plan, struct vmm_mem *mem,
			 const struct arm_layout *layout)
{
	struct vmm_error err = {0};
	uint64_t top = vmm_arm_fdt_gpa(layout);
	uint64_t gpa = 0;
	int ret = vmm_arm_load_initrd(image, plan, mem, layout, &gpa, &err);

	if (ret < 0) {
		require(err.message[0] != '\0', "a refusal has words");
		require(in->file.failed || image->size == 0 || image->size > layout->ram ||
				plan->gpa + plan->size + image->size + KIB(64) > top,
			"what fits is loaded");
		return;
	}
	require(gpa % KIB(64) == 0, "an initrd has pages of its own");
	require(gpa >= plan->gpa + plan->size && gpa + image->size <= top,
		"an initrd is between kernel and device tree");
	require(gpa + image->size + KIB(64) > top, "an initrd is as high as may be");
	check_bytes(mem, gpa, in->file.bytes, in->file.size);
}

static void check_load(struct input *in, const struct vmm_image *image, struct arm_gunzip *gunzip,
		       const struct arm_plan *plan)
{
	static const uint64_t sizes[] = {MIB(2), MIB(4), MIB(6), MIB(64)};
	struct arm_layout layout = {.ram = sizes[(in->how & MEMORY) >> 4]};
	struct vmm_mem_region region = {.gpa = RAM_GPA, .size = layout.ram};
	struct vmm_error err = {0};
	struct vmm_mem *mem;
	uint64_t gpa;
	bool fits = plan->size <= layout.ram && plan->gpa + plan->size <= vmm_arm_fdt_gpa(&layout);
	int ret;

	require(vmm_mem_create(&mem, &region, 1, &err) == 0, "guest memory");
	ret = vmm_arm_load(image, gunzip, plan, mem, &layout, &err);
	require((ret == 0) == (err.message[0] == '\0'), "a refusal has words, and nothing else");
	require(fits || ret == -EINVAL, "what does not fit is refused");
	require(!in->file.failed || ret == -EIO, "an error of reading is passed on");
	if (fits) {
		check_around(mem, plan->gpa, plan->size);
	}
	if (ret == 0 && !plan->gzip) {
		check_bytes(mem, plan->gpa, in->file.bytes, in->file.size);
	} else if (ret == 0 && is_whole(in) && (in->how & COMPRESS)) {
		check_bytes(mem, plan->gpa, in->original, in->original_size);
	}
	if (is_whole(in) && fits && plan->gzip && (in->how & COMPRESS)) {
		require((ret == 0) == (in->original_size <= plan->size),
			"what is whole and not larger than it says is loaded");
	}
	if (ret == 0) {
		struct vmm_image huge = *image;

		check_initrd(in, image, plan, mem, &layout);
		huge.size += (uint64_t)(in->where | 1u) << 48;
		require(vmm_arm_load_initrd(&huge, plan, mem, &layout, &gpa, &err) == -EINVAL,
			"an initrd larger than all memory is refused");
	}
	vmm_mem_destroy(mem);
}

/* Compressed or not, it is the same kernel. */
static void check_alike(const struct input *in, struct arm_gunzip *gunzip, int ret,
			const struct arm_plan *plan)
{
	struct input plain = *in;
	struct vmm_image image = {.read = read_file, .ctx = &plain.file};
	struct arm_plan other;
	int expected;

	plain.how &= ~(unsigned)(COMPRESS | LEVEL);
	make_file(&plain);
	image.size = file_size(&plain.file);
	expected = vmm_arm_plan(&image, gunzip, &other, NULL);
	if (expected == 0 && !other.gzip && ret == 0) {
		require(plan->gpa == other.gpa && plan->page_size == other.page_size &&
				plan->size <= other.size,
			"it is planned alike, compressed or not");
	}
	require(ret < 0 || expected == 0 || in->original_size < 64,
		"what is refused is refused compressed, too");
	free(plain.file.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arm_gunzip *gunzip;
	struct fuzz_input raw = {.data = data, .size = size};
	struct input in = {.how = fuzz_u8(&raw)};
	struct vmm_image image = {.read = read_file, .ctx = &in.file};
	struct vmm_error err = {0};
	struct arm_plan plan;
	int ret;

	if (!gunzip) {
		gunzip = vmm_arm_gunzip_create();
		require(gunzip != NULL, "memory");
	}
	in.where = fuzz_u16(&raw);
	in.original = raw.data;
	in.original_size = raw.size < FILE_MAX ? raw.size : FILE_MAX;
	make_file(&in);
	image.size = file_size(&in.file);
	ret = vmm_arm_plan(&image, gunzip, &plan, &err);
	require((ret == 0) == (err.message[0] == '\0'), "a refusal has words, and nothing else");
	require(!in.file.failed || ret == -EIO, "an error of reading is passed on");
	if (ret == 0) {
		check_plan(&in, &plan);
		check_load(&in, &image, gunzip, &plan);
	}
	if (is_whole(&in) && (in.how & COMPRESS) && !has_magic(&in.file)) {
		check_alike(&in, gunzip, ret, &plan);
	}
	free(in.file.bytes);
	return 0;
}
