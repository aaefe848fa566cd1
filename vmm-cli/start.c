/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli start: boots VMs, those that provide their network first.
 *
 * Network interfaces are plugged in while a guest is off. So when a provider is about to boot,
 * every VM that it could serve gets its VMM and its bridge first, booted or not: it can then be
 * started and stopped at any time.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "config/config.h"
#include "instance.h"

#define CHAIN_MAX 8 /* providers of providers: deeper than that is a circle */

struct start {
	struct instance_roots roots;
	const char *provider; /* whose clients are looked for */
	const char *wanted;   /* the VM that was asked for: its failures count */
	struct vmm_error err;
};

static int create_if_absent(struct start *s, const char *name)
{
	if (instance_state(&s->roots, name) != INSTANCE_ABSENT) {
		return 0;
	}
	printf("%s: preparing\n", name);
	return instance_create(&s->roots, name, &s->err);
}

/* Gives each client of s->provider its VMM. A client that is broken must not keep the others from
 * starting. */
static int prepare_client(void *ctx, const char *name)
{
	struct start *s = ctx;
	char provider[NAME_MAX + 1];

	if (instance_provider(&s->roots, name, provider) < 0 ||
	    strcmp(provider, s->provider) != 0) {
		return 0;
	}
	if (create_if_absent(s, name) < 0 && strcmp(name, s->wanted) != 0) {
		fprintf(stderr, "vmm-cli start: left out: %s\n", s->err.message);
		memset(&s->err, 0, sizeof(s->err));
	}
	return 0;
}

static int boot(struct start *s, const char *name)
{
	int ret;

	if (instance_state(&s->roots, name) == INSTANCE_RUNNING) {
		printf("%s: runs already\n", name);
		return 0;
	}
	ret = instance_boot(&s->roots, name, &s->err);
	if (ret == 0) {
		printf("%s: started\n", name);
	}
	return ret;
}

static int start_vm(struct start *s, const char *name, unsigned depth)
{
	char provider[NAME_MAX + 1];
	int ret = vm_name_check(name, &s->err);

	if (ret < 0) {
		return ret;
	}
	if (depth > CHAIN_MAX) {
		return vmm_error_set(&s->err, -ELOOP,
				     "VM '%s': its providers of network lead in a circle", name);
	}
	(void)instance_provider(&s->roots, name, provider);
	if (provider[0] != '\0') {
		/* The provider has to be there, off, when this VM is given its network. */
		ret = create_if_absent(s, provider);
		if (ret == 0) {
			ret = create_if_absent(s, name);
		}
		if (ret == 0) {
			ret = start_vm(s, provider, depth + 1);
		}
	} else {
		ret = create_if_absent(s, name);
	}
	if (ret < 0) {
		return ret;
	}
	if (instance_state(&s->roots, name) == INSTANCE_OFF) {
		s->provider = name;
		(void)instance_each_configured(&s->roots, prepare_client, s);
	}
	return boot(s, name);
}

static const char help[] =
	"usage: vmm-cli start [--vms DIR] [--run-dir DIR] NAME...\n"
	"\n"
	"Starts the VMs called NAME, each from the VM directory DIR/NAME, after those\n"
	"that provide their network. A VM that runs already is left alone.\n"
	"\n"
	"  --vms DIR      where the VM directories are ($VMM_VMS, /var/lib/vm)\n"
	"  --run-dir DIR  where sockets and logs go ($VMM_RUN, /run/vm, or\n"
	"                 $XDG_RUNTIME_DIR/vm for users other than root)\n"
	"\n"
	"A VM with a network (providers/net/NAME in its directory) needs root, to make\n"
	"its bridge and taps.\n";

int cmd_start(int argc, char **argv)
{
	struct start s = {0};
	int status = cli_options_with_roots(argc, argv, help, NULL, &s.roots);

	if (status != CLI_GO_ON) {
		return status;
	}
	if (optind == argc) {
		return cli_usage("start", "which VM?");
	}
	status = EXIT_OK;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = optind; i < argc; i++) {
		s.wanted = argv[i];
		memset(&s.err, 0, sizeof(s.err));
		if (start_vm(&s, argv[i], 0) < 0) {
			status = cli_fail("start", &s.err);
		}
	}
	return status;
}
