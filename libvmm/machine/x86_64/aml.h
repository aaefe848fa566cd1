/* SPDX-License-Identifier: MIT */
/*
 * A writer of AML, the byte code of ACPI tables (ACPI 6.4 chapter 20): just what the machine's DSDT
 * needs. A full buffer is remembered and reported once, at the end.
 */
#ifndef VMM_MACHINE_X86_64_AML_H
#define VMM_MACHINE_X86_64_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t cap;
	size_t len;
	bool full;
};

void vmm_aml_byte(struct aml *a, uint8_t value);
void vmm_aml_bytes(struct aml *a, const void *bytes, size_t len);
/* The low len bytes of value, little-endian. */
void vmm_aml_number(struct aml *a, uint64_t value, unsigned len);

/* What makes the sum of len bytes 0, as every firmware table wants it, theirs being 0 so far. */
uint8_t vmm_aml_checksum(const uint8_t *bytes, size_t len);

/* Four characters. */
void vmm_aml_name_seg(struct aml *a, const char *name);

/* Objects with a length: what begin returns goes to end. path: a name, or "\\_SB_" style root. */
size_t vmm_aml_scope(struct aml *a, const char *path);
size_t vmm_aml_device(struct aml *a, const char *name);
size_t vmm_aml_method(struct aml *a, const char *name, unsigned args, bool serialized);
size_t vmm_aml_if(struct aml *a);
size_t vmm_aml_package(struct aml *a, uint8_t elements);
void vmm_aml_end(struct aml *a, size_t begin);

/* Name (name, ...): followed by one object. */
void vmm_aml_name(struct aml *a, const char *name);
void vmm_aml_integer(struct aml *a, uint64_t value);
void vmm_aml_string(struct aml *a, const char *string);
/* A compressed identifier of seven characters ("PNP0A08"). */
void vmm_aml_eisa_id(struct aml *a, const char *id);

/* Resource templates. */
struct aml_resources {
	size_t buffer;
	size_t size;
	size_t data;
};

struct aml_resources vmm_aml_resources(struct aml *a);
void vmm_aml_resources_end(struct aml *a, const struct aml_resources *r);
void vmm_aml_res_io(struct aml *a, uint16_t port, uint8_t len);
void vmm_aml_res_memory32(struct aml *a, uint32_t base, uint32_t len);
/* Edge-triggered, active high, exclusive. */
void vmm_aml_res_interrupt(struct aml *a, uint32_t gsi);
void vmm_aml_res_bus(struct aml *a, uint16_t first, uint16_t last);
/* A window that a bridge passes on: 4 or 8 bytes of address. */
void vmm_aml_res_window(struct aml *a, unsigned width, uint64_t base, uint64_t size,
			bool prefetchable);

#endif
