/* SPDX-License-Identifier: MIT */
/* What all character back ends share: the calls of <vmm/dev/chardev.h>, made safe for NULL. */
#include <vmm/dev/chardev.h>

#include <errno.h>

int vmm_chardev_start(struct vmm_chardev *cd, struct vmm_loop *loop,
		      const struct vmm_chardev_events *events, void *ctx)
{
	int ret;

	if (!cd) {
		return 0;
	}
	if (cd->loop) {
		return -EBUSY;
	}
	cd->loop = loop;
	cd->events = events;
	cd->ctx = ctx;
	ret = cd->ops->start ? cd->ops->start(cd, loop) : 0;
	if (ret < 0) {
		cd->loop = NULL;
		cd->events = NULL;
		cd->ctx = NULL;
	}
	return ret;
}

void vmm_chardev_stop(struct vmm_chardev *cd)
{
	if (!cd || !cd->loop) {
		return;
	}
	if (cd->ops->stop) {
		cd->ops->stop(cd);
	}
	cd->loop = NULL;
	cd->events = NULL;
	cd->ctx = NULL;
}

void vmm_chardev_write(struct vmm_chardev *cd, const void *bytes, size_t len)
{
	if (cd && len > 0) {
		cd->ops->write(cd, bytes, len);
	}
}

size_t vmm_chardev_read(struct vmm_chardev *cd, void *buf, size_t len)
{
	return cd && cd->ops->read ? cd->ops->read(cd, buf, len) : 0;
}

void vmm_chardev_want_input(struct vmm_chardev *cd, bool want)
{
	if (cd && cd->loop && cd->ops->want_input) {
		cd->ops->want_input(cd, want);
	}
}

bool vmm_chardev_size(const struct vmm_chardev *cd, uint16_t *columns, uint16_t *rows)
{
	if (!cd || (cd->columns == 0 && cd->rows == 0)) {
		return false;
	}
	*columns = cd->columns;
	*rows = cd->rows;
	return true;
}

uint64_t vmm_chardev_dropped(const struct vmm_chardev *cd)
{
	return cd ? __atomic_load_n(&cd->dropped, __ATOMIC_RELAXED) : 0;
}

void vmm_chardev_destroy(struct vmm_chardev *cd)
{
	if (!cd) {
		return;
	}
	vmm_chardev_stop(cd);
	if (cd->ops->destroy) {
		cd->ops->destroy(cd);
	}
}

void vmm_chardev_set_size(struct vmm_chardev *cd, uint16_t columns, uint16_t rows)
{
	if ((columns == 0 && rows == 0) || (columns == cd->columns && rows == cd->rows)) {
		return;
	}
	cd->columns = columns;
	cd->rows = rows;
	if (cd->events && cd->events->resized) {
		cd->events->resized(cd->ctx, columns, rows);
	}
}

void vmm_chardev_readable(struct vmm_chardev *cd)
{
	if (cd->events && cd->events->readable) {
		cd->events->readable(cd->ctx);
	}
}

void vmm_chardev_count_dropped(struct vmm_chardev *cd, size_t len)
{
	(void)__atomic_fetch_add(&cd->dropped, len, __ATOMIC_RELAXED);
}
