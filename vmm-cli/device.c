/* SPDX-License-Identifier: MIT */
/* vmm-cli device: what can be done to one device of a VM that runs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "api/client.h"
#include "cli.h"

static const char help[] =
	"usage: vmm-cli device restart [--vms DIR] [--run-dir DIR] NAME ID\n"
	"\n"
	"Replaces the process behind device ID of the VM called NAME by a new one, which\n"
	"runs the program vmm-device as it is installed now. The guest runs on; what it\n"
	"has asked of the device and was not answered yet is done by the new process.\n"
	"\n"
	"  --vms DIR, --run-dir DIR  as for vmm-cli start\n"
	"\n"
	"vmm-cli info --processes NAME shows the devices and their processes.\n";

static int restart(const struct instance_roots *roots, const char *name, const char *id,
		   struct vmm_error *err)
{
	char socket[PATH_MAX];
	json_t *body;
	int ret = cli_api_socket(roots, name, socket, err);

	if (ret < 0) {
		return ret;
	}
	body = json_pack("{s:s}", "id", id);
	if (!body) {
		return vmm_error_set(err, -EINVAL, "the device's id is not UTF-8");
	}
	ret = api_call(socket, "PUT", "vm.restart-device", body, NULL, 0, NULL, err);
	json_decref(body);
	return ret;
}

int cmd_device(int argc, char **argv)
{
	struct instance_roots roots;
	struct vmm_error err = {0};
	int status = cli_options_with_roots(argc, argv, help, NULL, &roots);

	if (status != CLI_GO_ON) {
		return status;
	}
	if (argc - optind != 3 || strcmp(argv[optind], "restart") != 0) {
		return cli_usage("device", "'restart', the name of a VM and the id of a device");
	}
	if (restart(&roots, argv[optind + 1], argv[optind + 2], &err) < 0) {
		return cli_fail("device", &err);
	}
	printf("%s: %s restarted\n", argv[optind + 1], argv[optind + 2]);
	return EXIT_OK;
}
