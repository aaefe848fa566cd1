/* SPDX-License-Identifier: MIT */
/* vmm-cli list: which VMs there are and what they do, in words. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "api/client.h"
#include "cli.h"
#include "config/config.h"
#include "instance.h"

#define MIB (UINT64_C(1) << 20)

struct list {
	struct instance_roots roots;
	const char *of; /* clients of this VM are looked for */
	unsigned vms;
	unsigned running;
	unsigned clients;
};

static const char *state_words(enum instance_state state)
{
	switch (state) {
	case INSTANCE_RUNNING:
		return "running";
	case INSTANCE_PAUSED:
		return "paused";
	case INSTANCE_OFF:
		return "off, ready to start";
	case INSTANCE_SILENT:
		return "not answering";
	case INSTANCE_UNFINISHED:
		return "being prepared";
	case INSTANCE_ABSENT:
		break;
	}
	return "off";
}

static void print_size(const struct instance_roots *roots, const char *name)
{
	char socket[PATH_MAX];
	const json_t *config;
	json_t *info = NULL;

	if (instance_path(roots, name, "vmm", socket, NULL) < 0 ||
	    api_call(socket, "GET", "vm.info", NULL, NULL, 0, &info, NULL) < 0) {
		return;
	}
	config = json_object_get(info, "config");
	printf(", %d vCPU, %d MiB",
	       (int)json_integer_value(
		       json_object_get(json_object_get(config, "cpus"), "boot_vcpus")),
	       (int)((uint64_t)json_integer_value(
			     json_object_get(json_object_get(config, "memory"), "size")) /
		     MIB));
	json_decref(info);
}

/* A VMM that failed has left its log. */
static void print_failure(const struct instance_roots *roots, const char *name)
{
	char log[PATH_MAX];

	if (instance_path(roots, name, "log", log, NULL) == 0 && access(log, F_OK) == 0) {
		printf(", its VMM failed: see %s", log);
	}
}

static int print_client(void *ctx, const char *name)
{
	struct list *list = ctx;
	char provider[NAME_MAX + 1];

	if (instance_provider(&list->roots, name, provider) == 0 &&
	    strcmp(provider, list->of) == 0) {
		printf("%s%s", list->clients == 0 ? ", network of " : " and ", name);
		list->clients++;
	}
	return 0;
}

static int print_vm(void *ctx, const char *name)
{
	struct list *list = ctx;
	enum instance_state state = instance_state(&list->roots, name);
	char provider[NAME_MAX + 1];

	list->vms++;
	printf("%-16s %s", name, state_words(state));
	if (state == INSTANCE_RUNNING || state == INSTANCE_PAUSED) {
		list->running++;
		print_size(&list->roots, name);
	}
	if (state == INSTANCE_ABSENT) {
		print_failure(&list->roots, name);
	}
	if (instance_provider(&list->roots, name, provider) == 0 && provider[0] != '\0') {
		printf(", network through %s", provider);
	}
	list->of = name;
	list->clients = 0;
	(void)instance_each_configured(&list->roots, print_client, list);
	putchar('\n');
	return 0;
}

/* A VM that runs although its directory is gone. */
static int print_orphan(void *ctx, const char *name)
{
	struct list *list = ctx;
	char path[PATH_MAX + NAME_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", list->roots.vms, name);
	return access(path, F_OK) == 0 ? 0 : print_vm(ctx, name);
}

/* Directories that would be VMs under another name. */
static void warn_of_names(const struct instance_roots *roots)
{
	const struct dirent *entry;
	DIR *dir = opendir(roots->vms);

	while (dir && (entry = readdir(dir)) != NULL) {
		char path[PATH_MAX + NAME_MAX + 16];
		struct vmm_error err = {0};

		(void)snprintf(path, sizeof(path), "%s/%s/vmlinux", roots->vms, entry->d_name);
		if (entry->d_name[0] != '.' && access(path, F_OK) == 0 &&
		    cli_name_check(entry->d_name, &err) < 0) {
			fprintf(stderr, "vmm-cli list: left out: %s\n", err.message);
		}
	}
	if (dir) {
		(void)closedir(dir);
	}
}

static const char help[] = "usage: vmm-cli list [--vms DIR] [--run-dir DIR]\n"
			   "\n"
			   "Lists the VMs in DIR and what each is doing.\n"
			   "\n"
			   "  --vms DIR, --run-dir DIR  as for vmm-cli start\n";

int cmd_list(int argc, char **argv)
{
	struct list list = {0};
	int status = cli_options_with_roots(argc, argv, help, NULL, &list.roots);

	if (status != CLI_GO_ON) {
		return status;
	}
	if (optind != argc) {
		return cli_usage("list", "'%s': takes no names", argv[optind]);
	}
	(void)instance_each_configured(&list.roots, print_vm, &list);
	(void)instance_each_live(&list.roots, print_orphan, &list);
	warn_of_names(&list.roots);
	if (list.vms == 0) {
		printf("no VMs in %s\n", list.roots.vms);
	} else {
		printf("%u of %u running\n", list.running, list.vms);
	}
	return EXIT_OK;
}
