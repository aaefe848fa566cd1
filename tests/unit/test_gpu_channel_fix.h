/* SPDX-License-Identifier: MIT */
/*
 * A channel of virtio-gpu between a device that is this fixture (rings, blobs, parked POLLs) and a
 * compositor that is the test, at the other end of a socket pair.
 */
#ifndef TESTS_GPU_CHANNEL_FIX_H
#define TESTS_GPU_CHANNEL_FIX_H

#include <check.h>

#include "gpu/channel.h"
#include "gpu/xdomain.h"
#include "suite.h"

#define QUERY_RING   1u
#define CHANNEL_RING 2u
#define BLOB         3u
#define DONE_MAX     64u

struct channel_fix {
	struct vmm_loop *loop;
	struct gpu_channel *channel;
	struct gpu_budget budget;
	struct vmm_log_limit log_limit;
	int compositor; /* -1: it is gone */
	int other_end;  /* what connect will give */
	bool late;      /* connect gives it later */
	unsigned asked; /* for connections */
	int blob;       /* a memfd, the resource BLOB; or -1 */
	bool no_ring;   /* the guest has taken them away */
	_Alignas(8) uint8_t query[XD_RING_SIZE];
	_Alignas(8) uint8_t ring[XD_RING_SIZE];
	/* POLLs that were completed, in order. */
	uint64_t done[DONE_MAX];
	unsigned done_count;
	uint64_t tokens; /* given to park so far */
	unsigned fds_before;
};

/* With no channel opened yet. policy may be NULL. */
void channel_start(struct channel_fix *f, const struct vmm_wl_filter_config *policy);
/* The same with INIT, the connection there. */
void channel_start_open(struct channel_fix *f, const struct vmm_wl_filter_config *policy);
/* Fails the test when descriptors or parts of the budget are left. */
void channel_stop(struct channel_fix *f);

/* Commands. What submit says. */
int channel_init(struct channel_fix *f, size_t size, uint32_t type);
int channel_send(struct channel_fix *f, const void *bytes, uint32_t len, unsigned ids,
		 const uint32_t *id, const uint32_t *type);
int channel_write(struct channel_fix *f, uint32_t id, const void *bytes, uint32_t len,
		  bool hang_up);
/* Parks a POLL; what park says. */
int channel_poll(struct channel_fix *f);

/* Dispatches until count POLLs are done; fails when nothing more happens. */
void channel_run_until(struct channel_fix *f, unsigned count);
/* Dispatches what is ready, without waiting. How many callbacks ran. */
int channel_run(struct channel_fix *f);

/* A POLL and the message that it gets, which fails the test if there is none. */
const struct xd_send *channel_receive(struct channel_fix *f);

/* The message in the ring, as RECEIVE and its bytes, or READ and its. */
const struct xd_send *channel_message(const struct channel_fix *f);
const uint8_t *channel_message_bytes(const struct channel_fix *f);
const struct xd_write *channel_read(const struct channel_fix *f);
const uint8_t *channel_read_bytes(const struct channel_fix *f);

/* The compositor's side: says something, with descriptors (closed afterwards); hears something. */
void compositor_says(struct channel_fix *f, const void *bytes, size_t len, const int *fds,
		     unsigned count);
/* How many bytes there are, and descriptors if fds is not NULL; 0: none, or the end. */
size_t compositor_hears(struct channel_fix *f, void *bytes, size_t len, int *fds, unsigned *count);
void compositor_dies(struct channel_fix *f);

/* A memfd with a pattern of its own for each seed. */
int pattern_file(size_t len, uint8_t seed);
uint8_t pattern_byte(size_t at, uint8_t seed);

#endif
