/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: vmm-device KIND --fd N | --listen-fd N | --socket PATH [OPTION...]\n"
	"\n"
	"One virtio device in a process of its own, for the guest of a VMM that speaks\n"
	"vhost-user (vmm-cli, QEMU, cloud-hypervisor, crosvm). The process opens what it\n"
	"needs, gives up everything else - files, network, capabilities, all but a few\n"
	"system calls - and only then looks at the guest.\n"
	"\n"
	"  --fd N               the connection to the VMM; the process ends with it\n"
	"  --listen-fd N        a listening socket: serves one VMM after the other\n"
	"  --socket PATH        the same, at a path that is removed at the end; for use by\n"
	"                       hand. SIGTERM and SIGINT end it\n"
	"  --log-fd N           say what happens there instead of on stderr\n"
	"  --counters-fd N      keep counters in the first page of that memfd\n"
	"  --guest-memory MIB   the guest has no more than that: limits address space\n"
	"  --isolation=none     no jail, for debugging\n"
	"  --poll-us N          look for work for up to N microseconds before sleeping\n"
	"                       (32; 0: never, for a machine of one processor)\n"
	"  --uid N, --gid N     with --socket, started as root: who the device becomes\n"
	"                       (65534)\n"
	"  --verbose            say more\n"
	"  --help               this text; with KIND, only that kind's\n";

static const char statuses[] =
	"\n"
	"Exit status: 0 the VMM hung up, or the process was asked to end; 1 it could not\n"
	"start, or the VMM broke a rule of the protocol; 2 the command line makes no sense.\n";

static const struct kind *const kinds[] = {&blk_kind,   &console_kind, &gpu_kind,
					   &input_kind, &net_kind,     &rng_kind};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

const struct kind *kind_find(const char *name)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i]->name, name) == 0) {
			return kinds[i];
		}
	}
	return NULL;
}

const char *help_kinds(void)
{
	return "blk, console, gpu, input, net, rng";
}

void help_print(const struct kind *kind)
{
	(void)fputs(usage, stdout);
	for (size_t i = 0; i < KINDS; i++) {
		if (!kind || kind == kinds[i]) {
			(void)printf("\n%s", kinds[i]->help);
		}
	}
	(void)fputs(statuses, stdout);
}
