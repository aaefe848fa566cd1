/* SPDX-License-Identifier: MIT */
/* Connections to the compositor by way of a broker. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/dev/gpu.h>

#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"

static struct vmm_loop *loop;
static struct vmm_gpu_broker *broker;
static const struct vmm_gpu_connector *connector;
static int peer;
static unsigned fds_before;

/* Who asked, and what came: a descriptor or an errno. */
struct asker {
	unsigned answers;
	int fd;
};

static void on_done(void *ctx, int fd)
{
	struct asker *a = ctx;

	a->answers++;
	a->fd = fd;
}

static void start(void)
{
	int fds[2];

	fds_before = fdcount();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	ck_assert_int_eq(vmm_gpu_broker_create(&broker, fds[0], NULL), 0);
	connector = vmm_gpu_broker_connector(broker);
	peer = fds[1];
}

/* The loop goes first, as with a device that is destroyed with nobody waiting. */
static void finish(void)
{
	vmm_loop_destroy(loop);
	vmm_gpu_broker_destroy(broker);
	if (peer >= 0) {
		ck_assert_int_eq(close(peer), 0);
	}
	ck_assert_uint_eq(fdcount(), fds_before);
}

static void run(void)
{
	while (vmm_loop_dispatch(loop, 0) > 0) {
	}
}

static int ask(struct asker *a)
{
	return connector->connect(connector->ctx, loop, on_done, a);
}

static void answer_with(int32_t error, const int *fds, size_t count)
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = &error, .iov_len = sizeof(error)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (count > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(peer, &msg, MSG_NOSIGNAL), sizeof(error));
}

static void answer(int32_t error, int fd)
{
	answer_with(error, &fd, fd >= 0);
}

START_TEST(broker_answers_go_to_who_asked_in_order)
{
	struct asker a[3] = {{0}};
	uint8_t request[4];

	start();
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(ask(&a[i]), 0);
		ck_assert_int_eq(recv(peer, request, sizeof(request), MSG_DONTWAIT), 1);
		ck_assert_uint_eq(request[0], 0);
	}
	answer(0, STDIN_FILENO);
	answer(ECONNREFUSED, -1);
	run();
	ck_assert_uint_eq(a[0].answers, 1);
	ck_assert_int_gt(a[0].fd, STDERR_FILENO);
	ck_assert_int_eq(close(a[0].fd), 0);
	ck_assert_uint_eq(a[1].answers, 1);
	ck_assert_int_eq(a[1].fd, -ECONNREFUSED);
	ck_assert_uint_eq(a[2].answers, 0);
	answer(0, STDIN_FILENO);
	run();
	ck_assert_int_ge(a[2].fd, 0);
	ck_assert_int_eq(close(a[2].fd), 0);
	finish();
}
END_TEST

START_TEST(broker_answer_that_nobody_wants_is_closed)
{
	struct asker a[3] = {{0}};

	start();
	ck_assert_int_eq(ask(&a[0]), 0);
	ck_assert_int_eq(ask(&a[1]), 0);
	connector->cancel(connector->ctx, &a[0]);
	answer(0, STDIN_FILENO);
	answer(0, STDIN_FILENO);
	run();
	ck_assert_uint_eq(a[0].answers, 0);
	ck_assert_uint_eq(a[1].answers, 1);
	ck_assert_int_eq(close(a[1].fd), 0);
	/* Nobody left: its place is kept until somebody asks again. */
	ck_assert_int_eq(ask(&a[0]), 0);
	connector->cancel(connector->ctx, &a[0]);
	answer(0, STDIN_FILENO);
	run();
	ck_assert_int_eq(ask(&a[2]), 0);
	answer(ENOENT, -1);
	run();
	ck_assert_uint_eq(a[0].answers, 0);
	ck_assert_int_eq(a[2].fd, -ENOENT);
	finish();
}
END_TEST

START_TEST(broker_that_errs_or_goes_leaves_everybody_with_an_error)
{
	struct asker a[3] = {{0}};
	const uint8_t junk[5] = {0};

	start();
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(ask(&a[i]), 0);
	}
	connector->cancel(connector->ctx, &a[1]);
	switch (_i) {
	case 0:
		ck_assert_int_eq(close(peer), 0);
		peer = -1;
		break;
	case 1:
		ck_assert_int_eq(send(peer, junk, 5, 0), 5);
		break;
	case 2:
		ck_assert_int_eq(send(peer, junk, 3, 0), 3);
		break;
	case 3:
		answer(0, -1);
		break;
	case 4:
		answer(EINVAL, STDIN_FILENO);
		break;
	default:
		answer(-1, -1);
		break;
	}
	run();
	ck_assert_int_eq(a[0].fd, -EPIPE);
	ck_assert_uint_eq(a[1].answers, 0);
	ck_assert_int_eq(a[2].fd, -EPIPE);
	ck_assert_int_eq(ask(&a[0]), -EPIPE);
	ck_assert_uint_eq(a[0].answers, 1);
	finish();
}
END_TEST

/* There is room for a second descriptor by alignment alone. */
START_TEST(broker_two_descriptors_are_none_and_both_closed)
{
	static const int two[] = {STDIN_FILENO, STDOUT_FILENO};
	struct asker a = {0};

	start();
	ck_assert_int_eq(ask(&a), 0);
	answer_with(0, two, 2);
	run();
	ck_assert_uint_eq(a.answers, 1);
	ck_assert_int_eq(a.fd, -EPIPE);
	finish();
}
END_TEST

START_TEST(broker_more_than_may_wait_are_refused)
{
	struct asker a = {0};
	int ret = 0;
	unsigned count = 0;

	start();
	while (ret == 0) {
		ret = ask(&a);
		count += ret == 0;
	}
	ck_assert(ret == -EBUSY || ret == -EAGAIN);
	ck_assert_uint_le(count, 128);
	connector->cancel(connector->ctx, &a);
	finish();
}
END_TEST

START_TEST(broker_create_fails_cleanly)
{
	struct faultinj f = {0};
	int fds[2];

	ck_assert_int_eq(vmm_gpu_broker_create(&broker, STDIN_FILENO, NULL), -EINVAL);
	ck_assert_int_eq(vmm_gpu_broker_create(&broker, -1, NULL), -EINVAL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	while (faultinj_next(&f)) {
		int ret = vmm_gpu_broker_create(&broker, fds[0], NULL);

		faultinj_stop(&f);
		ck_assert_int_eq(ret < 0, f.failed != NULL);
		if (ret == 0) {
			vmm_gpu_broker_destroy(broker);
		}
	}
	ck_assert_int_eq(close(fds[1]), 0);
	vmm_gpu_broker_destroy(NULL);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{broker_answers_go_to_who_asked_in_order, 1},
		{broker_answer_that_nobody_wants_is_closed, 1},
		{broker_that_errs_or_goes_leaves_everybody_with_an_error, 6},
		{broker_two_descriptors_are_none_and_both_closed, 1},
		{broker_more_than_may_wait_are_refused, 1},
		{broker_create_fails_cleanly, 1},
	};

	return suite_run_looped("gpu_broker", tests, sizeof(tests) / sizeof(tests[0]));
}
