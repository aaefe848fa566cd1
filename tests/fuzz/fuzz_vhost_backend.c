/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user back end with a hostile front end: messages in any order, with any field, size,
 * flags and descriptors, whole or in pieces; rings and a record of chains in flight that change at
 * any time; connections that end anywhere. Beside what the judge says of the rings:
 *   - what comes back is a message of the protocol, and there are no more than were asked for,
 *   - the connection ends at most once, and no descriptor outlives it,
 *   - a device that maps shared memory is told what came of it in time (which passes when it
 * waits), and what it asked for was a message of the protocol,
 *   - afterwards another connection is served as if nothing had been.
 *
 * Most messages are good ones with a few bytes of them changed, so that they lead somewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/vhost_backend.h>

#include "input.h"
#include "judge.h"
#include "patience.h"
#include "testdev.h"
#include "vhost/proto.h"

#define STEPS_MAX   256u
#define REGIONS     3u
#define REGION_SIZE 0x10000u
#define RING_SIZE   16u
#define GUEST(r)    (UINT64_C(0x100000) * ((r) + 1))
#define USER(r)     (UINT64_C(0x700000000000) + UINT64_C(0x100000) * (r))
#define DESC(q)     (0x1000u * (q))
#define AVAIL(q)    (DESC(q) + 0x400u)
#define USED(q)     (DESC(q) + 0x800u)
#define FEATURES                                                                            \
	(VHOST_USER_F_PROTOCOL_FEATURES | VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_EVENT_IDX | \
	 VMM_VIRTIO_F_INDIRECT_DESC | TESTDEV_FEATURE)
#define REPLY_MAX   2304u
#define MESSAGE_MAX 2304u
#define SHM_ID      1
#define SHM_LEN     UINT64_C(0x100000)
#define PROTOCOL    (VHOST_PROTOCOL_FEATURES | VHOST_USER_PROTOCOL_F_SHMEM)
#define DEADLINE_NS UINT64_C(5000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	unsigned fd_count;
	int fds[VHOST_USER_MEM_REGIONS + 2];
};

/* Made once. */
static struct {
	struct vmm_loop *loop;
	struct testdev dev;
	int files[REGIONS];
	uint8_t *memory[REGIONS]; /* as the front end sees it */
	int record_file;
	uint8_t *record;
	int kicks[TESTDEV_QUEUES];
	int call; /* of all rings */
	struct vmm_virtio_ops ops;
	int (*activate)(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active);
	void (*notify)(struct vmm_virtio_device *dev, unsigned queue);
	int channel[2]; /* the front end's and the back end's end of it */

	/* One input's. */
	struct fuzz_input *in;
	struct vmm_vhost_backend *backend;
	int fd; /* of the front end */
	unsigned asked;
	unsigned closed;
	bool out_of_step; /* a part of a message was sent, or more than one */
	unsigned mapping; /* what the device does next with its shared memory */
	bool good;        /* the front end answers as it should */
} f;

/* ---- what is made once ---- */

static int make_file(size_t size, uint8_t **memory)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	REQUIRE(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	REQUIRE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	*memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(*memory != MAP_FAILED);
	return fd;
}

static int make_event(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	REQUIRE(fd >= 0);
	return fd;
}

static void use_shm(struct vmm_virtio_device *dev)
{
	unsigned what = f.mapping++ % 8;
	uint64_t offset = what / 2 * VMM_VIRTIO_SHM_PAGE;
	int ret = what % 2 == 0 ? vmm_virtio_shm_map(dev, SHM_ID, offset, f.files[0], 0,
						     VMM_VIRTIO_SHM_PAGE, true)
				: vmm_virtio_shm_unmap(dev, SHM_ID, offset, VMM_VIRTIO_SHM_PAGE);

	REQUIRE(ret <= 0 && ret != -EINVAL && ret != -ENOTCONN);
	REQUIRE(ret == 0 || !f.good);
}

static int activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	int ret = f.activate(dev, active);

	if (ret == 0) {
		use_shm(dev);
	}
	return ret;
}

static void notify(struct vmm_virtio_device *dev, unsigned queue)
{
	use_shm(dev);
	f.notify(dev, queue);
}

static void add_shm(void)
{
	static const struct vmm_virtio_shm shm[] = {{.id = SHM_ID, .len = SHM_LEN}};

	f.ops = *f.dev.base.ops;
	f.activate = f.ops.activate;
	f.notify = f.ops.notify;
	f.ops.activate = activate;
	f.ops.notify = notify;
	f.dev.base.ops = &f.ops;
	f.dev.base.shm = shm;
	f.dev.base.shm_count = 1;
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, f.channel) == 0);
}

static void answer(void);

static void set_up(void)
{
	if (f.loop) {
		return;
	}
	patience = (struct patience){.longest_ns = DEADLINE_NS, .meanwhile = answer};
	(void)signal(SIGPIPE, SIG_IGN);
	REQUIRE(vmm_loop_create(&f.loop) == 0);
	testdev_init(&f.dev);
	f.dev.echo = true;
	add_shm();
	for (unsigned i = 0; i < REGIONS; i++) {
		f.files[i] = make_file(REGION_SIZE, &f.memory[i]);
	}
	f.record_file = make_file(REGION_SIZE, &f.record);
	for (unsigned i = 0; i < TESTDEV_QUEUES; i++) {
		f.kicks[i] = make_event();
	}
	f.call = make_event();
}

/* What is sealed stays mapped until the process ends: not here, a million times over. */
int __wrap_vmm_mem_seal(struct vmm_mem *mem);

int __wrap_vmm_mem_seal(struct vmm_mem *mem)
{
	return mem ? -ENOSYS : 0;
}

static void on_closed(void *ctx, int why)
{
	(void)ctx;
	REQUIRE(why <= 0);
	f.closed++;
	REQUIRE(f.closed == 1);
}

/* What was said on it before is nobody's. */
static void drain_channel(void)
{
	uint8_t rest[4096];

	for (unsigned i = 0; i < 2; i++) {
		while (recv(f.channel[i], rest, sizeof(rest), 0) > 0) {
		}
	}
}

static void connect_it(bool sealed)
{
	struct vmm_vhost_backend_config config = {
		.loop = f.loop, .sealed_after_start = sealed, .on_closed = on_closed};
	int fds[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	config.fd = fds[0];
	f.fd = fds[1];
	f.closed = 0;
	f.asked = 0;
	f.out_of_step = false;
	drain_channel();
	REQUIRE(vmm_vhost_backend_create(&f.backend, &f.dev.base, &config, NULL) == 0);
}

static void disconnect(void)
{
	vmm_vhost_backend_destroy(f.backend);
	f.backend = NULL;
	(void)close(f.fd);
	REQUIRE(f.dev.active.queues == NULL);
}

static void run_loop(void)
{
	for (unsigned i = 0; i < 100 && vmm_loop_dispatch(f.loop, 0) > 0; i++) {
	}
}

/* ---- messages ---- */

/* Bytes on the wire, cut in two at `cut`; descriptors come with the first. */
static void send_bytes(const struct message *m, size_t len, size_t cut)
{
	union {
		uint8_t bytes[CMSG_SPACE(sizeof(m->fds))];
		struct cmsghdr align;
	} control = {0};
	uint8_t bytes[MESSAGE_MAX] = {0};
	struct iovec iov = {bytes, cut > 0 && cut < len ? cut : len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(bytes, &m->header, sizeof(m->header));
	memcpy(bytes + sizeof(m->header), &m->payload, sizeof(m->payload));
	if (m->fd_count > 0) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(m->fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), m->fds, m->fd_count * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(m->fd_count * sizeof(int));
	}
	(void)!sendmsg(f.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (iov.iov_len < len) {
		run_loop();
		(void)!send(f.fd, bytes + iov.iov_len, len - iov.iov_len,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static void fill_region(struct vhost_user_region *r, unsigned which)
{
	r->guest_addr = GUEST(which);
	r->size = REGION_SIZE;
	r->user_addr = USER(which);
	r->mmap_offset = 0;
}

static void add_fd(struct message *m, int fd)
{
	if (m->fd_count < sizeof(m->fds) / sizeof(m->fds[0])) {
		m->fds[m->fd_count++] = fd;
	}
}

static void fill_addr(struct vhost_user_vring_addr *a, unsigned queue)
{
	a->index = queue;
	a->desc = USER(0) + DESC(queue);
	a->avail = USER(0) + AVAIL(queue);
	a->used = USER(0) + USED(queue);
}

static void fill_inflight(struct vhost_user_inflight *d)
{
	d->mmap_size = REGION_SIZE;
	d->queue_count = TESTDEV_QUEUES;
	d->queue_size = RING_SIZE;
}

/* What belongs into a message of that kind about that queue. Returns the size of its payload. */
static size_t fill(struct message *m, uint32_t request, unsigned queue)
{
	union vhost_user_payload *p = &m->payload;

	switch (request) {
	case VHOST_USER_SET_FEATURES:
		p->u64 = FEATURES;
		return 8;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		p->u64 = PROTOCOL;
		return 8;
	case VHOST_USER_SET_STATUS:
		p->u64 = 15;
		return 8;
	case VHOST_USER_SET_MEM_TABLE:
		p->mem.count = 2;
		for (unsigned i = 0; i < 2; i++) {
			fill_region(&p->mem.regions[i], i);
			add_fd(m, f.files[i]);
		}
		return 8 + 2 * sizeof(p->mem.regions[0]);
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		fill_region(&p->reg.region, 2);
		if (request == VHOST_USER_ADD_MEM_REG) {
			add_fd(m, f.files[2]);
		}
		return sizeof(p->reg);
	case VHOST_USER_SET_VRING_ADDR:
		fill_addr(&p->addr, queue);
		return sizeof(p->addr);
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
		p->state.index = queue;
		p->state.num = request == VHOST_USER_SET_VRING_NUM
				       ? RING_SIZE
				       : request == VHOST_USER_SET_VRING_ENABLE;
		return sizeof(p->state);
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		p->u64 = queue;
		add_fd(m, request == VHOST_USER_SET_VRING_KICK ? f.kicks[queue % TESTDEV_QUEUES]
							       : f.call);
		return 8;
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		p->config.size = TESTDEV_CONFIG_LEN;
		return 12 + TESTDEV_CONFIG_LEN;
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		fill_inflight(&p->inflight);
		if (request == VHOST_USER_SET_INFLIGHT_FD) {
			add_fd(m, f.record_file);
		}
		return sizeof(p->inflight);
	case VHOST_USER_SET_BACKEND_REQ_FD:
		add_fd(m, f.channel[1]);
		return 0;
	default:
		return 0;
	}
}

static void make(struct message *m, uint32_t request, unsigned queue)
{
	memset(m, 0, sizeof(*m));
	m->header.request = request;
	m->header.flags = VHOST_USER_VERSION;
	m->header.size = (uint32_t)fill(m, request, queue);
}

static void send_good(uint32_t request, unsigned queue)
{
	struct message m;

	make(&m, request, queue);
	f.asked++;
	send_bytes(&m, sizeof(m.header) + m.header.size, 0);
}

/* ---- the channel: what the device asks, and what it is told ---- */

/* One request of the back end's; false: there is none. */
static bool read_request(struct vhost_user_header *header)
{
	union {
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct vhost_user_mmap m;
	struct iovec iov[2] = {{header, sizeof(*header)}, {&m, sizeof(m)}};
	struct msghdr msg = {.msg_iov = iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(f.channel[0], &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	unsigned fds = 0;

	if (got <= 0) {
		return false;
	}
	REQUIRE(got == (ssize_t)sizeof(*header) && header->size <= sizeof(m));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		int fd;

		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		(void)close(fd);
		fds++;
	}
	if (header->request == VHOST_USER_BACKEND_CONFIG_CHANGE_MSG) {
		REQUIRE(header->size == 0 && fds == 0);
		return true;
	}
	REQUIRE(header->request == VHOST_USER_BACKEND_SHMEM_MAP ||
		header->request == VHOST_USER_BACKEND_SHMEM_UNMAP);
	REQUIRE(header->flags == (VHOST_USER_VERSION | VHOST_USER_NEED_REPLY));
	REQUIRE(fds == (header->request == VHOST_USER_BACKEND_SHMEM_MAP));
	REQUIRE(header->size == sizeof(m) && recv(f.channel[0], &m, sizeof(m), 0) == sizeof(m));
	REQUIRE(m.id == SHM_ID && m.len == VMM_VIRTIO_SHM_PAGE && m.shm_offset < SHM_LEN);
	return true;
}

/* A good answer to each request, with a few changes to it, or none. */
static void answer(void)
{
	struct vhost_user_header asked;

	while (read_request(&asked)) {
		uint8_t bytes[sizeof(asked) + 16] = {0};
		size_t len = sizeof(asked) + sizeof(uint64_t);
		uint8_t how = f.good ? 0 : fuzz_u8(f.in);
		struct vhost_user_header header = {
			asked.request, VHOST_USER_VERSION | VHOST_USER_REPLY, sizeof(uint64_t)};

		if ((asked.flags & VHOST_USER_NEED_REPLY) == 0 || how >= 0xf0) {
			continue;
		}
		memcpy(bytes, &header, sizeof(header));
		for (unsigned i = how >> 6; i > 0; i--) {
			bytes[fuzz_u8(f.in) % sizeof(bytes)] = fuzz_u8(f.in);
		}
		len = how >> 6 == 3 ? fuzz_u8(f.in) % (sizeof(bytes) + 1) : len;
		(void)!send(f.channel[0], bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

/* The payload and the descriptors are of that kind of message, as far as it can be seen. */
static bool is_whole(const struct message *m)
{
	const union vhost_user_payload *p = &m->payload;
	uint32_t size = m->header.size;
	struct message good;

	make(&good, m->header.request, 0);
	switch (m->header.request) {
	case VHOST_USER_SET_MEM_TABLE:
		return m->fd_count <= VHOST_USER_MEM_REGIONS && p->mem.count == m->fd_count &&
		       size == 8 + m->fd_count * sizeof(p->mem.regions[0]);
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		/* Before it was agreed upon it is refused, whatever it says. */
		return size > 12 && size <= sizeof(p->config) && m->fd_count == 0;
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		return (size == 20 || size == 24) && m->fd_count == good.fd_count;
	case VHOST_USER_REM_MEM_REG:
		return size == good.header.size && m->fd_count <= 1;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return size == 8 && m->fd_count == (p->u64 & VHOST_USER_VRING_NOFD ? 0 : 1);
	default:
		return size == good.header.size && m->fd_count == good.fd_count;
	}
}

/* What is no message of the protocol ends the connection. */
static void check_closed(const struct message *m, size_t len)
{
	bool version = (m->header.flags & ~VHOST_USER_NEED_REPLY) == VHOST_USER_VERSION;

	run_loop();
	f.out_of_step |= len != sizeof(m->header) + m->header.size;
	if (!f.out_of_step && (!version || !is_whole(m))) {
		REQUIRE(f.closed == 1);
	}
}

/* A good message, and a few changes to it. */
static void step_message(void)
{
	uint8_t how = fuzz_u8(f.in);
	struct message m;
	size_t len;

	make(&m, fuzz_u8(f.in) % 46, how % 5);
	m.header.flags |= how & 0x20 ? VHOST_USER_NEED_REPLY : 0;
	len = sizeof(m.header) + m.header.size;
	for (unsigned i = how >> 6; i > 0; i--) {
		uint16_t place = fuzz_u16(f.in);
		/* Mostly in what is sent. */
		size_t at = place % (place & 0x8000 ? sizeof(m.header) + sizeof(m.payload) : len);
		uint8_t *p = at < sizeof(m.header)
				     ? (uint8_t *)&m.header + at
				     : (uint8_t *)&m.payload + (at - sizeof(m.header));

		*p = fuzz_u8(f.in);
	}
	if (how >> 6 == 3) {
		uint8_t more = fuzz_u8(f.in);

		m.fd_count = more % (sizeof(m.fds) / sizeof(m.fds[0]) + 1);
		for (unsigned i = 0; i < m.fd_count; i++) {
			m.fds[i] = more & 0x80 ? f.call : f.files[0];
		}
		len = fuzz_u16(f.in) % MESSAGE_MAX;
	} else if (how >> 6 == 2) {
		/* Another size than its own, and as many bytes. */
		m.header.size = fuzz_u16(f.in) % (MESSAGE_MAX - sizeof(m.header));
		len = sizeof(m.header) + m.header.size;
	}
	f.asked++;
	send_bytes(&m, len, how & 0x10 ? fuzz_u8(f.in) : 0);
	check_closed(&m, len);
}

/* Everything that makes queues run. */
static void step_start(uint8_t queues)
{
	static const uint32_t first[] = {
		VHOST_USER_GET_FEATURES,          VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_SET_OWNER,
		VHOST_USER_SET_FEATURES,          VHOST_USER_SET_MEM_TABLE,
	};
	static const uint32_t each[] = {
		VHOST_USER_SET_VRING_NUM,  VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_BASE,
		VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_ENABLE,
	};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		send_good(first[i], 0);
	}
	if (queues & 0x10) {
		send_good(VHOST_USER_SET_INFLIGHT_FD, 0);
	}
	for (unsigned q = 0; q < TESTDEV_QUEUES; q++) {
		for (size_t i = 0; (queues >> q & 1) && i < sizeof(each) / sizeof(each[0]); i++) {
			send_good(each[i], q);
		}
	}
	send_good(VHOST_USER_SET_STATUS, 0);
	run_loop();
}

/* Replies are messages of the protocol, and not more of them than there were requests. */
static unsigned read_replies(void)
{
	union {
		uint8_t bytes[CMSG_SPACE(VHOST_USER_MEM_REGIONS * sizeof(int))];
		struct cmsghdr align;
	} control;
	unsigned count = 0;

	for (;;) {
		struct vhost_user_header header;
		uint8_t payload[REPLY_MAX];
		struct iovec iov = {&header, sizeof(header)};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = &control,
				     .msg_controllen = sizeof(control)};
		ssize_t got = recvmsg(f.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (got <= 0) {
			break;
		}
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			REQUIRE(header.request == VHOST_USER_GET_INFLIGHT_FD);
			(void)close(fd);
		}
		REQUIRE(got == (ssize_t)sizeof(header) && header.size <= REPLY_MAX);
		REQUIRE(header.flags == (VHOST_USER_VERSION | VHOST_USER_REPLY));
		if (header.size > 0) {
			got = recv(f.fd, payload, header.size, MSG_DONTWAIT);
			REQUIRE(got == (ssize_t)header.size);
		}
		count++;
	}
	return count;
}

/* ---- memory ---- */

static void put(uint8_t *p, unsigned len, uint64_t value)
{
	memcpy(p, &value, len);
}

static void offer(unsigned queue, const char *word)
{
	uint8_t *ring = f.memory[0] + DESC(queue);
	uint16_t idx;

	memcpy(&idx, f.memory[0] + AVAIL(queue) + 2, sizeof(idx));
	for (unsigned i = 0; i < 2; i++) {
		put(ring + 16 * i, 8, GUEST(1) + 64 * i);
		put(ring + 16 * i + 8, 4, 4);
		put(ring + 16 * i + 12, 2, i == 0 ? 1 : 2);
		put(ring + 16 * i + 14, 2, 1);
	}
	memcpy(f.memory[1], word, 4);
	put(f.memory[0] + AVAIL(queue) + 4 + 2 * (idx % RING_SIZE), 2, 0);
	put(f.memory[0] + AVAIL(queue) + 2, 2, idx + 1u);
}

static void kick(unsigned queue)
{
	uint64_t one = 1;

	(void)!write(f.kicks[queue], &one, sizeof(one));
}

static void step_write(uint8_t where)
{
	uint8_t *base = where & 0x80 ? f.record : f.memory[where % REGIONS];
	size_t at = fuzz_u16(f.in) % (REGION_SIZE - 8);
	uint8_t bytes[8];

	/* Mostly where the rings are. */
	at = where & 0x40 ? at : at % 0x4000;
	fuzz_bytes(f.in, bytes, sizeof(bytes));
	memcpy(base + at, bytes, 1 + where / 8 % 8);
}

static void step(void)
{
	uint8_t op = fuzz_u8(f.in);

	switch (op % 16) {
	case 0:
	case 1:
		step_start(fuzz_u8(f.in));
		break;
	case 2:
		offer(op / 16 % TESTDEV_QUEUES, "word");
		kick(op / 16 % TESTDEV_QUEUES);
		break;
	case 3:
		kick(op / 16 % TESTDEV_QUEUES);
		break;
	case 4:
	case 5:
		step_write(fuzz_u8(f.in));
		break;
	case 6:
		(void)vmm_virtio_config_update(&f.dev.base, op / 16, "new", 3);
		break;
	case 7:
		if (op == 7) {
			disconnect();
			connect_it(fuzz_u8(f.in) & 1);
		} else if (op == 23) {
			(void)shutdown(f.fd, SHUT_RDWR);
			f.out_of_step = true;
		} else if (op == 39) {
			vmm_virtio_fail(&f.dev.base, "it felt like it");
		}
		break;
	default:
		step_message();
		break;
	}
	run_loop();
	REQUIRE(read_replies() <= f.asked);
}

/* After all of it, a front end that follows the rules is served. */
static void check_it_still_works(void)
{
	for (unsigned i = 0; i < REGIONS; i++) {
		memset(f.memory[i], 0, REGION_SIZE);
	}
	memset(f.record, 0, REGION_SIZE);
	f.good = true;
	f.mapping = 0;
	connect_it(true);
	send_good(VHOST_USER_SET_PROTOCOL_FEATURES, 0);
	send_good(VHOST_USER_SET_BACKEND_REQ_FD, 0);
	run_loop();
	step_start(0x1f);
	offer(1, "echo");
	kick(1);
	run_loop();
	REQUIRE(read_replies() == 2);
	REQUIRE(memcmp(f.memory[1] + 64, "echo", 4) == 0);
	REQUIRE(f.memory[0][USED(1) + 2] == 1 && f.memory[0][USED(1) + 8] == 4);
	REQUIRE(f.closed == 0 && f.mapping > 1);
	disconnect();
	f.good = false;
}

static void run(struct fuzz_input *in)
{
	uint64_t count;

	judge_rules(JUDGE_ALL & ~(JUDGE_LOOP | JUDGE_RECORD | JUDGE_WRITTEN));
	judge_reset();
	f.in = in;
	connect_it(fuzz_u8(in) & 1);
	for (unsigned i = 0; i < STEPS_MAX && in->size > 0; i++) {
		step();
	}
	disconnect();
	for (unsigned i = 0; i < TESTDEV_QUEUES; i++) {
		(void)!read(f.kicks[i], &count, sizeof(count));
	}
	(void)!read(f.call, &count, sizeof(count));
	check_it_still_works();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in;

	set_up();
	do {
		in = (struct fuzz_input){data, size};
		run(&in);
	} while (judge_again());
	return 0;
}
