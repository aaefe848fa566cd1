/* SPDX-License-Identifier: MIT */
/* Kernels of arm64 that are compressed: the same kernel comes out, or nothing that was not there.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "faultinj.h"
#include "suite.h"
#include "test_arm_fix.h"

/* A kernel as it was before it was compressed. */
static uint8_t *original;
static size_t original_size;

static void setup(void)
{
	arm_setup();
	original = NULL;
}

static void teardown(void)
{
	free(original);
	arm_teardown();
}

static void keep_original(void)
{
	free(original);
	original = malloc(file.size ? file.size : 1);
	ck_assert_ptr_nonnull(original);
	memcpy(original, file.bytes, file.size);
	original_size = file.size;
}

static void compress_at(int level)
{
	keep_original();
	compress_file(level);
}

/* FILE_SIZE bytes, compressed. */
static void open_gzip(void)
{
	open_image();
	compress_at(9);
}

/* As much as size bytes that no compression makes shorter. */
static void open_noise(size_t size, uint64_t image_size)
{
	uint32_t state = 1;

	open_image_of(size);
	for (size_t i = H_SIZE; i < size; i++) {
		state = state * 1664525 + 1013904223;
		file.bytes[i] = (uint8_t)(state >> 24);
	}
	put(H_IMAGE_SIZE, image_size, 8);
}

/* A plan and a load into memory that was filled. */
static int plan_and_load(void)
{
	int ret = make_plan();

	if (ret == 0) {
		fill();
		ret = load();
	}
	return ret;
}

static void assert_loaded(void)
{
	ck_assert_msg(plan_and_load() == 0, "%s", err.message);
	ck_assert_mem_eq(ram() + TEXT_OFFSET, original, original_size);
	assert_filled_around(TEXT_OFFSET, original_size);
}

/* Nothing was written but where the kernel has room by the header that was read. */
static void assert_written_in_its_room_only(void)
{
	assert_filled_around(plan.gpa - RAM_GPA, plan.size);
}

/* ---- what is good ---- */

START_TEST(gzip_is_planned_by_what_it_unpacks_to)
{
	open_gzip();
	ck_assert_msg(make_plan() == 0, "%s", err.message);
	ck_assert(plan.gzip);
	ck_assert_uint_eq(plan.gpa, RAM_GPA + TEXT_OFFSET);
	ck_assert_uint_eq(plan.size, IMAGE_SIZE);
	ck_assert_uint_eq(plan.page_size, 1);
}
END_TEST

START_TEST(gzip_of_any_level_is_the_same_kernel)
{
	for (int level = 0; level <= 9; level++) {
		open_image();
		compress_at(level);
		make_memory(MIB(4));
		assert_loaded();
	}
}
END_TEST

START_TEST(gzip_of_any_shape_is_the_same_kernel)
{
	/* More than the buffer for the file, and than zlib's window, as noise and as zeroes. */
	open_noise(MIB(3) + 777, MIB(4));
	compress_at(6);
	make_memory(MIB(8));
	assert_loaded();
	open_noise(MIB(3) + 777, MIB(4));
	compress_at(0);
	assert_loaded();
	open_image_of(MIB(5));
	memset(file.bytes + H_SIZE, 0, MIB(5) - H_SIZE);
	put(H_IMAGE_SIZE, MIB(5), 8);
	compress_at(9);
	make_memory(MIB(8));
	assert_loaded();
	/* The shortest kernel there is. */
	open_image_of(H_SIZE);
	compress_at(0);
	assert_loaded();
}
END_TEST

/* A header with all its optional fields, as gzip -N and others write it. */
START_TEST(gzip_header_with_names_and_more_is_read_over)
{
	static uint8_t extra[300];
	static uint8_t name[] = "Image";
	static uint8_t comment[] = "Linux";
	gz_header header = {
		.time = 0x5eed,
		.os = 3,
		.extra = extra,
		.extra_len = sizeof(extra),
		.name = name,
		.comment = comment,
		.hcrc = 1,
	};
	z_stream z = {0};
	uint8_t *packed;
	size_t room = 2 * FILE_SIZE;

	open_image();
	keep_original();
	packed = malloc(room);
	ck_assert_ptr_nonnull(packed);
	ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflateSetHeader(&z, &header), Z_OK);
	z.next_in = file.bytes;
	z.avail_in = FILE_SIZE;
	z.next_out = packed;
	z.avail_out = (uInt)room;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	room -= z.avail_out;
	(void)deflateEnd(&z);
	open_file(room);
	memcpy(file.bytes, packed, room);
	free(packed);
	make_memory(MIB(4));
	assert_loaded();
}
END_TEST

START_TEST(gzip_may_fill_all_its_room)
{
	open_image_of(IMAGE_SIZE);
	compress_at(6);
	make_memory(MIB(4));
	assert_loaded();
}
END_TEST

/* The same room serves every boot, whatever became of the last one. */
START_TEST(gzip_is_unpacked_again_at_a_reboot)
{
	make_memory(MIB(4));
	for (unsigned i = 0; i < 50; i++) {
		open_gzip();
		ck_assert_int_eq(make_plan(), 0);
		if (i % 2) {
			file.bytes[file.size / 2] ^= 0x55;
			assert_not_loaded("damaged");
			file.bytes[file.size / 2] ^= 0x55;
		}
		ck_assert_int_eq(make_plan(), 0);
		assert_loaded();
	}
}
END_TEST

START_TEST(gzip_at_work_allocates_nothing)
{
	struct faultinj_watch watch;
	int planned;
	int loaded;

	open_gzip();
	make_memory(MIB(4));
	faultinj_watch(&watch);
	planned = make_plan();
	loaded = load();
	faultinj_unwatch();
	ck_assert_msg(watch.calls == 0, "%s", watch.first);
	ck_assert_int_eq(planned, 0);
	ck_assert_int_eq(loaded, 0);
}
END_TEST

START_TEST(gzip_room_out_of_memory_is_none)
{
	struct faultinj f = {0};

	while (faultinj_next(&f)) {
		struct arm_gunzip *room = vmm_arm_gunzip_create();

		faultinj_stop(&f);
		ck_assert(f.failed ? !room : room != NULL);
		vmm_arm_gunzip_destroy(room);
	}
	vmm_arm_gunzip_destroy(NULL);
}
END_TEST

/* ---- what is not ---- */

START_TEST(gzip_of_more_than_its_header_says_is_refused)
{
	static const size_t more[] = {1, 2, 7, 8, 4096, 32768, MIB(1)};

	make_memory(MIB(4));
	for (unsigned i = 0; i < 7; i++) {
		for (int level = 0; level <= 9; level += 3) {
			open_image_of(IMAGE_SIZE + more[i]);
			compress_file(level);
			ck_assert_int_eq(make_plan(), 0);
			fill();
			assert_not_loaded("it unpacks to more than its header says");
			assert_written_in_its_room_only();
		}
	}
	/* A little file may hold very much. */
	open_image_of(MIB(64));
	memset(file.bytes + H_SIZE, 0, MIB(64) - H_SIZE);
	compress_file(9);
	ck_assert_int_eq(make_plan(), 0);
	fill();
	assert_not_loaded("it unpacks to more than its header says");
	assert_written_in_its_room_only();
}
END_TEST

START_TEST(gzip_that_needs_too_much_memory_is_refused)
{
	open_gzip();
	make_memory(MIB(2));
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_int_eq(load(), -EINVAL);
	assert_says("the machine has 2 MiB");
	/* Its room must be there, not only what the file fills of it. */
	open_image();
	put(H_IMAGE_SIZE, MIB(2) - TEXT_OFFSET + 1, 8);
	compress_file(6);
	make_memory(MIB(4));
	fill();
	ck_assert_int_eq(make_plan(), 0);
	ck_assert_int_eq(load(), -EINVAL);
	assert_filled_around(0, 0);
}
END_TEST

/* Each bit of the file: it does not matter (a date, a name of an operating system), or it is seen.
 */
START_TEST(gzip_damaged_anywhere_is_refused_or_harmless)
{
	unsigned harmless = 0;

	make_memory(MIB(4));
	open_gzip();
	for (size_t at = 0; at < file.size; at++) {
		for (unsigned bit = 0; bit < 8; bit += at < 32 || at + 16 > file.size ? 1 : 5) {
			int ret;

			file.bytes[at] ^= (uint8_t)(1u << bit);
			ret = plan_and_load();
			file.bytes[at] ^= (uint8_t)(1u << bit);
			if (ret == 0) {
				SUITE_REQUIRE(memcmp(ram() + TEXT_OFFSET, original, FILE_SIZE) ==
					      0);
				harmless++;
			} else {
				/* Where the header says otherwise it may not fit. */
				SUITE_REQUIRE(ret == -ENOEXEC || ret == -EINVAL);
				SUITE_REQUIRE(err.message[0] != '\0');
				if (plan.gzip && plan.size != 0) {
					assert_written_in_its_room_only();
				}
			}
		}
	}
	/* Time, extra flags, operating system: bytes 4 to 9; "this is text"; and what is left of
	 * the last byte that was packed. */
	ck_assert_uint_ge(harmless, 6 * 8 + 1);
	ck_assert_uint_le(harmless, 6 * 8 + 1 + 7);
}
END_TEST

START_TEST(gzip_cut_off_anywhere_is_refused)
{
	uint8_t *whole;
	size_t size;

	make_memory(MIB(4));
	open_gzip();
	whole = file.bytes;
	size = file.size;
	for (size_t cut = 0; cut < size; cut++) {
		/* Not a byte behind the end is there. */
		file.bytes = malloc(cut ? cut : 1);
		ck_assert_ptr_nonnull(file.bytes);
		memcpy(file.bytes, whole, cut);
		file.size = cut;
		image.size = cut;
		SUITE_REQUIRE(plan_and_load() == -ENOEXEC);
		SUITE_REQUIRE(strstr(err.message, "damaged") || strstr(err.message, "cut off"));
		if (cut < H_SIZE) {
			SUITE_REQUIRE(strstr(err.message, "cut off after"));
		}
		free(file.bytes);
	}
	file.bytes = whole;
	file.size = size;
	image.size = size;
	assert_loaded();
}
END_TEST

START_TEST(gzip_cut_off_where_the_buffer_ends_is_refused)
{
	size_t size;

	open_noise(MIB(1), MIB(2));
	compress_at(6);
	make_memory(MIB(6));
	size = file.size;
	for (size_t cut = 16384; cut < size; cut += 16384) {
		for (size_t near = cut - 1; near <= cut + 1; near++) {
			image.size = near;
			ck_assert_int_eq(make_plan(), 0);
			assert_not_loaded("it is damaged: gzip cannot unpack it");
		}
	}
	/* What is missing may be the checksum alone. */
	for (size_t cut = 1; cut <= 8; cut++) {
		image.size = size - cut;
		assert_not_loaded("it is damaged: gzip cannot unpack it");
	}
}
END_TEST

START_TEST(gzip_of_garbage_is_refused)
{
	uint32_t state = 1;

	make_memory(MIB(4));
	for (unsigned round = 0; round < 2000; round++) {
		open_file(1000);
		for (size_t i = 0; i < file.size; i++) {
			state = state * 1664525 + 1013904223;
			file.bytes[i] = (uint8_t)(state >> 24);
		}
		memcpy(file.bytes, "\x1f\x8b\x08\0", round % 2 ? 4 : 2);
		ck_assert_int_eq(plan_and_load(), -ENOEXEC);
		ck_assert_str_ne(err.message, "");
	}
	/* Compressed by another method, with flags that nobody knows, and by zlib without gzip. */
	open_gzip();
	put(2, 7, 1);
	assert_refused("damaged");
	put(2, 8, 1);
	put(3, 0xe0, 1);
	assert_refused("damaged");
	put(3, 0, 1);
	memmove(file.bytes, file.bytes + 8, file.size - 8);
	put(0, 0x9c78, 2);
	assert_refused("no ARM\\x64 at byte 56");
}
END_TEST

START_TEST(gzip_of_something_else_is_refused)
{
	open_file(FILE_SIZE);
	memset(file.bytes, 'x', FILE_SIZE);
	compress_file(0);
	assert_refused("no ARM\\x64 at byte 56 of what it unpacks to");
	open_image();
	put(H_FLAGS, 3, 8);
	compress_file(0);
	assert_refused("big-endian");
	open_image();
	put(H_TEXT_OFFSET, MIB(2), 8);
	compress_file(0);
	assert_refused("that is no kernel");
	open_image();
	put(H_IMAGE_SIZE, MIB(512) + 1, 8);
	compress_file(0);
	assert_refused("that is no kernel");
	/* How much room it needs is known before it is unpacked, or not at all. */
	open_image();
	put(H_IMAGE_SIZE, 0, 8);
	compress_file(0);
	assert_refused("does not say how large it is");
	/* Nothing at all, compressed, is no kernel that forgot its size. */
	open_file(FILE_SIZE);
	compress_file(0);
	assert_refused("no ARM\\x64 at byte 56 of what it unpacks to");
	/* Once only. */
	open_gzip();
	compress_file(0);
	assert_refused("no ARM\\x64 at byte 56 of what it unpacks to");
}
END_TEST

/* Fewer bytes than a header has, in a file that is long enough. */
START_TEST(gzip_of_too_little_is_refused)
{
	for (size_t size = 0; size < H_SIZE; size++) {
		size_t packed;

		open_image_of(size);
		compress_file(0);
		packed = file.size;
		file.bytes = realloc(file.bytes, packed + H_SIZE);
		ck_assert_ptr_nonnull(file.bytes);
		memset(file.bytes + packed, 0, H_SIZE);
		file.size = packed + H_SIZE;
		image.size = file.size;
		assert_refused("cut off");
	}
}
END_TEST

/* ---- what follows ---- */

static void append(const void *bytes, size_t len)
{
	file.bytes = realloc(file.bytes, file.size + len);
	ck_assert_ptr_nonnull(file.bytes);
	memcpy(file.bytes + file.size, bytes, len);
	file.size += len;
	image.size = file.size;
}

/* As gzip has it: padding up to a block, or what somebody appended, is none of its business. */
START_TEST(gzip_does_not_care_what_follows_it)
{
	static const uint8_t zeroes[40000];
	static const uint8_t other[] = "a signature, or what there was before";

	make_memory(MIB(4));
	open_gzip();
	append(zeroes, 1);
	assert_loaded();
	append(zeroes, sizeof(zeroes));
	assert_loaded();
	open_gzip();
	append(other, sizeof(other));
	assert_loaded();
	/* Not even the beginning of another one. */
	open_gzip();
	append("\x1f", 1);
	assert_loaded();
}
END_TEST

static void open_part(size_t offset, size_t len)
{
	open_file(len);
	memcpy(file.bytes, original + offset, len);
	compress_file(6);
}

/* The original in two parts, each compressed on its own. */
static void open_members(size_t cut)
{
	uint8_t first[2 * FILE_SIZE];
	size_t size;

	open_part(0, cut);
	size = file.size;
	memcpy(first, file.bytes, size);
	open_part(cut, original_size - cut);
	append(first, size);
	memmove(file.bytes + size, file.bytes, file.size - size);
	memcpy(file.bytes, first, size);
}

/* "A gzip file consists of a series of members" (RFC 1952, 2.2); some programs write several. */
START_TEST(gzip_in_several_members_is_one_kernel)
{
	static const size_t cuts[] = {0, 1, 63, 64, 65, 4096, FILE_SIZE - 1, FILE_SIZE};

	make_memory(MIB(4));
	open_image();
	keep_original();
	for (unsigned i = 0; i < 8; i++) {
		open_members(cuts[i]);
		assert_loaded();
		/* The second is no less looked at than the first. */
		file.bytes[file.size - 5] ^= 1;
		assert_not_loaded("it is damaged: gzip cannot unpack it");
	}
	open_image_of(IMAGE_SIZE + 1);
	keep_original();
	for (unsigned i = 0; i < 8; i++) {
		open_members(cuts[i]);
		ck_assert_int_eq(make_plan(), 0);
		fill();
		assert_not_loaded("it unpacks to more than its header says");
		assert_written_in_its_room_only();
	}
}
END_TEST

START_TEST(gzip_read_errors_are_passed_on_with_words)
{
	unsigned planning;
	unsigned total;

	open_noise(MIB(1), MIB(2));
	compress_at(6);
	make_memory(MIB(6));
	file.error = -ESTALE;
	ck_assert_int_eq(make_plan(), 0);
	planning = file.reads;
	ck_assert_int_eq(load(), 0);
	total = file.reads;
	ck_assert_uint_gt(total, planning + 60);
	for (unsigned n = 1; n <= total; n++) {
		file.reads = 0;
		file.fail_at = n;
		ck_assert_int_eq(plan_and_load(), -ESTALE);
		assert_says(n <= planning ? "cannot be read: " : "cannot be loaded: ");
		assert_says(strerror(ESTALE));
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		gzip_is_planned_by_what_it_unpacks_to,
		gzip_of_any_level_is_the_same_kernel,
		gzip_of_any_shape_is_the_same_kernel,
		gzip_header_with_names_and_more_is_read_over,
		gzip_may_fill_all_its_room,
		gzip_is_unpacked_again_at_a_reboot,
		gzip_at_work_allocates_nothing,
		gzip_room_out_of_memory_is_none,
		gzip_of_more_than_its_header_says_is_refused,
		gzip_that_needs_too_much_memory_is_refused,
		gzip_damaged_anywhere_is_refused_or_harmless,
		gzip_cut_off_anywhere_is_refused,
		gzip_cut_off_where_the_buffer_ends_is_refused,
		gzip_of_garbage_is_refused,
		gzip_of_something_else_is_refused,
		gzip_of_too_little_is_refused,
		gzip_does_not_care_what_follows_it,
		gzip_in_several_members_is_one_kernel,
		gzip_read_errors_are_passed_on_with_words,
	};
	Suite *suite = suite_create("arm_gunzip");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, setup, teardown);
	}
	return suite_finish(suite);
}
