/* SPDX-License-Identifier: MIT */
/* The channel of virtio-gpu: descriptors both ways, files that become blobs, pipes. */
#include "test_gpu_channel_fix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdcount.h"

#define FIRST_PIPE (XD_READ_PIPE_START + 1)

static const uint32_t pipe_type = XD_ID_READ_PIPE;
static const uint32_t blob_type = XD_ID_BLOB;

/* ---- to the compositor ---- */

START_TEST(a_blob_goes_as_the_memory_it_is)
{
	const uint32_t id = BLOB;
	struct channel_fix f;
	struct stat blob;
	struct stat came;
	unsigned count;
	char bytes[8];
	int fd;

	channel_start_open(&f, NULL);
	f.blob = pattern_file(8192, 1);
	ck_assert_int_eq(channel_send(&f, "pool", 4, 1, &id, &blob_type), 0);
	ck_assert_uint_eq(compositor_hears(&f, bytes, sizeof(bytes), &fd, &count), 4);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(fstat(f.blob, &blob), 0);
	ck_assert_int_eq(fstat(fd, &came), 0);
	ck_assert_uint_eq(blob.st_ino, came.st_ino);
	(void)close(fd);
	channel_stop(&f);
}
END_TEST

START_TEST(what_a_context_does_not_have_is_not_sent)
{
	const uint32_t ids[] = {BLOB, BLOB + 1, 0, UINT32_MAX};
	const uint32_t types[] = {0, 2, XD_ID_WRITE_PIPE, 5, UINT32_MAX};
	struct channel_fix f;
	char bytes[8];

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(channel_send(&f, "pool", 4, 1, &ids[i], &blob_type), -ENOENT);
	}
	f.blob = pattern_file(8192, 1);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(channel_send(&f, "pool", 4, 1, ids, &types[i]), -EPROTO);
	}
	ck_assert_uint_eq(compositor_hears(&f, bytes, sizeof(bytes), NULL, NULL), 0);
	channel_stop(&f);
}
END_TEST

/* All that there is room for would do; one more has no place of its own. */
START_TEST(descriptors_that_a_message_has_no_room_for_are_refused)
{
	struct {
		struct xd_send send;
		uint8_t bytes[4];
	} cmd = {.send = {.h = {.cmd = XD_SEND, .size = sizeof(cmd)}, .len = 4}};
	struct channel_fix f;

	channel_start_open(&f, NULL);
	f.blob = pattern_file(10, 1);
	for (unsigned i = 0; i < XD_IDS_MAX; i++) {
		cmd.send.id[i] = BLOB;
		cmd.send.type[i] = blob_type;
		cmd.send.id_size[i] = blob_type;
	}
	cmd.send.ids = XD_IDS_MAX + 1;
	ck_assert_int_eq(vmm_gpu_channel_submit(f.channel, (const void *)&cmd, sizeof(cmd)),
			 -EPROTO);
	ck_assert_uint_eq(compositor_hears(&f, cmd.bytes, sizeof(cmd.bytes), NULL, NULL), 0);
	channel_stop(&f);
}
END_TEST

START_TEST(twenty_eight_descriptors_go_with_the_bytes_that_wait)
{
	uint32_t ids[XD_IDS_MAX];
	uint32_t types[XD_IDS_MAX];
	struct channel_fix f;
	int fds[XD_IDS_MAX];
	unsigned count;
	char bytes[64];

	channel_start(&f, NULL);
	f.late = true;
	f.blob = pattern_file(10, 1);
	ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_WAYLAND), 0);
	for (unsigned i = 0; i < XD_IDS_MAX; i++) {
		ids[i] = i % 2 == 0 ? BLOB : FIRST_PIPE + i / 2;
		types[i] = i % 2 == 0 ? blob_type : pipe_type;
	}
	ck_assert_int_eq(channel_send(&f, "before", 6, 0, NULL, NULL), 0);
	ck_assert_int_eq(channel_send(&f, "with", 4, XD_IDS_MAX, ids, types), 0);
	ck_assert_int_eq(channel_send(&f, "after", 5, 0, NULL, NULL), 0);
	vmm_gpu_channel_connected(f.channel, f.other_end);
	f.other_end = -1;
	ck_assert_uint_eq(compositor_hears(&f, bytes, 6, fds, &count), 6);
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_ge(compositor_hears(&f, bytes, sizeof(bytes), fds, &count), 4);
	ck_assert_mem_eq(bytes, "with", 4);
	ck_assert_uint_eq(count, XD_IDS_MAX);
	for (unsigned i = 0; i < count; i++) {
		struct stat st;

		ck_assert_int_eq(fstat(fds[i], &st), 0);
		ck_assert_int_eq(S_ISFIFO(st.st_mode), i % 2);
	}
	vmm_gpu_close_fds(fds, count);
	channel_stop(&f);
}
END_TEST

START_TEST(descriptors_that_a_stopped_compositor_does_not_take_are_bounded)
{
	uint32_t ids[XD_IDS_MAX];
	uint32_t types[XD_IDS_MAX];
	struct channel_fix f;
	unsigned sent = 0;
	int ret = 0;

	channel_start(&f, NULL);
	f.late = true;
	f.blob = pattern_file(10, 1);
	ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_WAYLAND), 0);
	for (unsigned i = 0; i < XD_IDS_MAX; i++) {
		ids[i] = BLOB;
		types[i] = blob_type;
	}
	while (ret == 0) {
		ret = channel_send(&f, "x", 1, XD_IDS_MAX, ids, types);
		sent += XD_IDS_MAX;
		ck_assert_uint_le(sent, GPU_QUEUE_FDS_MAX + XD_IDS_MAX);
	}
	ck_assert_int_eq(ret, -ENOSPC);
	ck_assert_uint_eq(channel_receive(&f)->len, 0);
	channel_stop(&f);
}
END_TEST

/* ---- files from the compositor ---- */

/* One that was received becomes a blob, whose bytes are those of the file. */
static void check_file(struct channel_fix *f, size_t size, uint8_t seed)
{
	const struct xd_send *m = channel_receive(f);
	size_t len = (size + 4095) / 4096 * 4096;
	uint8_t *bytes;
	int fd;

	ck_assert_uint_eq(m->ids, 1);
	ck_assert_uint_eq(m->type[0], XD_ID_BLOB);
	ck_assert_uint_eq(m->id_size[0], size);
	ck_assert_uint_ge(m->id[0], XD_FIRST_ITEM);
	ck_assert_uint_eq(f->budget.used, len);
	/* As the guest's kernel asks for it. */
	ck_assert_int_eq(vmm_gpu_channel_take_blob(f->channel, m->id[0], len + 4096), -EPROTO);
	fd = vmm_gpu_channel_take_blob(f->channel, m->id[0], len);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(vmm_gpu_channel_take_blob(f->channel, m->id[0], len), -ENOENT);
	bytes = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(bytes, MAP_FAILED);
	for (size_t i = 0; i < len; i++) {
		SUITE_REQUIRE(bytes[i] == (i < size ? pattern_byte(i, seed) : 0));
	}
	bytes[0] ^= 0xff; /* it is the guest's own */
	ck_assert_int_eq(munmap(bytes, len), 0);
	(void)close(fd);
	f->budget.used = 0;
}

START_TEST(a_keymap_arrives_whatever_file_it_is)
{
	const size_t sizes[] = {1, 4095, 4096, 23851, 4u << 20};
	char path[] = "/tmp/vmm-keymap-XXXXXX";
	struct channel_fix f;

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 5; i++) {
		int fd = pattern_file(sizes[i], (uint8_t)i);

		if (i % 2 == 1) {
			ck_assert_int_eq(
				fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL),
				0);
		}
		compositor_says(&f, "keymap", 6, &fd, 1);
		check_file(&f, sizes[i], (uint8_t)i);
	}
	/* One that is on a disk, open for reading only, in the middle. */
	{
		int rw = mkostemp(path, O_CLOEXEC);
		uint8_t bytes[1000];
		int fd;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			bytes[i] = pattern_byte(i, 99);
		}
		ck_assert_int_eq(write(rw, bytes, sizeof(bytes)), sizeof(bytes));
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_eq(lseek(fd, 500, SEEK_SET), 500);
		(void)unlink(path);
		(void)close(rw);
		compositor_says(&f, "keymap", 6, &fd, 1);
		check_file(&f, sizeof(bytes), 99);
	}
	channel_stop(&f);
}
END_TEST

/* Else the guest would be stopped where it touches what is not there any more. */
START_TEST(hostile_file_that_shrinks_later_changes_nothing)
{
	struct channel_fix f;
	int fd = pattern_file(8192, 5);
	int kept = dup(fd);

	channel_start_open(&f, NULL);
	compositor_says(&f, "keymap", 6, &fd, 1);
	f.fds_before--; /* fd is closed by now */
	ck_assert_int_eq(channel_poll(&f), 0);
	channel_run_until(&f, 1);
	ck_assert_int_eq(ftruncate(kept, 0), 0);
	{
		uint32_t id = channel_message(&f)->id[0];
		int blob = vmm_gpu_channel_take_blob(f.channel, id, 8192);
		uint8_t byte = 0;

		ck_assert_int_eq(pread(blob, &byte, 1, 8191), 1);
		ck_assert_uint_eq(byte, pattern_byte(8191, 5));
		(void)close(blob);
		f.budget.used = 0;
	}
	channel_stop(&f);
	(void)close(kept);
}
END_TEST

START_TEST(no_keymap_is_a_file_without_bytes)
{
	struct channel_fix f;

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 2; i++) {
		int fd = i == 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : pattern_file(0, 0);
		const struct xd_send *m;

		compositor_says(&f, "keymap", 6, &fd, 1);
		m = channel_receive(&f);
		ck_assert_uint_eq(m->ids, 1);
		ck_assert_uint_eq(m->type[0], XD_ID_BLOB);
		ck_assert_uint_ne(m->id[0], 0);
		ck_assert_uint_eq(m->id_size[0], 0);
		/* Nothing is kept for it, and nothing can be made of it. */
		ck_assert_uint_eq(f.budget.used, 0);
		ck_assert_int_eq(vmm_gpu_channel_take_blob(f.channel, m->id[0], 4096), -ENOENT);
	}
	channel_stop(&f);
}
END_TEST

/* What the guest cannot have ends its connection, and only it. */
START_TEST(hostile_descriptor_hangs_up)
{
	const uint8_t bytes[4000] = {0};
	struct channel_fix f;
	int fds[3];
	int pair[2];

	channel_start_open(&f, NULL);
	fds[0] = pattern_file(100, 1);
	switch (_i) {
	case 0: /* a socket */
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		break;
	case 1: /* the reading end of a pipe */
		ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
		break;
	case 2: /* a file that is too long */
		pair[0] = pattern_file(1, 1);
		ck_assert_int_eq(ftruncate(pair[0], (4 << 20) + 1), 0);
		pair[1] = dup(pair[0]);
		break;
	case 3: /* a directory */
		pair[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		pair[1] = dup(pair[0]);
		break;
	case 4: /* a device */
		pair[0] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		pair[1] = dup(pair[0]);
		break;
	default: /* more than the guest may have */
		pair[0] = pattern_file(8192, 1);
		pair[1] = dup(pair[0]);
		f.budget.max = 3 * 4096;
		f.budget.used = 4096;
		break;
	}
	fds[1] = pair[0];
	fds[2] = pair[1];
	/* Too long for one message: nothing of the rest comes either. */
	compositor_says(&f, bytes, sizeof(bytes), fds, 3);
	ck_assert_uint_eq(channel_receive(&f)->len, 0);
	ck_assert_int_eq(channel_poll(&f), 0);
	(void)channel_run(&f);
	ck_assert_uint_eq(f.done_count, 1);
	ck_assert_int_eq(recv(f.compositor, &(char){0}, 1, MSG_DONTWAIT), 0);
	if (_i == 5) {
		f.budget.used -= 4096;
	}
	channel_stop(&f);
}
END_TEST

/* With no room for all that came, nobody can tell what is missing. */
START_TEST(descriptors_that_get_lost_hang_up)
{
	struct channel_fix f;
	struct rlimit limit;
	struct rlimit less;
	int ends[3][2];
	int fds[3];

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(pipe2(ends[i], O_CLOEXEC), 0);
		fds[i] = ends[i][1];
	}
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	less = (struct rlimit){.rlim_cur = (rlim_t)fds[1] + 1, .rlim_max = limit.rlim_max};
	compositor_says(&f, "three", 5, fds, 3);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &less), 0);
	ck_assert_uint_eq(channel_receive(&f)->len, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (unsigned i = 0; i < 3; i++) {
		(void)close(ends[i][0]);
	}
	channel_stop(&f);
}
END_TEST

START_TEST(files_that_nobody_takes_end_with_the_channel)
{
	struct channel_fix f;

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 20; i++) {
		int fds[2] = {pattern_file(5000, 1), pattern_file(10, 1)};

		compositor_says(&f, "two", 3, fds, 2);
		ck_assert_uint_eq(channel_receive(&f)->ids, 2);
	}
	ck_assert_uint_eq(f.budget.used, 20 * 3 * 4096);
	channel_stop(&f);
}
END_TEST

/* ---- pipes ---- */

/* The guest asks for a pipe; its other end is the compositor's. */
static int ask_for_pipe(struct channel_fix *f, uint32_t id)
{
	unsigned count;
	char bytes[16];
	int fd;

	ck_assert_int_eq(channel_send(f, "receive", 7, 1, &id, &pipe_type), 0);
	ck_assert_uint_eq(compositor_hears(f, bytes, sizeof(bytes), &fd, &count), 7);
	ck_assert_uint_eq(count, 1);
	return fd;
}

START_TEST(read_pipes_have_the_numbers_that_both_sides_count)
{
	const uint32_t bad[] = {XD_READ_PIPE_START, FIRST_PIPE + 1, 2, UINT32_MAX};
	struct channel_fix f;

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(channel_send(&f, "x", 1, 1, &bad[i], &pipe_type), -EPROTO);
	}
	for (uint32_t i = 0; i < 10; i++) {
		int fd = ask_for_pipe(&f, FIRST_PIPE + i);

		(void)close(fd);
		ck_assert_int_eq(channel_poll(&f), 0);
		channel_run_until(&f, i + 1);
		ck_assert_uint_eq(channel_read(&f)->id, FIRST_PIPE + i);
		ck_assert_uint_eq(channel_read(&f)->hang_up, 1);
		ck_assert_uint_eq(channel_read(&f)->len, 0);
	}
	channel_stop(&f);
}
END_TEST

#define CLIPBOARD (270u * 1024)

START_TEST(long_text_arrives_from_a_writer_that_is_slow)
{
	struct channel_fix f;
	size_t written = 0;
	size_t got = 0;
	int fd;

	channel_start_open(&f, NULL);
	fd = ask_for_pipe(&f, FIRST_PIPE);
	/* It writes as much as the pipe takes, then a few bytes at a time with pauses. */
	for (bool hung_up = false; !hung_up;) {
		uint8_t bytes[3000];
		size_t len = written < CLIPBOARD / 2 ? sizeof(bytes) : 200;

		len = len < CLIPBOARD - written ? len : CLIPBOARD - written;
		for (size_t i = 0; i < len; i++) {
			bytes[i] = pattern_byte(written + i, 9);
		}
		if (fd >= 0 && len > 0) {
			ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
			written += len;
		} else if (fd >= 0) {
			(void)close(fd);
			fd = -1;
		}
		f.done_count = 0;
		f.tokens = 0;
		ck_assert_int_eq(channel_poll(&f), 0);
		channel_run_until(&f, 1);
		for (uint32_t i = 0; i < channel_read(&f)->len; i++) {
			SUITE_REQUIRE(channel_read_bytes(&f)[i] == pattern_byte(got + i, 9));
		}
		got += channel_read(&f)->len;
		hung_up = channel_read(&f)->hang_up != 0;
		/* A pipe that is empty for now is not one that has ended. */
		SUITE_REQUIRE(!hung_up || fd < 0);
	}
	ck_assert_uint_eq(got, CLIPBOARD);
	channel_stop(&f);
}
END_TEST

/* The compositor gives the guest a pipe to write to; its id. */
static uint32_t give_pipe(struct channel_fix *f, int *read_end)
{
	const struct xd_send *m;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	*read_end = fds[0];
	compositor_says(f, "send", 4, &fds[1], 1);
	m = channel_receive(f);
	ck_assert_uint_eq(m->ids, 1);
	ck_assert_uint_eq(m->type[0], XD_ID_WRITE_PIPE);
	return m->id[0];
}

START_TEST(long_text_arrives_at_a_reader_that_is_slow)
{
	struct channel_fix f;
	uint8_t bytes[3000];
	size_t got = 0;
	uint32_t id;
	int fd;

	channel_start_open(&f, NULL);
	id = give_pipe(&f, &fd);
	for (size_t at = 0; at < CLIPBOARD; at += 2048) {
		for (size_t i = 0; i < 2048; i++) {
			bytes[i] = pattern_byte(at + i, 4);
		}
		ck_assert_int_eq(channel_write(&f, id, bytes, 2048, at + 2048 == CLIPBOARD), 0);
	}
	/* It is closed for the guest, but not yet for the reader. */
	ck_assert_int_eq(channel_write(&f, id, "x", 1, false), -ENOENT);
	for (;;) {
		ssize_t n = read(fd, bytes, sizeof(bytes));

		ck_assert_int_ge(n, 0);
		if (n == 0) {
			break;
		}
		for (ssize_t i = 0; i < n; i++) {
			SUITE_REQUIRE(bytes[i] == pattern_byte(got + (size_t)i, 4));
		}
		got += (size_t)n;
		(void)channel_run(&f);
	}
	ck_assert_uint_eq(got, CLIPBOARD);
	(void)close(fd);
	channel_stop(&f);
}
END_TEST

START_TEST(a_reader_that_goes_away_is_the_end_of_the_pipe_alone)
{
	struct channel_fix f;
	uint32_t id;
	char heard[8];
	int fd;

	channel_start_open(&f, NULL);
	id = give_pipe(&f, &fd);
	(void)close(fd);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(channel_write(&f, id, "text", 4, false), 0);
		ck_assert_int_eq(channel_run(&f), 0);
	}
	ck_assert_int_eq(channel_write(&f, id, NULL, 0, true), 0);
	ck_assert_int_eq(channel_write(&f, id, NULL, 0, true), -ENOENT);
	ck_assert_int_eq(channel_send(&f, "alive", 5, 0, NULL, NULL), 0);
	ck_assert_uint_eq(compositor_hears(&f, heard, sizeof(heard), NULL, NULL), 5);
	channel_stop(&f);
}
END_TEST

START_TEST(a_reader_that_never_reads_costs_a_bounded_amount)
{
	struct channel_fix f;
	uint8_t bytes[4000] = {0};
	size_t written = 0;
	uint32_t id;
	int ret = 0;
	int fd;

	channel_start_open(&f, NULL);
	id = give_pipe(&f, &fd);
	while (ret == 0) {
		ret = channel_write(&f, id, bytes, sizeof(bytes), false);
		written += sizeof(bytes);
		ck_assert_uint_lt(written, 2u << 20);
	}
	ck_assert_int_eq(ret, -ENOSPC);
	ck_assert_int_eq(channel_write(&f, id, bytes, sizeof(bytes), true), 0);
	/* The connection itself is as it was. */
	ck_assert_int_eq(channel_send(&f, "alive", 5, 0, NULL, NULL), 0);
	ck_assert_uint_eq(compositor_hears(&f, bytes, sizeof(bytes), NULL, NULL), 5);
	(void)close(fd);
	channel_stop(&f);
}
END_TEST

START_TEST(pipes_and_the_socket_take_turns)
{
	unsigned reads[2] = {0};
	unsigned receives = 0;
	struct channel_fix f;
	uint8_t bytes[32000] = {0};
	int fds[2];

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 2; i++) {
		fds[i] = ask_for_pipe(&f, FIRST_PIPE + i);
		ck_assert_int_eq(write(fds[i], bytes, sizeof(bytes)), sizeof(bytes));
	}
	compositor_says(&f, bytes, sizeof(bytes), NULL, 0);
	for (unsigned i = 0; i < 16; i++) {
		ck_assert_int_eq(channel_poll(&f), 0);
		channel_run_until(&f, i + 1);
		if (f.ring[0] == XD_RECEIVE) {
			receives++;
		} else {
			reads[channel_read(&f)->id - FIRST_PIPE]++;
		}
	}
	ck_assert_uint_eq(receives, 8);
	ck_assert_uint_eq(reads[0], 4);
	ck_assert_uint_eq(reads[1], 4);
	vmm_gpu_close_fds(fds, 2);
	channel_stop(&f);
}
END_TEST

START_TEST(pipes_that_nobody_polls_for_are_quiet)
{
	struct channel_fix f;
	int fd;

	channel_start_open(&f, NULL);
	ck_assert_int_eq(channel_poll(&f), 0);
	fd = ask_for_pipe(&f, FIRST_PIPE);
	ck_assert_int_eq(write(fd, "one", 3), 3);
	channel_run_until(&f, 1);
	ck_assert_int_eq(write(fd, "two", 3), 3);
	(void)close(fd);
	ck_assert_int_le(channel_run(&f), 1);
	ck_assert_int_eq(channel_run(&f), 0);
	ck_assert_int_eq(channel_poll(&f), 0);
	channel_run_until(&f, 2);
	ck_assert_mem_eq(channel_read_bytes(&f), "two", 3);
	channel_stop(&f);
}
END_TEST

START_TEST(more_pipes_than_allowed_hang_up)
{
	struct channel_fix f;
	const uint32_t ids[] = {BLOB, FIRST_PIPE + GPU_PIPES_MAX};
	const uint32_t types[] = {XD_ID_BLOB, XD_ID_READ_PIPE};
	int fds[GPU_PIPES_MAX];

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < GPU_PIPES_MAX; i++) {
		fds[i] = ask_for_pipe(&f, FIRST_PIPE + i);
	}
	f.blob = pattern_file(10, 1);
	ck_assert_int_eq(channel_send(&f, "x", 1, 2, ids, types), -ENOSPC);
	ck_assert_uint_eq(channel_receive(&f)->len, 0);
	vmm_gpu_close_fds(fds, GPU_PIPES_MAX);
	channel_stop(&f);
}
END_TEST

START_TEST(pipes_outlive_the_compositor)
{
	struct channel_fix f;
	uint32_t id;
	char text[8];
	int to_guest;
	int from_guest;

	channel_start_open(&f, NULL);
	to_guest = ask_for_pipe(&f, FIRST_PIPE);
	id = give_pipe(&f, &from_guest);
	compositor_dies(&f);
	ck_assert_uint_eq(channel_receive(&f)->len, 0);
	ck_assert_int_eq(write(to_guest, "in", 2), 2);
	ck_assert_int_eq(channel_poll(&f), 0);
	channel_run_until(&f, 3);
	ck_assert_uint_eq(channel_read(&f)->len, 2);
	ck_assert_int_eq(channel_write(&f, id, "out", 3, true), 0);
	ck_assert_int_eq(read(from_guest, text, sizeof(text)), 3);
	ck_assert_int_eq(read(from_guest, text, sizeof(text)), 0);
	(void)close(to_guest);
	(void)close(from_guest);
	channel_stop(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{a_blob_goes_as_the_memory_it_is, 1},
		{what_a_context_does_not_have_is_not_sent, 1},
		{descriptors_that_a_message_has_no_room_for_are_refused, 1},
		{twenty_eight_descriptors_go_with_the_bytes_that_wait, 1},
		{descriptors_that_a_stopped_compositor_does_not_take_are_bounded, 1},
		{a_keymap_arrives_whatever_file_it_is, 1},
		{hostile_file_that_shrinks_later_changes_nothing, 1},
		{no_keymap_is_a_file_without_bytes, 1},
		{hostile_descriptor_hangs_up, 6},
		{descriptors_that_get_lost_hang_up, 1},
		{files_that_nobody_takes_end_with_the_channel, 1},
		{read_pipes_have_the_numbers_that_both_sides_count, 1},
		{long_text_arrives_from_a_writer_that_is_slow, 1},
		{long_text_arrives_at_a_reader_that_is_slow, 1},
		{a_reader_that_goes_away_is_the_end_of_the_pipe_alone, 1},
		{a_reader_that_never_reads_costs_a_bounded_amount, 1},
		{pipes_and_the_socket_take_turns, 1},
		{pipes_that_nobody_polls_for_are_quiet, 1},
		{more_pipes_than_allowed_hang_up, 1},
		{pipes_outlive_the_compositor, 1},
	};

	return suite_run_looped("gpu_channel_fds", tests, sizeof(tests) / sizeof(tests[0]));
}
