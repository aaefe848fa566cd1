/* SPDX-License-Identifier: MIT */
#include "test_wayland_fix.h"

#include <string.h>

struct wlfix wlfix;
uint8_t wlfix_bytes[WLMSG_MAX];

void wlfix_start(const char *vm_name, unsigned clipboard)
{
	const struct vmm_wl_filter_config config = {.vm_name = vm_name, .clipboard = clipboard};

	memset(&wlfix, 0, sizeof(wlfix));
	wlfix.next_id = VMM_WL_DISPLAY_ID + 1;
	ck_assert_int_eq(vmm_wl_filter_create(&config, &wlfix.filter), 0);
}

void wlfix_finish(void)
{
	vmm_wl_filter_destroy(wlfix.filter);
}

static void append(struct wlfix_side *side, const uint8_t *data, size_t len)
{
	ck_assert_uint_le(side->len + len, sizeof(side->bytes));
	memcpy(side->bytes + side->len, data, len);
	side->len += len;
}

typedef int filter_fn(struct vmm_wl_filter *filter, struct vmm_wl_piece *piece);

static int run(filter_fn *fn, struct wlfix_side *to, struct wlfix_side *back, const uint8_t *data,
	       size_t len, unsigned fds, size_t out_cap)
{
	/* Copies of just the size: whoever looks beyond is caught. */
	uint8_t *in = malloc(len + 1);
	uint8_t *out = malloc(out_cap + 1);
	struct vmm_wl_piece piece = {
		.in = in, .in_len = len, .in_fds = fds, .out = out, .out_cap = out_cap};
	int rc;

	ck_assert(in != NULL && out != NULL);
	memcpy(in, data, len);
	to->len = back->len = 0;
	to->fds = back->fds = 0;
	do {
		rc = fn(wlfix.filter, &piece);
		ck_assert_uint_le(piece.out_len, out_cap);
		ck_assert_uint_le(piece.out_fds, VMM_WL_FDS_MAX);
		ck_assert_uint_le(piece.back_len, sizeof(piece.back));
		append(to, out, piece.out_len);
		append(back, piece.back, piece.back_len);
		to->fds += piece.out_fds;
	} while (rc == 1);
	ck_assert(rc != 0 || piece.in_len == 0);
	free(in);
	free(out);
	return rc;
}

int wlfix_send(const uint8_t *data, size_t len, unsigned fds, size_t out_cap)
{
	return run(vmm_wl_filter_request, &wlfix.host, &wlfix.guest, data, len, fds, out_cap);
}

int wlfix_receive(const uint8_t *data, size_t len, unsigned fds, size_t out_cap)
{
	return run(vmm_wl_filter_event, &wlfix.guest, &wlfix.host, data, len, fds, out_cap);
}

static size_t size_of(const uint8_t *message)
{
	uint32_t word;

	memcpy(&word, message + 4, sizeof(word));
	return word >> 16;
}

int wlfix_one_of(bool request, const uint8_t *message, unsigned fds)
{
	return (request ? wlfix_send : wlfix_receive)(message, size_of(message), fds,
						      VMM_WL_OUT_MIN);
}

bool wlfix_got_one(const struct wlfix_side *side, const uint8_t *message)
{
	return side->len == size_of(message) && memcmp(side->bytes, message, side->len) == 0;
}

bool wlfix_got_none(const struct wlfix_side *side)
{
	return side->len == 0 && side->fds == 0;
}

uint32_t wlfix_bind(const char *interface, uint32_t version)
{
	const uint32_t name = ++wlfix.next_name;

	if (wlfix.registry == 0) {
		wlfix.registry =
			wlfix_make(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_GET_REGISTRY, 0);
	}
	ck_assert_int_eq(wlfix_hear(wlfix.registry, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", name,
				    interface, version),
			 0);
	ck_assert(wlfix_got_one(&wlfix.guest, wlfix_bytes));
	ck_assert_int_eq(wlfix_say(wlfix.registry, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", name,
				   interface, version, wlfix.next_id),
			 0);
	ck_assert(wlfix_got_one(&wlfix.host, wlfix_bytes));
	return wlfix.next_id++;
}

uint32_t wlfix_make(uint32_t object, uint16_t opcode, uint32_t argument)
{
	ck_assert_int_eq(argument == 0 ? wlfix_say(object, opcode, "u", wlfix.next_id)
				       : wlfix_say(object, opcode, "uu", wlfix.next_id, argument),
			 0);
	return wlfix.next_id++;
}
