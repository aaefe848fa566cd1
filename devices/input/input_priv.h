/* SPDX-License-Identifier: MIT */
/* Private to virtio-input. Section numbers are those of VIRTIO 1.2. */
#ifndef VMM_DEVICES_INPUT_INPUT_PRIV_H
#define VMM_DEVICES_INPUT_INPUT_PRIV_H

#include <vmm/dev/input.h>

#define CFG_DATA 128

/* The configuration space (section 5.8.4): one question at a time, and its answer. */
struct input_config {
	uint8_t select;
	uint8_t subsel;
	uint8_t size;
	uint8_t reserved[5];
	uint8_t data[CFG_DATA];
};

/* What kind of device it is: its name, and the events it has. */
struct vmm_input_model;

/* NULL: there is no such kind. */
const struct vmm_input_model *vmm_input_model(enum vmm_input_kind kind);
bool vmm_input_has(const struct vmm_input_model *model, uint16_t type, uint16_t code);

/* Fills size and data, which are zero, for select and subsel: with nothing for what there is not.
 * serial may be NULL. */
void vmm_input_answer(const struct vmm_input_model *model, const char *serial,
		      struct input_config *c);

#endif
