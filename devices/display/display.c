/* SPDX-License-Identifier: MIT */
/* What all displays share: the calls of <vmm/dev/display.h>, made safe for NULL and bad numbers. */
#include <vmm/dev/display.h>

#include <errno.h>
#include <string.h>

#define PIXEL 4u

static bool side_valid(uint32_t side)
{
	return side > 0 && side <= VMM_DISPLAY_SIDE_MAX;
}

bool vmm_display_picture_valid(const struct vmm_display_picture *picture)
{
	return vmm_display_format_valid(picture->format) && side_valid(picture->width) &&
	       side_valid(picture->height) &&
	       (uint64_t)picture->width * picture->height * PIXEL <= VMM_DISPLAY_BYTES_MAX;
}

int vmm_display_start(struct vmm_display *d, struct vmm_loop *loop,
		      const struct vmm_display_events *events, void *ctx)
{
	int ret;

	if (!d) {
		return 0;
	}
	if (d->loop) {
		return -EBUSY;
	}
	memset(d->pictures, 0, sizeof(d->pictures));
	d->loop = loop;
	d->events = events;
	d->ctx = ctx;
	ret = d->ops->start ? d->ops->start(d) : 0;
	if (ret < 0) {
		d->loop = NULL;
		d->events = NULL;
	}
	return ret;
}

void vmm_display_stop(struct vmm_display *d)
{
	if (!d || !d->loop) {
		return;
	}
	for (unsigned i = 0; i < VMM_DISPLAY_SCANOUTS_MAX; i++) {
		vmm_display_set_cursor(d, i, NULL);
		vmm_display_set(d, i, NULL);
	}
	if (d->ops->stop) {
		d->ops->stop(d);
	}
	d->loop = NULL;
	d->events = NULL;
}

void vmm_display_set(struct vmm_display *d, unsigned scanout,
		     const struct vmm_display_picture *picture)
{
	static const struct vmm_display_picture off;

	if (!d || !d->loop || scanout >= VMM_DISPLAY_SCANOUTS_MAX) {
		return;
	}
	if (picture ? !vmm_display_picture_valid(picture) : d->pictures[scanout].width == 0) {
		return;
	}
	d->pictures[scanout] = picture ? *picture : off;
	d->ops->set(d, scanout);
}

bool vmm_display_present(struct vmm_display *d, unsigned scanout,
			 const struct vmm_display_rect *rects, unsigned count)
{
	if (!d || !d->loop || scanout >= VMM_DISPLAY_SCANOUTS_MAX || count == 0 ||
	    d->pictures[scanout].width == 0) {
		return true;
	}
	return d->ops->present(d, scanout, rects, count);
}

void vmm_display_set_cursor(struct vmm_display *d, unsigned scanout,
			    const struct vmm_display_cursor *cursor)
{
	if (!d || !d->loop || !d->ops->set_cursor || scanout >= VMM_DISPLAY_SCANOUTS_MAX) {
		return;
	}
	if (cursor &&
	    (cursor->width == 0 || cursor->width > VMM_DISPLAY_CURSOR_MAX || cursor->height == 0 ||
	     cursor->height > VMM_DISPLAY_CURSOR_MAX || cursor->hot_x >= cursor->width ||
	     cursor->hot_y >= cursor->height || !vmm_display_format_valid(cursor->format))) {
		cursor = NULL; /* better none than one that points elsewhere */
	}
	d->ops->set_cursor(d, scanout, cursor);
}

void vmm_display_destroy(struct vmm_display *d)
{
	if (d && d->ops->destroy) {
		d->ops->destroy(d);
	}
}

void vmm_display_fetch(struct vmm_display *d, unsigned scanout, const struct vmm_display_rect *rect,
		       void *dst, size_t stride)
{
	const struct vmm_display_source *source = &d->pictures[scanout].source;

	source->copy(source->ctx, rect, dst, stride);
}

void vmm_display_resize(struct vmm_display *d, unsigned scanout, uint32_t width, uint32_t height)
{
	if (d->events && d->events->resize && side_valid(width) && side_valid(height)) {
		d->events->resize(d->ctx, scanout, width, height);
	}
}

void vmm_display_frame(struct vmm_display *d, unsigned scanout)
{
	if (d->events && d->events->frame) {
		d->events->frame(d->ctx, scanout);
	}
}
