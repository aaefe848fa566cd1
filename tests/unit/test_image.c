/* SPDX-License-Identifier: MIT */
/* Files that a machine boots, by their descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "machine/image.h"
#include "suite.h"

static struct vmm_image_file file;
static struct vmm_image image;
static struct vmm_error err;

static FILE *file_of(size_t size)
{
	FILE *f = tmpfile();

	ck_assert_ptr_nonnull(f);
	for (size_t i = 0; i < size; i++) {
		ck_assert_int_ne(fputc((int)(i * 7 % 251), f), EOF);
	}
	ck_assert_int_eq(fflush(f), 0);
	return f;
}

static void assert_refused(int fd, int code, const char *why)
{
	err = (struct vmm_error){0};
	ck_assert_int_eq(vmm_image_fd(&image, &file, fd, &err), code);
	ck_assert_msg(strstr(err.message, why), "'%s' does not say '%s'", err.message, why);
}

START_TEST(image_of_no_file_is_refused)
{
	int fds[2];
	int fd;

	ck_assert_int_eq(pipe(fds), 0);
	assert_refused(fds[0], -EINVAL, "neither a file nor a block device");
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_refused(fds[0], -EBADF, strerror(EBADF));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_refused(fds[0], -EINVAL, "neither a file nor a block device");
	(void)close(fds[0]);
	(void)close(fds[1]);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_refused(fd, -EINVAL, "neither a file nor a block device");
	(void)close(fd);
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_refused(fd, -EINVAL, "it is a directory");
	(void)close(fd);
}
END_TEST

START_TEST(image_gives_any_part_of_its_file)
{
	FILE *f = file_of(1000);
	int fd = fileno(f);
	uint8_t got[1000];

	ck_assert_int_eq(vmm_image_fd(&image, &file, fd, &err), 0);
	ck_assert_uint_eq(image.size, 1000);
	for (size_t offset = 0; offset < 1000; offset += 111) {
		for (size_t len = 0; len <= 1000 - offset; len += 53) {
			memset(got, 0xee, sizeof(got));
			ck_assert_int_eq(image.read(image.ctx, offset, got, len), 0);
			for (size_t i = 0; i < sizeof(got); i++) {
				SUITE_REQUIRE(got[i] == (i < len ? (offset + i) * 7 % 251 : 0xee));
			}
		}
	}
	/* Where the descriptor stands is nobody's business. */
	ck_assert_int_eq(fseek(f, 500, SEEK_SET), 0);
	ck_assert_int_eq(image.read(image.ctx, 0, got, 1), 0);
	ck_assert_uint_eq(got[0], 0);
	ck_assert_int_eq(ftell(f), 500);
	(void)fclose(f);
}
END_TEST

/* A header is not read piece by piece, and what was read is given however small the pieces are. */
START_TEST(image_gives_neighbours_without_reading_again)
{
	FILE *f = file_of(5000);
	int fd = fileno(f);
	uint8_t got[4];

	ck_assert_int_eq(vmm_image_fd(&image, &file, fd, &err), 0);
	ck_assert_int_eq(image.read(image.ctx, 3000, got, 4), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	for (size_t offset = 3000; offset <= 3000 + sizeof(file.bytes) - 4; offset++) {
		ck_assert_int_eq(image.read(image.ctx, offset, got, 4), 0);
		SUITE_REQUIRE(got[0] == offset * 7 % 251 && got[3] == (offset + 3) * 7 % 251);
	}
	ck_assert_int_eq(image.read(image.ctx, 3000 + sizeof(file.bytes) - 3, got, 4), -EIO);
	ck_assert_int_eq(image.read(image.ctx, 2999, got, 4), -EIO);
	(void)fclose(f);
}
END_TEST

START_TEST(image_may_be_empty_or_huge)
{
	FILE *f = tmpfile();
	uint8_t byte = 0xee;
	int fd;

	ck_assert_ptr_nonnull(f);
	fd = fileno(f);
	ck_assert_int_eq(vmm_image_fd(&image, &file, fd, &err), 0);
	ck_assert_uint_eq(image.size, 0);
	ck_assert_int_eq(image.read(image.ctx, 0, &byte, 1), -EIO);
	ck_assert_int_eq(ftruncate(fd, INT64_C(1) << 40), 0);
	ck_assert_int_eq(vmm_image_fd(&image, &file, fd, &err), 0);
	ck_assert_uint_eq(image.size, UINT64_C(1) << 40);
	ck_assert_int_eq(image.read(image.ctx, (UINT64_C(1) << 40) - 1, &byte, 1), 0);
	ck_assert_uint_eq(byte, 0);
	(void)fclose(f);
}
END_TEST

START_TEST(image_that_shrinks_is_an_io_error)
{
	FILE *f = file_of(100);
	uint8_t bytes[100];
	int fd = fileno(f);

	ck_assert_int_eq(vmm_image_fd(&image, &file, fd, &err), 0);
	ck_assert_int_eq(ftruncate(fd, 50), 0);
	ck_assert_int_eq(image.read(image.ctx, 99, bytes, 1), -EIO);
	ck_assert_int_eq(image.read(image.ctx, 0, bytes, 100), -EIO);
	ck_assert_int_eq(image.read(image.ctx, 0, bytes, 50), 0);
	(void)fclose(f);
}
END_TEST

START_TEST(image_read_errors_are_passed_on)
{
	FILE *f = file_of(100);
	uint8_t byte;
	int fd = fileno(f);

	ck_assert_int_eq(vmm_image_fd(&image, &file, fd, &err), 0);
	/* Not open for reading. */
	file.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(image.read(image.ctx, 0, &byte, 1), -EBADF);
	(void)close(file.fd);
	(void)fclose(f);
}
END_TEST

SUITE_MAIN("image", image_of_no_file_is_refused, image_gives_any_part_of_its_file,
	   image_gives_neighbours_without_reading_again, image_may_be_empty_or_huge,
	   image_that_shrinks_is_an_io_error, image_read_errors_are_passed_on)
