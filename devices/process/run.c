/* SPDX-License-Identifier: MIT */
/*
 * The device at work: on one connection, whose end is that of the process, or on a listening
 * socket, for one front end after the other.
 */
#include "program.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/vhost_backend.h>

#define PAUSE_NS UINT64_C(1000000000)

#define POLL_US_DEFAULT 32u
#define POLL_US_MAX     1000u
#define NS_PER_US       UINT64_C(1000)

struct run {
	struct program *p;
	uint64_t poll_ns;
	struct vmm_loop *loop;
	struct vmm_virtio_device *dev;
	struct vmm_vhost_backend *backend;
	void *counters;
	int listen_fd; /* -1: one connection */
	struct vmm_source *listener;
	struct vmm_source *pause;
	struct vmm_source *signals;
	bool ended;
	int status;
};

static void end(struct run *r, int status)
{
	r->ended = true;
	r->status = status;
	vmm_loop_stop(r->loop);
}

static void on_signal(void *ctx, int signo)
{
	struct run *r = ctx;

	vmm_log(&r->p->log, VMM_LOG_INFO, "ending on signal %d", signo);
	end(r, STATUS_OK);
}

/* ---- one connection ---- */

static int on_start(void *ctx)
{
	struct run *r = ctx;
	struct vmm_error err = {0};
	int ret = program_seal(r->p, false, &err);

	if (ret < 0) {
		(void)program_fail(r->p, &err);
	}
	return ret;
}

static void on_closed(void *ctx, int why)
{
	end(ctx, why == 0 ? STATUS_OK : STATUS_FAILED);
}

static int serve_one(struct run *r, struct vmm_error *err)
{
	const struct vmm_vhost_backend_config config = {
		.loop = r->loop,
		.log = &r->p->log,
		.fd = program_fd(r->p, "fd"),
		.poll_ns = r->poll_ns,
		.sealed_after_start = r->p->isolated,
		.on_start = on_start,
		.on_closed = on_closed,
		.ctx = r,
	};
	int ret = program_seal_setup(r->p, err);

	if (ret == 0) {
		ret = vmm_vhost_backend_create(&r->backend, r->dev, &config, err);
	}
	if (ret == 0) {
		/* A starter that replaces another process waits for these words. */
		vmm_log(&r->p->log, VMM_LOG_INFO, "ready");
	}
	return ret;
}

/* ---- one after the other ---- */

static void listen_again(void *ctx)
{
	struct run *r = ctx;

	(void)vmm_source_set_events(r->listener, VMM_LOOP_READABLE);
}

static void on_served(void *ctx, int why)
{
	struct run *r = ctx;

	(void)why; /* the back end has logged it */
	vmm_vhost_backend_destroy(r->backend);
	r->backend = NULL;
	listen_again(r);
}

static void on_connection(void *ctx, int listen_fd, uint32_t events)
{
	struct run *r = ctx;
	struct vmm_vhost_backend_config config = {
		.loop = r->loop,
		.log = &r->p->log,
		.poll_ns = r->poll_ns,
		.on_closed = on_served,
		.ctx = r,
	};
	struct vmm_error err = {0};
	int ret;

	(void)events;
	config.fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (config.fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)) {
		return;
	}
	(void)vmm_source_set_events(r->listener, 0);
	ret = config.fd < 0 ? vmm_error_set(&err, -errno, "accept: %s", strerror(errno))
			    : vmm_vhost_backend_create(&r->backend, r->dev, &config, &err);
	if (ret < 0) {
		(void)program_fail(r->p, &err);
		if (config.fd >= 0) {
			(void)close(config.fd);
		}
		/* Whatever is scarce may come back. */
		(void)vmm_source_arm(r->pause, PAUSE_NS);
		return;
	}
	vmm_log(&r->p->log, VMM_LOG_INFO, "a front end is connected");
}

static int serve_all(struct run *r, struct vmm_error *err)
{
	int ret = vmm_loop_add_timer(r->loop, listen_again, r, &r->pause);

	if (ret == 0) {
		ret = vmm_loop_add_fd(r->loop, r->listen_fd, VMM_LOOP_READABLE, on_connection, r,
				      &r->listener);
	}
	if (ret < 0) {
		return vmm_error_set(err, ret, "listening socket: %s", strerror(-ret));
	}
	return program_seal(r->p, true, err);
}

/* ---- life ---- */

/* A stream socket that listens, or is connected. */
static int check_socket(int fd, bool listens, struct vmm_error *err)
{
	int domain = 0;
	int type = 0;
	int accepting = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) != 0) {
		return vmm_error_set(err, -errno, "descriptor %d: %s", fd, strerror(errno));
	}
	if (domain != AF_UNIX || type != SOCK_STREAM || (accepting != 0) != listens) {
		return vmm_error_set(err, -EINVAL, "descriptor %d is not a %s UNIX stream socket",
				     fd, listens ? "listening" : "connected");
	}
	return 0;
}

static int watch_signals(struct run *r, struct vmm_error *err)
{
	static const int wanted[] = {SIGTERM, SIGINT};
	int ret = vmm_loop_add_signals(r->loop, wanted, 2, on_signal, r, &r->signals);

	return ret < 0 ? vmm_error_set(err, ret, "signals: %s", strerror(-ret)) : 0;
}

static int set_up(struct run *r, struct vmm_error *err)
{
	struct program *p = r->p;
	bool served = r->listen_fd >= 0;
	int counters = program_fd(p, "counters-fd");
	uint64_t poll_us = 0;
	int ret = check_socket(served ? r->listen_fd : program_fd(p, "fd"), served, err);

	if (ret == 0) {
		ret = program_number(p, "poll-us", 0, POLL_US_MAX, POLL_US_DEFAULT, &poll_us, err);
		r->poll_ns = poll_us * NS_PER_US;
	}
	if (ret == 0 && counters >= 0) {
		r->counters = counters_map(counters, err);
		ret = r->counters ? 0 : -EINVAL;
	}
	if (ret == 0 && p->kind->prepare) {
		ret = p->kind->prepare(p, err);
	}
	if (ret == 0) {
		ret = program_enter_jail(p, served, err);
	}
	if (ret < 0) {
		return ret;
	}
	ret = vmm_loop_create(&r->loop);
	if (ret < 0) {
		return vmm_error_set(err, ret, "event loop: %s", strerror(-ret));
	}
	ret = watch_signals(r, err);
	if (ret == 0) {
		ret = p->kind->create(p, &r->dev, err);
	}
	if (ret < 0) {
		return ret;
	}
	return served ? serve_all(r, err) : serve_one(r, err);
}

/* Only where there is no jail: in one, destroying takes calls that are not allowed any more. */
static void tear_down(struct run *r)
{
	vmm_vhost_backend_destroy(r->backend);
	vmm_virtio_device_destroy(r->dev);
	if (r->p->kind->finish) {
		r->p->kind->finish(r->p);
	}
	vmm_loop_destroy(r->loop);
}

int program_run(struct program *p)
{
	struct run r = {.p = p, .listen_fd = program_fd(p, "listen-fd"), .status = STATUS_FAILED};
	struct vmm_error err = {0};
	int ret = set_up(&r, &err);

	if (ret < 0) {
		r.status = program_fail(p, &err);
		r.ended = true;
	}
	while (!r.ended) {
		ret = vmm_loop_dispatch(r.loop, -1);
		if (ret < 0) {
			(void)vmm_error_set(&err, ret, "event loop: %s", strerror(-ret));
			r.status = program_fail(p, &err);
			break;
		}
		counters_write(r.counters, r.dev);
	}
	if (p->isolated) {
		_exit(r.status);
	}
	tear_down(&r);
	return r.status;
}
