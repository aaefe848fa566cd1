/* SPDX-License-Identifier: MIT */
/*
 * The device of limit: the least that moves the bytes, with nothing checked. Never an example: a
 * guest reads and writes this whole process.
 */
#include "limit.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUES      2
#define SIZE        256u
#define SECTOR      512u
#define NET_HEADER  12
#define DRIVER_OK   4u
#define NO_NOTIFY   1u
#define NET         1u
#define BLK         2u
#define F_BLK_FLUSH (1u << 9)

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct used {
	uint16_t flags;
	uint16_t idx;
	struct {
		uint32_t id;
		uint32_t len;
	} ring[SIZE];
};

struct queue {
	uint32_t size;
	uint32_t where[3]; /* descriptors, available ring, used ring: below 4 GiB */
	uint16_t next;
};

static struct {
	uint8_t *memory;
	int fd;
	uint32_t id;
	uint64_t capacity;
	uint32_t feature_select;
	uint32_t queue_select;
	uint32_t status;
	struct queue queues[QUEUES];
} dev;

/* ---- the data path ---- */

static ssize_t carry_out(unsigned queue, const struct desc *table, const struct desc *d)
{
	uint8_t *data = dev.memory + d->addr;

	if (dev.id == NET) {
		return queue == 0 ? read(dev.fd, data, d->len) : write(dev.fd, data, d->len);
	}
	const struct desc *second = &table[d->next];
	const uint32_t *header = (const uint32_t *)(const void *)data;
	off_t at = (off_t)header[2] * SECTOR;
	uint8_t *bytes = dev.memory + second->addr;
	ssize_t done = header[0] == 0 ? pread(dev.fd, bytes, second->len, at)
				      : pwrite(dev.fd, bytes, second->len, at);

	dev.memory[table[second->next].addr] = done != (ssize_t)second->len;
	return done + 1;
}

/* Whatever is there, shown to the guest at once: it looks at the index, and each change costs. */
static void serve(unsigned queue)
{
	struct queue *q = &dev.queues[queue];
	const struct desc *table = (const void *)(dev.memory + q->where[0]);
	const uint16_t *avail = (const void *)(dev.memory + q->where[1]);
	struct used *used = (void *)(dev.memory + q->where[2]);
	uint16_t end = __atomic_load_n(&avail[1], __ATOMIC_ACQUIRE);
	uint16_t before = q->next;
	ssize_t len = 0;

	while (q->next != end && len >= 0) {
		uint16_t head = avail[2 + (q->next & (q->size - 1))];

		len = carry_out(queue, table, &table[head]);
		used->ring[q->next & (q->size - 1)].id = head;
		used->ring[q->next & (q->size - 1)].len = (uint32_t)len;
		q->next = (uint16_t)(q->next + (len >= 0)); /* else there was no frame */
	}
	if (q->next != before) {
		__atomic_store_n(&used->idx, q->next, __ATOMIC_RELEASE);
	}
}

static void *look(void *unused)
{
	while (!(__atomic_load_n(&dev.status, __ATOMIC_ACQUIRE) & DRIVER_OK)) {
		__builtin_ia32_pause();
	}
	for (;;) {
		for (unsigned i = 0; i < QUEUES; i++) {
			if (dev.queues[i].size > 0) {
				serve(i);
			}
		}
		__builtin_ia32_pause();
	}
	return unused;
}

/* ---- registers ---- */

static uint32_t get(uint64_t offset)
{
	switch (offset) {
	case 0x00:
		return 0x74726976;
	case 0x04:
		return 2;
	case 0x08:
		return dev.id;
	case 0x10:
		if (dev.feature_select == 1) {
			return 1; /* VERSION_1 */
		}
		return dev.id == BLK ? F_BLK_FLUSH : 0;
	case 0x34:
		return SIZE;
	case 0x70:
		return dev.status;
	case 0x100:
		return dev.id == BLK ? (uint32_t)dev.capacity : 0x02020202;
	default:
		return 0;
	}
}

static void put(uint64_t offset, uint32_t value)
{
	struct queue *q = &dev.queues[dev.queue_select % QUEUES];

	switch (offset) {
	case 0x14:
		dev.feature_select = value;
		break;
	case 0x30:
		dev.queue_select = value;
		break;
	case 0x38:
		q->size = value;
		break;
	case 0x44:
		((struct used *)(void *)(dev.memory + q->where[2]))->flags = NO_NOTIFY;
		break;
	case 0x70:
		__atomic_store_n(&dev.status, value, __ATOMIC_RELEASE);
		break;
	case 0x80:
	case 0x90:
	case 0xa0:
		q->where[offset / 0x10 - 8] = value;
		break;
	default:
		break;
	}
}

void device_access(struct kvm_run *run)
{
	uint64_t offset = run->mmio.phys_addr - LIMIT_MMIO;
	uint32_t value = 0;

	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, sizeof(value));
		put(offset, value);
	} else {
		value = get(offset & ~3u) >> (offset % 4 * 8);
		memcpy(run->mmio.data, &value, sizeof(value));
	}
}

/* ---- start ---- */

static int open_tap(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int size = NET_HEADER;

	(void)strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, TUNSETIFF, &ifr) == 0 && ioctl(fd, TUNSETVNETHDRSZ, &size) == 0 ? fd : -1;
}

void device_start(uint8_t *memory, const char *kind, const char *path)
{
	struct stat st = {0};
	pthread_t thread;

	dev.memory = memory;
	dev.id = strcmp(kind, "blk") == 0 ? BLK : NET;
	dev.fd = dev.id == BLK ? open(path, O_RDWR | O_CLOEXEC) : open_tap(path);
	if (dev.fd < 0 || fstat(dev.fd, &st) != 0 ||
	    pthread_create(&thread, NULL, look, NULL) != 0) {
		(void)fprintf(stderr, "limit: %s\n", path);
		exit(1);
	}
	dev.capacity = (uint64_t)st.st_size / SECTOR;
}
