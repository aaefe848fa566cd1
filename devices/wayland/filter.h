/* SPDX-License-Identifier: MIT */
/*
 * What a guest may say to the host's compositor, and hear of it. The guest's client talks Wayland
 * through a channel of its own; this stands in the stream, on the host, and takes neither side's
 * word for anything:
 *
 * - globals outside globals.txt do not exist, versions are those of the tables (wire.h), and only
 * what was announced can be bound;
 * - anything malformed ends the connection;
 * - windows carry the name of their VM: title "[NAME] title", application id
 * "libvmm.NAME:application";
 * - the clipboard and drags go the ways the VM's owner allows, which by default is none.
 *
 * It owns no descriptor: it says how many of those that came go on. One thread at a time.
 */
#ifndef VMM_DEVICES_WAYLAND_FILTER_H
#define VMM_DEVICES_WAYLAND_FILTER_H

#include <stddef.h>
#include <stdint.h>

struct vmm_wl_filter;
struct vmm_wl_message;

/*
 * Ways of the clipboard, of the primary selection, and of what is dragged. What may not leave the
 * VM is cancelled as soon as the client offers it; what may not come in is never offered to it. Two
 * windows of one VM meet in the host's compositor as well, so copying between them needs both.
 */
enum {
	VMM_WL_CLIPBOARD_NONE = 0,
	VMM_WL_CLIPBOARD_IN = 1,  /* from the host into the VM */
	VMM_WL_CLIPBOARD_OUT = 2, /* from the VM to the host */
	VMM_WL_CLIPBOARD_BOTH = 3,
};

#define VMM_WL_NAME_MAX 64u

struct vmm_wl_filter_config {
	/*
	 * Copied. 1 to VMM_WL_NAME_MAX bytes, without spaces, control characters and ':'. NULL:
	 * titles and application ids pass as they are.
	 */
	const char *vm_name;
	unsigned clipboard; /* VMM_WL_CLIPBOARD_x */
};

/* Room that vmm_wl_piece needs at the very least: a message, and what may be put behind it. */
#define VMM_WL_OUT_MIN  5120u
#define VMM_WL_BACK_MAX 256u

/* Bytes on their way through. The caller sets in, in_len, in_fds, out and out_cap. */
struct vmm_wl_piece {
	/*
	 * What came, and how many descriptors, up to VMM_WL_FDS_MAX, came with it. Calls take what
	 * they have used off the front, in_fds at once. in may be NULL when in_len is 0.
	 */
	const uint8_t *in;
	size_t in_len;
	unsigned in_fds;
	/*
	 * What goes on, in whole messages, and how many descriptors, the oldest of those that came,
	 * go on with its bytes.
	 */
	uint8_t *out;
	size_t out_cap; /* at least VMM_WL_OUT_MIN */
	size_t out_len;
	unsigned out_fds; /* at most VMM_WL_FDS_MAX */
	/* Whole messages, without descriptors, for the side that the piece came from. */
	uint8_t back[VMM_WL_BACK_MAX];
	size_t back_len;
};

/*
 * -EINVAL: config has bits or a name that it should not; -ENOMEM. No memory is allocated
 * afterwards. Destroy takes NULL.
 */
int vmm_wl_filter_create(const struct vmm_wl_filter_config *config, struct vmm_wl_filter **filter);
void vmm_wl_filter_destroy(struct vmm_wl_filter *filter);

/*
 * Bytes of the guest's client (request), or of the host's compositor (event). The stream may be cut
 * anywhere: what is no whole message yet is kept. Each byte of `in` is read once. Each call sets
 * out_len, out_fds and back_len anew.
 *
 * 0: everything of `in` has been taken. 1: there is more to come; send out and back, and call again
 * with the same piece. -EPROTO: hang up; neither out nor back may be sent, and nothing but -EPROTO
 * will come of the filter. -EINVAL: out_cap is too small.
 *
 * Descriptors that came and have not gone on wait for their message, at most VMM_WL_FDS_MAX of
 * them; the caller keeps them in order.
 */
int vmm_wl_filter_request(struct vmm_wl_filter *filter, struct vmm_wl_piece *piece);
int vmm_wl_filter_event(struct vmm_wl_filter *filter, struct vmm_wl_piece *piece);

/* What the last message was, as far as it could be told: for a line in a log after -EPROTO. */
const struct vmm_wl_message *vmm_wl_filter_last(const struct vmm_wl_filter *filter);

#endif
