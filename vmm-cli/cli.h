/* SPDX-License-Identifier: MIT */
/*
 * What the commands of vmm-cli share. A command gets argv from its own name on and returns the exit
 * status of the program.
 */
#ifndef VMM_CLI_CLI_H
#define VMM_CLI_CLI_H

#include <stdbool.h>

#include <vmm/error.h>

#include "instance.h"

/* Exit statuses, the same for every command. */
#define EXIT_OK     0
#define EXIT_FAILED 1 /* it was tried and did not work; a sentence on stderr says why */
#define EXIT_USAGE  2 /* the command line makes no sense */

/* "vmm-cli COMMAND: message" on stderr; returns EXIT_FAILED. */
int cli_fail(const char *command, const struct vmm_error *err);
/* "vmm-cli COMMAND: what; see --help" on stderr; returns EXIT_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) VMM_PRINTF(2, 3);

/* One option of a command besides --help: with a value, or a flag. */
struct cli_option {
	const char *name;   /* without the dashes; NULL ends a table */
	const char **value; /* receives the argument; NULL for a flag */
	bool *flag;         /* set to true */
};

/*
 * Reads the options of a command. CLI_GO_ON, with optind at the first argument that is no option;
 * else the command ends with what is returned (--help was asked for, or something is wrong and
 * said).
 */
#define CLI_GO_ON (-1)
int cli_options(int argc, char **argv, const char *help, const struct cli_option *options);

/* The same for commands that know VMs by name: with --vms DIR and --run-dir DIR, which fill roots.
 */
int cli_options_with_roots(int argc, char **argv, const char *help,
			   const struct cli_option *options, struct instance_roots *roots);

/* vm_name_check, with the name in the sentence, fit for a terminal. */
int cli_name_check(const char *name, struct vmm_error *err);

/* The path of the API socket of a VM that has a VMM. -ESRCH: it has none; -ENOENT: nor a directory.
 */
int cli_api_socket(const struct instance_roots *roots, const char *name, char out[PATH_MAX],
		   struct vmm_error *err);

/* --ready-fd N: CLI_GO_ON with the number in *fd, or the status of a usage error. */
int cli_ready_fd(const char *command, const char *text, int *fd);
/* Writes a newline to fd and closes it; nothing for -1. EXIT_OK, or EXIT_FAILED and said. */
int cli_tell_ready(const char *command, int fd);

int cmd_console(int argc, char **argv);
int cmd_device(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_screenshot(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_vm_process(int argc, char **argv);
int cmd_vmm(int argc, char **argv);

#endif
