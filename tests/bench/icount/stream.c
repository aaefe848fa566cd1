/* SPDX-License-Identifier: MIT */
/*
 * In the guests of the row tcp: `stream receive` takes what one connection brings and answers its
 * end with a byte; `stream send ADDRESS MIB` sends so much and waits for that answer, between two
 * marks. Linked to an address, so that none of its own instructions look like a VMM's (plugin.c).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mark.h"

#define PORT     5000
#define TRIES    600
#define PIECE    65536
#define PER_MIB  (1048576 / PIECE)
#define PAUSE_US 100000

static char piece[PIECE];

static struct sockaddr_in address(const char *text)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	(void)inet_pton(AF_INET, text, &a.sin_addr);
	return a;
}

static int receive(void)
{
	const struct sockaddr_in any = address("0.0.0.0");
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	long long bytes = 0;
	ssize_t got;
	int fd;

	if (bind(listener, (const struct sockaddr *)&any, sizeof(any)) != 0 ||
	    listen(listener, 1) != 0) {
		return 1;
	}
	fd = accept(listener, NULL, NULL);
	while ((got = read(fd, piece, sizeof(piece))) > 0) {
		bytes += got;
	}
	(void)printf("received %lld\n", bytes);
	return got == 0 && write(fd, "k", 1) == 1 ? 0 : 1;
}

/* Until the other guest has come up. */
static int reach(const struct sockaddr_in *there)
{
	for (int i = 0; i < TRIES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (const struct sockaddr *)there, sizeof(*there)) == 0) {
			return fd;
		}
		(void)close(fd);
		(void)usleep(PAUSE_US);
	}
	return -1;
}

static int send_all(int fd, int mib)
{
	char answer;

	for (int i = 0; i < mib * PER_MIB; i++) {
		for (size_t done = 0; done < sizeof(piece);) {
			ssize_t put = write(fd, piece + done, sizeof(piece) - done);

			if (put <= 0) {
				return 1;
			}
			done += (size_t)put;
		}
	}
	return shutdown(fd, SHUT_WR) == 0 && read(fd, &answer, 1) == 1 ? 0 : 1;
}

static int send_to(const char *where, int mib)
{
	const struct sockaddr_in there = address(where);
	int fd = reach(&there);
	int ret;

	if (fd < 0) {
		return 1;
	}
	MARK(MARK_GUEST);
	ret = send_all(fd, mib);
	MARK(MARK_GUEST + 1);
	return ret;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "receive") == 0) {
		return receive();
	}
	if (argc == 4 && strcmp(argv[1], "send") == 0) {
		return send_to(argv[2], atoi(argv[3]));
	}
	(void)fprintf(stderr, "usage: stream receive | send ADDRESS MIB\n");
	return 2;
}
