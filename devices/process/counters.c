/* SPDX-License-Identifier: MIT */
/*
 * Counters for whoever started this process: a page of records, names padded with zeroes, values as
 * relaxed atomics, an empty name at the end. It is read whenever somebody cares to.
 */
#include "program.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE     4096u
#define NAME_LEN 24u
#define RECORDS  (PAGE / sizeof(struct record))

struct record {
	char name[NAME_LEN];
	uint64_t value;
};

struct cursor {
	struct record *next;
	struct record *last; /* stays empty */
};

void *counters_map(int fd, struct vmm_error *err)
{
	struct stat st;
	void *page;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)PAGE) {
		(void)vmm_error_set(err, -EINVAL, "--counters-fd: not a memfd of a page");
		return NULL;
	}
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		(void)vmm_error_set(err, -errno, "--counters-fd: %s", strerror(errno));
		return NULL;
	}
	return page;
}

static void write_one(void *ctx, const char *name, uint64_t value)
{
	struct cursor *c = ctx;

	if (c->next == c->last) {
		return;
	}
	if (c->next->name[0] == '\0') {
		(void)strncpy(c->next->name, name, NAME_LEN - 1);
	}
	__atomic_store_n(&c->next->value, value, __ATOMIC_RELAXED);
	c->next++;
}

void counters_write(void *page, struct vmm_virtio_device *dev)
{
	struct cursor c = {.next = page};

	if (page && dev->ops->counters) {
		c.last = c.next + RECORDS - 1;
		dev->ops->counters(dev, write_one, &c);
	}
}
