/* SPDX-License-Identifier: MIT */
/* A device in a process of its own by one call: the real program, in its real jail. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmm/dev/spawn.h>
#include <vmm/vhost_frontend.h>

#include "fakedrv.h"
#include "fdcount.h"
#include "suite.h"

static struct vmm_loop *loop;
static struct vmm_error err;
static unsigned lost;
static unsigned fds;

static void on_lost(void *ctx, int why)
{
	(void)ctx;
	(void)why;
	lost++;
}

static struct vmm_dev_spawn_config config_of(const char *kind)
{
	return (struct vmm_dev_spawn_config){
		.program = VMM_DEVICE,
		.kind = kind,
		.uid = 65534,
		.gid = 65534,
		.loop = loop,
		.waits = true,
		.on_lost = on_lost,
	};
}

static void set_up(void)
{
	memset(&err, 0, sizeof(err));
	lost = 0;
	fds = fdcount();
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
}

static void tear_down(void)
{
	vmm_loop_destroy(loop);
	ck_assert_uint_eq(fdcount(), fds);
}

static void expect_end(struct vmm_process *process)
{
	int status = -1;

	ck_assert_int_eq(vmm_process_wait(process, 5000, &status), 1);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}

START_TEST(spawned_rng_serves_is_replaced_and_ends)
{
	struct vmm_dev_spawn_config config;
	struct vmm_virtio_device *dev;
	struct vmm_process process;
	struct fakedrv *drv;

	set_up();
	config = config_of("rng");
	ck_assert_msg(vmm_dev_spawn(&dev, &process, &config, &err) == 0, "%s", err.message);
	drv = fakedrv_create_on(dev, loop);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	for (int i = 0; i < 3; i++) {
		const struct fakedrv_buf buf = FAKEDRV_IN(fakedrv_alloc(drv, 64), 64);
		pid_t before = process.pid;

		ck_assert_uint_eq(fakedrv_request(drv, 0, &buf, 1), 64);
		if (i == 1) {
			/* Not only one that lives, but one that has died as well. */
			(void)kill(process.pid, SIGKILL);
			ck_assert_int_ge(vmm_loop_dispatch(loop, 1000), 1);
			ck_assert_uint_eq(lost, 1);
		}
		ck_assert_msg(vmm_dev_respawn(dev, &process, &config, &err) == 0, "%s",
			      err.message);
		ck_assert_int_ne(process.pid, before);
		ck_assert_uint_eq(fakedrv_request(drv, 0, &buf, 1), 64);
	}
	fakedrv_destroy(drv);
	expect_end(&process);
	tear_down();
}
END_TEST

START_TEST(spawned_blk_has_the_disk_that_it_was_given)
{
	static const char *const options[] = {"--disk-fd", "5", "--readonly", NULL};
	struct vmm_process_fd disk = {.to = 5};
	struct vmm_dev_spawn_config config;
	struct vmm_virtio_device *dev;
	struct vmm_process process;
	char path[64];
	struct fakedrv *drv;
	uint8_t *header;
	uint8_t *data;
	int fd;

	set_up();
	fd = memfd_create("disk", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_int_eq(pwrite(fd, "hello", 5, 512), 5);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	disk.from = open(path, O_RDONLY | O_CLOEXEC);
	config = config_of("blk");
	config.options = options;
	config.fds = &disk;
	config.fd_count = 1;
	ck_assert_msg(vmm_dev_spawn(&dev, &process, &config, &err) == 0, "%s", err.message);
	drv = fakedrv_create_on(dev, loop);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	header = fakedrv_alloc(drv, 16);
	data = fakedrv_alloc(drv, 513);
	header[8] = 1; /* read sector 1 */
	{
		const struct fakedrv_buf bufs[] = {FAKEDRV_OUT(header, 16), FAKEDRV_IN(data, 513)};

		ck_assert_uint_eq(fakedrv_request(drv, 0, bufs, 2), 513);
	}
	ck_assert_mem_eq(data, "hello", 5);
	ck_assert_uint_eq(data[512], 0);
	fakedrv_destroy(drv);
	expect_end(&process);
	(void)close(disk.from);
	(void)close(fd);
	tear_down();
}
END_TEST

START_TEST(spawn_that_cannot_be_leaves_nothing)
{
	static const char *const bad[] = {"--no-such-option", NULL};
	static const char *many[VMM_DEV_SPAWN_OPTIONS + 2];
	struct vmm_dev_spawn_config config;
	struct vmm_virtio_device *dev;
	struct vmm_process process;

	set_up();
	config = config_of("toaster");
	ck_assert_int_eq(vmm_dev_spawn(&dev, &process, &config, &err), -EINVAL);
	config = config_of("rng");
	config.program = "/no/such/program";
	ck_assert_int_eq(vmm_dev_spawn(&dev, &process, &config, &err), -ENOENT);
	config = config_of("rng");
	config.options = bad;
	ck_assert_int_lt(vmm_dev_spawn(&dev, &process, &config, &err), 0);
	ck_assert_ptr_null(dev);
	ck_assert_int_eq(process.pid, 0);
	for (int i = 0; i <= VMM_DEV_SPAWN_OPTIONS; i++) {
		many[i] = "--verbose";
	}
	config.options = many;
	ck_assert_int_eq(vmm_dev_spawn(&dev, &process, &config, &err), -EINVAL);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child */
	tear_down();
}
END_TEST

SUITE_MAIN("spawn", spawned_rng_serves_is_replaced_and_ends,
	   spawned_blk_has_the_disk_that_it_was_given, spawn_that_cannot_be_leaves_nothing)
