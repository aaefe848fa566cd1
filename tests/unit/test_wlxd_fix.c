/* SPDX-License-Identifier: MIT */
#include "test_wlxd_fix.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdcount.h"

struct wlxd_fix fix;

static void log_line(void *user, enum vmm_log_level level, const char *message)
{
	(void)user;
	(void)level;
	(void)snprintf(fix.last_line, sizeof(fix.last_line), "%s", message);
}

static void on_gone(void *ctx, struct client *client)
{
	(void)ctx;
	ck_assert_ptr_eq(client, fix.client);
	fix.client = NULL;
}

static void listen_somewhere(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)snprintf(fix.dir, sizeof(fix.dir), "/tmp/wlxd.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fix.dir));
	(void)snprintf(fix.path, sizeof(fix.path), "%s/compositor", fix.dir);
	memcpy(addr.sun_path, fix.path, sizeof(fix.path));
	fix.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fix.listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fix.listen_fd, 8), 0);
}

void wlxd_setup_loop(void)
{
	memset(&fix, 0, sizeof(fix));
	fix.fds = fdcount();
	fix.listen_fd = -1;
	fix.out.fd = -1;
	ck_assert_int_eq(vmm_loop_create(&fix.loop), 0);
	fix.log = (struct vmm_log){.level = VMM_LOG_WARN, .sink = log_line};
}

void wlxd_setup_client(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	ck_assert_int_eq(client_create(&fix.client, &fix.host, fix.loop, &fix.log, pair[0]), 0);
	fix.client->gone = on_gone;
	fix.in.fd = pair[1];
}

void wlxd_setup_silent(void)
{
	wlxd_setup_loop();
	listen_somewhere();
	fix.host.ops = &host_local_ops;
	fix.host.impl = host_local_create(fix.loop, fix.path);
	wlxd_setup_client();
	fix.out.fd = accept4(fix.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ck_assert_int_ge(fix.out.fd, 0);
}

void wlxd_setup(void)
{
	static const struct {
		const char *name;
		uint32_t version;
		uint32_t id;
	} globals[] = {
		{"wl_compositor", 4, WLXD_COMPOSITOR},
		{"wl_shm", 1, WLXD_SHM},
		{"wl_seat", 7, WLXD_SEAT},
		{"wl_data_device_manager", 3, WLXD_DATA_MANAGER},
	};

	wlxd_setup_silent();
	wlxd_say(&fix.in, -1, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_GET_REGISTRY, "u",
		 WLXD_REGISTRY);
	for (uint32_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
		wlxd_say(&fix.out, -1, WLXD_REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", i,
			 globals[i].name, globals[i].version);
		wlxd_say(&fix.in, -1, WLXD_REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", i,
			 globals[i].name, globals[i].version, globals[i].id);
	}
	wlxd_say(&fix.in, -1, WLXD_SEAT, VMM_WL_RQ_WL_SEAT_GET_KEYBOARD, "u", WLXD_KEYBOARD);
	wlxd_say(&fix.in, -1, WLXD_DATA_MANAGER, VMM_WL_RQ_WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE,
		 "uu", WLXD_DATA_DEVICE, WLXD_SEAT);
	ck_assert_uint_eq(wlxd_count(&fix.out), 7);
	wlxd_forget(&fix.in);
	wlxd_forget(&fix.out);
}

void wlxd_teardown(void)
{
	wlxd_forget(&fix.in);
	wlxd_forget(&fix.out);
	if (fix.client) {
		client_destroy(fix.client);
	}
	(void)close(fix.in.fd);
	(void)close(fix.out.fd);
	(void)close(fix.listen_fd);
	if (fix.host.ops == &host_local_ops) {
		host_local_destroy(fix.host.impl);
	} else {
		host_virtgpu_destroy(fix.host.impl);
	}
	vmm_loop_destroy(fix.loop);
	(void)unlink(fix.path);
	(void)rmdir(fix.dir);
	ck_assert_uint_eq(fdcount(), fix.fds);
}

void wlxd_run(void)
{
	for (unsigned i = 0; i < 100000; i++) {
		int got = vmm_loop_dispatch(fix.loop, 0);

		ck_assert_int_ge(got, 0);
		if (got == 0) {
			return;
		}
	}
	ck_abort_msg("the loop does not come to rest");
}

static bool read_some(struct wlxd_end *end)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(28 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = end->got + end->len,
			    .iov_len = sizeof(end->got) - end->len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t got = recvmsg(end->fd, &msg, MSG_CMSG_CLOEXEC);

	if (got <= 0) {
		end->eof = end->eof || got == 0 || errno == ECONNRESET;
		return false;
	}
	end->len += (size_t)got;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		ck_assert_uint_le(end->fd_count + count, WLXD_FDS_MAX);
		memcpy(end->fds + end->fd_count, CMSG_DATA(c), count * sizeof(int));
		end->fd_count += (unsigned)count;
	}
	return true;
}

void wlxd_settle(void)
{
	bool more;

	do {
		wlxd_run();
		more = read_some(&fix.in);
		more = read_some(&fix.out) || more;
	} while (more);
}

void wlxd_forget(struct wlxd_end *end)
{
	for (unsigned i = 0; i < end->fd_count; i++) {
		(void)close(end->fds[i]);
	}
	end->fd_count = 0;
	end->len = 0;
}

void wlxd_send(struct wlxd_end *end, const uint8_t *data, size_t len, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(&iov.iov_base, &data, sizeof(data));
	if (fd >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	}
	ck_assert_int_eq(sendmsg(end->fd, &msg, MSG_NOSIGNAL), (ssize_t)len);
	if (fd >= 0) {
		(void)close(fd);
	}
}

unsigned wlxd_count(const struct wlxd_end *end)
{
	unsigned count = 0;

	for (size_t at = 0; at < end->len; count++) {
		int size = vmm_wl_frame(end->got + at, end->len - at);

		ck_assert_int_gt(size, 0);
		at += (size_t)size;
	}
	return count;
}

bool wlxd_is(const struct wlxd_end *end, unsigned n, const uint8_t *message, size_t size)
{
	size_t at = 0;

	for (; at < end->len && n > 0; n--) {
		at += (size_t)vmm_wl_frame(end->got + at, end->len - at);
	}
	return at < end->len && vmm_wl_frame(end->got + at, end->len - at) == (int)size &&
	       memcmp(end->got + at, message, size) == 0;
}

int wlxd_file(const char *text, size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
	return fd;
}
