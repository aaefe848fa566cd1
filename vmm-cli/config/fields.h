/* SPDX-License-Identifier: MIT */
/*
 * JSON objects by tables of their fields, in both directions.
 *
 * A field that exists in cloud-hypervisor's VmConfig but is not carried out here stands in the
 * table as REFUSED: silence would make a caller believe that, say, its rate limit holds. Values
 * that ask for nothing pass: null, and what the table accepts, or without an entry there false, []
 * and {}.
 */
#ifndef VMM_CLI_CONFIG_FIELDS_H
#define VMM_CLI_CONFIG_FIELDS_H

#include "config/config.h"

#define PATH_LEN_MAX 4095
#define NAME_LEN_MAX 255

enum field_kind {
	STRING,
	BOOL,
	NUMBER, /* whole, from min to max */
	MODE,   /* of a console */
	TRANSPORT,
	REFUSED,
};

struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
	uint64_t min;
	uint64_t max;         /* STRING: bytes */
	const char *accepted; /* REFUSED: values in compact JSON, separated by spaces */
};

#define FIELD_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Reads into the struct at base; what the object has besides the table is ignored. */
int vm_read_fields(const json_t *json, const struct field *fields, size_t count, void *base,
		   struct vmm_error *err);
/* The member `name` of json, read by its table; no such member is fine. */
int vm_read_part(const json_t *json, const char *name, const struct field *fields, size_t count,
		 void *base, struct vmm_error *err);
/* NULL: out of memory. */
json_t *vm_write_fields(const struct field *fields, size_t count, const void *base);

#endif
