/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a virtqueue (VIRTIO 1.2 section 2.7, split ring), and cursors over
 * the buffers of one descriptor chain.
 *
 * The canonical device loop:
 *
 *	do {
 *		vmm_virtq_kick_disable(q);
 *		while (budget-- && vmm_virtq_pop(q, &chain) == 1) {
 *			... vmm_chain_reader(), vmm_chain_writer() ...
 *			vmm_virtq_push(q, chain.head, written);
 *		}
 *		vmm_virtq_flush(q);
 *	} while (vmm_virtq_kick_enable(q));
 *
 * The first broken rule of a ring marks the queue broken: the device then shows
 * DEVICE_NEEDS_RESET, and every later call on the queue does nothing until the driver
 * resets the device. A device need not handle it beyond leaving its loop.
 *
 * All calls on one queue belong to one thread, the loop thread of its device.
 */
#ifndef VMM_VIRTQ_H
#define VMM_VIRTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vmm/irq.h>
#include <vmm/mem.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Largest ring a device of this library offers; also the longest possible chain. */
#define VMM_VIRTQ_SIZE_MAX 1024

struct vmm_virtq;

/*
 * One descriptor chain: the buffers of one request. The caller owns the struct and the
 * iovec array (iov, iov_cap set before pop; at least vmm_virtq_size() entries, else long but legal
 * chains break the queue). Device-readable buffers come first. Translated once from one private
 * copy of each descriptor; the iovecs stay valid until the head is pushed or the device is reset.
 * Zero-length descriptors are dropped. Total length is at most 4 GiB - 1 in each direction.
 */
struct vmm_chain {
	struct iovec *iov;
	unsigned iov_cap;
	unsigned readable; /* iov[0 .. readable) may only be read */
	unsigned writable; /* iov[readable .. readable + writable) may only be written */
	uint32_t readable_len;
	uint32_t writable_len;
	uint16_t head; /* names the chain in push */
};

/* Entries in the ring. */
uint16_t vmm_virtq_size(const struct vmm_virtq *q);

/*
 * Takes the next available chain. 1: chain is filled. 0: nothing available. -EPROTO or -EFAULT: the
 * driver broke a rule (index jump, head out of range or already in flight, loop, nested or
 * malformed indirect table, readable after writable, address outside RAM, chain longer than the
 * ring): the queue is now broken, as is every later call's answer. VIRTIO 1.2
 * section 2.7.5, 2.7.6, 2.7.8.
 */
int vmm_virtq_pop(struct vmm_virtq *q, struct vmm_chain *chain);

/*
 * Gives the last n popped chains (none of them pushed) back, the most recent first; they will be
 * popped again in the same order. For back ends that turn out to have no room or no data.
 */
void vmm_virtq_unpop(struct vmm_virtq *q, uint16_t n);

/*
 * Returns a chain with `written` bytes written, counted from the start of its writable buffers. In
 * any order. The driver sees it at the next flush. 0, or -EINVAL when head is not in flight or
 * `written` is more than the chain had room for (bugs of the device; nothing is done). On a broken
 * queue the driver sees nothing, but the chain no longer counts as in flight.
 */
int vmm_virtq_push(struct vmm_virtq *q, uint16_t head, uint32_t written);

/* Publishes everything pushed and raises the interrupt at most once (section 2.7.7,
 * EVENT_IDX 2.7.10). */
void vmm_virtq_flush(struct vmm_virtq *q);

/* Chains popped and not yet pushed. */
unsigned vmm_virtq_in_flight(const struct vmm_virtq *q);

/* Asks the driver for no notifications (a hint). */
void vmm_virtq_kick_disable(struct vmm_virtq *q);
/*
 * Asks for notifications of every chain made available from now on; true when chains are available
 * already, for which no notification may come: run the loop again.
 */
bool vmm_virtq_kick_enable(struct vmm_virtq *q);

/*
 * For who looks at a queue again and again instead of waiting for notifications. begin: from now on
 * kick_enable asks for none, but remembers. look: whether the device has asked for notifications
 * and there is something that one would have been about. end: asks the driver for those that the
 * device still wants; true when there is such a thing already. Both tell of chains once, as
 * notifications do: a device that cannot take what there is does not keep anybody awake.
 */
void vmm_virtq_poll_begin(struct vmm_virtq *q);
bool vmm_virtq_poll_look(struct vmm_virtq *q);
bool vmm_virtq_poll_end(struct vmm_virtq *q);

/* True when a chain is available right now. */
bool vmm_virtq_has_avail(struct vmm_virtq *q);
/*
 * How many chains are available right now; 0 for a broken queue. A device that needs more chains
 * than there are gives back what it popped, counts, calls vmm_virtq_kick_enable, and may wait for a
 * notification only when the count is still the same.
 */
unsigned vmm_virtq_avail_count(struct vmm_virtq *q);

bool vmm_virtq_is_broken(const struct vmm_virtq *q);

/*
 * A device saw a rule of its own protocol broken in such a way that it cannot go on. Marks the
 * queue broken.
 */
void vmm_virtq_break(struct vmm_virtq *q, const char *why);

/* ---- cursors: devices see bytes, never descriptors, so framing never matters (section 2.7.4) ----
 */

/* Reads the device-readable bytes of a chain in order. Private; copyable. */
struct vmm_reader {
	const struct iovec *iov;
	unsigned count;
	size_t offset; /* into iov[0] */
	size_t left;
};

/* Writes the device-writable bytes of a chain in order. Private; copyable. */
struct vmm_writer {
	const struct iovec *iov;
	unsigned count;
	size_t offset;
	size_t left;
	size_t written;
};

void vmm_chain_reader(const struct vmm_chain *chain, struct vmm_reader *r);
void vmm_chain_writer(const struct vmm_chain *chain, struct vmm_writer *w);

static inline size_t vmm_reader_left(const struct vmm_reader *r)
{
	return r->left;
}
/* Copies the next len bytes out; all or nothing: -EPROTO when fewer are left. */
int vmm_reader_get(struct vmm_reader *r, void *dst, size_t len);
/* Copies up to len bytes out; returns how many. */
size_t vmm_reader_read(struct vmm_reader *r, void *dst, size_t len);
/* Steps over up to len bytes; returns how many. */
size_t vmm_reader_skip(struct vmm_reader *r, size_t len);
/*
 * Clips the next len bytes (at most what is left) to iovecs for writev/pwritev and steps over them.
 * Returns the number of entries filled; -ENOSPC (nothing consumed) when cap is too small.
 */
int vmm_reader_iov(struct vmm_reader *r, size_t len, struct iovec *out, unsigned cap);
/*
 * The next bytes that lie in one piece, at most len, and steps over them; returns how many, 0 when
 * none are left. They are the guest's memory, which it may change at any time: for bytes that are
 * passed on, not looked at.
 */
size_t vmm_reader_piece(struct vmm_reader *r, size_t len, const void **out);

static inline size_t vmm_writer_left(const struct vmm_writer *w)
{
	return w->left;
}
/* Bytes put, filled or handed out by vmm_writer_iov so far. */
static inline size_t vmm_writer_written(const struct vmm_writer *w)
{
	return w->written;
}
/* Copies len bytes in; all or nothing: -EPROTO when there is less room. */
int vmm_writer_put(struct vmm_writer *w, const void *src, size_t len);
/* Copies up to len bytes in; returns how many. */
size_t vmm_writer_write(struct vmm_writer *w, const void *src, size_t len);
/* Writes up to len bytes of the value byte; returns how many. */
size_t vmm_writer_fill(struct vmm_writer *w, uint8_t byte, size_t len);
/* As vmm_reader_iov, for readv/preadv. */
int vmm_writer_iov(struct vmm_writer *w, size_t len, struct iovec *out, unsigned cap);
/*
 * Cuts the last len bytes off w into tail (a status byte behind data). -EPROTO when w has fewer
 * left.
 */
int vmm_writer_split_tail(struct vmm_writer *w, size_t len, struct vmm_writer *tail);

/* ---- for whoever carries a device (a transport, a test); devices get their queues at activate
 * ---- */

struct vmm_inflight;

/* What the driver configured. Addresses are guest physical. */
struct vmm_virtq_config {
	uint16_t size;     /* entries: a power of two */
	uint16_t size_max; /* what the device offered; a split ring has at most 32768 */
	vmm_gpa desc;      /* descriptor table: 16 * size bytes, aligned to 16 */
	vmm_gpa driver;    /* available ring: 6 + 2 * size bytes, aligned to 2 */
	vmm_gpa device;    /* used ring: 6 + 8 * size bytes, aligned to 4 */
	uint64_t features; /* negotiated: INDIRECT_DESC and EVENT_IDX matter here */
	/* Where in the available ring to go on: 0 for a queue that has just come to life. */
	uint16_t next_avail;
	/*
	 * A record of the chains in flight, or NULL. It lies in memory that outlives this process,
	 * vmm_inflight_size bytes aligned to 8, zeroed for a queue that has just come to life. What
	 * it says is in flight is popped again first, oldest first, and counts instead of
	 * next_avail. Borrowed until stop or destroy. The layout is that of the vhost-user
	 * specification ("Inflight I/O tracking", split virtqueue).
	 */
	struct vmm_inflight *inflight;
};

/* Checks size, alignment and that all three areas lie wholly in RAM. -EPROTO, -EFAULT. */
int vmm_virtq_check(const struct vmm_mem *mem, const struct vmm_virtq_config *config);

/* Bytes of a record for a queue of size entries. */
size_t vmm_inflight_size(uint16_t size);

/* Called once, on the queue's thread, when the queue breaks. why is a constant string. */
typedef void (*vmm_virtq_broken_fn)(void *ctx, const char *why);

/*
 * Makes a queue for rings of up to size_max entries, not started yet. Starting and stopping it
 * allocates nothing. -ENOMEM.
 */
int vmm_virtq_alloc(struct vmm_virtq **out, uint16_t size_max);

/*
 * Checks the configuration once (size, alignment, all three areas wholly in RAM) and makes the
 * queue ready. mem and irq (may be NULL) are borrowed until stop. The ring's indices are taken as
 * they stand in memory only for `used`. A queue that was started before is started afresh.
 * -EPROTO/-EFAULT: the driver's configuration, or the record, is invalid.
 */
int vmm_virtq_start(struct vmm_virtq *q, struct vmm_mem *mem, const struct vmm_virtq_config *config,
		    struct vmm_irq *irq, vmm_virtq_broken_fn broken, void *ctx);

/*
 * Publishes what was pushed; the queue is no longer used before the next start. *next_avail (may be
 * NULL) is where somebody else goes on, with the chains in flight first. -EBUSY: there is no such
 * place, because chains popped after them have been pushed already, and no record is kept.
 */
int vmm_virtq_stop(struct vmm_virtq *q, uint16_t *next_avail);

/* Another interrupt (NULL: none) from now on. */
void vmm_virtq_set_irq(struct vmm_virtq *q, struct vmm_irq *irq);

/* Both at once: alloc for config.size and start. Errors of both; on failure *out is NULL. */
int vmm_virtq_create(struct vmm_virtq **out, struct vmm_mem *mem,
		     const struct vmm_virtq_config *config, struct vmm_irq *irq,
		     vmm_virtq_broken_fn broken, void *ctx);
void vmm_virtq_destroy(struct vmm_virtq *q);

#ifdef __cplusplus
}
#endif

#endif
