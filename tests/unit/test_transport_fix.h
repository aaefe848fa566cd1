/* SPDX-License-Identifier: MIT */
/*
 * What tests of virtio-pci and virtio-mmio have in common: a platform that does what a hypervisor
 * does with irqfds and ioeventfds, and keeps count; a toy device; the rings of its driver.
 */
#ifndef TESTS_TRANSPORT_FIX_H
#define TESTS_TRANSPORT_FIX_H

#include <pthread.h>

#include <vmm/carrier.h>

#include "memfix.h"
#include "transport/events.h"

/* Fixtures serve fuzz targets too, which have no check; what fails here aborts. */
#define FIX_REQUIRE(condition) fix_require((condition), #condition, __FILE__, __LINE__)
void fix_require(bool holds, const char *what, const char *file, int line);

/* ---- the hypervisor ---- */

#define FIX_GSIS       128u
#define FIX_IOEVENTFDS 128u

struct fix_line {
	int eventfd; /* -1: not connected */
	unsigned delivered;
};

struct fix_ioeventfd {
	struct vmm_doorbell bell;
	int eventfd; /* -1: free */
};

#define FIX_WINDOWS 4u

/* What the hypervisor knows of a window; its memory is not there. */
struct vmm_window {
	struct eventfix *fix;
	uint64_t len; /* 0: free */
	bool visible;
	uint64_t gpa;
	unsigned mapped; /* mappings */
	bool used;       /* and not cleared since */
};

struct eventfix {
	pthread_mutex_t lock;
	struct fix_line lines[FIX_GSIS];
	struct fix_ioeventfd ioeventfds[FIX_IOEVENTFDS];
	/* Calls so far; misuse counts those that no caller may make. */
	unsigned irqfd_calls;
	unsigned ioeventfd_calls;
	unsigned misuse;
	/* What is to fail, while it is not 0. */
	int fail_irqfd;
	int fail_ioeventfd;
	int fail_place;
	struct vmm_window windows[FIX_WINDOWS];
	struct vmm_log log;
	unsigned logged;
};

void eventfix_init(struct eventfix *fix);
/* Fails the test when anything is left connected. */
void eventfix_finish(struct eventfix *fix);
/* Those of struct vmm_event_ops; the context is the struct eventfix. */
int eventfix_irqfd(void *ctx, unsigned gsi, int eventfd, bool connect);
int eventfix_ioeventfd(void *ctx, const struct vmm_doorbell *bell, int eventfd, bool connect);
extern const struct vmm_window_ops eventfix_window_ops;
/* A write of the guest's: true when an ioeventfd waited for it. */
bool eventfix_write(struct eventfix *fix, uint64_t gpa, unsigned len, uint64_t value);
/* Delivers what was raised, as the hypervisor would; how often gsi was so far. */
unsigned eventfix_delivered(struct eventfix *fix, unsigned gsi);
unsigned eventfix_connected(struct eventfix *fix);
unsigned eventfix_ioeventfds(struct eventfix *fix);

/* ---- a device ---- */

#define TOY_QUEUES     2u
#define TOY_ID         VMM_VIRTIO_ID_CONSOLE
#define TOY_QUEUE_SIZE 8u
#define TOY_CONFIG     12u
#define TOY_FEATURE    (UINT64_C(1) << 52)

#define STATUS_DRIVER   (VMM_VIRTIO_S_ACKNOWLEDGE | VMM_VIRTIO_S_DRIVER)
#define STATUS_FEATURES (STATUS_DRIVER | VMM_VIRTIO_S_FEATURES_OK)
#define STATUS_OK       (STATUS_FEATURES | VMM_VIRTIO_S_DRIVER_OK)

/* The two shared memory regions of a toy that has any. */
#define TOY_SHM_ID    1
#define TOY_SHM_ID_2  9
#define TOY_SHM_LEN   UINT64_C(0x100000)
#define TOY_SHM_LEN_2 UINT64_C(0x1000)

/* Returns each chain at once, with 0 bytes written. */
struct toy {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active;
	unsigned activations;
	unsigned notifies[TOY_QUEUES];
	unsigned resets;
	unsigned configs; /* calls of set_config */
	bool destroyed;
};

void toy_init(struct toy *toy);
/* Gives it its shared memory regions. */
void toy_add_shm(struct toy *toy);
/* Maps (unmaps) a page of something at offset of a region. */
int toy_map(struct toy *toy, uint8_t id, uint64_t offset);
int toy_unmap(struct toy *toy, uint8_t id, uint64_t offset);

/* ---- its driver: one queue's rings in guest memory ---- */

struct ring {
	vmm_gpa desc;
	vmm_gpa driver;
	vmm_gpa device;
	uint16_t next;
};

void ring_alloc(struct ring *r, struct memfix *mem);
/* Offers one empty-handed chain on the ring of a toy's queue. */
void ring_offer(struct ring *r, struct memfix *mem, unsigned queue);
/* used.idx. */
uint16_t ring_used(const struct ring *r, struct memfix *mem);

#endif
