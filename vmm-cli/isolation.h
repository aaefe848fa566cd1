/* SPDX-License-Identifier: MIT */
/*
 * How commands that run VMs are told in which processes:
 *
 *	--isolation process|none   $VMM_ISOLATION
 *	--device-program PATH      $VMM_DEVICE      vmm-device, beside this program
 *	--restart always|never     $VMM_RESTART     what happens to a device whose process has ended
 *	--uid-base N               $VMM_UID_BASE    of the users that root's VMs run as
 */
#ifndef VMM_CLI_ISOLATION_H
#define VMM_CLI_ISOLATION_H

#include <limits.h>

#include <vmm/error.h>

#include "vm/body.h"

/* Zero-initialised: as the environment says. Strings are borrowed. */
struct isolation_options {
	const char *isolation;
	const char *device_program;
	const char *restart;
	const char *uid_base;
	char path[PATH_MAX]; /* of vmm-device */
};

struct isolation {
	const struct vm_body_ops *body;
	struct vm_isolation config; /* its strings belong to the options */
};

/* To be called early: it looks where this program lies. -EINVAL, with the option's name. */
int isolation_choose(struct isolation_options *options, struct isolation *out,
		     struct vmm_error *err);

#endif
