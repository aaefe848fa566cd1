/* SPDX-License-Identifier: MIT */
/* A Wayland client without a library, its socket being the channel: globals, a red window, many
 * clients, hang-ups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "probe.h"

/* Object ids; those of globals are bound to these. */
enum {
	DISPLAY = 1,
	REGISTRY,
	SYNC,
	COMPOSITOR,
	SHM,
	WM_BASE,
	SURFACE,
	XDG_SURFACE,
	TOPLEVEL,
	FIRST_FREE
};

struct client {
	struct context context;
	uint8_t in[2 * PAGE]; /* what came and is not taken yet; messages need not come whole */
	size_t used;
	uint32_t names[FIRST_FREE]; /* of the globals that are bound */
	uint32_t next_id;
};

struct event {
	uint32_t object;
	uint16_t opcode;
	uint16_t size; /* of args, in bytes */
	uint32_t args[PAGE / 4];
};

static void client_open(struct client *client)
{
	memset(client, 0, sizeof(*client));
	client->next_id = FIRST_FREE;
	channel_open(&client->context);
	channel_poll(&client->context);
}

/* Takes the next message out of what has come. */
static bool take(struct client *client, struct event *event)
{
	uint32_t head[2];
	size_t size;

	if (client->used < sizeof(head)) {
		return false;
	}
	memcpy(head, client->in, sizeof(head));
	size = head[1] >> 16;
	if (size < sizeof(head) || size > PAGE) {
		fail("a message of %zu bytes", size);
	}
	if (client->used < size) {
		return false;
	}
	event->object = head[0];
	event->opcode = (uint16_t)(head[1] & 0xffff);
	event->size = (uint16_t)(size - sizeof(head));
	memcpy(event->args, client->in + sizeof(head), event->size);
	client->used -= size;
	memmove(client->in, client->in + size, client->used);
	return true;
}

/* The next event: 1; 0 when the host has hung up; -1 when the time was up (negative: it never is).
 */
static int next(struct client *client, struct event *event, int seconds)
{
	struct message message;

	while (!take(client, event)) {
		if (!channel_wait(&client->context, &message, seconds)) {
			return -1;
		}
		if (message.cmd != CMD_RECEIVE) {
			fail("message %u in the ring", message.cmd);
		}
		if (message.data_size == 0 && message.num_ids == 0) {
			return 0;
		}
		if (message.data_size > sizeof(message.data) ||
		    message.data_size > sizeof(client->in) - client->used) {
			fail("%u bytes in the ring", message.data_size);
		}
		memcpy(client->in + client->used, message.data, message.data_size);
		client->used += message.data_size;
		channel_poll(&client->context);
	}
	return 1;
}

static bool request_with(struct client *client, uint32_t object, uint16_t opcode,
			 const uint32_t *args, size_t count, const struct blob *blob)
{
	uint32_t words[64] = {object, (uint32_t)((count + 2) * 4) << 16 | opcode};

	memcpy(words + 2, args, count * 4);
	return channel_send(&client->context, words, (count + 2) * 4,
			    blob != NULL ? blob->resource : 0, blob != NULL);
}

#define REQUEST(client, object, opcode, ...)                                  \
	request_with(client, object, opcode, (const uint32_t[]){__VA_ARGS__}, \
		     sizeof((const uint32_t[]){__VA_ARGS__}) / 4, NULL)

/* put_string: as an argument; returns how many words it takes. */
static size_t put_string(uint32_t *words, const char *text)
{
	size_t length = strlen(text) + 1;

	words[0] = (uint32_t)length;
	memset(words + 1, 0, (length + 3) / 4 * 4);
	memcpy(words + 1, text, length);
	return 1 + (length + 3) / 4;
}

static void request_string(struct client *client, uint32_t object, uint16_t opcode,
			   const char *text)
{
	uint32_t words[48];

	request_with(client, object, opcode, words, put_string(words, text), NULL);
}

static void request_bind(struct client *client, uint32_t name, const char *interface,
			 uint32_t version, uint32_t id)
{
	uint32_t words[48] = {name};
	size_t count = 1 + put_string(words + 1, interface);

	words[count++] = version;
	words[count++] = id;
	request_with(client, REGISTRY, 0, words, count, NULL);
}

/* Asks for the globals, prints them if asked to, and keeps the names of three. */
static void globals(struct client *client, bool print)
{
	static const struct {
		const char *interface;
		int id;
	} known[] = {{"wl_compositor", COMPOSITOR}, {"wl_shm", SHM}, {"xdg_wm_base", WM_BASE}};
	struct event event;

	REQUEST(client, DISPLAY, 1, REGISTRY);
	REQUEST(client, DISPLAY, 0, SYNC);
	for (;;) {
		if (next(client, &event, 30) != 1) {
			fail("no globals");
		}
		if (event.object == SYNC) {
			return;
		}
		if (event.object != REGISTRY || event.opcode != 0) {
			continue;
		}
		const char *interface = (const char *)&event.args[2];

		if (print) {
			printf("global %s %u\n", interface,
			       event.args[2 + (event.args[1] + 3) / 4]);
		}
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
			if (strcmp(interface, known[i].interface) == 0) {
				client->names[known[i].id] = event.args[0];
			}
		}
	}
}

/* globals: what the host's compositor offers, one line each. */
int run_globals(int argc, char **argv)
{
	struct client client;

	(void)argc, (void)argv;
	client_open(&client);
	globals(&client, true);
	context_close(&client.context);
	return 0;
}

/* A pool, a buffer, and a commit of one colour. */
static void paint(struct client *client, uint32_t width, uint32_t height, uint32_t colour)
{
	uint32_t pool = client->next_id++, buffer = client->next_id++, stride;
	struct blob blob;

	host_blob(&client->context, width, height, &blob, &stride);
	for (uint32_t y = 0; y < height; y++) {
		uint32_t *row = (uint32_t *)(void *)(blob.map + (size_t)y * stride);

		for (uint32_t x = 0; x < width; x++) {
			row[x] = colour;
		}
	}
	request_with(client, SHM, 0, (const uint32_t[]){pool, (uint32_t)blob.size}, 2, &blob);
	REQUEST(client, pool, 0, buffer, 0, width, height, stride, 1);
	request_with(client, pool, 1, NULL, 0, NULL);
	REQUEST(client, SURFACE, 1, buffer, 0, 0);
	REQUEST(client, SURFACE, 2, 0, 0, width, height);
	request_with(client, SURFACE, 6, NULL, 0, NULL);
	/* The compositor has the file: this side's mapping and object may go. */
	blob_close(client->context.fd, &blob);
}

/* red WIDTH HEIGHT [SECONDS]: a red window, until the host closes it or the time is up. */
int run_red(int argc, char **argv)
{
	uint32_t width = argc > 1 ? number(argv[1]) : 64, height = argc > 2 ? number(argv[2]) : 64;
	double end = argc > 3 ? now() + number(argv[3]) : 1e300;
	struct client client;
	struct event event;
	int got;

	client_open(&client);
	globals(&client, false);
	if (client.names[COMPOSITOR] == 0 || client.names[SHM] == 0 || client.names[WM_BASE] == 0) {
		fail("the host offers no windows");
	}
	request_bind(&client, client.names[COMPOSITOR], "wl_compositor", 1, COMPOSITOR);
	request_bind(&client, client.names[SHM], "wl_shm", 1, SHM);
	request_bind(&client, client.names[WM_BASE], "xdg_wm_base", 1, WM_BASE);
	REQUEST(&client, COMPOSITOR, 0, SURFACE);
	REQUEST(&client, WM_BASE, 2, XDG_SURFACE, SURFACE);
	REQUEST(&client, XDG_SURFACE, 1, TOPLEVEL);
	request_string(&client, TOPLEVEL, 3, "probe");
	request_string(&client, TOPLEVEL, 2, "a red window");
	request_with(&client, SURFACE, 6, NULL, 0, NULL);
	while (now() < end && (got = next(&client, &event, 1)) != 0) {
		if (got < 0) {
			continue;
		}
		if (event.object == DISPLAY && event.opcode == 0) {
			fail("the compositor: object %u, error %u: %s", event.args[0],
			     event.args[1], (const char *)&event.args[3]);
		} else if (event.object == WM_BASE) {
			REQUEST(&client, WM_BASE, 3, event.args[0]);
		} else if (event.object == TOPLEVEL && event.opcode == 0) {
			width = event.args[0] != 0 ? event.args[0] : width;
			height = event.args[1] != 0 ? event.args[1] : height;
		} else if (event.object == TOPLEVEL && event.opcode == 1) {
			break;
		} else if (event.object == XDG_SURFACE && event.opcode == 0) {
			REQUEST(&client, XDG_SURFACE, 4, event.args[0]);
			paint(&client, width, height, 0xffff0000);
			printf("red %ux%u\n", width, height);
			fflush(stdout);
		}
	}
	context_close(&client.context);
	return 0;
}

/* eof: connects, waits until the host hangs up, and then for five seconds more: nothing may come or
 * spin. */
int run_eof(int argc, char **argv)
{
	struct client client;
	struct event event;
	struct message message;
	struct rusage used;

	(void)argc, (void)argv;
	client_open(&client);
	globals(&client, false);
	printf("connected\n");
	fflush(stdout);
	while (next(&client, &event, -1) == 1) {
	}
	printf("eof\n");
	fflush(stdout);
	channel_poll(&client.context);
	if (channel_wait(&client.context, &message, 5)) {
		fail("something came after the end");
	}
	getrusage(RUSAGE_SELF, &used);
	context_close(&client.context);
	printf("closed\n");
	return used.ru_utime.tv_sec + used.ru_stime.tv_sec > 2;
}

/* Whether the host lets a connection bind this name as that interface; if not, it ends it. */
static bool may_bind(uint32_t name, const char *interface, uint32_t version)
{
	struct client client;
	struct event event;
	uint32_t callback;
	bool may;
	int got;

	client_open(&client);
	globals(&client, false);
	/* Ids come without gaps, and what red uses has not been made. */
	client.next_id = SYNC + 1;
	request_bind(&client, name, interface, version, client.next_id++);
	callback = client.next_id++;
	REQUEST(&client, DISPLAY, 0, callback);
	do {
		got = next(&client, &event, 10);
		if (got < 0) {
			fail("neither an answer nor an end");
		}
		may = got == 1 && event.object == callback;
	} while (got == 1 && !may && !(event.object == DISPLAY && event.opcode == 0));
	context_close(&client.context);
	return may;
}

/*
 * bind INTERFACE [VERSION]: to each name that a global could have, as it is not told; a connection
 * for each, as a wrong name ends it. Prints "accepted" if one is taken, else "refused".
 */
int run_bind(int argc, char **argv)
{
	bool accepted = false;

	if (argc < 2) {
		fail("bind what?");
	}
	for (uint32_t name = 1; name <= 64 && !accepted; name++) {
		accepted = may_bind(name, argv[1], argc > 2 ? number(argv[2]) : 1);
	}
	printf("%s\n", accepted ? "accepted" : "refused");
	return 0;
}

/* hold COUNT SECONDS: so many clients at once, each of which gets its globals. */
int run_hold(int argc, char **argv)
{
	uint32_t count = argc > 1 ? number(argv[1]) : 100, seconds = argc > 2 ? number(argv[2]) : 0;
	struct client *clients = calloc(count, sizeof(*clients));

	if (clients == NULL) {
		fail("no memory for %u clients", count);
	}
	for (uint32_t i = 0; i < count; i++) {
		client_open(&clients[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		globals(&clients[i], false);
	}
	printf("held %u\n", count);
	fflush(stdout);
	sleep(seconds);
	for (uint32_t i = 0; i < count; i++) {
		context_close(&clients[i].context);
	}
	free(clients);
	return 0;
}
