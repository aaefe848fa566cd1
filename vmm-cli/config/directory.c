/* SPDX-License-Identifier: MIT */
/*
 * A VM directory: a VM's configuration as files, each of them optional but the kernel.
 */
#include "config/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmm/vm.h>

#define MEMORY_DEFAULT  (UINT64_C(1) << 30)
#define CMDLINE_DEFAULT "console=%s root=PARTLABEL=root"
#define CMDLINE_MAX     4096
#define NUMBER_MAX      32
#define ENTRIES_MAX     256

struct names {
	char **list;
	size_t count;
};

static void names_finish(struct names *names)
{
	while (names->count > 0) {
		free(names->list[--names->count]);
	}
	free(names->list);
	names->list = NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int names_add(struct names *names, const char *name)
{
	char **grown = realloc(names->list, (names->count + 1) * sizeof(*grown));

	if (!grown) {
		return -ENOMEM;
	}
	names->list = grown;
	grown[names->count] = strdup(name);
	if (!grown[names->count]) {
		return -ENOMEM;
	}
	names->count++;
	return 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name);
	size_t tail = strlen(suffix);

	return len > tail && strcmp(name + len - tail, suffix) == 0;
}

/* Names in a subdirectory that end in suffix, sorted; hidden ones are left out. -ENOENT: no such
 * directory. */
static int list_names(int dirfd, const char *sub, const char *suffix, struct names *out)
{
	const struct dirent *entry;
	DIR *dir;
	int fd = openat(dirfd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0) {
		return -errno;
	}
	dir = fdopendir(fd);
	if (!dir) {
		ret = -errno;
		close(fd);
		return ret;
	}
	while (ret == 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || !has_suffix(entry->d_name, suffix)) {
			continue;
		}
		ret = out->count < ENTRIES_MAX ? names_add(out, entry->d_name) : -E2BIG;
	}
	closedir(dir);
	if (ret == 0 && out->count > 1) {
		qsort(out->list, out->count, sizeof(out->list[0]), by_name);
	}
	return ret;
}

/* Reads a small text file and takes the white space off its end. -ENOENT: there is none. */
static int read_text(int dirfd, const char *name, char *buf, size_t size)
{
	/* O_NONBLOCK: a FIFO in the directory must not hang its reader. */
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t got;
	int ret = 0;

	if (fd < 0) {
		return -errno;
	}
	got = read(fd, buf, size);
	if (got < 0) {
		ret = -errno;
	} else if ((size_t)got == size || memchr(buf, 0, (size_t)got)) {
		ret = -EINVAL;
	}
	close(fd);
	if (ret < 0) {
		return ret;
	}
	while (got > 0 && strchr(" \t\r\n", buf[got - 1])) {
		got--;
	}
	buf[got] = '\0';
	return 0;
}

static char *join(const char *path, const char *sub, const char *name)
{
	char buf[PATH_MAX];
	int len = snprintf(buf, sizeof(buf), "%s/%s%s", path, sub, name);

	if (len < 0 || (size_t)len >= sizeof(buf)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return strdup(buf);
}

/* A member of the directory that is opened later: here only whether it is there. */
static int find_file(int dirfd, const char *path, const char *name, char **out)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, 0) < 0) {
		return -errno;
	}
	*out = join(path, "", name);
	return *out ? 0 : -errno;
}

static int read_payload(struct vm_config *config, int dirfd, const char *path,
			struct vmm_error *err)
{
	char cmdline[CMDLINE_MAX];
	int ret = find_file(dirfd, path, "vmlinux", &config->payload.kernel.path);

	if (ret == -ENOENT) {
		ret = find_file(dirfd, path, "vmlinuz", &config->payload.kernel.path);
	}
	if (ret < 0) {
		return vmm_error_set(err, ret, "kernel '%.200s/vmlinux': %s", path, strerror(-ret));
	}
	ret = find_file(dirfd, path, "initrd", &config->payload.initramfs.path);
	if (ret < 0 && ret != -ENOENT) {
		return vmm_error_set(err, ret, "'%.200s/initrd': %s", path, strerror(-ret));
	}
	ret = read_text(dirfd, "cmdline", cmdline, sizeof(cmdline));
	if (ret == -ENOENT) {
		(void)snprintf(cmdline, sizeof(cmdline), CMDLINE_DEFAULT, vmm_uart_tty());
	} else if (ret < 0 || strchr(cmdline, '\n')) {
		ret = ret < 0 && ret != -EINVAL ? ret : -EINVAL;
		return vmm_error_set(err, ret, "'%.200s/cmdline': %s", path,
				     ret != -EINVAL
					     ? strerror(-ret)
					     : "one line of less than 4096 bytes is expected");
	}
	config->payload.cmdline = strdup(cmdline);
	return config->payload.cmdline ? 0 : vmm_error_set(err, -ENOMEM, "out of memory");
}

/* A file that holds one number; value stays as it is when there is no such file. */
static int read_size(int dirfd, const char *path, const char *name, uint64_t min, uint64_t max,
		     uint64_t *value, struct vmm_error *err)
{
	char text[NUMBER_MAX];
	uint64_t number = 0;
	int ret = read_text(dirfd, name, text, sizeof(text));

	if (ret == -ENOENT) {
		return 0;
	}
	if (ret < 0 && ret != -EINVAL) {
		return vmm_error_set(err, ret, "'%.200s/%s': %s", path, name, strerror(-ret));
	}
	if (ret < 0 || vm_size_parse(&number, text) < 0 || number < min || number > max) {
		return vmm_error_set(err, -EINVAL,
				     "'%.200s/%s': a number from %llu to %llu is expected", path,
				     name, (unsigned long long)min, (unsigned long long)max);
	}
	*value = number;
	return 0;
}

/* A file that holds a word; *out, the caller's, is NULL when there is no such file. */
static int read_word(int dirfd, const char *path, const char *name, char **out,
		     struct vmm_error *err)
{
	char text[PATH_MAX];
	int ret = read_text(dirfd, name, text, sizeof(text));

	*out = NULL;
	if (ret == -ENOENT) {
		return 0;
	}
	if (ret == 0) {
		*out = strdup(text);
		ret = *out ? 0 : -ENOMEM;
	}
	return ret < 0 ? vmm_error_set(err, ret, "'%.200s/%s': %s", path, name, strerror(-ret)) : 0;
}

static int read_transport(struct vm_config *config, int dirfd, const char *path,
			  struct vmm_error *err)
{
	char *text;
	int ret = read_word(dirfd, path, "transport", &text, err);

	if (ret == 0 && text && vm_transport_parse(&config->transport, text) < 0) {
		ret = vmm_error_set(err, -EINVAL, "'%.200s/transport': pci or mmio is expected",
				    path);
	}
	free(text);
	return ret;
}

/* Windows of the guest's programs are one device, a screen is another: a driver that has contexts
 * cannot have the quicker of two ways to a screen. */
static int read_windows(struct vm_config *config, int dirfd, const char *path,
			struct vmm_error *err)
{
	struct vm_gpu gpu;
	int ret;

	vm_gpu_init(&gpu);
	ret = read_word(dirfd, path, "wayland", &gpu.wayland_socket, err);
	if (ret == 0 && gpu.wayland_socket) {
		ret = read_word(dirfd, path, "clipboard", &gpu.clipboard, err);
		gpu.contexts = true;
		if (gpu.wayland_socket[0] == '\0') {
			free(gpu.wayland_socket);
			gpu.wayland_socket = NULL;
		}
		if (ret == 0) {
			ret = vm_config_add_gpu(config, &gpu, err);
		}
	}
	vm_gpu_finish(&gpu);
	return ret;
}

static int read_screen(struct vm_config *config, int dirfd, const char *path, struct vmm_error *err)
{
	struct vm_gpu gpu;
	int ret;

	vm_gpu_init(&gpu);
	ret = read_word(dirfd, path, "display", &gpu.display_text, err);
	if (ret == 0 && gpu.display_text) {
		ret = vm_config_add_gpu(config, &gpu, err);
	}
	vm_gpu_finish(&gpu);
	return ret;
}

static int read_disks(struct vm_config *config, int dirfd, const char *path, struct vmm_error *err)
{
	struct names names = {NULL, 0};
	int ret = list_names(dirfd, "blk", ".img", &names);
	size_t i;

	if (ret < 0 && ret != -ENOENT) {
		ret = vmm_error_set(err, ret, "'%.200s/blk': %s", path, strerror(-ret));
	} else {
		ret = 0;
	}
	for (i = 0; ret == 0 && i < names.count; i++) {
		struct vm_disk disk;

		vm_disk_init(&disk);
		disk.readonly = true;
		disk.file.path = join(path, "blk/", names.list[i]);
		ret = disk.file.path ? vm_config_add_disk(config, &disk, err)
				     : vmm_error_set(err, -errno, "'%.200s/blk/%.100s': %s", path,
						     names.list[i], strerror(errno));
		vm_disk_finish(&disk);
	}
	names_finish(&names);
	return ret;
}

/* A card on a tap of the host's, by its name; the file holds its MAC address or nothing. */
static int read_tap(struct vm_config *config, int dirfd, const char *path, const char *name,
		    struct vmm_error *err)
{
	char file[NAME_MAX + 8];
	char mac[NUMBER_MAX] = "";
	struct vm_net net;
	int ret;

	(void)snprintf(file, sizeof(file), "net/%.255s", name);
	ret = read_text(dirfd, file, mac, sizeof(mac));
	vm_net_init(&net);
	if (ret < 0 || (mac[0] != '\0' && vm_mac_parse(net.mac, mac) < 0)) {
		ret = ret < 0 && ret != -EINVAL ? ret : -EINVAL;
		return vmm_error_set(err, ret, "'%.200s/%s': %s", path, file,
				     ret != -EINVAL ? strerror(-ret)
						    : "a MAC address or nothing is expected");
	}
	net.tap = strdup(name);
	net.mac_text = mac[0] != '\0' ? strdup(mac) : NULL;
	ret = net.tap && (net.mac_text || mac[0] == '\0')
		      ? vm_config_add_net(config, &net, err)
		      : vmm_error_set(err, -ENOMEM, "out of memory");
	vm_net_finish(&net);
	return ret;
}

static int read_taps(struct vm_config *config, int dirfd, const char *path, struct vmm_error *err)
{
	struct names names = {NULL, 0};
	int ret = list_names(dirfd, "net", "", &names);

	if (ret < 0 && ret != -ENOENT) {
		ret = vmm_error_set(err, ret, "'%.200s/net': %s", path, strerror(-ret));
	} else {
		ret = 0;
	}
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		ret = read_tap(config, dirfd, path, names.list[i], err);
	}
	names_finish(&names);
	return ret;
}

/* Only the first provider counts: there is no scheme that would say which card is whose. */
static int read_provider(struct vm_config *config, int dirfd, const char *path,
			 struct vmm_error *err)
{
	struct names names = {NULL, 0};
	int ret = list_names(dirfd, "providers/net", "", &names);

	if (ret == -ENOENT) {
		return 0;
	}
	if (ret < 0) {
		ret = vmm_error_set(err, ret, "'%.200s/providers/net': %s", path, strerror(-ret));
	} else if (names.count > 0) {
		ret = vm_name_check(names.list[0], err);
		if (ret < 0) {
			ret = vmm_error_wrap(err, ret, "'%.200s/providers/net'", path);
		} else {
			config->net_provider = strdup(names.list[0]);
			ret = config->net_provider ? 0
						   : vmm_error_set(err, -ENOMEM, "out of memory");
		}
	}
	names_finish(&names);
	return ret;
}

static int set_consoles(struct vm_config *config, const char *serial_log, struct vmm_error *err)
{
	config->console.mode = VM_CONSOLE_PTY;
	config->serial.mode = VM_CONSOLE_NULL;
	if (!serial_log) {
		return 0;
	}
	config->serial.mode = VM_CONSOLE_FILE;
	config->serial.file.path = strdup(serial_log);
	return config->serial.file.path ? 0 : vmm_error_set(err, -ENOMEM, "out of memory");
}

/* The directory's own name; one that is no name of a VM is not worth a failure. */
static int take_name(struct vm_config *config, const char *path, struct vmm_error *err)
{
	size_t end = strlen(path);
	size_t begin;
	char *name;

	while (end > 1 && path[end - 1] == '/') {
		end--;
	}
	for (begin = end; begin > 0 && path[begin - 1] != '/';) {
		begin--;
	}
	name = strndup(path + begin, end - begin);
	if (!name) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	if (vm_name_check(name, NULL) < 0) {
		free(name);
		name = NULL;
	}
	config->name = name;
	return 0;
}

static int read_directory(struct vm_config *config, int dirfd, const char *path,
			  const char *serial_log, struct vmm_error *err)
{
	int ret = take_name(config, path, err);

	if (ret == 0) {
		ret = read_payload(config, dirfd, path, err);
	}
	config->memory.size = MEMORY_DEFAULT;
	config->memory.shared = true;
	if (ret == 0) {
		ret = read_size(dirfd, path, "memory", UINT64_C(2) << 20, UINT64_C(1) << 42,
				&config->memory.size, err);
	}
	if (ret == 0) {
		ret = read_size(dirfd, path, "cpus", 1, 64, &config->cpus.boot_vcpus, err);
		config->cpus.max_vcpus = config->cpus.boot_vcpus;
	}
	if (ret == 0) {
		ret = read_transport(config, dirfd, path, err);
	}
	if (ret == 0) {
		ret = read_disks(config, dirfd, path, err);
	}
	if (ret == 0) {
		ret = read_taps(config, dirfd, path, err);
	}
	if (ret == 0) {
		ret = read_provider(config, dirfd, path, err);
	}
	if (ret == 0) {
		ret = read_windows(config, dirfd, path, err);
	}
	if (ret == 0) {
		ret = read_screen(config, dirfd, path, err);
	}
	if (ret == 0) {
		ret = set_consoles(config, serial_log, err);
	}
	return ret < 0 ? ret : vm_config_check(config, err);
}

int vm_config_from_directory(struct vm_config *config, const char *path, const char *serial_log,
			     struct vmm_error *err)
{
	int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (dirfd < 0) {
		ret = -errno;
		return vmm_error_set(err, ret, "VM directory '%.200s': %s", path, strerror(-ret));
	}
	ret = read_directory(config, dirfd, path, serial_log, err);
	close(dirfd);
	if (ret < 0) {
		vm_config_finish(config);
	}
	return ret;
}
