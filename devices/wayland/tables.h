/* SPDX-License-Identifier: MIT */
/* What tables.awk makes of the protocols. */
#ifndef VMM_DEVICES_WAYLAND_TABLES_H
#define VMM_DEVICES_WAYLAND_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "wayland_names.h"

/* One argument of a signature. Behind OBJECT and NEW_ID stands the interface. */
enum {
	END,
	WORD, /* int, uint, fixed */
	STRING,
	ARRAY,
	OBJECT,
	NEW_ID,
	ANY_NEW_ID, /* interface, version and id, as in wl_registry.bind */
	FD,
	NULLABLE = 0x80,
};

/* An interface that no global of the list leads to: nothing has it. */
#define ABSENT 0xffu

struct wl_interface_entry {
	uint16_t first; /* of its messages: requests, then events */
	uint16_t name;  /* of a global, in vmm_wl_names; 0 for others */
	uint8_t version;
	uint8_t requests;
	uint8_t events;
};

struct wl_message_entry {
	uint16_t signature;
	uint8_t since;
	bool destructor;
};

extern const struct wl_interface_entry vmm_wl_interfaces[VMM_WL_IF_COUNT];
extern const struct wl_message_entry vmm_wl_messages[];
extern const uint8_t vmm_wl_signatures[];
extern const char vmm_wl_names[];

#endif
