/* SPDX-License-Identifier: MIT */
#include "api/events.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#define NS_PER_S UINT64_C(1000000000)

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

void vm_events_init(struct vm_events *events, int fd)
{
	int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;

	events->fd = fd;
	events->start_ns = now_ns();
	if (flags >= 0) {
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	}
}

void vm_events_finish(struct vm_events *events)
{
	if (events->fd >= 0) {
		close(events->fd);
	}
	events->fd = -1;
}

/* Takes properties over, which may be NULL. */
static void emit(struct vm_events *events, const char *source, const char *event,
		 json_t *properties)
{
	uint64_t since = now_ns() - events->start_ns;
	json_t *json;
	char *text;
	char *line;
	size_t len;

	json = json_pack("{s:{s:I,s:I},s:s,s:s,s:o}", "timestamp", "secs",
			 (json_int_t)(since / NS_PER_S), "nanos", (json_int_t)(since % NS_PER_S),
			 "source", source, "event", event, "properties",
			 properties ? properties : json_null());
	text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	line = text ? realloc(text, strlen(text) + 2) : NULL;
	if (!line) {
		free(text);
		return;
	}
	len = strlen(line);
	line[len] = '\n';
	line[len + 1] = '\n';
	/* One write, so that an event is there whole or not at all. */
	(void)!write(events->fd, line, len + 2);
	free(line);
}

void vm_events_emit(struct vm_events *events, const char *source, const char *event)
{
	if (events && events->fd >= 0) {
		emit(events, source, event, NULL);
	}
}

void vm_events_emit_device(struct vm_events *events, const char *event, const char *id)
{
	if (events && events->fd >= 0) {
		emit(events, "vm", event, json_pack("{s:s}", "id", id));
	}
}
