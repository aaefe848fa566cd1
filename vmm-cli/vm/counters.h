/* SPDX-License-Identifier: MIT */
/*
 * Counters of a device in another process: a page that the process writes and the supervisor reads
 * when somebody asks. Records of a name and a number; a record without a name ends them. The
 * writer is not trusted: what is read is bounded, and names are letters, digits and '_'.
 */
#ifndef VMM_CLI_VM_COUNTERS_H
#define VMM_CLI_VM_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#define COUNTERS_PAGE     4096u
#define COUNTERS_NAME_MAX 24u /* with the zero */

struct vm_counter_record {
	char name[COUNTERS_NAME_MAX];
	uint64_t value;
};

/* The page, mapped for reading; NULL: none. */
struct vm_counters {
	const struct vm_counter_record *records;
};

/* *fd: for the writer, the caller's to close; its size is sealed. errno of memfd_create, mmap. */
int vm_counters_open(struct vm_counters *c, int *fd);
void vm_counters_close(struct vm_counters *c);
void vm_counters_each(const struct vm_counters *c,
		      void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx);

#endif
