/* SPDX-License-Identifier: MIT */
/* Private to virtio-console. Section numbers are those of VIRTIO 1.2. */
#ifndef VMM_DEVICES_CONSOLE_CONSOLE_PRIV_H
#define VMM_DEVICES_CONSOLE_CONSOLE_PRIV_H

#include <vmm/dev/console.h>

/* Feature bits (section 5.3.3). */
#define F_SIZE        (UINT64_C(1) << 0)
#define F_MULTIPORT   (UINT64_C(1) << 1)
#define F_EMERG_WRITE (UINT64_C(1) << 2)

/* Queues (section 5.3.2). */
enum {
	QUEUE_PORT0_IN,  /* to the guest */
	QUEUE_PORT0_OUT, /* from the guest */
	QUEUE_CONTROL_IN,
	QUEUE_CONTROL_OUT,
	QUEUE_PORT1_IN, /* then a pair for each further port */
};

#define QUEUE_SIZE   64u
#define QUEUES_MAX   (2u * VMM_CONSOLE_PORTS_MAX + 2u)
#define CONTROL_SIZE 8u /* id, event, value */

/* What a port's guest has yet to be told, in this order (section 5.3.6). */
enum {
	TELL_ADD = 1u << 0,
	TELL_CONSOLE = 1u << 1,
	TELL_NAME = 1u << 2,
	TELL_SIZE = 1u << 3,
	TELL_OPEN = 1u << 4,
	TELL_END = 1u << 5,
};

struct console;

struct port {
	struct console *console;
	struct vmm_chardev *chardev;
	unsigned id;
	bool is_console;
	char name[VMM_CONSOLE_NAME_MAX + 1];
	uint16_t columns; /* 0 x 0: not known */
	uint16_t rows;

	/* All below starts anew with each activation. */
	bool started; /* we use the back end */
	bool added;   /* the guest was told of the port */
	bool ready;   /* it answered */
	bool open;    /* somebody in the guest has it open */
	bool assumed; /* all three are a guess: the guest said it to another process */
	unsigned tell;
	/* One chain from the guest may be longer than one turn. */
	bool out_held;
	struct vmm_reader out_reader;
	struct vmm_chain out_chain;
	struct iovec out_iov[QUEUE_SIZE];
	struct vmm_work out_again;
};

struct console {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active; /* all zero while not active */
	bool multiport;                  /* negotiated */
	uint64_t out_bytes;              /* relaxed atomics */
	uint64_t in_bytes;
	struct vmm_chain chain; /* of all queues but the ports' output */
	struct iovec iov[QUEUE_SIZE];
	struct vmm_work control_again;
	struct vmm_work sizes; /* after activation */
	uint16_t queue_sizes[QUEUES_MAX];
	unsigned port_count;
	struct port ports[];
};

/* The queue, or NULL while the device is not active or the driver has not enabled it. */
struct vmm_virtq *vmm_console_queue(struct console *c, unsigned index);

/* port.c: the bytes of a port. */
void vmm_console_output(struct port *port);
/* Hands input to the guest, or stops asking for it until the guest can take some. */
void vmm_console_input(struct port *port);

/* control.c: the two control queues. */
void vmm_console_control_in(struct console *c);
void vmm_console_control_out(struct console *c);

#endif
