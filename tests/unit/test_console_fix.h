/* SPDX-License-Identifier: MIT */
/*
 * A virtio-console device whose back ends the test plays: input and size are the test's decision,
 * output is remembered.
 */
#ifndef TESTS_TEST_CONSOLE_FIX_H
#define TESTS_TEST_CONSOLE_FIX_H

#include <vmm/dev/console.h>

#include "fakedrv.h"
#include "suite.h"

enum { IN0, OUT0, CONTROL_IN, CONTROL_OUT, IN1, OUT1 };

#define F_SIZE        (UINT64_C(1) << 0)
#define F_MULTIPORT   (UINT64_C(1) << 1)
#define F_EMERG_WRITE (UINT64_C(1) << 2)

/* A back end whose input and size the test decides and whose output it sees. */
struct wire {
	struct vmm_chardev base;
	bool wanted;
	unsigned starts;
	unsigned stops;
	uint8_t input[16384];
	size_t input_len;
	size_t input_at;
	uint64_t output_len;
	uint8_t output[16384]; /* the first bytes of it */
};

extern const struct vmm_chardev_ops wire_ops;
extern struct wire wires[3];
extern struct fakedrv *drv;

/*
 * A device with the first of three ports: "main", the plain "org.example.agent", a console. The
 * driver is started by consolefix_start only.
 */
void consolefix_create(unsigned ports);
void consolefix_start(unsigned ports);
void consolefix_finish(void);

/* Input arrives at a wire, which says so as long as it is wanted. */
void consolefix_type(unsigned wire, const char *text);
/* Offers len bytes for input; returns them, a zero behind. */
char *consolefix_offer(unsigned queue, uint32_t len);
/* The guest writes text. */
void consolefix_say(unsigned queue, const char *text);
/* A counter of the device. */
uint64_t consolefix_counter(const char *name);

#endif
