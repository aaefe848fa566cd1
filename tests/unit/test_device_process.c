/* SPDX-License-Identifier: MIT */
/*
 * vmm-device: started as others start it, jailed as it is by itself, and driven through the front
 * end of this library. VMM_DEVICE names another build of the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmm/dev/chardev.h>
#include <vmm/dev/input.h>
#include <vmm/dev/shape.h>
#include <vmm/dev/tap.h>
#include <vmm/vhost_frontend.h>

#include "fakedrv.h"
#include "fdcount.h"
#include "suite.h"
#include "vhost/msg.h"

#define ARGS_MAX    24
#define FD          3 /* the connection, in the device's process */
#define OTHER_FD    4
#define DISK        (1 << 20)
#define PATIENCE_MS 5000
#define MAC         "0a:b3:ec:00:00:01"

struct device {
	pid_t pid;
	int fd;  /* our end of the connection; -1: none, or the front end's */
	int log; /* what it says */
	char said[8192];
	struct vmm_loop *loop;
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;
};

static const char *program(void)
{
	const char *other = getenv("VMM_DEVICE");

	return other ? other : VMM_DEVICE_PATH;
}

/* ---- starting and ending it ---- */

static void run_child(const char *const *args, int connection, int other, int log)
{
	const char *argv[ARGS_MAX] = {"vmm-device"};
	size_t n = 1;

	for (; args[n - 1] && n < ARGS_MAX - 1; n++) {
		argv[n] = args[n - 1];
	}
	/* Out of the way first: a number may be taken by one of the others. */
	connection = connection < 0 ? -1 : fcntl(connection, F_DUPFD, 100);
	other = other < 0 ? -1 : fcntl(other, F_DUPFD, 100);
	(void)dup2(log, STDERR_FILENO);
	if (connection >= 0) {
		(void)dup2(connection, FD);
	}
	if (other >= 0) {
		(void)dup2(other, OTHER_FD);
	}
	(void)execv(program(), (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* With a connection at descriptor 3 when that is wanted, and another descriptor at 4 (-1: none). */
static void start(struct device *d, const char *const *args, bool connected, int other)
{
	int pair[2] = {-1, -1};
	int log[2];

	memset(d, 0, sizeof(*d));
	d->fd = -1;
	ck_assert_int_eq(pipe2(log, O_CLOEXEC), 0);
	if (connected) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	}
	d->pid = fork();
	ck_assert_int_ge(d->pid, 0);
	if (d->pid == 0) {
		run_child(args, pair[1], other, log[1]);
	}
	if (connected) {
		(void)close(pair[1]);
		d->fd = pair[0];
	}
	(void)close(log[1]);
	d->log = log[0];
}

/* Until the log ends, or text was said. */
static bool read_log(struct device *d, const char *text)
{
	struct pollfd pfd = {.fd = d->log, .events = POLLIN};
	size_t len = strlen(d->said);

	while (!text || !strstr(d->said, text)) {
		ssize_t got;

		if (poll(&pfd, 1, PATIENCE_MS) != 1) {
			return false;
		}
		got = read(d->log, d->said + len, sizeof(d->said) - 1 - len);
		if (got <= 0) {
			return text == NULL;
		}
		len += (size_t)got;
		d->said[len] = '\0';
	}
	return true;
}

/* Waits for the end; the exit status, or minus the signal. */
static int wait_end(struct device *d)
{
	int status;

	ck_assert_msg(read_log(d, NULL), "it does not end; it says: %s", d->said);
	ck_assert_int_eq(waitpid(d->pid, &status, 0), d->pid);
	(void)close(d->log);
	if (d->fd >= 0) {
		(void)close(d->fd);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- driving it ---- */

static void attach(struct device *d, const char *kind, int fd)
{
	const struct vmm_dev_shape *shape = vmm_dev_shape_find(kind);
	struct vmm_vhost_frontend_config config = {
		.name = kind,
		.device_id = shape->device_id,
		.queue_count = shape->queue_count,
		.queue_sizes = shape->queue_sizes,
		.config_len = shape->config_len,
		.fd = fd,
	};
	struct vmm_error err = {0};
	int ret;

	ck_assert_int_eq(vmm_loop_create(&d->loop), 0);
	config.loop = d->loop;
	ret = vmm_vhost_frontend_create(&d->dev, &config, &err);
	if (ret < 0) {
		(void)read_log(d, NULL);
	}
	ck_assert_msg(ret == 0, "%s; it says: %s", err.message, d->said);
	d->drv = fakedrv_create_on(d->dev, d->loop);
	ck_assert_int_eq(fakedrv_start(d->drv, NULL), 0);
}

static void detach(struct device *d)
{
	fakedrv_destroy(d->drv);
	vmm_loop_destroy(d->loop);
}

static void start_and_attach(struct device *d, const char *const *args, int other)
{
	start(d, args, true, other);
	attach(d, args[0], d->fd);
	d->fd = -1;
}

/* Hangs up: a clean end, and a jail that was whole. */
static void finish(struct device *d)
{
	detach(d);
	ck_assert_int_eq(wait_end(d), 0);
	ck_assert_msg(strstr(d->said, "jailed: ") && strstr(d->said, "seccomp"), "it says: %s",
		      d->said);
}

static uint32_t ask_rng(struct device *d)
{
	struct fakedrv_buf buf = FAKEDRV_IN(fakedrv_alloc(d->drv, 64), 64);

	return fakedrv_request(d->drv, 0, &buf, 1);
}

/* A sector in or out; the status byte. */
static uint8_t do_blk(struct device *d, bool write, uint64_t sector, uint8_t *data)
{
	uint8_t *header = fakedrv_alloc(d->drv, 16);
	uint8_t *status = fakedrv_alloc(d->drv, 1);
	struct fakedrv_buf bufs[] = {
		FAKEDRV_OUT(header, 16),
		{.ptr = data, .len = 512, .write = !write},
		FAKEDRV_IN(status, 1),
	};

	header[0] = write;
	memcpy(header + 8, &sector, sizeof(sector));
	*status = 0xff;
	(void)fakedrv_request(d->drv, 0, bufs, 3);
	return *status;
}

static int make_disk(void)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, DISK), 0);
	return fd;
}

/* ---- the command line ---- */

START_TEST(command_line_that_makes_no_sense_is_refused)
{
	static const char *const lines[][ARGS_MAX] = {
		{NULL},
		{"sound", "--fd", "3", NULL},
		{"gpu", "--fd", "3", "--display", "tv", NULL},
		{"gpu", "--fd", "3", "--display", "file", NULL},
		{"gpu", "--fd", "3", "--display", "file", "--image", "x", "--image-fd", "3", NULL},
		{"gpu", "--fd", "3", "--image-fd", "3", NULL},
		{"gpu", "--fd", "3", "--display", "window", NULL},
		{"gpu", "--fd", "3", "--window-fd", "3", NULL},
		{"gpu", "--fd", "3", "--scanouts", "17", NULL},
		{"gpu", "--fd", "3", "--scanouts", "0", NULL},
		{"gpu", "--fd", "3", "--size", "63x64", NULL},
		{"gpu", "--fd", "3", "--size", "640", NULL},
		{"gpu", "--fd", "3", "--size", "640x480x", NULL},
		{"gpu", "--fd", "3", "--size", "640x", NULL},
		{"gpu", "--fd", "3", "--size", "-640x480", NULL},
		{"gpu", "--fd", "3", "--connector-fd", "3", NULL},
		{"gpu", "--fd", "3", "--clipboard", "some", NULL},
		{"rng", NULL},
		{"rng", "--fd", NULL},
		{"rng", "--fd", "x", NULL},
		{"rng", "--fd", "-1", NULL},
		{"rng", "--fd", "77", NULL},
		{"rng", "--fd", "99999999999999999999", NULL},
		{"rng", "--fd", "3", "--listen-fd", "3", NULL},
		{"rng", "--fd", "3", "--fd", "3", NULL},
		{"rng", "--fd", "3", "--readonly", NULL},
		{"rng", "--fd", "3", "more", NULL},
		{"rng", "--fd", "3", "--isolation=half", NULL},
		{"blk", "--fd", "3", NULL},
		{"blk", "--fd", "3", "--disk-fd", "3", "--path", "x", NULL},
		{"blk", "--fd", "3", "--disk-fd", "3", "--engine", "fast", NULL},
		{"blk", "--listen-fd", "3", "--disk-fd", "3", "--engine", "io_uring", NULL},
		{"blk", "--fd", "3", "--disk-fd", "3", "--queue-size", "3", NULL},
		{"blk", "--fd", "3", "--disk-fd", "3", "--queue-size", "48", NULL},
		{"blk", "--fd", "3", "--disk-fd", "3", "--serial", "123456789012345678901", NULL},
		{"net", "--fd", "3", "--tap-fd", "3", NULL},
		{"net", "--fd", "3", "--mac", MAC, NULL},
		{"net", "--fd", "3", "--tap-fd", "3", "--mac", "0a:b3:ec:00:00:0g", NULL},
		{"net", "--fd", "3", "--tap-fd", "3", "--mac", MAC ":", NULL},
		{"net", "--fd", "3", "--tap-fd", "3", "--mac", MAC, "--mtu", "67", NULL},
		{"input", "--fd", "3", "--events-fd", "3", NULL},
		{"input", "--fd", "3", "--type", "mouse", "--events-fd", "3", NULL},
		{"input", "--fd", "3", "--type", "tablet", NULL},
		{"console", "--fd", "3", NULL},
		{"console", "--fd", "3", "--pty", "--in-fd", "3", NULL},
		{"console", "--fd", "3", "--out-fd", "3", "--inotify-fd", "3", NULL},
	};
	struct device d;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		start(&d, lines[i], true, -1);
		ck_assert_int_eq(wait_end(&d), 2);
		ck_assert_msg(strstr(d.said, "Try 'vmm-device --help'"), "line %zu: %s", i, d.said);
	}
	/* The list of kinds. */
	start(&d, lines[1], true, -1);
	ck_assert_int_eq(wait_end(&d), 2);
	ck_assert(strstr(d.said, "blk, console, gpu, input, net, rng"));
}
END_TEST

START_TEST(descriptor_of_another_kind_is_refused)
{
	static const char *const lines[][ARGS_MAX] = {
		{"rng", "--fd", "4", NULL},
		{"rng", "--listen-fd", "3", NULL},
		{"rng", "--fd", "3", "--source-fd", "4", NULL},
		{"blk", "--fd", "3", "--disk-fd", "3", NULL},
		{"blk", "--fd", "3", "--disk-fd", "4", "--readonly", NULL},
		{"net", "--fd", "3", "--tap-fd", "4", "--mac", MAC, NULL},
		{"console", "--fd", "3", "--pty-fd", "4", NULL},
		{"input", "--fd", "3", "--type", "tablet", "--events-fd", "4", NULL},
		{"rng", "--fd", "3", "--counters-fd", "3", NULL},
		{"blk", "--fd", "3", "--path", "/nonexistent", NULL},
		{"blk", "--fd", "3", "--path", "/dev/null", NULL},
	};
	struct device d;
	int disk = make_disk();

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		start(&d, lines[i], true, disk);
		ck_assert_msg(wait_end(&d) == 1, "line %zu: %s", i, d.said);
		ck_assert_msg(strstr(d.said, "error: "), "line %zu: %s", i, d.said);
	}
	(void)close(disk);
}
END_TEST

/* ---- each kind, in its jail ---- */

START_TEST(rng_is_served)
{
	static const char *const args[] = {"rng", "--fd", "3", NULL};
	struct device d;

	start_and_attach(&d, args, -1);
	for (int i = 0; i < 100; i++) {
		ck_assert_uint_eq(ask_rng(&d), 64);
	}
	/* A driver that starts over in a sealed process. */
	fakedrv_reset(d.drv);
	ck_assert_int_eq(fakedrv_start(d.drv, NULL), 0);
	ck_assert_uint_eq(ask_rng(&d), 64);
	finish(&d);
}
END_TEST

START_TEST(blk_is_served)
{
	static const char *const lines[][ARGS_MAX] = {
		{"blk", "--fd", "3", "--disk-fd", "4", "--serial", "abc", NULL},
		{"blk", "--fd", "3", "--disk-fd", "4", "--guest-memory", "65", NULL},
		{"blk", "--fd", "3", "--disk-fd", "4", "--engine", "io_uring", NULL},
	};
	int disk = make_disk();
	uint8_t there[512];
	uint8_t *data;
	struct device d;

	start_and_attach(&d, lines[_i], disk);
	data = fakedrv_alloc(d.drv, 512);
	for (uint64_t sector = 0; sector < DISK / 512; sector += 97) {
		memset(data, (int)(sector % 251), 512);
		ck_assert_uint_eq(do_blk(&d, true, sector, data), 0);
		ck_assert_int_eq(pread(disk, there, 512, (off_t)sector * 512), 512);
		ck_assert_mem_eq(there, data, 512);
		memset(data, 0xee, 512);
		ck_assert_uint_eq(do_blk(&d, false, sector, data), 0);
		ck_assert_mem_eq(there, data, 512);
	}
	ck_assert_uint_eq(do_blk(&d, true, DISK / 512, data), 1);
	finish(&d);
	ck_assert_int_eq(lseek(disk, 0, SEEK_END), DISK);
	(void)close(disk);
}
END_TEST

START_TEST(blk_read_only_is_served_and_stays_as_it_is)
{
	static const char *const args[] = {"blk", "--fd",       "3", "--disk-fd",
					   "4",   "--readonly", NULL};
	int disk = make_disk();
	char path[64];
	uint8_t *data;
	struct device d;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	start_and_attach(&d, args, fd);
	data = fakedrv_alloc(d.drv, 512);
	memset(data, 1, 512);
	ck_assert_uint_eq(do_blk(&d, true, 0, data), 1);
	ck_assert_uint_eq(do_blk(&d, false, 0, data), 0);
	ck_assert_uint_eq(data[0], 0);
	finish(&d);
	(void)close(fd);
	(void)close(disk);
}
END_TEST

/* What the guest says comes out, and the other way round. */
static void talk(struct device *d, int fd)
{
	uint8_t *bytes = fakedrv_alloc(d->drv, 64);
	struct fakedrv_buf in = FAKEDRV_IN(bytes, 32);
	struct fakedrv_buf out = FAKEDRV_OUT(bytes + 32, 5);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct fakedrv_used used;
	char text[8] = "";

	memcpy(bytes + 32, "guest", 5);
	(void)fakedrv_request(d->drv, 1, &out, 1);
	ck_assert_int_eq(poll(&pfd, 1, PATIENCE_MS), 1);
	ck_assert_int_eq(read(fd, text, 5), 5);
	ck_assert_str_eq(text, "guest");
	ck_assert_int_ge(fakedrv_add(d->drv, 0, &in, 1), 0);
	fakedrv_kick(d->drv, 0);
	ck_assert_int_eq(write(fd, "host", 4), 4);
	ck_assert(fakedrv_wait_used(d->drv, 0, &used, PATIENCE_MS));
	ck_assert_uint_eq(used.len, 4);
	ck_assert_mem_eq(bytes, "host", 4);
}

START_TEST(console_over_a_socket_is_served)
{
	static const char *const args[] = {"console", "--fd",     "3", "--in-fd",
					   "4",       "--out-fd", "4", NULL};
	int pair[2];
	struct device d;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	start_and_attach(&d, args, pair[1]);
	talk(&d, pair[0]);
	finish(&d);
	(void)close(pair[0]);
	(void)close(pair[1]);
}
END_TEST

START_TEST(console_over_a_terminal_is_served)
{
	static const char *const own[] = {"console", "--fd", "3", "--pty", NULL};
	static const char *const given[] = {"console", "--fd", "3", "--pty-fd", "4", NULL};
	char path[64] = "";
	int master = -1;
	int inotify = -1;
	int terminal;
	struct device d;

	if (_i == 0) {
		start_and_attach(&d, own, -1);
		ck_assert(read_log(&d, "\n"));
		ck_assert_int_eq(sscanf(strstr(d.said, "/dev/pts/"), "%63s", path), 1);
	} else {
		ck_assert_int_eq(vmm_pty_open(&master, &inotify, path, sizeof(path), NULL), 0);
		start_and_attach(&d, given, master);
	}
	terminal = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(terminal, 0);
	talk(&d, terminal);
	finish(&d);
	(void)close(terminal);
	if (_i == 1) {
		(void)close(master);
		(void)close(inotify);
	}
}
END_TEST

START_TEST(net_is_served)
{
	static const char *const args[] = {"net", "--fd", "3", "--tap-fd", "4", "--mac", MAC, NULL};
	struct vmm_error err = {0};
	struct vmm_tap *tap;
	uint8_t *frame;
	struct device d;
	char name[16];
	int ret;

	(void)snprintf(name, sizeof(name), "vmmdev%d", (int)getpid() % 100000);
	ret = vmm_tap_open(&tap, name, &err);
	if (ret < 0) {
		printf("no tap here: %s\n", err.message);
		return;
	}
	start_and_attach(&d, args, vmm_tap_fd(tap));
	frame = fakedrv_alloc(d.drv, 12 + 64);
	memset(frame, 0, 12 + 64);
	memset(frame + 12, 0xff, 6);
	for (int i = 0; i < 10; i++) {
		struct fakedrv_buf buf = FAKEDRV_OUT(frame, 12 + 64);

		/* An interface that is down drops them: it is the calls that count here. */
		(void)fakedrv_request(d.drv, 1, &buf, 1);
	}
	fakedrv_reset(d.drv);
	ck_assert_int_eq(fakedrv_start(d.drv, NULL), 0);
	finish(&d);
	vmm_tap_destroy(tap);
}
END_TEST

/* What the driver reads next is the answer to what it wrote, though both go to another process. */
static void check_input_config(struct device *d)
{
	static const uint8_t key_bits[2] = {0x11, EV_KEY};
	static const uint8_t name[2] = {1, 0};
	uint8_t config[136];

	for (unsigned round = 0; round < 20; round++) {
		fakedrv_write_config(d->drv, 0, &name[0], 1);
		fakedrv_write_config(d->drv, 1, &name[1], 1);
		fakedrv_read_config(d->drv, 0, config, sizeof(config));
		ck_assert_uint_eq(config[2], 15);
		ck_assert_mem_eq(config + 8, "libvmm keyboard", 16);
		fakedrv_write_config(d->drv, 0, &key_bits[0], 1);
		fakedrv_write_config(d->drv, 1, &key_bits[1], 1);
		fakedrv_read_config(d->drv, 0, config, sizeof(config));
		ck_assert_uint_eq(config[2], VMM_INPUT_KEY_MAX / 8 + 1);
		ck_assert_uint_eq(config[8], 0xfe);
	}
	/* Longer than the front end would wait before it asks for what has changed. */
	(void)fakedrv_run_for(d->drv, 50, NULL);
	ck_assert_uint_eq(fakedrv_config_irqs(d->drv), 0);
}

START_TEST(input_is_served)
{
	static const char *const args[] = {"input",    "--fd",        "3", "--type",
					   "keyboard", "--events-fd", "4", NULL};
	const struct vmm_input_event stroke[] = {{EV_KEY, KEY_Q, 1}, {EV_SYN, SYN_REPORT, 0}};
	struct vmm_input_event *got;
	struct fakedrv_used used;
	struct device d;
	int pair[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	start_and_attach(&d, args, pair[1]);
	(void)close(pair[1]);
	check_input_config(&d);
	got = fakedrv_alloc(d.drv, 4 * sizeof(*got));
	for (int i = 0; i < 4; i++) {
		struct fakedrv_buf buf = FAKEDRV_IN(&got[i], sizeof(*got));

		ck_assert_int_ge(fakedrv_add(d.drv, 0, &buf, 1), 0);
	}
	fakedrv_kick(d.drv, 0);
	ck_assert_int_eq(send(pair[0], stroke, sizeof(stroke), 0), (ssize_t)sizeof(stroke));
	for (int i = 0; i < 4; i++) {
		ck_assert(fakedrv_wait_used(d.drv, 0, &used, PATIENCE_MS));
		ck_assert_uint_eq(used.len, sizeof(*got));
		if (i == 1) {
			/* The window has gone, and the key with it. */
			(void)close(pair[0]);
		}
	}
	ck_assert_mem_eq(&got[0], &stroke[0], sizeof(*got));
	ck_assert_uint_eq(got[2].code, KEY_Q);
	ck_assert_uint_eq(got[2].value, 0);
	ck_assert_uint_eq(got[3].type, EV_SYN);
	finish(&d);
}
END_TEST

/* ---- life and death ---- */

START_TEST(signal_ends_it_well)
{
	static const char *const lines[][ARGS_MAX] = {
		{"rng", "--fd", "3", NULL},
		{"rng", "--fd", "3", "--isolation=none", NULL},
	};
	struct device d;

	start_and_attach(&d, lines[_i % 2], -1);
	ck_assert_uint_eq(ask_rng(&d), 64);
	ck_assert_int_eq(kill(d.pid, _i / 2 ? SIGINT : SIGTERM), 0);
	ck_assert_int_eq(wait_end(&d), 0);
	ck_assert(strstr(d.said, "ending on signal"));
	detach(&d);
}
END_TEST

START_TEST(broken_rule_of_the_protocol_is_status_1)
{
	static const char *const lines[][ARGS_MAX] = {
		{"rng", "--fd", "3", NULL},
		{"rng", "--fd", "3", "--isolation=none", NULL},
	};
	static const uint8_t nonsense[12] = {0xff, 0xff};
	struct device d;

	start(&d, lines[_i], true, -1);
	ck_assert_int_eq(write(d.fd, nonsense, sizeof(nonsense)), sizeof(nonsense));
	ck_assert_int_eq(wait_end(&d), 1);
	ck_assert(strstr(d.said, "closed: Protocol error"));
	ck_assert(_i == 0 || strstr(d.said, "no isolation"));
}
END_TEST

START_TEST(descriptors_that_nobody_named_are_closed)
{
	static const char *const args[] = {"rng", "--fd", "3", NULL};
	char path[64];
	char target[64] = "";
	ssize_t len;
	struct device d;
	int surplus = make_disk();

	/* At 4, where the child will put something of its own. */
	start_and_attach(&d, args, surplus);
	ck_assert_uint_eq(ask_rng(&d), 64);
	for (int fd = 0; fd < 64; fd++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)d.pid, fd);
		len = readlink(path, target, sizeof(target) - 1);
		target[len < 0 ? 0 : len] = '\0';
		ck_assert_msg(!strstr(target, "disk"), "descriptor %d is %s", fd, target);
		/* Nor standard input. */
		ck_assert(fd != 0 || len < 0 || strstr(target, "anon_inode"));
	}
	finish(&d);
	(void)close(surplus);
}
END_TEST

START_TEST(counters_are_kept_in_the_page)
{
	static const char *const args[] = {"blk", "--fd",          "3", "--disk-fd",
					   "4",   "--counters-fd", "5", NULL};
	struct record {
		char name[24];
		uint64_t value;
	} * page;
	int disk = make_disk();
	int fd = memfd_create("counters", MFD_CLOEXEC);
	uint64_t bytes = 0;
	struct device d;
	int i;

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert(page != MAP_FAILED);
	/* At 5 in this process as in the other. */
	if (fd != 5) {
		ck_assert_int_eq(dup2(fd, 5), 5);
	} else {
		ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
	}
	start(&d, args, true, disk);
	(void)close(5);
	attach(&d, "blk", d.fd);
	d.fd = -1;
	ck_assert_uint_eq(do_blk(&d, true, 0, fakedrv_alloc(d.drv, 512)), 0);
	for (i = 0; i < 1000 && bytes != 512; i++) {
		for (int n = 0; n < 4096 / (int)sizeof(*page) && page[n].name[0]; n++) {
			if (strcmp(page[n].name, "write_bytes") == 0) {
				bytes = __atomic_load_n(&page[n].value, __ATOMIC_RELAXED);
			}
		}
		(void)usleep(1000);
	}
	ck_assert_uint_eq(bytes, 512);
	finish(&d);
	(void)munmap(page, 4096);
	if (fd != 5) {
		(void)close(fd);
	}
	(void)close(disk);
}
END_TEST

/* ---- on a socket of its own ---- */

static char socket_path[64];

static int connect_to_path(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, socket_path, strlen(socket_path));
	for (int i = 0; i < PATIENCE_MS; i += 5) {
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
			return fd;
		}
		(void)usleep(5000);
	}
	ck_abort_msg("nobody listens at %s", socket_path);
}

/* The child of a parent that was killed is killed a moment later. */
static void wait_until_dead(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	bool dead = false;

	memcpy(addr.sun_path, socket_path, strlen(socket_path));
	for (int i = 0; i < PATIENCE_MS && !dead; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		dead = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 &&
		       errno == ECONNREFUSED;
		(void)close(fd);
		(void)usleep(1000);
	}
	ck_assert(dead);
}

START_TEST(socket_serves_one_front_end_after_the_other)
{
	const char *args[] = {"rng", "--socket", socket_path, _i ? "--isolation=none" : NULL, NULL};
	struct stat st;
	struct device d;

	(void)snprintf(socket_path, sizeof(socket_path), "/tmp/vmm-device-%d.sock", (int)getpid());
	start(&d, args, false, -1);
	for (int i = 0; i < 3; i++) {
		attach(&d, "rng", connect_to_path());
		ck_assert_uint_eq(ask_rng(&d), 64);
		detach(&d);
	}
	/* One that speaks nonsense ends its own connection and no more. */
	{
		static const uint8_t nonsense[12] = {0xff, 0xff};
		int fd = connect_to_path();

		ck_assert_int_eq(write(fd, nonsense, sizeof(nonsense)), sizeof(nonsense));
		ck_assert_int_eq(read(fd, socket_path + 60, 1), 0);
		(void)close(fd);
	}
	attach(&d, "rng", connect_to_path());
	ck_assert_uint_eq(ask_rng(&d), 64);
	/* It ends while a front end is connected. */
	ck_assert_int_eq(kill(d.pid, SIGTERM), 0);
	ck_assert_int_eq(wait_end(&d), 0);
	detach(&d);
	ck_assert_int_ne(stat(socket_path, &st), 0);
	ck_assert(_i == 1 || strstr(d.said, "seccomp rng-served"));
	/* Said by the device, passed on line by line. */
	ck_assert(strstr(d.said, "vmm-device rng: a front end is connected\n"));
}
END_TEST

/* The queue that QEMU gives a disk is shorter than the device's, and its requests must go into it.
 */
START_TEST(disk_for_others_has_requests_that_go_into_a_queue_of_128)
{
	const char *args[] = {"blk", "--socket", socket_path, "--disk-fd", "4", NULL};
	uint32_t seg_max;
	struct device d;
	int disk = make_disk();

	(void)snprintf(socket_path, sizeof(socket_path), "/tmp/vmm-device-%d.sock", (int)getpid());
	start(&d, args, false, disk);
	attach(&d, "blk", connect_to_path());
	memcpy(&seg_max, d.dev->config + 12, sizeof(seg_max));
	ck_assert_uint_eq(seg_max, 126);
	ck_assert_int_eq(kill(d.pid, SIGTERM), 0);
	ck_assert_int_eq(wait_end(&d), 0);
	detach(&d);
	(void)close(disk);
}
END_TEST

START_TEST(path_is_taken_from_the_dead_and_not_from_the_living)
{
	const char *args[] = {"rng", "--socket", socket_path, NULL};
	struct device first;
	struct device second;

	(void)snprintf(socket_path, sizeof(socket_path), "/tmp/vmm-device-%d.sock", (int)getpid());
	start(&first, args, false, -1);
	(void)close(connect_to_path());
	start(&second, args, false, -1);
	ck_assert_int_eq(wait_end(&second), 1);
	ck_assert(strstr(second.said, "in use"));
	/* Killed, it leaves the path behind, and its child goes as well. */
	ck_assert_int_eq(kill(first.pid, SIGKILL), 0);
	ck_assert_int_eq(wait_end(&first), -SIGKILL);
	wait_until_dead();
	start(&second, args, false, -1);
	attach(&second, "rng", connect_to_path());
	ck_assert_uint_eq(ask_rng(&second), 64);
	detach(&second);
	ck_assert_int_eq(kill(second.pid, SIGINT), 0);
	ck_assert_int_eq(wait_end(&second), 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{command_line_that_makes_no_sense_is_refused, 1},
		{descriptor_of_another_kind_is_refused, 1},
		{rng_is_served, 1},
		{blk_is_served, 3},
		{blk_read_only_is_served_and_stays_as_it_is, 1},
		{console_over_a_socket_is_served, 1},
		{console_over_a_terminal_is_served, 2},
		{net_is_served, 1},
		{input_is_served, 1},
		{signal_ends_it_well, 4},
		{broken_rule_of_the_protocol_is_status_1, 2},
		{descriptors_that_nobody_named_are_closed, 1},
		{counters_are_kept_in_the_page, 1},
		{socket_serves_one_front_end_after_the_other, 2},
		{disk_for_others_has_requests_that_go_into_a_queue_of_128, 1},
		{path_is_taken_from_the_dead_and_not_from_the_living, 1},
	};

	return suite_run_looped("device-process", tests, sizeof(tests) / sizeof(tests[0]));
}
