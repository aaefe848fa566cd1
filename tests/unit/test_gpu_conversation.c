/* SPDX-License-Identifier: MIT */
/* Whole conversations of programs in the guest with a compositor, through virtio-gpu's contexts. */
#include "test_gpu_context_fix.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int recv_fd(int socket, size_t len)
{
	uint8_t bytes[256];
	struct iovec iov = {bytes, sizeof(bytes)};
	int fds[XD_IDS_MAX];
	unsigned count;

	ck_assert_int_eq(vmm_gpu_recv_fds(socket, &iov, fds, &count), (ssize_t)len);
	ck_assert_uint_eq(count, 1);
	return fds[0];
}

static size_t put_pool(uint8_t *buf, uint32_t size)
{
	return wlmsg(buf, SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", FREE_ID, size);
}

START_TEST(client_sees_the_globals_of_the_list_alone)
{
	struct gpu_client c;
	struct gpu_fix f;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	gpu_client_bind(&c);
	gpu_stop(&f);
}
END_TEST

/* What the filter refuses is an end of file to the client and a closed connection to the host. */
START_TEST(hostile_client_that_breaks_the_protocol_is_hung_up)
{
	const char *const interfaces[] = {"zwlr_screencopy_manager_v1", "wl_compositor"};
	uint8_t buf[WLMSG_MAX];
	struct gpu_client c;
	struct gpu_fix f;
	size_t len;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	gpu_client_bind(&c);
	/* The one is on no list, the other was not announced. */
	len = wlmsg(buf, REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 4u, interfaces[_i], 1u,
		    FREE_ID);
	ck_assert_uint_ge(gpu_client_send(&c, buf, len, 0, NULL, NULL), RESP_ERR_UNSPEC);
	ck_assert_int_eq(recv(c.compositor, buf, sizeof(buf), MSG_DONTWAIT), 0);
	ck_assert_uint_eq(gpu_client_receive(&c)->len, 0);
	gpu_stop(&f);
}
END_TEST

START_TEST(compositor_that_breaks_the_protocol_is_hung_up)
{
	uint8_t buf[WLMSG_MAX];
	struct gpu_client c;
	struct gpu_fix f;
	size_t len;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	gpu_client_bind(&c);
	len = wlmsg(buf, 77, 3, "");
	ck_assert_int_eq(write(c.compositor, buf, len), (ssize_t)len);
	ck_assert_uint_eq(gpu_client_receive(&c)->len, 0);
	ck_assert_int_eq(recv(c.compositor, buf, sizeof(buf), MSG_DONTWAIT), 0);
	gpu_stop(&f);
}
END_TEST

/* More than the filter gives out at a time, and more than one sendmsg has. */
START_TEST(many_requests_of_one_submit_all_go_through)
{
	static uint8_t payload[60000];
	static uint8_t heard[60000];
	struct xd_send send = {.h = {.cmd = XD_SEND}};
	struct gpu_client c;
	struct gpu_fix f;
	size_t len = sizeof(send);
	size_t got = 0;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	gpu_client_bind(&c);
	for (uint32_t i = 0; i < 4000; i++) {
		len += wlmsg(payload + len, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u",
			     FREE_ID + i);
	}
	send.h.size = (uint16_t)len;
	send.len = (uint32_t)(len - sizeof(send));
	memcpy(payload, &send, sizeof(send));
	ck_assert_uint_eq(gpu_submit(&f, 3, payload, len), RESP_OK_NODATA);
	for (ssize_t n = 1; n > 0; got += n > 0 ? (size_t)n : 0) {
		n = recv(c.compositor, heard + got, sizeof(heard) - got, MSG_DONTWAIT);
	}
	ck_assert_uint_eq(got, send.len);
	ck_assert_mem_eq(heard, payload + sizeof(send), got);
	gpu_stop(&f);
}
END_TEST

/* What the filter answers in the compositor's stead, and in the client's. */
START_TEST(answers_of_the_filter_go_where_the_question_came_from)
{
	enum { SOURCE = FREE_ID, DEVICE };
	const struct vmm_gpu_config config = {.contexts = true, .vm_name = "vm"};
	uint8_t buf[WLMSG_MAX];
	struct gpu_client c;
	struct gpu_fix f;
	uint8_t heard[64];
	size_t len;

	gpu_start(&f, &config);
	gpu_client_start(&c, &f, 3, 10);
	gpu_client_bind(&c);
	len = wlmsg(buf, DATA_MANAGER, VMM_WL_RQ_WL_DATA_DEVICE_MANAGER_CREATE_DATA_SOURCE, "u",
		    SOURCE);
	len += wlmsg(buf + len, DATA_MANAGER, VMM_WL_RQ_WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE,
		     "uu", DEVICE, SEAT);
	gpu_client_says(&c, buf, len);
	/* Nothing may leave: the compositor never hears of it, the client hears that it is over. */
	len = wlmsg(buf, DEVICE, VMM_WL_RQ_WL_DATA_DEVICE_SET_SELECTION, "uu", SOURCE, 1u);
	ck_assert_uint_eq(gpu_client_send(&c, buf, len, 0, NULL, NULL), RESP_OK_NODATA);
	ck_assert_int_lt(recv(c.compositor, heard, sizeof(heard), MSG_DONTWAIT), 0);
	len = wlmsg(buf, SOURCE, VMM_WL_EV_WL_DATA_SOURCE_CANCELLED, "");
	ck_assert_uint_eq(gpu_client_receive(&c)->len, len);
	ck_assert_mem_eq(c.ring + sizeof(struct xd_send), buf, len);
	/* Nothing may come in: the offer is destroyed for the client, which is not told. */
	len = wlmsg(buf, DEVICE, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u", VMM_WL_SERVER_BASE);
	len += wlmsg(buf + len, DEVICE, VMM_WL_EV_WL_DATA_DEVICE_SELECTION, "u",
		     VMM_WL_SERVER_BASE);
	ck_assert_int_eq(write(c.compositor, buf, len), (ssize_t)len);
	ck_assert_int_ge(gpu_client_poll(&c, 0, 1), 0);
	fakedrv_kick(f.drv, 0);
	len = wlmsg(buf, VMM_WL_SERVER_BASE, VMM_WL_RQ_WL_DATA_OFFER_DESTROY, "");
	ck_assert_int_eq(recv(c.compositor, heard, sizeof(heard), MSG_DONTWAIT), (ssize_t)len);
	ck_assert_mem_eq(heard, buf, len);
	gpu_stop(&f);
}
END_TEST

START_TEST(keymap_becomes_a_blob_with_the_same_bytes)
{
	const size_t size = 23851;
	const struct xd_send *m;
	uint8_t *map = malloc(size);
	struct gpu_client c;
	struct gpu_fix f;
	uint8_t buf[WLMSG_MAX];
	struct iovec iov = {buf, 0};
	uint8_t *seen;
	int fd;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	gpu_client_bind(&c);
	for (size_t i = 0; i < size; i++) {
		map[i] = (uint8_t)(i * 7 + i / 255);
	}
	fd = memfd_create("keymap", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, map, size), (ssize_t)size);
	iov.iov_len = wlmsg(buf, KEYBOARD, VMM_WL_EV_WL_KEYBOARD_KEYMAP, "uu", 1u, (uint32_t)size);
	ck_assert_int_eq(vmm_gpu_send_fds(c.compositor, &iov, &fd, 1), (ssize_t)iov.iov_len);
	(void)close(fd);
	m = gpu_client_receive(&c);
	ck_assert_uint_eq(m->len, iov.iov_len);
	ck_assert_uint_eq(m->ids, 1);
	ck_assert_uint_eq(m->type[0], XD_ID_BLOB);
	ck_assert_uint_eq(m->id_size[0], size);
	ck_assert_uint_eq(gpu_host_blob(&f, 3, 20, m->id[0], 24576, 1), RESP_OK_NODATA);
	/* It was for one use. */
	ck_assert_uint_eq(gpu_host_blob(&f, 3, 21, m->id[0], 24576, 1), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_map(&f, 20, 1u << 20), RESP_OK_MAP_INFO);
	ck_assert_uint_eq(((const struct gpu_map_info *)(const void *)f.answer)->info, 1);
	seen = fakedrv_shm(f.drv, 1, 1u << 20, 24576);
	ck_assert_ptr_nonnull(seen);
	ck_assert_mem_eq(seen, map, size);
	ck_assert_uint_eq(seen[size], 0);
	seen[0] = 0xff;
	ck_assert_uint_eq(gpu_unref(&f, 20), RESP_OK_NODATA);
	ck_assert_uint_eq(fakedrv_shm_count(f.drv), 0);
	free(map);
	gpu_stop(&f);
}
END_TEST

/* The guest draws into a blob; the compositor, which was given it as a pool, sees that. */
START_TEST(pool_is_the_memory_that_the_guest_writes_to)
{
	const uint32_t res = 20;
	const uint32_t type = XD_ID_BLOB;
	struct gpu_client c;
	struct gpu_fix f;
	uint8_t buf[WLMSG_MAX];
	uint8_t *drawn;
	uint8_t *seen;
	uint32_t item;
	size_t len;
	int fd;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	gpu_client_bind(&c);
	item = gpu_client_template(&c, 65536);
	ck_assert_uint_eq(gpu_host_blob(&f, 3, res, item, 65536, 1), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_map(&f, res, 0), RESP_OK_MAP_INFO);
	ck_assert_uint_eq(gpu_attach(&f, 3, res), RESP_OK_NODATA);
	len = put_pool(buf, 65536);
	ck_assert_uint_eq(gpu_client_send(&c, buf, len, 1, &res, &type), RESP_OK_NODATA);
	fd = recv_fd(c.compositor, len);
	seen = mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(seen, MAP_FAILED);
	drawn = fakedrv_shm(f.drv, 1, 0, 65536);
	memset(drawn, 0xab, 65536);
	ck_assert_uint_eq(seen[65535], 0xab);
	/* The compositor's copy lives on. */
	ck_assert_uint_eq(gpu_unmap(&f, res), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_unref(&f, res), RESP_OK_NODATA);
	ck_assert_uint_eq(seen[65535], 0xab);
	(void)munmap(seen, 65536);
	(void)close(fd);
	gpu_stop(&f);
}
END_TEST

START_TEST(resource_of_another_context_is_not_sent)
{
	const uint32_t type = XD_ID_BLOB;
	const uint32_t res = 20;
	struct gpu_client c[2];
	struct gpu_fix f;
	uint8_t buf[WLMSG_MAX];
	uint32_t item;
	size_t len;

	gpu_start(&f, NULL);
	gpu_client_start(&c[0], &f, 3, 10);
	gpu_client_start(&c[1], &f, 4, 30);
	gpu_client_bind(&c[0]);
	item = gpu_client_template(&c[1], 4096);
	/* Items are a context's own as well. */
	ck_assert_uint_eq(gpu_host_blob(&f, 3, res, item, 4096, 1), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_host_blob(&f, 4, res, item, 4096, 1), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_attach(&f, 4, res), RESP_OK_NODATA);
	len = put_pool(buf, 4096);
	ck_assert_uint_ge(gpu_client_send(&c[0], buf, len, 1, &res, &type), RESP_ERR_UNSPEC);
	ck_assert_uint_eq(gpu_attach(&f, 3, res), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_detach(&f, 3, res), RESP_OK_NODATA);
	ck_assert_uint_ge(gpu_client_send(&c[0], buf, len, 1, &res, &type), RESP_ERR_UNSPEC);
	ck_assert_int_lt(recv(c[0].compositor, buf, sizeof(buf), MSG_DONTWAIT), 0);
	gpu_stop(&f);
}
END_TEST

START_TEST(context_in_the_place_of_another_inherits_nothing)
{
	const uint32_t type = XD_ID_BLOB;
	const uint32_t res = 20;
	uint8_t buf[WLMSG_MAX];
	struct gpu_client c;
	struct gpu_fix f;
	size_t len;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	ck_assert_uint_eq(gpu_host_blob(&f, 3, res, gpu_client_template(&c, 4096), 4096, 1),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_attach(&f, 3, res), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 3), RESP_OK_NODATA);
	gpu_client_start(&c, &f, 4, 30);
	gpu_client_bind(&c);
	len = put_pool(buf, 4096);
	ck_assert_uint_ge(gpu_client_send(&c, buf, len, 1, &res, &type), RESP_ERR_UNSPEC);
	gpu_stop(&f);
}
END_TEST

/* The device writes to a ring that is a ring, and only while the context has it. */
START_TEST(hostile_ring_that_is_taken_away_is_not_written)
{
	struct fakedrv_used used;
	struct gpu_client c;
	struct gpu_fix f;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	ck_assert_int_ge(gpu_client_poll(&c, 0, 1), 0);
	fakedrv_kick(f.drv, 0);
	if (_i == 0) {
		ck_assert_uint_eq(gpu_detach(&f, 3, 11), RESP_OK_NODATA);
	} else if (_i == 1) {
		ck_assert_uint_eq(gpu_unref(&f, 11), RESP_OK_NODATA);
	} else {
		/* Another resource with the number of the ring. */
		ck_assert_uint_eq(gpu_unref(&f, 11), RESP_OK_NODATA);
		ck_assert_uint_eq(gpu_guest_blob(&f, 11, c.ring, 4096, 4096), RESP_OK_NODATA);
	}
	memset(c.ring, 0xee, XD_RING_SIZE);
	(void)close(c.compositor);
	f.compositors[0] = -1;
	fakedrv_run(f.drv);
	/* The fence comes back all the same. */
	ck_assert(fakedrv_used(f.drv, 0, &used));
	for (unsigned i = 0; i < XD_RING_SIZE; i++) {
		SUITE_REQUIRE(c.ring[i] == 0xee);
	}
	gpu_stop(&f);
}
END_TEST

/* Rings without memory, or with less than a message, crashed another implementation. */
START_TEST(hostile_ring_without_room_is_no_ring)
{
	struct xd_init init = {
		.h = {.cmd = XD_INIT, .size = sizeof(init)},
		.query_ring = 10,
		.channel_ring = 11,
		.channel_type = XD_CHANNEL_WAYLAND,
	};
	struct gpu_fix f;
	uint8_t *page;

	gpu_start(&f, NULL);
	page = fakedrv_alloc(f.drv, 8192);
	ck_assert_uint_eq(gpu_ctx_create(&f, 3, 5), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_submit(&f, 3, &init, sizeof(init)), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_ge(gpu_guest_blob(&f, 10, page, 0, 1), RESP_ERR_UNSPEC);
	ck_assert_uint_eq(gpu_guest_blob(&f, 10, page, 31, 31), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_guest_blob(&f, 11, page, 4096, 4096), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_attach(&f, 3, 10), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_attach(&f, 3, 11), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_submit(&f, 3, &init, sizeof(init)), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_unref(&f, 10), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_guest_blob(&f, 10, page, 64, 1), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_submit(&f, 3, &init, sizeof(init)), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_attach(&f, 3, 10), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_submit(&f, 3, &init, sizeof(init)), RESP_OK_NODATA);
	gpu_stop(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{client_sees_the_globals_of_the_list_alone, 1},
		{hostile_client_that_breaks_the_protocol_is_hung_up, 2},
		{compositor_that_breaks_the_protocol_is_hung_up, 1},
		{keymap_becomes_a_blob_with_the_same_bytes, 1},
		{pool_is_the_memory_that_the_guest_writes_to, 1},
		{resource_of_another_context_is_not_sent, 1},
		{context_in_the_place_of_another_inherits_nothing, 1},
		{many_requests_of_one_submit_all_go_through, 1},
		{answers_of_the_filter_go_where_the_question_came_from, 1},
		{hostile_ring_that_is_taken_away_is_not_written, 3},
		{hostile_ring_without_room_is_no_ring, 1},
	};

	return suite_run_looped("gpu_conversation", tests, sizeof(tests) / sizeof(tests[0]));
}
