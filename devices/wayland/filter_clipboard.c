/* SPDX-License-Identifier: MIT */
/*
 * Which way the clipboard, the primary selection and drags may go.
 *
 * Out of the VM: the client's selection or drag is not passed on, and cancelled at once, as if
 * somebody else had taken the selection. Into the VM: offers, which the compositor makes, and
 * everything about them stay here; the client does not learn of them, so it has no selection and no
 * drag ever enters its windows. What a client would destroy is destroyed here, so that the
 * compositor does not keep them.
 *
 * Requests that make objects always go on: libwayland wants the ids of a client without gaps.
 */
#include "filter_priv.h"

/*
 * Flag of a data device: the last drag that entered its window is one that the client does not know
 * of. The object's user word is the number of the drag's offer, and one.
 */
#define DRAG_HIDDEN 0x10u

static bool is_offer(uint8_t interface)
{
	return interface == VMM_WL_IF_WL_DATA_OFFER ||
	       interface == VMM_WL_IF_ZWP_PRIMARY_SELECTION_OFFER_V1;
}

static void append_back(struct vmm_wl_piece *piece, uint32_t object, uint16_t opcode)
{
	vmm_wl_header(piece->back + piece->back_len, object, opcode, VMM_WL_HEADER_SIZE);
	piece->back_len += VMM_WL_HEADER_SIZE;
}

/* In the client's stead. */
static void destroy_offer(struct vmm_wl_filter *f, uint32_t id, struct vmm_wl_piece *piece)
{
	const struct vmm_wl_object *offer = vmm_wl_find(f->conn, id);
	struct vmm_wl_message msg;
	uint8_t *data = piece->back + piece->back_len;

	if (offer == NULL || !is_offer(offer->interface) ||
	    (offer->flags & VMM_WL_OBJECT_DESTROYED) != 0) {
		return;
	}
	append_back(piece, id,
		    offer->interface == VMM_WL_IF_WL_DATA_OFFER
			    ? VMM_WL_RQ_WL_DATA_OFFER_DESTROY
			    : VMM_WL_RQ_ZWP_PRIMARY_SELECTION_OFFER_V1_DESTROY);
	(void)vmm_wl_request(f->conn, data, &msg);
}

/* Source is argument 0; without one it is a drag within the client, or the end of what is not known
 * outside. */
static enum vmm_wl_verdict cancel(const uint8_t *data, uint16_t cancelled,
				  struct vmm_wl_piece *piece)
{
	const uint32_t source = vmm_wl_word(data, 0);

	if (source != 0) {
		append_back(piece, source, cancelled);
	}
	return VMM_WL_DROP;
}

enum vmm_wl_verdict vmm_wl_clipboard_request(struct vmm_wl_filter *f, uint8_t *data,
					     struct vmm_wl_piece *piece)
{
	const struct vmm_wl_message *msg = &f->last;

	if ((f->clipboard & VMM_WL_CLIPBOARD_IN) == 0 && is_offer(msg->interface)) {
		/* It was never told of one. */
		return VMM_WL_BAD;
	}
	if ((f->clipboard & VMM_WL_CLIPBOARD_OUT) != 0) {
		return VMM_WL_PASS;
	}
	if (msg->interface == VMM_WL_IF_WL_DATA_DEVICE) {
		const bool drag = msg->opcode == VMM_WL_RQ_WL_DATA_DEVICE_START_DRAG;

		/* A drag without source is the client's own affair, and carries nothing. */
		if (msg->opcode == VMM_WL_RQ_WL_DATA_DEVICE_SET_SELECTION ||
		    (drag && vmm_wl_word(data, 0) != 0)) {
			return cancel(data, VMM_WL_EV_WL_DATA_SOURCE_CANCELLED, piece);
		}
	}
	if (msg->interface == VMM_WL_IF_ZWP_PRIMARY_SELECTION_DEVICE_V1 &&
	    msg->opcode == VMM_WL_RQ_ZWP_PRIMARY_SELECTION_DEVICE_V1_SET_SELECTION) {
		return cancel(data, VMM_WL_EV_ZWP_PRIMARY_SELECTION_SOURCE_V1_CANCELLED, piece);
	}
	return VMM_WL_PASS;
}

/* The drag over a device's window ends, or another begins: with the offer of this id, if any. */
static enum vmm_wl_verdict enter(struct vmm_wl_object *device, uint32_t offer)
{
	device->flags &= (uint8_t)~DRAG_HIDDEN;
	device->user = 0;
	if (offer == 0) {
		return VMM_WL_PASS;
	}
	device->flags |= DRAG_HIDDEN;
	if (offer >= VMM_WL_SERVER_BASE && offer - VMM_WL_SERVER_BASE < VMM_WL_SERVER_MAX) {
		device->user = (uint16_t)(offer - VMM_WL_SERVER_BASE + 1);
	}
	return VMM_WL_DROP;
}

/* An event of a drag that is over the window, or of its end. */
static enum vmm_wl_verdict dragged(struct vmm_wl_filter *f, struct vmm_wl_object *device,
				   struct vmm_wl_piece *piece)
{
	if ((device->flags & DRAG_HIDDEN) == 0) {
		return VMM_WL_PASS;
	}
	/* While it is over the window the compositor would take an offer's end for a refusal of the
	 * drag. */
	if (f->last.opcode != VMM_WL_EV_WL_DATA_DEVICE_MOTION && device->user != 0) {
		destroy_offer(f, VMM_WL_SERVER_BASE + device->user - 1, piece);
		device->user = 0;
	}
	return VMM_WL_DROP;
}

/* wl_data_device and its like: an offer is made, and is the selection's. */
static enum vmm_wl_verdict selected(struct vmm_wl_filter *f, uint32_t offer,
				    struct vmm_wl_piece *piece)
{
	if (offer == 0) {
		return VMM_WL_PASS;
	}
	destroy_offer(f, offer, piece);
	return VMM_WL_DROP;
}

static enum vmm_wl_verdict hide(struct vmm_wl_filter *f, const uint8_t *data,
				struct vmm_wl_piece *piece)
{
	const struct vmm_wl_message *msg = &f->last;
	struct vmm_wl_object *device = vmm_wl_find(f->conn, msg->object);

	if (is_offer(msg->interface) || is_offer(msg->new_interface)) {
		return VMM_WL_DROP;
	}
	if (msg->interface == VMM_WL_IF_ZWP_PRIMARY_SELECTION_DEVICE_V1) {
		return selected(f, vmm_wl_word(data, 0), piece);
	}
	if (msg->interface != VMM_WL_IF_WL_DATA_DEVICE) {
		return VMM_WL_PASS;
	}
	switch (msg->opcode) {
	case VMM_WL_EV_WL_DATA_DEVICE_SELECTION:
		return selected(f, vmm_wl_word(data, 0), piece);
	case VMM_WL_EV_WL_DATA_DEVICE_ENTER:
		return enter(device, vmm_wl_word(data, 4));
	default:
		return dragged(f, device, piece);
	}
}

enum vmm_wl_verdict vmm_wl_clipboard_event(struct vmm_wl_filter *f, uint8_t *data,
					   struct vmm_wl_piece *piece)
{
	const struct vmm_wl_message *msg = &f->last;

	/* The compositor has been given nothing that it could ask for. */
	if ((f->clipboard & VMM_WL_CLIPBOARD_OUT) == 0 &&
	    ((msg->interface == VMM_WL_IF_WL_DATA_SOURCE &&
	      msg->opcode == VMM_WL_EV_WL_DATA_SOURCE_SEND) ||
	     (msg->interface == VMM_WL_IF_ZWP_PRIMARY_SELECTION_SOURCE_V1 &&
	      msg->opcode == VMM_WL_EV_ZWP_PRIMARY_SELECTION_SOURCE_V1_SEND))) {
		return VMM_WL_BAD;
	}
	return (f->clipboard & VMM_WL_CLIPBOARD_IN) != 0 ? VMM_WL_PASS : hide(f, data, piece);
}
