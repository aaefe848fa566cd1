/* SPDX-License-Identifier: MIT */
/* Between the files that make up instances. */
#ifndef VMM_CLI_INSTANCE_PRIVATE_H
#define VMM_CLI_INSTANCE_PRIVATE_H

#include <stdbool.h>

#include "instance.h"
#include "network.h"

/* ---- instance_process.c ---- */

/*
 * Takes the lock of an instance, waiting up to timeout_ms for its holder: the descriptor that holds
 * it, -EEXIST when somebody else keeps it, -ENOENT when there is no runtime directory.
 */
int instance_lock(const struct instance_roots *roots, const char *name, int timeout_ms,
		  struct vmm_error *err);

/*
 * Takes away the network and the runtime directory of a VMM that has ended; the caller holds the
 * lock. With logs false its logs stay, for whoever wants to know why it died.
 */
void instance_clean_up(const struct instance_roots *roots, const char *name, bool logs);

/*
 * Starts watcher and VMM of name in its runtime directory, whose lock the watcher then holds beside
 * the caller. When the VMM fails to start, err has its last words.
 */
int instance_launch(const struct instance_roots *roots, const char *name, int lock,
		    struct vmm_error *err);

/* ---- instance_create.c ---- */

/* Makes a tap on the bridge and gives it to the VMM behind socket, under its own name. */
int instance_give_tap(const char *socket, const char *bridge, const char *tap, const char *mac,
		      struct vmm_error *err);

/* ---- bridges.c ---- */

/* A card on each bridge of the host that name's directory asks for. */
int instance_join_bridges(const struct instance_roots *roots, const char *name, const char *socket,
			  struct vmm_error *err);

#endif
