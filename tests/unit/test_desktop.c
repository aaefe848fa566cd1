/* SPDX-License-Identifier: MIT */
/* A VM's ways to the host's compositor: connections on behalf of others, its window's process. */
#include "suite.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmm/dev/gpu.h>
#include <vmm/loop.h>

#include "faultinj.h"
#include "fdcount.h"
#include "vm/desktop.h"
#include "vm/window.h"

static struct vmm_loop *loop;
static struct vmm_error err;
static unsigned before;
static char dir[64];
static char path[96];
static int listener;

static void begin(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	before = fdcount();
	memset(&err, 0, sizeof(err));
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	(void)snprintf(dir, sizeof(dir), "/tmp/test-desktop-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/wayland-7", dir);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
}

static void end(void)
{
	vmm_loop_destroy(loop);
	(void)close(listener);
	(void)unlink(path);
	(void)rmdir(dir);
	ck_assert_uint_eq(fdcount(), before);
}

static void run_loop(void)
{
	while (vmm_loop_dispatch(loop, 0) > 0) {
	}
}

/* ---- connections ---- */

/* fd is connected to the listener: what is written there arrives here. */
static void assert_connected(int fd)
{
	int peer = accept(listener, NULL, NULL);
	char byte = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(peer, 0);
	ck_assert_int_eq(write(fd, "w", 1), 1);
	ck_assert_int_eq(read(peer, &byte, 1), 1);
	ck_assert_int_eq(byte, 'w');
	(void)close(peer);
	(void)close(fd);
}

START_TEST(desktop_is_found_by_path_and_by_environment)
{
	begin();
	(void)unsetenv("WAYLAND_DISPLAY");
	(void)unsetenv("XDG_RUNTIME_DIR");
	assert_connected(vm_desktop_connect(path, &err));
	ck_assert_int_eq(vm_desktop_connect(NULL, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.message, "XDG_RUNTIME_DIR"));

	(void)setenv("WAYLAND_DISPLAY", path, 1);
	assert_connected(vm_desktop_connect(NULL, &err));
	(void)setenv("WAYLAND_DISPLAY", "wayland-7", 1);
	ck_assert_int_eq(vm_desktop_connect(NULL, &err), -ENOENT);
	(void)setenv("XDG_RUNTIME_DIR", dir, 1);
	assert_connected(vm_desktop_connect(NULL, &err));

	(void)setenv("WAYLAND_DISPLAY", "", 1);
	ck_assert_int_eq(vm_desktop_connect(NULL, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.message, "wayland-0"));
	(void)unsetenv("WAYLAND_DISPLAY");
	(void)unsetenv("XDG_RUNTIME_DIR");
	end();
}
END_TEST

START_TEST(desktop_failures_name_the_socket)
{
	char longer[200];

	begin();
	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(vm_desktop_connect(longer, &err), -ENAMETOOLONG);
	ck_assert_int_eq(vm_desktop_connect("/nowhere/w", &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.message, "'/nowhere/w'"));
	/* One that takes nobody does not keep the VMM waiting. */
	for (int i = 0; i < 20; i++) {
		int fd = vm_desktop_connect(path, &err);

		if (fd < 0) {
			ck_assert_int_eq(fd, -EAGAIN);
			break;
		}
		(void)close(fd);
		ck_assert_int_lt(i, 19);
	}
	end();
}
END_TEST

/* ---- on behalf of a process ---- */

static const char *dir_file(const char *name)
{
	static char file[96];

	(void)snprintf(file, sizeof(file), "%s/%s", dir, name);
	return file;
}

/* What the asker gets: the errno of the answer, and its descriptor or -1. */
static int receive(int asker, int *fd)
{
	int32_t error = 1;
	struct iovec iov = {.iov_base = &error, .iov_len = sizeof(error)};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};

	ck_assert_int_eq(recvmsg(asker, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), sizeof(error));
	*fd = -1;
	if (CMSG_FIRSTHDR(&msg)) {
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(*fd));
	}
	return error;
}

START_TEST(connector_gives_connections_and_errors)
{
	struct vm_connector *connector;
	int asker;
	int fd;

	begin();
	ck_assert_int_eq(vm_connector_open(&connector, &asker, path, loop, NULL, &err), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(send(asker, "", 1, 0), 1);
		run_loop();
		ck_assert_int_eq(receive(asker, &fd), 0);
		assert_connected(fd);
	}
	(void)unlink(path);
	ck_assert_int_eq(send(asker, "", 1, 0), 1);
	run_loop();
	ck_assert_int_eq(receive(asker, &fd), ENOENT);
	ck_assert_int_eq(fd, -1);
	vm_connector_close(connector);
	(void)close(asker);
	end();
}
END_TEST

static void on_connection(void *ctx, int fd)
{
	*(int *)ctx = fd;
}

/* The two real ends: the device's broker asks the supervisor's connector. */
START_TEST(connector_and_broker_speak_the_same)
{
	const struct vmm_gpu_connector *ask;
	struct vm_connector *connector;
	struct vmm_gpu_broker *broker;
	int asker;

	begin();
	ck_assert_int_eq(vm_connector_open(&connector, &asker, path, loop, NULL, &err), 0);
	ck_assert_int_eq(vmm_gpu_broker_create(&broker, asker, &err), 0);
	ask = vmm_gpu_broker_connector(broker);
	/* A compositor that goes away and comes back is no end of it. */
	for (int i = 0; i < 4; i++) {
		int fd = -1;

		if (i == 1) {
			(void)rename(path, dir_file("away"));
		} else if (i == 2) {
			(void)rename(dir_file("away"), path);
		}
		ck_assert_int_eq(ask->connect(ask->ctx, loop, on_connection, &fd), 0);
		run_loop();
		if (i == 1) {
			ck_assert_int_eq(fd, -ENOENT);
		} else {
			assert_connected(fd);
		}
	}
	vm_connector_close(connector);
	ck_assert_int_eq(ask->connect(ask->ctx, loop, on_connection, &asker), -EPIPE);
	vmm_gpu_broker_destroy(broker);
	end();
}
END_TEST

START_TEST(connector_survives_whoever_asks)
{
	struct vm_connector *connector;
	int32_t answer;
	int asker;
	int fd;

	begin();
	ck_assert_int_eq(vm_connector_open(&connector, &asker, path, loop, NULL, &err), 0);
	/* One that never takes its answers. */
	for (int i = 0; i < 2000 && send(asker, "", 1, MSG_DONTWAIT) == 1; i++) {
		(void)vmm_loop_dispatch(loop, 0);
		fd = accept(listener, NULL, NULL);
		if (fd >= 0) {
			(void)close(fd);
		}
	}
	ck_assert_uint_lt(fdcount(), before + 16);
	/* It is told that there is no more. */
	while (recv(asker, &answer, sizeof(answer), MSG_DONTWAIT) > 0) {
	}
	ck_assert_int_eq(recv(asker, &answer, sizeof(answer), MSG_DONTWAIT), 0);
	(void)close(asker);
	run_loop();
	vm_connector_close(connector);

	/* One that is gone at once. */
	ck_assert_int_eq(vm_connector_open(&connector, &asker, path, loop, NULL, &err), 0);
	(void)close(asker);
	run_loop();
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 0);
	vm_connector_close(connector);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		(void)close(fd);
	}
	end();
}
END_TEST

/* The process that asked is killed, or has done what it can to spoil it; another one starts. */
START_TEST(connector_serves_another_process)
{
	struct vm_connector *connector;
	int asker;
	int fd;

	begin();
	ck_assert_int_eq(vm_connector_open(&connector, &asker, path, loop, NULL, &err), 0);
	ck_assert_int_eq(send(asker, "", 1, 0), 1);
	run_loop();
	/* Nobody takes that connection any more. */
	fd = accept(listener, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	(void)shutdown(asker, SHUT_RDWR);
	run_loop();
	ck_assert_int_eq(vm_connector_renew(connector, &asker, &err), 0);
	ck_assert_int_eq(read(fd, &(char){0}, 1), 0);
	(void)close(fd);
	ck_assert_int_eq(send(asker, "", 1, 0), 1);
	run_loop();
	ck_assert_int_eq(receive(asker, &fd), 0);
	assert_connected(fd);
	vm_connector_close(connector);
	(void)close(asker);
	end();
}
END_TEST

START_TEST(connector_failures_leave_nothing)
{
	struct vm_connector *connector;
	struct faultinj f = {0};
	unsigned failures = 0;

	begin();
	while (faultinj_next(&f)) {
		int asker;
		int ret = vm_connector_open(&connector, &asker, path, loop, NULL, &err);

		faultinj_stop(&f);
		ck_assert_int_eq(ret < 0, f.failed != NULL);
		if (ret == 0) {
			(void)close(asker);
			vm_connector_close(connector);
		}
		failures += f.failed != NULL;
	}
	ck_assert_uint_gt(failures, 1);
	end();
}
END_TEST

/* ---- the window ---- */

static unsigned closed;

static void on_close(void *ctx)
{
	(void)ctx;
	closed++;
}

/* A program in place of vmm-window. */
static void put_program(void)
{
	char program[160];

	(void)snprintf(program, sizeof(program), "%s/vmm-window", dir);
	ck_assert_int_eq(symlink(FAKE_WINDOW, program), 0);
	ck_assert_int_eq(chmod(dir, 0755), 0);
}

static void drop_program(void)
{
	char program[160];

	(void)snprintf(program, sizeof(program), "%s/vmm-window", dir);
	(void)unlink(program);
}

static void wait_for(struct vm_window *w, unsigned closes)
{
	for (int i = 0; i < 200 && (w->known || closed < closes); i++) {
		(void)vmm_loop_dispatch(loop, 50);
	}
}

START_TEST(window_has_its_descriptors_and_says_that_it_was_closed)
{
	struct vm_nursery nursery = {.loop = loop, .uid = 65534};
	struct vm_window w;
	int devices[VM_WINDOW_ENDS];
	char device[160];
	char byte;

	begin();
	nursery.loop = loop;
	closed = 0;
	(void)snprintf(device, sizeof(device), "%s/vmm-device", dir);
	put_program();
	vm_window_init(&w);
	ck_assert_int_eq(vm_window_open(&w, devices, &err), 0);
	ck_assert_msg(vm_window_start(&w, &nursery, device, "foot", path, on_close, NULL, &err) ==
			      0,
		      "%s", err.message);
	wait_for(&w, 0);
	ck_assert(!w.known);
	for (int i = 0; i < VM_WINDOW_ENDS; i++) {
		ck_assert_int_eq(recv(devices[i], &byte, 1, MSG_DONTWAIT), 1);
		ck_assert_int_eq(byte, "gkt"[i]);
		/* Nobody else holds the other end. */
		ck_assert_int_eq(recv(devices[i], &byte, 1, MSG_DONTWAIT), 0);
		(void)close(devices[i]);
	}
	vm_window_end(&w);
	drop_program();
	end();
}
END_TEST

START_TEST(window_that_does_not_start_is_said_and_leaves_nothing)
{
	struct vm_nursery nursery = {.uid = 65534};
	struct vm_window w;
	int devices[VM_WINDOW_ENDS];
	char device[160];

	begin();
	nursery.loop = loop;
	(void)snprintf(device, sizeof(device), "%s/vmm-device", dir);
	vm_window_init(&w);
	ck_assert_int_eq(vm_window_open(&w, devices, &err), 0);
	ck_assert_int_eq(vm_window_start(&w, &nursery, device, "foot", path, on_close, NULL, &err),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.message, "vmm-window"));
	ck_assert_int_eq(vm_window_start(&w, &nursery, device, "foot", "/no", on_close, NULL, &err),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.message, "'/no'"));
	vm_window_end(&w);
	for (int i = 0; i < VM_WINDOW_ENDS; i++) {
		(void)close(devices[i]);
	}
	end();
}
END_TEST

START_TEST(window_close_is_told_while_it_lives)
{
	struct vm_nursery nursery = {.uid = 65534};
	struct vm_window w;
	int devices[VM_WINDOW_ENDS];
	char device[160];

	begin();
	nursery.loop = loop;
	closed = 0;
	(void)snprintf(device, sizeof(device), "%s/vmm-device", dir);
	put_program();
	vm_window_init(&w);
	ck_assert_int_eq(vm_window_open(&w, devices, &err), 0);
	ck_assert_int_eq(
		vm_window_start(&w, &nursery, device, "closed-twice", path, on_close, NULL, &err),
		0);
	for (int i = 0; i < 200 && closed < 2; i++) {
		(void)vmm_loop_dispatch(loop, 50);
	}
	ck_assert_uint_eq(closed, 2);
	ck_assert(w.known);
	vm_window_end(&w);
	for (int i = 0; i < VM_WINDOW_ENDS; i++) {
		(void)close(devices[i]);
	}
	drop_program();
	end();
}
END_TEST

SUITE_MAIN("desktop", desktop_is_found_by_path_and_by_environment, desktop_failures_name_the_socket,
	   connector_gives_connections_and_errors, connector_and_broker_speak_the_same,
	   connector_survives_whoever_asks, connector_serves_another_process,
	   connector_failures_leave_nothing, window_has_its_descriptors_and_says_that_it_was_closed,
	   window_that_does_not_start_is_said_and_leaves_nothing,
	   window_close_is_told_while_it_lives)
