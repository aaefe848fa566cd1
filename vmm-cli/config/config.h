/* SPDX-License-Identifier: MIT */
/*
 * What a VM consists of, as plain structs: the one model behind both spellings of a
 * configuration, cloud-hypervisor's VmConfig in JSON and a VM directory.
 *
 * Nothing here opens a kernel, a disk or a tap: a config names files (or holds descriptors) and
 * is checked for what can be said without them. All strings are heap memory of the config and
 * NULL when unset; descriptors are -1 when unset and closed by vm_config_finish.
 */
#ifndef VMM_CLI_CONFIG_H
#define VMM_CLI_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <vmm/dev/tap.h>
#include <vmm/error.h>
#include <vmm/vm.h>

#define VM_ID_MAX   31 /* bytes of a device id */
#define VM_NAME_MAX 64 /* bytes of a VM's name */
#define VM_DEVICES_MAX \
	28 /* disks, cards, file systems, GPUs: PCI slots less those of the fixed devices */
#define VM_POLL_US_DEFAULT      32u
#define VM_POLL_US_MAX          1000u
#define VM_SERIAL_LIMIT_DEFAULT (UINT64_C(1) << 20)
#define VM_FS_TAG_MAX           36 /* bytes of a file system's tag */
#define VM_FS_QUEUES_MAX        8  /* its request queues */

/* A file by path or by descriptor; the descriptor wins. */
struct vm_file {
	char *path;
	int fd;
};

struct vm_payload {
	struct vm_file kernel;
	struct vm_file initramfs;
	char *cmdline;
};

struct vm_cpus {
	uint64_t boot_vcpus;
	uint64_t max_vcpus; /* as asked for; always equal to boot_vcpus once checked */
};

struct vm_memory {
	uint64_t size; /* bytes */
	bool shared;   /* shown back; guest memory is always shareable */
	bool huge_pages;
};

struct vm_disk {
	char *id; /* set by vm_config_add_disk when the caller did not */
	struct vm_file file;
	char *serial;
	bool readonly;
	bool sparse;
	uint64_t queue_size;
	char *restart; /* of its process: "always", "never", NULL: as the VMM was told */
	/* Not a file: a program of others serves the disk at this socket. */
	bool vhost_user;
	char *vhost_socket;
};

struct vm_net {
	char *id;
	char *tap;              /* name of a tap of the host; NULL: it came as a descriptor */
	int fd;                 /* the descriptor, until the tap is opened */
	struct vmm_tap *handle; /* the tap once it is open; kept while the VM is off */
	bool wants_fd;          /* the JSON named descriptors: they must come by SCM_RIGHTS */
	char *ip; /* shown back; only accepted with a descriptor, whose tap is set up already */
	char *mask;
	char *mac_text; /* as given; when it was not, vm_config_add_net makes one up */
	uint8_t mac[6];
	uint64_t mtu;     /* 0: not told to the guest */
	bool offload_tso; /* any of the three turned off turns all of them off */
	bool offload_ufo;
	bool offload_csum;
	/*
	 * Drop what the guest sends from a source address other than mac. When not given it is on
	 * for application VMs, which are known by their address (0A:B3:EC:00:..), else off.
	 */
	bool drop_foreign_source;
	bool drop_foreign_source_given;
	char *restart; /* as of a disk */
	/* Not a tap: as of a disk. */
	bool vhost_user;
	char *vhost_socket;
};

/* A directory that a program of others (virtiofsd) serves over vhost-user. */
struct vm_fs {
	char *id;
	char *tag;           /* by which the guest mounts it */
	char *socket;        /* path at which the program listens; connected at boot */
	uint64_t num_queues; /* for requests */
	uint64_t queue_size;
};

/* Where what a GPU's scanout shows goes. */
enum vm_display {
	VM_DISPLAY_NONE,    /* it has no scanout */
	VM_DISPLAY_FILE,    /* nowhere but into screenshots */
	VM_DISPLAY_WAYLAND, /* a window of the host's desktop */
};

/* virtio-gpu. */
struct vm_gpu {
	char *id;
	char *socket; /* a program of others (crosvm) serves it here; then nothing else is set */
	char *display_text;      /* as given, and */
	enum vm_display display; /* what it means, once checked */
	char *size;              /* of the display before anybody changes it: "1280x800" */
	bool contexts;           /* Wayland programs of the guest may open windows of their own */
	char *wayland_socket;    /* of the compositor; NULL: as the environment says */
	char *clipboard; /* which way it is shared: "none", "in", "out", "both"; NULL: none */
	char *restart;   /* as of a disk */
};

enum vm_console_mode {
	VM_CONSOLE_OFF,
	VM_CONSOLE_NULL,
	VM_CONSOLE_PTY,
	VM_CONSOLE_TTY,
	VM_CONSOLE_FILE,
};

struct vm_console {
	enum vm_console_mode mode;
	/* VM_CONSOLE_FILE: where output goes. VM_CONSOLE_PTY: the path of the pty once it exists.
	 */
	struct vm_file file;
	uint64_t size_limit; /* bytes of the file before it is rotated */
};

struct vm_config {
	char *name; /* ours: by which people know the VM, in windows' titles; NULL: none */
	struct vm_payload payload;
	struct vm_cpus cpus;
	struct vm_memory memory;
	struct vm_disk *disks;
	size_t disk_count;
	struct vm_net *nets;
	size_t net_count;
	struct vm_fs *fs;
	size_t fs_count;
	struct vm_gpu *gpus;
	size_t gpu_count;
	struct vm_console console; /* virtio-console: hvc0 */
	struct vm_console serial;  /* ttyS0, output only */
	char *rng_src;
	/* Ours: for how long the processes of disks, cards and consoles look for work before they
	 * sleep; 0: not at all. */
	uint64_t poll_us;
	enum vmm_transport_type transport; /* ours: what the guest finds its devices by */
	unsigned next_id;                  /* number of the next automatic id */
	/* VM directories only: the VM that routes this one's network, NULL when there is none. */
	char *net_provider;
};

/* Defaults in every field; allocates nothing. */
void vm_config_init(struct vm_config *config);
/* Frees and closes all; config is as after vm_config_init. */
void vm_config_finish(struct vm_config *config);

void vm_disk_init(struct vm_disk *disk);
void vm_disk_finish(struct vm_disk *disk);
void vm_net_init(struct vm_net *net);
void vm_net_finish(struct vm_net *net);
void vm_fs_init(struct vm_fs *fs);
void vm_fs_finish(struct vm_fs *fs);
void vm_gpu_init(struct vm_gpu *gpu);
void vm_gpu_finish(struct vm_gpu *gpu);
/* A window is a keyboard and a pointer as well, devices of their own. */
bool vm_gpu_has_window(const struct vm_gpu *gpu);

/*
 * Append a device and give it what its maker left open: an automatic id (_disk0, _net1: one
 * counter for all), a MAC address. On success the device's contents belong to the config and
 * *disk, *net, *fs or *gpu is as after init; on failure it stays the caller's.
 * -EINVAL (a field, named), -EEXIST (an id, path, tap, MAC, tag or socket is taken), -ENOSPC,
 * -ENOMEM.
 */
int vm_config_add_disk(struct vm_config *config, struct vm_disk *disk, struct vmm_error *err);
int vm_config_add_net(struct vm_config *config, struct vm_net *net, struct vmm_error *err);
int vm_config_add_fs(struct vm_config *config, struct vm_fs *fs, struct vmm_error *err);
int vm_config_add_gpu(struct vm_config *config, struct vm_gpu *gpu, struct vmm_error *err);

/* Takes out the disk, network card, file system or GPU called id and closes what it held. -ENOENT.
 */
int vm_config_remove(struct vm_config *config, const char *id);

/* Checks what the parts say about each other. -EINVAL with the field's name. */
int vm_config_check(const struct vm_config *config, struct vmm_error *err);

/*
 * Reads a VmConfig (cloud-hypervisor's JSON) into an initialised config. Unknown fields are
 * ignored; known ones that this VMM does not carry out are refused by name, unless their value
 * asks for nothing. On failure config holds nothing. -EINVAL, -EEXIST, -ENOMEM.
 */
int vm_config_from_json(struct vm_config *config, const json_t *json, struct vmm_error *err);
/* The same for one device, as in vm.add-disk and vm.add-net, into an initialised struct. */
int vm_disk_from_json(struct vm_disk *disk, const json_t *json, struct vmm_error *err);
int vm_net_from_json(struct vm_net *net, const json_t *json, struct vmm_error *err);
int vm_fs_from_json(struct vm_fs *fs, const json_t *json, struct vmm_error *err);
int vm_gpu_from_json(struct vm_gpu *gpu, const json_t *json, struct vmm_error *err);

/*
 * Parses len bytes of text into JSON: one value, no trailing bytes, no key twice. NULL and
 * -EINVAL with line and column. The caller owns *out.
 */
int vm_json_parse(json_t **out, const char *text, size_t len, struct vmm_error *err);

/* The config as VmConfig JSON, a new reference; unset optional fields are left out and descriptors
 * read -1. NULL: out of memory. */
json_t *vm_config_to_json(const struct vm_config *config);

/*
 * Reads a VM directory into an initialised config. path is what the files' paths begin with and
 * is opened here:
 *
 *	vmlinux              kernel (required; vmlinuz works as well)
 *	blk/NAME.img         read-only disks, in the order of their names
 *	providers/net/NAME   an empty file: VM NAME provides the network
 *	net/TAP              a card on the host's tap TAP: its MAC address, or empty
 *	bridges/BRIDGE       read by `vmm-cli start`, not here
 *	initrd               initial RAM disk; optional
 *	cmdline              kernel command line, one line; optional
 *	memory               size of RAM: bytes, or a number and K, M or G; 1 GiB
 *	cpus                 number of vCPUs; 1
 *	transport            how the guest finds its devices: pci or mmio; pci
 *	wayland              programs of the guest may open windows on the host's desktop; its
 *socket's path, or empty for that of the environment clipboard            which way they share it:
 *none, in, out, both; none display              the guest has a screen: file, for screenshots, or
 *wayland, a window
 *
 * Symbolic links are followed; nothing else in the directory is looked at. The console is a pty;
 * the serial log goes to serial_log, or nowhere when that is NULL. The card towards a provider
 * is not made here: net_provider says that one is wanted. -ENOENT, -EINVAL, -ENOMEM,
 * errno of open and read; err names the file.
 */
int vm_config_from_directory(struct vm_config *config, const char *path, const char *serial_log,
			     struct vmm_error *err);

/*
 * Is name good for a VM? 1 to VM_NAME_MAX bytes of UTF-8 without control characters, spaces or any
 * of : / , = and not starting with '.' or '-'. -EINVAL with the reason.
 */
int vm_name_check(const char *name, struct vmm_error *err);

/* "pci", "mmio"; parse: -EINVAL. */
int vm_transport_parse(enum vmm_transport_type *out, const char *text);
const char *vm_transport_name(enum vmm_transport_type transport);

/* "0a:b3:ec:00:12:34" to bytes. -EINVAL: not of that form, all zero, or a group address. */
int vm_mac_parse(uint8_t mac[6], const char *text);

/* A number with an optional suffix K, M or G (powers of 1024). -EINVAL, -ERANGE. */
int vm_size_parse(uint64_t *out, const char *text);

#endif
