/* SPDX-License-Identifier: MIT */
/* What a process of its own costs a device: the time until it is ready, and the memory it takes. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vmm/dev/chardev.h>
#include <vmm/dev/tap.h>

#define KINDS      4u
#define STARTS_MAX 32u
#define PTY_PATH   64u

struct cost {
	struct device_kind kind;
	const char *missing; /* why it cannot be measured here, or NULL */
	struct device device;
	double ready_ms[STARTS_MAX];
	long pss_kib; /* -1: not readable */
};

/* ---- what each kind is given ---- */

static void prepare_blk(struct cost *c, const struct options *options)
{
	static const char *const args[] = {"--disk-fd", "4", "--readonly", NULL};

	c->kind = (struct device_kind){"blk", args, {open_disk(options), -1}};
}

static void prepare_net(struct cost *c, const struct options *options)
{
	static const char *const args[] = {"--tap-fd", "4", "--mac", "02:00:00:00:00:01", NULL};
	struct vmm_tap *tap;
	struct vmm_error err = {0};
	char name[16];

	(void)options;
	c->kind = (struct device_kind){"net", args, {-1, -1}};
	(void)snprintf(name, sizeof(name), "bench%d", (int)getpid());
	if (vmm_tap_open(&tap, name, &err) < 0) {
		c->missing = "no tap interface";
		return;
	}
	/* Open until the program ends. */
	c->kind.fds[0] = vmm_tap_fd(tap);
}

static void prepare_console(struct cost *c, const struct options *options)
{
	static const char *const args[] = {"--pty-fd", "4", "--inotify-fd", "5", NULL};
	char path[PTY_PATH];
	struct vmm_error err = {0};

	(void)options;
	c->kind = (struct device_kind){"console", args, {-1, -1}};
	must(vmm_pty_open(&c->kind.fds[0], &c->kind.fds[1], path, sizeof(path), &err), &err);
}

static void prepare_rng(struct cost *c, const struct options *options)
{
	static const char *const args[] = {"--source-fd", "4", NULL};

	(void)options;
	c->kind =
		(struct device_kind){"rng", args, {open("/dev/urandom", O_RDONLY | O_CLOEXEC), -1}};
}

static void (*const prepare[KINDS])(struct cost *c, const struct options *options) = {
	prepare_blk,
	prepare_net,
	prepare_console,
	prepare_rng,
};

/* ---- measuring ---- */

/* Of a process that gave up to be looked at only root can tell. */
static long read_pss(pid_t pid)
{
	char line[128];
	long kib = -1;
	FILE *file;

	(void)snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(line, "re");
	if (!file) {
		return -1;
	}
	while (kib < 0 && fgets(line, sizeof(line), file)) {
		(void)sscanf(line, "Pss: %ld", &kib);
	}
	(void)fclose(file);
	return kib;
}

/* All of them at once, as in a VM: what they share counts for each in part. */
static void start_all(struct cost *costs, const struct options *options, struct vmm_loop *loop,
		      unsigned turn)
{
	for (unsigned i = 0; i < KINDS; i++) {
		struct cost *c = &costs[i];

		if (!c->missing) {
			device_start(&c->device, options, &c->kind, loop);
			c->ready_ms[turn] = c->device.ready_ms;
		}
	}
	for (unsigned i = 0; i < KINDS; i++) {
		if (!costs[i].missing) {
			costs[i].pss_kib = read_pss(costs[i].device.process.pid);
		}
	}
	for (unsigned i = 0; i < KINDS; i++) {
		if (!costs[i].missing) {
			vmm_virtio_device_destroy(costs[i].device.front);
			device_end(&costs[i].device);
		}
	}
}

static void print(struct cost *c, unsigned turns)
{
	printf("%s ", c->kind.kind);
	if (c->missing) {
		printf("not measured (%s)", c->missing);
		return;
	}
	printf("ms %.1f, PSS KiB ", quantile(c->ready_ms, turns, 0.5));
	if (c->pss_kib < 0) {
		printf("unreadable");
	} else {
		printf("%ld", c->pss_kib);
	}
}

void measure_cost(const struct options *options)
{
	static struct cost costs[KINDS];
	struct vmm_loop *loop;

	for (unsigned i = 0; i < KINDS; i++) {
		prepare[i](&costs[i], options);
	}
	must(vmm_loop_create(&loop), NULL);
	for (unsigned i = 0; i < options->starts; i++) {
		start_all(costs, options, loop, i);
	}
	vmm_loop_destroy(loop);
	printf("figure: cost of isolation: ");
	for (unsigned i = 0; i < KINDS; i++) {
		print(&costs[i], options->starts);
		printf(i + 1 < KINDS ? "; " : "\n");
	}
}
