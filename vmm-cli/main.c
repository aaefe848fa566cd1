/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli: one program, a command for each thing it does.
 */
#include <stdarg.h>
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
	{"vmm", cmd_vmm, "a VMM that is configured over its API socket"},
};

int cli_fail(const char *command, const struct vmm_error *err)
{
	(void)fprintf(stderr, "vmm-cli %s: %s\n", command, err->message);
	return EXIT_FAILED;
}

int cli_usage(const char *command, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)fprintf(stderr, "vmm-cli %s: %s; see vmm-cli %s --help\n", command, text, command);
	return EXIT_USAGE;
}

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
