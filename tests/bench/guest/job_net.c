/* SPDX-License-Identifier: MIT */
/* Frames: sent as fast as they are taken, sent back, or counted. */
#include <stddef.h>

#include "io.h"

#define F_MAC      (UINT64_C(1) << 5)
#define RX         0u
#define TX         1u
#define HEADER     12u /* struct virtio_net_hdr */
#define MAC        6u
#define ETH        14u
#define TYPE_HIGH  0x88u /* an EtherType for experiments, so that nobody else's frames count */
#define TYPE_LOW   0xb5u
#define STRIDE     2048u
#define KICK_EVERY 64u

static struct queue rx;
static struct queue tx;
static uint8_t mac[MAC];

static uint8_t *buffer(unsigned i)
{
	return arena + (size_t)i * STRIDE;
}

static void start(void)
{
	struct virtio v;

	find_device(VIRTIO_NET, &v);
	if (!virtio_begin(&v, F_MAC) || !queue_start(&rx, &v, RX, QUEUE_SIZE_MAX) ||
	    !queue_start(&tx, &v, TX, QUEUE_SIZE_MAX)) {
		give_up("the card does not start");
	}
	for (unsigned i = 0; i < MAC; i++) {
		mac[i] = get8(v.config + i);
	}
	for (unsigned i = 0; i < QUEUE_SIZE_MAX; i++) {
		fill_bytes(buffer(i), 0, STRIDE);
		rx.desc[i] = (struct virtio_desc){
			.addr = (uint64_t)buffer(i),
			.len = STRIDE,
			.flags = VIRTIO_DESC_WRITE,
		};
		tx.desc[i].addr = (uint64_t)buffer(i);
	}
	if (!virtio_ready(&v)) {
		give_up("the card does not start");
	}
}

static uint8_t *ethernet(unsigned i)
{
	return buffer(i) + HEADER;
}

/* ---- transmit ---- */

static void make_frame(unsigned i, uint32_t len)
{
	uint8_t *eth = ethernet(i);

	for (unsigned k = 0; k < MAC; k++) {
		eth[k] = 0xff;
		eth[MAC + k] = mac[k];
	}
	eth[2 * MAC] = TYPE_HIGH;
	eth[2 * MAC + 1] = TYPE_LOW;
	tx.desc[i].len = HEADER + len;
}

/* Takes what has come back; how many. */
static uint64_t take_back(void)
{
	uint64_t n = 0;

	for (; queue_has_done(&tx); n++) {
		(void)queue_take(&tx, NULL);
	}
	return n;
}

/* Keeps the ring full until n or some more have come back; how many. */
static uint64_t send(uint64_t n)
{
	uint64_t done = 0;

	while (done < n) {
		unsigned fresh = 0;

		while ((uint16_t)(tx.offered - tx.taken) < tx.size && fresh < KICK_EVERY) {
			queue_offer(&tx, tx.offered & (tx.size - 1u));
			fresh++;
		}
		if (fresh > 0) {
			queue_kick(&tx);
		} else {
			pause_once();
		}
		done += take_back();
	}
	return done;
}

void job_transmit(void)
{
	uint32_t len = (uint32_t)option("len", 64);
	uint64_t n = option("n", 100000);
	uint64_t began;
	uint64_t sent;

	if (len < ETH || len > STRIDE - HEADER) {
		give_up("len");
	}
	start();
	for (unsigned i = 0; i < tx.size; i++) {
		make_frame(i, len);
	}
	sent = send(n / 20 + 1);
	tx.kicks = 0;
	began = now();
	n = send(n);
	print("rate", rate(n, now() - began));
	print("kicks", tx.kicks);
	sent += n;
	while (tx.taken != tx.offered) {
		sent += take_back();
	}
	print("sent", sent);
}

/* ---- receive, echo ---- */

static bool is_ours(unsigned i)
{
	return ethernet(i)[2 * MAC] == TYPE_HIGH && ethernet(i)[2 * MAC + 1] == TYPE_LOW;
}

static void offer_all(void)
{
	for (uint16_t i = 0; i < rx.size; i++) {
		queue_offer(&rx, i);
	}
	queue_kick(&rx);
	print("ready", 1);
}

static void send_back(uint16_t i, uint32_t len)
{
	uint8_t *eth = ethernet(i);

	for (unsigned k = 0; k < MAC; k++) {
		uint8_t byte = eth[k];

		eth[k] = eth[MAC + k];
		eth[MAC + k] = byte;
	}
	fill_bytes(buffer(i), 0, HEADER);
	tx.desc[i].len = len;
	queue_offer(&tx, i);
	queue_kick(&tx);
	while (!queue_has_done(&tx)) {
		pause_once();
	}
	(void)queue_take(&tx, NULL);
}

/* Takes n frames of ours; how long that took from the first. */
static uint64_t take_frames(uint64_t n, bool echo)
{
	uint64_t began = 0;

	while (n > 0) {
		while (!queue_has_done(&rx)) {
			pause_once();
		}
		while (n > 0 && queue_has_done(&rx)) {
			uint32_t len;
			uint16_t i = queue_take(&rx, &len);

			if (i < rx.size && is_ours(i)) {
				began = began ? began : now();
				n--;
				if (echo) {
					send_back(i, len);
				}
			}
			queue_offer(&rx, i);
		}
		queue_kick(&rx);
	}
	return now() - began;
}

void job_echo(void)
{
	start();
	offer_all();
	(void)take_frames(option("n", 1000), true);
}

void job_receive(void)
{
	uint64_t n = option("n", 1000);

	start();
	offer_all();
	print("rate", rate(n, take_frames(n, false)));
}
