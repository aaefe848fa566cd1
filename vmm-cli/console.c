/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli console: the user's terminal becomes the console of a VM that runs, and of the next one
 * at a key.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <jansson.h>

#include "api/client.h"
#include "cli.h"
#include "config/config.h"
#include "instance.h"
#include "terminal.h"

#define BUFFER_BYTES 4096
/* Longer than a pty's back end takes to notice a new size. */
#define REDRAW_DELAY_MS 700

enum verdict {
	GO_ON,
	LEAVE,
	NEXT,
	ENDED, /* the VMM is gone */
};

struct console {
	struct instance_roots roots;
	int pty;
	int signals;
	bool redraw_pending;
};

/* The console's pty, locked: one console at a time, as two would share its input. */
static int open_pty(const struct console *c, const char *name, struct vmm_error *err)
{
	char socket[PATH_MAX];
	const char *path;
	json_t *info = NULL;
	int fd = -1;
	int ret = vm_name_check(name, err);

	if (ret < 0 || (ret = instance_path(&c->roots, name, "vmm", socket, err)) < 0) {
		return ret;
	}
	if (instance_state(&c->roots, name) == INSTANCE_ABSENT) {
		return vmm_error_set(err, -ESRCH,
				     "VM '%s' does not run; vmm-cli start %s starts it", name,
				     name);
	}
	ret = api_call(socket, "GET", "vm.info", NULL, NULL, 0, &info, err);
	if (ret < 0) {
		return ret;
	}
	path = json_string_value(json_object_get(
		json_object_get(json_object_get(info, "config"), "console"), "file"));
	if (!path) {
		ret = vmm_error_set(err, -ENOTTY, "VM '%s' has no console on a pty", name);
	} else {
		fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
		ret = fd < 0 ? vmm_error_wrap(err, -errno, "console '%s'", path) : 0;
	}
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		ret = vmm_error_set(err, -EBUSY, "the console of '%s' is open elsewhere", name);
		(void)close(fd);
	}
	json_decref(info);
	return ret < 0 ? ret : fd;
}

/*
 * Tells the guest the size of this terminal. With shrink one row less: the change back makes
 * full-screen programs draw themselves anew, which is how a console joined late becomes readable.
 */
static void tell_size(const struct console *c, bool shrink)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 2) {
		return;
	}
	if (shrink) {
		size.ws_row--;
	}
	(void)ioctl(c->pty, TIOCSWINSZ, &size);
}

static bool write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t wrote = write(fd, bytes, len);

		if (wrote < 0 && errno != EINTR) {
			return false;
		}
		if (wrote > 0) {
			bytes += wrote;
			len -= (size_t)wrote;
		}
	}
	return true;
}

static enum verdict from_user(const struct console *c)
{
	char bytes[BUFFER_BYTES];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (got <= 0) {
		return got < 0 && errno == EINTR ? GO_ON : LEAVE;
	}
	for (ssize_t i = 0; i < got; i++) {
		if (bytes[i] == TERMINAL_KEY_LEAVE || bytes[i] == TERMINAL_KEY_NEXT) {
			(void)write_all(c->pty, bytes, (size_t)i);
			return bytes[i] == TERMINAL_KEY_LEAVE ? LEAVE : NEXT;
		}
	}
	return write_all(c->pty, bytes, (size_t)got) ? GO_ON : ENDED;
}

static enum verdict from_guest(const struct console *c)
{
	char bytes[BUFFER_BYTES];
	ssize_t got = read(c->pty, bytes, sizeof(bytes));

	if (got < 0 && errno == EINTR) {
		return GO_ON;
	}
	/* EIO: the other side of the pty is closed. */
	if (got <= 0) {
		return ENDED;
	}
	return write_all(STDOUT_FILENO, bytes, (size_t)got) ? GO_ON : LEAVE;
}

static enum verdict from_signal(const struct console *c)
{
	struct signalfd_siginfo info;

	if (read(c->signals, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
		return GO_ON;
	}
	if (info.ssi_signo != SIGWINCH) {
		return LEAVE;
	}
	tell_size(c, false);
	return GO_ON;
}

static enum verdict attach(struct console *c)
{
	struct pollfd fds[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = c->pty, .events = POLLIN},
		{.fd = c->signals, .events = POLLIN},
	};
	enum verdict verdict = GO_ON;

	tell_size(c, true);
	c->redraw_pending = true;
	while (verdict == GO_ON) {
		int ready = poll(fds, 3, c->redraw_pending ? REDRAW_DELAY_MS : -1);

		if (ready == 0 && c->redraw_pending) {
			c->redraw_pending = false;
			tell_size(c, false);
		}
		if (ready <= 0) {
			continue;
		}
		if (fds[2].revents) {
			verdict = from_signal(c);
		}
		if (verdict == GO_ON && fds[1].revents) {
			verdict = from_guest(c);
		}
		if (verdict == GO_ON && fds[0].revents) {
			verdict = from_user(c);
		}
	}
	tell_size(c, false);
	return verdict;
}

static int open_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGWINCH);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
		return -errno;
	}
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* One console after the other, round and round, until the user leaves or none is left. */
static int visit(struct console *c, char **names, int count)
{
	struct terminal terminal;
	struct vmm_error err = {0};
	int failures = 0;

	for (int at = 0; failures < count; at = (at + 1) % count) {
		enum verdict verdict;

		c->pty = open_pty(c, names[at], &err);
		if (c->pty < 0) {
			failures++;
			continue;
		}
		failures = 0;
		fprintf(stderr, "[%s: Ctrl-] leaves%s]\r\n", names[at],
			count > 1 ? ", Ctrl-\\ goes to the next console" : "");
		(void)terminal_raw(&terminal, STDIN_FILENO);
		verdict = attach(c);
		terminal_restore(&terminal);
		(void)close(c->pty);
		if (verdict == LEAVE) {
			return EXIT_OK;
		}
		if (verdict == ENDED) {
			fprintf(stderr, "[%s has ended]\r\n", names[at]);
			if (count == 1) {
				return EXIT_OK;
			}
		}
	}
	return cli_fail("console", &err);
}

static const char help[] =
	"usage: vmm-cli console [--vms DIR] [--run-dir DIR] NAME...\n"
	"\n"
	"Joins this terminal to the console (hvc0) of the VM called NAME. Ctrl-] leaves;\n"
	"the VM runs on. With several names, Ctrl-\\ goes to the next one.\n"
	"\n"
	"  --vms DIR, --run-dir DIR  as for vmm-cli start\n";

int cmd_console(int argc, char **argv)
{
	struct console c = {.pty = -1};
	int status = cli_options_with_roots(argc, argv, help, NULL, &c.roots);

	if (status != CLI_GO_ON) {
		return status;
	}
	if (optind == argc) {
		return cli_usage("console", "which VM?");
	}
	c.signals = open_signals();
	status = visit(&c, &argv[optind], argc - optind);
	(void)close(c.signals);
	return status;
}
