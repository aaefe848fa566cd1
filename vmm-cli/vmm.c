/* SPDX-License-Identifier: MIT */
/*
 * `vmm-cli vmm`: a VMM process that starts empty and is configured over its API socket.
 *
 * Rules its starters rely on: the process is reached by exec and keeps its pid; inherited
 * descriptors that are not its own stay open (one of them may tell a watcher when it ends); an
 * inherited socket may have clients waiting and is never unlinked; a guest that powers itself off
 * ends the process with status 0, SIGTERM and SIGINT do so as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmm/vm.h>

#include "api/clilog.h"
#include "api/events.h"
#include "api/listen.h"
#include "api/manager.h"
#include "api/routes.h"
#include "api/server.h"
#include "cli.h"
#include "isolation.h"

#define FD_OPTION_MAX 1048576

struct options {
	const char *socket_path;
	int socket_fd;
	mode_t socket_mode;
	int ready_fd;
	const char *event_path;
	int event_fd;
	const char *log_file;
	enum vmm_log_level level;
	bool no_shutdown;
	struct isolation_options isolation;
};

struct vmm_process {
	struct options options;
	struct isolation isolation;
	struct vmm_loop *loop;
	struct cli_log log;
	struct vm_events events;
	struct api_socket socket;
	struct api_routes routes;
	struct api_server *server;
	struct vm_manager *manager;
	struct vmm_source *signals;
	struct vmm_work release; /* posted when the guest has ended and the process stays */
	int log_fd;
	int status;
};

static const char help[] =
	"usage: vmm-cli vmm --api-socket path=PATH[,mode=MODE] | fd=N [OPTION...]\n"
	"\n"
	"Starts a VMM without a VM. Clients create and boot one over the socket, which\n"
	"speaks cloud-hypervisor's API (HTTP/1.1, JSON). The process ends when the guest\n"
	"powers itself off, on vmm.shutdown, SIGTERM or SIGINT.\n"
	"\n"
	"  --api-socket path=PATH   listen there; a socket left by a dead VMM is replaced.\n"
	"                           MODE is octal, 600 when not given\n"
	"  --api-socket fd=N        listen on an inherited socket that listens already\n"
	"  --ready-fd N             write a newline to descriptor N and close it as soon as\n"
	"                           the API can be used\n"
	"  --no-shutdown            stay when the guest powers itself off or crashes: the VM\n"
	"                           is then as before its boot and can be booted again\n"
	"  --event-monitor path=PATH | fd=N\n"
	"                           write what happens to the VM there, as JSON objects\n"
	"  --log-file PATH          say what happens there instead of on stderr\n"
	"  --isolation process|none a process and a jail for the guest and for each device,\n"
	"                           or everything in this process, for debugging\n"
	"  --device-program PATH    what runs a device: vmm-device, beside this program\n"
	"  --restart always|never   what is done when a device's process has ended, for\n"
	"                           devices that do not say: start another one, which goes\n"
	"                           on with what was in flight, or let the guest see it\n"
	"  --uid-base N             started as root, processes of a VM are user N plus the\n"
	"                           VMM's process id\n"
	"  -v, -vv                  say more\n"
	"  -h, --help               this text\n"
	"\n"
	"Exit status: 0 the guest powered off or the VMM was asked to end; 1 the guest\n"
	"crashed, or the VMM could not start; 2 the command line makes no sense.\n";

/* ---- command line ---- */

static int parse_fd(const char *text, int *fd)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end || value < 0 || value > FD_OPTION_MAX) {
		return -EINVAL;
	}
	*fd = (int)value;
	return 0;
}

/* "path=P" or "fd=N"; a bare path is fine as well. */
static int parse_target(char *text, const char **path, int *fd)
{
	if (strncmp(text, "fd=", 3) == 0) {
		return parse_fd(text + 3, fd);
	}
	*path = strncmp(text, "path=", 5) == 0 ? text + 5 : text;
	return (*path)[0] ? 0 : -EINVAL;
}

static int parse_api_socket(char *text, struct options *o)
{
	char *mode = strstr(text, ",mode=");
	char *end;
	unsigned long value;

	if (mode && strncmp(text, "path=", 5) == 0) {
		value = strtoul(mode + 6, &end, 8);
		if (end == mode + 6 || *end || value > 0777) {
			return -EINVAL;
		}
		o->socket_mode = (mode_t)value;
		*mode = '\0';
	}
	return parse_target(text, &o->socket_path, &o->socket_fd);
}

static int parse_option(int opt, struct options *o)
{
	switch (opt) {
	case 'a':
		return parse_api_socket(optarg, o);
	case 'e':
		return parse_target(optarg, &o->event_path, &o->event_fd);
	case 'r':
		return parse_fd(optarg, &o->ready_fd);
	case 'l':
		o->log_file = optarg;
		return 0;
	case 'n':
		o->no_shutdown = true;
		return 0;
	case 'i':
		o->isolation.isolation = optarg;
		return 0;
	case 'd':
		o->isolation.device_program = optarg;
		return 0;
	case 's':
		o->isolation.restart = optarg;
		return 0;
	case 'u':
		o->isolation.uid_base = optarg;
		return 0;
	case 'v':
		o->level = o->level < VMM_LOG_INFO ? VMM_LOG_INFO : VMM_LOG_DEBUG;
		return 0;
	default:
		return -ENOENT;
	}
}

/* 0: go on; else *status is what to exit with. */
static int parse(int argc, char **argv, struct options *o, int *status)
{
	static const struct option longs[] = {
		{"api-socket", required_argument, NULL, 'a'},
		{"event-monitor", required_argument, NULL, 'e'},
		{"ready-fd", required_argument, NULL, 'r'},
		{"log-file", required_argument, NULL, 'l'},
		{"no-shutdown", no_argument, NULL, 'n'},
		{"isolation", required_argument, NULL, 'i'},
		{"device-program", required_argument, NULL, 'd'},
		{"restart", required_argument, NULL, 's'},
		{"uid-base", required_argument, NULL, 'u'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int opt;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "hv", longs, NULL)) != -1) {
		if (opt == 'h') {
			(void)fputs(help, stdout);
			*status = EXIT_OK;
			return -1;
		}
		if (opt == '?') {
			*status = EXIT_USAGE; /* getopt said what is wrong */
			return -1;
		}
		if (parse_option(opt, o) < 0) {
			*status = cli_usage("vmm", "'%.100s' is no good value", optarg);
			return -1;
		}
	}
	if (optind < argc) {
		*status = cli_usage("vmm", "'%.100s' is one argument too many", argv[optind]);
		return -1;
	}
	if (!o->socket_path && o->socket_fd < 0) {
		*status = cli_usage("vmm", "--api-socket is missing");
		return -1;
	}
	return 0;
}

/* ---- what ends the process ---- */

static void stop(struct vmm_process *p, int status)
{
	p->status = status;
	vmm_loop_stop(p->loop);
}

static void on_signal(void *ctx, int signo)
{
	struct vmm_process *p = ctx;

	vmm_log(&p->log.log, VMM_LOG_INFO, "ending on signal %d", signo);
	stop(p, EXIT_OK);
}

static void on_api_shutdown(void *ctx)
{
	stop(ctx, EXIT_OK);
}

static void release(void *ctx)
{
	struct vmm_process *p = ctx;

	vm_manager_release(p->manager);
}

static void on_vm_exit(void *ctx, const struct vmm_exit *why)
{
	bool good = why->reason == VMM_EXIT_POWEROFF || why->reason == VMM_EXIT_STOPPED;
	struct vmm_process *p = ctx;

	if (p->options.no_shutdown) {
		/* Not from within the VM's own callback. */
		vmm_loop_post(p->loop, &p->release);
		return;
	}
	stop(p, good ? EXIT_OK : EXIT_FAILED);
}

/* ---- set-up ---- */

static int open_log(struct vmm_process *p, struct vmm_error *err)
{
	p->log_fd = STDERR_FILENO;
	if (p->options.log_file) {
		p->log_fd = open(p->options.log_file,
				 O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
		if (p->log_fd < 0) {
			return vmm_error_set(err, -errno, "log file '%s': %s", p->options.log_file,
					     strerror(errno));
		}
	}
	cli_log_init(&p->log, p->log_fd, p->options.level);
	return 0;
}

static int open_events(struct vmm_process *p, struct vmm_error *err)
{
	int fd = p->options.event_fd;

	if (p->options.event_path) {
		/* O_RDWR: opening a FIFO nobody reads yet neither fails nor waits. */
		fd = open(p->options.event_path,
			  O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
		if (fd < 0) {
			return vmm_error_set(err, -errno, "event monitor '%s': %s",
					     p->options.event_path, strerror(errno));
		}
	} else if (fd >= 0 && fcntl(fd, F_GETFD) < 0) {
		return vmm_error_set(err, -errno, "event monitor fd %d: %s", fd, strerror(errno));
	}
	vm_events_init(&p->events, fd);
	return 0;
}

static int watch_signals(struct vmm_process *p, struct vmm_error *err)
{
	static const int wanted[] = {SIGTERM, SIGINT};
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, wanted[0]);
	sigaddset(&set, wanted[1]);
	/* Before there is a second thread: all of them inherit the mask. */
	ret = -pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (ret == 0) {
		ret = vmm_loop_add_signals(p->loop, wanted, 2, on_signal, p, &p->signals);
	}
	if (ret == 0) {
		/* Clients and readers come and go; write says so where it matters. */
		(void)signal(SIGPIPE, SIG_IGN);
	}
	return ret < 0 ? vmm_error_set(err, ret, "signals: %s", strerror(-ret)) : 0;
}

static int open_socket(struct vmm_process *p, struct vmm_error *err)
{
	if (p->options.socket_path) {
		return api_socket_bind(&p->socket, p->options.socket_path, p->options.socket_mode,
				       err);
	}
	return api_socket_inherit(&p->socket, p->options.socket_fd, err);
}

static int serve(struct vmm_process *p, struct vmm_error *err)
{
	const struct vm_manager_config config = {
		.loop = p->loop,
		.log = &p->log.log,
		.body = p->isolation.body,
		.isolation = p->isolation.config,
		.events = &p->events,
		.tty_in = STDIN_FILENO,
		.tty_out = STDOUT_FILENO,
		.on_exit = on_vm_exit,
		.ctx = p,
	};
	int ret = vm_manager_create(&p->manager, &config);

	if (ret == 0) {
		p->routes.manager = p->manager;
		p->routes.on_shutdown = on_api_shutdown;
		p->routes.ctx = p;
		ret = api_server_create(&p->server, p->loop, p->socket.fd, api_routes_handle,
					&p->routes, &p->log.log);
	}
	return ret < 0 ? vmm_error_set(err, ret, "API: %s", strerror(-ret)) : 0;
}

static int tell_ready(struct vmm_process *p, struct vmm_error *err)
{
	int fd = p->options.ready_fd;

	if (fd < 0) {
		return 0;
	}
	if (write(fd, "\n", 1) != 1) {
		return vmm_error_set(err, -errno, "--ready-fd %d: %s", fd, strerror(errno));
	}
	close(fd);
	return 0;
}

static int set_up(struct vmm_process *p, struct vmm_error *err)
{
	int ret = vmm_loop_create(&p->loop);

	if (ret < 0) {
		return vmm_error_set(err, ret, "event loop: %s", strerror(-ret));
	}
	ret = watch_signals(p, err);
	if (ret == 0) {
		ret = open_log(p, err);
	}
	if (ret == 0) {
		ret = open_events(p, err);
	}
	if (ret == 0) {
		ret = open_socket(p, err);
	}
	if (ret == 0) {
		ret = serve(p, err);
	}
	return ret == 0 ? tell_ready(p, err) : ret;
}

static void tear_down(struct vmm_process *p)
{
	vm_manager_destroy(p->manager);
	api_server_destroy(p->server);
	api_socket_finish(&p->socket);
	vm_events_finish(&p->events);
	vmm_source_remove(p->signals);
	vmm_loop_destroy(p->loop);
	if (p->log_fd > STDERR_FILENO) {
		close(p->log_fd);
	}
}

int cmd_vmm(int argc, char **argv)
{
	struct vmm_process p = {
		.options = {.socket_fd = -1,
			    .socket_mode = 0600,
			    .ready_fd = -1,
			    .event_fd = -1,
			    .level = VMM_LOG_WARN},
		.events = {.fd = -1},
		.socket = {.fd = -1, .lock_fd = -1},
		.log_fd = -1,
	};
	struct vmm_error err = {0};
	int status = EXIT_FAILED;

	p.release = (struct vmm_work){.fn = release, .ctx = &p};
	if (parse(argc, argv, &p.options, &status) < 0) {
		return status;
	}
	if (isolation_choose(&p.options.isolation, &p.isolation, &err) < 0) {
		return cli_usage("vmm", "%s", err.message);
	}
	if (set_up(&p, &err) < 0) {
		tear_down(&p);
		return cli_fail("vmm", &err);
	}
	vm_events_emit(&p.events, "vmm", "starting");
	if (vmm_loop_run(p.loop) < 0) {
		p.status = EXIT_FAILED;
	}
	vm_events_emit(&p.events, "vmm", "shutdown");
	tear_down(&p);
	return p.status;
}
