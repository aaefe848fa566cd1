/* SPDX-License-Identifier: MIT */
#include "gpu/sendq.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gpu/fds.h"
#include "gpu/xdomain.h"

/* Small pieces share a chunk. */
#define CHUNK_MIN 4096u

struct sendq_chunk {
	struct sendq_chunk *next;
	size_t size; /* of data */
	size_t begin;
	size_t end;
	unsigned fd_count;
	int fds[XD_IDS_MAX];
	uint8_t data[];
};

static void free_first(struct sendq *q)
{
	struct sendq_chunk *chunk = q->first;

	q->first = chunk->next;
	if (!q->first) {
		q->last = NULL;
	}
	q->budget->bytes += sizeof(*chunk) + chunk->size;
	q->budget->fds += chunk->fd_count;
	vmm_gpu_close_fds(chunk->fds, chunk->fd_count);
	free(chunk);
}

static int add_chunk(struct sendq *q, size_t len, const int *fds, unsigned count)
{
	size_t size = len > CHUNK_MIN ? len : CHUNK_MIN;
	struct sendq_chunk *chunk;

	if (len > SIZE_MAX - sizeof(*chunk) || sizeof(*chunk) + size > q->budget->bytes ||
	    count > q->budget->fds || count > XD_IDS_MAX) {
		return -ENOSPC;
	}
	chunk = malloc(sizeof(*chunk) + size);
	if (!chunk) {
		return -ENOMEM;
	}
	chunk->next = NULL;
	chunk->size = size;
	chunk->begin = 0;
	chunk->end = 0;
	chunk->fd_count = count;
	if (count > 0) {
		memcpy(chunk->fds, fds, count * sizeof(*fds));
	}
	if (q->last) {
		q->last->next = chunk;
	} else {
		q->first = chunk;
	}
	q->last = chunk;
	q->budget->bytes -= sizeof(*chunk) + size;
	q->budget->fds -= count;
	return 0;
}

int vmm_gpu_sendq_add(struct sendq *q, const void *bytes, size_t len, const int *fds,
		      unsigned count)
{
	if (!q->last || count > 0 || len > q->last->size - q->last->end) {
		int ret = add_chunk(q, len, fds, count);

		if (ret < 0) {
			return ret;
		}
	}
	memcpy(q->last->data + q->last->end, bytes, len);
	q->last->end += len;
	return 0;
}

static ssize_t send_chunk(struct sendq_chunk *chunk, int fd, bool is_socket)
{
	struct iovec iov = {chunk->data + chunk->begin, chunk->end - chunk->begin};

	if (!is_socket) {
		return write(fd, iov.iov_base, iov.iov_len);
	}
	return vmm_gpu_send_fds(fd, &iov, chunk->fds, chunk->fd_count);
}

/* They went with the first byte of the chunk. */
static void forget_fds(struct sendq *q)
{
	q->budget->fds += q->first->fd_count;
	q->first->fd_count = 0;
}

static void consume(struct sendq *q, size_t len)
{
	q->first->begin += len;
	if (q->first->begin == q->first->end) {
		free_first(q);
	}
}

int vmm_gpu_sendq_flush(struct sendq *q, int fd, bool is_socket)
{
	while (q->first) {
		struct sendq_chunk *chunk = q->first;
		ssize_t sent = send_chunk(chunk, fd, is_socket);

		if (sent < 0) {
			return errno == EINTR ? -EAGAIN : -errno;
		}
		vmm_gpu_close_fds(chunk->fds, chunk->fd_count);
		forget_fds(q);
		consume(q, (size_t)sent);
	}
	return 0;
}

size_t vmm_gpu_sendq_take(struct sendq *q, void *bytes, size_t len, int *fds, unsigned *count)
{
	struct sendq_chunk *chunk = q->first;
	size_t n = len < chunk->end - chunk->begin ? len : chunk->end - chunk->begin;

	memcpy(bytes, chunk->data + chunk->begin, n);
	memcpy(fds, chunk->fds, chunk->fd_count * sizeof(*fds));
	*count = chunk->fd_count;
	forget_fds(q);
	consume(q, n);
	return n;
}

void vmm_gpu_sendq_clear(struct sendq *q)
{
	while (q->first) {
		free_first(q);
	}
}
