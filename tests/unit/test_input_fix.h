/* SPDX-License-Identifier: MIT */
/* A virtio-input device with a driver on one side and a source of events on the other. */
#ifndef TESTS_INPUT_FIX_H
#define TESTS_INPUT_FIX_H

#include <linux/input.h>

#include <vmm/dev/input.h>

#include "fakedrv.h"
#include "suite.h"

#define EVENTQ  0
#define STATUSQ 1
#define EVENT   8u

struct fixture {
	struct fakedrv *drv;
	int ours;   /* the source's end; -1: closed */
	int theirs; /* the device's; -1: it has none */
	uint8_t *buffers;
	unsigned slot;         /* the next of 256 buffers */
	uint8_t *of_head[256]; /* the buffer of a chain */
};

static inline struct vmm_input_event event(uint16_t type, uint16_t code, uint32_t value)
{
	return (struct vmm_input_event){type, code, value};
}

#define SYN event(EV_SYN, SYN_REPORT, 0)

/* A device that is not started yet; and one that is. */
void set_up_on(struct fixture *f, enum vmm_input_kind kind);
void set_up(struct fixture *f, enum vmm_input_kind kind);
void tear_down(struct fixture *f);

/* n buffers for an event each, with a kick only if the device wants one. */
void offer(struct fixture *f, unsigned n);

/* A packet of the source, and the device's turn. */
void send_bytes(struct fixture *f, const void *bytes, size_t len);
/* The same of n struct vmm_input_event. */
void send_events(struct fixture *f, unsigned n, ...);
/* A key or button, in a group of its own. */
void press(struct fixture *f, uint16_t code, uint32_t value);

/* The next event that came to the driver; false: none has. */
bool take(struct fixture *f, struct vmm_input_event *out);
void expect(struct fixture *f, uint16_t type, uint16_t code, uint32_t value);
void expect_none(struct fixture *f);
/* What press sent. */
void expect_key(struct fixture *f, uint16_t code, uint32_t value);

uint64_t counter(struct fixture *f, const char *name);

#endif
