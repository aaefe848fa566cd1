/* SPDX-License-Identifier: MIT */
/* Between the files of the bench program. A failure ends it with words: it is no library. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/loop.h>
#include <vmm/process.h>
#include <vmm/virtio.h>

#include "clock.h"
#include "guest/plan.h"
#include "stats.h"

#define EXIT_SKIPPED 77
/* A round is quiet in which others had no more of the machine. */
#define QUIET_SHARE 0.05

struct options {
	const char *device; /* vmm-device */
	const char *payload;
	const char *disk; /* NULL: a temporary file */
	unsigned rounds;  /* quiet ones */
	unsigned seconds; /* no new round after that, quiet or not */
	unsigned samples;
	unsigned requests;
	unsigned gap_us;
	unsigned starts;  /* of each kind of device, for the cost */
	bool ordinary;    /* run where and when the scheduler likes */
	unsigned poll_us; /* of the device in a process of its own */
	bool unjailed;
	bool raw;    /* each round, too */
	int vcpu_on; /* processors */
	int devices_on;
	bool urgent; /* with real-time priority */
	bool judge;  /* fail on gross excess */
};

/* ---- main.c ---- */

/* Says what failed and exits 1, or EXIT_SKIPPED. */
void die(const char *fmt, ...) VMM_PRINTF(1, 2) __attribute__((noreturn));
void skip(const char *fmt, ...) VMM_PRINTF(1, 2) __attribute__((noreturn));
/* Dies when ret is below 0. */
void must(int ret, const struct vmm_error *err);

/* ---- device.c ---- */

#define DEVICE_FDS_MAX 2

/* A device in a process of its own. */
struct device {
	struct vmm_process process;
	struct vmm_virtio_device *front; /* whoever adds it to a VM owns it */
	double ready_ms;                 /* from spawn until its front end was made */
};

/* What a kind of device is given: options and the descriptors that they name as 4, 5. */
struct device_kind {
	const char *kind;
	const char *const *args; /* NULL-terminated */
	int fds[DEVICE_FDS_MAX]; /* borrowed; -1: none */
};

void device_start(struct device *out, const struct options *options, const struct device_kind *kind,
		  struct vmm_loop *loop);
void device_end(struct device *device);
/* What devices have said since the last call, on stderr. */
void device_print_log(void);

/* ---- place.c ---- */

/* Chooses processors; skips where there is one only. */
void place_choose(struct options *options);
/* Places the calling thread, and what it will start. */
void place_devices(struct options *options);
/* Places the calling thread, which inherited the devices' place. */
void place_vcpu(const struct options *options);

/* ---- quiet.c ---- */

/* The threads whose time is not foreign: that of each disk's device, and the vCPU. */
#define QUIET_VCPU    DISKS
#define QUIET_THREADS (DISKS + 1)

struct quiet {
	pid_t tids[QUIET_THREADS];
	double run[QUIET_THREADS]; /* microseconds that each has run */
	double at;
	double idle;
};

/* The share (0 to 1) of this machine's processors that others had since the last call. */
double quiet_foreign_share(struct quiet *q);

/* ---- isolation.c, cost.c, report.c ---- */

/* What was measured: the rounds, and how much of the machine others had in each. */
struct result {
	struct board board;
	double foreign[ROUNDS_MAX];
	double cpu_us[DISKS]; /* of the device's thread, in all rounds */
	double ticks_per_us;
};

/* A file of random bytes, in the page cache. Returns a read-only descriptor. */
int open_disk(const struct options *options);

/* Runs the guest. */
void measure(struct result *result, struct options *options);
/* Prints what the cost of isolation is. */
void measure_cost(const struct options *options);
void report_rounds(const struct result *r);
/* Prints the comparison. False on gross excess. */
bool report(struct result *result, const struct options *options);

#endif
