/* SPDX-License-Identifier: MIT */
/* virtio-net (VIRTIO 1.2 section 5.1): features, life, link. The queues are in rx.c, tx.c, ctrl.c.
 */
#include "net_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shapes.h"

/* struct virtio_net_config (section 5.1.4). */
#define CONFIG_MAC    0u
#define CONFIG_STATUS 6u
#define CONFIG_PAIRS  8u
#define CONFIG_MTU    10u
#define CONFIG_SIZE   12u

#define STATUS_LINK_UP 1u

static const uint16_t queue_sizes[QUEUE_COUNT] = {
	[QUEUE_RX] = DATA_QUEUE_SIZE,
	[QUEUE_TX] = DATA_QUEUE_SIZE,
	[QUEUE_CTRL] = CTRL_QUEUE_SIZE,
};

const struct vmm_dev_shape vmm_net_shape = {
	.kind = "net",
	.device_id = VMM_VIRTIO_ID_NET,
	.queue_count = QUEUE_COUNT,
	.queue_sizes = queue_sizes,
	.config_len = CONFIG_SIZE,
};

static struct net *from_base(struct vmm_virtio_device *dev)
{
	return (struct net *)dev;
}

/* ---- the tap ---- */

void vmm_net_update_events(struct net *net)
{
	uint32_t events = 0;

	if (!net->source) {
		return;
	}
	events |= net->rx_wanted && net_is_up(net) ? VMM_LOOP_READABLE : 0u;
	events |= net->tx_blocked ? VMM_LOOP_WRITABLE : 0u;
	if (events != net->events) {
		net->events = events;
		(void)vmm_source_set_events(net->source, events);
	}
}

static void on_tap(void *ctx, int fd, uint32_t events)
{
	struct net *net = ctx;
	uint32_t broken = events & (VMM_LOOP_ERROR | VMM_LOOP_HANGUP);

	(void)fd;
	/* An error shows itself when the tap is used. */
	if (net->tx_blocked && (broken != 0 || (events & VMM_LOOP_WRITABLE) != 0)) {
		net->tx_blocked = false;
		vmm_net_update_events(net);
		vmm_net_transmit(net);
	}
	if (net->rx_wanted && (broken != 0 || (events & VMM_LOOP_READABLE) != 0)) {
		vmm_net_receive(net);
	}
}

static void update_status(struct net *net)
{
	const uint8_t status[2] = {net_is_up(net) ? STATUS_LINK_UP : 0u, 0};

	(void)vmm_virtio_config_update(&net->base, CONFIG_STATUS, status, sizeof(status));
}

void vmm_net_lose_tap(struct net *net)
{
	vmm_log(net->active.log, VMM_LOG_WARN, "net: the back end '%s' is gone: link down",
		vmm_tap_name(net->tap));
	net->tap_lost = true;
	net->tx_blocked = false;
	vmm_source_remove(net->source);
	net->source = NULL;
	update_status(net);
}

void vmm_net_set_link(struct vmm_virtio_device *dev, bool up)
{
	struct net *net = from_base(dev);

	if (net->link_up == up) {
		return;
	}
	net->link_up = up;
	update_status(net);
	/* Whatever is in the transmit queue passes or is dropped. */
	net->tx_blocked = false;
	vmm_net_update_events(net);
	vmm_net_transmit(net);
	vmm_net_receive(net);
}

void vmm_net_update_mac(struct net *net, const uint8_t mac[MAC_SIZE])
{
	memcpy(net->mac, mac, MAC_SIZE);
	(void)vmm_virtio_config_update(&net->base, CONFIG_MAC, mac, MAC_SIZE);
}

/* ---- what was negotiated ---- */

static void set_rules(struct net *net, uint64_t features)
{
	size_t packet_max = 0;

	if (net->mtu > 0) {
		packet_max = net->mtu + ETH_SIZE + VLAN_SIZE;
	}
	net->tx_rules = (struct net_rules){
		.csum = (features & F_CSUM) != 0,
		.tso4 = (features & F_HOST_TSO4) != 0,
		.tso6 = (features & F_HOST_TSO6) != 0,
		.ecn = (features & F_HOST_ECN) != 0,
		.uso = (features & F_HOST_USO) != 0,
		.packet_max = packet_max,
	};
	net->rx_rules = (struct net_rules){
		.csum = (features & F_GUEST_CSUM) != 0,
		.tso4 = (features & F_GUEST_TSO4) != 0,
		.tso6 = (features & F_GUEST_TSO6) != 0,
		.ecn = (features & F_GUEST_ECN) != 0,
		.uso = (features & F_GUEST_USO4) != 0 && (features & F_GUEST_USO6) != 0,
		.data_valid = (features & F_GUEST_CSUM) != 0 && vmm_tap_is_trusted(net->tap),
		.packet_max = packet_max,
	};
	/* Without segmentation a frame is a packet, of the usual size unless we know better. */
	net->rx_need = HEADER_SIZE + (packet_max > 0 ? packet_max : 1500 + ETH_SIZE + VLAN_SIZE);
	if (net->rx_rules.tso4 || net->rx_rules.tso6 || net->rx_rules.uso) {
		net->rx_need = HEADER_SIZE + FRAME_MAX;
	}
	if ((features & F_MRG_RXBUF) == 0) {
		net->rx_need = 0; /* a frame has one buffer, however many there are */
	}
}

static uint32_t guest_offloads(const struct net *net)
{
	const struct net_rules *rules = &net->rx_rules;

	/* The others need a checksum to be completed (section 5.1.3.1). */
	if (!rules->csum) {
		return 0;
	}
	return VMM_TAP_CSUM | (rules->tso4 ? VMM_TAP_TSO4 : 0u) |
	       (rules->tso6 ? VMM_TAP_TSO6 : 0u) | (rules->ecn ? VMM_TAP_ECN : 0u) |
	       (rules->uso ? VMM_TAP_USO : 0u);
}

/* ---- life ---- */

static void transmit_again(void *ctx)
{
	vmm_net_transmit(ctx);
}

static void control_again(void *ctx)
{
	vmm_net_control(ctx);
}

/* Prepares the tap for what the driver can do, unless it is gone. */
static int connect_tap(struct net *net, struct vmm_loop *loop)
{
	int ret;

	if (net->tap_lost) {
		return 0;
	}
	ret = vmm_tap_set_offloads(net->tap, guest_offloads(net));
	if (ret == -EBADFD) {
		net->tap_lost = true;
		update_status(net);
		return 0;
	}
	if (ret < 0) {
		return ret;
	}
	net->events = VMM_LOOP_READABLE;
	return vmm_loop_add_fd(loop, vmm_tap_fd(net->tap), net->events, on_tap, net, &net->source);
}

static int net_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct net *net = from_base(dev);
	int ret;

	set_rules(net, active->features);
	ret = vmm_loop_add_timer(active->loop, vmm_net_receive_anyway, net, &net->rx_timer);
	if (ret < 0) {
		return ret;
	}
	ret = connect_tap(net, active->loop);
	if (ret < 0) {
		vmm_source_remove(net->rx_timer);
		net->rx_timer = NULL;
		return ret;
	}
	net->active = *active;
	net->hand.first = 0;
	net->hand.end = 0;
	net->hand.iovs_used = 0;
	net->hand.capacity = 0;
	net->rx_waiting = false;
	net->rx_wanted = false;
	net->tx_blocked = false;
	net->rx_errors = 0;
	if (active->resumed) {
		vmm_net_filter_resume(&net->filter, active->features);
	} else {
		vmm_net_filter_reset(&net->filter);
	}
	vmm_net_update_events(net);
	return 0;
}

static void net_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	struct net *net = from_base(dev);

	switch (queue) {
	case QUEUE_RX:
		vmm_net_receive(net);
		break;
	case QUEUE_TX:
		vmm_net_transmit(net);
		break;
	default:
		vmm_net_control(net);
		break;
	}
}

static void net_reset(struct vmm_virtio_device *dev)
{
	struct net *net = from_base(dev);

	vmm_loop_cancel(net->active.loop, &net->tx_again);
	vmm_loop_cancel(net->active.loop, &net->ctrl_again);
	vmm_source_remove(net->source);
	net->source = NULL;
	vmm_source_remove(net->rx_timer);
	net->rx_timer = NULL;
	memset(&net->active, 0, sizeof(net->active));
	/* What the host sends to a driver of which nothing is known yet. */
	(void)vmm_tap_set_offloads(net->tap, 0);
	if (memcmp(net->mac, net->configured_mac, MAC_SIZE) != 0) {
		vmm_net_update_mac(net, net->configured_mac);
	}
}

static void net_destroy(struct vmm_virtio_device *dev)
{
	free(from_base(dev));
}

static void net_counters(struct vmm_virtio_device *dev,
			 void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	struct net_counters *c = &from_base(dev)->counters;
	const struct {
		const char *name;
		const uint64_t *value;
	} all[] = {
		{"rx_bytes", &c->rx_bytes},     {"rx_frames", &c->rx_frames},
		{"rx_dropped", &c->rx_dropped}, {"tx_bytes", &c->tx_bytes},
		{"tx_frames", &c->tx_frames},   {"tx_dropped", &c->tx_dropped},
		{"tx_spoofed", &c->tx_spoofed},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		emit(ctx, all[i].name, __atomic_load_n(all[i].value, __ATOMIC_RELAXED));
	}
}

static const struct vmm_virtio_ops net_ops = {
	.activate = net_activate,
	.notify = net_notify,
	.reset = net_reset,
	.destroy = net_destroy,
	.counters = net_counters,
};

/* ---- creation ---- */

static uint64_t offered(const struct vmm_net_config *config)
{
	uint32_t host = config->no_offloads ? 0 : vmm_tap_offloads(config->tap);
	uint64_t features =
		F_MAC | F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_CTRL_RX | F_CTRL_RX_EXTRA;

	features |= config->mtu > 0 ? F_MTU : 0u;
	features |= config->drop_foreign_source ? 0u : F_CTRL_MAC_ADDR;
	features |= host & VMM_TAP_CSUM ? F_CSUM | F_GUEST_CSUM : 0u;
	features |= host & VMM_TAP_TSO4 ? F_HOST_TSO4 | F_GUEST_TSO4 : 0u;
	features |= host & VMM_TAP_TSO6 ? F_HOST_TSO6 | F_GUEST_TSO6 : 0u;
	features |= host & VMM_TAP_ECN ? F_HOST_ECN | F_GUEST_ECN : 0u;
	features |= host & VMM_TAP_USO ? F_HOST_USO | F_GUEST_USO4 | F_GUEST_USO6 : 0u;
	return features;
}

static int check(const struct vmm_net_config *config, struct vmm_error *err)
{
	static const uint8_t zero[MAC_SIZE];
	const uint8_t *m = config->mac;

	if (!config->tap) {
		return vmm_error_set(err, -EINVAL, "net: no tap");
	}
	if (memcmp(m, zero, MAC_SIZE) == 0 || (m[0] & 1u) != 0) {
		return vmm_error_set(err, -EINVAL,
				     "net: %02x:%02x:%02x:%02x:%02x:%02x is not the address of one "
				     "interface",
				     m[0], m[1], m[2], m[3], m[4], m[5]);
	}
	if (config->mtu > 0 && config->mtu < VMM_NET_MTU_MIN) {
		return vmm_error_set(err, -EINVAL, "net: an MTU of %u is below %u", config->mtu,
				     VMM_NET_MTU_MIN);
	}
	return 0;
}

static void fill_config(struct net *net)
{
	uint8_t *bytes = net->base.config;

	memcpy(bytes + CONFIG_MAC, net->mac, MAC_SIZE);
	bytes[CONFIG_STATUS] = STATUS_LINK_UP;
	bytes[CONFIG_PAIRS] = 1;
	bytes[CONFIG_MTU] = (uint8_t)net->mtu;
	bytes[CONFIG_MTU + 1] = (uint8_t)(net->mtu >> 8);
}

int vmm_net_create(struct vmm_virtio_device **out, const struct vmm_net_config *config,
		   struct vmm_error *err)
{
	struct net *net;
	int ret;

	*out = NULL;
	ret = check(config, err);
	if (ret < 0) {
		return ret;
	}
	net = calloc(1, sizeof(*net));
	if (!net) {
		return vmm_error_set(err, -ENOMEM, "net: out of memory");
	}
	net->base.ops = &net_ops;
	vmm_dev_shape_apply(&vmm_net_shape, &net->base);
	net->base.features = offered(config);
	net->tap = config->tap;
	memcpy(net->configured_mac, config->mac, MAC_SIZE);
	memcpy(net->mac, config->mac, MAC_SIZE);
	net->mtu = config->mtu;
	net->drop_foreign_source = config->drop_foreign_source;
	net->link_up = true;
	net->tx_again = (struct vmm_work){.fn = transmit_again, .ctx = net};
	net->ctrl_again = (struct vmm_work){.fn = control_again, .ctx = net};
	net->tx_chain.iov = net->tx_chain_iov;
	net->tx_chain.iov_cap = DATA_QUEUE_SIZE;
	net->ctrl_chain.iov = net->ctrl_iov;
	net->ctrl_chain.iov_cap = CTRL_QUEUE_SIZE;
	fill_config(net);
	*out = &net->base;
	return 0;
}
