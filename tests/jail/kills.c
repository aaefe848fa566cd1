/* SPDX-License-Identifier: MIT */
/*
 * kills [N]: a VM whose guest (busy.c) keeps its disk, card, console and random numbers at work,
 * and whose device processes are killed N times at random moments. What the guest was told is
 * written has to be there in the end, and every device has to go on. At last the process that runs
 * the guest is killed, and nothing may be left of it.
 *
 * VMM_CLI names the program, VMM_PAYLOAD the guest's kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <net/if.h>

#include <jansson.h>

#include "api/client.h"

#include <vmm/vm.h>

#define DISK_SIZE   (8u << 20)
#define FIRST       8u /* as in busy.c */
#define SPREAD      512u
#define TABLE       4096u
#define MAGIC       0x79737562u
#define PATIENCE_MS 20000
#define KINDS       4
/* A device that lived this long is started again at once. */
#define LIFE_MS 1100

struct progress {
	uint32_t magic;
	uint32_t failed;
	uint64_t writes;
	uint64_t flushes;
	uint64_t frames;
	uint64_t lines;
	uint64_t randoms;
	uint64_t reads;
	uint64_t wrong;
	uint64_t notes;
};

static const char *const kinds[KINDS] = {"blk", "net", "console", "rng"};

static char dir[] = "/tmp/kills-XXXXXX";
static char socket_path[64];
static char disk_path[64];
static char serial_path[64];
static char log_path[64];
static char tap[IFNAMSIZ]; /* "": no card, for want of rights */
static const volatile struct progress *progress;
static const uint8_t *disk;
static pid_t vmm;

/* ---- small things ---- */

__attribute__((format(printf, 1, 2))) _Noreturn static void give_up(const char *fmt, ...)
{
	char command[256];
	va_list args;

	va_start(args, fmt);
	(void)printf("NOT OK - ");
	(void)vprintf(fmt, args);
	(void)printf("\n");
	va_end(args);
	(void)fflush(stdout);
	(void)snprintf(command, sizeof(command), "tail -n 30 %s %s", log_path, serial_path);
	(void)system(command);
	if (vmm > 0) {
		(void)kill(vmm, SIGKILL);
	}
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void nap_us(long us)
{
	const struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	(void)nanosleep(&ts, NULL);
}

static json_t *call(const char *method, const char *endpoint, const json_t *body)
{
	struct vmm_error err = {0};
	json_t *reply = NULL;

	if (api_call(socket_path, method, endpoint, body, NULL, 0, &reply, &err) < 0) {
		give_up("%s: %s", endpoint, err.message);
	}
	return reply;
}

/* ---- the VM ---- */

static void make_disk(void)
{
	int fd = open(disk_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	void *p;

	if (fd < 0 || ftruncate(fd, DISK_SIZE) != 0) {
		give_up("%s: %s", disk_path, strerror(errno));
	}
	p = mmap(NULL, DISK_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		give_up("%s: %s", disk_path, strerror(errno));
	}
	(void)close(fd);
	disk = p;
	progress = p;
}

static void start_vmm(void)
{
	const char *program = getenv("VMM_CLI");
	char target[80];

	(void)snprintf(target, sizeof(target), "path=%s", socket_path);
	vmm = fork();
	if (vmm == 0) {
		(void)execl(program, program, "vmm", "--api-socket", target, "--log-file", log_path,
			    "-v", (char *)NULL);
		_exit(127);
	}
	for (uint64_t end = now_ms() + PATIENCE_MS; access(socket_path, F_OK) != 0;) {
		if (now_ms() > end) {
			give_up("no VMM");
		}
		nap_us(10000);
	}
}

static void create_vm(void)
{
	json_t *config = json_pack("{s:{s:s}, s:{s:I}, s:[{s:s}], s:{s:s}, s:{s:s, s:s}}",
				   "payload", "kernel", getenv("VMM_PAYLOAD"), "memory", "size",
				   (json_int_t)64 << 20, "disks", "path", disk_path, "console",
				   "mode", "Pty", "serial", "mode", "File", "file", serial_path);

	if (tap[0] != '\0') {
		(void)json_object_set_new(config, "net", json_pack("[{s:s}]", "tap", tap));
	}
	json_decref(call("PUT", "vm.create", config));
	json_decref(config);
	json_decref(call("PUT", "vm.boot", NULL));
	for (uint64_t end = now_ms() + PATIENCE_MS; progress->magic != MAGIC;) {
		if (now_ms() > end) {
			give_up("the guest does not work");
		}
		nap_us(10000);
	}
}

/* The process of a kind, by what the VMM says; 0: there is none just now. */
static pid_t find_process(const char *kind)
{
	json_t *all = call("GET", "vm.processes", NULL);
	const json_t *one;
	pid_t pid = 0;
	size_t i;

	json_array_foreach(all, i, one)
	{
		const char *its = json_string_value(json_object_get(one, "kind"));

		if (its && strcmp(its, kind) == 0) {
			pid = (pid_t)json_integer_value(json_object_get(one, "pid"));
		}
	}
	json_decref(all);
	return pid;
}

/* How much a device has done, as the guest sees it. */
static uint64_t served(int kind)
{
	switch (kind) {
	case 0:
		return progress->notes;
	case 1:
		return progress->frames;
	case 2:
		return progress->lines;
	default:
		return progress->randoms;
	}
}

/* ---- killing ---- */

static uint64_t killed_ms[KINDS];

/* Microseconds until the guest had two more answers from the device: one may have been under way.
 */
static uint64_t kill_one(int kind)
{
	struct timespec before;
	struct timespec after;
	uint64_t since = now_ms() - killed_ms[kind];
	uint64_t count;
	pid_t pid;

	if (killed_ms[kind] != 0 && since < LIFE_MS) {
		nap_us((long)(LIFE_MS - since) * 1000);
	}
	nap_us(rand() % 20000);
	pid = find_process(kinds[kind]);
	if (pid <= 0 || kill(pid, SIGKILL) != 0) {
		give_up("%s: no process to kill (%d)", kinds[kind], (int)pid);
	}
	killed_ms[kind] = now_ms();
	count = served(kind);
	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	while (served(kind) < count + 2) {
		if (now_ms() - killed_ms[kind] > PATIENCE_MS) {
			give_up("%s: not served any more", kinds[kind]);
		}
		nap_us(200);
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &after);
	if (progress->failed || progress->wrong) {
		give_up("the guest says: failed devices %x, wrong sectors %llu", progress->failed,
			(unsigned long long)progress->wrong);
	}
	return (uint64_t)(after.tv_sec - before.tv_sec) * 1000000 +
	       (uint64_t)((after.tv_nsec - before.tv_nsec) / 1000);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* ---- the end ---- */

/* Sectors that do not hold what was acknowledged last. */
static unsigned count_lost(void)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < SPREAD; i++) {
		uint64_t acked;
		uint64_t held;

		memcpy(&acked, disk + (size_t)TABLE * 512 + i * sizeof(acked), sizeof(acked));
		for (unsigned n = 0; n < 64; n++) {
			memcpy(&held, disk + (size_t)(FIRST + i) * 512 + n * sizeof(held),
			       sizeof(held));
			if (held != acked) {
				lost++;
				break;
			}
		}
	}
	return lost;
}

static int wait_vmm(void)
{
	int status = 0;

	for (uint64_t end = now_ms() + PATIENCE_MS; waitpid(vmm, &status, WNOHANG) != vmm;) {
		if (now_ms() > end) {
			give_up("the VMM does not end");
		}
		nap_us(10000);
	}
	vmm = 0;
	return status;
}

static void check_nothing_left(const pid_t *pids, int count)
{
	for (uint64_t end = now_ms() + 2000; count > 0;) {
		if (kill(pids[count - 1], 0) != 0 && errno == ESRCH) {
			count--;
		} else if (now_ms() > end) {
			give_up("process %d is left", (int)pids[count - 1]);
		} else {
			nap_us(1000);
		}
	}
	if (access(socket_path, F_OK) == 0) {
		give_up("the API socket is left");
	}
}

/* Killing the process that runs the guest takes all others with it. */
static void kill_vm(void)
{
	pid_t pids[KINDS + 1];
	int count = 0;
	int status;

	(void)unlink(disk_path);
	make_disk();
	start_vmm();
	create_vm();
	for (int i = 0; i < KINDS; i++) {
		pids[count] = find_process(kinds[i]);
		count += pids[count] > 0;
	}
	pids[count] = find_process("vm");
	if (pids[count] <= 0) {
		give_up("no vm process");
	}
	(void)kill(pids[count], SIGKILL);
	status = wait_vmm();
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 0) {
		give_up("the VMM did not say that its guest is gone (%x)", status);
	}
	check_nothing_left(pids, count + 1);
	(void)printf("figure: kill of the vm process: other processes %d, left 0\n", count);
}

static void make_paths(void)
{
	char command[128];

	if (!mkdtemp(dir)) {
		give_up("%s: %s", dir, strerror(errno));
	}
	(void)snprintf(socket_path, sizeof(socket_path), "%s/vmm", dir);
	(void)snprintf(disk_path, sizeof(disk_path), "%s/disk", dir);
	(void)snprintf(serial_path, sizeof(serial_path), "%s/serial", dir);
	(void)snprintf(log_path, sizeof(log_path), "%s/log", dir);
	if (geteuid() != 0) {
		(void)printf("skipped: the card: making a tap needs root\n");
		return;
	}
	(void)snprintf(tap, sizeof(tap), "kill%d", (int)getpid() % 100000);
	(void)snprintf(command, sizeof(command),
		       "ip tuntap add dev %s mode tap vnet_hdr && ip link set %s up", tap, tap);
	if (system(command) != 0) {
		give_up("no tap");
	}
}

static void clean_up(void)
{
	char command[80];

	if (tap[0] != '\0') {
		(void)snprintf(command, sizeof(command), "ip link del %s", tap);
		(void)system(command);
	}
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	(void)system(command);
}

int main(int argc, char **argv)
{
	int kills = argc > 1 ? atoi(argv[1]) : 100;
	uint64_t *us = calloc((size_t)kills, sizeof(*us));
	struct vmm_error err = {0};
	int status;

	if (vmm_host_check(-1, &err) < 0) {
		(void)printf("skipped: %s\n", err.message);
		return 77;
	}
	srand(4711);
	make_paths();
	make_disk();
	start_vmm();
	create_vm();
	for (int i = 0; i < kills; i++) {
		us[i] = kill_one(tap[0] == '\0' && i % KINDS == 1 ? 0 : i % KINDS);
	}
	json_decref(call("PUT", "vm.power-button", NULL));
	status = wait_vmm();
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		give_up("the VM ended badly (%x)", status);
	}
	if (count_lost() != 0 || progress->failed || progress->wrong) {
		give_up("acknowledged writes lost: %u; wrong reads %llu", count_lost(),
			(unsigned long long)progress->wrong);
	}
	qsort(us, (size_t)kills, sizeof(us[0]), compare);
	(void)printf(
		"figure: kills: kills %d, VMs lost 0, acknowledged writes %llu, lost %u, wedged "
		"queues 0, ms until service p50 %.1f, p99 %.1f\n",
		kills, (unsigned long long)progress->writes, count_lost(),
		(double)us[kills / 2] / 1e3, (double)us[kills * 99 / 100] / 1e3);
	free(us);
	kill_vm();
	clean_up();
	return 0;
}
