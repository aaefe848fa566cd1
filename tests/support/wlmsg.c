/* SPDX-License-Identifier: MIT */
#include "wlmsg.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "wayland/tables.h"
#include "wayland/wire.h"

static size_t put_word(uint8_t *out, size_t at, uint32_t value)
{
	memcpy(out + at, &value, sizeof(value));
	return at + sizeof(value);
}

/* Length, bytes, and zeroes up to a whole word. text NULL: zeroes alone. */
static size_t put_bytes(uint8_t *out, size_t at, const char *text, uint32_t len)
{
	const size_t padded = (len + 3u) & ~(size_t)3;

	at = put_word(out, at, len);
	if (at + padded > WLMSG_MAX) {
		abort();
	}
	memset(out + at, 0, padded);
	if (text != NULL) {
		memcpy(out + at, text, len);
	}
	return at + padded;
}

static size_t put_string(uint8_t *out, size_t at, const char *text)
{
	return put_bytes(out, at, text, text != NULL ? (uint32_t)strlen(text) + 1 : 0);
}

size_t wlmsg(uint8_t *out, uint32_t object, uint16_t opcode, const char *format, ...)
{
	size_t at = VMM_WL_HEADER_SIZE;
	va_list args;

	va_start(args, format);
	for (; *format != '\0'; format++) {
		switch (*format) {
		case 'u':
			at = put_word(out, at, va_arg(args, uint32_t));
			break;
		case 's':
			at = put_string(out, at, va_arg(args, const char *));
			break;
		case 'a':
			at = put_bytes(out, at, NULL, va_arg(args, uint32_t));
			break;
		default:
			abort();
		}
	}
	va_end(args);
	vmm_wl_header(out, object, opcode, at);
	return at;
}

size_t wlmsg_of(uint8_t *out, uint32_t object, uint8_t interface, int request, uint16_t opcode,
		const struct wlmsg_make *make)
{
	const struct wl_interface_entry *entry = &vmm_wl_interfaces[interface];
	const unsigned n = entry->first + (request ? 0u : entry->requests) + opcode;
	const uint8_t *signature = &vmm_wl_signatures[vmm_wl_messages[n].signature];
	size_t at = VMM_WL_HEADER_SIZE;

	for (; *signature != END; signature++) {
		switch (*signature & ~NULLABLE) {
		case WORD:
			at = put_word(out, at, 0);
			break;
		case STRING:
			at = put_string(out, at, "text");
			break;
		case ARRAY:
			at = put_bytes(out, at, NULL, 5);
			break;
		case OBJECT:
			signature++;
			at = put_word(out, at, make->object(make->ctx, *signature));
			break;
		case NEW_ID:
			signature++;
			at = put_word(out, at, make->new_id);
			break;
		case ANY_NEW_ID:
			at = put_string(out, at, "wl_shm");
			at = put_word(out, at, 1);
			at = put_word(out, at, make->new_id);
			break;
		default:
			break;
		}
	}
	vmm_wl_header(out, object, opcode, at);
	return at;
}
