/* SPDX-License-Identifier: MIT */
/*
 * The API over a real socket and loop, in one thread: the client's bytes wait in the socket while
 * the loop runs, and the reply waits there when it has run. VMs are those of api_stub.h.
 */
#ifndef TESTS_UNIT_API_FIX_H
#define TESTS_UNIT_API_FIX_H

#include <stddef.h>

#include "api/listen.h"
#include "api/manager.h"
#include "api/routes.h"
#include "api/server.h"
#include "api_stub.h"

extern struct vmm_loop *loop;
extern struct vm_manager *manager;
extern struct api_socket listener;
extern struct api_server *server;
extern struct api_routes routes;
extern struct vm_events events;
extern struct vmm_error err;
extern unsigned shutdowns;               /* how often vmm.shutdown was asked for */
extern enum vmm_exit_reason exit_reason; /* what the manager's owner was told */
extern char dir[64];                     /* a directory of the test's own */
extern char sock_path[96];
extern const char *last_reply; /* of request() */

void set_up(void);
void tear_down(void);

/* Runs the loop until there is nothing to do. */
void pump(void);

/* A connection, not yet accepted; non-blocking. */
int dial(void);
/* One message, with descriptors. */
void send_fds(int fd, const char *text, size_t len, const int *fds, size_t count);
void send_text(int fd, const char *text);
/* Runs the loop, then gives what one recv gives, as libvirt reads a reply; "" when the server
 * closed. */
const char *recv_once(int fd);
/* The status code of a reply. */
int code_of(const char *reply);

/* One request on a connection of its own: its code; the whole reply is in last_reply. */
int request(const char *method, const char *endpoint, const char *body);

/* A VmConfig with a disk, _disk0, and no console. */
#define CONFIG                                                              \
	"{\"payload\":{\"kernel\":\"/k\"},\"console\":{\"mode\":\"Null\"}," \
	"\"disks\":[{\"path\":\"/d\"}]}"

/* Brings the VM into a state, from any. */
void enter(enum vm_state state);

#endif
