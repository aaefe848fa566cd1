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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "config/config.h"
#include "instance.h"
#include "isolation.h"

#define CHAIN_MAX 8 /* providers of providers */

/* A VM, the one that provides its network, the one that provides that one's, ... */
struct chain {
	char name[CHAIN_MAX][NAME_MAX + 1];
	size_t count;
};

struct start {
	struct instance_roots roots;
	const char *provider;  /* whose clients are looked for */
	const char *wanted;    /* the VM that was asked for: its failures count */
	struct vmm_error *err; /* where a step says why it failed: error, or a client's own */
	struct vmm_error error;
};

static bool is_in(const struct chain *chain, const char *name)
{
	for (size_t i = 0; i < chain->count; i++) {
		if (strcmp(chain->name[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static int find_chain(const struct instance_roots *roots, const char *name, struct chain *chain,
		      struct vmm_error *err)
{
	char next[NAME_MAX + 1];
	int ret = 0;

	chain->count = 0;
	(void)snprintf(next, sizeof(next), "%s", name);
	while (ret == 0 && next[0] != '\0') {
		if (is_in(chain, next) || chain->count == CHAIN_MAX) {
			return vmm_error_set(
				err, -ELOOP, "VM '%s': its providers of network lead %s '%s'", name,
				is_in(chain, next) ? "in a circle, back to" : "too far, on to",
				next);
		}
		ret = instance_check_known(roots, next, err);
		if (ret < 0) {
			return chain->count == 0 ? ret
						 : vmm_error_wrap(err, ret, "network of VM '%s'",
								  chain->name[chain->count - 1]);
		}
		memcpy(chain->name[chain->count], next, sizeof(next));
		ret = instance_provider(roots, chain->name[chain->count], next);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "'%s/%s/providers/net'", roots->vms,
					      chain->name[chain->count]);
		}
		chain->count++;
	}
	return 0;
}

/* A VMM with the VM in it and connected, booted or not. */
static int prepare(struct start *s, const char *name)
{
	enum instance_state state = instance_state(&s->roots, name);
	int ret = 0;

	if (state == INSTANCE_SILENT) {
		return vmm_error_set(s->err, -ETIMEDOUT,
				     "VM '%s': its VMM does not answer (vmm-cli stop %s ends it)",
				     name, name);
	}
	/* Nobody is at work on it, since this process holds the lock: its maker died. */
	if (state == INSTANCE_UNFINISHED) {
		ret = instance_end(&s->roots, name, s->err);
		state = INSTANCE_ABSENT;
	}
	if (ret < 0) {
		return ret;
	}
	return state == INSTANCE_ABSENT ? instance_create(&s->roots, name, s->err)
					: instance_join(&s->roots, name, s->err);
}

/* A client that is broken must not keep the others from starting. */
static int prepare_client(void *ctx, const char *name)
{
	struct start *s = ctx;
	struct vmm_error *err = s->err;
	struct vmm_error own = {0};
	char provider[NAME_MAX + 1];

	if (instance_provider(&s->roots, name, provider) < 0 ||
	    strcmp(provider, s->provider) != 0) {
		return 0;
	}
	s->err = &own;
	if (prepare(s, name) < 0 && strcmp(name, s->wanted) != 0) {
		fprintf(stderr, "vmm-cli start: left out: %s\n", own.message);
	}
	s->err = err;
	return 0;
}

static int boot(struct start *s, const char *name)
{
	enum instance_state state = instance_state(&s->roots, name);
	int ret;

	if (state == INSTANCE_RUNNING) {
		if (strcmp(name, s->wanted) == 0) {
			printf("%s: runs already\n", name);
		}
		return 0;
	}
	if (state == INSTANCE_OFF) {
		s->provider = name;
		(void)instance_each_configured(&s->roots, prepare_client, s);
	}
	ret = instance_boot(&s->roots, name, s->err);
	if (ret == 0) {
		printf("%s: %s\n", name, state == INSTANCE_PAUSED ? "goes on" : "started");
	}
	return ret;
}

static int start_vm(struct start *s, const char *name)
{
	struct chain chain = {.count = 0};
	int ret = cli_name_check(name, s->err);

	if (ret == 0) {
		ret = find_chain(&s->roots, name, &chain, s->err);
	}
	if (ret < 0) {
		return ret;
	}
	s->wanted = name;
	/* A provider has to be there, off, when its client is given its network. */
	for (size_t i = chain.count; ret == 0 && i > 0; i--) {
		ret = prepare(s, chain.name[i - 1]);
	}
	for (size_t i = chain.count; ret == 0 && i > 0; i--) {
		ret = boot(s, chain.name[i - 1]);
	}
	return ret;
}

static int start_all(struct start *s, char **names, int count)
{
	int status = EXIT_OK;
	int lock = instance_roots_lock(&s->roots, true, &s->error);

	if (lock < 0) {
		return cli_fail("start", &s->error);
	}
	for (int i = 0; i < count; i++) {
		memset(&s->error, 0, sizeof(s->error));
		s->err = &s->error;
		if (start_vm(s, names[i]) < 0) {
			status = cli_fail("start", &s->error);
		}
	}
	if (status != EXIT_OK) {
		/* What was made for a VM that then did not boot serves nobody. */
		(void)instance_sweep(&s->roots, false, NULL);
	}
	instance_roots_unlock(&s->roots, lock);
	return status;
}

static const char help[] =
	"usage: vmm-cli start [OPTION...] NAME...\n"
	"\n"
	"Starts the VMs called NAME, each from the VM directory DIR/NAME, after those\n"
	"that provide their network. A VM that runs already is left alone.\n"
	"\n"
	"  --vms DIR      where the VM directories are ($VMM_VMS, /var/lib/vm)\n"
	"  --run-dir DIR  where sockets and logs go ($VMM_RUN, /run/vm, or\n"
	"                 $XDG_RUNTIME_DIR/vm for users other than root)\n"
	"  --ready-fd N   write a newline to descriptor N when all of them run\n"
	"  --isolation process|none\n"
	"                 as for vmm-cli vmm, for VMs that have no VMM yet\n"
	"\n"
	"A VM with a network (providers/net/NAME in its directory) needs root, to make\n"
	"its bridge and taps. What is changed in a VM directory counts the next time the\n"
	"VM is started after it and all that it is connected to were stopped.\n";

int cmd_start(int argc, char **argv)
{
	const char *ready = NULL;
	struct isolation_options isolation = {0};
	const struct cli_option options[] = {{.name = "ready-fd", .value = &ready},
					     {.name = "isolation", .value = &isolation.isolation},
					     {.name = NULL}};
	struct start s = {0};
	struct isolation chosen;
	struct vmm_error err = {0};
	int ready_fd = -1;
	int status = cli_options_with_roots(argc, argv, help, options, &s.roots);

	if (status == CLI_GO_ON && ready) {
		status = cli_ready_fd("start", ready, &ready_fd);
	}
	if (status != CLI_GO_ON) {
		return status;
	}
	if (optind == argc) {
		return cli_usage("start", "which VM?");
	}
	if (isolation_choose(&isolation, &chosen, &err) < 0) {
		return cli_usage("start", "%s", err.message);
	}
	/* The VMMs that are started look there. */
	if (isolation.isolation && setenv("VMM_ISOLATION", isolation.isolation, 1) != 0) {
		return EXIT_FAILED;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	status = start_all(&s, &argv[optind], argc - optind);
	return status == EXIT_OK ? cli_tell_ready("start", ready_fd) : status;
}
