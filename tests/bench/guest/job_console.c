/* SPDX-License-Identifier: MIT */
/* Bytes for somebody to read: through virtio-console, and one by one through the serial port. */
#include <stddef.h>

#include "io.h"

#define OUT    1u /* the queue of port 0 */
#define IN     0u
#define COM1   0x3f8u
#define LETTER 'x'

static struct queue in;
static struct queue out;

static void start(uint32_t len, unsigned depth)
{
	struct virtio v;

	find_device(VIRTIO_CONSOLE, &v);
	if (!virtio_begin(&v, 0) || !queue_start(&in, &v, IN, QUEUE_SIZE_MAX) ||
	    !queue_start(&out, &v, OUT, QUEUE_SIZE_MAX) || !virtio_ready(&v)) {
		give_up("the console does not start");
	}
	if (depth == 0 || depth > out.size || len == 0 || (uint64_t)depth * len > ARENA_SIZE) {
		give_up("depth or len");
	}
	fill_bytes(arena, LETTER, (uint64_t)depth * len);
	for (unsigned i = 0; i < depth; i++) {
		out.desc[i] = (struct virtio_desc){
			.addr = (uint64_t)arena + (uint64_t)i * len,
			.len = len,
		};
	}
}

void job_console(void)
{
	uint32_t len = (uint32_t)option("len", 4096);
	unsigned depth = (unsigned)option("depth", 8);
	uint64_t n = option("bytes", 1 << 20) / len;
	uint64_t offered = 0;
	uint64_t began;

	start(len, depth);
	began = now();
	for (uint64_t done = 0; done < n;) {
		bool more = false;

		for (; offered < n && offered - done < depth; offered++) {
			/* They come back in the order they went. */
			queue_offer(&out, (uint16_t)(offered % depth));
			more = true;
		}
		if (more) {
			queue_kick(&out);
		}
		while (!queue_has_done(&out)) {
			pause_once();
		}
		for (; queue_has_done(&out); done++) {
			(void)queue_take(&out, NULL);
		}
	}
	print("rate", rate(n * len, now() - began));
	print("kicks", out.kicks);
}

void job_serial(void)
{
	uint64_t n = option("bytes", 10000);
	uint64_t began = now();

	for (uint64_t i = 0; i < n; i++) {
		out8(COM1, i % 64 == 63 ? '\n' : LETTER);
	}
	began = now() - began;
	say_end();
	print("rate", rate(n, began));
}
