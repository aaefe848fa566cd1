/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

#define OPTIONS_MAX 12

int cli_fail(const char *command, const struct vmm_error *err)
{
	fprintf(stderr, "vmm-cli %s: %s\n", command, err->message);
	return EXIT_FAILED;
}

int cli_usage(const char *command, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "vmm-cli %s: ", command);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "; see vmm-cli %s --help\n", command);
	return EXIT_USAGE;
}

int cli_options(int argc, char **argv, const char *help, const struct cli_option *options)
{
	struct option table[OPTIONS_MAX + 2] = {{"help", no_argument, NULL, 0}};
	int index = 0;
	int c;

	for (int i = 0; i < OPTIONS_MAX && options[i].name; i++) {
		table[i + 1].name = options[i].name;
		table[i + 1].has_arg = options[i].value ? required_argument : no_argument;
	}
	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", table, &index)) != -1) {
		if (c == ':' || c == '?') {
			return cli_usage(argv[0], "'%s': %s", argv[optind - 1],
					 c == ':' ? "wants a value" : "no such option");
		}
		if (index == 0) {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (options[index - 1].value) {
			*options[index - 1].value = optarg;
		} else if (options[index - 1].flag) {
			*options[index - 1].flag = true;
		}
	}
	return CLI_GO_ON;
}

int cli_name_check(const char *name, struct vmm_error *err)
{
	char shown[VM_NAME_MAX + 16];
	int ret = vm_name_check(name, err);

	if (ret == 0 || !err || (name[0] && strstr(err->message, name))) {
		return ret;
	}
	(void)snprintf(shown, sizeof(shown), "%.*s%s", VM_NAME_MAX, name,
		       strlen(name) > VM_NAME_MAX ? "..." : "");
	for (char *c = shown; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			*c = '?';
		}
	}
	return vmm_error_wrap(err, ret, "VM name '%s'", shown);
}

int cli_api_socket(const struct instance_roots *roots, const char *name, char out[PATH_MAX],
		   struct vmm_error *err)
{
	int ret = cli_name_check(name, err);

	if (ret == 0) {
		ret = instance_path(roots, name, "vmm", out, err);
	}
	if (ret == 0 && instance_state(roots, name) == INSTANCE_ABSENT) {
		ret = instance_check_known(roots, name, err);
		return ret < 0 ? ret : vmm_error_set(err, -ESRCH, "VM '%s' does not run", name);
	}
	return ret;
}

int cli_ready_fd(const char *command, const char *text, int *fd)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < 0 || value > INT_MAX) {
		return cli_usage(command, "--ready-fd '%s': not a descriptor", text);
	}
	*fd = (int)value;
	return CLI_GO_ON;
}

int cli_tell_ready(const char *command, int fd)
{
	struct vmm_error err = {0};

	if (fd < 0) {
		return EXIT_OK;
	}
	if (write(fd, "\n", 1) != 1) {
		(void)vmm_error_wrap(&err, -errno, "--ready-fd %d", fd);
		return cli_fail(command, &err);
	}
	(void)close(fd);
	return EXIT_OK;
}

int cli_options_with_roots(int argc, char **argv, const char *help,
			   const struct cli_option *options, struct instance_roots *roots)
{
	const char *vms = NULL;
	const char *run = NULL;
	struct cli_option all[OPTIONS_MAX + 1] = {
		{.name = "vms", .value = &vms},
		{.name = "run-dir", .value = &run},
	};
	struct vmm_error err = {0};
	int ret;

	for (int i = 0; options && options[i].name && i < OPTIONS_MAX - 2; i++) {
		all[i + 2] = options[i];
	}
	ret = cli_options(argc, argv, help, all);
	if (ret == CLI_GO_ON && instance_roots_init(roots, vms, run, &err) < 0) {
		ret = cli_fail(argv[0], &err);
	}
	return ret;
}
