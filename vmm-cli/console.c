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
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "api/client.h"
#include "cli.h"
#include "config/config.h"
#include "instance.h"
#include "terminal.h"

#define BUFFER_BYTES 4096
/* What the user may be ahead of a guest that does not read. */
#define AHEAD_BYTES 65536
/* Longer than a pty's back end takes to notice a new size. */
#define REDRAW_DELAY_MS 700
#define STATE_EVERY_MS  1000

enum verdict {
	GO_ON,
	LEAVE,
	NEXT,
	ENDED, /* the VMM is gone */
	OFF,   /* the guest is */
};

struct console {
	struct instance_roots roots;
	const char *name;
	int pty;
	int signals;
	int64_t redraw_at; /* 0: no more */
	int64_t state_at;
	size_t ahead_len;
	char ahead[AHEAD_BYTES]; /* typed, not yet taken by the pty */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int check_state(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	int ret;

	switch (instance_state(roots, name)) {
	case INSTANCE_ABSENT:
	case INSTANCE_UNFINISHED:
	case INSTANCE_OFF:
		ret = instance_check_known(roots, name, err);
		if (ret < 0) {
			return ret;
		}
		return vmm_error_set(err, -ESRCH,
				     "VM '%s' does not run; vmm-cli start %s starts it", name,
				     name);
	case INSTANCE_SILENT:
		return vmm_error_set(err, -ETIMEDOUT,
				     "VM '%s': its VMM does not answer (vmm-cli stop %s ends it)",
				     name, name);
	case INSTANCE_RUNNING:
	case INSTANCE_PAUSED:
		break;
	}
	return 0;
}

/* Where the console's pty is; the caller frees it. NULL with words. */
static char *find_pty(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	char socket[PATH_MAX];
	const char *path;
	char *copy = NULL;
	json_t *info = NULL;

	if (cli_name_check(name, err) < 0 || instance_path(roots, name, "vmm", socket, err) < 0 ||
	    check_state(roots, name, err) < 0 ||
	    api_call(socket, "GET", "vm.info", NULL, NULL, 0, &info, err) < 0) {
		return NULL;
	}
	path = json_string_value(json_object_get(
		json_object_get(json_object_get(info, "config"), "console"), "file"));
	if (path) {
		copy = strdup(path);
	} else {
		(void)vmm_error_set(err, -ENOTTY, "VM '%s' has no console on a pty", name);
	}
	json_decref(info);
	return copy;
}

int console_open(const struct instance_roots *roots, const char *name, char **path,
		 struct vmm_error *err)
{
	int fd;

	*path = find_pty(roots, name, err);
	if (!*path) {
		return -1;
	}
	fd = open(*path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		(void)vmm_error_wrap(err, -errno, "console '%s'", *path);
	} else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)vmm_error_set(err, -EBUSY, "the console of '%s' is open elsewhere", name);
		(void)close(fd);
		fd = -1;
	}
	if (fd < 0) {
		free(*path);
		*path = NULL;
	}
	return fd;
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

/* Gives the pty what it takes. It takes nothing when the guest has not read for long, and then the
 * keys must still work. */
static enum verdict flush_ahead(struct console *c)
{
	ssize_t wrote = 1;

	while (c->ahead_len > 0 && wrote > 0) {
		wrote = write(c->pty, c->ahead, c->ahead_len);
		if (wrote > 0) {
			c->ahead_len -= (size_t)wrote;
			memmove(c->ahead, c->ahead + wrote, c->ahead_len);
		}
	}
	return wrote < 0 && errno != EAGAIN && errno != EINTR ? ENDED : GO_ON;
}

static void type_ahead(struct console *c, const char *bytes, size_t len)
{
	size_t room = sizeof(c->ahead) - c->ahead_len;

	memcpy(c->ahead + c->ahead_len, bytes, len < room ? len : room);
	c->ahead_len += len < room ? len : room;
}

static enum verdict from_user(struct console *c)
{
	char bytes[BUFFER_BYTES];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
	enum verdict verdict;
	size_t at = 0;

	if (got <= 0) {
		return got < 0 && errno == EINTR ? GO_ON : LEAVE;
	}
	while (at < (size_t)got && bytes[at] != TERMINAL_KEY_LEAVE &&
	       bytes[at] != TERMINAL_KEY_NEXT) {
		at++;
	}
	type_ahead(c, bytes, at);
	verdict = flush_ahead(c);
	if (at == (size_t)got) {
		return verdict;
	}
	/* What was typed behind the key is for the next console. */
	c->ahead_len = 0;
	type_ahead(c, bytes + at + 1, (size_t)got - at - 1);
	return bytes[at] == TERMINAL_KEY_LEAVE ? LEAVE : NEXT;
}

static enum verdict from_guest(const struct console *c)
{
	char bytes[BUFFER_BYTES];
	ssize_t got = read(c->pty, bytes, sizeof(bytes));

	if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
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

/* What is due by the clock. The pty says nothing when the guest goes off but its VMM stays. */
static enum verdict on_time(struct console *c)
{
	int64_t now = now_ms();
	enum instance_state state;

	if (c->redraw_at != 0 && now >= c->redraw_at) {
		c->redraw_at = 0;
		tell_size(c, false);
	}
	if (now < c->state_at) {
		return GO_ON;
	}
	state = instance_state(&c->roots, c->name);
	c->state_at = now_ms() + STATE_EVERY_MS;
	return state == INSTANCE_OFF ? OFF : GO_ON;
}

static int time_left(const struct console *c)
{
	int64_t next = c->redraw_at != 0 && c->redraw_at < c->state_at ? c->redraw_at : c->state_at;
	int64_t left = next - now_ms();

	return left > 0 ? (int)left : 0;
}

static enum verdict attach(struct console *c)
{
	enum verdict verdict = GO_ON;

	tell_size(c, true);
	c->redraw_at = now_ms() + REDRAW_DELAY_MS;
	c->state_at = now_ms() + STATE_EVERY_MS;
	while (verdict == GO_ON) {
		struct pollfd fds[] = {
			{.fd = STDIN_FILENO, .events = POLLIN},
			{.fd = c->pty, .events = c->ahead_len > 0 ? POLLIN | POLLOUT : POLLIN},
			{.fd = c->signals, .events = POLLIN},
		};

		if (poll(fds, 3, time_left(c)) < 0) {
			continue;
		}
		if (fds[2].revents) {
			verdict = from_signal(c);
		}
		if (verdict == GO_ON && (fds[1].revents & POLLOUT)) {
			verdict = flush_ahead(c);
		}
		if (verdict == GO_ON && (fds[1].revents & ~POLLOUT)) {
			verdict = from_guest(c);
		}
		if (verdict == GO_ON && fds[0].revents) {
			verdict = from_user(c);
		}
		if (verdict == GO_ON) {
			verdict = on_time(c);
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

/* One VM's console, until the user is done with it or the VM is. */
static enum verdict visit(struct console *c, const char *name, bool several)
{
	enum verdict verdict;

	c->name = name;
	fprintf(stderr, "[%s: Ctrl-] leaves%s]\r\n", name,
		several ? ", Ctrl-\\ goes to the next console" : "");
	verdict = attach(c);
	(void)close(c->pty);
	terminal_reset(STDOUT_FILENO, verdict == NEXT);
	if (verdict == ENDED) {
		fprintf(stderr, "[%s has ended]\r\n", name);
	} else if (verdict == OFF) {
		fprintf(stderr, "[%s is off]\r\n", name);
	}
	return verdict;
}

/* One console after the other, round and round, until the user leaves or none is left. */
static int visit_all(struct console *c, char **names, int count)
{
	struct vmm_error err = {0};
	bool visited = false;
	int failures = 0;
	char *path;

	for (int at = 0; failures < count; at = (at + 1) % count) {
		memset(&err, 0, sizeof(err));
		c->pty = console_open(&c->roots, names[at], &path, &err);
		free(path);
		if (c->pty < 0) {
			failures++;
			if (!visited && failures < count) {
				fprintf(stderr, "vmm-cli console: %s\r\n", err.message);
			}
			continue;
		}
		failures = 0;
		visited = true;
		if (visit(c, names[at], count > 1) == LEAVE) {
			return EXIT_OK;
		}
	}
	/* None is left: a failure only if there never was one. */
	if (visited) {
		return EXIT_OK;
	}
	fprintf(stderr, "vmm-cli console: %s\r\n", err.message);
	return EXIT_FAILED;
}

static const char help[] =
	"usage: vmm-cli console [--foot] [--vms DIR] [--run-dir DIR] NAME...\n"
	"\n"
	"Joins this terminal to the console (hvc0) of the VM called NAME. Ctrl-] leaves;\n"
	"the VM runs on. With several names, Ctrl-\\ goes to the next one. It ends with\n"
	"the guest; a console can be open once only.\n"
	"\n"
	"  --foot                    in a window of its own, a foot terminal; one NAME\n"
	"  --vms DIR, --run-dir DIR  as for vmm-cli start\n";

int cmd_console(int argc, char **argv)
{
	static struct console c;
	struct terminal terminal;
	bool in_foot = false;
	const struct cli_option options[] = {{"foot", NULL, &in_foot}, {NULL, NULL, NULL}};
	int status = cli_options_with_roots(argc, argv, help, options, &c.roots);

	if (status != CLI_GO_ON) {
		return status;
	}
	if (optind == argc) {
		return cli_usage("console", "which VM?");
	}
	if (in_foot) {
		return optind + 1 == argc ? console_in_foot(&c.roots, argv[optind])
					  : cli_usage("console", "--foot is for one VM");
	}
	c.signals = open_signals();
	(void)terminal_raw(&terminal, STDIN_FILENO);
	status = visit_all(&c, &argv[optind], argc - optind);
	terminal_restore(&terminal);
	if (c.signals >= 0) {
		(void)close(c.signals);
	}
	return status;
}
