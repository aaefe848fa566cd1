/* SPDX-License-Identifier: MIT */
/* The bounded log: what a guest writes never takes more room than was agreed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmm/dev/chardev.h>

#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"

#define LIMIT VMM_LOGFILE_MAX_SIZE_MIN

static char dir[] = "/tmp/vmm-logfile-XXXXXX";
static char path[64];
static char old_path[64];
static struct vmm_chardev *cd;

static void begin(void)
{
	(void)strcpy(dir, "/tmp/vmm-logfile-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	(void)snprintf(old_path, sizeof(old_path), "%s/log.1", dir);
}

static void end(void)
{
	vmm_chardev_destroy(cd);
	cd = NULL;
	(void)unlink(path);
	(void)unlink(old_path);
	(void)rmdir(old_path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static int open_path(uint64_t max_size)
{
	struct vmm_logfile_config config = {.path = path, .fd = -1, .max_size = max_size};

	return vmm_logfile_create(&cd, &config, NULL);
}

static void say(const char *text)
{
	vmm_chardev_write(cd, text, strlen(text));
}

/* Numbered lines of 64 bytes. */
static void say_lines(unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		char line[80];

		(void)snprintf(line, sizeof(line), "%08u %54s\n", i, "x");
		say(line);
	}
}

static off_t size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) == 0 ? st.st_size : -1;
}

static const char *text_of(const char *name)
{
	static char text[65536];
	FILE *file = fopen(name, "re");
	size_t len;

	ck_assert_ptr_nonnull(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = '\0';
	(void)fclose(file);
	return text;
}

START_TEST(logfile_existing_file_is_continued)
{
	begin();
	ck_assert_int_eq(open_path(0), 0);
	say("first\n");
	vmm_chardev_destroy(cd);
	ck_assert_int_eq(open_path(0), 0);
	say("second\n");
	ck_assert_str_eq(text_of(path), "first\nsecond\n");
	end();
}
END_TEST

START_TEST(logfile_new_file_is_private)
{
	struct stat st;

	begin();
	ck_assert_int_eq(open_path(0), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 077, 0);
	end();
}
END_TEST

START_TEST(logfile_full_file_is_rotated_at_a_line)
{
	begin();
	ck_assert_int_eq(open_path(LIMIT), 0);
	say_lines(0, LIMIT / 64 + 1);
	ck_assert_int_eq(size_of(old_path), (off_t)LIMIT);
	ck_assert_int_eq(size_of(path), 64);
	ck_assert_int_eq(strncmp(text_of(old_path), "00000000 ", 9), 0);
	ck_assert_int_eq(strncmp(text_of(path), "00000064 ", 9), 0);
	ck_assert_uint_eq(vmm_chardev_dropped(cd), 0);
	end();
}
END_TEST

START_TEST(logfile_flood_stays_within_two_files)
{
	begin();
	ck_assert_int_eq(open_path(LIMIT), 0);
	for (unsigned i = 0; i < 200; i++) {
		say_lines(i * 50, 50);
		ck_assert_int_le(size_of(path), (off_t)LIMIT);
		ck_assert_int_le(size_of(old_path), (off_t)LIMIT);
	}
	ck_assert_ptr_nonnull(strstr(text_of(path), "00009999 "));
	end();
}
END_TEST

START_TEST(logfile_one_write_larger_than_the_limit_is_split)
{
	static char big[3 * 4096 + 100];

	begin();
	memset(big, 'b', sizeof(big));
	ck_assert_int_eq(open_path(LIMIT), 0);
	vmm_chardev_write(cd, big, sizeof(big));
	ck_assert_int_eq(size_of(old_path), (off_t)LIMIT);
	ck_assert_int_eq(size_of(path), 100);
	end();
}
END_TEST

START_TEST(logfile_oversized_existing_file_is_rotated_first)
{
	begin();
	ck_assert_int_eq(open_path(65536), 0);
	say_lines(0, 200);
	vmm_chardev_destroy(cd);
	ck_assert_int_eq(open_path(LIMIT), 0);
	say("after\n");
	ck_assert_str_eq(text_of(path), "after\n");
	ck_assert_int_eq(size_of(old_path), 200 * 64);
	end();
}
END_TEST

START_TEST(logfile_that_cannot_be_renamed_is_begun_again)
{
	begin();
	ck_assert_int_eq(mkdir(old_path, 0700), 0);
	ck_assert_int_eq(open_path(LIMIT), 0);
	say_lines(0, 1000);
	ck_assert_int_le(size_of(path), (off_t)LIMIT);
	ck_assert_ptr_nonnull(strstr(text_of(path), "00000999 "));
	end();
}
END_TEST

START_TEST(logfile_follows_no_link_that_takes_its_place)
{
	char target[80];

	begin();
	(void)snprintf(target, sizeof(target), "%s/target", dir);
	ck_assert_int_eq(open_path(LIMIT), 0);
	say_lines(0, LIMIT / 64);
	/* The log is renamed away, and what stands in its place next is somebody else's. */
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(mkdir(old_path, 0700), 0);
	say_lines(64, 2);
	ck_assert_int_eq(size_of(target), -1);
	end();
}
END_TEST

START_TEST(logfile_by_descriptor_is_cut_when_full)
{
	struct vmm_logfile_config config = {.max_size = LIMIT};

	begin();
	config.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(vmm_logfile_create(&cd, &config, NULL), 0);
	for (unsigned i = 0; i < 1000; i++) {
		say_lines(i, 1);
		ck_assert_int_le(size_of(path), (off_t)LIMIT);
	}
	ck_assert_ptr_nonnull(strstr(text_of(path), "00000999 "));
	ck_assert_int_eq(size_of(old_path), -1);
	end();
}
END_TEST

START_TEST(logfile_by_descriptor_appends)
{
	struct vmm_logfile_config config = {0};

	begin();
	config.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(config.fd, "before\n", 7), 7);
	ck_assert_int_eq(lseek(config.fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(vmm_logfile_create(&cd, &config, NULL), 0);
	say("after\n");
	ck_assert_str_eq(text_of(path), "before\nafter\n");
	end();
}
END_TEST

START_TEST(logfile_pipe_takes_what_it_can)
{
	struct vmm_logfile_config config = {0};
	char text[8] = {0};
	int fds[2];

	begin();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	config.fd = fds[1];
	ck_assert_int_eq(vmm_logfile_create(&cd, &config, NULL), 0);
	say("hello");
	ck_assert_int_eq(read(fds[0], text, sizeof(text)), 5);
	ck_assert_str_eq(text, "hello");
	say_lines(0, 100000);
	ck_assert_uint_gt(vmm_chardev_dropped(cd), 0);
	(void)close(fds[0]);
	end();
}
END_TEST

START_TEST(logfile_full_disk_drops_and_counts)
{
	struct vmm_logfile_config config = {.path = "/dev/full", .fd = -1};

	ck_assert_int_eq(vmm_logfile_create(&cd, &config, NULL), 0);
	say("lost\n");
	say("lost again\n");
	ck_assert_uint_eq(vmm_chardev_dropped(cd), 16);
	vmm_chardev_destroy(cd);
	cd = NULL;
}
END_TEST

START_TEST(logfile_goes_on_when_the_disk_has_room_again)
{
	struct faultinj f = {.only = "pwrite"};

	begin();
	ck_assert_int_eq(open_path(0), 0);
	say("[1.0] half a li");
	ck_assert(faultinj_next(&f));
	say("ne\n");
	faultinj_stop(&f);
	ck_assert_ptr_nonnull(f.failed);
	say("[2.0] whole\n");
	ck_assert_str_eq(text_of(path), "[1.0] half a li\n[2.0] whole\n");
	ck_assert_uint_eq(vmm_chardev_dropped(cd), 3);
	end();
}
END_TEST

START_TEST(logfile_that_can_neither_rotate_nor_be_cut_stays_bounded)
{
	struct faultinj f = {.only = "ftruncate"};

	begin();
	ck_assert_int_eq(mkdir(old_path, 0700), 0);
	ck_assert_int_eq(open_path(LIMIT), 0);
	say_lines(0, LIMIT / 64);
	ck_assert(faultinj_next(&f));
	say_lines(64, 1);
	faultinj_stop(&f);
	ck_assert_ptr_nonnull(f.failed);
	ck_assert_int_eq(size_of(path), (off_t)LIMIT);
	ck_assert_uint_eq(vmm_chardev_dropped(cd), 64);
	say_lines(65, 1);
	ck_assert_int_eq(size_of(path), 64);
	end();
}
END_TEST

static void expect_error(const char *name, int fd, uint64_t max_size, int code, const char *words)
{
	struct vmm_logfile_config config = {.path = name, .fd = fd, .max_size = max_size};
	struct vmm_error err = {0};
	struct vmm_chardev *none = (struct vmm_chardev *)&err;

	ck_assert_int_eq(vmm_logfile_create(&none, &config, &err), code);
	ck_assert_ptr_null(none);
	ck_assert_msg(strstr(err.message, words), "'%s' lacks '%s'", err.message, words);
}

START_TEST(logfile_bad_input_is_refused_in_words)
{
	begin();
	expect_error(dir, -1, 0, -EISDIR, dir);
	expect_error("/nonexistent/log", -1, 0, -ENOENT, "/nonexistent/log");
	expect_error("", -1, 0, -ENOENT, "log ''");
	expect_error(path, -1, 4095, -EINVAL, "4095");
	expect_error(path, -1, UINT64_MAX, -EINVAL, "range");
	expect_error(NULL, 99999, 0, -EBADF, "99999");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect_error(path, -1, 0, -ENXIO, path);
	end();
}
END_TEST

START_TEST(logfile_create_survives_every_failure)
{
	struct faultinj f = {0};
	unsigned fds = fdcount();

	begin();
	while (faultinj_next(&f)) {
		int ret = open_path(0);

		faultinj_stop(&f);
		if (f.failed) {
			ck_assert_int_lt(ret, 0);
			ck_assert_ptr_null(cd);
		} else {
			ck_assert_int_eq(ret, 0);
			vmm_chardev_destroy(cd);
			cd = NULL;
		}
		ck_assert_uint_eq(fdcount(), fds);
	}
	ck_assert_uint_gt(f.n, 4);
	end();
}
END_TEST

SUITE_MAIN("logfile", logfile_existing_file_is_continued, logfile_new_file_is_private,
	   logfile_full_file_is_rotated_at_a_line, logfile_flood_stays_within_two_files,
	   logfile_one_write_larger_than_the_limit_is_split,
	   logfile_oversized_existing_file_is_rotated_first,
	   logfile_that_cannot_be_renamed_is_begun_again,
	   logfile_follows_no_link_that_takes_its_place, logfile_by_descriptor_is_cut_when_full,
	   logfile_by_descriptor_appends, logfile_pipe_takes_what_it_can,
	   logfile_full_disk_drops_and_counts, logfile_goes_on_when_the_disk_has_room_again,
	   logfile_that_can_neither_rotate_nor_be_cut_stays_bounded,
	   logfile_bad_input_is_refused_in_words, logfile_create_survives_every_failure)
