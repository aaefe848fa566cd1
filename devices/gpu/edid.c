/* SPDX-License-Identifier: MIT */
/*
 * What a screen says about itself: EDID 1.4 (VESA E-EDID standard, release A2), the block without
 * extensions. All that a guest takes from it is the preferred mode, but its parser checks the rest.
 */
#include "gpu/gpu_priv.h"

#include <string.h>

/* The blanking of the mode, in pixels and lines: what CVT with reduced blanking has at 1280x800. */
#define H_FRONT 48u
#define H_SYNC  32u
#define H_BLANK 160u
#define V_FRONT 3u
#define V_SYNC  6u
#define V_BLANK 31u
#define REFRESH 60u

#define CLOCK_UNIT 10000u /* Hz */
#define CLOCK_MAX  65535u

#define TIMING_AT 54u
#define NAME_AT   72u
#define DUMMY_AT  90u
#define DESC_LEN  18u

/* At 96 pixels an inch. */
static unsigned millimetres(uint32_t pixels)
{
	return pixels * 254u / 960u;
}

static unsigned centimetres(uint32_t pixels)
{
	unsigned cm = millimetres(pixels) / 10;

	return cm < 1 ? 1 : cm > 255 ? 255 : cm;
}

/* A large screen is refreshed less often, so that the clock fits. */
static unsigned pixel_clock(uint32_t width, uint32_t height)
{
	uint64_t hz = (uint64_t)(width + H_BLANK) * (height + V_BLANK) * REFRESH;
	uint64_t units = hz / CLOCK_UNIT;

	return units < CLOCK_MAX ? (unsigned)units : CLOCK_MAX;
}

/* Two numbers of twelve bits: the low bytes, then the high halves together. */
static void put_pair(uint8_t *low_a, uint8_t *low_b, uint8_t *high, unsigned a, unsigned b)
{
	*low_a = (uint8_t)a;
	*low_b = (uint8_t)b;
	*high = (uint8_t)((a >> 8) << 4 | b >> 8);
}

static void put_timing(uint8_t *d, uint32_t width, uint32_t height)
{
	unsigned clock = pixel_clock(width, height);

	d[0] = (uint8_t)clock;
	d[1] = (uint8_t)(clock >> 8);
	put_pair(&d[2], &d[3], &d[4], width, H_BLANK);
	put_pair(&d[5], &d[6], &d[7], height, V_BLANK);
	d[8] = H_FRONT;
	d[9] = H_SYNC;
	d[10] = V_FRONT << 4 | V_SYNC;
	put_pair(&d[12], &d[13], &d[14], millimetres(width), millimetres(height));
	d[17] = 0x1e; /* digital, separate syncs, both positive */
}

void vmm_gpu_edid(uint8_t edid[EDID_LEN], unsigned scanout, uint32_t width, uint32_t height)
{
	/* Up to the size: header, maker "VMM", product 1, the year, version 1.4, digital 8 bits. */
	static const uint8_t start[] = {0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					0x00, 0x59, 0xad, 0x01, 0x00, 0x00, 0x00,
					0x00, 0x00, 0x00, 0x22, 0x01, 0x04, 0xa0};
	/* From the size to the timings: gamma 2.2, sRGB and its colours. */
	static const uint8_t colours[] = {0x78, 0x06, 0xee, 0x91, 0xa3, 0x54,
					  0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
	static const uint8_t name[] = {0, 0, 0, 0xfc, 0, 'v', 'i', 'r', 't', 'i', 'o', '\n', ' '};
	uint8_t sum = 0;

	memset(edid, 0, EDID_LEN);
	memcpy(edid, start, sizeof(start));
	edid[12] = (uint8_t)(scanout + 1); /* serial number */
	edid[21] = (uint8_t)centimetres(width);
	edid[22] = (uint8_t)centimetres(height);
	memcpy(edid + 23, colours, sizeof(colours));
	memset(edid + 38, 0x01, 16); /* no standard timings */
	put_timing(edid + TIMING_AT, width, height);
	memset(edid + NAME_AT, ' ', DESC_LEN);
	memcpy(edid + NAME_AT, name, sizeof(name));
	edid[DUMMY_AT + 3] = 0x10;
	edid[DUMMY_AT + DESC_LEN + 3] = 0x10;
	for (unsigned i = 0; i < EDID_LEN - 1; i++) {
		sum = (uint8_t)(sum + edid[i]);
	}
	edid[EDID_LEN - 1] = (uint8_t)(0x100 - sum);
}
