/* SPDX-License-Identifier: MIT */
/*
 * wlxd: a Wayland socket inside a virtual machine whose windows appear on the desktop of its host.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server.h"

#define STATUS_OK    0
#define STATUS_ERROR 1
#define STATUS_USAGE 2

struct options {
	const char *socket;
	const char *device;
	const char *local;
	int listen_fd;
	int ready_fd;
	bool verbose;
};

static void print_line(void *user, enum vmm_log_level level, const char *message)
{
	char line[512];
	size_t len = vmm_log_line(line, sizeof(line), "wlxd: ", level, message);

	(void)user;
	(void)!write(STDERR_FILENO, line, len);
}

static void help(void)
{
	(void)fputs(
		"usage: wlxd [OPTION...]\n"
		"Shows the windows of this virtual machine's Wayland clients on its host.\n\n"
		"  --socket NAME     where clients connect: a path, or a name below\n"
		"                    $XDG_RUNTIME_DIR (wayland-0)\n"
		"  --listen-fd N     a listening socket instead\n"
		"  --device PATH     render node of the virtio-gpu device (the first that has\n"
		"                    cross-domain contexts)\n"
		"  --local PATH      a compositor's socket on this machine instead of a device\n"
		"  --ready-fd N      gets a newline once clients can connect, and is closed\n"
		"  --verbose         says who comes and goes\n",
		stdout);
}

static bool number(const char *text, int *out)
{
	char *end;
	long value = strtol(text, &end, 10);

	*out = (int)value;
	return *text && !*end && value >= 0 && value < 1 << 20;
}

/* STATUS_OK to go on, or -1 - status to end with. */
static int parse(struct options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{"socket", required_argument, NULL, 's'},
		{"listen-fd", required_argument, NULL, 'l'},
		{"device", required_argument, NULL, 'd'},
		{"local", required_argument, NULL, 'L'},
		{"ready-fd", required_argument, NULL, 'r'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	bool good = true;
	int c;

	while (good && (c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'l':
			good = number(optarg, &o->listen_fd);
			break;
		case 'd':
			o->device = optarg;
			break;
		case 'L':
			o->local = optarg;
			break;
		case 'r':
			good = number(optarg, &o->ready_fd);
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'h':
			help();
			return -1 - STATUS_OK;
		default:
			good = false;
		}
	}
	if (!good || optind != argc || (o->socket && o->listen_fd >= 0) ||
	    (o->device && o->local)) {
		(void)fputs("wlxd: wrong arguments\nTry 'wlxd --help'.\n", stderr);
		return -1 - STATUS_USAGE;
	}
	return STATUS_OK;
}

/* Each client takes several descriptors. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void on_signal(void *ctx, int signo)
{
	struct server *server = ctx;

	(void)signo;
	vmm_loop_stop(server->loop);
}

static int watch_signals(struct server *server, struct vmm_source **source)
{
	static const int signals[] = {SIGTERM, SIGINT};
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return vmm_loop_add_signals(server->loop, signals, 2, on_signal, server, source);
}

static void say_ready(int fd)
{
	if (fd >= 0) {
		(void)!write(fd, "\n", 1);
		(void)close(fd);
	}
}

static int serve(struct server *server, const struct options *o)
{
	struct listener listener = {.fd = o->listen_fd, .lock_fd = -1};
	struct vmm_source *signals = NULL;
	int ret = watch_signals(server, &signals);

	if (ret == 0 && o->listen_fd < 0) {
		const char *name = o->socket ? o->socket : "wayland-0";

		ret = listener_open(&listener, name);
		if (ret < 0) {
			vmm_log(server->log, VMM_LOG_ERROR, "socket '%s': %s", name,
				ret == -ENOENT && !getenv("XDG_RUNTIME_DIR")
					? "XDG_RUNTIME_DIR is not set"
					: strerror(-ret));
		}
	}
	if (ret == 0) {
		ret = server_start(server, listener.fd);
	}
	if (ret == 0) {
		say_ready(o->ready_fd);
		ret = vmm_loop_run(server->loop);
	}
	server_finish(server);
	vmm_source_remove(signals);
	listener_close(&listener);
	return ret;
}

static int open_host(struct server *server, const struct options *o)
{
	const char *why = strerror(ENOMEM);

	if (o->local) {
		server->host.ops = &host_local_ops;
		server->host.impl = host_local_create(server->loop, o->local);
	} else {
		server->host.ops = &host_virtgpu_ops;
		server->host.impl = host_virtgpu_create(server->loop, o->device, &why);
	}
	if (!server->host.impl) {
		vmm_log(server->log, VMM_LOG_ERROR, "%s: %s", o->device ? o->device : "/dev/dri",
			why);
		return -ENODEV;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {.listen_fd = -1, .ready_fd = -1};
	struct vmm_log log = {.level = VMM_LOG_WARN, .sink = print_line};
	struct server server = {.log = &log};
	int ret = parse(&o, argc, argv);

	if (ret != STATUS_OK) {
		return -1 - ret;
	}
	if (o.verbose) {
		log.level = VMM_LOG_DEBUG;
	}
	raise_limit();
	ret = vmm_loop_create(&server.loop);
	if (ret == 0) {
		ret = open_host(&server, &o);
	}
	if (ret == 0) {
		ret = serve(&server, &o);
		if (o.local) {
			host_local_destroy(server.host.impl);
		} else {
			host_virtgpu_destroy(server.host.impl);
		}
	}
	if (ret < 0 && ret != -ENODEV) {
		vmm_log(&log, VMM_LOG_ERROR, "%s", strerror(-ret));
	}
	vmm_loop_destroy(server.loop);
	return ret < 0 ? STATUS_ERROR : STATUS_OK;
}
