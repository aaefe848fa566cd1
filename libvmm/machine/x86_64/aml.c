/* SPDX-License-Identifier: MIT */
#include "machine/x86_64/aml.h"

#include <string.h>

/* Opcodes (ACPI 6.4 table 20.2). */
#define OP_NAME     0x08u
#define OP_BYTE     0x0au
#define OP_WORD     0x0bu
#define OP_DWORD    0x0cu
#define OP_STRING   0x0du
#define OP_QWORD    0x0eu
#define OP_SCOPE    0x10u
#define OP_BUFFER   0x11u
#define OP_PACKAGE  0x12u
#define OP_METHOD   0x14u
#define OP_ROOT     0x5cu
#define OP_EXT      0x5bu
#define OP_IF       0xa0u
#define EXT_DEVICE  0x82u
#define METHOD_SYNC 0x08u

#define LENGTH_BYTES 3u /* of a package length: always the form with two more bytes */

/* Resource descriptors (section 6.4). */
#define RES_IO         0x47u
#define RES_END        0x79u
#define RES_MEMORY32   0x86u
#define RES_DWORD      0x87u
#define RES_WORD       0x88u
#define RES_INTERRUPT  0x89u
#define RES_QWORD      0x8au
#define SPACE_MEMORY   0u
#define SPACE_BUS      2u
#define FIXED_MIN_MAX  0x0cu
#define MEM_READ_WRITE 0x01u
#define MEM_PREFETCH   0x06u
#define IRQ_CONSUMER   0x01u
#define IRQ_EDGE       0x02u

void vmm_aml_byte(struct aml *a, uint8_t value)
{
	if (a->len >= a->cap) {
		a->full = true;
		return;
	}
	a->buf[a->len++] = value;
}

void vmm_aml_bytes(struct aml *a, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++) {
		vmm_aml_byte(a, p[i]);
	}
}

void vmm_aml_number(struct aml *a, uint64_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		vmm_aml_byte(a, (uint8_t)(value >> (8 * i)));
	}
}

uint8_t vmm_aml_checksum(const uint8_t *bytes, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum = (uint8_t)(sum + bytes[i]);
	}
	return (uint8_t)(0u - sum);
}

void vmm_aml_name_seg(struct aml *a, const char *name)
{
	vmm_aml_bytes(a, name, 4);
}

/* Room for a length that is known at vmm_aml_end only. */
static size_t begin(struct aml *a)
{
	size_t at = a->len;

	vmm_aml_number(a, 0, LENGTH_BYTES);
	return at;
}

void vmm_aml_end(struct aml *a, size_t at)
{
	size_t len = a->len - at;

	if (a->full) {
		return;
	}
	/* Two more bytes follow (0x80); four bits of the length here, eight in each of them. */
	a->buf[at] = (uint8_t)(0x80 | (len & 0xf));
	a->buf[at + 1] = (uint8_t)(len >> 4);
	a->buf[at + 2] = (uint8_t)(len >> 12);
}

size_t vmm_aml_scope(struct aml *a, const char *path)
{
	size_t at;

	vmm_aml_byte(a, OP_SCOPE);
	at = begin(a);
	if (path[0] == '\\') {
		vmm_aml_byte(a, OP_ROOT);
		path++;
	}
	vmm_aml_name_seg(a, path);
	return at;
}

size_t vmm_aml_device(struct aml *a, const char *name)
{
	size_t at;

	vmm_aml_byte(a, OP_EXT);
	vmm_aml_byte(a, EXT_DEVICE);
	at = begin(a);
	vmm_aml_name_seg(a, name);
	return at;
}

size_t vmm_aml_method(struct aml *a, const char *name, unsigned args, bool serialized)
{
	size_t at;

	vmm_aml_byte(a, OP_METHOD);
	at = begin(a);
	vmm_aml_name_seg(a, name);
	vmm_aml_byte(a, (uint8_t)((args & 7u) | (serialized ? METHOD_SYNC : 0)));
	return at;
}

size_t vmm_aml_if(struct aml *a)
{
	vmm_aml_byte(a, OP_IF);
	return begin(a);
}

size_t vmm_aml_package(struct aml *a, uint8_t elements)
{
	size_t at;

	vmm_aml_byte(a, OP_PACKAGE);
	at = begin(a);
	vmm_aml_byte(a, elements);
	return at;
}

void vmm_aml_name(struct aml *a, const char *name)
{
	vmm_aml_byte(a, OP_NAME);
	vmm_aml_name_seg(a, name);
}

void vmm_aml_integer(struct aml *a, uint64_t value)
{
	if (value <= 1) {
		vmm_aml_byte(a, (uint8_t)value); /* ZeroOp, OneOp */
	} else if (value <= UINT8_MAX) {
		vmm_aml_byte(a, OP_BYTE);
		vmm_aml_number(a, value, 1);
	} else if (value <= UINT16_MAX) {
		vmm_aml_byte(a, OP_WORD);
		vmm_aml_number(a, value, 2);
	} else if (value <= UINT32_MAX) {
		vmm_aml_byte(a, OP_DWORD);
		vmm_aml_number(a, value, 4);
	} else {
		vmm_aml_byte(a, OP_QWORD);
		vmm_aml_number(a, value, 8);
	}
}

void vmm_aml_string(struct aml *a, const char *string)
{
	vmm_aml_byte(a, OP_STRING);
	vmm_aml_bytes(a, string, strlen(string) + 1);
}

static uint32_t hex(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void vmm_aml_eisa_id(struct aml *a, const char *id)
{
	uint32_t letters = (uint32_t)(id[0] - '@') << 10 | (uint32_t)(id[1] - '@') << 5 |
			   (uint32_t)(id[2] - '@');
	uint32_t digits = hex(id[3]) << 12 | hex(id[4]) << 8 | hex(id[5]) << 4 | hex(id[6]);
	uint32_t big = letters << 16 | digits; /* stored with the high byte first */

	vmm_aml_byte(a, OP_DWORD);
	vmm_aml_byte(a, (uint8_t)(big >> 24));
	vmm_aml_byte(a, (uint8_t)(big >> 16));
	vmm_aml_byte(a, (uint8_t)(big >> 8));
	vmm_aml_byte(a, (uint8_t)big);
}

/* ---- resources ---- */

struct aml_resources vmm_aml_resources(struct aml *a)
{
	struct aml_resources r;

	vmm_aml_byte(a, OP_BUFFER);
	r.buffer = begin(a);
	vmm_aml_byte(a, OP_WORD);
	r.size = a->len;
	vmm_aml_number(a, 0, 2);
	r.data = a->len;
	return r;
}

void vmm_aml_resources_end(struct aml *a, const struct aml_resources *r)
{
	size_t size;

	vmm_aml_byte(a, RES_END);
	vmm_aml_byte(a, 0); /* no checksum */
	if (a->full) {
		return;
	}
	size = a->len - r->data;
	a->buf[r->size] = (uint8_t)size;
	a->buf[r->size + 1] = (uint8_t)(size >> 8);
	vmm_aml_end(a, r->buffer);
}

void vmm_aml_res_io(struct aml *a, uint16_t port, uint8_t len)
{
	vmm_aml_byte(a, RES_IO);
	vmm_aml_byte(a, 1); /* decodes 16 bits */
	vmm_aml_number(a, port, 2);
	vmm_aml_number(a, port, 2);
	vmm_aml_byte(a, 1); /* alignment */
	vmm_aml_byte(a, len);
}

void vmm_aml_res_memory32(struct aml *a, uint32_t base, uint32_t len)
{
	vmm_aml_byte(a, RES_MEMORY32);
	vmm_aml_number(a, 9, 2);
	vmm_aml_byte(a, MEM_READ_WRITE);
	vmm_aml_number(a, base, 4);
	vmm_aml_number(a, len, 4);
}

void vmm_aml_res_interrupt(struct aml *a, uint32_t gsi)
{
	vmm_aml_byte(a, RES_INTERRUPT);
	vmm_aml_number(a, 6, 2);
	vmm_aml_byte(a, IRQ_CONSUMER | IRQ_EDGE);
	vmm_aml_byte(a, 1); /* one of them */
	vmm_aml_number(a, gsi, 4);
}

/* An address space descriptor of the given width: granularity, first, last, translation, length. */
static void space(struct aml *a, unsigned width, uint64_t first, uint64_t last)
{
	vmm_aml_number(a, 0, width);
	vmm_aml_number(a, first, width);
	vmm_aml_number(a, last, width);
	vmm_aml_number(a, 0, width);
	vmm_aml_number(a, last - first + 1, width);
}

void vmm_aml_res_bus(struct aml *a, uint16_t first, uint16_t last)
{
	vmm_aml_byte(a, RES_WORD);
	vmm_aml_number(a, 3 + 5 * 2, 2);
	vmm_aml_byte(a, SPACE_BUS);
	vmm_aml_byte(a, FIXED_MIN_MAX);
	vmm_aml_byte(a, 0);
	space(a, 2, first, last);
}

void vmm_aml_res_window(struct aml *a, unsigned width, uint64_t base, uint64_t size,
			bool prefetchable)
{
	vmm_aml_byte(a, width == 8 ? RES_QWORD : RES_DWORD);
	vmm_aml_number(a, 3 + 5 * width, 2);
	vmm_aml_byte(a, SPACE_MEMORY);
	vmm_aml_byte(a, FIXED_MIN_MAX);
	vmm_aml_byte(a, MEM_READ_WRITE | (prefetchable ? MEM_PREFETCH : 0));
	space(a, width, base, base + size - 1);
}
