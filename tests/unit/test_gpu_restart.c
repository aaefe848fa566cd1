/* SPDX-License-Identifier: MIT */
/*
 * vmm-device gpu is killed and another one takes its place, which knows nothing of what the guest's
 * driver believes to be there. Whoever waits in the guest has to get an answer, if only an error.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmm/dev/spawn.h>

#include "test_gpu_context_fix.h"

#define CONNECTOR_FD 5
#define POLLS        4u

static const char *const options[] = {"--contexts", "--connector-fd", "5", NULL};
static struct vmm_loop *loop;
static struct vmm_process process;
static struct vmm_process_fd given;
static struct vmm_dev_spawn_config config;
static struct gpu_fix fix;
static int broker; /* nobody answers here: the compositor is slow */

static void set_up(void)
{
	const char *other = getenv("VMM_DEVICE");
	struct vmm_error err = {0};
	int pair[2];

	memset(&fix, 0, sizeof(fix));
	fix.fds_before = fdcount();
	fix.late = true;
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	broker = pair[0];
	given = (struct vmm_process_fd){.from = pair[1], .to = CONNECTOR_FD};
	config = (struct vmm_dev_spawn_config){
		.program = other ? other : VMM_DEVICE_PATH,
		.kind = "gpu",
		.options = options,
		.fds = &given,
		.fd_count = 1,
		.uid = 65534,
		.gid = 65534,
		.loop = loop,
		.waits = true,
	};
	ck_assert_msg(vmm_dev_spawn(&fix.dev, &process, &config, &err) == 0, "%s", err.message);
	fix.drv = fakedrv_create_on(fix.dev, loop);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	fix.request = fakedrv_alloc(fix.drv, REQUEST_ROOM);
	fix.answer = fakedrv_alloc(fix.drv, 4096);
	fix.polls = fakedrv_alloc(fix.drv, PARK_SLOTS * 256ul);
}

static void tear_down(void)
{
	int status = -1;

	(void)close(broker);
	(void)close(given.from);
	fakedrv_destroy(fix.drv);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(vmm_process_wait(&process, 5000, &status), 1);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	ck_assert_uint_eq(fdcount(), fix.fds_before);
}

/* offered: while there was no process. */
static void restart(struct gpu_client *c, unsigned slot, int *offered)
{
	struct vmm_error err = {0};

	(void)kill(process.pid, SIGKILL);
	ck_assert_int_ge(vmm_loop_dispatch(loop, 1000), 1);
	*offered = gpu_client_poll(c, slot, 100 + slot);
	fakedrv_kick(fix.drv, 0);
	ck_assert_msg(vmm_dev_respawn(fix.dev, &process, &config, &err) == 0, "%s", err.message);
}

static void assert_failed(unsigned slot, uint32_t type)
{
	const struct gpu_header *answer = gpu_poll_answer(&fix, slot);

	ck_assert_uint_eq(answer->type, type);
	ck_assert_uint_eq(answer->flags, FLAG_FENCE | FLAG_INFO_RING_IDX);
	ck_assert_uint_eq(answer->fence_id, 100 + slot);
	ck_assert_uint_eq(answer->ring_idx, XD_RING_CHANNEL);
}

START_TEST(gpu_restart_answers_who_waits)
{
	struct gpu_client c;
	struct fakedrv_used used;
	int heads[POLLS];
	bool back[POLLS] = {false};

	gpu_client_start(&c, &fix, 1, 10);
	for (unsigned i = 0; i + 1 < POLLS; i++) {
		heads[i] = gpu_client_poll(&c, i, 100 + i);
	}
	fakedrv_kick(fix.drv, 0);
	ck_assert(!fakedrv_wait_used(fix.drv, 0, &used, 100));
	restart(&c, POLLS - 1, &heads[POLLS - 1]);
	for (unsigned n = 0; n < POLLS; n++) {
		unsigned i = 0;

		ck_assert(fakedrv_wait_used(fix.drv, 0, &used, FAKEDRV_PATIENCE_MS));
		while (i < POLLS && used.head != (uint32_t)heads[i]) {
			i++;
		}
		ck_assert_uint_lt(i, POLLS);
		ck_assert(!back[i]);
		back[i] = true;
		ck_assert_uint_eq(used.len, sizeof(struct gpu_header));
		assert_failed(i, RESP_ERR_INVALID_CONTEXT_ID);
	}
	/* And not a second time. */
	ck_assert(!fakedrv_wait_used(fix.drv, 0, &used, 100));
}
END_TEST

START_TEST(gpu_restart_forgets_what_the_driver_remembers)
{
	struct xd_header poll = {.cmd = XD_POLL, .size = 16};
	uint8_t *pixels;
	struct gpu_client c;
	struct gpu_client next;
	uint32_t item;
	int offered;
	struct fakedrv_used used;

	gpu_client_start(&c, &fix, 1, 10);
	item = gpu_client_template(&c, 8192);
	ck_assert_uint_eq(gpu_host_blob(&fix, 1, 20, item, 8192, BLOB_FLAG_MAPPABLE),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_map(&fix, 20, 4096), RESP_OK_MAP_INFO);
	pixels = fakedrv_shm(fix.drv, VMM_GPU_SHM_ID, 4096, 8192);
	ck_assert_ptr_nonnull(pixels);
	restart(&c, 0, &offered);
	ck_assert(fakedrv_wait_used(fix.drv, 0, &used, FAKEDRV_PATIENCE_MS));

	/* A program that is drawing does not fall through the floor. */
	ck_assert_ptr_eq(fakedrv_shm(fix.drv, VMM_GPU_SHM_ID, 4096, 8192), pixels);
	memset(pixels, 1, 8192);
	/* The driver tidies up after it. */
	ck_assert_uint_eq(gpu_submit(&fix, 1, &poll, sizeof(poll)), RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_unmap(&fix, 20), RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpu_detach(&fix, 1, 10), RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_unref(&fix, 20), RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpu_ctx_destroy(&fix, 1), RESP_ERR_INVALID_CONTEXT_ID);

	/* The next one finds all as it should be, in the same places. */
	gpu_client_start(&next, &fix, 1, 10);
	item = gpu_client_template(&next, 4096);
	ck_assert_uint_eq(gpu_host_blob(&fix, 1, 20, item, 4096, BLOB_FLAG_MAPPABLE),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_map(&fix, 20, 4096), RESP_OK_MAP_INFO);
	pixels = fakedrv_shm(fix.drv, VMM_GPU_SHM_ID, 4096, 4096);
	ck_assert_ptr_nonnull(pixels);
	ck_assert_uint_eq(pixels[0], 0);
	ck_assert_uint_eq(fakedrv_shm_count(fix.drv), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gpu_restart");

	suite_add(suite, gpu_restart_answers_who_waits, 1, set_up, tear_down);
	suite_add(suite, gpu_restart_forgets_what_the_driver_remembers, 1, set_up, tear_down);
	return suite_finish(suite);
}
