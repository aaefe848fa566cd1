/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli run: one VM in the foreground, this terminal its console.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/clilog.h"
#include "api/manager.h"
#include "cli.h"
#include "config/gpu.h"
#include "isolation.h"
#include "terminal.h"

#define CONFIG_BYTES_MAX (UINT64_C(4) << 20)

/* Exit statuses beyond those of every command. */
#define EXIT_CRASHED 3 /* the guest crashed */
#define EXIT_HOST    4 /* the host failed under it */
#define EXIT_KILLED  5 /* the user or a signal switched it off */
#define SIGNALS      4

struct run {
	struct isolation isolation;
	struct vmm_loop *loop;
	struct vm_manager *manager;
	struct cli_log log;
	struct terminal terminal;
	struct vmm_source *signals;
	int ready_fd;
	bool button_pressed;
	int status;
};

/* ---- what ends it ---- */

static void leave_terminal(struct run *r)
{
	if (r->terminal.raw) {
		terminal_reset(STDOUT_FILENO, false);
		terminal_restore(&r->terminal);
	}
}

static void end(struct run *r, int status)
{
	r->status = status;
	vmm_loop_stop(r->loop);
}

static void on_vm_exit(void *ctx, const struct vmm_exit *why)
{
	struct run *r = ctx;

	switch (why->reason) {
	case VMM_EXIT_POWEROFF:
		end(r, EXIT_OK);
		break;
	case VMM_EXIT_STOPPED:
		end(r, EXIT_KILLED);
		break;
	case VMM_EXIT_CRASH:
	case VMM_EXIT_RESET:
		end(r, EXIT_CRASHED);
		break;
	case VMM_EXIT_ERROR:
	case VMM_EXIT_NONE:
		end(r, EXIT_HOST);
		break;
	}
	/* Why has been logged where it was not the guest's wish. */
}

static void on_signal(void *ctx, int signo)
{
	struct run *r = ctx;

	if (signo == SIGWINCH) {
		vm_manager_tty_resized(r->manager);
	} else {
		end(r, EXIT_KILLED);
	}
}

/* Ctrl-]: the power button; once more: the plug. All else is the guest's. */
static size_t escape(void *ctx, uint8_t *bytes, size_t len)
{
	struct run *r = ctx;
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != TERMINAL_KEY_LEAVE) {
			bytes[kept++] = bytes[i];
			continue;
		}
		if (r->button_pressed) {
			end(r, EXIT_KILLED);
			continue;
		}
		r->button_pressed = true;
		if (vm_manager_power_button(r->manager, NULL) == VM_OK) {
			fputs("\r\n[power button pressed; Ctrl-] again switches off]\r\n", stderr);
		}
	}
	return kept;
}

/* ---- configuration ---- */

static int read_file(const char *path, char **text, size_t *len, struct vmm_error *err)
{
	struct stat st;
	ssize_t got;
	int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hang */
	int ret;

	*text = NULL;
	*len = 0;
	if (fd < 0) {
		return vmm_error_wrap(err, -errno, "'%s'", path);
	}
	if (fstat(fd, &st) != 0) {
		ret = -errno;
		(void)close(fd);
		return vmm_error_wrap(err, ret, "'%s'", path);
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > CONFIG_BYTES_MAX) {
		(void)close(fd);
		return vmm_error_set(err, -EINVAL, "'%s': not a file of at most 4 MiB", path);
	}
	*text = malloc((size_t)st.st_size + 1);
	got = *text ? read(fd, *text, (size_t)st.st_size) : -1;
	(void)close(fd);
	if (got < 0) {
		free(*text);
		*text = NULL;
		return vmm_error_set(err, -EIO, "'%s': cannot be read", path);
	}
	*len = (size_t)got;
	return 0;
}

static int config_from_file(struct vm_config *config, const char *path, struct vmm_error *err)
{
	json_t *json = NULL;
	char *text;
	size_t len;
	int ret = read_file(path, &text, &len, err);

	if (ret < 0) {
		return ret;
	}
	ret = vm_json_parse(&json, text, len, err);
	if (ret == 0) {
		ret = vm_config_from_json(config, json, err);
	}
	json_decref(json);
	free(text);
	return ret < 0 ? vmm_error_wrap(err, ret, "'%s'", path) : 0;
}

static int load_config(struct vm_config *config, const char *path, const char *serial_log,
		       struct vmm_error *err)
{
	struct stat st;
	int ret;

	vm_config_init(config);
	if (stat(path, &st) != 0) {
		return vmm_error_wrap(err, -errno, "'%s'", path);
	}
	if (!S_ISDIR(st.st_mode)) {
		return config_from_file(config, path, err);
	}
	ret = vm_config_from_directory(config, path, serial_log, err);
	if (ret < 0) {
		return ret;
	}
	/* A directory asks for a pty, which is for VMs in the background. */
	config->console.mode = VM_CONSOLE_TTY;
	if (config->net_provider) {
		fprintf(stderr,
			"vmm-cli run: without a network: '%s' provides it under vmm-cli start only\n",
			config->net_provider);
	}
	return 0;
}

/* ---- life ---- */

static int watch_signals(struct run *r)
{
	static const int wanted[SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGWINCH};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < SIGNALS; i++) {
		(void)sigaddset(&set, wanted[i]);
	}
	/* Before there is a second thread: all of them inherit the mask. */
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return vmm_loop_add_signals(r->loop, wanted, SIGNALS, on_signal, r, &r->signals);
}

static int set_up(struct run *r, struct vm_config *config, struct vmm_error *err)
{
	struct vm_manager_config manager_config = {
		.log = &r->log.log,
		.body = r->isolation.body,
		.isolation = r->isolation.config,
		.tty_in = STDIN_FILENO,
		.tty_out = STDOUT_FILENO,
		.tty_filter = escape,
		.on_exit = on_vm_exit,
		.ctx = r,
	};
	int ret = vmm_loop_create(&r->loop);

	if (ret == 0) {
		manager_config.loop = r->loop;
		ret = watch_signals(r);
	}
	if (ret == 0) {
		ret = vm_manager_create(&r->manager, &manager_config);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "cannot start");
	}
	if (vm_manager_define(r->manager, config, err) != VM_OK) {
		return -EINVAL;
	}
	(void)terminal_raw(&r->terminal, STDIN_FILENO);
	if (vm_manager_boot(r->manager, err) != VM_OK) {
		return -EINVAL;
	}
	(void)cli_tell_ready("run", r->ready_fd); /* which says what is wrong; the guest runs */
	return 0;
}

static void tear_down(struct run *r)
{
	vm_manager_destroy(r->manager);
	vmm_source_remove(r->signals);
	vmm_loop_destroy(r->loop);
	leave_terminal(r);
}

static const char help[] =
	"usage: vmm-cli run [OPTION...] CONFIG\n"
	"\n"
	"Runs one VM in the foreground. CONFIG is a VM directory or a file with a VmConfig\n"
	"in JSON. This terminal is the guest's console (hvc0); Ctrl-] presses the power\n"
	"button, and pressed again switches the guest off.\n"
	"\n"
	"  --serial-log FILE  where the guest's ttyS0 goes, for a VM directory\n"
	"  --display wayland|file|none\n"
	"                     the guest has a screen: a window of this desktop; a file,\n"
	"                     for screenshots; or no screen, whatever CONFIG says\n"
	"  --ready-fd N       write a newline to descriptor N when the guest runs\n"
	"  --verbose          say on stderr what the VMM does\n"
	"  --isolation process|none, --device-program PATH, --restart always|never,\n"
	"  --uid-base N       as for vmm-cli vmm\n"
	"\n"
	"Exit status: 0 the guest powered itself off; 1 it could not be started; 2 the\n"
	"command line makes no sense; 3 the guest crashed; 4 the host failed under it;\n"
	"5 it was switched off by Ctrl-] or a signal.\n";

/* Takes over config. */
static int run_vm(struct run *r, struct vm_config *config)
{
	struct vmm_error err = {0};

	if (set_up(r, config, &err) < 0) {
		leave_terminal(r);
		r->status = cli_fail("run", &err);
	} else {
		(void)vmm_loop_run(r->loop);
	}
	tear_down(r);
	vm_config_finish(config);
	return r->status;
}

int cmd_run(int argc, char **argv)
{
	const char *serial_log = NULL;
	const char *ready = NULL;
	const char *display = NULL;
	bool verbose = false;
	struct isolation_options isolation = {0};
	const struct cli_option options[] = {
		{.name = "isolation", .value = &isolation.isolation},
		{.name = "device-program", .value = &isolation.device_program},
		{.name = "restart", .value = &isolation.restart},
		{.name = "uid-base", .value = &isolation.uid_base},
		{.name = "serial-log", .value = &serial_log},
		{.name = "ready-fd", .value = &ready},
		{.name = "display", .value = &display},
		{.name = "verbose", .flag = &verbose},
		{.name = NULL},
	};
	struct run r = {.status = EXIT_HOST, .ready_fd = -1};
	struct vm_config config;
	struct vmm_error err = {0};
	int status = cli_options(argc, argv, help, options);

	if (status == CLI_GO_ON && ready) {
		status = cli_ready_fd("run", ready, &r.ready_fd);
	}
	if (status != CLI_GO_ON) {
		return status;
	}
	if (isolation_choose(&isolation, &r.isolation, &err) < 0) {
		return cli_usage("run", "%s", err.message);
	}
	if (argc - optind != 1) {
		return cli_usage("run", "one VM directory or VmConfig file");
	}
	if (load_config(&config, argv[optind], serial_log, &err) < 0 ||
	    (display && vm_config_set_display(&config, display, &err) < 0)) {
		vm_config_finish(&config);
		return cli_fail("run", &err);
	}
	cli_log_init(&r.log, STDERR_FILENO, verbose ? VMM_LOG_INFO : VMM_LOG_ERROR);
	return run_vm(&r, &config);
}
