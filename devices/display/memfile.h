/* SPDX-License-Identifier: MIT */
/* Memory to be shared with somebody who must not be able to make it shorter under us. */
#ifndef VMM_DEVICES_DISPLAY_MEMFILE_H
#define VMM_DEVICES_DISPLAY_MEMFILE_H

#include <stddef.h>
#include <stdint.h>

/* fd is -1 and map NULL when there is none. */
struct memfile {
	int fd;
	uint8_t *map;
	size_t size;
};

/*
 * A memfd of size bytes (at least 1), zeroed, sealed at that size and mapped. -ENOMEM, -EMFILE and
 * the like; f is then none.
 */
int vmm_memfile_make(struct memfile *f, size_t size);
/* The descriptor is no longer needed, the mapping stays. */
void vmm_memfile_close(struct memfile *f);
/* Closes and unmaps what there is. */
void vmm_memfile_free(struct memfile *f);

#endif
