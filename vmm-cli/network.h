/* SPDX-License-Identifier: MIT */
/*
 * The host's side of networks between VMs: one Linux bridge for each client VM with two taps on it,
 * the client's own and one that its provider routes for. Everything is named after the pid of the
 * client's VMM, from which guests derive their addresses too. The host has no address on any of
 * them.
 *
 * All functions return 0 (or a descriptor) or a negative errno and say in err which interface it
 * was about.
 */
#ifndef VMM_CLI_NETWORK_H
#define VMM_CLI_NETWORK_H

#include <net/if.h>
#include <stdint.h>
#include <sys/types.h>

#include <vmm/error.h>

#define NETWORK_MAC_LEN 18 /* "0A:B3:EC:00:12:34" and a zero */

/* The names and addresses of one client's network, made from its VMM's pid. */
struct network_names {
	char bridge[IFNAMSIZ];            /* br<pid> */
	char client_tap[IFNAMSIZ];        /* client<pid> */
	char router_tap[IFNAMSIZ];        /* router<pid> */
	char client_mac[NETWORK_MAC_LEN]; /* 0A:B3:EC:00:hh:ll, hh:ll the low 16 bits of pid */
	char router_mac[NETWORK_MAC_LEN]; /* 0A:B3:EC:80:hh:ll */
};

void network_names(pid_t pid, struct network_names *out);

/* A bridge without an address, up. -EEXIST, -ENAMETOOLONG, -EINVAL ('%' or '/' in it), -EPERM. */
int network_bridge_add(const char *name, struct vmm_error *err);
/* Takes the bridge down and deletes it; -ENODEV when there is none. */
int network_bridge_delete(const char *name, struct vmm_error *err);
/* Puts an interface on a bridge and brings it up. */
int network_bridge_attach(const char *bridge, const char *interface, struct vmm_error *err);

/*
 * Makes a tap (TAP, NO_PI, VNET_HDR, one queue) that must not exist yet and returns its descriptor,
 * close-on-exec. The tap goes when its last descriptor is closed.
 */
int network_tap_create(const char *name, struct vmm_error *err);

/*
 * A new tap on an existing bridge, up: its descriptor. On failure nothing is left of the tap.
 */
int network_tap_on_bridge(const char *bridge, const char *tap, struct vmm_error *err);

/* Deletes an interface of any kind, also a tap that somebody holds open. -ENODEV when there is
 * none. */
int network_interface_delete(const char *name, struct vmm_error *err);

#endif
