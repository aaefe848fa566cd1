/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli stop: switches guests off, and ends VMMs that nothing needs any more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "config/config.h"
#include "instance.h"

#define GRACE_DEFAULT_MS 10000
#define GRACE_MAX_S      3600

/* A VM whose guest is to be switched off. */
struct target {
	char name[NAME_MAX + 1];
	bool provider; /* uses nobody's network, others may use its */
};

struct stop {
	struct instance_roots roots;
	int grace_ms;
	struct target *targets;
	size_t count;
	bool silent_ones;
	int status;
};

static int add_target(void *ctx, const char *name)
{
	enum instance_state state = instance_state(&((struct stop *)ctx)->roots, name);
	char provider[NAME_MAX + 1];
	struct stop *stop = ctx;
	struct target *grown;

	if (state == INSTANCE_SILENT) {
		stop->silent_ones = true;
	}
	if (state != INSTANCE_RUNNING && state != INSTANCE_PAUSED) {
		return 0;
	}
	grown = realloc(stop->targets, (stop->count + 1) * sizeof(*grown));
	if (!grown) {
		return -ENOMEM;
	}
	stop->targets = grown;
	(void)snprintf(grown[stop->count].name, sizeof(grown->name), "%s", name);
	(void)instance_provider(&stop->roots, name, provider);
	grown[stop->count].provider = provider[0] == '\0';
	stop->count++;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void wait_off(struct stop *stop, const char *name, int64_t deadline)
{
	struct vmm_error err = {0};
	int64_t left = deadline - now_ms();
	int ret = instance_shutdown(&stop->roots, name, left > 0 ? (int)left : 0, &err);

	if (ret == 0) {
		printf("%s: stopped\n", name);
	} else if (ret == -ETIMEDOUT) {
		stop->silent_ones = true;
	} else {
		stop->status = cli_fail("stop", &err);
	}
}

/* All buttons are pressed before the first guest is waited for, clients' before providers'. */
static void switch_off(struct stop *stop)
{
	for (int providers = 0; providers < 2; providers++) {
		int64_t deadline = now_ms() + stop->grace_ms;

		for (size_t i = 0; i < stop->count; i++) {
			if (stop->targets[i].provider == (providers == 1) && stop->grace_ms > 0) {
				(void)instance_press(&stop->roots, stop->targets[i].name, NULL);
			}
		}
		for (size_t i = 0; i < stop->count; i++) {
			if (stop->targets[i].provider == (providers == 1)) {
				wait_off(stop, stop->targets[i].name, deadline);
			}
		}
	}
}

static int end_if_silent(void *ctx, const char *name)
{
	struct stop *stop = ctx;
	struct vmm_error err = {0};

	if (instance_state(&stop->roots, name) != INSTANCE_SILENT) {
		return 0;
	}
	fprintf(stderr, "vmm-cli stop: VM '%s': its VMM does not answer and is killed\n", name);
	if (instance_end(&stop->roots, name, &err) < 0) {
		stop->status = cli_fail("stop", &err);
	}
	return 0;
}

/* The names of the command line, or all that have a VMM. */
struct names {
	char **list;
	int count; /* 0: all */
};

static void each(const struct names *names, instance_name_fn fn, struct stop *stop)
{
	int ret = names->count == 0 ? instance_each_live(&stop->roots, fn, stop) : 0;

	for (int i = 0; ret == 0 && i < names->count; i++) {
		ret = fn(stop, names->list[i]);
	}
	if (ret < 0) {
		struct vmm_error err = {0};

		(void)vmm_error_wrap(&err, ret, "runtime directory '%s'", stop->roots.run);
		stop->status = cli_fail("stop", &err);
	}
}

static bool is_known(const struct stop *stop, const char *name)
{
	struct vmm_error err = {0};

	if (cli_name_check(name, &err) < 0) {
		(void)cli_fail("stop", &err);
		return false;
	}
	if (instance_state(&stop->roots, name) != INSTANCE_ABSENT) {
		return true;
	}
	if (instance_check_known(&stop->roots, name, &err) < 0) {
		(void)cli_fail("stop", &err);
		return false;
	}
	printf("%s: does not run\n", name);
	return true;
}

/* Takes out of names what there is not. */
static void check_names(struct names *names, struct stop *stop)
{
	int kept = 0;

	for (int i = 0; i < names->count; i++) {
		if (is_known(stop, names->list[i])) {
			names->list[kept++] = names->list[i];
		} else {
			stop->status = EXIT_FAILED;
		}
	}
	names->count = kept;
}

static void clean_up(const struct names *names, struct stop *stop, bool all)
{
	struct vmm_error err = {0};
	int lock = instance_roots_lock(&stop->roots, false, &err);

	if (lock == -ENOENT) {
		return; /* the last watcher took it away, or nothing ever ran */
	}
	if (lock < 0) {
		stop->status = cli_fail("stop", &err);
		return;
	}
	if (stop->silent_ones) {
		each(names, end_if_silent, stop);
	}
	if (instance_sweep(&stop->roots, all, &err) < 0) {
		stop->status = cli_fail("stop", &err);
	}
	instance_roots_unlock(&stop->roots, lock);
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
	const char *grace = NULL;
	bool all = false;
	const struct cli_option options[] = {
		{.name = "grace", .value = &grace},
		{.name = "all", .flag = &all},
		{.name = NULL},
	};
	struct stop stop = {.grace_ms = GRACE_DEFAULT_MS};
	struct names names;
	uint64_t seconds;
	int status = cli_options_with_roots(argc, argv, help, options, &stop.roots);

	if (status != CLI_GO_ON) {
		return status;
	}
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
	names = (struct names){&argv[optind], argc - optind};
	check_names(&names, &stop);
	if (all || names.count > 0) {
		each(&names, add_target, &stop);
		switch_off(&stop);
		clean_up(&names, &stop, all);
	}
	free(stop.targets);
	return stop.status;
}
