/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <stdlib.h>
#include <string.h>

uint16_t table_add(struct table *table, enum thing kind, void *thing)
{
	uint16_t number = table->free;

	if (number != 0) {
		table->free = table->slots[number].next_free;
	} else {
		uint32_t next = table->count ? table->count : 1;

		if (next > UINT16_MAX) {
			return 0;
		}
		if (next >= table->cap) {
			uint32_t cap = table->cap ? table->cap * 2 : 64;
			struct table_slot *slots = realloc(table->slots, cap * sizeof(*slots));

			if (!slots) {
				return 0;
			}
			table->slots = slots;
			table->cap = cap;
		}
		number = (uint16_t)next;
		table->count = next + 1;
	}
	table->slots[number] = (struct table_slot){.kind = kind, .thing = thing};
	return number;
}

void *table_get(const struct table *table, uint16_t number, enum thing kind)
{
	if (number == 0 || number >= table->count || table->slots[number].kind != kind) {
		return NULL;
	}
	return table->slots[number].thing;
}

void table_remove(struct table *table, uint16_t number)
{
	table->slots[number] = (struct table_slot){.next_free = table->free};
	table->free = number;
}

void table_finish(struct table *table)
{
	free(table->slots);
	memset(table, 0, sizeof(*table));
}
