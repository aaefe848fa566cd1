/* SPDX-License-Identifier: MIT */
/* What a client hears. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Keymaps are some 30 to 60 kB. */
#define FILE_MAX (4u << 20)

static struct host_item take_item(struct client *client)
{
	struct host_item item = client->items[0];

	client->item_count--;
	memmove(client->items, client->items + 1, client->item_count * sizeof(client->items[0]));
	return item;
}

/*
 * A file of the host as the client gets it: a copy of its own, which nobody shortens. It stays
 * writable, since until Linux 6.7 one that is not cannot be mapped shared, which clients may do.
 */
static int copy_file(struct client *client, const struct host_item *item, uint32_t size)
{
	uint64_t len = item->size > size ? item->size : size;
	int fd = len <= FILE_MAX ? memfd_create("wayland", MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
	int ret = 0;

	if (fd < 0 || item->size == 0) {
		host_item_drop(client->host, item);
	} else {
		ret = host_file_copy(client->host, item, fd);
	}
	if (fd < 0) {
		return len <= FILE_MAX ? -errno : -EFBIG;
	}
	if (ret < 0 || ftruncate(fd, (off_t)len) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		(void)close(fd);
		return -EIO;
	}
	return fd;
}

/* The descriptor that goes with a message; or -errno. */
static int event_fd(struct client *client, const uint8_t *data, const struct vmm_wl_message *msg)
{
	bool keymap = msg->interface == VMM_WL_IF_WL_KEYBOARD;
	struct host_item item;

	if (client->item_count == 0 || msg->fds != 1) {
		return -EPROTO;
	}
	item = take_item(client);
	if (item.type != (keymap ? HOST_ITEM_FILE : HOST_ITEM_PIPE)) {
		host_item_drop(client->host, &item);
		return -EPROTO;
	}
	return keymap ? copy_file(client, &item, vmm_wl_word(data, 1))
		      : pipes_to_host(&client->pipes, item.id);
}

int client_event(struct client *client, uint8_t *data, size_t size)
{
	struct vmm_wl_message msg;
	int fd = -1;

	switch (vmm_wl_event(client->wire, data, &msg)) {
	case VMM_WL_PASS:
		break;
	case VMM_WL_DROP:
		return 0;
	default:
		return -EPROTO;
	}
	if (msg.stale_delete) {
		/* Of a pool that was made anew: as far as the client knows it is still the first.
		 */
		client->waiting = false;
		return 0;
	}
	if (msg.fds > 0) {
		fd = event_fd(client, data, &msg);
		if (fd < 0) {
			return fd;
		}
	}
	if (msg.interface == VMM_WL_IF_WL_BUFFER && msg.opcode == VMM_WL_EV_WL_BUFFER_RELEASE) {
		const struct vmm_wl_object *object = vmm_wl_find(client->wire, msg.object);
		struct shadow_buffer *buffer =
			object ? table_get(&client->things, object->user, THING_BUFFER) : NULL;

		if (buffer) {
			shadow_buffer_release(buffer);
		}
	}
	return outbuf_put(&client->out, data, size, fd);
}
