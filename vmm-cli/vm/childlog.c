/* SPDX-License-Identifier: MIT */
#include "vm/childlog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vm/text.h"

/* Bytes read at a time, and how often in a row: others of the loop have their turn in between. */
#define CHUNK  1024
#define CHUNKS 16

static uint64_t now_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

/* ---- lines ---- */

static const struct {
	const char *prefix;
	enum vmm_log_level level;
} levels[] = {
	{"error: ", VMM_LOG_ERROR},
	{"warning: ", VMM_LOG_WARN},
	{"debug: ", VMM_LOG_DEBUG},
};

/* "vmm-device blk: " is said by the child's name here. */
static void skip_program(const char **line)
{
	static const char program[] = "vmm-device ";
	const char *colon = strstr(*line, ": ");

	if (strncmp(*line, program, sizeof(program) - 1) == 0 && colon) {
		*line = colon + 2;
	}
}

static enum vmm_log_level take_level(const char **line)
{
	skip_program(line);
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		size_t len = strlen(levels[i].prefix);

		if (strncmp(*line, levels[i].prefix, len) == 0) {
			*line += len;
			return levels[i].level;
		}
	}
	return VMM_LOG_INFO;
}

static bool may_speak(struct vm_childlog_limit *limit, const struct vmm_log *log)
{
	uint64_t now = now_s();

	if (now != limit->second) {
		if (limit->suppressed > 0) {
			vmm_log(log, VMM_LOG_WARN, "%llu lines of this VM's processes left out",
				(unsigned long long)limit->suppressed);
		}
		*limit = (struct vm_childlog_limit){.second = now};
	}
	if (limit->lines >= CHILDLOG_PER_SECOND) {
		limit->suppressed++;
		return false;
	}
	limit->lines++;
	return true;
}

static void end_line(struct vm_childlog *c)
{
	const char *line = c->line;
	enum vmm_log_level level;

	c->line[c->len] = '\0';
	c->len = 0;
	c->too_long = false;
	vm_text_clean(c->line);
	level = take_level(&line);
	if (strcmp(line, CHILDLOG_READY) == 0) {
		c->ready = true;
		return;
	}
	if (level == VMM_LOG_ERROR) {
		memcpy(c->last_error, line, strlen(line) + 1);
	}
	if (line[0] && c->log && level <= c->log->level && may_speak(c->limit, c->log)) {
		vmm_log(c->log, level, "%s: %s", c->name, line);
	}
}

static void take_bytes(struct vm_childlog *c, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n') {
			end_line(c);
		} else if (c->len == CHILDLOG_LINE_MAX) {
			c->too_long = true;
		} else {
			/* The end of text is the line's, not the child's to say. */
			c->line[c->len++] = bytes[i] ? bytes[i] : '?';
		}
	}
}

/* ---- the pipe ---- */

static void stop_reading(struct vm_childlog *c)
{
	vmm_source_remove(c->source);
	c->source = NULL;
	if (c->fd >= 0) {
		(void)close(c->fd);
		c->fd = -1;
	}
	if (c->len > 0) {
		end_line(c);
	}
}

void vm_childlog_drain(struct vm_childlog *c)
{
	char bytes[CHUNK];

	for (int i = 0; c->fd >= 0 && i < CHUNKS; i++) {
		ssize_t got = read(c->fd, bytes, sizeof(bytes));

		if (got > 0) {
			take_bytes(c, bytes, (size_t)got);
		} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
			stop_reading(c);
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

static void on_readable(void *ctx, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	vm_childlog_drain(ctx);
}

int vm_childlog_open(struct vm_childlog *c, struct vmm_loop *loop, const struct vmm_log *log,
		     struct vm_childlog_limit *limit, const char *name, int *child_fd)
{
	int ends[2];
	int ret;

	memset(c, 0, sizeof(*c));
	c->fd = -1;
	c->loop = loop;
	c->log = log;
	c->limit = limit;
	c->name = name;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		return -errno;
	}
	ret = vmm_loop_add_fd(loop, ends[0], VMM_LOOP_READABLE, on_readable, c, &c->source);
	if (ret < 0) {
		(void)close(ends[0]);
		(void)close(ends[1]);
		return ret;
	}
	c->fd = ends[0];
	*child_fd = ends[1];
	return 0;
}

void vm_childlog_close(struct vm_childlog *c)
{
	vm_childlog_drain(c);
	stop_reading(c);
}
