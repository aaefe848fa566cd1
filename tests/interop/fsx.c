/* SPDX-License-Identifier: MIT */
/*
 * fsx DIR SEED OPERATIONS: does random things to a few files in DIR, and knows from a model in
 * memory what they have to hold after each: reads and writes by call and by mapping, sizes, holes,
 * names. At the end it says what it believes of each file, in the words of `fsx --sum DIR`, by
 * which another view of the directory can be compared.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES     8
#define FILE_MAX  (192 * 1024)
#define PIECE_MAX (40 * 1024)

struct file {
	bool exists;
	int fd; /* -1: closed */
	size_t size;
	uint8_t *bytes; /* what is beyond size is zero */
};

static struct file files[FILES];
static uint64_t random_state;
static unsigned long operations;
static unsigned long mismatches;

static unsigned roll(unsigned below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(random_state >> 33) % below;
}

static const char *name_of(unsigned i)
{
	static char name[2][16];
	static unsigned turn;

	turn = !turn;
	(void)snprintf(name[turn], sizeof(name[turn]), "file%u", i);
	return name[turn];
}

/* The only way out for what must not fail. */
static void must(bool good, const char *what, unsigned i)
{
	if (!good) {
		printf("fsx: %s of file%u in operation %lu: %s\n", what, i, operations,
		       strerror(errno));
		exit(1);
	}
}

static void wrong(const char *what, unsigned i, size_t at)
{
	mismatches++;
	printf("fsx: operation %lu: %s of file%u is wrong at %zu\n", operations, what, i, at);
}

static void compare(const char *what, unsigned i, const uint8_t *got, size_t offset, size_t len)
{
	for (size_t n = 0; n < len; n++) {
		if (got[n] != files[i].bytes[offset + n]) {
			wrong(what, i, offset + n);
			return;
		}
	}
}

static void open_file(unsigned i)
{
	struct file *f = &files[i];

	if (f->fd < 0) {
		f->fd = open(name_of(i), O_RDWR | O_CLOEXEC | (f->exists ? 0 : O_CREAT | O_EXCL),
			     0644);
		must(f->fd >= 0, "open", i);
		f->exists = true;
	}
}

static void close_file(unsigned i)
{
	if (files[i].fd >= 0) {
		must(close(files[i].fd) == 0, "close", i);
		files[i].fd = -1;
	}
}

static void forget(struct file *f)
{
	memset(f->bytes, 0, f->size);
	f->size = 0;
	f->exists = false;
}

/* ---- operations ---- */

static void fill(uint8_t *bytes, size_t len)
{
	for (size_t n = 0; n < len; n++) {
		bytes[n] = (uint8_t)(roll(256));
	}
}

static void do_write(unsigned i)
{
	struct file *f = &files[i];
	size_t offset = roll(FILE_MAX - PIECE_MAX);
	size_t len = 1 + roll(PIECE_MAX);

	fill(f->bytes + offset, len);
	must(pwrite(f->fd, f->bytes + offset, len, (off_t)offset) == (ssize_t)len, "pwrite", i);
	if (offset + len > f->size) {
		f->size = offset + len;
	}
}

static void do_read(unsigned i)
{
	static uint8_t bytes[PIECE_MAX];
	struct file *f = &files[i];
	size_t offset = roll(FILE_MAX - PIECE_MAX);
	size_t len = 1 + roll(PIECE_MAX);
	size_t there = offset >= f->size ? 0 : f->size - offset < len ? f->size - offset : len;
	ssize_t got = pread(f->fd, bytes, len, (off_t)offset);

	must(got >= 0, "pread", i);
	if ((size_t)got != there) {
		wrong("length read", i, (size_t)got);
		return;
	}
	compare("data read", i, bytes, offset, there);
}

static void do_truncate(unsigned i)
{
	struct file *f = &files[i];
	size_t size = roll(FILE_MAX);

	must(ftruncate(f->fd, (off_t)size) == 0, "ftruncate", i);
	if (size < f->size) {
		memset(f->bytes + size, 0, f->size - size);
	}
	f->size = size;
}

static void do_punch(unsigned i)
{
	struct file *f = &files[i];
	size_t offset = roll(FILE_MAX - PIECE_MAX);
	size_t len = 1 + roll(PIECE_MAX);

	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)len) == 0) {
		memset(f->bytes + offset, 0, len);
	} else {
		must(errno == EOPNOTSUPP, "punching a hole", i);
	}
}

/* A shared mapping: looks at some of the file, and changes some. */
static void do_map(unsigned i)
{
	struct file *f = &files[i];
	size_t offset;
	size_t len;
	uint8_t *map;

	if (f->size == 0) {
		return;
	}
	map = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	must(map != MAP_FAILED, "mmap", i);
	offset = roll((unsigned)f->size);
	len = 1 + roll(PIECE_MAX);
	len = len > f->size - offset ? f->size - offset : len;
	compare("mapping", i, map + offset, offset, len);
	if (roll(2)) {
		fill(f->bytes + offset, len);
		memcpy(map + offset, f->bytes + offset, len);
		must(roll(2) || msync(map, f->size, MS_SYNC) == 0, "msync", i);
	}
	must(munmap(map, f->size) == 0, "munmap", i);
}

static void do_append(unsigned i)
{
	struct file *f = &files[i];
	size_t len = 1 + roll(PIECE_MAX);
	int fd;

	if (f->size + len > FILE_MAX) {
		return;
	}
	fd = open(name_of(i), O_WRONLY | O_APPEND | O_CLOEXEC);
	must(fd >= 0, "open to append", i);
	fill(f->bytes + f->size, len);
	must(write(fd, f->bytes + f->size, len) == (ssize_t)len, "append", i);
	must(close(fd) == 0, "close", i);
	f->size += len;
}

/* Over another file, which is then no more. */
static void do_rename(unsigned i)
{
	unsigned other = roll(FILES);
	struct file old;

	if (other == i) {
		return;
	}
	close_file(other);
	must(rename(name_of(i), name_of(other)) == 0, "rename", i);
	forget(&files[other]);
	old = files[other];
	files[other] = files[i];
	files[i] = old;
}

static void do_unlink(unsigned i)
{
	if (roll(4) == 0) {
		must(unlink(name_of(i)) == 0, "unlink", i);
		/* Open files live on without a name. */
		do_read(i);
		close_file(i);
		forget(&files[i]);
	}
}

static void do_stat(unsigned i)
{
	struct stat st;

	must(stat(name_of(i), &st) == 0, "stat", i);
	if ((size_t)st.st_size != files[i].size) {
		wrong("size", i, (size_t)st.st_size);
	}
}

static void do_sync(unsigned i)
{
	must((roll(2) ? fsync(files[i].fd) : fdatasync(files[i].fd)) == 0, "fsync", i);
}

static void do_list(unsigned i)
{
	DIR *dir = opendir(".");
	unsigned there = 0;
	unsigned found = 0;

	must(dir != NULL, "opendir", i);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
		found += e->d_name[0] != '.';
	}
	(void)closedir(dir);
	for (unsigned n = 0; n < FILES; n++) {
		there += files[n].exists;
		if ((access(name_of(n), F_OK) == 0) != files[n].exists) {
			wrong("existence", n, 0);
		}
	}
	if (found != there) {
		wrong("number of names with that", i, found);
	}
}

static void do_close(unsigned i)
{
	close_file(i);
}

static void one(void)
{
	static void (*const all[])(unsigned) = {
		do_write, do_write,    do_write,  do_write,  do_read,   do_read,  do_read,
		do_read,  do_truncate, do_map,    do_map,    do_append, do_punch, do_stat,
		do_sync,  do_list,     do_rename, do_unlink, do_close,
	};
	unsigned i = roll(FILES);

	operations++;
	open_file(i);
	all[roll(sizeof(all) / sizeof(all[0]))](i);
}

/* ---- what there is ---- */

static void say_sum(const char *name, const uint8_t *bytes, size_t size)
{
	uint64_t sum = 14695981039346656037u;

	for (size_t n = 0; n < size; n++) {
		sum = (sum ^ bytes[n]) * 1099511628211u;
	}
	printf("sum %s %zu %016llx\n", name, size, (unsigned long long)sum);
}

static int sum_all(void)
{
	for (unsigned i = 0; i < FILES; i++) {
		static uint8_t bytes[FILE_MAX + 1];
		int fd = open(name_of(i), O_RDONLY | O_CLOEXEC);
		ssize_t got = fd < 0 ? -1 : pread(fd, bytes, sizeof(bytes), 0);

		if (got >= 0) {
			say_sum(name_of(i), bytes, (size_t)got);
		}
		if (fd >= 0) {
			(void)close(fd);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool sum = argc == 3 && strcmp(argv[1], "--sum") == 0;

	if ((!sum && argc != 4) || chdir(argv[sum ? 2 : 1]) != 0) {
		(void)fprintf(stderr, "usage: fsx DIR SEED OPERATIONS | fsx --sum DIR\n");
		return 2;
	}
	if (sum) {
		return sum_all();
	}
	random_state = strtoull(argv[2], NULL, 0);
	for (unsigned i = 0; i < FILES; i++) {
		files[i].fd = -1;
		files[i].bytes = calloc(1, FILE_MAX);
		must(files[i].bytes != NULL, "memory", i);
	}
	for (unsigned long n = strtoul(argv[3], NULL, 0); n > 0; n--) {
		one();
	}
	for (unsigned i = 0; i < FILES; i++) {
		close_file(i);
		if (files[i].exists) {
			say_sum(name_of(i), files[i].bytes, files[i].size);
		}
	}
	printf("operations %lu mismatches %lu\n", operations, mismatches);
	return mismatches == 0 ? 0 : 1;
}
