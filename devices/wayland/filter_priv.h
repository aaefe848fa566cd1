/* SPDX-License-Identifier: MIT */
/* Private to the filter. */
#ifndef VMM_DEVICES_WAYLAND_FILTER_PRIV_H
#define VMM_DEVICES_WAYLAND_FILTER_PRIV_H

#include "filter.h"
#include "wire.h"

/* "[NAME] " and "libvmm.NAME:". The last byte is there only when something follows. */
#define WL_PREFIX_MAX (VMM_WL_NAME_MAX + 16u)

struct wl_prefix {
	char text[WL_PREFIX_MAX];
	size_t len;
};

/* One direction. */
struct wl_stream {
	uint8_t message[VMM_WL_MESSAGE_MAX]; /* the one that is being put together */
	size_t have;
	unsigned fds; /* came and have not gone on */
};

struct vmm_wl_filter {
	struct vmm_wl_conn *conn;
	struct wl_stream requests;
	struct wl_stream events;
	struct vmm_wl_message last;
	unsigned clipboard;
	bool named;
	bool broken;
	struct wl_prefix title;
	struct wl_prefix id;
};

/* What a part of the filter makes of a message: VMM_WL_DROP when it is not to go on. */
typedef enum vmm_wl_verdict wl_step_fn(struct vmm_wl_filter *f, uint8_t *data,
				       struct vmm_wl_piece *piece);

/* filter_clipboard.c: what f->last, which is in data, may do; may write to the piece's back. */
wl_step_fn vmm_wl_clipboard_request;
wl_step_fn vmm_wl_clipboard_event;

/* filter_name.c */
void vmm_wl_name_init(struct vmm_wl_filter *f, const char *vm_name);
/* Puts the request of f->last behind the piece's out, with the VM's name where one belongs. At most
 * WL_GROWTH longer. */
void vmm_wl_name_append(struct vmm_wl_filter *f, const uint8_t *data, struct vmm_wl_piece *piece);

/* What may come behind a message: a title and an application id, each a prefix in a request of its
 * own. */
#define WL_GROWTH ((size_t)2 * (WL_PREFIX_MAX + 16u))

#endif
