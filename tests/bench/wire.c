/* SPDX-License-Identifier: MIT */
/*
 * The other end of a guest's tap.
 *
 *	wire count TAP COMMAND...       runs it, and fails unless as many frames came out of the
 *	                                tap as it says it has "sent"
 *	wire echo TAP LEN N COMMAND...  runs it, waits for "ready", sends N frames of LEN bytes,
 *	                                each when the one before has come back, and prints how
 *	                                long that took: p50, p99 (nanoseconds), lost
 *
 * What the command says on standard output is passed on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ETHERTYPE 0x88b5 /* for experiments */
#define MAC       6
#define ETH       14
#define FRAME_MAX 2048
#define N_MAX     1000000
#define WAIT_US   200000 /* for a frame */
#define LOST_MAX  20

struct command {
	pid_t pid;
	FILE *out;
};

static void die(const char *what)
{
	(void)fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* ---- the command ---- */

static struct command start(char **argv)
{
	struct command c;
	int ends[2];

	if (!argv[0] || pipe2(ends, 0) != 0) {
		die("a command");
	}
	c.pid = fork();
	if (c.pid == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)close(ends[0]);
		(void)close(ends[1]);
		(void)execvp(argv[0], argv);
		_exit(127);
	}
	(void)close(ends[1]);
	c.out = fdopen(ends[0], "r");
	return c;
}

/* Passes lines on until one begins with key; its number, or -1 at the end. */
static long find_line(struct command *c, const char *key)
{
	char line[256];
	size_t len = strlen(key);

	while (fgets(line, sizeof(line), c->out)) {
		(void)fputs(line, stdout);
		if (strncmp(line, key, len) == 0 && line[len] == ' ') {
			return strtol(line + len, NULL, 10);
		}
	}
	return -1;
}

static void finish(struct command *c)
{
	(void)find_line(c, "\n");
	(void)waitpid(c->pid, NULL, 0);
	(void)fclose(c->out);
}

/* ---- count ---- */

/* Frames that came out of it: the host receives what the guest sends. */
static long frames_of(const char *tap)
{
	char path[128];
	long n = -1;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/rx_packets", tap);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%ld", &n) != 1) {
		die(path);
	}
	(void)fclose(file);
	return n;
}

static int count(const char *tap, char **argv)
{
	long before = frames_of(tap);
	struct command c = start(argv);
	long sent = find_line(&c, "sent");
	long counted;

	finish(&c);
	counted = frames_of(tap) - before;
	if (sent < 1 || sent != counted) {
		(void)printf("BAD sent %ld, counted %ld\n", sent, counted);
		return 1;
	}
	return 0;
}

/* ---- echo ---- */

static int open_tap(const char *tap)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE),
		.sll_ifindex = (int)if_nametoindex(tap),
	};
	const struct timeval wait = {.tv_usec = WAIT_US};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE));

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0) {
		die(tap);
	}
	return fd;
}

/* Sends a frame and waits for the same with its addresses exchanged. Nanoseconds, or -1. */
static double ping(int fd, uint8_t *frame, size_t len, uint32_t number)
{
	uint8_t back[FRAME_MAX];
	double began = now_ns();

	memcpy(frame + ETH, &number, sizeof(number));
	if (send(fd, frame, len, 0) != (ssize_t)len) {
		die("send");
	}
	for (;;) {
		ssize_t got = recv(fd, back, sizeof(back), 0);

		if (got < 0) {
			return -1;
		}
		if (got == (ssize_t)len && memcmp(back, frame + MAC, MAC) == 0 &&
		    memcmp(back + ETH, &number, sizeof(number)) == 0) {
			return now_ns() - began;
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* With real-time priority the threads that spin would be in front of this one for ever. */
static void go_in_front(void)
{
	struct sched_param param;
	int policy;

	if (pthread_getschedparam(pthread_self(), &policy, &param) == 0 && policy != SCHED_OTHER) {
		param.sched_priority++;
		(void)pthread_setschedparam(pthread_self(), policy, &param);
	}
}

static int echo(const char *tap, size_t len, unsigned n, char **argv)
{
	static double times[N_MAX];
	uint8_t frame[FRAME_MAX] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,           2,
				    2,    2,    2,    2,    2,    ETHERTYPE >> 8, ETHERTYPE & 0xff};
	struct command c = start(argv);
	unsigned lost = 0;
	unsigned count = 0;
	int fd;

	if (find_line(&c, "ready") < 0) {
		return 1;
	}
	fd = open_tap(tap);
	go_in_front();
	while (count + lost < n && lost < LOST_MAX) {
		double ns = ping(fd, frame, len, count + lost);

		if (ns < 0) {
			lost++;
		} else {
			times[count++] = ns;
		}
	}
	/* The guest waits for as many as it was told of. */
	if (lost > 0) {
		(void)kill(c.pid, SIGTERM);
	}
	finish(&c);
	qsort(times, count, sizeof(times[0]), compare);
	(void)printf("p50 %.0f\np99 %.0f\nlost %u\n", count ? times[count / 2] : 0.0,
		     count ? times[(size_t)count * 99 / 100] : 0.0, lost);
	return lost < LOST_MAX && count > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	size_t len = argc > 5 ? (size_t)atoi(argv[3]) : 0;
	unsigned n = argc > 5 ? (unsigned)atoi(argv[4]) : 0;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 3 && strcmp(argv[1], "count") == 0) {
		return count(argv[2], argv + 3);
	}
	if (argc > 5 && strcmp(argv[1], "echo") == 0 && len >= ETH + sizeof(uint32_t) &&
	    len <= FRAME_MAX && n > 0 && n <= N_MAX) {
		return echo(argv[2], len, n, argv + 5);
	}
	(void)fputs("usage: wire count TAP COMMAND...\n       wire echo TAP LEN N COMMAND...\n",
		    stderr);
	return 2;
}
