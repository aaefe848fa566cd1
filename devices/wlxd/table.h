/* SPDX-License-Identifier: MIT */
/* Numbers that fit in 16 bits for pointers: what an object of the wire (struct vmm_wl_object) can
 * hold. */
#ifndef WLXD_TABLE_H
#define WLXD_TABLE_H

#include <stdint.h>

enum thing {
	THING_NONE,
	THING_POOL,
	THING_BUFFER,
	THING_SURFACE,
};

struct table_slot {
	enum thing kind;
	uint16_t next_free;
	void *thing;
};

/* Zero-initialised is empty. */
struct table {
	struct table_slot *slots; /* 0 is not used */
	uint32_t count, cap;
	uint16_t free; /* first of the free ones, 0: none */
};

/* 0: out of memory, or full. */
uint16_t table_add(struct table *table, enum thing kind, void *thing);
/* NULL where there is none of that kind. */
void *table_get(const struct table *table, uint16_t number, enum thing kind);
void table_remove(struct table *table, uint16_t number);
void table_finish(struct table *table);

#endif
