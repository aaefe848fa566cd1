/* SPDX-License-Identifier: MIT */
/*
 * hammer DEVICE MIB THREADS SECONDS: writes the same few blocks again and again, each thread its
 * own, and reads back what it wrote last. Finds what a verification at the end does not: a write
 * that is carried out once more, after a later one. Prints how many operations there were and how
 * many blocks were not what they had to be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK   4096
#define BLOCKS  8 /* of each thread */
#define THREADS 64

struct worker {
	pthread_t thread;
	int fd;
	unsigned index;
	off_t start;
	time_t until;
	uint64_t newest[BLOCKS];
	uint64_t operations;
	uint64_t mismatches;
	int error;
};

static time_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void fill(uint64_t *words, const struct worker *w, unsigned block)
{
	for (size_t i = 0; i < BLOCK / sizeof(*words); i++) {
		words[i] = w->newest[block] << 24 | (uint64_t)w->index << 16 | block << 12 | i;
	}
}

static int write_block(struct worker *w, unsigned block, uint64_t *words)
{
	w->newest[block]++;
	fill(words, w, block);
	w->operations++;
	return pwrite(w->fd, words, BLOCK, w->start + (off_t)block * BLOCK) == BLOCK ? 0 : -EIO;
}

static int read_block(struct worker *w, unsigned block, uint64_t *words, uint64_t *expected)
{
	if (pread(w->fd, words, BLOCK, w->start + (off_t)block * BLOCK) != BLOCK) {
		return -EIO;
	}
	w->operations++;
	fill(expected, w, block);
	if (memcmp(words, expected, BLOCK) != 0) {
		w->mismatches++;
		(void)fprintf(stderr, "thread %u block %u: write %llu expected, not %llu\n",
			      w->index, block, (unsigned long long)w->newest[block],
			      (unsigned long long)(words[0] >> 24));
	}
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned seed = w->index;
	uint64_t expected[BLOCK / sizeof(uint64_t)];
	uint64_t *words = aligned_alloc(BLOCK, BLOCK);

	if (!words) {
		w->error = -ENOMEM;
		return NULL;
	}
	for (unsigned i = 0; w->error == 0 && i < BLOCKS; i++) {
		w->error = write_block(w, i, words);
	}
	while (w->error == 0 && now() < w->until) {
		unsigned block = (unsigned)rand_r(&seed) % BLOCKS;

		w->error = rand_r(&seed) % 2 == 0 ? write_block(w, block, words)
						  : read_block(w, block, words, expected);
	}
	for (unsigned i = 0; w->error == 0 && i < BLOCKS; i++) {
		w->error = read_block(w, i, words, expected);
	}
	free(words);
	return NULL;
}

static int start(struct worker *w, int fd, unsigned index, off_t base, time_t until)
{
	w->fd = fd;
	w->index = index;
	w->start = base + (off_t)index * BLOCKS * BLOCK;
	w->until = until;
	return pthread_create(&w->thread, NULL, work, w);
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS];
	uint64_t operations = 0;
	uint64_t mismatches = 0;
	unsigned errors = 0;
	unsigned count = argc == 5 ? (unsigned)atoi(argv[3]) : 0;
	int fd = count > 0 && count <= THREADS ? open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC) : -1;

	if (fd < 0) {
		(void)fprintf(stderr, "usage: hammer DEVICE MIB THREADS SECONDS\n");
		return 2;
	}
	for (unsigned i = 0; i < count; i++) {
		if (start(&workers[i], fd, i, (off_t)atoi(argv[2]) << 20, now() + atoi(argv[4])) !=
		    0) {
			return 1;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		operations += workers[i].operations;
		mismatches += workers[i].mismatches;
		errors += workers[i].error != 0;
	}
	printf("operations %llu errors %u mismatches %llu\n", (unsigned long long)operations,
	       errors, (unsigned long long)mismatches);
	return errors == 0 && mismatches == 0 ? 0 : 1;
}
