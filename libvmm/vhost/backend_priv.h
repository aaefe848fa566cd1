/* SPDX-License-Identifier: MIT */
/*
 * A back end's state. Private to vhost/ (and its unit tests).
 *
 *	backend.c       the connection: messages in, replies out, deadlines, the end
 *	backend_msg.c   what each message means
 *	backend_ring.c  rings, and when the device is active
 *	backend_mem.c   guest memory and the record of what is in flight
 *	backend_shm.c   what the device maps into its shared memory regions
 *
 * Everything runs on the loop's thread.
 */
#ifndef VMM_VHOST_BACKEND_PRIV_H
#define VMM_VHOST_BACKEND_PRIV_H

#include <vmm/carrier.h>
#include <vmm/irq.h>
#include <vmm/vhost_backend.h>

#include "msg.h"

/* A ring is ready when it has a size, addresses and a kick, and is enabled. */
struct vhost_ring {
	struct vmm_irq irq; /* must be first */
	struct vmm_vhost_backend *backend;
	unsigned index;
	uint16_t size; /* 0: not set */
	uint16_t base; /* where in the available ring it goes on */
	bool is_lost;  /* no base says which requests are left; a new one is to come */
	bool has_addr;
	bool enabled; /* by SET_VRING_ENABLE */
	bool running; /* the device is active with it */
	struct vhost_user_vring_addr addr;
	int kick_fd;
	int call_fd;
	int err_fd;
	struct vmm_source *kick; /* of kick_fd */
	bool watched;            /* kick is listened to */
};

struct vhost_region {
	struct vhost_user_region wire;
	int fd; /* kept to map it again when its neighbours change; -1 once sealed */
};

struct vmm_vhost_backend {
	struct vmm_vhost_backend_config config;
	struct vmm_carrier *carrier;
	struct vmm_log_limit limit;

	/* Connection. */
	int fd; /* -1: closed */
	int why;
	struct vmm_source *source;
	struct vmm_source *timer;
	uint64_t deadline_ns; /* for the rest of a message, and for a reply to be taken */
	struct vhost_reader reader;
	struct vhost_writer writer;
	struct vmm_work closed;
	int request_fd; /* SET_BACKEND_REQ_FD, -1: none */
	bool owes;      /* the front end, something: the timer runs */

	/* What was negotiated. */
	uint64_t features;
	uint64_t protocol;

	/* The device. */
	unsigned queue_count;
	uint8_t status;
	struct vhost_ring rings[VMM_VIRTIO_QUEUES_MAX];
	struct vmm_carrier_ring started[VMM_VIRTIO_QUEUES_MAX];
	bool active;
	bool failed;   /* needs a reset */
	bool kicked;   /* a ready ring was, which starts the device where there is no status */
	bool ran;      /* on_start was called */
	bool resuming; /* it was stopped to be started again, with another set of rings */

	/* Guest memory. */
	struct vmm_mem *mem;
	struct vhost_region regions[VHOST_USER_MEM_REGIONS];
	unsigned region_count;

	/* The record of chains in flight: queue after queue, vmm_inflight_size(record_size) each.
	 */
	uint8_t *record;
	size_t record_len; /* mapped */
	uint16_t record_queues;
	uint16_t record_size;
};

/* The process can no longer map memory and the like. */
static inline bool vmm_vhost_is_sealed(const struct vmm_vhost_backend *b)
{
	return b->config.sealed_after_start && b->ran;
}

/* ---- backend.c ---- */

/* Ends the connection. What the caller does next must not depend on it being there. */
void vmm_vhost_backend_close(struct vmm_vhost_backend *b, int why);
/* Makes writing to fd never block, as far as this process still can. */
void vmm_vhost_set_nonblock(const struct vmm_vhost_backend *b, int fd);

/* ---- backend_msg.c ---- */

/*
 * Does what msg says. 0; -EPROTO: the connection is over; another errno: refused, nothing has
 * changed. A message with a reply of its own leaves it in reply, an empty message of that kind.
 */
int vmm_vhost_backend_handle(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			     struct vhost_msg *reply);
/* Whether the front end can go on without knowing that msg was refused. */
bool vmm_vhost_backend_may_ignore(uint32_t request);
/* Configuration bytes have changed. */
void vmm_vhost_backend_config_changed(void *ctx);

/* ---- backend_ring.c ---- */

void vmm_vhost_rings_init(struct vmm_vhost_backend *b);
/* Closes what they hold. The device is not active. */
void vmm_vhost_rings_finish(struct vmm_vhost_backend *b);
/* Starts the device if everything that it takes is there, or with rings that are ready only now. */
void vmm_vhost_update(struct vmm_vhost_backend *b);
/* Stops the device; rings remember where they go on. */
void vmm_vhost_stop(struct vmm_vhost_backend *b);
/* The device or a ring has failed: a callback of the carrier. */
void vmm_vhost_failed(void *ctx, const char *why);
/* RESET_DEVICE: everything about rings but call and err is as after power-on. */
void vmm_vhost_rings_reset(struct vmm_vhost_backend *b);

int vmm_vhost_set_num(struct vmm_vhost_backend *b, const struct vhost_user_vring_state *state);
int vmm_vhost_set_addr(struct vmm_vhost_backend *b, const struct vhost_user_vring_addr *addr);
int vmm_vhost_set_base(struct vmm_vhost_backend *b, const struct vhost_user_vring_state *state);
int vmm_vhost_get_base(struct vmm_vhost_backend *b, const struct vhost_user_vring_state *state,
		       struct vhost_user_vring_state *out);
int vmm_vhost_set_enable(struct vmm_vhost_backend *b, const struct vhost_user_vring_state *state);
/* SET_VRING_KICK, CALL and ERR. */
int vmm_vhost_set_ring_fd(struct vmm_vhost_backend *b, struct vhost_msg *msg);

/* ---- backend_shm.c ---- */

/* The carrier's; the context is the back end. */
extern const struct vmm_carrier_shm_ops vmm_vhost_backend_shm_ops;
/* GET_SHMEM_CONFIG. */
void vmm_vhost_get_shmem(const struct vmm_vhost_backend *b, struct vhost_user_shmem_config *out);

/* ---- backend_mem.c ---- */

int vmm_vhost_set_mem_table(struct vmm_vhost_backend *b, struct vhost_msg *msg);
int vmm_vhost_add_region(struct vmm_vhost_backend *b, struct vhost_msg *msg);
int vmm_vhost_remove_region(struct vmm_vhost_backend *b, const struct vhost_msg *msg);
/* From an address of the front end's to the guest's. -EFAULT. */
int vmm_vhost_translate(const struct vmm_vhost_backend *b, uint64_t user_addr, vmm_gpa *gpa);
/* The process is about to be jailed: gives up what it will not be able to use. */
void vmm_vhost_seal_memory(struct vmm_vhost_backend *b);
/* Unmaps and closes. */
void vmm_vhost_drop_memory(struct vmm_vhost_backend *b);

int vmm_vhost_get_inflight(struct vmm_vhost_backend *b, const struct vhost_msg *msg,
			   struct vhost_msg *reply);
int vmm_vhost_set_inflight(struct vmm_vhost_backend *b, const struct vhost_msg *msg);
/* The record of a ring; NULL: there is none. -EPROTO: too small for the ring. */
int vmm_vhost_ring_record(const struct vmm_vhost_backend *b, const struct vhost_ring *ring,
			  struct vmm_inflight **out);
/* The driver has reset the device: nothing is in flight. */
void vmm_vhost_clear_record(struct vmm_vhost_backend *b);

#endif
