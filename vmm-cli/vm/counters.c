/* SPDX-License-Identifier: MIT */
#include "vm/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORDS (COUNTERS_PAGE / sizeof(struct vm_counter_record))

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif

/* Kernels before 6.3 do not know the last flag. */
static int create(void)
{
	int fd = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) {
		fd = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	}
	return fd < 0 ? -errno : fd;
}

int vm_counters_open(struct vm_counters *c, int *fd)
{
	void *page = MAP_FAILED;
	int ret;

	c->records = NULL;
	*fd = create();
	if (*fd < 0) {
		return *fd;
	}
	/* Sealed, so that a writer that cuts it cannot end the reader by SIGBUS. */
	if (ftruncate(*fd, COUNTERS_PAGE) == 0 &&
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
		page = mmap(NULL, COUNTERS_PAGE, PROT_READ, MAP_SHARED, *fd, 0);
	}
	if (page == MAP_FAILED) {
		ret = -errno;
		(void)close(*fd);
		*fd = -1;
		return ret;
	}
	c->records = page;
	return 0;
}

void vm_counters_close(struct vm_counters *c)
{
	void *page;

	if (c->records) {
		/* munmap does not write to it, but its type says so. */
		memcpy(&page, &c->records, sizeof(page));
		(void)munmap(page, COUNTERS_PAGE);
		c->records = NULL;
	}
}

/* A copy, with an end; false when it is no name. */
static bool take_name(char *out, const struct vm_counter_record *record)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

	memcpy(out, record->name, COUNTERS_NAME_MAX);
	out[COUNTERS_NAME_MAX - 1] = '\0';
	return out[0] != '\0' && strspn(out, allowed) == strlen(out);
}

void vm_counters_each(const struct vm_counters *c,
		      void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	for (size_t i = 0; c->records && i < RECORDS; i++) {
		char name[COUNTERS_NAME_MAX];

		if (!take_name(name, &c->records[i])) {
			return;
		}
		emit(ctx, name, __atomic_load_n(&c->records[i].value, __ATOMIC_RELAXED));
	}
}
