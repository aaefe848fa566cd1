/* SPDX-License-Identifier: MIT */
/* Between instance.c and instance_create.c. */
#ifndef VMM_CLI_INSTANCE_PRIVATE_H
#define VMM_CLI_INSTANCE_PRIVATE_H

#include <stdbool.h>

#include "instance.h"
#include "network.h"

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

#endif
