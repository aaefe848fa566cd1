/* SPDX-License-Identifier: MIT */
/* vmm-cli info: what one VM is made of and how it is doing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "api/client.h"
#include "cli.h"
#include "config/config.h"
#include "instance.h"
#include "processes.h"

#define MIB (INT64_C(1) << 20)

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "-";
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_counters(const json_t *counters, const char *id)
{
	const char *name;
	json_t *value;

	json_object_foreach(json_object_get(counters, id), name, value)
	{
		printf("                %s %" JSON_INTEGER_FORMAT "\n", name,
		       json_integer_value(value));
	}
}

static void print_devices(const json_t *config, const json_t *counters)
{
	const json_t *device;
	size_t i;

	json_array_foreach(json_object_get(config, "disks"), i, device)
	{
		printf("  disk          %s: %s%s\n", text(device, "id"), text(device, "path"),
		       json_is_true(json_object_get(device, "readonly")) ? ", read-only" : "");
		print_counters(counters, text(device, "id"));
	}
	json_array_foreach(json_object_get(config, "net"), i, device)
	{
		printf("  network       %s: %s\n", text(device, "id"), text(device, "mac"));
		print_counters(counters, text(device, "id"));
	}
}

static void print_info(const struct instance_roots *roots, const char *name, const json_t *info,
		       const json_t *counters)
{
	const json_t *config = json_object_get(info, "config");
	const json_t *payload = json_object_get(config, "payload");

	printf("%s: %s\n", name, text(info, "state"));
	printf("  process       %d\n", (int)instance_pid(roots, name));
	printf("  isolation     %s\n",
	       strcmp(text(info, "isolation"), "none") == 0
		       ? "none: guest and devices in one process, without a jail"
		       : "a process and a jail for the guest and for each device");
	printf("  kernel        %s\n", text(payload, "kernel"));
	printf("  command line  %s\n", text(payload, "cmdline"));
	printf("  vCPUs         %" JSON_INTEGER_FORMAT "\n",
	       number(json_object_get(config, "cpus"), "boot_vcpus"));
	printf("  memory        %" JSON_INTEGER_FORMAT " MiB\n",
	       number(json_object_get(config, "memory"), "size") / (json_int_t)MIB);
	printf("  transport     virtio-%s\n", text(config, "transport"));
	printf("  console       %s\n", text(json_object_get(config, "console"), "file"));
	printf("  serial log    %s\n", text(json_object_get(config, "serial"), "file"));
	print_devices(config, counters);
}

static const char help[] =
	"usage: vmm-cli info [--json] [--processes] [--vms DIR] [--run-dir DIR] NAME\n"
	"\n"
	"Tells what the VM called NAME is made of, in which state it is, where its console\n"
	"and its log are, and what its devices have done. --json prints the VMM's own\n"
	"answer, as its API gives it.\n"
	"\n"
	"  --processes  its processes instead: who they are, what they may do and what they\n"
	"               hold. CALLS is the number of system calls that their filter allows\n"
	"  --vms DIR, --run-dir DIR  as for vmm-cli start\n";

/* The socket of a VM that has a VMM. */
static int find_socket(const struct instance_roots *roots, const char *name, char socket[PATH_MAX],
		       struct vmm_error *err)
{
	int ret = cli_name_check(name, err);

	if (ret == 0) {
		ret = instance_path(roots, name, "vmm", socket, err);
	}
	if (ret == 0 && instance_state(roots, name) == INSTANCE_ABSENT) {
		ret = instance_check_known(roots, name, err);
		if (ret == 0) {
			ret = vmm_error_set(err, -ESRCH,
					    "VM '%s' does not run; vmm-cli list shows what does",
					    name);
		}
	}
	return ret;
}

static void print_json(const json_t *json)
{
	(void)json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
}

static int show_vm(const struct instance_roots *roots, const char *name, const char *socket,
		   bool as_json, struct vmm_error *err)
{
	json_t *info = NULL;
	json_t *counters = NULL;
	int ret = api_call(socket, "GET", "vm.info", NULL, NULL, 0, &info, err);

	if (ret < 0) {
		return ret;
	}
	if (as_json) {
		print_json(info);
	} else {
		/* A guest that is off has counted nothing. */
		(void)api_call(socket, "GET", "vm.counters", NULL, NULL, 0, &counters, NULL);
		print_info(roots, name, info, counters);
	}
	json_decref(info);
	json_decref(counters);
	return 0;
}

static int show_processes(const char *socket, bool as_json, struct vmm_error *err)
{
	json_t *list = NULL;
	int ret = api_call(socket, "GET", "vm.processes", NULL, NULL, 0, &list, err);

	if (ret < 0) {
		return ret;
	}
	processes_inspect(list);
	if (as_json) {
		print_json(list);
	} else {
		processes_print(list);
	}
	json_decref(list);
	return 0;
}

int cmd_info(int argc, char **argv)
{
	bool as_json = false;
	bool processes = false;
	const struct cli_option options[] = {{.name = "json", .flag = &as_json},
					     {.name = "processes", .flag = &processes},
					     {.name = NULL}};
	struct instance_roots roots;
	struct vmm_error err = {0};
	char socket[PATH_MAX];
	int status = cli_options_with_roots(argc, argv, help, options, &roots);
	int ret;

	if (status != CLI_GO_ON) {
		return status;
	}
	if (argc - optind != 1) {
		return cli_usage("info", "the name of one VM");
	}
	ret = find_socket(&roots, argv[optind], socket, &err);
	if (ret == 0) {
		ret = processes ? show_processes(socket, as_json, &err)
				: show_vm(&roots, argv[optind], socket, as_json, &err);
	}
	return ret < 0 ? cli_fail("info", &err) : EXIT_OK;
}
