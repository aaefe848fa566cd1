/* SPDX-License-Identifier: MIT */
/*
 * A driver for tests: does to a virtio device what a guest's driver does, through the same carrier
 * that every transport uses, in one thread and without a hypervisor.
 *
 *	struct fakedrv *drv = fakedrv_create(dev);
 *	fakedrv_start(drv, NULL);
 *	uint8_t *data = fakedrv_alloc(drv, 64);
 *	struct fakedrv_buf bufs[] = {FAKEDRV_IN(data, 64)};
 *	ck_assert_uint_eq(fakedrv_request(drv, 0, bufs, 1), 64);
 *	fakedrv_destroy(drv);
 *
 * Directions are the driver's: OUT is read by the device, IN is written by it.
 *
 * A helper that cannot do its work (no memory, bad arguments, a device that never answers a
 * fakedrv_request) prints why and aborts, so that a test need not check it.
 */
#ifndef TESTS_FAKEDRV_H
#define TESTS_FAKEDRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/carrier.h>

#include "memfix.h"

struct fakedrv;

/* How long fakedrv_request and the waits of tests give a device, in milliseconds. */
#define FAKEDRV_PATIENCE_MS 5000

/* ---- lifecycle ---- */

/*
 * Makes guest memory, a loop (whose thread is the caller's) and a carrier for dev, and takes dev.
 * The status register is still 0.
 */
struct fakedrv *fakedrv_create(struct vmm_virtio_device *dev);
/*
 * The same on a loop that exists already, borrowed: for devices that were made with one. A device
 * with external_queues gets eventfds for kicks and interrupts, and whoever reads its rings works
 * meanwhile.
 */
struct fakedrv *fakedrv_create_on(struct vmm_virtio_device *dev, struct vmm_loop *loop);
/* The same, with a log for the device. */
struct fakedrv *fakedrv_create_logged(struct vmm_virtio_device *dev, const struct vmm_log *log);
/* Destroys carrier, device, loop and memory. NULL is a no-op. */
void fakedrv_destroy(struct fakedrv *drv);

/* What the driver wants; all zero: every feature offered, every queue at its largest size. */
struct fakedrv_options {
	uint64_t refuse;      /* offered features that are not accepted */
	bool no_event_idx;    /* the same as refuse |= VMM_VIRTIO_F_EVENT_IDX */
	bool no_indirect;     /* the same as refuse |= VMM_VIRTIO_F_INDIRECT_DESC */
	uint16_t queue_size;  /* of every queue: min(this, the device's maximum); 0: the maximum */
	uint64_t skip_queues; /* bit n: queue n (below 64) is not enabled */
};

/*
 * The whole initialisation (VIRTIO 1.2 section 3.1.1): reset, ACKNOWLEDGE, DRIVER, features,
 * FEATURES_OK, queues, DRIVER_OK. options may be NULL. 0, -EPROTO when the device refused
 * FEATURES_OK, -EIO when it shows DEVICE_NEEDS_RESET afterwards.
 */
int fakedrv_start(struct fakedrv *drv, const struct fakedrv_options *options);
/* The same without the last step, for tests that change something before DRIVER_OK. */
int fakedrv_prepare(struct fakedrv *drv, const struct fakedrv_options *options);
/* The last step. 0 or -EIO as for start. */
int fakedrv_driver_ok(struct fakedrv *drv);
/*
 * In place of the last step: the device finds a driver that has been at work with another process
 * (struct vmm_carrier_start's resumed), on rings that are empty. 0 or the errno of
 * vmm_carrier_start.
 */
int fakedrv_driver_resumes(struct fakedrv *drv);
/* Writes 0 to status and forgets every chain. fakedrv_start works again afterwards. */
void fakedrv_reset(struct fakedrv *drv);

/* ---- what it is made of ---- */

struct vmm_carrier *fakedrv_carrier(struct fakedrv *drv);
struct vmm_virtio_device *fakedrv_device(struct fakedrv *drv);
struct vmm_loop *fakedrv_loop(struct fakedrv *drv);
struct vmm_mem *fakedrv_mem(struct fakedrv *drv);

/* len bytes of guest memory, zeroed at first, aligned to 16; there is no free. */
void *fakedrv_alloc(struct fakedrv *drv, size_t len);
/* The guest address of a pointer that fakedrv_alloc gave, or into such a buffer. */
vmm_gpa fakedrv_gpa(struct fakedrv *drv, const void *ptr);

/* ---- registers ---- */

uint8_t fakedrv_status(struct fakedrv *drv);
/* True when the device shows DEVICE_NEEDS_RESET. */
bool fakedrv_needs_reset(struct fakedrv *drv);
/* Negotiated features (0 before fakedrv_prepare). */
uint64_t fakedrv_features(struct fakedrv *drv);
void fakedrv_read_config(struct fakedrv *drv, size_t offset, void *buf, size_t len);
void fakedrv_write_config(struct fakedrv *drv, size_t offset, const void *buf, size_t len);

/* Interrupts since creation. Atomic counters: a device may raise from any thread. */
unsigned fakedrv_queue_irqs(struct fakedrv *drv, unsigned queue);
unsigned fakedrv_config_irqs(struct fakedrv *drv);

/* ---- chains ---- */

/* One buffer in guest memory (from fakedrv_alloc, or a part of one). len may be 0. */
struct fakedrv_buf {
	void *ptr;
	uint32_t len;
	bool write; /* the device writes it */
};

#define FAKEDRV_OUT(p, n)                                        \
	{                                                        \
		.ptr = (p), .len = (uint32_t)(n), .write = false \
	}
#define FAKEDRV_IN(p, n)                                        \
	{                                                       \
		.ptr = (p), .len = (uint32_t)(n), .write = true \
	}

/*
 * Puts a chain of count buffers, as they are given, into the available ring, without a kick.
 * Returns its head, or -ENOSPC when too few descriptors are free.
 */
int fakedrv_add(struct fakedrv *drv, unsigned queue, const struct fakedrv_buf *bufs,
		unsigned count);
/*
 * The same with the first `direct` buffers as ordinary descriptors and the rest in one indirect
 * table behind them. direct < count.
 */
int fakedrv_add_indirect(struct fakedrv *drv, unsigned queue, const struct fakedrv_buf *bufs,
			 unsigned count, unsigned direct);
/*
 * Chops buffers into pieces of at most `piece` bytes, in order, into out: another framing of the
 * same bytes. Returns the number of pieces; aborts when there are more than cap.
 */
unsigned fakedrv_chop(const struct fakedrv_buf *bufs, unsigned count, uint32_t piece,
		      struct fakedrv_buf *out, unsigned cap);

/*
 * Kicks the queue and runs what that made ready: the loop is dispatched until nothing is left that
 * can run without waiting (at most FAKEDRV_BATCHES times, so that a busy device cannot hang a
 * test).
 */
void fakedrv_kick(struct fakedrv *drv, unsigned queue);
/*
 * What a driver should do: kicks only when the device asked for it (flags, or avail_event for the
 * chains added since the last decision). Returns whether it did.
 */
bool fakedrv_kick_if_needed(struct fakedrv *drv, unsigned queue);
#define FAKEDRV_BATCHES 1000
/* Dispatches as fakedrv_kick does, without a kick. */
void fakedrv_run(struct fakedrv *drv);
/* Dispatches for about ms milliseconds or until *flag (may be NULL) is true. Returns *flag. */
bool fakedrv_run_for(struct fakedrv *drv, int ms, const bool *flag);

/* A chain that came back. */
struct fakedrv_used {
	uint32_t head;
	uint32_t len; /* bytes the device says it wrote */
};

/*
 * Takes the next element of the used ring and frees its descriptors; false when there is none.
 * Aborts when the element names a chain that is not out. With EVENT_IDX it asks for an interrupt
 * for the next one, unless fakedrv_irq_disable was called.
 */
bool fakedrv_used(struct fakedrv *drv, unsigned queue, struct fakedrv_used *used);
/* The same, dispatching the loop until there is one; false after timeout_ms. */
bool fakedrv_wait_used(struct fakedrv *drv, unsigned queue, struct fakedrv_used *used,
		       int timeout_ms);
/*
 * The most usual test: add, kick, wait for exactly this chain. Returns used.len; aborts when the
 * device does not answer within FAKEDRV_PATIENCE_MS or answers something else first.
 */
uint32_t fakedrv_request(struct fakedrv *drv, unsigned queue, const struct fakedrv_buf *bufs,
			 unsigned count);
/* Chains added and not come back. */
unsigned fakedrv_outstanding(struct fakedrv *drv, unsigned queue);

/* Asks for no interrupts (VRING_AVAIL_F_NO_INTERRUPT, or a used_event far away) / for one again. */
void fakedrv_irq_disable(struct fakedrv *drv, unsigned queue);
void fakedrv_irq_enable(struct fakedrv *drv, unsigned queue);

/* ---- shared memory regions ---- */

/*
 * What the guest sees at offset of the region id, len bytes of one mapping; NULL where the device
 * has not mapped that much. Writing to what is mapped read-only is a crash, as in a guest. Valid
 * until the device unmaps it or is reset.
 */
void *fakedrv_shm(struct fakedrv *drv, uint8_t id, uint64_t offset, uint64_t len);
/* Mappings there are, in all regions. */
unsigned fakedrv_shm_count(struct fakedrv *drv);
/* What mapping (unmapping) fails with from now on; 0: it does not. */
void fakedrv_shm_fail(struct fakedrv *drv, int error);

/* ---- raw access, for hostile tests ---- */

#define FAKEDRV_DESC_NEXT     1u
#define FAKEDRV_DESC_WRITE    2u
#define FAKEDRV_DESC_INDIRECT 4u

/* A descriptor as it lies in guest memory (section 2.7.5); tests run on little-endian hosts. */
struct fakedrv_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* The rings of one queue in guest memory, size entries each; valid after fakedrv_prepare. */
struct fakedrv_ring {
	uint16_t size;
	struct fakedrv_desc *desc;
	uint16_t *avail_flags;
	uint16_t *avail_idx;
	uint16_t *avail; /* size entries, then used_event */
	uint16_t *used_event;
	uint16_t *used_flags;
	uint16_t *used_idx;
	struct fakedrv_used *used;
	uint16_t *avail_event;
};

/* Aborts when the queue does not exist. */
const struct fakedrv_ring *fakedrv_ring(struct fakedrv *drv, unsigned queue);

/*
 * Offers a head as it is, whatever stands in the descriptor table: the next avail slot gets head
 * and avail idx is incremented (release). No chain is remembered: read the answer from
 * fakedrv_ring()->used, or with fakedrv_used_raw.
 */
void fakedrv_offer(struct fakedrv *drv, unsigned queue, uint16_t head);
/* As fakedrv_used for chains that were offered raw: nothing is checked or freed. */
bool fakedrv_used_raw(struct fakedrv *drv, unsigned queue, struct fakedrv_used *used);

#endif
