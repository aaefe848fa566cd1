/* SPDX-License-Identifier: MIT */
/*
 * A client of wlxd's and a compositor, both the test itself, and the proxy between them: on a loop
 * that runs only when told to.
 */
#ifndef TESTS_WLXD_FIX_H
#define TESTS_WLXD_FIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "wlmsg.h"

/* Ids of the objects of wlxd_setup. */
enum {
	WLXD_REGISTRY = 2,
	WLXD_COMPOSITOR,
	WLXD_SHM,
	WLXD_SEAT,
	WLXD_DATA_MANAGER,
	WLXD_KEYBOARD,
	WLXD_DATA_DEVICE,
	WLXD_FREE, /* the first that none has */
};

#define WLXD_FDS_MAX 512

/* One end of a socket, and what came. */
struct wlxd_end {
	int fd;
	uint8_t got[1 << 20];
	size_t len;
	int fds[WLXD_FDS_MAX];
	unsigned fd_count;
	bool eof;
};

struct wlxd_fix {
	struct vmm_loop *loop;
	struct host host;
	struct vmm_log log;
	char last_line[256];
	struct client *client; /* NULL once it is gone */
	struct wlxd_end in;    /* where the client sits */
	struct wlxd_end out;   /* where the compositor does */
	int listen_fd;
	char dir[64], path[80];
	unsigned fds;
};

extern struct wlxd_fix fix;

/* A client that knows the globals of the enumeration and has bound them; nothing is left to read.
 */
void wlxd_setup(void);
/* The same without a word said. */
void wlxd_setup_silent(void);
/* A loop and a log; then, with fix.host set, a client of it. */
void wlxd_setup_loop(void);
void wlxd_setup_client(void);
/* Ends both, if they have not ended, and looks for descriptors that are left. */
void wlxd_teardown(void);

/* Runs the loop until nothing happens any more. */
void wlxd_run(void);
/* wlxd_run, and everything read at both ends. */
void wlxd_settle(void);
/* Forgets what came, and closes descriptors. */
void wlxd_forget(struct wlxd_end *end);

/* Bytes and (-1: none) a descriptor, which is taken; the whole must fit in the socket. */
void wlxd_send(struct wlxd_end *end, const uint8_t *data, size_t len, int fd);
/* A message as wlmsg writes it; wlxd_say is settled, wlxd_put is not. */
#define wlxd_put(END, FD, ...)                                                  \
	do {                                                                    \
		uint8_t wlxd_bytes[WLMSG_MAX];                                  \
                                                                                \
		wlxd_send(END, wlxd_bytes, wlmsg(wlxd_bytes, __VA_ARGS__), FD); \
	} while (0)
#define wlxd_say(END, FD, ...)                  \
	do {                                    \
		wlxd_put(END, FD, __VA_ARGS__); \
		wlxd_settle();                  \
	} while (0)

/* Whether the n-th message that came is this one. */
bool wlxd_is(const struct wlxd_end *end, unsigned n, const uint8_t *message, size_t size);
#define wlxd_expect(END, N, ...)                                                        \
	do {                                                                            \
		uint8_t wlxd_bytes[WLMSG_MAX];                                          \
		size_t wlxd_size = wlmsg(wlxd_bytes, __VA_ARGS__);                      \
                                                                                        \
		ck_assert_msg(wlxd_is(END, N, wlxd_bytes, wlxd_size), "message %u", N); \
	} while (0)
/* How many messages came. */
unsigned wlxd_count(const struct wlxd_end *end);

/* A file of size bytes that begins with text. */
int wlxd_file(const char *text, size_t size);

#endif
