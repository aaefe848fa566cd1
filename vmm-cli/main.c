/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli: one program, a command for each thing it does.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vmm/version.h>

#include "cli.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* NULL: not for people */
};

static const struct command commands[] = {
	{"run", cmd_run, "run one VM in the foreground, this terminal its console"},
	{"start", cmd_start, "start VMs, those that provide their network first"},
	{"stop", cmd_stop, "stop VMs"},
	{"list", cmd_list, "say which VMs there are and what they do"},
	{"info", cmd_info, "say all about one VM"},
	{"console", cmd_console, "connect this terminal to a VM's console"},
	{"vmm", cmd_vmm, "start a VMM that is configured over its API socket"},
	{"screenshot", cmd_screenshot, "write what a VM's screen shows into a file"},
	{"device", cmd_device, "replace the process of a VM's device"},
	{"vm-process", cmd_vm_process, NULL},
};

static void print_help(FILE *out)
{
	size_t i;

	(void)fputs("usage: vmm-cli COMMAND [ARGUMENT...]\n\n", out);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].help) {
			(void)fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
		}
	}
	(void)fputs("\nvmm-cli COMMAND --help says more about a command; vmm-cli --version says "
		    "which one this is.\n",
		    out);
}

/*
 * A starter may have closed the standard streams: the next file opened would take their place, and
 * a guest's console or a message end up in a disk image.
 */
static void hold_standard_streams(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* open gives the lowest number that is free, which is this one. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) {
			break;
		}
	}
}

/* Descriptors 0 to 2 are open from here on: a socket that got one of them would be written to as
 * if it were the terminal. */
static void open_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0) {
		(void)close(fd);
	}
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	size_t i;

	open_standard_descriptors();
	hold_standard_streams();
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
