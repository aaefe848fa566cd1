/* SPDX-License-Identifier: MIT */
/*
 * Windows carry the name of their VM. The name comes first, so that no title, however long, can
 * push it out of sight, and a window has it from its first moment, whether its client says a title
 * or not. In application ids a ':' stands behind the name: no name has one, so VM "a" with
 * application "b.c" is not VM "a.b" with application "c".
 */
#include <stdio.h>
#include <string.h>

#include "filter_priv.h"

static void set_prefix(struct wl_prefix *prefix, const char *before, const char *vm_name,
		       const char *behind)
{
	/* It fits: the name's length has been looked at. */
	prefix->len = (size_t)snprintf(prefix->text, sizeof(prefix->text), "%s%s%s", before,
				       vm_name, behind);
}

void vmm_wl_name_init(struct vmm_wl_filter *f, const char *vm_name)
{
	f->named = true;
	set_prefix(&f->title, "[", vm_name, "] ");
	set_prefix(&f->id, "libvmm.", vm_name, ":");
}

/*
 * How many bytes the character at text has if it is one that does not belong in a title, else 0:
 * controls, U+0080..009F among them, line and paragraph separators with what turns the direction
 * behind them, U+2028..202E, and isolates, U+2066..2069.
 */
static size_t unwanted(const uint8_t *text, size_t len)
{
	if (text[0] < ' ' || text[0] == 0x7f) {
		return 1;
	}
	if (len >= 2 && text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f) {
		return 2;
	}
	if (len < 3 || text[0] != 0xe2) {
		return 0;
	}
	return (text[1] == 0x80 && text[2] >= 0xa8 && text[2] <= 0xae) ||
			       (text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9)
		       ? 3
		       : 0;
}

/*
 * What could make the name look other than it is, or reach a terminal through somebody's log,
 * becomes spaces.
 */
static void clean(uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		memset(text + i, ' ', unwanted(text + i, len - i));
	}
}

/* The first bytes of a text, at most max, in whole characters of UTF-8. */
static size_t shorten(const uint8_t *text, size_t len, size_t max)
{
	if (len <= max) {
		return len;
	}
	while (max > 0 && (text[max] & 0xc0) == 0x80) {
		max--;
	}
	return max;
}

/* A request with one string, which is prefix and text. */
static void append_text(struct vmm_wl_piece *piece, uint32_t object, uint16_t opcode,
			const struct wl_prefix *prefix, const uint8_t *text, size_t len)
{
	uint8_t *out = piece->out + piece->out_len;
	const size_t start = VMM_WL_HEADER_SIZE + 4;
	/* Without a text the byte that divides them goes. */
	const size_t head = prefix->len - (len == 0 ? 1 : 0);
	const size_t tail = shorten(text, len, VMM_WL_MESSAGE_MAX - start - 1 - head);
	const size_t size = start + ((head + tail + 1 + 3) & ~(size_t)3);

	memset(out, 0, size);
	vmm_wl_header(out, object, opcode, size);
	vmm_wl_set_word(out, 0, (uint32_t)(head + tail + 1));
	memcpy(out + start, prefix->text, head);
	memcpy(out + start + head, text, tail);
	clean(out + start + head, tail);
	piece->out_len += size;
}

/* What stands before the text of a request; NULL: it is no text that names a window. */
static const struct wl_prefix *prefix_of(const struct vmm_wl_filter *f)
{
	const struct vmm_wl_message *msg = &f->last;

	if (msg->interface == VMM_WL_IF_XDG_TOPLEVEL) {
		switch (msg->opcode) {
		case VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE:
			return &f->title;
		case VMM_WL_RQ_XDG_TOPLEVEL_SET_APP_ID:
			return &f->id;
		default:
			return NULL;
		}
	}
	/* Who asks for the focus is named as its windows are. */
	if (msg->interface == VMM_WL_IF_XDG_ACTIVATION_TOKEN_V1 &&
	    msg->opcode == VMM_WL_RQ_XDG_ACTIVATION_TOKEN_V1_SET_APP_ID) {
		return &f->id;
	}
	return NULL;
}

void vmm_wl_name_append(struct vmm_wl_filter *f, const uint8_t *data, struct vmm_wl_piece *piece)
{
	const struct vmm_wl_message *msg = &f->last;
	const struct wl_prefix *prefix = f->named ? prefix_of(f) : NULL;

	if (prefix != NULL) {
		append_text(piece, msg->object, msg->opcode, prefix, data + VMM_WL_HEADER_SIZE + 4,
			    vmm_wl_word(data, 0) - 1);
		return;
	}
	memcpy(piece->out + piece->out_len, data, msg->size);
	piece->out_len += msg->size;
	if (f->named && msg->new_interface == VMM_WL_IF_XDG_TOPLEVEL) {
		append_text(piece, msg->new_id, VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, &f->title, data,
			    0);
		append_text(piece, msg->new_id, VMM_WL_RQ_XDG_TOPLEVEL_SET_APP_ID, &f->id, data, 0);
	}
}
