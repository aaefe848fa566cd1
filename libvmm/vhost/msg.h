/* SPDX-License-Identifier: MIT */
/*
 * One vhost-user message on a connected stream socket. The peer is hostile: a message has exactly a
 * size and a number of descriptors that the one table in msg.c allows for its request, or the
 * connection has failed (-EPROTO) and its owner closes it. Descriptors come close-on-exec, belong
 * to the message they came with, and none stays open on any path to an error. Private to vhost/.
 *
 * Two ways to use it:
 *   - one call that waits until a deadline: vmm_vhost_send, vmm_vhost_receive_reply;
 *   - step by step on an event loop, which a peer that sends half a message cannot hold up:
 *     struct vhost_reader, struct vhost_writer. The deadline is then its owner's timer.
 *
 * After an error other than -ENOMEM nothing more can be said on that socket: a part of a message
 * may have gone through.
 */
#ifndef VMM_VHOST_MSG_H
#define VMM_VHOST_MSG_H

#include <stdbool.h>
#include <stddef.h>

#include "proto.h"

#define VHOST_FDS_MAX VHOST_USER_MEM_REGIONS

/* A message: header.size bytes of payload count, the rest is zero. */
struct vhost_msg {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	unsigned fd_count;
	int fds[VHOST_FDS_MAX];
};

/* An empty request, with version and size filled in. */
void vmm_vhost_msg_init(struct vhost_msg *msg, uint32_t request, size_t payload_size);
/* The first descriptor becomes the caller's; -1 when there is none (left). */
int vmm_vhost_msg_take_fd(struct vhost_msg *msg);
/* Closes the descriptors that nobody took. For messages received only. */
void vmm_vhost_msg_close_fds(struct vhost_msg *msg);
/* Whether request has a reply of its own; to others REPLY_ACK answers with one u64. */
bool vmm_vhost_has_reply(uint32_t request);

/* ---- waiting; the socket may be blocking or not ---- */

/* A point in time timeout_ms from now, for the calls below. */
uint64_t vmm_vhost_deadline(unsigned timeout_ms);
/*
 * Sends msg; its descriptors are borrowed. 0, -ETIMEDOUT, -EPIPE or -ECONNRESET when the peer is
 * gone, another errno.
 */
int vmm_vhost_send(int fd, const struct vhost_msg *msg, uint64_t deadline);
/*
 * Waits for the reply to request: to one that has_reply its own, to another the u64 of REPLY_ACK.
 * An empty reply (header.size 0) to GET_CONFIG is the back end's way to say no; as is a
 * GET_INFLIGHT_FD without a descriptor. 0 (the caller then owns msg's descriptors), -ETIMEDOUT,
 * -ECONNRESET when the peer is gone, -EPROTO for anything but that reply, another errno.
 */
int vmm_vhost_receive_reply(int fd, uint32_t request, struct vhost_msg *msg, uint64_t deadline);

/* Whoever waits for a reply and has to answer requests of the same peer meanwhile, lest both wait
 * for ever. */
struct vhost_meanwhile {
	int fd;                  /* where they come; -1: nowhere */
	int (*serve)(void *ctx); /* there may be one; < 0 ends the waiting with it */
	void *ctx;
};

/* The same. */
int vmm_vhost_receive_reply_meanwhile(int fd, uint32_t request, struct vhost_msg *msg,
				      uint64_t deadline, const struct vhost_meanwhile *meanwhile);
/* The same for the answer to a back end's request. */
int vmm_vhost_receive_answer(int fd, uint32_t request, struct vhost_msg *msg, uint64_t deadline);

/* ---- step by step ---- */

enum vhost_channel {
	VHOST_CHANNEL_MAIN,    /* requests of a front end */
	VHOST_CHANNEL_BACKEND, /* requests of a back end, on the socket of SET_BACKEND_REQ_FD */
	VHOST_CHANNEL_REPLY,   /* replies of a back end, see expected */
	VHOST_CHANNEL_ANSWER,  /* replies of a front end, likewise */
};

/* Zero-initialise and set channel. msg is the message read last. */
struct vhost_reader {
	enum vhost_channel channel;
	uint32_t expected; /* VHOST_CHANNEL_REPLY: to which request */
	struct vhost_msg msg;
	size_t have; /* bytes of it; private */
	bool done;   /* private */
};

/*
 * Reads what is there, at most one message. 1: msg is complete, and its descriptors are the
 * reader's (closed at the next call) but for those taken. 0: there is no more now. -ECONNRESET: the
 * peer is gone. -EPROTO, another errno: the connection has failed. The reader then holds no
 * descriptors.
 */
int vmm_vhost_reader_step(struct vhost_reader *reader, int fd);
/* A message has begun and is not complete: its deadline should be running. */
bool vmm_vhost_reader_is_half(const struct vhost_reader *reader);
/* Closes what the reader holds; it can be used for another connection then. */
void vmm_vhost_reader_finish(struct vhost_reader *reader);

/* Zero-initialise: nothing to send. */
struct vhost_writer {
	struct vhost_msg msg;
	size_t sent;
	bool pending;
};

/*
 * Sends what is left of the pending message to a socket that is O_NONBLOCK. 1: all is sent, 0: the
 * socket takes no more now, -errno as for send. A message without descriptors goes out by write(2)
 * for the sake of the smallest set of system calls, so the program has to ignore SIGPIPE.
 */
int vmm_vhost_writer_step(struct vhost_writer *writer, int fd);

#endif
