/* SPDX-License-Identifier: MIT */
/*
 * Mistakes that other machine monitors have made in their network devices (tests/planted/catalogue)
 * and that no other test of ours would have noticed.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "test_net_fix.h"

static uint8_t bytes[4096];

/* ---- in the place of libc's: a back end that answers with an error ---- */

static int tx_error;
static int rx_error;

/* One error for each time that the test sets it. */
static bool fails(int *error)
{
	errno = *error;
	*error = 0;
	return errno != 0;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return fails(&tx_error) ? -1 : syscall(SYS_sendmsg, fd, msg, flags);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	return fails(&tx_error) ? -1 : syscall(SYS_writev, fd, iov, count);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	return fails(&rx_error) ? -1 : syscall(SYS_recvmsg, fd, msg, flags);
}

ssize_t readv(int fd, const struct iovec *iov, int count)
{
	return fails(&rx_error) ? -1 : syscall(SYS_readv, fd, iov, count);
}

/* Sends one frame and counts it by what the peer sees. */
static bool sends(struct netfix *fix)
{
	netfix_frame(bytes, NET_FRAME, true);
	return netfix_send(fix, bytes, NET_HDR + NET_FRAME, 0);
}

/* EINTR and EAGAIN are no errors: the one is tried again at once, the other waits. */
START_TEST(net_error_of_the_back_end_costs_one_frame)
{
	struct netfix fix;
	unsigned failed = 0;
	uint8_t status;

	netfix_start(&fix, NULL, NULL);
	for (int error = 1; error < 134; error++) {
		if (error == EINTR || error == EAGAIN || error == EBADFD) {
			continue;
		}
		tx_error = error;
		ck_assert_msg(!sends(&fix), "errno %d", error);
		ck_assert_int_eq(tx_error, 0);
		failed++;
		ck_assert_msg(sends(&fix), "after errno %d", error);
	}
	ck_assert_uint_eq(netfix_counter(&fix, "tx_dropped"), failed);
	fakedrv_read_config(fix.drv, 6, &status, 1);
	ck_assert_uint_eq(status, 1);
	ck_assert(!fakedrv_needs_reset(fix.drv));
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_error_while_receiving_does_not_end_the_device)
{
	struct fakedrv_used used;
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	for (int error = 1; error < 134; error++) {
		if (error == EINTR || error == EAGAIN || error == EBADFD) {
			continue;
		}
		rx_error = error;
		netfix_frame(bytes, NET_FRAME, false);
		ck_assert_int_gt(send(fix.peer, bytes, NET_HDR + NET_FRAME, 0), 0);
		(void)netfix_buffer(&fix, 2048, 0);
		ck_assert_msg(fakedrv_wait_used(fix.drv, NET_RX, &used, 1000), "errno %d", error);
		ck_assert_int_eq(rx_error, 0);
	}
	ck_assert(!fakedrv_needs_reset(fix.drv));
	netfix_finish(&fix);
}
END_TEST

/* ---- receiving with a driver that kicks when it is asked to, and only then ---- */

/* _i & 1: with EVENT_IDX. */
START_TEST(net_rx_asks_for_a_kick_when_it_has_run_out_of_buffers)
{
	struct fakedrv_options options = {.no_event_idx = !(_i & 1)};
	struct netfix fix;
	unsigned seen = 0;

	netfix_start(&fix, NULL, &options);
	netfix_frame(bytes, NET_FRAME, false);
	for (unsigned round = 0; round < 50; round++) {
		struct fakedrv_used used;

		/* A flood: more frames than buffers. */
		for (unsigned i = 0; i < 4; i++) {
			(void)!send(fix.peer, bytes, NET_HDR + NET_FRAME,
				    MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		fakedrv_run(fix.drv);
		for (unsigned i = 0; i < 3; i++) {
			struct fakedrv_buf buf = FAKEDRV_IN(fakedrv_alloc(fix.drv, 256), 256);

			ck_assert_int_ge(fakedrv_add(fix.drv, NET_RX, &buf, 1), 0);
		}
		(void)fakedrv_kick_if_needed(fix.drv, NET_RX);
		while (fakedrv_outstanding(fix.drv, NET_RX) > 0 &&
		       fakedrv_wait_used(fix.drv, NET_RX, &used, 200)) {
			seen++;
		}
		ck_assert_uint_eq(seen, 3 * (round + 1));
	}
	netfix_finish(&fix);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{net_error_of_the_back_end_costs_one_frame, 1},
		{net_error_while_receiving_does_not_end_the_device, 1},
		{net_rx_asks_for_a_kick_when_it_has_run_out_of_buffers, 2},
	};

	return suite_run_looped("net_mistakes", tests, sizeof(tests) / sizeof(tests[0]));
}
