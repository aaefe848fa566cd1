/* SPDX-License-Identifier: MIT */
/* What a client says. */
#include "client.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Earlier pools of one id whose delete_id has not come yet; an object counts them in 8 bits. */
#define STALE_MAX 200

#define CREATE_BUFFER_SIZE 32u

static void *thing_of(struct client *client, uint32_t id, enum thing kind)
{
	const struct vmm_wl_object *object = vmm_wl_find(client->wire, id);

	return object ? table_get(&client->things, object->user, kind) : NULL;
}

/* False: out of memory. */
static bool set_thing(struct client *client, uint32_t id, enum thing kind, void *thing)
{
	struct vmm_wl_object *object = vmm_wl_find(client->wire, id);

	if (object) {
		object->user = table_add(&client->things, kind, thing);
	}
	return object && object->user != 0;
}

static int take_fd(struct client *client)
{
	int fd = client->in_fds[0];

	client->in_fd_count--;
	memmove(client->in_fds, client->in_fds + 1, client->in_fd_count * sizeof(int));
	return fd;
}

/* A message of the proxy's own. */
static int inject(struct client *client, const uint8_t *data, size_t size,
		  const struct host_pass *pass)
{
	struct vmm_wl_message msg;

	if (vmm_wl_request(client->wire, data, &msg) != VMM_WL_PASS) {
		return -EPROTO;
	}
	return host_send(client->host, data, size, pass);
}

/* The compositor's pool of this id becomes another one, of the memory that pool lies in now. */
static int remake_pool(struct client *client, uint32_t id, const struct shadow_pool *pool)
{
	const struct host_pass pass = {.blob = shadow_pool_blob(pool)};
	uint16_t number = vmm_wl_find(client->wire, id)->user;
	uint64_t size = pass.blob->size > INT32_MAX ? INT32_MAX : pass.blob->size;
	uint8_t data[VMM_WL_HEADER_SIZE + 8];
	int ret;

	vmm_wl_header(data, id, VMM_WL_RQ_WL_SHM_POOL_DESTROY, VMM_WL_HEADER_SIZE);
	ret = inject(client, data, VMM_WL_HEADER_SIZE, NULL);
	if (ret < 0) {
		return ret;
	}
	vmm_wl_header(data, client->shm, VMM_WL_RQ_WL_SHM_CREATE_POOL, sizeof(data));
	vmm_wl_set_word(data, 0, id);
	vmm_wl_set_word(data, 1, (uint32_t)size);
	ret = inject(client, data, sizeof(data), &pass);
	if (ret == 0) {
		vmm_wl_find(client->wire, id)->user = number;
	}
	return ret;
}

/* Before the message is looked at: it goes on as if the buffer lay at the front of the pool. */
static int place_buffer(struct client *client, uint8_t *data, struct shadow_pool *pool,
			struct shadow_buffer **buffer)
{
	const struct shadow_shape shape = {
		.offset = (int32_t)vmm_wl_word(data, 1),
		.width = (int32_t)vmm_wl_word(data, 2),
		.height = (int32_t)vmm_wl_word(data, 3),
		.stride = (int32_t)vmm_wl_word(data, 4),
		.format = vmm_wl_word(data, 5),
	};
	uint32_t id;
	bool moved;

	memcpy(&id, data, sizeof(id));
	if (vmm_wl_find(client->wire, id)->stale >= STALE_MAX) {
		return REQUEST_LATER;
	}
	*buffer = shadow_buffer_create(pool, &shape, &moved);
	if (!*buffer && errno == EINVAL) {
		/* The compositor has words for it. */
		vmm_wl_set_word(data, 1, UINT32_MAX);
		return 0;
	}
	if (!*buffer) {
		return client_no_memory(client, id, "no memory for a buffer");
	}
	vmm_wl_set_word(data, 1, 0);
	return moved ? remake_pool(client, id, pool) : 0;
}

static int create_buffer(struct client *client, uint8_t *data, size_t size,
			 struct shadow_pool *pool)
{
	struct shadow_buffer *buffer = NULL;
	struct vmm_wl_message msg;
	int ret = place_buffer(client, data, pool, &buffer);

	if (ret == 0 && vmm_wl_request(client->wire, data, &msg) != VMM_WL_PASS) {
		ret = -EPROTO;
	}
	if (ret == 0 && buffer && !set_thing(client, msg.new_id, THING_BUFFER, buffer)) {
		ret = client_no_memory(client, msg.object, "no memory for a buffer");
	}
	if (ret < 0 && buffer) {
		shadow_buffer_destroy(buffer);
	}
	return ret == 0 ? host_send(client->host, data, size, NULL) : ret;
}

static int create_pool(struct client *client, uint8_t *data, const struct vmm_wl_message *msg,
		       int fd, struct host_pass *pass)
{
	int32_t size = (int32_t)vmm_wl_word(data, 1);
	struct shadow_pool *pool = shadow_pool_create(&client->shadow, fd, size);

	if (!pool) {
		return client_no_memory(client, msg->object, "a pool cannot be had");
	}
	if (!set_thing(client, msg->new_id, THING_POOL, pool)) {
		shadow_pool_destroy(pool);
		return client_no_memory(client, msg->object, "no memory for a pool");
	}
	client->shm = msg->object;
	pass->blob = shadow_pool_blob(pool);
	/* A size that is none is the compositor's to refuse. */
	if (size > 0) {
		vmm_wl_set_word(data, 1, (uint32_t)pass->blob->size);
	}
	return 0;
}

static int with_fd(struct client *client, uint8_t *data, const struct vmm_wl_message *msg,
		   struct host_pass *pass)
{
	int fd;

	if (client->in_fd_count == 0 || msg->fds != 1) {
		return -EPROTO;
	}
	fd = take_fd(client);
	return msg->interface == VMM_WL_IF_WL_SHM
		       ? create_pool(client, data, msg, fd, pass)
		       : pipes_to_client(&client->pipes, fd, &pass->pipe);
}

static void surface_request(struct shadow_surface *surface, struct client *client,
			    const uint8_t *data, uint16_t opcode)
{
	const int32_t a[4] = {(int32_t)vmm_wl_word(data, 0), (int32_t)vmm_wl_word(data, 1),
			      (int32_t)vmm_wl_word(data, 2), (int32_t)vmm_wl_word(data, 3)};

	switch (opcode) {
	case VMM_WL_RQ_WL_SURFACE_ATTACH:
		shadow_attach(surface, thing_of(client, (uint32_t)a[0], THING_BUFFER), a[1], a[2]);
		break;
	case VMM_WL_RQ_WL_SURFACE_DAMAGE:
		shadow_damage(surface, a[0], a[1], a[2], a[3]);
		break;
	case VMM_WL_RQ_WL_SURFACE_DAMAGE_BUFFER:
		shadow_damage_buffer(surface, a[0], a[1], a[2], a[3]);
		break;
	case VMM_WL_RQ_WL_SURFACE_SET_BUFFER_SCALE:
		shadow_scale(surface, a[0]);
		break;
	case VMM_WL_RQ_WL_SURFACE_SET_BUFFER_TRANSFORM:
		shadow_transform(surface, a[0]);
		break;
	case VMM_WL_RQ_WL_SURFACE_OFFSET:
		shadow_offset(surface, a[0], a[1]);
		break;
	case VMM_WL_RQ_WL_SURFACE_COMMIT:
		shadow_commit(surface);
		break;
	default:
		break;
	}
}

void client_drop_thing(struct client *client, uint16_t number)
{
	struct table *things = &client->things;
	void *thing;

	if ((thing = table_get(things, number, THING_POOL)) != NULL) {
		shadow_pool_destroy(thing);
	} else if ((thing = table_get(things, number, THING_BUFFER)) != NULL) {
		shadow_buffer_destroy(thing);
	} else if ((thing = table_get(things, number, THING_SURFACE)) != NULL) {
		shadow_surface_destroy(thing);
	} else {
		return;
	}
	table_remove(things, number);
}

/* What pools, buffers and surfaces are to know of a message. REQUEST_DONE, or -errno. */
static int look(struct client *client, const uint8_t *data, const struct vmm_wl_message *msg)
{
	struct vmm_wl_object *object = vmm_wl_find(client->wire, msg->object);
	struct shadow_surface *surface;

	if (msg->new_interface == VMM_WL_IF_WL_SURFACE) {
		surface = shadow_surface_create(&client->shadow);
		if (surface && !set_thing(client, msg->new_id, THING_SURFACE, surface)) {
			shadow_surface_destroy(surface);
			surface = NULL;
		}
		return surface ? 0
			       : client_no_memory(client, msg->object, "no memory for a surface");
	}
	if (msg->interface == VMM_WL_IF_WP_VIEWPORTER &&
	    msg->new_interface == VMM_WL_IF_WP_VIEWPORT) {
		surface = thing_of(client, vmm_wl_word(data, 1), THING_SURFACE);
		if (surface) {
			shadow_viewport(surface);
		}
	}
	if (msg->destructor && object) {
		client_drop_thing(client, object->user);
		object->user = 0;
	}
	return 0;
}

int client_request(struct client *client, uint8_t *data, size_t size)
{
	struct host_pass pass = {0};
	struct vmm_wl_message msg;
	uint8_t args[16 + VMM_WL_HEADER_SIZE] = {0};
	struct shadow_pool *pool;
	void *surface;
	uint32_t id;
	int ret = 0;

	memcpy(&id, data, sizeof(id));
	memcpy(args, data, size < sizeof(args) ? size : sizeof(args));
	pool = thing_of(client, id, THING_POOL);
	surface = thing_of(client, id, THING_SURFACE);
	if (pool && size == CREATE_BUFFER_SIZE) {
		return create_buffer(client, data, size, pool);
	}
	if (vmm_wl_request(client->wire, data, &msg) != VMM_WL_PASS) {
		return -EPROTO;
	}
	if (pool && msg.opcode == VMM_WL_RQ_WL_SHM_POOL_RESIZE) {
		/* It is not the compositor's pool that grows. */
		shadow_pool_resize(pool, (int32_t)vmm_wl_word(data, 0));
		return 0;
	}
	if (msg.fds > 0) {
		ret = with_fd(client, data, &msg, &pass);
	} else {
		if (surface) {
			surface_request(surface, client, args, msg.opcode);
		}
		ret = look(client, data, &msg);
	}
	if (ret < 0) {
		return ret;
	}
	return host_send(client->host, data, size, msg.fds > 0 ? &pass : NULL);
}
