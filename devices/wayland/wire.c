/* SPDX-License-Identifier: MIT */
/* The Wayland wire: framing, arguments, and the objects of a connection. */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tables.h"

/* A message on its way through: what its signature says of it. */
struct walk {
	const uint8_t *data;
	size_t size;
	size_t at;
	/* The last string that was seen, with its zero, and what stands behind it. */
	const char *text;
	size_t behind_text;
	struct vmm_wl_message *msg;
};

static uint32_t load(const uint8_t *data)
{
	uint32_t value;

	memcpy(&value, data, sizeof(value));
	return value;
}

uint32_t vmm_wl_word(const uint8_t *data, unsigned n)
{
	return load(data + VMM_WL_HEADER_SIZE + 4u * (size_t)n);
}

void vmm_wl_set_word(uint8_t *data, unsigned n, uint32_t value)
{
	memcpy(data + VMM_WL_HEADER_SIZE + 4u * (size_t)n, &value, sizeof(value));
}

void vmm_wl_header(uint8_t *data, uint32_t object, uint16_t opcode, size_t size)
{
	const uint32_t words[2] = {object, (uint32_t)size << 16 | opcode};

	memcpy(data, words, sizeof(words));
}

int vmm_wl_frame(const uint8_t *data, size_t len)
{
	uint32_t size;

	if (len < VMM_WL_HEADER_SIZE) {
		return 0;
	}
	size = load(data + 4) >> 16;
	if (size < VMM_WL_HEADER_SIZE || size > VMM_WL_MESSAGE_MAX || size % 4 != 0) {
		return -EPROTO;
	}
	return size <= len ? (int)size : 0;
}

struct vmm_wl_conn *vmm_wl_conn_create(void)
{
	/* Zeroes that come from the kernel cost nothing until they are touched. */
	struct vmm_wl_conn *conn = calloc(1, sizeof(*conn));

	if (conn == NULL) {
		return NULL;
	}
	conn->client[VMM_WL_DISPLAY_ID].interface = VMM_WL_IF_WL_DISPLAY;
	conn->client[VMM_WL_DISPLAY_ID].version = 1;
	conn->client_count = VMM_WL_DISPLAY_ID + 1;
	return conn;
}

void vmm_wl_conn_destroy(struct vmm_wl_conn *conn)
{
	free(conn);
}

struct vmm_wl_object *vmm_wl_find(struct vmm_wl_conn *conn, uint32_t id)
{
	struct vmm_wl_object *object;

	if (id < conn->client_count) {
		object = &conn->client[id];
	} else if (id >= VMM_WL_SERVER_BASE && id - VMM_WL_SERVER_BASE < conn->server_count) {
		object = &conn->server[id - VMM_WL_SERVER_BASE];
	} else {
		return NULL;
	}
	return object->interface != VMM_WL_IF_NONE ? object : NULL;
}

const char *vmm_wl_interface_name(uint8_t interface)
{
	return &vmm_wl_names[interface < VMM_WL_IF_COUNT ? vmm_wl_interfaces[interface].name : 0];
}

/* The global of a name, or VMM_WL_IF_NONE. */
static uint8_t interface_of(const char *name)
{
	for (unsigned i = VMM_WL_IF_NONE + 1; i < VMM_WL_IF_COUNT; i++) {
		const uint16_t at = vmm_wl_interfaces[i].name;

		if (at != 0 && strcmp(&vmm_wl_names[at], name) == 0) {
			return (uint8_t)i;
		}
	}
	return VMM_WL_IF_NONE;
}

static bool take_word(struct walk *w, uint32_t *value)
{
	if (w->size - w->at < 4) {
		return false;
	}
	*value = load(w->data + w->at);
	w->at += 4;
	return true;
}

static bool take_bytes(struct walk *w, uint32_t *len)
{
	if (!take_word(w, len) || *len > w->size - w->at) {
		return false;
	}
	/* In whole words, as the message is, so the padding is there if the bytes are. */
	w->at += ((size_t)*len + 3) & ~(size_t)3;
	return true;
}

/* Its length counts the zero at its end, and there is no other one: all who read it see the same.
 */
static bool take_string(struct walk *w, bool nullable)
{
	const size_t start = w->at + 4;
	uint32_t len;

	if (!take_bytes(w, &len)) {
		return false;
	}
	if (len == 0) {
		w->text = "";
		return nullable;
	}
	w->text = (const char *)w->data + start;
	w->behind_text = w->at;
	return memchr(w->text, 0, len) == w->text + len - 1;
}

/* Is there, is not destroyed, and is what the message wants? */
static bool is_usable(struct vmm_wl_conn *conn, uint32_t id, uint8_t interface)
{
	const struct vmm_wl_object *object = vmm_wl_find(conn, id);

	return object != NULL && (object->flags & VMM_WL_OBJECT_DESTROYED) == 0 &&
	       (interface == VMM_WL_IF_NONE || object->interface == interface);
}

/* An argument with its code; interface is what stands behind the codes of objects. */
static bool take(struct walk *w, uint8_t code, uint8_t interface, struct vmm_wl_conn *requested)
{
	const bool nullable = (code & NULLABLE) != 0;
	uint32_t value;

	switch (code & ~NULLABLE) {
	case WORD:
		return take_word(w, &value);
	case STRING:
		return take_string(w, nullable);
	case ARRAY:
		return take_bytes(w, &value);
	case OBJECT:
		if (!take_word(w, &value)) {
			return false;
		}
		/* Events may name what the client has destroyed since. */
		return value == 0 ? nullable
				  : requested == NULL || is_usable(requested, value, interface);
	case NEW_ID:
		w->msg->new_interface = interface;
		w->msg->new_version = w->msg->version;
		return take_word(w, &w->msg->new_id);
	case ANY_NEW_ID:
		/* What it makes, the caller finds out. */
		return take_string(w, false) && take_word(w, &value) &&
		       take_word(w, &w->msg->new_id);
	default:
		w->msg->fds++;
		return true;
	}
}

/* All arguments and nothing behind them. requested: the connection whose objects they must be, for
 * a request. */
static bool walk_arguments(struct walk *w, const uint8_t *signature, struct vmm_wl_conn *requested)
{
	while (*signature != END) {
		const uint8_t code = *signature++;
		uint8_t interface = VMM_WL_IF_NONE;

		if ((code & ~NULLABLE) == OBJECT || (code & ~NULLABLE) == NEW_ID) {
			interface = *signature++;
		}
		if (!take(w, code, interface, requested)) {
			return false;
		}
	}
	return w->at == w->size;
}

/* The object and its message. NULL: there is none. */
static const struct wl_message_entry *open_message(struct vmm_wl_conn *conn, struct walk *w,
						   const uint8_t *data, bool request,
						   struct vmm_wl_message *msg)
{
	const uint32_t object = load(data);
	const uint32_t word = load(data + 4);
	const struct vmm_wl_object *known = vmm_wl_find(conn, object);
	const struct wl_interface_entry *interface;
	const struct wl_message_entry *entry;

	*msg = (struct vmm_wl_message){.object = object,
				       .opcode = (uint16_t)(word & 0xffff),
				       .size = (uint16_t)(word >> 16)};
	*w = (struct walk){
		.data = data, .size = msg->size, .at = VMM_WL_HEADER_SIZE, .text = "", .msg = msg};
	if (known == NULL || (request && (known->flags & VMM_WL_OBJECT_DESTROYED) != 0)) {
		return NULL;
	}
	msg->interface = known->interface;
	msg->version = known->version;
	interface = &vmm_wl_interfaces[known->interface];
	if (msg->opcode >= (request ? interface->requests : interface->events)) {
		return NULL;
	}
	entry = &vmm_wl_messages[interface->first + (request ? 0u : interface->requests) +
				 msg->opcode];
	msg->destructor = entry->destructor;
	return entry;
}

/* A new id of the client, whose place must be free or as good as that. */
static bool insert_client(struct vmm_wl_conn *conn, const struct vmm_wl_message *msg)
{
	const uint32_t id = msg->new_id;
	struct vmm_wl_object *object;
	uint8_t stale = 0;

	if (id == 0 || id >= VMM_WL_CLIENT_MAX || id > conn->client_count) {
		return false;
	}
	if (id == conn->client_count) {
		conn->client_count++;
	}
	object = &conn->client[id];
	if (object->interface != VMM_WL_IF_NONE) {
		/* Events of the old one would be taken for the new one's, so it must have none. */
		if ((object->flags & VMM_WL_OBJECT_DESTROYED) == 0 || object->stale == UINT8_MAX ||
		    vmm_wl_interfaces[object->interface].events != 0) {
			return false;
		}
		stale = (uint8_t)(object->stale + 1);
	}
	*object = (struct vmm_wl_object){
		.interface = msg->new_interface, .version = msg->new_version, .stale = stale};
	return true;
}

/* The compositor uses its ids again without a word. */
static bool insert_server(struct vmm_wl_conn *conn, const struct vmm_wl_message *msg)
{
	const uint32_t n = msg->new_id - VMM_WL_SERVER_BASE;

	if (msg->new_id < VMM_WL_SERVER_BASE || n >= VMM_WL_SERVER_MAX || n > conn->server_count) {
		return false;
	}
	if (n == conn->server_count) {
		conn->server_count++;
	}
	conn->server[n] = (struct vmm_wl_object){.interface = msg->new_interface,
						 .version = msg->new_version};
	return true;
}

static struct vmm_wl_global *find_global(struct vmm_wl_conn *conn, uint32_t name)
{
	for (unsigned i = 0; i < VMM_WL_GLOBALS_MAX; i++) {
		if (conn->globals[i].interface != VMM_WL_IF_NONE && conn->globals[i].name == name) {
			return &conn->globals[i];
		}
	}
	return NULL;
}

/* A place for a name: its own, a free one, or that of a global that is gone. */
static struct vmm_wl_global *place_global(struct vmm_wl_conn *conn, uint32_t name)
{
	struct vmm_wl_global *place = find_global(conn, name);

	for (unsigned i = 0; place == NULL && i < VMM_WL_GLOBALS_MAX; i++) {
		if (conn->globals[i].interface == VMM_WL_IF_NONE) {
			place = &conn->globals[i];
		}
	}
	for (unsigned i = 0; place == NULL && i < VMM_WL_GLOBALS_MAX; i++) {
		if (conn->globals[i].removed) {
			place = &conn->globals[i];
		}
	}
	return place;
}

/* wl_registry.global: name, interface, version. */
static enum vmm_wl_verdict announce(struct vmm_wl_conn *conn, const struct walk *w, uint8_t *data)
{
	const uint32_t name = vmm_wl_word(data, 0);
	const uint8_t interface = interface_of(w->text);
	uint32_t version = load(data + w->behind_text);
	struct vmm_wl_global *global;

	if (interface == VMM_WL_IF_NONE || conn->withheld[interface] || version == 0) {
		return VMM_WL_DROP;
	}
	global = place_global(conn, name);
	if (global == NULL) {
		return VMM_WL_DROP;
	}
	if (version > vmm_wl_interfaces[interface].version) {
		version = vmm_wl_interfaces[interface].version;
		memcpy(data + w->behind_text, &version, sizeof(version));
	}
	*global = (struct vmm_wl_global){
		.name = name, .interface = interface, .version = (uint8_t)version};
	return VMM_WL_PASS;
}

static enum vmm_wl_verdict announce_end(struct vmm_wl_conn *conn, uint32_t name)
{
	struct vmm_wl_global *global = find_global(conn, name);

	if (global == NULL) {
		return VMM_WL_DROP;
	}
	/* Other registries hear of it too, and a bind may be on its way: it stays known. */
	global->removed = true;
	return VMM_WL_PASS;
}

/* wl_registry.bind: name, then interface, version and id. Only what was announced, as it was
 * announced. */
static bool bind_global(struct vmm_wl_conn *conn, const struct walk *w)
{
	const struct vmm_wl_global *global = find_global(conn, vmm_wl_word(w->data, 0));
	const uint32_t version = load(w->data + w->behind_text);

	if (global == NULL || version == 0 || version > global->version ||
	    strcmp(vmm_wl_interface_name(global->interface), w->text) != 0) {
		return false;
	}
	w->msg->new_interface = global->interface;
	w->msg->new_version = (uint8_t)version;
	return true;
}

static enum vmm_wl_verdict delete_id(struct vmm_wl_conn *conn, uint32_t id,
				     struct vmm_wl_message *msg)
{
	struct vmm_wl_object *object = vmm_wl_find(conn, id);

	if (object == NULL || id == VMM_WL_DISPLAY_ID || id >= VMM_WL_SERVER_BASE) {
		return VMM_WL_BAD;
	}
	if (object->stale > 0) {
		object->stale--;
		msg->stale_delete = true;
	} else {
		*object = (struct vmm_wl_object){.interface = VMM_WL_IF_NONE};
	}
	return VMM_WL_PASS;
}

enum vmm_wl_verdict vmm_wl_request(struct vmm_wl_conn *conn, const uint8_t *data,
				   struct vmm_wl_message *msg)
{
	struct walk w;
	const struct wl_message_entry *entry = open_message(conn, &w, data, true, msg);

	if (entry == NULL || entry->since > msg->version ||
	    !walk_arguments(&w, &vmm_wl_signatures[entry->signature], conn)) {
		return VMM_WL_BAD;
	}
	if (msg->interface == VMM_WL_IF_WL_REGISTRY && !bind_global(conn, &w)) {
		return VMM_WL_BAD;
	}
	if (msg->new_interface != VMM_WL_IF_NONE && !insert_client(conn, msg)) {
		return VMM_WL_BAD;
	}
	if (msg->destructor) {
		vmm_wl_find(conn, msg->object)->flags |= VMM_WL_OBJECT_DESTROYED;
	}
	return VMM_WL_PASS;
}

enum vmm_wl_verdict vmm_wl_event(struct vmm_wl_conn *conn, uint8_t *data,
				 struct vmm_wl_message *msg)
{
	struct walk w;
	const struct wl_message_entry *entry = open_message(conn, &w, data, false, msg);

	if (entry == NULL || !walk_arguments(&w, &vmm_wl_signatures[entry->signature], NULL)) {
		return VMM_WL_BAD;
	}
	if (msg->interface == VMM_WL_IF_WL_REGISTRY) {
		return msg->opcode == VMM_WL_EV_WL_REGISTRY_GLOBAL
			       ? announce(conn, &w, data)
			       : announce_end(conn, vmm_wl_word(data, 0));
	}
	if (msg->interface == VMM_WL_IF_WL_DISPLAY &&
	    msg->opcode == VMM_WL_EV_WL_DISPLAY_DELETE_ID) {
		return delete_id(conn, vmm_wl_word(data, 0), msg);
	}
	if (msg->new_interface != VMM_WL_IF_NONE && !insert_server(conn, msg)) {
		return VMM_WL_BAD;
	}
	return VMM_WL_PASS;
}
