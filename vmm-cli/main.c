/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli: one program, a command for each thing it does.
 */
#include <stdio.h>
#include <string.h>

#include <vmm/version.h>

#include "cli.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct command commands[] = {
	{"run", cmd_run, "run one VM in the foreground, this terminal its console"},
	{"start", cmd_start, "start VMs, those that provide their network first"},
	{"stop", cmd_stop, "stop VMs"},
	{"list", cmd_list, "say which VMs there are and what they do"},
	{"info", cmd_info, "say all about one VM"},
	{"console", cmd_console, "connect this terminal to a VM's console"},
	{"vmm", cmd_vmm, "start a VMM that is configured over its API socket"},
};

static void print_help(FILE *out)
{
	size_t i;

	(void)fputs("usage: vmm-cli COMMAND [ARGUMENT...]\n\n", out);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		(void)fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	}
	(void)fputs("\nvmm-cli COMMAND --help says more about a command; vmm-cli --version says "
		    "which one this is.\n",
		    out);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			return commands[i].run(argc - 1, argv + 1);
		}
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_help(stdout);
		return EXIT_OK;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		(void)printf("vmm-cli v%s\n", VMM_VERSION);
		return EXIT_OK;
	}
	if (name[0]) {
		(void)fprintf(stderr, "vmm-cli: there is no command '%s'\n\n", name);
	}
	print_help(stderr);
	return EXIT_USAGE;
}
