/* SPDX-License-Identifier: MIT */
/*
 * The Wayland wire: messages, what is in them, and the objects of one connection. For who stands
 * between a client and a compositor, which are both free to send anything: the proxy in a guest,
 * and the filter on the host.
 *
 * A message is the id of an object, (size << 16 | opcode), and arguments in words of 32 bits, in
 * the byte order of the machine. Descriptors travel beside the bytes, in the order of the messages
 * that take them.
 *
 * Nothing here opens, reads or writes; after create nothing allocates. One thread at a time for
 * each connection.
 */
#ifndef VMM_DEVICES_WAYLAND_WIRE_H
#define VMM_DEVICES_WAYLAND_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * VMM_WL_IF_x for each interface (VMM_WL_IF_WL_SURFACE), VMM_WL_RQ_x_y and VMM_WL_EV_x_y for
 * opcodes of requests and events (VMM_WL_RQ_WL_SHM_CREATE_POOL). Made from protocols/ and
 * globals.txt by tables.awk; an interface that no global of the list leads to is not there.
 */
#include "wayland_names.h"

/* What libwayland takes: its buffers hold 4096 bytes, one sendmsg of it carries 28 descriptors. */
#define VMM_WL_HEADER_SIZE 8u
#define VMM_WL_MESSAGE_MAX 4096u
#define VMM_WL_FDS_MAX     28u

/* Ids of clients grow from 1, the compositor's from there. Beyond the bounds a connection ends. */
#define VMM_WL_DISPLAY_ID  1u
#define VMM_WL_SERVER_BASE UINT32_C(0xff000000)
#define VMM_WL_CLIENT_MAX  16384u /* ids 1 .. VMM_WL_CLIENT_MAX - 1 */
#define VMM_WL_SERVER_MAX  1024u
#define VMM_WL_GLOBALS_MAX 64u

/* An object that something is known of. */
struct vmm_wl_object {
	uint16_t user;     /* the caller's own; 0 when the object is new */
	uint8_t interface; /* VMM_WL_IF_x; VMM_WL_IF_NONE: the id is free */
	uint8_t version;
	uint8_t flags; /* VMM_WL_OBJECT_x */
	uint8_t stale; /* delete_id events that are still to come for earlier objects of this id */
};

/* The client has destroyed it. Until delete_id its events may still arrive. */
#define VMM_WL_OBJECT_DESTROYED 1u
/* The caller's own. */
#define VMM_WL_OBJECT_USER_MASK 0xf0u

/* A global the client was told of. */
struct vmm_wl_global {
	uint32_t name;
	uint8_t interface; /* VMM_WL_IF_NONE: the place is free */
	uint8_t version;   /* not above what the tables know */
	bool removed;      /* a bind may be on its way */
};

/* One connection. About 105 kB, of which only what ids are used is touched: keep what comes of
 * vmm_wl_conn_create. */
struct vmm_wl_conn {
	uint32_t client_count; /* one more than the highest id of the client so far */
	uint32_t server_count;
	struct vmm_wl_global globals[VMM_WL_GLOBALS_MAX];
	/* Globals the caller will not have the client see, by VMM_WL_IF_x; set before the first
	 * message. */
	bool withheld[VMM_WL_IF_COUNT];
	struct vmm_wl_object client[VMM_WL_CLIENT_MAX];
	struct vmm_wl_object server[VMM_WL_SERVER_MAX];
};

/* What vmm_wl_request or vmm_wl_event found. */
struct vmm_wl_message {
	uint32_t object;
	uint16_t opcode;
	uint16_t size;     /* with the header */
	uint8_t interface; /* of the object */
	uint8_t version;   /* of the object */
	uint8_t fds;       /* descriptors it takes: 0 or 1 in the protocols of the list */
	bool destructor;
	/* delete_id for an object whose id has been given to another one since. */
	bool stale_delete;
	/* The object it makes; new_id 0: none. */
	uint8_t new_interface;
	uint8_t new_version;
	uint32_t new_id;
};

enum vmm_wl_verdict {
	VMM_WL_PASS,
	/* Events only: a global the client is not to know, or the end of one. Leave the message out
	   of the stream. */
	VMM_WL_DROP,
	/* Malformed, of an object or opcode that is unknown, or beyond a bound. Nothing more can be
	   told of what follows. */
	VMM_WL_BAD,
};

/* A connection with its display object; NULL without memory. Destroy takes NULL. */
struct vmm_wl_conn *vmm_wl_conn_create(void);
void vmm_wl_conn_destroy(struct vmm_wl_conn *conn);

/*
 * The size of the message that data, len bytes, begins with; 0 when len is not all of it; -EPROTO
 * when it cannot be one (shorter than its header, longer than VMM_WL_MESSAGE_MAX, not in whole
 * words).
 */
int vmm_wl_frame(const uint8_t *data, size_t len);

/*
 * One whole message of the client or the compositor: data has as many bytes as vmm_wl_frame said,
 * is private to the caller, and needs no alignment. The objects are changed as the message changes
 * them. msg is set for PASS and DROP.
 *
 * vmm_wl_request also for a message that the caller puts into the stream itself, if the compositor
 * sees it. An id that the client has destroyed may be given out again before delete_id when its old
 * interface has no events (as a pool has none): the delete_id of the old one then says
 * stale_delete.
 *
 * vmm_wl_event lowers the version of a wl_registry.global, in data, to what the tables know.
 */
enum vmm_wl_verdict vmm_wl_request(struct vmm_wl_conn *conn, const uint8_t *data,
				   struct vmm_wl_message *msg);
enum vmm_wl_verdict vmm_wl_event(struct vmm_wl_conn *conn, uint8_t *data,
				 struct vmm_wl_message *msg);

/* The object of an id, or NULL where the id is free. It stays where it is. */
struct vmm_wl_object *vmm_wl_find(struct vmm_wl_conn *conn, uint32_t id);

/* Argument n, when no string or array stands before it. A descriptor takes no word. */
uint32_t vmm_wl_word(const uint8_t *data, unsigned n);
void vmm_wl_set_word(uint8_t *data, unsigned n, uint32_t value);

/* Writes a header of a message of size bytes in all. */
void vmm_wl_header(uint8_t *data, uint32_t object, uint16_t opcode, size_t size);

/* The name of a global's interface; "" for an interface that is none. */
const char *vmm_wl_interface_name(uint8_t interface);

#endif
