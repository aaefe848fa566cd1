/* SPDX-License-Identifier: MIT */
/* A screen set up as a compositor does it, by mode setting: there the kernel is told what part of
 * the picture has changed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "pattern.h"
#include "probe.h"

/* The kernel's ABI (include/uapi/drm/drm_mode.h), as in virtgpu.h. */
struct card_resources {
	uint64_t fbs, crtcs, connectors, encoders;
	uint32_t count_fbs, count_crtcs, count_connectors, count_encoders;
	uint32_t min_width, max_width, min_height, max_height;
};

struct mode {
	uint32_t clock;
	uint16_t width, hsync_start, hsync_end, htotal, hskew;
	uint16_t height, vsync_start, vsync_end, vtotal, vscan;
	uint32_t refresh, flags, type;
	char name[32];
};

struct connector {
	uint64_t encoders, modes, properties, values;
	uint32_t count_modes, count_properties, count_encoders;
	uint32_t encoder, id, type, type_id, connection, mm_width, mm_height, subpixel, pad;
};

struct crtc {
	uint64_t connectors;
	uint32_t count_connectors, id, fb, x, y, gamma_size, mode_valid;
	struct mode mode;
};

struct framebuffer {
	uint32_t id, width, height, pitch, bits, depth, handle;
};

struct dumb {
	uint32_t height, width, bits, flags, handle, pitch;
	uint64_t size;
};

struct map_dumb {
	uint32_t handle, pad;
	uint64_t offset;
};

struct clip {
	uint16_t x1, y1, x2, y2;
};

struct dirty {
	uint32_t fb, flags, colour, count;
	uint64_t clips;
};

#define MODE_IOCTL(number, type) _IOWR('d', (number), type)
#define GET_RESOURCES            MODE_IOCTL(0xa0, struct card_resources)
#define SET_CRTC                 MODE_IOCTL(0xa2, struct crtc)
#define GET_CONNECTOR            MODE_IOCTL(0xa7, struct connector)
#define ADD_FB                   MODE_IOCTL(0xae, struct framebuffer)
#define DIRTY_FB                 MODE_IOCTL(0xb1, struct dirty)
#define CREATE_DUMB              MODE_IOCTL(0xb2, struct dumb)
#define MAP_DUMB                 MODE_IOCTL(0xb3, struct map_dumb)

#define MODES_MAX 64

struct screen {
	int fd;
	uint32_t crtc, connector;
	struct mode mode;
	struct dumb dumb;
	struct framebuffer fb;
	uint8_t *pixels;
};

static void call(const struct screen *s, unsigned long request, void *argument, const char *what)
{
	if (ioctl(s->fd, request, argument) != 0) {
		fail("%s: %s", what, strerror(errno));
	}
}

/* The first screen, and the mode that it likes best, which comes first. */
static void find(struct screen *s)
{
	static struct mode modes[MODES_MAX];
	struct card_resources card = {.crtcs = (uintptr_t)&s->crtc,
				      .connectors = (uintptr_t)&s->connector,
				      .count_crtcs = 1,
				      .count_connectors = 1};
	struct connector connector = {0};

	s->fd = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	if (s->fd < 0) {
		fail("/dev/dri/card0: %s", strerror(errno));
	}
	call(s, GET_RESOURCES, &card, "screens");
	connector.id = s->connector;
	call(s, GET_CONNECTOR, &connector, "modes");
	if (connector.count_modes == 0 || connector.count_modes > MODES_MAX) {
		fail("%u modes", connector.count_modes);
	}
	connector = (struct connector){.id = s->connector,
				       .modes = (uintptr_t)modes,
				       .count_modes = connector.count_modes};
	call(s, GET_CONNECTOR, &connector, "modes");
	s->mode = modes[0];
}

static void make_picture(struct screen *s)
{
	struct map_dumb map = {0};

	s->dumb = (struct dumb){.width = s->mode.width, .height = s->mode.height, .bits = 32};
	call(s, CREATE_DUMB, &s->dumb, "memory for a picture");
	s->fb = (struct framebuffer){.width = s->dumb.width,
				     .height = s->dumb.height,
				     .pitch = s->dumb.pitch,
				     .bits = 32,
				     .depth = 24,
				     .handle = s->dumb.handle};
	call(s, ADD_FB, &s->fb, "picture");
	map.handle = s->dumb.handle;
	call(s, MAP_DUMB, &map, "mapping of the picture");
	s->pixels = mmap(NULL, s->dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd,
			 (off_t)map.offset);
	if (s->pixels == MAP_FAILED) {
		fail("mapping of the picture: %s", strerror(errno));
	}
}

static void draw(const struct screen *s, const struct rect *part, bool changed)
{
	for (uint32_t y = part->y; y < part->y + part->height; y++) {
		uint32_t *row = (uint32_t *)(void *)(s->pixels + (size_t)y * s->dumb.pitch);

		for (uint32_t x = part->x; x < part->x + part->width; x++) {
			row[x] = pattern_colour(x, y, changed);
		}
	}
}

/*
 * kms X Y W H: the pattern on all of the first screen; at each SIGUSR1 that part is inverted, and
 * the kernel told of that part. Ends by SIGTERM.
 */
int run_kms(int argc, char **argv)
{
	struct screen s = {.fd = -1};
	struct crtc crtc;
	struct rect part;
	struct clip clip;
	sigset_t set;
	int signal;

	if (argc != 5) {
		fail("kms X Y W H");
	}
	part = pattern_rect(argv + 1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	find(&s);
	make_picture(&s);
	draw(&s, &(struct rect){0, 0, s.dumb.width, s.dumb.height}, false);
	crtc = (struct crtc){.connectors = (uintptr_t)&s.connector,
			     .count_connectors = 1,
			     .id = s.crtc,
			     .fb = s.fb.id,
			     .mode_valid = 1,
			     .mode = s.mode};
	call(&s, SET_CRTC, &crtc, "screen");
	printf("kms %ux%u\n", s.dumb.width, s.dumb.height);
	fflush(stdout);
	clip = (struct clip){(uint16_t)part.x, (uint16_t)part.y, (uint16_t)(part.x + part.width),
			     (uint16_t)(part.y + part.height)};
	while (sigwait(&set, &signal) == 0 && signal == SIGUSR1) {
		struct dirty dirty = {.fb = s.fb.id, .count = 1, .clips = (uintptr_t)&clip};

		draw(&s, &part, true);
		call(&s, DIRTY_FB, &dirty, "change");
		printf("changed\n");
		fflush(stdout);
	}
	return 0;
}
