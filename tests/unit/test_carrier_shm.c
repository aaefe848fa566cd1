/* SPDX-License-Identifier: MIT */
/*
 * The carrier: what devices map into their shared memory regions.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmm/carrier.h>

#include "fakedrv.h"
#include "suite.h"
#include "testdev.h"

#define PAGE  UINT64_C(4096)
#define SMALL (16 * PAGE)
#define LARGE (UINT64_C(8) << 30)
#define ID    1
#define OTHER 5

static const struct vmm_virtio_shm regions[] = {{.id = ID, .len = SMALL},
						{.id = OTHER, .len = LARGE}};

static struct testdev dev;
static struct fakedrv *drv;
static int file;

static void set_up(void)
{
	testdev_init(&dev);
	dev.base.shm = regions;
	dev.base.shm_count = 2;
	drv = fakedrv_create(&dev.base);
	file = memfd_create("blob", MFD_CLOEXEC);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(ftruncate(file, SMALL), 0);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
}

static void tear_down(void)
{
	fakedrv_destroy(drv);
	(void)close(file);
}

static int map(uint64_t offset, uint64_t len)
{
	return vmm_virtio_shm_map(&dev.base, ID, offset, file, 0, len, true);
}

static int unmap(uint64_t offset, uint64_t len)
{
	return vmm_virtio_shm_unmap(&dev.base, ID, offset, len);
}

START_TEST(shm_map_shows_the_files_own_pages)
{
	uint8_t *seen;
	uint8_t byte = 0;

	ck_assert_int_eq(pwrite(file, "x", 1, PAGE), 1);
	ck_assert_int_eq(vmm_virtio_shm_map(&dev.base, OTHER, LARGE - PAGE, file, PAGE, PAGE, true),
			 0);
	seen = fakedrv_shm(drv, OTHER, LARGE - PAGE, PAGE);
	ck_assert_ptr_nonnull(seen);
	ck_assert_uint_eq(seen[0], 'x');
	seen[1] = 'y';
	ck_assert_int_eq(pread(file, &byte, 1, PAGE + 1), 1);
	ck_assert_uint_eq(byte, 'y');
	ck_assert_int_eq(vmm_virtio_shm_unmap(&dev.base, OTHER, LARGE - PAGE, PAGE), 0);
	ck_assert_ptr_null(fakedrv_shm(drv, OTHER, LARGE - PAGE, 1));
}
END_TEST

static const struct {
	uint8_t id;
	uint64_t offset;
	uint64_t fd_offset;
	uint64_t len;
} wrong[] = {
	{2, 0, 0, PAGE},
	{0, 0, 0, PAGE},
	{ID, 0, 0, 0},
	{ID, 1, 0, PAGE},
	{ID, 0, 1, PAGE},
	{ID, 0, 0, PAGE + 1},
	{ID, 0, 0, 1},
	{ID, SMALL, 0, PAGE},
	{ID, SMALL - PAGE, 0, 2 * PAGE},
	{ID, 0, 0, SMALL + PAGE},
	{ID, UINT64_MAX - PAGE + 1, 0, PAGE},
	{ID, PAGE, 0, UINT64_MAX - PAGE + 1},
	{ID, PAGE, 0, UINT64_MAX - 2 * PAGE + 1},
	{OTHER, LARGE, 0, PAGE},
	{OTHER, 0, 0, LARGE + PAGE},
	{ID, 0, (uint64_t)INT64_MAX + 1, PAGE},
	{ID, 0, (uint64_t)INT64_MAX + 1 - PAGE, 2 * PAGE},
	{ID, 0, UINT64_MAX - PAGE + 1, PAGE},
};

START_TEST(shm_map_outside_of_the_region_is_refused)
{
	ck_assert_int_eq(vmm_virtio_shm_map(&dev.base, wrong[_i].id, wrong[_i].offset, file,
					    wrong[_i].fd_offset, wrong[_i].len, true),
			 -EINVAL);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 0);
}
END_TEST

START_TEST(shm_mappings_do_not_overlap)
{
	ck_assert_int_eq(map(4 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(map(4 * PAGE, 4 * PAGE), -EEXIST);
	ck_assert_int_eq(map(4 * PAGE, PAGE), -EEXIST);
	ck_assert_int_eq(map(7 * PAGE, PAGE), -EEXIST);
	ck_assert_int_eq(map(7 * PAGE, 2 * PAGE), -EEXIST);
	ck_assert_int_eq(map(3 * PAGE, 2 * PAGE), -EEXIST);
	ck_assert_int_eq(map(0, 16 * PAGE), -EEXIST);
	/* Beside it there is room, and so there is in the other region. */
	ck_assert_int_eq(map(8 * PAGE, PAGE), 0);
	ck_assert_int_eq(map(3 * PAGE, PAGE), 0);
	ck_assert_int_eq(vmm_virtio_shm_map(&dev.base, OTHER, 4 * PAGE, file, 0, 4 * PAGE, false),
			 0);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 4);
}
END_TEST

START_TEST(shm_unmap_takes_exactly_one_mapping)
{
	ck_assert_int_eq(map(4 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(map(8 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(4 * PAGE, 8 * PAGE), -ENOENT);
	ck_assert_int_eq(unmap(4 * PAGE, PAGE), -ENOENT);
	ck_assert_int_eq(unmap(5 * PAGE, 3 * PAGE), -ENOENT);
	ck_assert_int_eq(unmap(0, 4 * PAGE), -ENOENT);
	ck_assert_int_eq(vmm_virtio_shm_unmap(&dev.base, 2, 4 * PAGE, 4 * PAGE), -EINVAL);
	ck_assert_int_eq(vmm_virtio_shm_unmap(&dev.base, OTHER, 4 * PAGE, 4 * PAGE), -ENOENT);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 2);
	ck_assert_int_eq(unmap(4 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(unmap(4 * PAGE, 4 * PAGE), -ENOENT);
	ck_assert_ptr_nonnull(fakedrv_shm(drv, ID, 8 * PAGE, PAGE));
	/* The place is free again. */
	ck_assert_int_eq(map(4 * PAGE, PAGE), 0);
}
END_TEST

START_TEST(shm_mappings_are_limited)
{
	for (uint64_t i = 0; i < VMM_VIRTIO_SHM_MAPPINGS_MAX; i++) {
		/* From behind, so that the list has to make room each time. */
		ck_assert_int_eq(vmm_virtio_shm_map(&dev.base, OTHER, LARGE - (i + 1) * 2 * PAGE,
						    file, 0, PAGE, true),
				 0);
	}
	ck_assert_int_eq(map(0, PAGE), -ENOSPC);
	ck_assert_int_eq(vmm_virtio_shm_unmap(&dev.base, OTHER, LARGE - 2 * PAGE, PAGE), 0);
	ck_assert_int_eq(map(0, PAGE), 0);
}
END_TEST

/* Another back end, while the guest still uses what the old one had mapped. */
START_TEST(shm_orphans_stay_until_their_place_is_wanted)
{
	ck_assert_int_eq(map(4 * PAGE, 4 * PAGE), 0);
	ck_assert_int_eq(map(12 * PAGE, PAGE), 0);
	ck_assert_int_eq(vmm_virtio_shm_map(&dev.base, OTHER, 4 * PAGE, file, 0, PAGE, true), 0);
	vmm_virtio_shm_orphan_all(&dev.base);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 3);
	/* The new one has mapped nothing. */
	ck_assert_int_eq(unmap(4 * PAGE, 4 * PAGE), -ENOENT);
	ck_assert_ptr_nonnull(fakedrv_shm(drv, ID, 4 * PAGE, 4 * PAGE));
	/* Only what is in the way goes. */
	ck_assert_int_eq(map(7 * PAGE, 2 * PAGE), 0);
	ck_assert_ptr_null(fakedrv_shm(drv, ID, 4 * PAGE, PAGE));
	ck_assert_ptr_nonnull(fakedrv_shm(drv, ID, 12 * PAGE, PAGE));
	ck_assert_ptr_nonnull(fakedrv_shm(drv, OTHER, 4 * PAGE, PAGE));
	/* And what is not an orphan does not. */
	ck_assert_int_eq(map(8 * PAGE, 8 * PAGE), -EEXIST);
	ck_assert_int_eq(unmap(7 * PAGE, 2 * PAGE), 0);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 1);
	fakedrv_reset(drv);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 0);
}
END_TEST

START_TEST(shm_orphans_are_not_in_the_way_of_the_limit)
{
	for (uint64_t i = 0; i < VMM_VIRTIO_SHM_MAPPINGS_MAX; i++) {
		ck_assert_int_eq(
			vmm_virtio_shm_map(&dev.base, OTHER, i * PAGE, file, 0, PAGE, true), 0);
	}
	vmm_virtio_shm_orphan_all(&dev.base);
	ck_assert_int_eq(map(0, PAGE), 0);
	ck_assert_uint_eq(fakedrv_shm_count(drv), VMM_VIRTIO_SHM_MAPPINGS_MAX);
}
END_TEST

START_TEST(shm_reset_unmaps_everything)
{
	ck_assert_int_eq(map(0, PAGE), 0);
	ck_assert_int_eq(map(2 * PAGE, PAGE), 0);
	ck_assert_int_eq(vmm_virtio_shm_map(&dev.base, OTHER, 0, file, 0, PAGE, true), 0);
	fakedrv_reset(drv);
	ck_assert_uint_eq(fakedrv_shm_count(drv), 0);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	ck_assert_int_eq(map(0, SMALL), 0);
	/* And so does destroying, which tear_down looks at. */
}
END_TEST

START_TEST(shm_is_for_active_devices)
{
	ck_assert_int_eq(map(0, PAGE), 0);
	fakedrv_reset(drv);
	ck_assert_int_eq(map(0, PAGE), -ENOTCONN);
	ck_assert_int_eq(unmap(0, PAGE), -ENOTCONN);
}
END_TEST

START_TEST(shm_failure_to_map_leaves_nothing)
{
	int read_only = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_lt(vmm_virtio_shm_map(&dev.base, ID, 0, read_only, 0, PAGE, true), 0);
	(void)close(read_only);
	fakedrv_shm_fail(drv, -EIO);
	ck_assert_int_eq(map(0, PAGE), -EIO);
	fakedrv_shm_fail(drv, 0);
	ck_assert_int_eq(unmap(0, PAGE), -ENOENT);
	ck_assert_int_eq(map(0, PAGE), 0);
	/* What could not be unmapped is forgotten all the same. */
	fakedrv_shm_fail(drv, -EIO);
	ck_assert_int_eq(unmap(0, PAGE), -EIO);
	fakedrv_shm_fail(drv, 0);
	ck_assert_int_eq(unmap(0, PAGE), -ENOENT);
}
END_TEST

START_TEST(shm_without_a_carrier_that_can_map)
{
	struct vmm_carrier_config config = {.loop = fakedrv_loop(drv), .mem = fakedrv_mem(drv)};
	struct vmm_carrier_start start = {.features = VMM_VIRTIO_F_VERSION_1};
	struct vmm_carrier_ring rings[TESTDEV_QUEUES] = {{0}};
	struct vmm_carrier *c;
	struct testdev plain;

	testdev_init(&plain);
	plain.base.shm = regions;
	plain.base.shm_count = 1;
	ck_assert_int_eq(vmm_virtio_shm_map(&plain.base, ID, 0, file, 0, PAGE, true), -ENOTCONN);
	ck_assert_int_eq(vmm_carrier_create(&c, &plain.base, &config, NULL), 0);
	start.rings = rings;
	ck_assert_int_eq(vmm_carrier_start(c, &start), 0);
	ck_assert_int_eq(vmm_virtio_shm_map(&plain.base, ID, 0, file, 0, PAGE, true), -EOPNOTSUPP);
	ck_assert_int_eq(vmm_virtio_shm_unmap(&plain.base, ID, 0, PAGE), -EOPNOTSUPP);
	vmm_carrier_destroy(c);
}
END_TEST

static const struct {
	unsigned count;
	struct vmm_virtio_shm shm[3];
} bad[] = {
	{1, {{1, 0}}},
	{1, {{1, 2048}}},
	{1, {{1, 3 * PAGE}}},
	{1, {{1, PAGE + 1}}},
	{1, {{1, UINT64_C(1) << 63}}},
	{2, {{1, PAGE}, {1, PAGE}}},
	{2, {{2, PAGE}, {1, PAGE}}},
	{3, {{1, PAGE}, {2, PAGE}, {3, PAGE}}},
};

START_TEST(shm_regions_that_make_no_sense_are_refused)
{
	struct vmm_carrier_config config = {.loop = fakedrv_loop(drv), .mem = fakedrv_mem(drv)};
	struct vmm_error err = {0};
	struct vmm_carrier *c;
	struct testdev plain;

	testdev_init(&plain);
	plain.base.shm = bad[_i].shm;
	plain.base.shm_count = bad[_i].count;
	ck_assert_int_eq(vmm_carrier_create(&c, &plain.base, &config, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "shared memory region"));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	const struct {
		const TTest *test;
		int rounds;
	} tests[] = {
		{shm_map_shows_the_files_own_pages, 1},
		{shm_map_outside_of_the_region_is_refused, COUNT(wrong)},
		{shm_mappings_do_not_overlap, 1},
		{shm_unmap_takes_exactly_one_mapping, 1},
		{shm_mappings_are_limited, 1},
		{shm_orphans_stay_until_their_place_is_wanted, 1},
		{shm_orphans_are_not_in_the_way_of_the_limit, 1},
		{shm_reset_unmaps_everything, 1},
		{shm_is_for_active_devices, 1},
		{shm_failure_to_map_leaves_nothing, 1},
		{shm_without_a_carrier_that_can_map, 1},
		{shm_regions_that_make_no_sense_are_refused, COUNT(bad)},
	};
	Suite *suite = suite_create("carrier_shm");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, set_up, tear_down);
	}
	return suite_finish(suite);
}
