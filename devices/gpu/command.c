/* SPDX-License-Identifier: MIT */
/* The commands of a guest. Each is checked whole before any of it takes effect. */
#include "gpu/channel_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FOURCC(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* The fixed part of a command into out; shorter ones are not accepted. */
static int get(const uint8_t *bytes, const struct xd_header *h, void *out, size_t len)
{
	if (h->size < len) {
		return -EPROTO;
	}
	memcpy(out, bytes, len);
	return 0;
}

static int ring_check(struct gpu_channel *ch, uint32_t id, size_t len)
{
	return ch->config.ops->ring_write(ch->config.ctx, id, NULL, len);
}

static int init_channel(struct gpu_channel *ch, const uint8_t *bytes, const struct xd_header *h)
{
	struct xd_init_short one;
	struct xd_init cmd;

	if (h->size == sizeof(one)) {
		memcpy(&one, bytes, sizeof(one));
		cmd = (struct xd_init){one.h, one.ring, one.ring, one.channel_type};
	} else if (get(bytes, h, &cmd, sizeof(cmd)) < 0) {
		return -EPROTO;
	}
	if (ch->initialised || cmd.channel_type > XD_CHANNEL_WAYLAND ||
	    ring_check(ch, cmd.query_ring, sizeof(struct xd_image)) < 0 ||
	    (cmd.channel_type != XD_CHANNEL_NONE &&
	     ring_check(ch, cmd.channel_ring, XD_RING_SIZE) < 0)) {
		return -EPROTO;
	}
	if (cmd.channel_type != XD_CHANNEL_NONE && ch->config.policy &&
	    vmm_wl_filter_create(ch->config.policy, &ch->filter) != 0) {
		return -ENOMEM;
	}
	ch->initialised = true;
	ch->query_ring = cmd.query_ring;
	ch->channel_ring = cmd.channel_ring;
	if (cmd.channel_type != XD_CHANNEL_NONE) {
		vmm_gpu_channel_open(ch);
	}
	return 0;
}

static uint32_t bytes_per_pixel(uint32_t fourcc)
{
	switch (fourcc) {
	case FOURCC('R', '8', ' ', ' '):
		return 1;
	case FOURCC('R', 'G', '1', '6'):
	case FOURCC('B', 'G', '1', '6'):
		return 2;
	case FOURCC('X', 'R', '2', '4'):
	case FOURCC('A', 'R', '2', '4'):
	case FOURCC('X', 'B', '2', '4'):
	case FOURCC('A', 'B', '2', '4'):
	case FOURCC('X', 'R', '3', '0'):
	case FOURCC('A', 'R', '3', '0'):
	case FOURCC('X', 'B', '3', '0'):
	case FOURCC('A', 'B', '3', '0'):
		return 4;
	default:
		return 0;
	}
}

/* How a picture lies in memory: in lines without gaps. */
static int get_image(struct gpu_channel *ch, const uint8_t *bytes, const struct xd_header *h)
{
	struct xd_image answer = {.map_info = 1, .memory = -1, .physical_device = -1};
	struct xd_get_image cmd;
	uint64_t stride;

	if (!ch->initialised || get(bytes, h, &cmd, sizeof(cmd)) < 0) {
		return -EPROTO;
	}
	stride = (uint64_t)cmd.width * bytes_per_pixel(cmd.fourcc);
	if (stride == 0 || stride > UINT32_MAX || cmd.height == 0 ||
	    cmd.height > ch->config.budget->max / stride) {
		return -EPROTO;
	}
	answer.strides[0] = (uint32_t)stride;
	answer.size = vmm_gpu_page_round(stride * cmd.height);
	answer.blob_id = vmm_gpu_items_template(&ch->items, &cmd, answer.size);
	if (answer.blob_id == 0) {
		return -ENOSPC;
	}
	return ch->config.ops->ring_write(ch->config.ctx, ch->query_ring, &answer, sizeof(answer));
}

/* ---- SEND ---- */

static int check_ids(struct gpu_channel *ch, const struct xd_send *cmd)
{
	uint32_t pipes = 0;

	for (uint32_t i = 0; i < cmd->ids; i++) {
		switch (cmd->type[i]) {
		case XD_ID_BLOB:
			if (ch->config.ops->blob_fd(ch->config.ctx, cmd->id[i]) < 0) {
				return -ENOENT;
			}
			break;
		case XD_ID_READ_PIPE:
			pipes++;
			if (cmd->id[i] != XD_READ_PIPE_START + ch->read_pipes + pipes) {
				return -EPROTO;
			}
			break;
		default:
			return -EPROTO;
		}
	}
	return 0;
}

/* A descriptor of its own for each identifier. */
static int open_ids(struct gpu_channel *ch, const struct xd_send *cmd, int *fds)
{
	for (uint32_t i = 0; i < cmd->ids; i++) {
		int ret = 0;

		if (cmd->type[i] == XD_ID_READ_PIPE) {
			ret = vmm_gpu_pipes_make(ch, &fds[i]);
		} else {
			int fd = ch->config.ops->blob_fd(ch->config.ctx, cmd->id[i]);

			fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
			ret = fds[i] < 0 ? -errno : 0;
		}
		if (ret < 0) {
			vmm_gpu_close_fds(fds, i);
			return ret;
		}
	}
	return 0;
}

static int send_bytes(struct gpu_channel *ch, const uint8_t *bytes, const struct xd_header *h)
{
	int fds[XD_IDS_MAX];
	struct xd_send cmd;
	int ret;

	if (get(bytes, h, &cmd, sizeof(cmd)) < 0 || ch->state == CHANNEL_NONE ||
	    cmd.ids > XD_IDS_MAX || cmd.len > h->size - sizeof(cmd) ||
	    (cmd.len == 0 && cmd.ids > 0)) {
		return -EPROTO;
	}
	/* Who has not noticed the end yet is not to blame for it. */
	if (cmd.len == 0 || ch->state >= CHANNEL_ENDING) {
		return 0;
	}
	ret = check_ids(ch, &cmd);
	if (ret < 0) {
		return ret;
	}
	ret = open_ids(ch, &cmd, fds);
	if (ret == 0) {
		ret = vmm_gpu_pass(ch, &ch->requests, bytes + sizeof(cmd), cmd.len, fds, cmd.ids);
	}
	if (ret < 0) {
		/* What is missing in the middle of a stream makes nonsense of the rest. */
		vmm_gpu_channel_hang_up(
			ch, ret == -EPROTO ? "the guest says what it may not"
					   : "the compositor does not keep up with the guest");
		return ret;
	}
	vmm_gpu_channel_flush(ch);
	return 0;
}

static int write_pipe(struct gpu_channel *ch, const uint8_t *bytes, const struct xd_header *h)
{
	struct xd_write cmd;

	if (get(bytes, h, &cmd, sizeof(cmd)) < 0 || cmd.len > h->size - sizeof(cmd)) {
		return -EPROTO;
	}
	return vmm_gpu_pipes_write(ch, &cmd, bytes + sizeof(cmd));
}

int vmm_gpu_command(struct gpu_channel *ch, const uint8_t *bytes, const struct xd_header *h)
{
	switch (h->cmd) {
	case XD_INIT:
		return init_channel(ch, bytes, h);
	case XD_GET_IMAGE:
		return get_image(ch, bytes, h);
	case XD_POLL:
		return 0; /* its fence is what counts */
	case XD_SEND:
		return send_bytes(ch, bytes, h);
	case XD_WRITE:
		return write_pipe(ch, bytes, h);
	default:
		return -EPROTO;
	}
}

/* ---- blobs ---- */

int vmm_gpu_channel_take_blob(struct gpu_channel *ch, uint64_t id, uint64_t size)
{
	uint64_t len;
	struct item *item = vmm_gpu_items_find(&ch->items, id);
	int fd;

	if (!item) {
		return -ENOENT;
	}
	if (size == 0 || size > item->size) {
		return -EPROTO;
	}
	if (item->fd >= 0) {
		fd = item->fd;
		vmm_gpu_items_remove(&ch->items, item);
		return fd;
	}
	len = vmm_gpu_page_round(size);
	fd = vmm_gpu_budget_charge(ch->config.budget, len);
	if (fd == 0) {
		fd = vmm_gpu_memory(len);
		if (fd < 0) {
			vmm_gpu_budget_release(ch->config.budget, len);
		}
	}
	return fd;
}
