/* SPDX-License-Identifier: MIT */
/* One split queue (VIRTIO 1.2 section 2.7), polled. */
#include "virtio.h"

#define NO_INTERRUPT 1u
#define NO_NOTIFY    1u

/* The device's words change under the compiler's eyes; the processor keeps loads in order. */
#define BARRIER() __asm__ volatile("" : : : "memory")
#define FENCE()   __asm__ volatile("mfence" : : : "memory")

static void clear(struct queue *q)
{
	for (unsigned i = 0; i < sizeof(q->avail) / sizeof(q->avail[0]); i++) {
		q->avail[i] = 0;
	}
	for (unsigned i = 0; i < sizeof(q->used) / sizeof(q->used[0]); i++) {
		q->used[i] = 0;
	}
	q->avail[0] = NO_INTERRUPT;
	q->offered = 0;
	q->taken = 0;
	q->kicks = 0;
}

bool queue_start(struct queue *q, const struct virtio *v, uint16_t index, uint16_t size)
{
	uint32_t offset = 0;
	uint32_t most;

	virtio_put(v, VIRTIO_QUEUE_SELECT, index);
	most = virtio_get(v, VIRTIO_QUEUE_SIZE_MAX);
	q->size = most < size ? (uint16_t)most : size;
	if (q->size == 0) {
		return false;
	}
	clear(q);
	virtio_put(v, VIRTIO_QUEUE_SIZE, q->size);
	virtio_put_address(v, VIRTIO_QUEUE_DESC, q->desc);
	virtio_put_address(v, VIRTIO_QUEUE_DRIVER, q->avail);
	virtio_put_address(v, VIRTIO_QUEUE_DEVICE, q->used);
	if (v->interrupts && !virtio_pci_set_vector(v)) {
		return false;
	}
	virtio_put(v, VIRTIO_QUEUE_ENABLE, 1);
	if (v->notify_offset != 0) {
		offset = get16(v->registers + v->notify_offset) * v->notify_multiplier;
	}
	q->index = index;
	q->notify = v->notify + offset;
	q->notify_bytes = v->notify_bytes;
	return true;
}

void queue_want_interrupts(struct queue *q, bool want)
{
	q->avail[0] = want ? 0 : NO_INTERRUPT;
	FENCE();
}

void queue_offer(struct queue *q, uint16_t head)
{
	q->avail[2 + (q->offered & (q->size - 1u))] = head;
	q->offered++;
	BARRIER();
	q->avail[1] = q->offered;
}

void queue_kick(struct queue *q)
{
	FENCE();
	if ((uint16_t)q->used[0] & NO_NOTIFY) {
		return;
	}
	q->kicks++;
	if (q->notify_bytes == 2) {
		put16(q->notify, q->index);
	} else {
		put32(q->notify, q->index);
	}
}

uint16_t queue_take(struct queue *q, uint32_t *len)
{
	unsigned at = 1 + 2 * (q->taken & (q->size - 1u));

	BARRIER();
	q->taken++;
	if (len) {
		*len = q->used[at + 1];
	}
	return (uint16_t)q->used[at];
}
