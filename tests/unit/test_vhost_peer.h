/* SPDX-License-Identifier: MIT */
/* A back end of vhost-user that a thread of the test plays, as it should or not. */
#ifndef TESTS_VHOST_PEER_H
#define TESTS_VHOST_PEER_H

#include <pthread.h>
#include <stdbool.h>

#include "vhost/msg.h"

#define QUEUES     2
#define CONFIG_LEN 12
#define LOG_MAX    128

enum fault {
	FAULT_NONE,
	FAULT_CLOSE,    /* hangs up instead of answering */
	FAULT_SILENT,   /* never answers */
	FAULT_SHORT,    /* a payload of one byte less */
	FAULT_LONG,     /* one more */
	FAULT_HUGE,     /* a size of 4 GiB - 1 */
	FAULT_REQUEST,  /* an answer to something else */
	FAULT_NO_REPLY, /* the reply flag is missing */
	FAULT_VERSION,
	FAULT_FDS, /* descriptors that nobody asked for */
	FAULT_NO,  /* a refusal: REPLY_ACK 1, an empty payload */
	FAULT_COUNT,
};

/* A back end. The thread owns it from start_back_end until join. */
struct back_end {
	int fd;
	uint64_t features;
	uint64_t protocol;
	uint8_t config[CONFIG_LEN];
	uint64_t queues;
	enum fault fault;
	unsigned fault_at; /* index of the message that it happens to */

	unsigned count;
	uint32_t log[LOG_MAX]; /* requests in order */
	uint64_t accepted;     /* features, by SET_FEATURES */
	uint16_t base[QUEUES];
	int call_fd[QUEUES];
	int kick_fd[QUEUES];
	int err_fd;
	int channel;
	int record_fd;
	unsigned records_made;
	uint8_t written[CONFIG_LEN];
	struct vhost_user_shmem_config shmem;
	size_t shmem_size; /* of it, that is sent */
	struct vhost_user_shmem_private shmem_private;
	/* Called before a request is answered; may be NULL. */
	void (*before)(struct back_end *b, uint32_t request);
	pthread_t thread;
};

/* One that speaks everything, without shared memory. */
void init_back_end(struct back_end *b);
/* The front end's end of the connection. */
int start_back_end(struct back_end *b);
/* The connection has been closed by somebody. */
void join(struct back_end *b);
/* How often it heard a request. */
unsigned count_of(const struct back_end *b, uint32_t request);

#endif
