/* SPDX-License-Identifier: MIT */
/*
 * The judge on trial: a device that makes one mistake at a time, in a process of its own each,
 * which has to end with the words of the rule that was broken; and one without a mistake, which has
 * not.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devfuzz.h"
#include "planted.h"

static const struct {
	const char *name;
	const char *words; /* of the rule; NULL: none is broken */
	bool loads;        /* seen by instrumentation only */
} faults[FAULTS] = {
	[FAULT_NONE] = {"none", NULL, false},
	[FETCH_TWICE] = {"a length checked, then read again", "fetches: a byte", true},
	[FETCH_TWICE_COPY] = {"the same by copies", "fetches: a byte", true},
	[FETCH_TWICE_LATER] = {"the same in another turn", "fetches: a byte", true},
	[FETCH_COMPARE] = {"compared in place and copied", "fetches: a byte", true},
	[READ_AFTER_PUSH] = {"read after push", "reads:", true},
	[READ_WRITABLE] = {"read of a writable buffer", "reads:", true},
	[READ_ELSEWHERE] = {"read behind a buffer", "reads:", true},
	[WRITE_AFTER_PUSH] = {"written after push", "writes:", true},
	[WRITE_READABLE] = {"a readable buffer written", "writes:", false},
	[WRITE_BEYOND] = {"written behind a buffer", "writes:", false},
	[WRITE_RING] = {"the descriptor table written", "writes:", false},
	[PUSH_TWICE] = {"pushed twice", "ring: a chain came back", false},
	[PUSH_TOO_MUCH] = {"more than there was room for", "ring: a chain came back", false},
	[PUSH_UNWRITTEN] = {"stale bytes given as written", "that nobody wrote", true},
	[KEEP] = {"a chain kept for ever", "all_back", false},
	[FORGET] = {"the rest of a ring forgotten", "all_back", false},
	[ALLOCATE] = {"memory allocated", "bounds: memory was allocated", false},
	[LEAK_FD] = {"a descriptor leaked", "bounds: the table", false},
	[NEVER_YIELD] = {"no end while the guest adds", "bounds: one kick popped", false},
	[TAKE_LONG] = {"a kick of 100 ms", "bounds: one kick took", false},
	[WEDGE] = {"a reset that forgets nothing", "the device did not answer", false},
};

static void serve(void *ctx, struct fakedrv *drv, uint8_t *memory)
{
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(memory, 5), FAKEDRV_IN(memory + 16, 4)};

	(void)ctx;
	memcpy(memory, "\x04word", 5);
	REQUIRE(fakedrv_request(drv, 0, bufs, 2) == 4);
	REQUIRE(memcmp(memory + 16, "word", 4) == 0);
}

/* A start that offers chains again; a request of 3 bytes in 64, and room for 64 elsewhere. */
static const uint8_t input[] = {
	0x00, 0xa0, 0x0a, 1, 1, 0, 0, 0, 4, 3, 'a', 'b', 'c', [74] = 0x10, 0, 4,
};

static void run(enum fault fault)
{
	static struct planted planted;
	struct devfuzz_device device = {.dev = &planted.base, .drains = 1, .serve = serve};
	struct fuzz_input in = {input, sizeof(input)};

	planted_init(&planted, fault);
	devfuzz_run(devfuzz_create(&device), &in);
}

/* What a child wrote to stderr before it ended. */
static bool collect(int fd, pid_t pid, char *text, size_t size)
{
	size_t len = 0;
	ssize_t got;
	int status;

	while (len < size - 1 && (got = read(fd, text + len, size - 1 - len)) > 0) {
		len += (size_t)got;
	}
	text[len] = '\0';
	(void)close(fd);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool is_noticed(enum fault fault)
{
	static const struct rlimit no_core;
	static char text[65536];
	int fds[2];
	pid_t pid;
	bool good;

	REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(fds[1], STDERR_FILENO);
		run(fault);
		_exit(0);
	}
	(void)close(fds[1]);
	good = collect(fds[0], pid, text, sizeof(text));
	if (faults[fault].words ? !good && strstr(text, faults[fault].words) : good) {
		return true;
	}
	(void)printf("not noticed: %s\n%.2000s\n", faults[fault].name, text);
	return false;
}

/* Even if nobody counted: the second look meets another value than the first. */
static bool flip_shows(void)
{
	static struct planted planted;
	struct fakedrv_buf bufs[2] = {0};
	struct fakedrv *drv;
	uint8_t *memory;

	planted_init(&planted, FETCH_TWICE);
	drv = fakedrv_create(&planted.base);
	memory = fakedrv_alloc(drv, 64);
	judge_reset();
	judge_rules(0);
	REQUIRE(fakedrv_start(drv, NULL) == 0);
	memory[0] = 4;
	bufs[0] = (struct fakedrv_buf){memory, 5, false};
	bufs[1] = (struct fakedrv_buf){memory + 16, 4, true};
	(void)fakedrv_request(drv, 0, bufs, 2);
	REQUIRE(memory[0] == 4);
	fakedrv_destroy(drv);
	return planted.answered > PLANTED_MAX;
}

int main(void)
{
	unsigned tried = 0;
	unsigned noticed = 0;

	for (unsigned i = 0; i < FAULTS; i++) {
		if (faults[i].loads && !judge_sees_loads()) {
			continue;
		}
		tried++;
		noticed += is_noticed((enum fault)i);
	}
	if (judge_sees_loads()) {
		tried++;
		noticed += flip_shows();
	} else {
		(void)printf(
			"skipped: judge: loads of guest memory are seen in a build by clang only\n");
	}
	(void)printf("figure: judge: mistakes planted %u, noticed %u\n", tried, noticed);
	return tried == noticed ? EXIT_SUCCESS : EXIT_FAILURE;
}
