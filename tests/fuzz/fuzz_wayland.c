/* SPDX-License-Identifier: MIT */
/*
 * The filter between a guest's Wayland client and the host's compositor, both hostile. The first
 * byte of an input is the policy, the second how the streams are cut; then come records: a message
 * of an object as its interface wants it, with a word changed or not, or any bytes.
 *
 * Each side has a connection of its own here, which sees what that side says and is told: whatever
 * the filter passes on must make sense there. Besides, what may not pass is looked for by name, and
 * however the streams are cut, the same comes out.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "wayland/filter.h"
#include "wayland/tables.h"
#include "wayland/wire.h"
#include "wlmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS_MAX 256u
#define GLOBALS_MAX 4096u
#define NAME        "vm"

enum {
	EVENT,
	REQUEST,
};

/* Bytes in one direction, put into messages. */
struct stream {
	uint8_t bytes[2 * VMM_WL_MESSAGE_MAX];
	size_t have;
};

struct record {
	bool request;
	uint8_t fds;
	uint16_t len;
	uint8_t bytes[VMM_WL_MESSAGE_MAX + 64];
};

/* What came out of a pass. */
struct outcome {
	uint64_t digest[2];
	unsigned fds[2];
	unsigned broken_at;
};

/* A global that the client was told of. */
struct told_global {
	uint32_t name;
	uint32_t version;
	uint8_t interface;
};

struct harness {
	struct vmm_wl_filter *filter;
	unsigned clipboard;
	bool named;
	/* Each side's view; NULL in the pass that only compares. */
	struct vmm_wl_conn *guest;
	struct vmm_wl_conn *host;
	struct stream said[2];
	struct stream told[2];
	unsigned global_count;
	unsigned fds_in[2];
	/* So many descriptors came with the beginning of a message that it depends on the cut
	 * whether too many wait. */
	bool crowded;
	struct outcome outcome;
};

static struct record records[RECORDS_MAX];
/* Those of the pass that has views. */
static struct told_global globals[GLOBALS_MAX];

static void require(int condition)
{
	if (!condition) {
		abort();
	}
}

static void note(uint64_t *digest, const uint8_t *bytes, size_t len)
{
	/* FNV-1a */
	while (len-- > 0) {
		*digest = (*digest ^ *bytes++) * UINT64_C(0x100000001b3);
	}
}

/* Text of a request that names a window begins with the VM's name. */
static void check_name(const uint8_t *data, const char *prefix)
{
	const size_t len = vmm_wl_word(data, 0);
	const char *text = (const char *)data + VMM_WL_HEADER_SIZE + 4;

	require(len >= strlen(prefix) && strncmp(text, prefix, strlen(prefix)) == 0);
}

/* The global that a text is the name of. */
static uint8_t listed(const char *text)
{
	for (uint8_t i = VMM_WL_IF_NONE + 1; i < VMM_WL_IF_COUNT; i++) {
		if (vmm_wl_interfaces[i].name != 0 && strcmp(vmm_wl_interface_name(i), text) == 0) {
			return i;
		}
	}
	abort();
}

/* Name, interface and version of wl_registry's two messages: one of the list, told as it is bound.
 */
static void check_global(struct harness *h, bool request, const uint8_t *data)
{
	const size_t padded = (vmm_wl_word(data, 1) + 3u) & ~(size_t)3;
	const struct told_global g = {
		.name = vmm_wl_word(data, 0),
		.version = vmm_wl_word(data, 2 + (unsigned)(padded / 4)),
		.interface = listed((const char *)data + 16),
	};

	require(g.version > 0 && g.version <= vmm_wl_interfaces[g.interface].version);
	if (!request) {
		require(h->global_count < GLOBALS_MAX);
		globals[h->global_count++] = g;
		return;
	}
	for (unsigned i = 0; i < h->global_count; i++) {
		if (globals[i].name == g.name && globals[i].interface == g.interface &&
		    g.version <= globals[i].version) {
			return;
		}
	}
	abort();
}

static void check_request(const struct harness *h, const uint8_t *data,
			  const struct vmm_wl_message *msg)
{
	if ((h->clipboard & VMM_WL_CLIPBOARD_OUT) == 0) {
		if (msg->interface == VMM_WL_IF_WL_DATA_DEVICE) {
			require(msg->opcode != VMM_WL_RQ_WL_DATA_DEVICE_SET_SELECTION);
			require(msg->opcode != VMM_WL_RQ_WL_DATA_DEVICE_START_DRAG ||
				vmm_wl_word(data, 0) == 0);
		}
		require(msg->interface != VMM_WL_IF_ZWP_PRIMARY_SELECTION_DEVICE_V1 ||
			msg->opcode != VMM_WL_RQ_ZWP_PRIMARY_SELECTION_DEVICE_V1_SET_SELECTION);
	}
	if (h->named && msg->interface == VMM_WL_IF_XDG_TOPLEVEL) {
		if (msg->opcode == VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE) {
			check_name(data, "[" NAME "]");
		} else if (msg->opcode == VMM_WL_RQ_XDG_TOPLEVEL_SET_APP_ID) {
			check_name(data, "libvmm." NAME);
		}
	}
}

static bool is_offer(uint8_t interface)
{
	return interface == VMM_WL_IF_WL_DATA_OFFER ||
	       interface == VMM_WL_IF_ZWP_PRIMARY_SELECTION_OFFER_V1;
}

static void check_event(const struct harness *h, const struct vmm_wl_message *msg)
{
	if ((h->clipboard & VMM_WL_CLIPBOARD_IN) == 0) {
		require(!is_offer(msg->interface) && !is_offer(msg->new_interface));
	}
	if ((h->clipboard & VMM_WL_CLIPBOARD_OUT) == 0) {
		/* Of all events of sources, only this one carries a descriptor. */
		require(msg->fds == 0 || msg->interface == VMM_WL_IF_WL_KEYBOARD);
	}
}

/* A message that a side is told, by the filter: it makes sense there, and says nothing that it may
 * not. */
static void check_told(struct harness *h, bool request, uint8_t *data)
{
	struct vmm_wl_message msg;
	uint8_t before[VMM_WL_MESSAGE_MAX];

	if (request) {
		require(vmm_wl_request(h->host, data, &msg) == VMM_WL_PASS);
		check_request(h, data, &msg);
		if (msg.interface == VMM_WL_IF_WL_REGISTRY) {
			check_global(h, true, data);
		}
		return;
	}
	memcpy(before, data, VMM_WL_MESSAGE_MAX);
	require(vmm_wl_event(h->guest, data, &msg) == VMM_WL_PASS);
	require(memcmp(before, data, msg.size) == 0);
	check_event(h, &msg);
	if (msg.interface == VMM_WL_IF_WL_REGISTRY && msg.opcode == VMM_WL_EV_WL_REGISTRY_GLOBAL) {
		check_global(h, false, data);
	}
}

/* A message that a side has said and the filter has taken. */
static void check_said(struct harness *h, bool request, uint8_t *data)
{
	struct vmm_wl_message msg;

	require(request ? vmm_wl_request(h->guest, data, &msg) == VMM_WL_PASS
			: vmm_wl_event(h->host, data, &msg) != VMM_WL_BAD);
}

typedef void check_fn(struct harness *h, bool request, uint8_t *data);

static void follow(struct harness *h, struct stream *s, bool request, const uint8_t *data,
		   size_t len, check_fn *check)
{
	int size;

	require(s->have + len <= sizeof(s->bytes));
	memcpy(s->bytes + s->have, data, len);
	s->have += len;
	while ((size = vmm_wl_frame(s->bytes, s->have)) != 0) {
		require(size > 0);
		check(h, request, s->bytes);
		s->have -= (size_t)size;
		memmove(s->bytes, s->bytes + size, s->have);
	}
}

static void take_output(struct harness *h, bool request, const uint8_t *data, size_t len)
{
	note(&h->outcome.digest[request], data, len);
	if (h->guest != NULL) {
		follow(h, &h->told[request], request, data, len, check_told);
		/* Only whole messages. */
		require(h->told[request].have == 0);
	}
}

/* False: the filter hangs up. */
static bool feed(struct harness *h, bool request, const uint8_t *data, size_t len, unsigned fds)
{
	static uint8_t out[VMM_WL_OUT_MIN];
	struct vmm_wl_piece piece = {
		.in = data, .in_len = len, .in_fds = fds, .out = out, .out_cap = sizeof(out)};
	int rc;

	h->fds_in[request] += fds;
	h->crowded |= h->fds_in[request] - h->outcome.fds[request] > VMM_WL_FDS_MAX;
	do {
		rc = request ? vmm_wl_filter_request(h->filter, &piece)
			     : vmm_wl_filter_event(h->filter, &piece);
		require(piece.out_len <= sizeof(out) && piece.back_len <= sizeof(piece.back));
		require(piece.out_fds <= VMM_WL_FDS_MAX);
		if (rc < 0) {
			require(rc == -EPROTO && piece.out_len == 0 && piece.back_len == 0);
			return false;
		}
		if (h->guest != NULL && rc == 0) {
			follow(h, &h->said[request], request, data, len, check_said);
		}
		take_output(h, request, out, piece.out_len);
		take_output(h, !request, piece.back, piece.back_len);
		h->outcome.fds[request] += piece.out_fds;
		require(h->outcome.fds[request] <= h->fds_in[request]);
	} while (rc == 1);
	require(piece.in_len == 0);
	/* What waits is bounded. */
	require(h->fds_in[request] - h->outcome.fds[request] <= VMM_WL_FDS_MAX);
	return true;
}

static bool feed_record(struct harness *h, const struct record *r, size_t step)
{
	unsigned fds = r->fds;

	for (size_t at = 0; at < r->len; at += step) {
		const size_t len = r->len - at < step ? r->len - at : step;

		if (!feed(h, r->request, r->bytes + at, len, fds)) {
			return false;
		}
		fds = 0;
	}
	return true;
}

static void start(struct harness *h, uint8_t policy, bool views)
{
	const struct vmm_wl_filter_config config = {
		.vm_name = (policy & 4) != 0 ? NAME : NULL,
		.clipboard = policy & 3,
	};

	memset(h, 0, sizeof(*h));
	h->clipboard = config.clipboard;
	h->named = config.vm_name != NULL;
	h->outcome.broken_at = RECORDS_MAX;
	require(vmm_wl_filter_create(&config, &h->filter) == 0);
	if (views) {
		const uint8_t primary = VMM_WL_IF_ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1;

		h->guest = vmm_wl_conn_create();
		h->host = vmm_wl_conn_create();
		require(h->guest != NULL && h->host != NULL);
		h->guest->withheld[primary] = config.clipboard == VMM_WL_CLIPBOARD_NONE;
		h->host->withheld[primary] = h->guest->withheld[primary];
	}
}

static void finish(struct harness *h)
{
	vmm_wl_filter_destroy(h->filter);
	vmm_wl_conn_destroy(h->guest);
	vmm_wl_conn_destroy(h->host);
}

/* An argument that is an object: one of its interface, from a place that the input says. */
struct choice {
	struct vmm_wl_conn *conn;
	struct fuzz_input *in;
};

static uint32_t choose(void *ctx, uint8_t interface)
{
	struct choice *c = ctx;
	const uint8_t at = fuzz_u8(c->in);

	for (uint32_t i = 0; i < c->conn->server_count; i++) {
		if (c->conn->server[i].interface == interface) {
			return VMM_WL_SERVER_BASE + i;
		}
	}
	for (uint32_t i = 0; i < c->conn->client_count; i++) {
		const uint32_t id = (at + i) % c->conn->client_count;

		if (c->conn->client[id].interface == interface && interface != VMM_WL_IF_NONE) {
			return id;
		}
	}
	return at;
}

/* A message as the interface wants it; the compositor's, or the client's. */
static void make_typed(struct harness *h, struct fuzz_input *in, struct record *r)
{
	struct vmm_wl_conn *conn = r->request ? h->guest : h->host;
	struct choice choice = {.conn = conn, .in = in};
	const uint8_t n = fuzz_u8(in);
	const uint32_t object = n < 0xe0 ? n : VMM_WL_SERVER_BASE + (n - 0xe0u);
	const struct vmm_wl_object *known = vmm_wl_find(conn, object);
	const uint8_t opcode = fuzz_u8(in);
	const uint8_t change = fuzz_u8(in);
	struct wlmsg_make make = {.object = choose, .ctx = &choice};
	uint8_t count;

	if (known == NULL) {
		return;
	}
	count = r->request ? vmm_wl_interfaces[known->interface].requests
			   : vmm_wl_interfaces[known->interface].events;
	if (count == 0) {
		return;
	}
	make.new_id = r->request ? conn->client_count : VMM_WL_SERVER_BASE + conn->server_count;
	if ((change & 0x80) != 0) {
		make.new_id -= 1u + (change & 3u);
	}
	r->len = (uint16_t)wlmsg_of(r->bytes, object, known->interface, r->request, opcode % count,
				    &make);
	if ((change & 0x40) != 0 && r->len > 4u * (change & 0xfu)) {
		const uint32_t word = fuzz_u32(in);

		memcpy(r->bytes + 4u * (change & 0xfu), &word, sizeof(word));
	}
}

/* A global of some interface, or one that nobody knows, and binds of them. */
static void make_global(struct harness *h, struct fuzz_input *in, struct record *r)
{
	const uint8_t interface = fuzz_u8(in);
	const uint32_t version = fuzz_u8(in);
	const char *name =
		interface < 0x80 ? vmm_wl_interface_name(interface) : "zwlr_screencopy_manager_v1";

	if (r->request) {
		r->len =
			(uint16_t)wlmsg(r->bytes, 2, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu",
					(uint32_t)interface, name, version, h->guest->client_count);
	} else {
		r->len = (uint16_t)wlmsg(r->bytes, 2, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu",
					 (uint32_t)interface, name, version);
	}
}

/* One text that fills most of a message. */
static void make_long(struct fuzz_input *in, struct record *r)
{
	const uint8_t object = fuzz_u8(in);
	const uint8_t opcode = fuzz_u8(in) & 7;
	const uint32_t len = 1u + fuzz_u16(in) % (VMM_WL_MESSAGE_MAX - 12);

	r->len = (uint16_t)wlmsg(r->bytes, object, opcode, "a", len);
	memset(r->bytes + 12, 'a', len - 1);
}

static void make_record(struct harness *h, struct fuzz_input *in, struct record *r)
{
	const uint8_t kind = fuzz_u8(in);

	r->request = (kind & 1) != 0;
	r->fds = (kind >> 4) & 3;
	r->len = 0;
	switch ((kind >> 1) & 7) {
	case 0: /* any bytes */
		r->len = fuzz_u8(in);
		fuzz_bytes(in, r->bytes, r->len);
		break;
	case 1:
		make_long(in, r);
		break;
	case 2:
	case 3:
		make_global(h, in, r);
		break;
	default:
		make_typed(h, in, r);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .size = size};
	static struct harness first;
	static struct harness second;
	const uint8_t policy = fuzz_u8(&in);
	const uint8_t cut = fuzz_u8(&in);
	unsigned count = 0;

	/* So few bytes at a time that no two messages end in them: who hears what first is plain.
	 */
	start(&first, policy, true);
	while (in.size > 0 && count < RECORDS_MAX && first.outcome.broken_at == RECORDS_MAX) {
		make_record(&first, &in, &records[count]);
		if (!feed_record(&first, &records[count], 1u + cut % 8u)) {
			first.outcome.broken_at = count;
		}
		count++;
	}
	start(&second, policy, false);
	for (unsigned i = 0; i < count; i++) {
		if (!feed_record(&second, &records[i], 1u + cut * 16u)) {
			second.outcome.broken_at = i;
			break;
		}
	}
	require(first.crowded || first.outcome.broken_at == second.outcome.broken_at);
	/* A piece that ends the connection takes with it what was good in it. */
	if (first.outcome.broken_at == RECORDS_MAX && !first.crowded) {
		require(memcmp(&first.outcome, &second.outcome, sizeof(first.outcome)) == 0);
	}
	finish(&first);
	finish(&second);
	return 0;
}
