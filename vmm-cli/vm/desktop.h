/* SPDX-License-Identifier: MIT */
/*
 * Connections to the host's Wayland compositor. A device's process may open none: it asks its
 * supervisor, by a byte on a SOCK_SEQPACKET pair, and gets a connection or an errno.
 */
#ifndef VMM_CLI_VM_DESKTOP_H
#define VMM_CLI_VM_DESKTOP_H

#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/loop.h>

/*
 * Connects to the compositor that listens at socket; NULL: the one that $WAYLAND_DISPLAY and
 * $XDG_RUNTIME_DIR name. Never waits. A descriptor, non-blocking, close-on-exec, the caller's; or
 * -errno (-ENOENT: the environment names none), err names the path.
 */
int vm_desktop_connect(const char *socket, struct vmm_error *err);

struct vm_connector;

/*
 * Answers whoever has *asker, which is the caller's. socket, loop and log are borrowed until close.
 * -errno with words.
 */
int vm_connector_open(struct vm_connector **out, int *asker, const char *socket,
		      struct vmm_loop *loop, const struct vmm_log *log, struct vmm_error *err);
/*
 * For another process in the place of the one that asked: *asker is replaced, and what the old one
 * left unread, or did to the socket, is gone. On failure, -errno with words, all is as before.
 */
int vm_connector_renew(struct vm_connector *c, int *asker, struct vmm_error *err);
/* NULL is a no-op. */
void vm_connector_close(struct vm_connector *c);

#endif
