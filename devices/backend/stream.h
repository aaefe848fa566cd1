/* SPDX-License-Identifier: MIT */
/*
 * Private: bytes over descriptors that may not be ready. Output waits in a ring that forgets its
 * oldest bytes when it is full; input is read when asked for. Used by the fd and pty back ends.
 */
#ifndef VMM_DEVICES_BACKEND_STREAM_H
#define VMM_DEVICES_BACKEND_STREAM_H

#include <vmm/dev/chardev.h>

#define VMM_STREAM_RING 65536u

struct vmm_stream {
	struct vmm_chardev base;
	int in_fd;
	int out_fd;
	struct vmm_loop *loop;
	struct vmm_source *in; /* also watches out_fd when that is the same descriptor */
	struct vmm_source *out;
	uint32_t in_events; /* what they wait for now */
	uint32_t out_events;
	struct vmm_work always; /* for input that cannot be waited for: files are always readable */
	bool want_input;
	bool no_input; /* end of file or error: never read again */
	bool gone;     /* the other side has hung up: nothing is watched, output waits */
	/* Called when the other side hangs up. NULL: that ends input for ever. */
	void (*hung_up)(struct vmm_stream *s);
	size_t first; /* of the ring */
	size_t used;
	uint8_t ring[VMM_STREAM_RING];
};

int vmm_stream_start(struct vmm_chardev *cd, struct vmm_loop *loop);
void vmm_stream_stop(struct vmm_chardev *cd);
void vmm_stream_write(struct vmm_chardev *cd, const void *bytes, size_t len);
size_t vmm_stream_read(struct vmm_chardev *cd, void *buf, size_t len);
void vmm_stream_want_input(struct vmm_chardev *cd, bool want);

/* Says whether somebody is on the other side; when so, waiting output goes out. */
void vmm_stream_set_gone(struct vmm_stream *s, bool gone);

/* Writes what the other side takes without waiting. For a last attempt before closing. */
void vmm_stream_flush(struct vmm_stream *s);

#endif
