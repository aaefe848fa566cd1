/* SPDX-License-Identifier: MIT */
/*
 * vmm-device gpu: the real program in its real jail, with what a guest and a window make it do.
 * VMM_DEVICE names another build of the program.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmm/dev/spawn.h>
#include <vmm/dev/window_proto.h>

#include "fdcount.h"
#include "test_gpu_fix.h"

#define SIDE     64u
#define GIVEN_FD 5

static struct vmm_loop *loop;
static struct vmm_process process;
static struct gpufix fix;
static unsigned fds;

static void start(const char *const *options, int given)
{
	const char *other = getenv("VMM_DEVICE");
	const struct vmm_process_fd fd = {.from = given, .to = GIVEN_FD};
	struct vmm_dev_spawn_config config = {
		.program = other ? other : VMM_DEVICE_PATH,
		.kind = "gpu",
		.options = options,
		.fds = &fd,
		.fd_count = given >= 0,
		.uid = 65534,
		.gid = 65534,
		.waits = true,
	};
	struct vmm_virtio_device *dev;
	struct vmm_error err = {0};
	struct fakedrv *drv;

	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	config.loop = loop;
	ck_assert_msg(vmm_dev_spawn(&dev, &process, &config, &err) == 0, "%s", err.message);
	drv = fakedrv_create_on(dev, loop);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	gpufix_use(&fix, drv);
}

static void finish(void)
{
	int status = -1;

	gpufix_finish(&fix);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(vmm_process_wait(&process, 5000, &status), 1);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	ck_assert_uint_eq(fdcount(), fds);
}

/* A picture of many pieces, of which each pixel says where it is. */
static uint32_t *draw(uint32_t id)
{
	uint32_t *rows = gpufix_picture(&fix, id, SIDE, SIDE, 100);

	for (uint32_t i = 0; i < SIDE * SIDE; i++) {
		rows[i] = id << 24 | i;
	}
	return rows;
}

START_TEST(gpu_process_keeps_the_picture_in_the_file)
{
	static const char *const options[] = {"--display", "file",    "--image-fd", "5",
					      "--size",    "800x600", NULL};
	struct vmm_display_image image;
	struct gpu_display_info info;
	uint32_t *rows;
	int fd;

	fds = fdcount();
	fd = memfd_create("image", MFD_CLOEXEC);
	start(options, fd);
	ck_assert_uint_eq(gpufix_command(&fix, CMD_GET_DISPLAY_INFO, "", 0), RESP_OK_DISPLAY_INFO);
	memcpy(&info, fix.response, sizeof(info));
	ck_assert_uint_eq(info.modes[0].rect.width, 800);
	ck_assert_uint_eq(info.modes[0].rect.height, 600);
	rows = draw(1);
	gpufix_show(&fix, 1, SIDE, SIDE);
	ck_assert_int_eq(vmm_display_file_read(fd, &image, NULL), 0);
	ck_assert_uint_eq(image.width, SIDE);
	ck_assert_mem_eq(image.pixels, rows, SIDE * SIDE * 4ul);
	free(image.pixels);
	/* Memory is allocated and freed in the jail: thousands of resources, copies of pictures. */
	for (uint32_t id = 2; id < 3000; id++) {
		GPUFIX_OK(&fix, CMD_RESOURCE_CREATE_2D, ((struct gpu_create_2d){id, 2, 512, 512}));
	}
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){0, 0, 2, 1}, 64),
			  RESP_OK_NODATA);
	(void)close(fd);
	finish();
}
END_TEST

/* The next message to the window; its descriptor is closed, its map kept. */
static void hear(int window, struct vmm_window_message *m, void **map)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c;
	int memfd;

	ck_assert_int_eq(recvmsg(window, &msg, MSG_CMSG_CLOEXEC), sizeof(*m));
	c = CMSG_FIRSTHDR(&msg);
	if (c) {
		memcpy(&memfd, CMSG_DATA(c), sizeof(int));
		*map = mmap(NULL, m->pool.size, PROT_READ, MAP_SHARED, memfd, 0);
		ck_assert_ptr_ne(*map, MAP_FAILED);
		(void)close(memfd);
	}
}

START_TEST(gpu_process_shows_a_window)
{
	static const char *const options[] = {"--display", "window", "--window-fd", "5", NULL};
	struct vmm_window_message m;
	struct vmm_window_message resize = {.type = VMM_WINDOW_RESIZE,
					    .resize = {.width = 1000, .height = 700}};
	struct vmm_window_message taken = {.type = VMM_WINDOW_TAKEN};
	void *map = NULL;
	uint32_t *rows;
	unsigned irqs;
	int pair[2];

	fds = fdcount();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	start(options, pair[1]);
	(void)close(pair[1]);
	for (uint32_t id = 1; id <= 20; id++) {
		/* Another size each time: pools come and go in the jail. */
		rows = gpufix_picture(&fix, id, SIDE + id, SIDE, 100);
		rows[SIDE + id] = 0x1000 + id;
		gpufix_show(&fix, id, SIDE + id, SIDE);
		hear(pair[0], &m, &map);
		ck_assert_uint_eq(m.type, VMM_WINDOW_POOL);
		ck_assert_uint_eq(m.pool.width, SIDE + id);
		taken.serial = m.serial;
		hear(pair[0], &m, &map);
		ck_assert_uint_eq(m.type, VMM_WINDOW_PRESENT);
		ck_assert_uint_eq(((uint32_t *)map)[SIDE + id], 0x1000 + id);
		(void)munmap(map, 3ul * (SIDE + id) * SIDE * 4);
		ck_assert_int_eq(send(pair[0], &taken, sizeof(taken), 0), sizeof(taken));
	}
	/* The user draws at a corner: the guest hears of it. */
	irqs = fakedrv_config_irqs(fix.drv);
	ck_assert_int_eq(send(pair[0], &resize, sizeof(resize), 0), sizeof(resize));
	for (int i = 0; i < 50 && fakedrv_config_irqs(fix.drv) == irqs; i++) {
		(void)fakedrv_run_for(fix.drv, 100, NULL);
	}
	ck_assert_uint_ne(fakedrv_config_irqs(fix.drv), irqs);
	/* And nobody looks any more. */
	(void)close(pair[0]);
	gpufix_show(&fix, 1, SIDE, SIDE);
	finish();
}
END_TEST

SUITE_MAIN("gpu_process", gpu_process_keeps_the_picture_in_the_file, gpu_process_shows_a_window)
