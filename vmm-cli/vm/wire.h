/* SPDX-License-Identifier: MIT */
/*
 * What the supervisor and the process that runs the guest say to each other, over a SOCK_SEQPACKET
 * pair: one message is one packet of the exact size that its type has, with exactly the descriptors
 * that belong to it. The supervisor asks, one question at a time, and gets a reply that bears the
 * question's number; the vm process tells by itself what happens to the guest.
 *
 * Neither side trusts the other. What is not of this form, a text without an end, a number out of
 * range or a descriptor too many, is -EPROTO, and the connection is of no more use.
 */
#ifndef VMM_CLI_VM_WIRE_H
#define VMM_CLI_VM_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC       UINT32_C(0x57564d33) /* and the version */
#define WIRE_FDS_MAX     2u
#define WIRE_DEVICES_MAX 32u
#define WIRE_QUEUES_MAX  68u
#define WIRE_CMDLINE_MAX 4096u /* with the zero */
#define WIRE_TEXT_MAX    512u
#define WIRE_ID_MAX      32u
#define WIRE_SPACE_MAX   256u /* bytes of a device's configuration space */
#define WIRE_SHM_MAX     2u   /* shared memory regions of a device */
#define WIRE_SHM_ANY     UINT32_MAX
#define WIRE_SHM_LEN_MAX (UINT64_C(16) << 30) /* of one region */

enum wire_type {
	/* The supervisor's. In brackets: descriptors. */
	WIRE_CONFIG = 1, /* [/dev/kvm; a pipe for the serial port if there is one] the first one */
	WIRE_KERNEL,     /* [kernel] */
	WIRE_INITRD,     /* [initrd] */
	WIRE_DEVICE,     /* [vhost-user socket] */
	WIRE_BOOT,       /* from here on the process is in its jail */
	WIRE_PAUSE,
	WIRE_RESUME,
	WIRE_REBOOT,
	WIRE_BUTTON,
	WIRE_STOP,
	WIRE_CONNECT, /* [vhost-user socket] another back end for a device */
	WIRE_GIVE_UP, /* there will be none */
	WIRE_REQUESTS_END,

	/* The vm process's, without descriptors. */
	WIRE_REPLY = 64,
	WIRE_EXITED,
	WIRE_REBOOTED,
	WIRE_DEVICE_LOST,
	WIRE_ANSWERS_END,
};

struct wire_header {
	uint32_t magic;
	uint32_t type;
	uint32_t seq; /* the question's; 0 for what is told unasked */
	uint32_t reserved;
};

struct wire_config {
	uint64_t memory_size;
	uint64_t shm_size; /* of all devices' shared memory regions, at most */
	uint32_t vcpus;
	uint32_t devices;   /* that will follow, at most */
	uint32_t log_level; /* enum vmm_log_level */
	uint32_t has_serial;
	uint32_t huge_pages;
	uint32_t transport; /* enum vmm_transport_type */
	char cmdline[WIRE_CMDLINE_MAX];
};

struct wire_shm {
	uint64_t len;
	uint32_t id;
	uint32_t reserved;
};

struct wire_device {
	uint32_t index; /* counted from 0 in the order of the messages, which is that on the bus */
	uint32_t device_id;
	uint32_t queue_count;
	uint32_t config_len;
	uint32_t waits;     /* for another back end, when this one is lost */
	uint32_t shm_count; /* WIRE_SHM_ANY: those that its back end has */
	uint64_t features;  /* and own_features: as in struct vmm_vhost_frontend_config */
	uint64_t own_features;
	uint16_t queue_sizes[WIRE_QUEUES_MAX];
	struct wire_shm shm[WIRE_SHM_MAX];
	uint8_t space[WIRE_SPACE_MAX]; /* config_len bytes, for a back end that has none to tell */
	char id[WIRE_ID_MAX];
};

/* CONNECT, GIVE_UP. Which connection of a device is meant: the first one is 0. */
struct wire_connection {
	uint32_t index;
	uint32_t generation;
};

struct wire_reply {
	int32_t result; /* 0 or a negative errno, with words */
	char text[WIRE_TEXT_MAX];
};

struct wire_exited {
	uint32_t reason; /* enum vmm_exit_reason */
	int32_t code;
	char detail[WIRE_TEXT_MAX];
};

struct wire_device_lost {
	uint32_t index;
	uint32_t generation;
	int32_t why; /* negative errno */
};

struct wire_message {
	struct wire_header header;
	union {
		struct wire_config config;
		struct wire_device device;
		struct wire_connection connection;
		struct wire_reply reply;
		struct wire_exited exited;
		struct wire_device_lost lost;
	} u;
};

/* Who speaks. */
enum wire_side {
	WIRE_SUPERVISOR,
	WIRE_VM,
};

/* magic, type and number of a message whose other bytes are zero. */
void wire_begin(struct wire_message *message, enum wire_type type, uint32_t seq);

/*
 * Sends one message with its descriptors (borrowed; as many as its type has). Waits up to
 * timeout_ms for room. -EINVAL (the message is not of the form), -ETIMEDOUT, -EPIPE and other
 * errors of sendmsg.
 */
int wire_send(int fd, const struct wire_message *message, const int *fds, int timeout_ms);

/*
 * Receives one message of `from`, waiting up to timeout_ms. Its descriptors, close-on-exec, are the
 * caller's; fds has WIRE_FDS_MAX entries, those beyond them are -1. On failure none is left open:
 * -ETIMEDOUT, -ECONNRESET (the other side is gone), -EPROTO, other errors of recvmsg. With a
 * timeout of 0 it makes no other system call than recvmsg, and close when it fails.
 */
int wire_receive(int fd, enum wire_side from, struct wire_message *message, int *fds,
		 int timeout_ms);

/* How many descriptors belong to a message, whose form is good. */
size_t wire_fd_count(const struct wire_message *message);

/* Copies at most max bytes with the zero, cut if need be. */
void wire_set_text(char *out, size_t max, const char *text);

#endif
