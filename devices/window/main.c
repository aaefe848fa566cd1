/* SPDX-License-Identifier: MIT */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME_MAX_LEN 64
/* Messages of the display for each turn of the loop. */
#define BUDGET 16

static const char usage[] =
	"usage: vmm-window --gpu-fd N --title NAME [OPTION...]\n"
	"\n"
	"Shows the screen of a VM as a window of the Wayland desktop that WAYLAND_DISPLAY\n"
	"names. The VM's gpu hands over its pictures, the window what the user does.\n"
	"\n"
	"  --gpu-fd N           the display's end of the gpu (vmm-device gpu --display-fd):\n"
	"                       a socket of packets; the program ends with it\n"
	"  --title NAME         the VM's name: the window's title, and libvmm.NAME its app_id\n"
	"  --keyboard-fd N      keys go there (vmm-device input --events-fd)\n"
	"  --tablet-fd N        the pointer goes there\n"
	"  --wayland-fd N       a connection to the compositor, instead of WAYLAND_DISPLAY\n"
	"  --control-fd N       'c' is written there when the user closes the window\n"
	"  --help               this text\n"
	"\n"
	"Exit status: 0 the gpu has gone; 1 it could not start, or the gpu broke a rule; 2\n"
	"the command line makes no sense; 3 the compositor has gone.\n";

void say(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	(void)fprintf(stderr, "vmm-window: %s\n", line);
}

void window_answered(struct window *w, int ret)
{
	if (ret < 0 && w->error == 0) {
		w->error = ret;
	}
}

/* ---- the command line ---- */

struct options {
	int gpu;
	int keyboard;
	int tablet;
	int control;
	int wayland;
	const char *title;
};

static int parse_fd(const char *name, const char *text, int *out)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno != 0 || value > INT_MAX ||
	    fcntl((int)value, F_GETFD) < 0) {
		say("--%s '%.40s': not an open descriptor", name, text);
		return -1;
	}
	*out = (int)value;
	return 0;
}

/* It is shown to the user, and compositors' rules go by it. */
static bool is_name(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f) {
			return false;
		}
	}
	return len >= 1 && len <= NAME_MAX_LEN;
}

static int usage_error(void)
{
	(void)fputs("Try 'vmm-window --help'.\n", stderr);
	return STATUS_USAGE;
}

/* -1: go on; otherwise what to exit with. */
static int parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"gpu-fd", required_argument, NULL, 'g'},
		{"keyboard-fd", required_argument, NULL, 'k'},
		{"tablet-fd", required_argument, NULL, 't'},
		{"control-fd", required_argument, NULL, 'c'},
		{"wayland-fd", required_argument, NULL, 'w'},
		{"title", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int index = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, &index)) != -1) {
		int *fds[] = {&o->gpu, &o->keyboard, &o->tablet, &o->control, &o->wayland};

		if (c == 'h') {
			(void)fputs(usage, stdout);
			return STATUS_OK;
		}
		if (c == '?') {
			return usage_error();
		}
		if (c == 'n') {
			o->title = optarg;
		} else if (parse_fd(longs[index].name, optarg, fds[index]) < 0) {
			return usage_error();
		}
	}
	if (optind < argc) {
		say("'%.80s' is one argument too many", argv[optind]);
	} else if (o->gpu < 0) {
		say("--gpu-fd is needed");
	} else if (!o->title || !is_name(o->title)) {
		say("--title is needed: 1 to %d visible characters", NAME_MAX_LEN);
	} else {
		return -1;
	}
	return usage_error();
}

/* ---- the display ---- */

static void on_taken(void *data, struct wl_callback *callback, uint32_t serial)
{
	struct parcel *p = data;

	(void)serial;
	wl_callback_destroy(callback);
	p->callback = NULL;
	window_answered(p->w, link_taken(&p->w->link, p->serial));
}

static const struct wl_callback_listener taken_listener = {.done = on_taken};

/* Taken is what the compositor has taken: it may stand still. */
static void await_taken(struct window *w, const struct vmm_window_message *msg)
{
	struct parcel *p = &w->parcels[msg->type == VMM_WINDOW_CURSOR];

	*p = (struct parcel){w, wl_display_sync(w->display), msg->serial};
	(void)wl_callback_add_listener(p->callback, &taken_listener, p);
}

static void handle(struct window *w, const struct vmm_window_message *msg, int memfd)
{
	switch (msg->type) {
	case VMM_WINDOW_POOL:
		surface_set_pool(w, msg, memfd);
		break;
	case VMM_WINDOW_CURSOR:
		cursor_set(w, &msg->cursor, memfd);
		break;
	default:
		surface_present(w, &msg->present);
		return;
	}
	await_taken(w, msg);
}

/* -1: go on; otherwise what to exit with. */
static int listen_to_display(struct window *w)
{
	struct vmm_window_message msg;
	int memfd;
	int ret = 1;

	for (int i = 0; i < BUDGET && ret == 1; i++) {
		ret = link_receive(&w->link, &msg, &memfd);
		if (ret == 1) {
			handle(w, &msg, memfd);
		}
		if (memfd >= 0) {
			(void)close(memfd);
		}
	}
	if (ret == -EPROTO) {
		say("the gpu broke a rule: %s", w->link.why);
		return STATUS_FAILED;
	}
	if (ret == -EPIPE) {
		return STATUS_OK;
	}
	return -1;
}

static int answer_failed(const struct window *w)
{
	if (w->error == -EPIPE) {
		return STATUS_OK;
	}
	say("the gpu does not read what it is told");
	return STATUS_FAILED;
}

/* ---- the compositor ---- */

static int compositor_gone(struct window *w)
{
	const struct wl_interface *interface = NULL;
	uint32_t id = 0;
	int error = wl_display_get_error(w->display);

	if (error == EPROTO) {
		uint32_t code = wl_display_get_protocol_error(w->display, &interface, &id);

		say("the compositor ended the connection: error %u of %s", code,
		    interface ? interface->name : "an unknown object");
	} else {
		say("the compositor has gone: %s",
		    error == 0 || error == EPIPE ? "end of the connection" : strerror(error));
	}
	return STATUS_COMPOSITOR_GONE;
}

/* Waits until there is something to do. 0, or -1: the compositor has gone. */
static int wait_for_all(struct window *w, struct pollfd fds[2])
{
	int flushed;

	while (wl_display_prepare_read(w->display) != 0) {
		if (wl_display_dispatch_pending(w->display) < 0) {
			return -1;
		}
	}
	flushed = wl_display_flush(w->display);
	if (flushed < 0 && errno != EAGAIN) {
		/* It may have said why. */
		(void)wl_display_read_events(w->display);
		(void)wl_display_dispatch_pending(w->display);
		return -1;
	}
	fds[0] = (struct pollfd){.fd = wl_display_get_fd(w->display),
				 .events = (short)(flushed < 0 ? POLLIN | POLLOUT : POLLIN)};
	fds[1] = (struct pollfd){.fd = w->link.fd, .events = POLLIN};
	if (w->error == 0 && poll(fds, 2, surface_timeout(w)) < 0) {
		fds[0].revents = 0;
		fds[1].revents = 0;
	}
	if (fds[0].revents & (POLLIN | POLLERR | POLLHUP)) {
		return wl_display_read_events(w->display);
	}
	wl_display_cancel_read(w->display);
	return 0;
}

static int run(struct window *w)
{
	struct pollfd fds[2];
	int status = -1;

	while (status < 0) {
		memset(fds, 0, sizeof(fds));
		if (wait_for_all(w, fds) < 0 || wl_display_dispatch_pending(w->display) < 0) {
			return compositor_gone(w);
		}
		surface_tick(w);
		if (fds[1].revents) {
			status = listen_to_display(w);
		}
		if (status < 0 && w->error < 0) {
			status = answer_failed(w);
		}
	}
	return status;
}

/* ---- life ---- */

static bool is_packet_socket(const char *name, int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (fd >= 0 &&
	    (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_SEQPACKET)) {
		say("%s: descriptor %d is not a socket of packets", name, fd);
		return false;
	}
	return true;
}

/* From here on it has nothing but these descriptors. */
static bool confine(struct window *w, const struct options *o)
{
	const int fds[] = {wl_display_get_fd(w->display), o->gpu, o->keyboard, o->tablet,
			   o->control};

	return window_enter_jail(fds, sizeof(fds) / sizeof(fds[0])) == 0;
}

static void finish(struct window *w)
{
	seat_finish(w);
	cursor_destroy(w);
	surface_destroy(w);
	for (unsigned i = 0; i < 2; i++) {
		if (w->parcels[i].callback) {
			wl_callback_destroy(w->parcels[i].callback);
		}
	}
	globals_finish(w);
	(void)wl_display_flush(w->display);
	wl_display_disconnect(w->display);
}

int main(int argc, char **argv)
{
	struct options o = {-1, -1, -1, -1, -1, NULL};
	struct window w = {0};
	int status = parse(&o, argc, argv);

	if (status >= 0) {
		return status;
	}
	if (!is_packet_socket("--gpu-fd", o.gpu) ||
	    !is_packet_socket("--keyboard-fd", o.keyboard) ||
	    !is_packet_socket("--tablet-fd", o.tablet)) {
		return STATUS_FAILED;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	w.name = o.title;
	w.control_fd = o.control;
	link_init(&w.link, o.gpu);
	keys_init(&w.keyboard, o.keyboard);
	keys_init(&w.tablet, o.tablet);
	w.display = o.wayland >= 0 ? wl_display_connect_to_fd(o.wayland) : wl_display_connect(NULL);
	if (!w.display) {
		say("there is no Wayland compositor: %s", strerror(errno));
		return STATUS_FAILED;
	}
	status = confine(&w, &o) && globals_find(&w) ? run(&w) : STATUS_FAILED;
	finish(&w);
	/* What a sanitizer does at a regular end is nothing for the jail. */
	_exit(status);
}
