/* SPDX-License-Identifier: MIT */
/*
 * vmm_display_window of the library with vmm-window behind it: real_display PROGRAM. Commands on
 * stdin and words on stdout as fake_gpu's, of which it has pool, fill, save, quit, resize and
 * ended.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmm/dev/display.h>

static struct {
	struct vmm_loop *loop;
	struct vmm_display *display;
	pid_t child;
	uint32_t width;
	uint32_t height;
	uint32_t *pixels;
} r;

static void copy(void *ctx, const struct vmm_display_rect *rect, void *dst, size_t stride)
{
	(void)ctx;
	for (uint32_t y = 0; y < rect->height; y++) {
		memcpy((uint8_t *)dst + y * stride, r.pixels + (rect->y + y) * r.width + rect->x,
		       (size_t)rect->width * 4);
	}
}

static void present(struct vmm_display_rect rect)
{
	(void)vmm_display_present(r.display, 0, &rect, 1);
}

static void show(uint32_t width, uint32_t height)
{
	struct vmm_display_picture picture = {
		.width = width,
		.height = height,
		.format = VMM_DISPLAY_B8G8R8X8,
		.source = {.copy = copy},
	};
	uint32_t *old = r.pixels;

	r.width = width;
	r.height = height;
	r.pixels = calloc((size_t)width * height, 4);
	for (uint32_t i = 0; i < width * height; i++) {
		r.pixels[i] = (i * 2654435761u) >> 8;
	}
	vmm_display_set(r.display, 0, &picture);
	free(old);
	present((struct vmm_display_rect){0, 0, width, height});
}

static void fill(const struct vmm_display_rect *rect, uint32_t colour)
{
	for (uint32_t y = rect->y; y < rect->y + rect->height; y++) {
		for (uint32_t x = rect->x; x < rect->x + rect->width; x++) {
			r.pixels[y * r.width + x] = colour;
		}
	}
	present(*rect);
}

static void save(const char *path)
{
	FILE *out = fopen(path, "we");

	if (!out) {
		return;
	}
	(void)fprintf(out, "P6\n%u %u\n255\n", r.width, r.height);
	for (uint32_t i = 0; i < r.width * r.height; i++) {
		const uint8_t rgb[3] = {(uint8_t)(r.pixels[i] >> 16), (uint8_t)(r.pixels[i] >> 8),
					(uint8_t)r.pixels[i]};

		(void)fwrite(rgb, 1, 3, out);
	}
	(void)fclose(out);
	puts("saved");
}

static void on_resize(void *ctx, unsigned scanout, uint32_t width, uint32_t height)
{
	(void)ctx;
	(void)scanout;
	printf("resize %u %u\n", width, height);
}

static void on_line(void *ctx, int fd, uint32_t events)
{
	char line[256];
	char path[200];
	unsigned n[5];
	size_t len = 0;

	(void)ctx;
	(void)events;
	while (len < sizeof(line) - 1 && read(fd, line + len, 1) == 1 && line[len] != '\n') {
		len++;
	}
	line[len] = '\0';
	if (sscanf(line, "pool %u %u", &n[0], &n[1]) == 2) {
		show(n[0], n[1]);
	} else if (sscanf(line, "fill %u %u %u %u %x", &n[0], &n[1], &n[2], &n[3], &n[4]) == 5) {
		fill(&(struct vmm_display_rect){n[0], n[1], n[2], n[3]}, n[4]);
	} else if (sscanf(line, "save %199s", path) == 1) {
		save(path);
	} else {
		vmm_loop_stop(r.loop);
	}
}

static int start(const char *program)
{
	char number[12];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		return -1;
	}
	(void)snprintf(number, sizeof(number), "%d", pair[1]);
	r.child = fork();
	if (r.child == 0) {
		(void)fcntl(pair[1], F_SETFD, 0);
		(void)execl(program, "vmm-window", "--gpu-fd", number, "--title", "test-vm",
			    (char *)NULL);
		_exit(127);
	}
	(void)close(pair[1]);
	printf("started %d\n", (int)r.child);
	return pair[0];
}

int main(int argc, char **argv)
{
	const struct vmm_display_events events = {.resize = on_resize};
	struct vmm_source *in = NULL;
	struct vmm_error err = {0};
	int status = 0;
	int fd;

	if (argc != 2) {
		return 2;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	fd = start(argv[1]);
	if (fd < 0 || vmm_loop_create(&r.loop) < 0 ||
	    vmm_display_window(&r.display, fd, NULL, &err) < 0 ||
	    vmm_display_start(r.display, r.loop, &events, NULL) < 0 ||
	    vmm_loop_add_fd(r.loop, STDIN_FILENO, VMM_LOOP_READABLE, on_line, NULL, &in) < 0) {
		printf("failed: %s\n", err.message);
		return 1;
	}
	(void)vmm_loop_run(r.loop);
	vmm_display_stop(r.display);
	vmm_display_destroy(r.display);
	vmm_source_remove(in);
	vmm_loop_destroy(r.loop);
	free(r.pixels);
	(void)waitpid(r.child, &status, 0);
	printf("ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	return 0;
}
