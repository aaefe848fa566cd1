/* SPDX-License-Identifier: MIT */
/*
 * The front end of vhost-user with a hostile back end: answers with any field, size, flags and
 * descriptors, in pieces, late, twice or not at all; requests of its own; a connection that ends
 * anywhere, and others that take its place under a driver that starts, resets and writes
 * configuration.
 *   - what the front end says is a message of the protocol with the descriptors that belong to it,
 *   - it waits no longer than its deadline (time passes when it waits, and only then),
 *   - it is connected, or says that it is not; a driver that nobody serves sees that it needs a
 *     reset, unless another back end is to come,
 *   - what it maps into shared memory lies inside of the region and in no other mapping's place,
 * and only while the device is active; nothing is left after a reset,
 *   - no descriptor outlives it.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/carrier.h>
#include <vmm/vhost_frontend.h>

#include "input.h"
#include "judge.h"
#include "memfix.h"
#include "patience.h"
#include "vhost/proto.h"

#define STEPS_MAX   128u
#define QUEUES      2
#define QUEUE_SIZE  16
#define CONFIG_LEN  12
#define DEADLINE_MS 10
#define FDS_MAX     10
#define SHM_ID      1
#define SHM_PAGES   64u
#define SHM_LEN     (SHM_PAGES * VMM_VIRTIO_SHM_PAGE)
#define PROTOCOL                                                                     \
	(VHOST_USER_PROTOCOL_F_MQ | VHOST_USER_PROTOCOL_F_REPLY_ACK |                \
	 VHOST_USER_PROTOCOL_F_BACKEND_REQ | VHOST_USER_PROTOCOL_F_CONFIG |          \
	 VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD | VHOST_USER_PROTOCOL_F_RESET_DEVICE | \
	 VHOST_USER_PROTOCOL_F_STATUS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct message {
	struct vhost_user_header header;
	union vhost_user_payload payload;
	unsigned fd_count;
	int fds[FDS_MAX];
};

struct irq {
	struct vmm_irq base;
	int fd;
};

static const uint16_t queue_sizes[QUEUES] = {QUEUE_SIZE, QUEUE_SIZE};

static struct {
	/* Made once. */
	struct memfix fix;
	struct vmm_loop *loop;
	uint8_t *rings;
	struct irq irqs[QUEUES];
	int kicks[QUEUES];
	int record;

	/* One input's. */
	struct fuzz_input *in;
	bool waits;
	struct vmm_virtio_device *dev;
	struct vmm_carrier *carrier;
	int back;    /* the back end's end of the connection, -1: closed */
	int channel; /* for its own requests, -1: none yet */
	uint64_t protocol;
	unsigned lost;
	uint64_t dialect;       /* by which it speaks of shared memory; 0: there is none */
	bool mapped[SHM_PAGES]; /* as the front end's carrier has it */
} f = {.back = -1, .channel = -1};

/* ---- what the back end says ---- */

static void send_bytes(int fd, const struct message *m, size_t len)
{
	union {
		uint8_t bytes[CMSG_SPACE(sizeof(m->fds))];
		struct cmsghdr align;
	} control = {0};
	uint8_t bytes[sizeof(m->header) + sizeof(m->payload)];
	struct iovec iov = {bytes, len};
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
	(void)!sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hang_up(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
	}
	*fd = -1;
}

/* ---- shared memory, as the front end's carrier maps it ---- */

static void check_range(uint8_t id, uint64_t offset, uint64_t len, bool is)
{
	REQUIRE(id == SHM_ID && len > 0 && (offset | len) % VMM_VIRTIO_SHM_PAGE == 0);
	REQUIRE(offset < SHM_LEN && len <= SHM_LEN - offset);
	for (uint64_t at = offset; at < offset + len; at += VMM_VIRTIO_SHM_PAGE) {
		bool *page = &f.mapped[at / VMM_VIRTIO_SHM_PAGE];

		REQUIRE(*page == is);
		*page = !is;
	}
}

static int shm_map(void *ctx, uint8_t id, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   bool writable)
{
	(void)ctx;
	(void)writable;
	/* The one file that there is. */
	REQUIRE(fd >= 0 && fd_offset == 0 && len == VMM_VIRTIO_SHM_PAGE);
	check_range(id, offset, len, false);
	return 0;
}

static int shm_unmap(void *ctx, uint8_t id, uint64_t offset, uint64_t len)
{
	(void)ctx;
	check_range(id, offset, len, true);
	return 0;
}

static const struct vmm_carrier_shm_ops shm_ops = {.map = shm_map, .unmap = shm_unmap};

static bool is_anything_mapped(void)
{
	bool is = false;

	for (unsigned i = 0; i < SHM_PAGES; i++) {
		is = is || f.mapped[i];
	}
	return is;
}

/* ---- what the back end says, changed ---- */

/* A good message with a few changes to it, or none at all. */
static void send_changed(int fd, struct message *m)
{
	uint8_t how = fuzz_u8(f.in);
	size_t len = sizeof(m->header) + m->header.size;

	if (how >= 0xf8) {
		hang_up(&f.back);
		return;
	}
	if (how >= 0xf0) {
		return;
	}
	for (unsigned i = how >> 6; i > 0; i--) {
		uint16_t place = fuzz_u16(f.in);
		/* Mostly in what is sent. */
		size_t at = place % (place & 0x8000 ? sizeof(m->header) + sizeof(m->payload) : len);
		uint8_t *p = at < sizeof(m->header)
				     ? (uint8_t *)&m->header + at
				     : (uint8_t *)&m->payload + (at - sizeof(m->header));

		*p = fuzz_u8(f.in);
	}
	if (how >> 6 == 3) {
		m->fd_count = fuzz_u8(f.in) % (FDS_MAX + 1);
		for (unsigned i = 0; i < m->fd_count; i++) {
			m->fds[i] = f.record;
		}
		len = fuzz_u16(f.in) % (sizeof(m->header) + sizeof(m->payload) + 1);
	}
	send_bytes(fd, m, len);
	if ((how & 0x38) == 0x38) {
		send_bytes(fd, m, len);
	}
}

/* The payload that a good back end answers with; false: it does not answer. */
static bool fill(struct message *m, const struct message *request)
{
	m->header.request = request->header.request;
	m->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
	m->header.size = 8;
	switch (request->header.request) {
	case VHOST_USER_GET_FEATURES:
		m->payload.u64 = VHOST_USER_F_PROTOCOL_FEATURES | VMM_VIRTIO_F_VERSION_1 |
				 VMM_VIRTIO_F_EVENT_IDX | 0x21;
		return true;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		m->payload.u64 = PROTOCOL | f.dialect;
		return true;
	case VHOST_USER_GET_SHMEM_CONFIG:
		m->header.size = 8 + 2 * sizeof(m->payload.shmem.sizes[0]);
		m->payload.shmem.count = 1;
		m->payload.shmem.sizes[SHM_ID] = SHM_LEN;
		return true;
	case VHOST_USER_GET_SHMEM_PRIVATE:
		m->header.size = 8 + sizeof(m->payload.shmem_private.regions[0]);
		m->payload.shmem_private.count = 1;
		m->payload.shmem_private.regions[0].id = SHM_ID;
		m->payload.shmem_private.regions[0].len = SHM_LEN;
		return true;
	case VHOST_USER_GET_QUEUE_NUM:
		m->payload.u64 = QUEUES;
		return true;
	case VHOST_USER_GET_CONFIG:
		m->header.size = request->header.size;
		m->payload.config = request->payload.config;
		memset(m->payload.config.bytes, 'c', CONFIG_LEN);
		return true;
	case VHOST_USER_GET_VRING_BASE:
		m->payload.state = request->payload.state;
		return true;
	case VHOST_USER_GET_INFLIGHT_FD:
		m->header.size = sizeof(m->payload.inflight);
		m->payload.inflight = request->payload.inflight;
		m->payload.inflight.mmap_size = 4096;
		m->fds[m->fd_count++] = f.record;
		return true;
	default:
		return (request->header.flags & VHOST_USER_NEED_REPLY) != 0;
	}
}

/* ---- what the front end says ---- */

static void check_request(const struct message *m)
{
	uint64_t queue = m->payload.u64 & VHOST_USER_VRING_IDX_MASK;

	switch (m->header.request) {
	case VHOST_USER_SET_MEM_TABLE:
		REQUIRE(m->fd_count == m->payload.mem.count);
		REQUIRE(m->header.size == 8 + m->fd_count * sizeof(struct vhost_user_region));
		break;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		REQUIRE(m->header.size == 8 && queue < QUEUES);
		REQUIRE(m->fd_count == (m->payload.u64 & VHOST_USER_VRING_NOFD ? 0 : 1));
		break;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		REQUIRE(m->header.size == 0 && m->fd_count == 1);
		break;
	case VHOST_USER_SET_INFLIGHT_FD:
		REQUIRE(m->header.size == sizeof(m->payload.inflight) && m->fd_count == 1);
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		REQUIRE((m->payload.u64 & ~(PROTOCOL | f.dialect)) == 0 || f.in->size > 0);
		break;
	case VHOST_USER_SET_CONFIG:
	case VHOST_USER_GET_CONFIG:
		REQUIRE(m->header.size == 12 + m->payload.config.size);
		REQUIRE(m->payload.config.size <= CONFIG_LEN &&
			m->payload.config.offset <= CONFIG_LEN - m->payload.config.size);
		break;
	default:
		break;
	}
}

/* One request with its descriptors; false: there is none. */
static bool read_request(struct message *m)
{
	union {
		uint8_t bytes[CMSG_SPACE(sizeof(m->fds))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {&m->header, sizeof(m->header)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(f.back, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	memset(&m->payload, 0, sizeof(m->payload));
	m->fd_count = 0;
	if (got <= 0) {
		return false;
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		m->fd_count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		REQUIRE(m->fd_count <= FDS_MAX);
		memcpy(m->fds, CMSG_DATA(c), m->fd_count * sizeof(int));
	}
	REQUIRE(got == (ssize_t)sizeof(m->header) && m->header.size <= sizeof(m->payload));
	REQUIRE((m->header.flags & ~VHOST_USER_NEED_REPLY) == VHOST_USER_VERSION);
	if (m->header.size > 0) {
		got = recv(f.back, &m->payload, m->header.size, MSG_DONTWAIT);
		REQUIRE(got == (ssize_t)m->header.size);
	}
	return true;
}

static void keep_fds(struct message *m)
{
	if (m->header.request == VHOST_USER_SET_BACKEND_REQ_FD) {
		hang_up(&f.channel);
		f.channel = m->fds[--m->fd_count];
	}
	while (m->fd_count > 0) {
		(void)close(m->fds[--m->fd_count]);
	}
}

/* What the back end wants mapped or unmapped, in the words of its dialect. */
static void fill_shm(struct message *m, uint8_t op, uint64_t offset)
{
	bool map = (op & 0x20) == 0;

	m->header.flags = VHOST_USER_VERSION | (op & 0x10 ? VHOST_USER_NEED_REPLY : 0);
	m->fds[0] = f.record;
	m->fd_count = map;
	if (f.dialect != VHOST_USER_PROTOCOL_F_SHMEM_PRIVATE) {
		m->header.request =
			map ? VHOST_USER_BACKEND_SHMEM_MAP : VHOST_USER_BACKEND_SHMEM_UNMAP;
		m->header.size = sizeof(m->payload.mmap);
		m->payload.mmap = (struct vhost_user_mmap){
			.id = SHM_ID, .shm_offset = offset, .len = 4096, .flags = 1};
	} else if (map) {
		m->header.request = VHOST_USER_BACKEND_MAP_PRIVATE;
		m->header.size = sizeof(m->payload.map_private);
		m->payload.map_private = (struct vhost_user_map_private){
			.id = SHM_ID, .shm_offset = offset, .len = 4096, .flags = 3};
	} else {
		m->header.request = VHOST_USER_BACKEND_UNMAP_PRIVATE;
		m->header.size = sizeof(m->payload.unmap_private);
		m->payload.unmap_private = (struct vhost_user_unmap_private){
			.id = SHM_ID, .shm_offset = offset, .len = 4096};
	}
}

/* One request about shared memory, and no look at the answer. */
static void ask_for_shm(uint8_t op)
{
	struct message m = {.fd_count = 0};
	uint8_t rest[64];

	if (f.channel >= 0) {
		fill_shm(&m, op, (uint64_t)(fuzz_u8(f.in) % SHM_PAGES) * VMM_VIRTIO_SHM_PAGE);
		send_changed(f.channel, &m);
		(void)!recv(f.channel, rest, sizeof(rest), MSG_DONTWAIT);
	}
}

/* The back end's turn: it answers what it was asked, in its way. */
static void act(void)
{
	struct message request;

	while (f.back >= 0 && read_request(&request)) {
		struct message reply = {.fd_count = 0};

		check_request(&request);
		keep_fds(&request);
		if (f.dialect != 0 && f.in->size > 0 && request.header.request % 4 == 3) {
			/* Before it answers, and while the front end waits. */
			ask_for_shm(fuzz_u8(f.in));
		}
		if (fill(&reply, &request)) {
			send_changed(f.back, &reply);
		}
	}
}

/* ---- the device and its driver ---- */

static void on_lost(void *ctx, int why)
{
	(void)ctx;
	REQUIRE(why < 0);
	f.lost++;
}

/* The front end's end of a new connection. */
static int new_back_end(void)
{
	int fds[2];

	hang_up(&f.back);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	f.back = fds[1];
	return fds[0];
}

static void ignore_irq(struct vmm_irq *irq)
{
	(void)irq;
}

static int irq_fd(struct vmm_irq *irq)
{
	return ((struct irq *)irq)->fd;
}

static bool create(void);
static void start(uint8_t queues);

/* A back end that follows the rules gets as far as can be, or the rest shows nothing. */
static void check_good_back_end(void)
{
	struct fuzz_input nothing = {NULL, 0};

	f.in = &nothing;
	REQUIRE(create());
	start(3);
	REQUIRE(vmm_carrier_status(f.carrier) == 15 && f.channel >= 0 && patience.skipped_ns == 0);
	vmm_carrier_destroy(f.carrier);
	hang_up(&f.back);
	hang_up(&f.channel);
}

static void set_up(void)
{
	if (f.loop) {
		return;
	}
	patience =
		(struct patience){.longest_ns = DEADLINE_MS * UINT64_C(1000000), .meanwhile = act};
	memfix_init(&f.fix);
	REQUIRE(vmm_loop_create(&f.loop) == 0);
	f.rings = memfix_alloc(&f.fix, 0x4000, 4096);
	f.record = memfd_create("record", MFD_CLOEXEC);
	REQUIRE(f.record >= 0 && ftruncate(f.record, 4096) == 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		f.irqs[i].base = (struct vmm_irq){.raise = ignore_irq, .eventfd = irq_fd};
		f.irqs[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		f.kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	check_good_back_end();
}

static bool create(void)
{
	struct vmm_irq *irqs[QUEUES] = {&f.irqs[0].base, &f.irqs[1].base};
	struct vmm_vhost_frontend_config config = {
		.loop = f.loop,
		.name = "fuzz",
		.device_id = VMM_VIRTIO_ID_BLOCK,
		.queue_count = QUEUES,
		.queue_sizes = queue_sizes,
		.config_len = CONFIG_LEN,
		.shm_any = f.dialect != 0,
		.deadline_ms = DEADLINE_MS,
		.waits = f.waits,
		.on_lost = on_lost,
	};
	struct vmm_carrier_config carrier = {
		.mem = f.fix.mem,
		.loop = f.loop,
		.queue_irqs = irqs,
		.kick_fds = f.kicks,
		.shm = &shm_ops,
	};
	struct vmm_error err = {0};
	int ret;

	config.fd = new_back_end();
	ret = vmm_vhost_frontend_create(&f.dev, &config, &err);
	if (ret < 0) {
		REQUIRE(!f.dev && err.message[0] != '\0');
		(void)close(config.fd);
		return false;
	}
	REQUIRE(vmm_vhost_frontend_is_connected(f.dev));
	if (f.dev->shm_count != (f.dialect != 0) ||
	    (f.dialect != 0 && (f.dev->shm[0].id != SHM_ID || f.dev->shm[0].len != SHM_LEN))) {
		/* Others than what this file knows to judge. */
		vmm_virtio_device_destroy(f.dev);
		return false;
	}
	REQUIRE(vmm_carrier_create(&f.carrier, f.dev, &carrier, NULL) == 0);
	return true;
}

static void start(uint8_t queues)
{
	vmm_carrier_set_status(f.carrier, 0);
	vmm_carrier_set_status(f.carrier, 3);
	vmm_carrier_set_driver_features(f.carrier, vmm_carrier_features(f.carrier));
	vmm_carrier_set_status(f.carrier, 11);
	for (unsigned i = 0; i < QUEUES; i++) {
		vmm_gpa base = memfix_gpa(&f.fix, f.rings) + UINT64_C(0x1000) * i;
		struct vmm_carrier_queue q = {
			.size = QUEUE_SIZE,
			.enabled = queues >> i & 1,
			.desc = base,
			.driver = base + 0x400,
			.device = base + 0x800,
		};

		(void)vmm_carrier_set_queue(f.carrier, i, &q);
	}
	vmm_carrier_set_status(f.carrier, 15);
}

static void reconnect(void)
{
	struct vmm_error err = {0};
	int fd = new_back_end();

	if (vmm_vhost_frontend_connect(f.dev, fd, &err) < 0) {
		REQUIRE(err.message[0] != '\0');
		REQUIRE(!vmm_vhost_frontend_is_connected(f.dev));
		(void)close(fd);
	}
}

static void step_config(uint8_t op)
{
	uint8_t bytes[CONFIG_LEN + 4];
	size_t offset = fuzz_u8(f.in) % (CONFIG_LEN + 2);
	size_t len = fuzz_u8(f.in) % sizeof(bytes);

	if (op & 0x10) {
		vmm_carrier_read_config(f.carrier, offset, bytes, len);
		return;
	}
	fuzz_bytes(f.in, bytes, len);
	vmm_carrier_write_config(f.carrier, offset, bytes, len);
}

/* A request of the back end's own. */
static void step_request(uint8_t op)
{
	struct message m = {.header = {VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
				       VHOST_USER_VERSION | (op & 0x10 ? VHOST_USER_NEED_REPLY : 0),
				       0}};
	uint8_t rest[64];

	if (f.dialect != 0 && (op & 0x40)) {
		ask_for_shm(op);
	} else if (f.channel >= 0) {
		send_changed(f.channel, &m);
		(void)!recv(f.channel, rest, sizeof(rest), MSG_DONTWAIT);
	}
}

static void step(void)
{
	uint8_t op = fuzz_u8(f.in);
	uint64_t one = 1;

	switch (op % 16) {
	case 0:
	case 1:
		start(op >> 4);
		break;
	case 2:
		vmm_carrier_set_status(f.carrier, 0);
		break;
	case 3:
	case 4:
		step_config(op);
		break;
	case 5:
	case 6:
		step_request(op);
		break;
	case 7:
		if (op & 0x80) {
			hang_up(&f.back);
		} else if (f.back >= 0) {
			/* What nobody asked for. */
			(void)!send(f.back, &one, 1 + op / 16 % 8, MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		break;
	case 8:
	case 9:
		reconnect();
		break;
	case 10:
		vmm_carrier_irqs_changed(f.carrier);
		break;
	case 11:
		if (op == 0xfb) {
			vmm_vhost_frontend_give_up(f.dev);
			f.waits = false;
		}
		break;
	default:
		/* Time for the configuration to be asked for again. */
		patience.skipped_ns += 20000000;
		break;
	}
	for (unsigned i = 0; i < 50 && vmm_loop_dispatch(f.loop, 0) > 0; i++) {
	}
}

static void check(void)
{
	uint8_t status = vmm_carrier_status(f.carrier);
	bool served = vmm_vhost_frontend_is_connected(f.dev) || f.waits;

	/* A driver that runs a device that nobody serves, or will, knows of it. */
	REQUIRE(served || (status & VMM_VIRTIO_S_DRIVER_OK) == 0 ||
		(status & VMM_VIRTIO_S_NEEDS_RESET) != 0);
	REQUIRE((status & VMM_VIRTIO_S_DRIVER_OK) != 0 || !is_anything_mapped());
}

static void run(struct fuzz_input *in)
{
	static const uint64_t dialects[] = {
		VHOST_USER_PROTOCOL_F_SHMEM, VHOST_USER_PROTOCOL_F_SHMEM_PRIVATE,
		VHOST_USER_PROTOCOL_F_SHMEM_2026, VHOST_USER_PROTOCOL_F_SHMEM_2025};
	uint8_t how;

	judge_rules(0);
	judge_reset();
	f.in = in;
	f.lost = 0;
	how = fuzz_u8(in);
	f.waits = how & 1;
	f.dialect = how & 2 ? dialects[how >> 2 & 3] : 0;
	memset(f.mapped, 0, sizeof(f.mapped));
	memset(f.rings, 0, 0x4000);
	if (create()) {
		for (unsigned i = 0; i < STEPS_MAX && in->size > 0; i++) {
			step();
			check();
		}
		vmm_carrier_destroy(f.carrier);
		REQUIRE(!is_anything_mapped());
	}
	hang_up(&f.back);
	hang_up(&f.channel);
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
