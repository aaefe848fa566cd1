/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli stop: switches guests off, and ends VMMs that nothing needs any more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "config/config.h"
#include "instance.h"

#define GRACE_DEFAULT_MS 10000
#define GRACE_MAX_S      3600
#define NAMES_MAX        256

/* The VMs that have a VMM, and which of them are connected, by way of their networks, to a guest
 * that runs. */
struct live {
	struct instance_roots roots;
	size_t count;
	struct {
		char name[VM_NAME_MAX + 1];
		char provider[NAME_MAX + 1];
		bool needed;
	} vm[NAMES_MAX];
};

static int add_live(void *ctx, const char *name)
{
	struct live *live = ctx;
	enum instance_state state = instance_state(&live->roots, name);

	if (live->count == NAMES_MAX) {
		return -ENOSPC;
	}
	(void)snprintf(live->vm[live->count].name, sizeof(live->vm[0].name), "%s", name);
	(void)instance_provider(&live->roots, name, live->vm[live->count].provider);
	live->vm[live->count].needed = state != INSTANCE_OFF && state != INSTANCE_ABSENT;
	live->count++;
	return 0;
}

static bool connected(const struct live *live, size_t a, size_t b)
{
	return strcmp(live->vm[a].provider, live->vm[b].name) == 0 ||
	       strcmp(live->vm[b].provider, live->vm[a].name) == 0;
}

/* Spreads "needed" along the networks until nothing changes. */
static void spread(struct live *live)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (size_t a = 0; a < live->count; a++) {
			for (size_t b = 0; b < live->count; b++) {
				if (live->vm[a].needed && !live->vm[b].needed &&
				    connected(live, a, b)) {
					live->vm[b].needed = true;
					changed = true;
				}
			}
		}
	}
}

static int end_unneeded(struct live *live, struct vmm_error *err)
{
	int result = 0;

	live->count = 0;
	(void)instance_each_live(&live->roots, add_live, live);
	spread(live);
	/* Clients before providers, so that no provider is asked to forget what is gone. */
	for (int clients = 1; clients >= 0; clients--) {
		for (size_t i = 0; i < live->count; i++) {
			bool is_client = live->vm[i].provider[0] != '\0';
			int ret;

			if (live->vm[i].needed || is_client != (clients == 1)) {
				continue;
			}
			ret = instance_end(&live->roots, live->vm[i].name, err);
			result = ret < 0 ? ret : result;
		}
	}
	return result;
}

struct stop {
	struct live *live;
	int grace_ms;
	int status;
};

static int stop_one(void *ctx, const char *name)
{
	struct stop *stop = ctx;
	struct vmm_error err = {0};
	enum instance_state before = instance_state(&stop->live->roots, name);

	if (before == INSTANCE_ABSENT || before == INSTANCE_OFF) {
		return 0;
	}
	if (before == INSTANCE_SILENT) {
		fprintf(stderr, "vmm-cli stop: VM '%s': its VMM does not answer and is killed\n",
			name);
		if (instance_end(&stop->live->roots, name, &err) < 0) {
			stop->status = cli_fail("stop", &err);
		}
	} else if (instance_shutdown(&stop->live->roots, name, stop->grace_ms, &err) < 0) {
		stop->status = cli_fail("stop", &err);
	} else {
		printf("%s: stopped\n", name);
	}
	return 0;
}

static void stop_named(struct stop *stop, const char *name)
{
	char path[PATH_MAX + NAME_MAX];
	struct vmm_error err = {0};

	if (vm_name_check(name, &err) < 0) {
		stop->status = cli_fail("stop", &err);
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", stop->live->roots.vms, name);
	if (instance_state(&stop->live->roots, name) != INSTANCE_ABSENT) {
		(void)stop_one(stop, name);
	} else if (access(path, F_OK) == 0) {
		printf("%s: does not run\n", name);
	} else {
		(void)vmm_error_set(&err, -ENOENT, "no VM '%s': there is no '%s'", name, path);
		stop->status = cli_fail("stop", &err);
	}
}

static const char help[] =
	"usage: vmm-cli stop [--vms DIR] [--run-dir DIR] [--grace SECONDS] --all | NAME...\n"
	"\n"
	"Presses the power button of the VMs called NAME, or of all that run, and after\n"
	"SECONDS (10; 0: at once) switches off those that have not gone by themselves.\n"
	"The VMM of a VM stays, ready to boot it again, while the VM that provides its\n"
	"network or one that it serves still runs.\n"
	"\n"
	"  --vms DIR, --run-dir DIR  as for vmm-cli start\n";

int cmd_stop(int argc, char **argv)
{
	static struct live live;
	const char *grace = NULL;
	bool all = false;
	const struct cli_option options[] = {
		{.name = "grace", .value = &grace},
		{.name = "all", .flag = &all},
		{.name = NULL},
	};
	struct stop stop = {.live = &live, .grace_ms = GRACE_DEFAULT_MS};
	struct vmm_error err = {0};
	uint64_t seconds;

	stop.status = cli_options_with_roots(argc, argv, help, options, &live.roots);
	if (stop.status != CLI_GO_ON) {
		return stop.status;
	}
	stop.status = EXIT_OK;
	if (grace) {
		if (vm_size_parse(&seconds, grace) < 0 || seconds > GRACE_MAX_S) {
			return cli_usage("stop", "--grace '%s': not a number of seconds", grace);
		}
		stop.grace_ms = (int)seconds * 1000;
	}
	if (all == (optind < argc)) {
		return cli_usage("stop", "either --all or the names of VMs");
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (all) {
		(void)instance_each_live(&live.roots, stop_one, &stop);
	}
	for (int i = optind; i < argc; i++) {
		stop_named(&stop, argv[i]);
	}
	if (end_unneeded(&live, &err) < 0) {
		stop.status = cli_fail("stop", &err);
	}
	return stop.status;
}
