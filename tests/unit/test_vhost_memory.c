/* SPDX-License-Identifier: MIT */
/*
 * What a front end says about guest memory and the configuration space, right and wrong, and what
 * the back end says about the latter.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"
#include "test_vhost_fix.h"

#define CONFIG offsetof(struct vhost_user_config, bytes)

/* ---- configuration space ---- */

static uint32_t ask_config(struct fix *f, uint32_t offset, uint32_t size, uint8_t *bytes)
{
	struct vhost_msg reply = {0};
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, VHOST_USER_GET_CONFIG, CONFIG + size);
	msg.payload.config.offset = offset;
	msg.payload.config.size = size;
	ck_assert_int_eq(fix_ask(f, &msg, &reply), 0);
	if (reply.header.size == 0) {
		return 0;
	}
	ck_assert_uint_eq(reply.header.size, CONFIG + size);
	ck_assert_uint_eq(reply.payload.config.offset, offset);
	memcpy(bytes, reply.payload.config.bytes, size);
	return reply.payload.config.size;
}

START_TEST(config_is_read_and_past_its_end_there_are_zeroes)
{
	uint8_t bytes[VHOST_USER_CONFIG_SIZE];
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	for (uint32_t offset = 0; offset < 260; offset++) {
		for (uint32_t size = 1; size <= 256; size += offset % 7 + 1) {
			bool good = offset < 256 && size <= 256 - offset;

			SUITE_REQUIRE(ask_config(&f, offset, size, bytes) == (good ? size : 0));
			for (uint32_t i = 0; good && i < size; i++) {
				uint32_t at = offset + i;

				SUITE_REQUIRE(bytes[i] == (at < TESTDEV_CONFIG_LEN ? at + 1 : 0));
			}
		}
	}
	ck_assert_uint_eq(ask_config(&f, UINT32_MAX, 1, bytes), 0);
	ck_assert_uint_eq(ask_config(&f, UINT32_MAX - 3, 8, bytes), 0);
	fix_finish(&f);
}
END_TEST

static int tell_config(struct fix *f, uint32_t offset, uint32_t size, uint32_t flags)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, VHOST_USER_SET_CONFIG, CONFIG + size);
	msg.payload.config.offset = offset;
	msg.payload.config.size = size;
	msg.payload.config.flags = flags;
	msg.payload.config.bytes[0] = 0xaa;
	return fix_tell(f, &msg);
}

START_TEST(config_is_written_where_it_may_be)
{
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	ck_assert_int_eq(tell_config(&f, 4, 2, VHOST_USER_CONFIG_WRITABLE), 0);
	ck_assert_uint_eq(f.dev.config_writes, 1);
	ck_assert_uint_eq(f.dev.config_offset, 4);
	ck_assert_uint_eq(f.dev.config_len, 2);
	ck_assert_uint_eq(f.dev.config_bytes[0], 0xaa);
	ck_assert_int_eq(tell_config(&f, 4, 2, VHOST_USER_CONFIG_MIGRATION), 1);
	ck_assert_int_eq(tell_config(&f, 4, 2, 2), 1);
	ck_assert_int_eq(tell_config(&f, TESTDEV_CONFIG_LEN - 1, 1, 0), 0);
	ck_assert_int_eq(tell_config(&f, TESTDEV_CONFIG_LEN - 1, 2, 0), 1);
	ck_assert_int_eq(tell_config(&f, TESTDEV_CONFIG_LEN, 1, 0), 1);
	ck_assert_int_eq(tell_config(&f, UINT32_MAX, 2, 0), 1);
	ck_assert_uint_eq(f.dev.config_writes, 2);
	fix_finish(&f);
}
END_TEST

/* A guest that writes to what is read-only must not cost it the device. */
START_TEST(config_write_refused_unheard_does_not_close)
{
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_CONFIG, CONFIG + 1);
	msg.payload.config.offset = 200;
	msg.payload.config.size = 1;
	fix_send(&f, &msg);
	ck_assert(!fix_is_closed(&f));
	fix_finish(&f);
}
END_TEST

/* Catalogue row 39: a length inside the message that is not that of the message. */
START_TEST(catalogue_39_config_size_other_than_that_of_the_message_closes)
{
	static const uint32_t sizes[] = {0, 3, 5, 256, 257, UINT32_MAX};
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	vmm_vhost_msg_init(&msg, _i % 2 ? VHOST_USER_GET_CONFIG : VHOST_USER_SET_CONFIG,
			   CONFIG + 4);
	msg.payload.config.size = sizes[_i / 2];
	fix_send(&f, &msg);
	ck_assert(fix_is_closed(&f));
	ck_assert_uint_eq(f.dev.config_writes, 0);
	fix_finish(&f);
}
END_TEST

START_TEST(config_change_is_told_on_the_channel)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_BACKEND};
	uint8_t byte = 9;
	int fd;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	/* Nobody to tell. */
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 0, &byte, 1), 0);
	fd = fix_channel(&f);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, fd), 0);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 0, &byte, 1), 0);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, fd), 1);
	ck_assert_uint_eq(r.msg.header.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	ck_assert_uint_eq(r.msg.header.flags, VHOST_USER_VERSION);
	(void)close(fd);
	/* Nobody there, and then another. */
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 0, &byte, 1), 0);
	fd = fix_channel(&f);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 0, &byte, 1), 0);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, fd), 1);
	(void)close(fd);
	fix_finish(&f);
}
END_TEST

START_TEST(config_changes_that_nobody_reads_block_nothing)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_BACKEND};
	uint8_t byte = 9;
	int fd;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	fd = fix_channel(&f);
	for (int i = 0; i < 20000; i++) {
		SUITE_REQUIRE(vmm_virtio_config_update(&f.dev.base, 0, &byte, 1) == 0);
	}
	ck_assert(!fix_is_closed(&f));
	while (vmm_vhost_reader_step(&r, fd) == 1) {
	}
	ck_assert(!vmm_vhost_reader_is_half(&r));
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 0, &byte, 1), 0);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, fd), 1);
	(void)close(fd);
	fix_finish(&f);
}
END_TEST

/* ---- guest memory ---- */

/* Catalogue rows 39 and 64: count, size and descriptors have to agree. */
START_TEST(catalogue_39_64_memory_table_with_a_wrong_count_closes)
{
	static const uint32_t counts[] = {0, 1, 3, 8, 9, 0x80000000, UINT32_MAX};
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	fix_mem_table(&f, &msg);
	switch (_i) {
	case 7:
		msg.fd_count = 1;
		break;
	case 8:
		msg.fd_count = 3;
		msg.fds[2] = f.mem_fd;
		break;
	case 9:
		msg.header.size += 32;
		break;
	case 10:
		msg.header.size -= 32;
		break;
	default:
		msg.payload.mem.count = counts[_i];
		break;
	}
	fix_send(&f, &msg);
	ck_assert(fix_is_closed(&f));
	ck_assert_int_eq(f.why, -EPROTO);
	fix_finish(&f);
}
END_TEST

static void spoil_region(struct vhost_user_region *r, int how)
{
	switch (how) {
	case 0:
		r->size = 0;
		break;
	case 1:
		r->size -= 1;
		break;
	case 2:
		r->size = UINT64_MAX - 4095;
		break;
	case 3:
		r->guest_addr += 1;
		break;
	case 4:
		r->guest_addr = UINT64_MAX - 4095;
		break;
	case 5:
		r->user_addr = UINT64_MAX - 4095;
		break;
	case 6:
		r->mmap_offset = 4096; /* behind the end of the file */
		r->mmap_offset += FIX_MEM / 2;
		break;
	case 7:
		r->mmap_offset = UINT64_MAX - 4095;
		break;
	case 8:
		r->mmap_offset = 1;
		break;
	default:
		r->guest_addr = FIX_GPA_LOW + 4096; /* overlaps the other one */
		break;
	}
}

START_TEST(memory_region_that_makes_no_sense_is_refused)
{
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	fix_mem_table(&f, &msg);
	spoil_region(&msg.payload.mem.regions[1], _i);
	ck_assert_int_eq(fix_tell(&f, &msg), 1);
	ck_assert_ptr_null(f.b->mem);
	/* The same one by one. */
	vmm_vhost_msg_init(&msg, VHOST_USER_ADD_MEM_REG, sizeof(msg.payload.reg));
	fix_mem_table(&f, &msg);
	msg.payload.reg.region = msg.payload.mem.regions[0];
	msg.header.request = VHOST_USER_ADD_MEM_REG;
	msg.header.size = sizeof(msg.payload.reg);
	msg.fd_count = 1;
	ck_assert_int_eq(fix_tell(&f, &msg), 0);
	msg.header.flags = VHOST_USER_VERSION;
	msg.payload.reg.region.guest_addr = FIX_GPA_HIGH;
	spoil_region(&msg.payload.reg.region, _i);
	ck_assert_int_eq(fix_tell(&f, &msg), 1);
	/* And then all is well again. */
	fix_give_memory(&f);
	ck_assert_uint_eq(vmm_mem_size(f.b->mem), FIX_MEM);
	fix_finish(&f);
}
END_TEST

/* Of files that are none, or cannot be written. */
START_TEST(memory_of_an_odd_descriptor_is_refused)
{
	struct vhost_msg msg;
	struct fix f;
	int fd = _i == 0   ? eventfd(0, EFD_CLOEXEC)
		 : _i == 1 ? open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
			   : open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	fix_mem_table(&f, &msg);
	msg.fds[1] = fd;
	msg.payload.mem.regions[1].size = 4096;
	msg.payload.mem.regions[1].mmap_offset = 0;
	ck_assert_int_eq(fix_tell(&f, &msg), 1);
	fix_finish(&f);
	(void)close(fd);
}
END_TEST

START_TEST(memory_grows_and_shrinks_by_regions)
{
	struct vhost_msg table;
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_MAX_MEM_SLOTS), 8);
	fix_mem_table(&f, &table);
	for (unsigned i = 0; i < 9; i++) {
		vmm_vhost_msg_init(&msg, VHOST_USER_ADD_MEM_REG, sizeof(msg.payload.reg));
		msg.payload.reg.region = table.payload.mem.regions[0];
		msg.payload.reg.region.guest_addr = i * FIX_MEM;
		msg.payload.reg.region.user_addr = FIX_USER_LOW + i * FIX_MEM;
		msg.fds[0] = f.mem_fd;
		msg.fd_count = 1;
		ck_assert_int_eq(fix_tell(&f, &msg), i == 8);
	}
	ck_assert_uint_eq(vmm_mem_size(f.b->mem), 8 * FIX_MEM / 2);
	for (unsigned i = 0; i < 8; i++) {
		vmm_vhost_msg_init(&msg, VHOST_USER_REM_MEM_REG, sizeof(msg.payload.reg));
		msg.payload.reg.region = table.payload.mem.regions[0];
		msg.payload.reg.region.guest_addr = i * FIX_MEM;
		msg.payload.reg.region.user_addr = FIX_USER_LOW + i * FIX_MEM;
		/* The offset does not count, and a descriptor is closed. */
		msg.payload.reg.region.mmap_offset = 1234;
		msg.fds[0] = f.mem_fd;
		msg.fd_count = i % 2;
		ck_assert_int_eq(fix_tell(&f, &msg), 0);
		ck_assert_int_eq(fix_tell(&f, &msg), 1);
	}
	ck_assert_ptr_null(f.b->mem);
	fix_finish(&f);
}
END_TEST

START_TEST(memory_that_can_shrink_is_refused_where_the_process_is_sealed)
{
	struct vhost_msg msg;
	struct fix f;
	int fd = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, (off_t)FIX_MEM), 0);
	fix_init_with(&f, NULL, _i == 1);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	fix_mem_table(&f, &msg);
	msg.fds[1] = fd;
	ck_assert_int_eq(fix_tell(&f, &msg), _i);
	fix_finish(&f);
	(void)close(fd);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{config_is_read_and_past_its_end_there_are_zeroes, 1},
		{config_is_written_where_it_may_be, 1},
		{config_write_refused_unheard_does_not_close, 1},
		{catalogue_39_config_size_other_than_that_of_the_message_closes, 12},
		{config_change_is_told_on_the_channel, 1},
		{config_changes_that_nobody_reads_block_nothing, 1},
		{catalogue_39_64_memory_table_with_a_wrong_count_closes, 11},
		{memory_region_that_makes_no_sense_is_refused, 10},
		{memory_of_an_odd_descriptor_is_refused, 3},
		{memory_grows_and_shrinks_by_regions, 1},
		{memory_that_can_shrink_is_refused_where_the_process_is_sealed, 2},
	};

	return suite_run_looped("vhost-memory", tests, sizeof(tests) / sizeof(tests[0]));
}
