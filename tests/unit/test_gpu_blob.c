/* SPDX-License-Identifier: MIT */
/* virtio-gpu's blobs: made, mapped into the shared memory region, counted, freed. */
#include "test_gpu_context_fix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAPPABLE 1u
#define SHM_LEN  (1u << 20)

static void start(struct gpu_fix *f, struct gpu_client *c, uint64_t blobs_max)
{
	const struct vmm_gpu_config config = {
		.contexts = true,
		.shm_len = SHM_LEN,
		.blobs_max = blobs_max,
	};

	gpu_start(f, &config);
	gpu_client_start(c, f, 3, 10);
}

/* A host blob of len bytes that is not mapped. */
static void make(struct gpu_client *c, uint32_t res, uint32_t len)
{
	ck_assert_uint_eq(
		gpu_host_blob(c->f, c->ctx, res, gpu_client_template(c, len), len, MAPPABLE),
		RESP_OK_NODATA);
}

struct counter {
	const char *name;
	uint64_t value;
};

static void look(void *ctx, const char *name, uint64_t value)
{
	struct counter *c = ctx;

	if (strcmp(c->name, name) == 0) {
		c->value = value;
	}
}

static uint64_t counter(struct gpu_fix *f, const char *name)
{
	struct counter c = {name, UINT64_MAX};

	f->dev->ops->counters(f->dev, look, &c);
	ck_assert_uint_ne(c.value, UINT64_MAX);
	return c.value;
}

START_TEST(blob_that_makes_no_sense_is_refused)
{
	struct gpu_create_blob cmd = {.resource_id = 20, .mem = 3, .flags = 1, .size = 4096};
	struct gpu_client c;
	struct gpu_fix f;
	uint32_t item;

	start(&f, &c, 0);
	item = gpu_client_template(&c, 4096);
	/* Both kinds of memory at once, none, one that does not exist. */
	for (uint32_t mem = 0; mem < 6; mem++) {
		cmd.mem = mem;
		cmd.blob_id = item;
		cmd.count = mem == BLOB_MEM_HOST3D;
		ck_assert_uint_ge(gpu_do(&f, CMD_RESOURCE_CREATE_BLOB, 3, &cmd, sizeof(cmd)),
				  RESP_ERR_UNSPEC);
	}
	ck_assert_uint_eq(gpu_host_blob(&f, 3, 0, item, 4096, 1), RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpu_host_blob(&f, 3, 20, item, 0, 1), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_host_blob(&f, 3, 20, item, 4097, 1), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_host_blob(&f, 3, 20, item, UINT64_MAX, 1),
			  RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_host_blob(&f, 3, 20, item + 1, 4096, 1), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_host_blob(&f, 4, 20, item, 4096, 1), RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_map(&f, 20, 0), RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpu_host_blob(&f, 3, 20, item, 4096, 1), RESP_OK_NODATA);
	ck_assert_uint_eq(counter(&f, "blob_bytes"), 4096);
	gpu_stop(&f);
}
END_TEST

START_TEST(guest_blob_needs_all_its_memory)
{
	struct gpu_client c;
	struct gpu_fix f;
	uint8_t *page;
	struct {
		struct gpu_create_blob cmd;
		struct gpu_mem_entry entry[2];
	} all = {.cmd = {.resource_id = 20, .mem = BLOB_MEM_GUEST, .count = 2, .size = 8192}};

	start(&f, &c, 0);
	page = fakedrv_alloc(f.drv, 8192);
	all.entry[0] = (struct gpu_mem_entry){.addr = fakedrv_gpa(f.drv, page), .length = 4096};
	all.entry[1] = all.entry[0];
	all.entry[1].length = 4095;
	ck_assert_uint_ge(gpu_do(&f, CMD_RESOURCE_CREATE_BLOB, 0, &all, sizeof(all)),
			  RESP_ERR_UNSPEC);
	/* Not in RAM: a hole, the end of all addresses, the shared memory region itself. */
	all.entry[1].length = 4096;
	for (unsigned i = 0; i < 3; i++) {
		all.entry[1].addr = i == 0 ? MEMFIX_HOLE : i == 1 ? UINT64_MAX - 4095 : 1ull << 40;
		ck_assert_uint_ge(gpu_do(&f, CMD_RESOURCE_CREATE_BLOB, 0, &all, sizeof(all)),
				  RESP_ERR_UNSPEC);
	}
	/* Fewer entries than it says. */
	all.entry[1] = all.entry[0];
	ck_assert_uint_ge(gpu_do(&f, CMD_RESOURCE_CREATE_BLOB, 0, &all, sizeof(all) - 1),
			  RESP_ERR_UNSPEC);
	all.cmd.count = UINT32_MAX;
	ck_assert_uint_ge(gpu_do(&f, CMD_RESOURCE_CREATE_BLOB, 0, &all, sizeof(all)),
			  RESP_ERR_UNSPEC);
	all.cmd.count = 2;
	ck_assert_uint_eq(gpu_do(&f, CMD_RESOURCE_CREATE_BLOB, 0, &all, sizeof(all)),
			  RESP_OK_NODATA);
	gpu_stop(&f);
}
END_TEST

START_TEST(blob_is_mapped_where_the_guest_says_and_nowhere_else)
{
	struct gpu_client c;
	struct gpu_fix f;
	uint8_t *p;

	start(&f, &c, 0);
	make(&c, 20, 10000);
	ck_assert_uint_eq(gpu_map(&f, 20, SHM_LEN - 3 * 4096), RESP_OK_MAP_INFO);
	p = fakedrv_shm(f.drv, 1, SHM_LEN - 3 * 4096, 3 * 4096);
	ck_assert_ptr_nonnull(p);
	p[0] = 1;
	p[3 * 4096 - 1] = 2; /* the last page is whole */
	ck_assert_ptr_null(fakedrv_shm(f.drv, 1, SHM_LEN - 4 * 4096, 1));
	ck_assert_uint_eq(gpu_map(&f, 20, 0), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_unmap(&f, 20), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_unmap(&f, 20), RESP_ERR_INVALID_PARAMETER);
	ck_assert_ptr_null(fakedrv_shm(f.drv, 1, SHM_LEN - 3 * 4096, 1));
	ck_assert_uint_eq(gpu_map(&f, 20, 0), RESP_OK_MAP_INFO);
	p = fakedrv_shm(f.drv, 1, 0, 3 * 4096);
	ck_assert_uint_eq(p[0], 1);
	ck_assert_uint_eq(p[3 * 4096 - 1], 2);
	gpu_stop(&f);
}
END_TEST

/* The sum wrapped in another implementation, and one version logged that and mapped anyway. */
START_TEST(hostile_map_outside_of_the_window_is_refused)
{
	const uint64_t offsets[] = {
		SHM_LEN,    SHM_LEN - 4096,    1,          4095,       UINT64_MAX - 4095,
		UINT64_MAX, UINT64_MAX - 8191, 1ull << 63, 1ull << 32,
	};
	struct gpu_client c;
	struct gpu_fix f;

	start(&f, &c, 0);
	make(&c, 20, 8192);
	for (unsigned i = 0; i < 9; i++) {
		ck_assert_uint_eq(gpu_map(&f, 20, offsets[i]), RESP_ERR_INVALID_PARAMETER);
	}
	ck_assert_uint_eq(fakedrv_shm_count(f.drv), 0);
	gpu_stop(&f);
}
END_TEST

START_TEST(hostile_maps_do_not_overlap)
{
	struct gpu_client c;
	struct gpu_fix f;

	start(&f, &c, 0);
	make(&c, 20, 8192);
	make(&c, 21, 8192);
	ck_assert_uint_eq(gpu_map(&f, 20, 8192), RESP_OK_MAP_INFO);
	ck_assert_uint_eq(gpu_map(&f, 21, 4096), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_map(&f, 21, 8192), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_map(&f, 21, 12288), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_map(&f, 21, 16384), RESP_OK_MAP_INFO);
	gpu_stop(&f);
}
END_TEST

/* Bits of flags that nobody knows made another implementation stop. */
START_TEST(hostile_flags_mean_nothing)
{
	struct gpu_client c;
	struct gpu_fix f;
	uint32_t item;

	start(&f, &c, 0);
	item = gpu_client_template(&c, 4096);
	for (uint32_t bit = 0; bit < 32; bit++) {
		ck_assert_uint_eq(gpu_host_blob(&f, 3, 20, item, 4096, 1u << bit), RESP_OK_NODATA);
		ck_assert_uint_eq(gpu_map(&f, 20, 0),
				  bit == 0 ? RESP_OK_MAP_INFO : RESP_ERR_INVALID_PARAMETER);
		ck_assert_uint_eq(gpu_unref(&f, 20), RESP_OK_NODATA);
	}
	gpu_stop(&f);
}
END_TEST

START_TEST(only_host_memory_is_mapped)
{
	struct gpu_client c;
	struct gpu_fix f;

	start(&f, &c, 0);
	ck_assert_uint_eq(gpu_map(&f, 10, 0), RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpu_unmap(&f, 10), RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpu_map(&f, 99, 0), RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpu_unmap(&f, 99), RESP_ERR_INVALID_RESOURCE_ID);
	gpu_stop(&f);
}
END_TEST

START_TEST(host_that_cannot_map_says_so)
{
	struct gpu_client c;
	struct gpu_fix f;

	start(&f, &c, 0);
	make(&c, 20, 4096);
	fakedrv_shm_fail(f.drv, -ENOMEM);
	ck_assert_uint_eq(gpu_map(&f, 20, 0), RESP_ERR_OUT_OF_MEMORY);
	fakedrv_shm_fail(f.drv, -EPIPE);
	ck_assert_uint_eq(gpu_map(&f, 20, 0), RESP_ERR_UNSPEC);
	fakedrv_shm_fail(f.drv, 0);
	ck_assert_uint_eq(gpu_map(&f, 20, 0), RESP_OK_MAP_INFO);
	gpu_stop(&f);
}
END_TEST

/* CVE-2021-3544, CVE-2017-5578, CVE-2017-5552, CVE-2017-9060, CVE-2016-7994, CVE-2016-9846,
 * CVE-2016-9912: what a failure in the middle left behind was never freed. */
START_TEST(hostile_reuse_of_an_id_leaks_nothing)
{
	struct gpu_client c;
	struct gpu_fix f;
	uint64_t memory;
	unsigned before;
	uint32_t item;

	start(&f, &c, 1u << 20);
	item = gpu_client_template(&c, 4096);
	make(&c, 20, 8192);
	before = fdcount();
	memory = counter(&f, "memory_bytes");
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_uint_ge(gpu_host_blob(&f, 3, 20, item, 4096, 1), RESP_ERR_UNSPEC);
		ck_assert_uint_ge(gpu_host_blob(&f, 3, 0, item, 4096, 1), RESP_ERR_UNSPEC);
		ck_assert_uint_ge(gpu_guest_blob(&f, 20, c.ring, 4096, 1000), RESP_ERR_UNSPEC);
	}
	ck_assert_uint_eq(fdcount(), before);
	ck_assert_uint_eq(counter(&f, "blob_bytes"), 8192);
	ck_assert_uint_eq(counter(&f, "memory_bytes"), memory);
	ck_assert_uint_eq(gpu_map(&f, 20, 0), RESP_OK_MAP_INFO);
	gpu_stop(&f);
}
END_TEST

START_TEST(blobs_stop_at_the_budget_of_the_vm)
{
	struct gpu_client c;
	struct gpu_client d;
	struct gpu_fix f;
	uint32_t item;

	start(&f, &c, 64u << 10);
	gpu_client_start(&d, &f, 4, 30);
	make(&c, 50, 40u << 10);
	item = gpu_client_template(&d, 32u << 10);
	ck_assert_uint_eq(gpu_host_blob(&f, 4, 51, item, 32u << 10, 1), RESP_ERR_OUT_OF_MEMORY);
	ck_assert_uint_eq(gpu_host_blob(&f, 4, 51, item, 24u << 10, 1), RESP_OK_NODATA);
	ck_assert_uint_eq(counter(&f, "blob_bytes"), 64u << 10);
	/* A blob outlives its context, and is counted as long. */
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 3), RESP_OK_NODATA);
	ck_assert_uint_eq(counter(&f, "blob_bytes"), 64u << 10);
	ck_assert_uint_eq(gpu_unref(&f, 50), RESP_OK_NODATA);
	ck_assert_uint_eq(counter(&f, "blob_bytes"), 24u << 10);
	ck_assert_uint_eq(counter(&f, "contexts"), 1);
	gpu_stop(&f);
}
END_TEST

static unsigned long resident_kb(void)
{
	unsigned long size;
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%lu %lu", &size, &pages), 2);
	(void)fclose(file);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

START_TEST(thousand_cycles_leave_everything_flat)
{
	unsigned long resident = 0;
	struct gpu_client c;
	struct gpu_fix f;
	unsigned before;
	uint32_t item;

	start(&f, &c, 8u << 20);
	item = gpu_client_template(&c, 256u << 10);
	before = fdcount();
	for (unsigned i = 0; i < 1100; i++) {
		uint8_t *p;

		SUITE_REQUIRE(gpu_host_blob(&f, 3, 100 + i, item, 256u << 10, 1) == RESP_OK_NODATA);
		SUITE_REQUIRE(gpu_attach(&f, 3, 100 + i) == RESP_OK_NODATA);
		SUITE_REQUIRE(gpu_map(&f, 100 + i, i % 3 * (256u << 10)) == RESP_OK_MAP_INFO);
		p = fakedrv_shm(f.drv, 1, i % 3 * (256u << 10), 256u << 10);
		SUITE_REQUIRE(p);
		memset(p, (int)i, 256u << 10);
		if (i % 2 == 0) {
			SUITE_REQUIRE(gpu_unmap(&f, 100 + i) == RESP_OK_NODATA);
		}
		SUITE_REQUIRE(gpu_unref(&f, 100 + i) == RESP_OK_NODATA);
		if (i == 100) {
			resident = resident_kb();
		}
	}
	ck_assert_uint_eq(fdcount(), before);
	ck_assert_uint_eq(fakedrv_shm_count(f.drv), 0);
	ck_assert_uint_eq(counter(&f, "blob_bytes"), 0);
	/* 250 MB were written. The sanitizer keeps what was freed for a while. */
	ck_assert_uint_lt(resident_kb(), resident + 8192);
	gpu_stop(&f);
}
END_TEST

START_TEST(uuids_are_of_the_resources_own)
{
	uint8_t first[16];
	struct gpu_client c;
	struct gpu_fix f;

	start(&f, &c, 0);
	for (uint32_t res = 10; res <= 11; res++) {
		const struct gpu_resource_id cmd = {.resource_id = res};
		const struct gpu_uuid *a = (const void *)f.answer;

		ck_assert_uint_eq(gpu_do(&f, CMD_RESOURCE_ASSIGN_UUID, 0, &cmd, sizeof(cmd)),
				  RESP_OK_RESOURCE_UUID);
		if (res == 11) {
			ck_assert_mem_ne(a->uuid, first, sizeof(first));
		}
		memcpy(first, a->uuid, sizeof(first));
		ck_assert_uint_eq(gpu_do(&f, CMD_RESOURCE_ASSIGN_UUID, 0, &cmd, sizeof(cmd)),
				  RESP_OK_RESOURCE_UUID);
		ck_assert_mem_eq(a->uuid, first, sizeof(first));
	}
	{
		const struct gpu_resource_id cmd = {.resource_id = 12};

		ck_assert_uint_eq(gpu_do(&f, CMD_RESOURCE_ASSIGN_UUID, 0, &cmd, sizeof(cmd)),
				  RESP_ERR_INVALID_RESOURCE_ID);
	}
	gpu_stop(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{blob_that_makes_no_sense_is_refused, 1},
		{guest_blob_needs_all_its_memory, 1},
		{blob_is_mapped_where_the_guest_says_and_nowhere_else, 1},
		{hostile_map_outside_of_the_window_is_refused, 1},
		{hostile_maps_do_not_overlap, 1},
		{hostile_flags_mean_nothing, 1},
		{only_host_memory_is_mapped, 1},
		{host_that_cannot_map_says_so, 1},
		{hostile_reuse_of_an_id_leaks_nothing, 1},
		{blobs_stop_at_the_budget_of_the_vm, 1},
		{thousand_cycles_leave_everything_flat, 1},
		{uuids_are_of_the_resources_own, 1},
	};

	return suite_run_looped("gpu_blob", tests, sizeof(tests) / sizeof(tests[0]));
}
