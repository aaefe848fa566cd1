/* SPDX-License-Identifier: MIT */
/* Opening disks. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "faultinj.h"
#include "fdcount.h"
#include "test_disk_fix.h"

static void refused(const char *path, bool read_only, int code, const char *words)
{
	struct vmm_disk_config config = {.read_only = read_only};
	struct vmm_error err = {0};
	struct vmm_disk *disk = (struct vmm_disk *)&err;
	unsigned before = fdcount();

	ck_assert_int_eq(vmm_disk_open(&disk, path, &config, &err), code);
	ck_assert_ptr_null(disk);
	ck_assert_int_eq(err.code, code);
	ck_assert_msg(strstr(err.message, words) != NULL, "'%s' lacks '%s'", err.message, words);
	ck_assert_msg(strstr(err.message, path) != NULL, "'%s' lacks the path", err.message);
	ck_assert_uint_eq(fdcount(), before);
}

START_TEST(disk_open_what_is_no_disk_is_refused_in_words)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct place p;
	int fd;

	set_up(&p);
	refused(p.dir, false, -EISDIR, "it is a directory");
	refused(p.dir, true, -EISDIR, "it is a directory");
	refused(p.other, true, -ENOENT, "No such file");
	refused("/dev/null", true, -EINVAL, "a character device");
	ck_assert_int_eq(mkfifo(p.other, 0600), 0);
	refused(p.other, true, -EINVAL, "a FIFO");
	refused(p.other, false, -EINVAL, "a FIFO");
	ck_assert_int_eq(unlink(p.other), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, p.other);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	refused(p.other, true, -ENXIO, "a socket");
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(unlink(p.other), 0);
	make_image(p.other, 0);
	refused(p.other, true, -EINVAL, "it has 0 bytes");
	make_image(p.other, 511);
	refused(p.other, true, -EINVAL, "it has 511 bytes");
	tear_down(&p);
}
END_TEST

START_TEST(disk_open_without_permission_is_refused_in_words)
{
	struct place p;

	set_up(&p);
	ck_assert_int_eq(chmod(p.image, 0400), 0);
	/* Nobody checks root's permissions, so this is somebody else while it lasts. */
	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(p.dir, 0711), 0);
		ck_assert_int_eq(chown(p.image, 12345, 12345), 0);
		ck_assert_int_eq(seteuid(12345), 0);
	}
	refused(p.image, false, -EACCES, "cannot be opened for reading and writing");
	vmm_disk_destroy(must_open(p.image, VMM_DISK_AUTO, true));
	if (getuid() == 0) {
		ck_assert_int_eq(seteuid(0), 0);
	}
	tear_down(&p);
}
END_TEST

START_TEST(disk_capacity_is_whole_sectors)
{
	static const uint64_t sizes[][2] = {{512, 512}, {1023, 512}, {1024, 1024}, {70000, 69632}};
	struct place p;

	set_up(&p);
	for (unsigned i = 0; i < 4; i++) {
		struct vmm_disk *disk;

		make_image(p.image, sizes[i][0]);
		disk = must_open(p.image, VMM_DISK_SYNC, i % 2);
		ck_assert_uint_eq(disk->capacity, sizes[i][1]);
		ck_assert_int_eq(disk->read_only, i % 2);
		ck_assert_int_eq(disk->discard, !(i % 2));
		vmm_disk_destroy(disk);
	}
	tear_down(&p);
}
END_TEST

START_TEST(disk_open_follows_symbolic_links)
{
	struct vmm_disk *disk;
	struct place p;

	set_up(&p);
	ck_assert_int_eq(symlink("image", p.other), 0);
	disk = must_open(p.other, VMM_DISK_SYNC, false);
	ck_assert_uint_eq(disk->capacity, SIZE);
	vmm_disk_destroy(disk);
	tear_down(&p);
}
END_TEST

START_TEST(disk_second_writer_is_refused)
{
	struct vmm_disk *writer;
	struct vmm_disk *reader;
	struct place p;

	set_up(&p);
	writer = must_open(p.image, VMM_DISK_AUTO, false);
	refused(p.image, false, -EBUSY, "another VM");
	reader = must_open(p.image, VMM_DISK_AUTO, true);
	vmm_disk_destroy(writer);
	writer = must_open(p.image, VMM_DISK_AUTO, false);
	vmm_disk_destroy(writer);
	vmm_disk_destroy(reader);
	tear_down(&p);
}
END_TEST

static void fd_refused(int fd, bool read_only, int code, const char *words)
{
	struct vmm_disk_config config = {.read_only = read_only};
	struct vmm_error err = {0};
	struct vmm_disk *disk;

	ck_assert_int_eq(vmm_disk_open_fd(&disk, fd, &config, &err), code);
	ck_assert_ptr_null(disk);
	ck_assert_msg(strstr(err.message, words) != NULL, "'%s' lacks '%s'", err.message, words);
	/* It is still the caller's. */
	ck_assert_int_eq(fd < 0 ? 0 : close(fd), 0);
}

START_TEST(disk_descriptors_must_allow_what_is_asked)
{
	struct place p;
	int fds[2];

	set_up(&p);
	fd_refused(-1, true, -EBADF, "descriptor -1");
	fd_refused(open(p.image, O_RDONLY | O_CLOEXEC), false, -EACCES, "for reading only");
	fd_refused(open(p.image, O_WRONLY | O_CLOEXEC), false, -EACCES, "for writing only");
	fd_refused(open(p.image, O_WRONLY | O_CLOEXEC), true, -EACCES, "for writing only");
	fd_refused(open(p.image, O_PATH | O_CLOEXEC), true, -EINVAL, "O_PATH");
	fd_refused(open(p.image, O_RDWR | O_APPEND | O_CLOEXEC), false, -EINVAL, "O_APPEND");
	fd_refused(open(p.dir, O_RDONLY | O_CLOEXEC), true, -EISDIR, "a directory");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fd_refused(fds[0], true, -EINVAL, "a socket");
	ck_assert_int_eq(close(fds[1]), 0);
	tear_down(&p);
}
END_TEST

START_TEST(disk_descriptor_is_taken_over)
{
	struct vmm_disk_config config = {.read_only = false};
	struct vmm_disk *disk;
	struct place p;
	int fd;

	set_up(&p);
	fd = open(p.image, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_eq(vmm_disk_open_fd(&disk, fd, &config, NULL), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	vmm_disk_destroy(disk);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(errno, EBADF);
	tear_down(&p);
}
END_TEST

START_TEST(disk_descriptor_that_is_refused_is_not_left_locked)
{
	struct vmm_disk_config config = {.engine = VMM_DISK_URING};
	struct faultinj f = {.only = "syscall"};
	struct vmm_error err = {0};
	struct vmm_disk *disk;
	struct place p;
	int fd;

	set_up(&p);
	fd = open(p.image, O_RDWR | O_CLOEXEC);
	ck_assert(faultinj_next(&f));
	ck_assert_int_lt(vmm_disk_open_fd(&disk, fd, &config, &err), 0);
	faultinj_stop(&f);
	ck_assert_ptr_nonnull(strstr(err.message, "io_uring"));
	vmm_disk_destroy(must_open(p.image, VMM_DISK_SYNC, false));
	ck_assert_int_eq(close(fd), 0);
	tear_down(&p);
}
END_TEST

START_TEST(disk_without_io_uring_falls_back)
{
	struct vmm_disk_config config = {.engine = VMM_DISK_AUTO};
	struct faultinj f = {.only = "syscall"};
	struct vmm_disk *disk;
	struct place p;

	set_up(&p);
	ck_assert(faultinj_next(&f));
	ck_assert_int_eq(vmm_disk_open(&disk, p.image, &config, NULL), 0);
	faultinj_stop(&f);
	ck_assert_int_eq(vmm_disk_get_engine(disk), VMM_DISK_SYNC);
	vmm_disk_destroy(disk);
	vmm_disk_destroy(NULL);
	tear_down(&p);
}
END_TEST

START_TEST(disk_open_with_any_call_failing_leaks_nothing)
{
	static const enum vmm_disk_engine kinds[] = {VMM_DISK_SYNC, VMM_DISK_AUTO, VMM_DISK_URING};
	struct place p;

	set_up(&p);
	for (unsigned e = 0; e < 3; e++) {
		struct vmm_disk_config config = {.engine = kinds[e]};
		unsigned before = fdcount();
		struct faultinj f = {0};
		unsigned failures = 0;

		while (faultinj_next(&f)) {
			struct vmm_error err = {0};
			struct vmm_disk *disk;
			int ret = vmm_disk_open(&disk, p.image, &config, &err);

			faultinj_stop(&f);
			if (ret < 0) {
				failures++;
				ck_assert_ptr_null(disk);
				ck_assert_str_ne(err.message, "");
			} else {
				/* Only io_uring may be done without. */
				ck_assert(!f.failed || kinds[e] == VMM_DISK_AUTO);
				vmm_disk_destroy(disk);
			}
			ck_assert_uint_eq(fdcount(), before);
			if (!f.failed && kinds[e] == VMM_DISK_URING && ret < 0) {
				break; /* a kernel without io_uring */
			}
		}
		ck_assert_uint_ge(failures, 6);
	}
	tear_down(&p);
}
END_TEST

SUITE_MAIN("disk", disk_open_what_is_no_disk_is_refused_in_words,
	   disk_open_without_permission_is_refused_in_words, disk_capacity_is_whole_sectors,
	   disk_open_follows_symbolic_links, disk_second_writer_is_refused,
	   disk_descriptors_must_allow_what_is_asked, disk_descriptor_is_taken_over,
	   disk_descriptor_that_is_refused_is_not_left_locked, disk_without_io_uring_falls_back,
	   disk_open_with_any_call_failing_leaks_nothing)
