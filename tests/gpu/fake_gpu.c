/* SPDX-License-Identifier: MIT */
/*
 * A gpu, keyboard, tablet and supervisor for vmm-window, which it starts: fake_gpu PROGRAM. Does
 * what it is told on stdin, a command on each line, and says on stdout what happens, in a line
 *each:
 *
 *	pool W H         another picture, of a pattern, presented
 *	fill X Y W H RGB a rectangle of it in one colour (hexadecimal), presented when that is
 *possible cursor W H X Y RGB   a pointer's image of one colour; cursor 0: none off              no
 *picture save FILE        the picture as PPM flood MS         presents whatever the protocol
 *allows, and says how often: "flooded N" queue            bytes that the window has not read yet:
 *"queue N" bad N            breaks the N-th rule of the protocol: break_rule
 *
 *	taken N, frame, released N B, resize W H        from the window to the gpu
 *	key C V, abs C V, rel C V, syn                  to the keyboard or the tablet
 *	closed                                          the power button
 *	ended STATUS                                    the window program has; the last line
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vmm/dev/input.h>
#include <vmm/dev/window_proto.h>

#define BUFFERS 3u

enum { GPU, KEYBOARD, TABLET, CONTROL, SOCKETS };

static struct {
	int fds[SOCKETS];
	pid_t child;
	uint32_t serial;
	uint32_t pool_serial;
	struct vmm_window_pool pool;
	uint32_t *map;
	uint32_t *picture; /* what the window should show */
	bool busy[BUFFERS];
	bool may_present;
	bool wants_present;
	struct vmm_display_rect changed;
	unsigned presents;
} g;

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

/* ---- to the window ---- */

static void send_message(const void *bytes, size_t len, const int *fds, unsigned fd_count)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd_count > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof(int));
	}
	if (sendmsg(g.fds[GPU], &m, MSG_NOSIGNAL) < 0) {
		printf("not sent: %s\n", strerror(errno));
	}
}

static void say(const struct vmm_window_message *msg, int memfd)
{
	send_message(msg, sizeof(*msg), &memfd, memfd >= 0);
}

static int make_memfd(size_t size, int seals)
{
	int fd = memfd_create("picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || fcntl(fd, F_ADD_SEALS, seals) != 0) {
		die("memfd");
	}
	return fd;
}

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static bool send_present(void)
{
	struct vmm_window_message msg = {.type = VMM_WINDOW_PRESENT, .serial = g.pool_serial};
	size_t pixels = (size_t)g.pool.width * g.pool.height;
	uint32_t i = 0;

	while (i < BUFFERS && g.busy[i]) {
		i++;
	}
	if (!g.may_present || i == BUFFERS) {
		return false;
	}
	memcpy(g.map + i * pixels, g.picture, pixels * 4);
	msg.present.buffer = i;
	msg.present.count = 1;
	msg.present.rects[0] = g.changed;
	g.busy[i] = true;
	g.may_present = false;
	g.wants_present = false;
	g.presents++;
	say(&msg, -1);
	return true;
}

/* The smallest that holds both. */
static struct vmm_display_rect both(const struct vmm_display_rect *a,
				    const struct vmm_display_rect *b)
{
	uint32_t left = a->x < b->x ? a->x : b->x;
	uint32_t top = a->y < b->y ? a->y : b->y;
	uint32_t right = a->x + a->width > b->x + b->width ? a->x + a->width : b->x + b->width;
	uint32_t bottom = a->y + a->height > b->y + b->height ? a->y + a->height : b->y + b->height;

	return (struct vmm_display_rect){left, top, right - left, bottom - top};
}

static void present(struct vmm_display_rect changed)
{
	g.changed = g.wants_present ? both(&g.changed, &changed) : changed;
	g.wants_present = true;
	(void)send_present();
}

/* Every pixel is another than its neighbours. */
static uint32_t pattern(uint32_t x, uint32_t y)
{
	return ((x * 7 + y * 3) & 0xff) << 16 | ((x * 5 ^ y * 11) & 0xff) << 8 |
	       ((x + y * 13) & 0xff);
}

static struct vmm_window_message pool_message(uint32_t width, uint32_t height)
{
	return (struct vmm_window_message){
		.type = VMM_WINDOW_POOL,
		.serial = g.serial + 1,
		.pool = {.width = width,
			 .height = height,
			 .stride = width * 4,
			 .format = VMM_DISPLAY_B8G8R8X8,
			 .buffers = BUFFERS,
			 .size = BUFFERS * width * height * 4},
	};
}

static void forget_pool(void)
{
	if (g.map) {
		(void)munmap(g.map, g.pool.size);
	}
	free(g.picture);
	g.map = NULL;
	g.picture = NULL;
	memset(g.busy, 0, sizeof(g.busy));
	g.wants_present = false;
}

static void make_pool(uint32_t width, uint32_t height)
{
	struct vmm_window_message msg = pool_message(width, height);
	int fd = make_memfd(msg.pool.size, SEALS);

	forget_pool();
	g.pool = msg.pool;
	g.pool_serial = msg.serial;
	g.serial = msg.serial;
	g.map = mmap(NULL, msg.pool.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	g.picture = calloc((size_t)width * height, 4);
	if (g.map == MAP_FAILED || !g.picture) {
		die("pool");
	}
	for (uint32_t i = 0; i < width * height; i++) {
		g.picture[i] = pattern(i % width, i / width);
	}
	g.may_present = true;
	say(&msg, fd);
	(void)close(fd);
	present((struct vmm_display_rect){0, 0, width, height});
}

static void turn_off(void)
{
	const struct vmm_window_message msg = {.type = VMM_WINDOW_POOL, .serial = ++g.serial};

	forget_pool();
	memset(&g.pool, 0, sizeof(g.pool));
	g.pool_serial = msg.serial;
	g.may_present = false;
	say(&msg, -1);
}

static void fill(const struct vmm_display_rect *r, uint32_t colour)
{
	for (uint32_t y = r->y; y < r->y + r->height; y++) {
		for (uint32_t x = r->x; x < r->x + r->width; x++) {
			g.picture[y * g.pool.width + x] = colour;
		}
	}
	present(*r);
}

static void set_cursor(uint32_t width, uint32_t height, uint32_t x, uint32_t y, uint32_t colour)
{
	struct vmm_window_message msg = {
		.type = VMM_WINDOW_CURSOR,
		.serial = ++g.serial,
		.cursor = {width, height, VMM_DISPLAY_B8G8R8A8, x, y},
	};
	size_t size = (size_t)width * height * 4;
	uint32_t *pixels;
	int fd = -1;

	if (width > 0) {
		fd = make_memfd(size, SEALS);
		pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (pixels == MAP_FAILED) {
			die("cursor");
		}
		for (size_t i = 0; i < size / 4; i++) {
			pixels[i] = 0xff000000 | colour;
		}
		(void)munmap(pixels, size);
	} else {
		memset(&msg.cursor, 0, sizeof(msg.cursor));
	}
	say(&msg, fd);
	if (fd >= 0) {
		(void)close(fd);
	}
}

static void save(const char *path)
{
	FILE *out = fopen(path, "we");

	if (!out) {
		die(path);
	}
	(void)fprintf(out, "P6\n%u %u\n255\n", g.pool.width, g.pool.height);
	for (uint32_t i = 0; i < g.pool.width * g.pool.height; i++) {
		uint8_t rgb[3] = {(uint8_t)(g.picture[i] >> 16), (uint8_t)(g.picture[i] >> 8),
				  (uint8_t)g.picture[i]};

		(void)fwrite(rgb, 1, 3, out);
	}
	(void)fclose(out);
	puts("saved");
}

/* ---- rules to be broken ---- */

static void break_memfd(struct vmm_window_message *pool, unsigned kind)
{
	size_t size = pool->pool.size;
	int two[2];
	int fd;

	switch (kind) {
	case 0: /* too small */
		fd = make_memfd(size - 1, SEALS);
		break;
	case 1: /* may shrink */
		fd = make_memfd(size, F_SEAL_GROW);
		break;
	case 2: /* no memfd at all */
		fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
		break;
	case 3: /* two of them */
		two[0] = two[1] = make_memfd(size, SEALS);
		send_message(pool, sizeof(*pool), two, 2);
		(void)close(two[0]);
		return;
	default: /* none */
		fd = -1;
		break;
	}
	say(pool, fd);
	if (fd >= 0) {
		(void)close(fd);
	}
}

static void break_pool(unsigned kind)
{
	struct vmm_window_message pool = pool_message(64, 64);
	int fd = make_memfd((size_t)1 << 20, SEALS);

	switch (kind) {
	case 0:
		pool.pool.width = 16385;
		pool.pool.stride = 16385 * 4;
		break;
	case 1:
		pool.pool.height = 0;
		break;
	case 2:
		pool.pool.stride = 0;
		break;
	case 3: /* 3 * 2^16 * 2^16 */
		pool.pool.width = 0x10000;
		pool.pool.height = 0x10000;
		pool.pool.stride = 0x40000;
		break;
	case 4:
		pool.pool.format = 5;
		break;
	case 5:
		pool.pool.buffers = 4;
		break;
	case 6:
		pool.pool.size = 64 * 64 * 4 * 3 - 1;
		break;
	case 7:
		pool.pool.size = 0x80000000;
		break;
	default:
		pool.serial += 1;
		break;
	}
	say(&pool, fd);
	(void)close(fd);
}

static void break_present(unsigned kind)
{
	struct vmm_window_message msg = {.type = VMM_WINDOW_PRESENT, .serial = g.pool_serial};
	struct vmm_display_rect *r = &msg.present.rects[0];

	msg.present.buffer = g.busy[0] ? 1 : 0;
	msg.present.count = 1;
	*r = (struct vmm_display_rect){0, 0, 1, 1};
	switch (kind) {
	case 0:
		msg.present.buffer = BUFFERS;
		break;
	case 1:
		msg.present.count = 0;
		break;
	case 2:
		msg.present.count = VMM_WINDOW_RECTS_MAX + 1;
		break;
	case 3:
		r->width = g.pool.width + 1;
		break;
	case 4:
		r->x = 1;
		r->width = UINT32_MAX;
		break;
	case 5:
		r->y = g.pool.height;
		break;
	case 6:
		msg.serial--;
		break;
	default:
		/* Only the first is asked for. The compositor may ask for the second as quickly. */
		for (unsigned i = 0; i < 8; i++) {
			say(&msg, -1);
			msg.present.buffer = (msg.present.buffer + 1) % BUFFERS;
		}
		break;
	}
	say(&msg, -1);
}

static void break_rule(unsigned kind)
{
	struct vmm_window_message msg = {.type = 99};

	if (kind < 5) {
		struct vmm_window_message pool = pool_message(64, 64);

		break_memfd(&pool, kind);
	} else if (kind < 14) {
		break_pool(kind - 5);
	} else if (kind < 22) {
		break_present(kind - 14);
	} else if (kind == 22) {
		say(&msg, -1);
	} else if (kind == 23) {
		send_message(&msg, sizeof(msg) - 1, NULL, 0);
	} else if (kind == 24) {
		set_cursor(300, 1, 0, 0, 0);
	} else if (kind == 25) {
		set_cursor(8, 8, 8, 0, 0);
	} else {
		puts("there is no such rule");
	}
}

/* ---- from the window ---- */

static void hear_gpu(const struct vmm_window_message *msg)
{
	switch (msg->type) {
	case VMM_WINDOW_TAKEN:
		printf("taken %u\n", msg->serial);
		break;
	case VMM_WINDOW_FRAME:
		if (msg->serial == g.pool_serial) {
			g.may_present = true;
			puts("frame");
		}
		break;
	case VMM_WINDOW_RELEASED:
		if (msg->serial == g.pool_serial && msg->released.buffer < BUFFERS) {
			g.busy[msg->released.buffer] = false;
		}
		printf("released %u %u\n", msg->serial, msg->released.buffer);
		break;
	case VMM_WINDOW_RESIZE:
		printf("resize %u %u\n", msg->resize.width, msg->resize.height);
		break;
	default:
		printf("type %u?\n", msg->type);
	}
	if (g.wants_present) {
		(void)send_present();
	}
}

static void hear_events(const struct vmm_input_event *events, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		static const char *const names[] = {"syn", "key", "rel", "abs"};

		if (events[i].type == EV_SYN) {
			puts("syn");
		} else {
			printf("%s %u %d\n", names[events[i].type & 3], events[i].code,
			       (int)events[i].value);
		}
	}
}

/* False: it has gone. */
static bool hear(unsigned which)
{
	union {
		struct vmm_window_message msg;
		struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];
		char bytes[2048];
	} packet;
	ssize_t got = recv(g.fds[which], &packet, sizeof(packet), MSG_DONTWAIT);

	if (got < 0) {
		return errno == EAGAIN;
	}
	if (got == 0) {
		return false;
	}
	if (which == CONTROL) {
		puts(packet.bytes[0] == 'c' ? "closed" : "control?");
	} else if (which != GPU) {
		hear_events(packet.events, (size_t)got / sizeof(packet.events[0]));
	} else if (got == (ssize_t)sizeof(packet.msg)) {
		hear_gpu(&packet.msg);
	} else {
		puts("a packet of another size");
	}
	return true;
}

/* Whatever comes within ms; false: the window has gone. */
static bool wait_for_window(int ms)
{
	struct pollfd fds[SOCKETS];
	bool there = true;

	for (unsigned i = 0; i < SOCKETS; i++) {
		fds[i] = (struct pollfd){.fd = g.fds[i], .events = POLLIN};
	}
	if (poll(fds, SOCKETS, ms) <= 0) {
		return true;
	}
	/* The gpu's last: what the others have is not lost at the end. */
	for (unsigned i = SOCKETS; i-- > 0;) {
		if (fds[i].revents) {
			there = hear(i) && there;
		}
	}
	return there;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void flood(int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;
	struct vmm_display_rect all = {0, 0, g.pool.width, g.pool.height};
	unsigned before = g.presents;

	while (now_ms() < end) {
		present(all);
		if (!wait_for_window(5)) {
			break;
		}
	}
	printf("flooded %u\n", g.presents - before);
}

/* ---- commands ---- */

static void do_line(char *line)
{
	unsigned n[5] = {0};
	char name[16] = "";
	char path[256] = "";
	int unread = 0;

	(void)sscanf(line, "%15s %u %u %u %u %x", name, &n[0], &n[1], &n[2], &n[3], &n[4]);
	if (strcmp(name, "pool") == 0) {
		make_pool(n[0], n[1]);
	} else if (strcmp(name, "fill") == 0) {
		fill(&(struct vmm_display_rect){n[0], n[1], n[2], n[3]}, n[4]);
	} else if (strcmp(name, "cursor") == 0) {
		set_cursor(n[0], n[1], n[2], n[3], n[4]);
	} else if (strcmp(name, "off") == 0) {
		turn_off();
	} else if (sscanf(line, "save %255s", path) == 1) {
		save(path);
	} else if (strcmp(name, "flood") == 0) {
		flood((int)n[0]);
	} else if (strcmp(name, "queue") == 0) {
		(void)ioctl(g.fds[GPU], SIOCOUTQ, &unread);
		printf("queue %d\n", unread);
	} else if (strcmp(name, "bad") == 0) {
		break_rule(n[0]);
	} else {
		printf("what is %s?\n", name);
	}
}

static void start(const char *program)
{
	char numbers[SOCKETS][12];
	int theirs[SOCKETS];

	for (unsigned i = 0; i < SOCKETS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
			die("socketpair");
		}
		g.fds[i] = pair[0];
		theirs[i] = pair[1];
		(void)snprintf(numbers[i], sizeof(numbers[i]), "%d", pair[1]);
	}
	g.child = fork();
	if (g.child == 0) {
		for (unsigned i = 0; i < SOCKETS; i++) {
			(void)fcntl(theirs[i], F_SETFD, 0);
		}
		(void)dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
		(void)execl(program, "vmm-window", "--gpu-fd", numbers[GPU], "--keyboard-fd",
			    numbers[KEYBOARD], "--tablet-fd", numbers[TABLET], "--control-fd",
			    numbers[CONTROL], "--title", "test-vm", (char *)NULL);
		die(program);
	}
	for (unsigned i = 0; i < SOCKETS; i++) {
		(void)close(theirs[i]);
	}
	printf("started %d\n", (int)g.child);
}

/* Whatever is there; false: no more will come. */
static bool listen_to_stdin(void)
{
	static char line[512];
	static size_t len;
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

	while (poll(&in, 1, 0) == 1) {
		if (read(STDIN_FILENO, line + len, 1) != 1) {
			return false;
		}
		if (line[len] == '\n' || len == sizeof(line) - 2) {
			line[len] = '\0';
			len = 0;
			if (strcmp(line, "quit") == 0) {
				return false;
			}
			do_line(line);
		} else {
			len++;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	int status = 0;

	if (argc != 2) {
		return 2;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	start(argv[1]);
	while (wait_for_window(10) && listen_to_stdin()) {
	}
	(void)close(g.fds[GPU]);
	(void)waitpid(g.child, &status, 0);
	printf("ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	return 0;
}
