/* SPDX-License-Identifier: MIT */
/* The filter's two streams: messages are put together from what comes, looked at, and go on or do
 * not. */
#include "filter_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(VMM_WL_OUT_MIN >= VMM_WL_MESSAGE_MAX + WL_GROWTH, "room for any message");

/* A name that looks the same wherever it is shown, and ends where its application's begins. */
static bool is_name(const char *name)
{
	const size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f || name[i] == ':') {
			return false;
		}
	}
	return len > 0 && len <= VMM_WL_NAME_MAX;
}

int vmm_wl_filter_create(const struct vmm_wl_filter_config *config, struct vmm_wl_filter **filter)
{
	struct vmm_wl_filter *f;

	if (config->clipboard > VMM_WL_CLIPBOARD_BOTH ||
	    (config->vm_name != NULL && !is_name(config->vm_name))) {
		return -EINVAL;
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL) {
		return -ENOMEM;
	}
	f->conn = vmm_wl_conn_create();
	if (f->conn == NULL) {
		free(f);
		return -ENOMEM;
	}
	f->clipboard = config->clipboard;
	/*
	 * The clipboard itself is announced even if nothing may go through it: there are programs
	 * that do not start without (foot). All of them do without the primary selection.
	 */
	f->conn->withheld[VMM_WL_IF_ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1] =
		config->clipboard == VMM_WL_CLIPBOARD_NONE;
	if (config->vm_name != NULL) {
		vmm_wl_name_init(f, config->vm_name);
	}
	*filter = f;
	return 0;
}

void vmm_wl_filter_destroy(struct vmm_wl_filter *filter)
{
	if (filter == NULL) {
		return;
	}
	vmm_wl_conn_destroy(filter->conn);
	free(filter);
}

const struct vmm_wl_message *vmm_wl_filter_last(const struct vmm_wl_filter *filter)
{
	return &filter->last;
}

/* Takes at most `more` bytes of what came. */
static void take(struct wl_stream *s, struct vmm_wl_piece *piece, size_t more)
{
	const size_t len = more < piece->in_len ? more : piece->in_len;

	if (len == 0) {
		return;
	}
	memcpy(s->message + s->have, piece->in, len);
	s->have += len;
	piece->in += len;
	piece->in_len -= len;
}

/* 1: there is a whole message. 0: not yet. -EPROTO: it cannot be one. */
static int gather(struct wl_stream *s, struct vmm_wl_piece *piece)
{
	int size;

	if (s->have < VMM_WL_HEADER_SIZE) {
		take(s, piece, VMM_WL_HEADER_SIZE - s->have);
	}
	if (s->have < VMM_WL_HEADER_SIZE) {
		return 0;
	}
	/* As if all of it were there: it is the size that is asked for. */
	size = vmm_wl_frame(s->message, VMM_WL_MESSAGE_MAX);
	if (size < 0) {
		return size;
	}
	take(s, piece, (size_t)size - s->have);
	return s->have == (size_t)size;
}

static enum vmm_wl_verdict step_request(struct vmm_wl_filter *f, uint8_t *data,
					struct vmm_wl_piece *piece)
{
	enum vmm_wl_verdict verdict = vmm_wl_request(f->conn, data, &f->last);

	if (verdict == VMM_WL_PASS) {
		verdict = vmm_wl_clipboard_request(f, data, piece);
	}
	if (verdict == VMM_WL_PASS) {
		vmm_wl_name_append(f, data, piece);
	}
	return verdict;
}

static enum vmm_wl_verdict step_event(struct vmm_wl_filter *f, uint8_t *data,
				      struct vmm_wl_piece *piece)
{
	const size_t size = f->events.have;
	enum vmm_wl_verdict verdict = vmm_wl_event(f->conn, data, &f->last);

	if (verdict == VMM_WL_PASS) {
		verdict = vmm_wl_clipboard_event(f, data, piece);
	}
	if (verdict == VMM_WL_PASS) {
		memcpy(piece->out + piece->out_len, data, size);
		piece->out_len += size;
	}
	return verdict;
}

static bool has_room(const struct wl_stream *s, const struct vmm_wl_piece *piece)
{
	return piece->out_cap - piece->out_len >= s->have + WL_GROWTH &&
	       piece->out_fds < VMM_WL_FDS_MAX &&
	       piece->back_len + VMM_WL_HEADER_SIZE <= sizeof(piece->back);
}

/* The descriptors of the message that has just been looked at go where it goes. */
static bool settle_fds(struct vmm_wl_filter *f, struct wl_stream *s, enum vmm_wl_verdict verdict,
		       struct vmm_wl_piece *piece)
{
	const unsigned fds = f->last.fds;

	/* None that carries one is ever left out, so nobody has to close it here. */
	if (fds > s->fds || (verdict == VMM_WL_DROP && fds > 0)) {
		return false;
	}
	s->fds -= fds;
	piece->out_fds += fds;
	return true;
}

static int hang_up(struct vmm_wl_filter *f, struct vmm_wl_piece *piece)
{
	f->broken = true;
	piece->out_len = 0;
	piece->out_fds = 0;
	piece->back_len = 0;
	return -EPROTO;
}

static int run(struct vmm_wl_filter *f, struct wl_stream *s, wl_step_fn *step,
	       struct vmm_wl_piece *piece)
{
	int rc;

	piece->out_len = 0;
	piece->out_fds = 0;
	piece->back_len = 0;
	if (piece->out_cap < VMM_WL_OUT_MIN) {
		return -EINVAL;
	}
	/* A sender's buffer is full at 28, and may be emptied just before the message it belongs
	 * to. */
	if (f->broken || piece->in_fds > VMM_WL_FDS_MAX) {
		return hang_up(f, piece);
	}
	s->fds += piece->in_fds;
	piece->in_fds = 0;
	while ((rc = gather(s, piece)) > 0) {
		enum vmm_wl_verdict verdict;

		if (!has_room(s, piece)) {
			return 1;
		}
		verdict = step(f, s->message, piece);
		if (verdict == VMM_WL_BAD || !settle_fds(f, s, verdict, piece)) {
			return hang_up(f, piece);
		}
		s->have = 0;
	}
	return rc < 0 || s->fds > VMM_WL_FDS_MAX ? hang_up(f, piece) : 0;
}

int vmm_wl_filter_request(struct vmm_wl_filter *filter, struct vmm_wl_piece *piece)
{
	return run(filter, &filter->requests, step_request, piece);
}

int vmm_wl_filter_event(struct vmm_wl_filter *filter, struct vmm_wl_piece *piece)
{
	return run(filter, &filter->events, step_event, piece);
}
