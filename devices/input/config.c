/* SPDX-License-Identifier: MIT */
/* What a virtio-input device says it is, and which events it can have. */
#include <endian.h>
#include <linux/input.h>
#include <string.h>

#include "input_priv.h"

/* Configuration space (section 5.8.4). */
#define CFG_ID_NAME   0x01
#define CFG_ID_SERIAL 0x02
#define CFG_ID_DEVIDS 0x03
#define CFG_EV_BITS   0x11
#define CFG_ABS_INFO  0x12

struct absinfo {
	uint32_t min;
	uint32_t max;
	uint32_t fuzz;
	uint32_t flat;
	uint32_t res;
};

struct devids {
	uint16_t bustype;
	uint16_t vendor;
	uint16_t product;
	uint16_t version;
};

/* Codes from first to last of one type of events. */
struct range {
	uint8_t type;
	uint16_t first;
	uint16_t last;
};

struct vmm_input_model {
	const char *name;
	uint16_t product;
	const struct range *ranges; /* ends with one of type 0 */
};

/* EV_LED and EV_REP are what a driver may set; neither is ever sent. */
static const struct range keyboard[] = {
	{EV_KEY, KEY_ESC, VMM_INPUT_KEY_MAX},
	{EV_LED, LED_NUML, LED_SCROLLL},
	{EV_REP, REP_DELAY, REP_PERIOD},
	{0, 0, 0},
};

static const struct range tablet[] = {
	{EV_KEY, BTN_LEFT, BTN_TASK},   {EV_REL, REL_HWHEEL, REL_HWHEEL},
	{EV_REL, REL_WHEEL, REL_WHEEL}, {EV_REL, REL_WHEEL_HI_RES, REL_HWHEEL_HI_RES},
	{EV_ABS, ABS_X, ABS_Y},         {0, 0, 0},
};

static const struct vmm_input_model models[] = {
	[VMM_INPUT_KEYBOARD] = {"libvmm keyboard", 1, keyboard},
	[VMM_INPUT_TABLET] = {"libvmm tablet", 2, tablet},
};

const struct vmm_input_model *vmm_input_model(enum vmm_input_kind kind)
{
	unsigned i = (unsigned)kind;

	return i < sizeof(models) / sizeof(models[0]) ? &models[i] : NULL;
}

bool vmm_input_has(const struct vmm_input_model *model, uint16_t type, uint16_t code)
{
	const struct range *r = model->ranges;

	while (r->type && (r->type != type || code < r->first || code > r->last)) {
		r++;
	}
	return r->type != 0;
}

static uint8_t put_text(uint8_t *data, const char *text)
{
	uint8_t len = 0;

	while (text && text[len]) {
		data[len] = (uint8_t)text[len];
		len++;
	}
	return len;
}

static uint8_t put_ids(const struct vmm_input_model *model, uint8_t *data)
{
	const struct devids ids = {
		.bustype = htole16(BUS_VIRTUAL),
		.vendor = htole16(0x1af4),
		.product = htole16(model->product),
		.version = htole16(1),
	};

	memcpy(data, &ids, sizeof(ids));
	return sizeof(ids);
}

/* Bytes up to the last that has a bit: none where there are no events of that type. */
static uint8_t put_codes(const struct vmm_input_model *model, uint8_t type, uint8_t *data)
{
	unsigned size = 0;

	for (const struct range *r = model->ranges; r->type; r++) {
		for (unsigned code = r->first; r->type == type && code <= r->last; code++) {
			data[code / 8] |= (uint8_t)(1u << (code % 8));
			size = code / 8 + 1;
		}
	}
	return (uint8_t)size;
}

static uint8_t put_axis(const struct vmm_input_model *model, uint8_t axis, uint8_t *data)
{
	const struct absinfo info = {.max = htole32(VMM_INPUT_ABS_MAX)};

	if (!vmm_input_has(model, EV_ABS, axis)) {
		return 0;
	}
	memcpy(data, &info, sizeof(info));
	return sizeof(info);
}

void vmm_input_answer(const struct vmm_input_model *model, const char *serial,
		      struct input_config *c)
{
	switch (c->select) {
	case CFG_ID_NAME:
		c->size = c->subsel ? 0 : put_text(c->data, model->name);
		break;
	case CFG_ID_SERIAL:
		c->size = c->subsel ? 0 : put_text(c->data, serial);
		break;
	case CFG_ID_DEVIDS:
		c->size = c->subsel ? 0 : put_ids(model, c->data);
		break;
	case CFG_EV_BITS:
		c->size = put_codes(model, c->subsel, c->data);
		break;
	case CFG_ABS_INFO:
		c->size = put_axis(model, c->subsel, c->data);
		break;
	default:
		break;
	}
}
