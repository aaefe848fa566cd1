/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the front end: frontend.c (the virtio device), link.c (what is said to the
 * back end, and in which order), frontend_shm.c (shared memory regions).
 */
#ifndef VMM_VHOST_FRONTEND_PRIV_H
#define VMM_VHOST_FRONTEND_PRIV_H

#include <vmm/carrier.h>
#include <vmm/vhost_frontend.h>

#include "vhost/msg.h"

struct frontend {
	struct vmm_virtio_device base;
	struct vmm_vhost_frontend_config config;
	/* Shared memory regions; known: they are what every back end must have. */
	struct vmm_virtio_shm shm[VMM_VIRTIO_SHM_MAX];
	uint16_t queue_sizes[VMM_VIRTIO_QUEUES_MAX];
	bool shm_known;
	bool waits;                      /* config.waits until vmm_vhost_frontend_give_up */
	struct vmm_virtio_active active; /* all zero while the driver has not started the device */
	uint8_t initial[VMM_VIRTIO_CONFIG_MAX]; /* config.config, for back ends that have none */

	/* The connection; what follows is of the present back end. */
	int fd; /* -1: there is none */
	struct vmm_source *source;
	uint64_t protocol; /* protocol features in use; 0 also for a back end without any */
	bool has_protocol;
	uint64_t own_features; /* offered by this side alone */
	bool knows_memory;
	bool knows_record;
	bool running;                        /* it has the queues */
	int call_fds[VMM_VIRTIO_QUEUES_MAX]; /* what it writes to for each queue */

	/*
	 * The channel for its requests: a pair whose other end is handed to each back end. Both
	 * stay open, since a jailed process can make no new one.
	 */
	int request_fd;
	int request_peer;
	struct vhost_reader requests;
	struct vmm_source *request_source;
	struct vmm_source *config_timer; /* a changed configuration is read, but not too often */
	int error_fd;                    /* it writes here when a queue fails */
	struct vmm_source *error_source;

	/* The record of chains in flight; -1: there is none yet. */
	int record_fd;
	struct vhost_user_inflight record;

	/* Configuration bytes that the driver wrote, for the next back end. */
	bool is_written[VMM_VIRTIO_CONFIG_MAX];
	uint8_t written[VMM_VIRTIO_CONFIG_MAX];
};

/* ---- link.c; loop thread. After a failure the caller drops the connection. ---- */

/* Features, protocol features, queue number, channel, configuration: into fe->base. */
int vmm_vhost_link_greet(struct frontend *fe, uint64_t *features, struct vmm_error *err);
/* Hands over memory, record and queues, and starts them. resumed: another back end had them. */
int vmm_vhost_link_start(struct frontend *fe, bool resumed);
/* Takes the queues back. */
int vmm_vhost_link_stop(struct frontend *fe);
/* Tells where the interrupt of a queue goes now, if that changed. */
int vmm_vhost_link_set_call(struct frontend *fe, unsigned queue);
int vmm_vhost_link_get_config(struct frontend *fe, uint8_t *bytes);
int vmm_vhost_link_set_config(struct frontend *fe, size_t offset, const void *bytes, size_t len);
/* ---- frontend_shm.c ---- */

/* The feature by which shared memory is spoken of, out of those of the back end; 0: none. */
uint64_t vmm_vhost_shm_dialect(const struct frontend *fe, uint64_t theirs);
/* Asks for the regions, when it has been agreed how. -EPROTO: they are not those that must be. */
int vmm_vhost_shm_ask(struct frontend *fe, struct vmm_error *err);
/* Is that a request about shared memory, and spoken by this back end? */
bool vmm_vhost_shm_is_request(const struct frontend *fe, uint32_t request);
/* Does what fe->requests.msg says. 0, or a negative errno: refused. */
int vmm_vhost_shm_serve(struct frontend *fe);

/* ---- frontend.c ---- */

/* Reads and answers one request of the back end's, if there is one. < 0: the channel has failed. */
int vmm_vhost_frontend_serve(void *ctx);

/* ---- link.c ---- */

/* A request that has a reply of its own; out is msg. */
int vmm_vhost_link_ask(struct frontend *fe, struct vhost_msg *msg);
/* Answers a request of the back end's. */
int vmm_vhost_link_answer(struct frontend *fe, const struct vhost_msg *request, bool good);

#endif
