/* SPDX-License-Identifier: MIT */
/*
 * A front end for the tests of the back end: in the same thread, with real guest memory, eventfds
 * and a socket. Its rings are driven by hand.
 */
#ifndef TESTS_VHOST_FIX_H
#define TESTS_VHOST_FIX_H

#include <vmm/loop.h>
#include <vmm/vhost_backend.h>

#include "testdev.h"
#include "vhost/backend_priv.h"

#define FIX_QUEUES    TESTDEV_QUEUES
#define FIX_SIZE      16
#define FIX_MEM       (UINT64_C(4) << 20) /* in two regions of the same length */
#define FIX_GPA_LOW   UINT64_C(0x100000)
#define FIX_GPA_HIGH  UINT64_C(0x100000000)
#define FIX_USER_LOW  UINT64_C(0x7f1200000000)
#define FIX_USER_HIGH UINT64_C(0x7f0000400000)
#define FIX_DEADLINE  1000 /* ms for each reply */

/* All that a front end may take, and everything but STATUS. */
#define FIX_PROTOCOL  VHOST_PROTOCOL_FEATURES
#define FIX_NO_STATUS (VHOST_PROTOCOL_FEATURES & ~VHOST_USER_PROTOCOL_F_STATUS)
#define FIX_FEATURES \
	(VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_EVENT_IDX | VHOST_USER_F_PROTOCOL_FEATURES)

/* A ring as the driver sees it. */
struct fix_ring {
	uint8_t *desc;
	uint16_t *avail; /* flags, idx, ring, used_event */
	uint16_t *used;  /* flags, idx, ring as pairs of 32 bits, avail_event */
	uint16_t seen;   /* of used */
	int kick;
	int call;
	int err;
};

struct fix {
	unsigned fds_before;
	struct vmm_loop *loop;
	struct testdev dev;
	struct vmm_virtio_device *served; /* &dev.base, or another */
	struct vmm_vhost_backend_config config;
	struct vmm_vhost_backend *b;
	int fd; /* the front end's side; -1: hung up */
	int mem_fd;
	uint8_t *mem;
	struct fix_ring rings[FIX_QUEUES];

	unsigned started; /* calls of on_start */
	int start_result;
	unsigned closed;
	int why;
};

/* Memory, eventfds, loop, testdev and a connection to a back end that serves it. */
void fix_init(struct fix *f);
/* The same for another device, which stays the caller's; NULL: the testdev. sealed: as in config.
 */
void fix_init_with(struct fix *f, struct vmm_virtio_device *dev, bool sealed);
/* Ends all of it and checks that no descriptor is left. */
void fix_finish(struct fix *f);
/* A new connection after the old one has ended, as to a process that was started again. */
void fix_reconnect(struct fix *f);

/* Runs what is ready. */
void fix_run(struct fix *f);
/* Runs until *flag is not 0, at most ms milliseconds. */
bool fix_run_until(struct fix *f, const unsigned *flag, int ms);
/* True when the back end has closed the connection; runs the loop. */
bool fix_is_closed(struct fix *f);

/* ---- messages ---- */

void fix_send(struct fix *f, const struct vhost_msg *msg);
/* Sends a request with a reply of its own; *reply owns descriptors. 0, or as receive_reply. */
int fix_ask(struct fix *f, const struct vhost_msg *msg, struct vhost_msg *reply);
/* Sends another request, wanting an answer: 0, 1 (refused), -ECONNRESET (closed). */
int fix_tell(struct fix *f, struct vhost_msg *msg);
int fix_tell_u64(struct fix *f, uint32_t request, uint64_t value);
int fix_tell_state(struct fix *f, uint32_t request, unsigned index, unsigned num);
int fix_tell_fd(struct fix *f, uint32_t request, uint64_t value, int fd);
int fix_tell_plain(struct fix *f, uint32_t request);
/* A u64 request; aborts without an answer. */
uint64_t fix_ask_u64(struct fix *f, uint32_t request);
/* GET_VRING_BASE; -1: closed. */
int fix_get_base(struct fix *f, unsigned index);

/* SET_BACKEND_REQ_FD; the front end's end of the channel. */
int fix_channel(struct fix *f);

/* Features and protocol features, the latter first, as REPLY_ACK is one. */
void fix_negotiate(struct fix *f, uint64_t features, uint64_t protocol);
/* The memory table of both regions, with good values. */
void fix_mem_table(struct fix *f, struct vhost_msg *msg);
void fix_give_memory(struct fix *f);
/* SET_VRING_ADDR with good values. */
void fix_addr(const struct fix *f, unsigned index, struct vhost_msg *msg);
/* Everything about one ring but enabling it. */
void fix_give_ring(struct fix *f, unsigned index, uint16_t base);
void fix_enable(struct fix *f, unsigned index, bool enable);
/* SET_STATUS, DRIVER_OK and all before it. */
void fix_driver_ok(struct fix *f);
/* All of the above for the first count rings. */
void fix_start(struct fix *f, unsigned count);

/* ---- the driver ---- */

/* Offers a chain of one device-writable buffer of 64 bytes, which is that of the head. */
void fix_offer(struct fix *f, unsigned index, uint16_t head);
void fix_kick(struct fix *f, unsigned index);
/* The next element of the used ring: its head, -1: there is none. */
int fix_used(struct fix *f, unsigned index);
uint16_t fix_used_idx(const struct fix *f, unsigned index);
uint8_t *fix_buffer(struct fix *f, unsigned index, uint16_t head);
/* Reads an eventfd: what has been added. */
uint64_t fix_count(int fd);

#endif
