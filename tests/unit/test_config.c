/* SPDX-License-Identifier: MIT */
#include "config_fix.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vmm/vm.h>

#include "faultinj.h"
#include "fdcount.h"
#include "vm/foreign.h"

START_TEST(config_kernel_only_gets_defaults)
{
	ck_assert_int_eq(cfg_read("{" KERNEL "}"), 0);
	ck_assert_str_eq(config.payload.kernel.path, "/k");
	ck_assert_uint_eq(config.memory.size, 512u << 20);
	ck_assert_uint_eq(config.cpus.boot_vcpus, 1);
	ck_assert_int_eq(config.console.mode, VM_CONSOLE_TTY);
	ck_assert_int_eq(config.serial.mode, VM_CONSOLE_NULL);
	ck_assert_int_eq(config.transport, VMM_TRANSPORT_PCI);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_transport_is_read_and_written)
{
	static const char *const words[] = {"pci", "mmio"};

	for (unsigned i = 0; i < 2; i++) {
		char text[80];
		json_t *json;

		(void)snprintf(text, sizeof(text), "{" KERNEL ",\"transport\":\"%s\"}", words[i]);
		ck_assert_int_eq(cfg_read(text), 0);
		ck_assert_int_eq(config.transport, i == 0 ? VMM_TRANSPORT_PCI : VMM_TRANSPORT_MMIO);
		json = vm_config_to_json(&config);
		ck_assert_str_eq(json_string_value(json_object_get(json, "transport")), words[i]);
		json_decref(json);
		vm_config_finish(&config);
	}
	cfg_refused("{" KERNEL ",\"transport\":\"MMIO\"}", -EINVAL,
		    "transport: \"pci\" or \"mmio\"");
	cfg_refused("{" KERNEL ",\"transport\":\"\"}", -EINVAL, "transport");
	cfg_refused("{" KERNEL ",\"transport\":1}", -EINVAL, "transport");
}
END_TEST

/* What Spectrum's start-vmm sends, less the devices that do not exist yet. */
START_TEST(config_spectrum_request_is_read)
{
	ck_assert_int_eq(
		cfg_read("{\"console\":{\"mode\":\"Pty\"},\"disks\":[{\"path\":\"/v/blk/root.img\","
			 "\"readonly\":true}],\"fs\":[],\"gpu\":[],\"memory\":{\"shared\":true,"
			 "\"size\":1073741824},\"net\":[],\"payload\":{\"cmdline\":\"console=ttyS0 "
			 "root=PARTLABEL=root\",\"kernel\":\"/v/vmlinux\"},\"serial\":{\"file\":"
			 "\"/run/x.log\",\"mode\":\"File\"},\"vsock\":null,\"some_new_field\":7}"),
		0);
	ck_assert_uint_eq(config.memory.size, 1u << 30);
	ck_assert_int_eq(config.console.mode, VM_CONSOLE_PTY);
	ck_assert_int_eq(config.serial.mode, VM_CONSOLE_FILE);
	ck_assert_str_eq(config.serial.file.path, "/run/x.log");
	ck_assert_uint_eq(config.disk_count, 1);
	ck_assert_str_eq(config.disks[0].id, "_disk0");
	ck_assert(config.disks[0].readonly);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_defaults_written_out_are_accepted)
{
	ck_assert_int_eq(
		cfg_read("{" KERNEL
			 ",\"cpus\":{\"boot_vcpus\":2,\"max_vcpus\":2,\"kvm_hyperv\":false,"
			 "\"max_phys_bits\":46,\"affinity\":[],\"features\":{\"amx\":false},"
			 "\"nested\":true,\"topology\":null},"
			 "\"memory\":{\"size\":536870912,\"hugepages\":false,\"hotplug_method\":"
			 "\"Acpi\",\"hotplug_size\":0,\"thp\":true,\"zones\":[]},"
			 "\"disks\":[{\"path\":\"/d\",\"num_queues\":1,\"direct\":false,"
			 "\"pci_segment\":0,\"image_type\":\"Raw\",\"vhost_user\":false}],"
			 "\"net\":[{\"tap\":\"t0\",\"num_queues\":2,\"queue_size\":256,"
			 "\"vhost_mode\":\"Client\"}],"
			 "\"rng\":{\"src\":\"/dev/urandom\",\"iommu\":false},"
			 "\"platform\":{\"num_pci_segments\":1,\"iommufd\":false},"
			 "\"debug_console\":{\"mode\":\"Off\",\"iobase\":233},"
			 "\"watchdog\":false,\"landlock_enable\":false,\"devices\":[]}"),
		0);
	ck_assert_uint_eq(config.cpus.boot_vcpus, 2);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_unsupported_fields_are_refused_by_name)
{
	static const char *const fields[] = {
		"\"devices\":[{\"path\":\"/sys/x\"}]",
		"\"vsock\":{\"cid\":3,\"socket\":\"/s\"}",
		"\"pmem\":[{\"file\":\"/p\"}]",
		"\"balloon\":{\"size\":1}",
		"\"watchdog\":true",
		"\"landlock_enable\":true",
		"\"platform\":{\"num_pci_segments\":2}",
		"\"numa\":[{\"guest_numa_id\":0}]",
		"\"tpm\":{\"socket\":\"/s\"}",
		"\"debug_console\":{\"mode\":\"Tty\"}",
		"\"vdpa\":[{}]",
		"\"user_devices\":[{\"socket\":\"/s\"}]",
		"\"generic_vhost_user\":[{}]",
		"\"iommu\":true",
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		char text[256];
		char name[64];

		(void)snprintf(text, sizeof(text), "{" KERNEL ",%s}", fields[i]);
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(fields[i] + 1, "\""),
			       fields[i] + 1);
		cfg_refused(text, -EINVAL, name);
		cfg_refused(text, -EINVAL, "support");
	}
}
END_TEST

START_TEST(config_unsupported_members_are_refused_by_name)
{
	cfg_refused("{\"payload\":{\"firmware\":\"/f\"}}", -EINVAL, "payload: firmware");
	cfg_refused("{" KERNEL ",\"memory\":{\"hugepage_size\":1073741824}}", -EINVAL,
		    "memory: hugepage_size");
	cfg_refused("{" KERNEL ",\"memory\":{\"hotplug_size\":4096}}", -EINVAL,
		    "memory: hotplug_size");
	cfg_refused("{" KERNEL ",\"cpus\":{\"boot_vcpus\":1,\"max_vcpus\":4}}", -EINVAL,
		    "cpus.max_vcpus");
	cfg_refused("{" KERNEL ",\"cpus\":{\"boot_vcpus\":1,\"nested\":false}}", -EINVAL,
		    "cpus: nested");
	cfg_refused("{" KERNEL ",\"disks\":[{\"path\":\"/a\"},{\"path\":\"/d\",\"direct\":true}]}",
		    -EINVAL, "disks[1]: direct");
	cfg_refused("{" KERNEL ",\"disks\":[{\"path\":\"/d\",\"image_type\":\"Qcow2\"}]}", -EINVAL,
		    "image_type");
	cfg_refused("{" KERNEL
		    ",\"disks\":[{\"path\":\"/d\",\"rate_limiter_config\":{\"bandwidth\":"
		    "{\"size\":1}}}]}",
		    -EINVAL, "rate_limiter_config");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"t\",\"num_queues\":4}]}", -EINVAL,
		    "net[0]: num_queues");
	cfg_refused("{" KERNEL ",\"console\":{\"mode\":\"Socket\"}}", -EINVAL,
		    "Socket is not supported");
}
END_TEST

START_TEST(config_wrong_types_are_refused)
{
	cfg_refused("[]", -EINVAL, "object");
	cfg_refused("{\"payload\":7}", -EINVAL, "payload: an object");
	cfg_refused("{\"payload\":{\"kernel\":7}}", -EINVAL, "kernel: a string");
	cfg_refused("{" KERNEL ",\"memory\":{\"size\":\"1G\"}}", -EINVAL,
		    "memory: size: a whole number");
	cfg_refused("{" KERNEL ",\"memory\":{\"size\":1.5}}", -EINVAL, "whole number");
	cfg_refused("{" KERNEL ",\"memory\":{\"shared\":1}}", -EINVAL, "true or false");
	cfg_refused("{" KERNEL ",\"disks\":{}}", -EINVAL, "disks: an array");
	cfg_refused("{" KERNEL ",\"disks\":[7]}", -EINVAL, "disks[0]: an object");
	cfg_refused("{" KERNEL ",\"net\":7}", -EINVAL, "net: an array");
	cfg_refused("{" KERNEL ",\"net\":[{\"fds\":7}]}", -EINVAL, "fds: an array");
	cfg_refused("{" KERNEL ",\"console\":{\"mode\":7}}", -EINVAL, "mode: one of");
}
END_TEST

START_TEST(config_numbers_are_bounded)
{
	cfg_refused("{" KERNEL ",\"memory\":{\"size\":-1}}", -EINVAL, "size");
	cfg_refused("{" KERNEL ",\"memory\":{\"size\":0}}", -EINVAL, "size");
	cfg_refused("{" KERNEL ",\"memory\":{\"size\":9223372036854775807}}", -EINVAL, "size");
	cfg_refused("{" KERNEL ",\"memory\":{\"size\":99999999999999999999}}", -EINVAL, "JSON");
	cfg_refused("{" KERNEL ",\"memory\":{\"size\":2097153}}", -EINVAL, "multiple of 2 MiB");
	cfg_refused("{" KERNEL ",\"cpus\":{\"boot_vcpus\":0}}", -EINVAL, "boot_vcpus");
	cfg_refused("{" KERNEL ",\"cpus\":{\"boot_vcpus\":65}}", -EINVAL, "boot_vcpus");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"t\",\"mtu\":67}]}", -EINVAL, "mtu");
	cfg_refused("{" KERNEL ",\"disks\":[{\"path\":\"/d\",\"queue_size\":3}]}", -EINVAL,
		    "queue_size");
	cfg_refused("{" KERNEL ",\"disks\":[{\"path\":\"/d\",\"queue_size\":96}]}", -EINVAL,
		    "power of two");
}
END_TEST

START_TEST(config_missing_parts_are_named)
{
	cfg_refused("{}", -EINVAL, "payload.kernel is missing");
	cfg_refused("{\"payload\":{\"kernel\":\"\"}}", -EINVAL, "payload.kernel is missing");
	cfg_refused("{" KERNEL ",\"disks\":[{}]}", -EINVAL, "disks[0]: disk: path is missing");
	cfg_refused("{" KERNEL ",\"net\":[{}]}", -EINVAL, "tap is missing");
	cfg_refused("{" KERNEL ",\"net\":[{\"fds\":[3]}]}", -EINVAL, "SCM_RIGHTS");
	cfg_refused("{" KERNEL ",\"serial\":{\"mode\":\"File\"}}", -EINVAL,
		    "serial.file is missing");
	cfg_refused("{" KERNEL ",\"rng\":{\"src\":\"/etc/shadow\"}}", -EINVAL, "rng.src");
}
END_TEST

START_TEST(config_bad_names_are_refused)
{
	cfg_refused("{" KERNEL ",\"disks\":[{\"path\":\"/d\",\"id\":\"\"}]}", -EINVAL, "id ''");
	cfg_refused("{" KERNEL ",\"disks\":[{\"path\":\"/d\",\"id\":\"__rng\"}]}", -EINVAL, "__");
	cfg_refused("{" KERNEL ",\"disks\":[{\"path\":\"/d\",\"id\":\"a/b\"}]}", -EINVAL, "a/b");
	cfg_refused("{" KERNEL
		    ",\"disks\":[{\"path\":\"/d\",\"id\":\"abcdefghijklmnopqrstuvwxyz012345\"}]}",
		    -EINVAL, "1 to 31");
	cfg_refused("{" KERNEL
		    ",\"disks\":[{\"path\":\"/d\",\"serial\":\"123456789012345678901\"}]}",
		    -EINVAL, "20 bytes");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"a/b\"}]}", -EINVAL, "tap 'a/b'");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"t%d\"}]}", -EINVAL, "tap");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"abcdefghijklmnop\"}]}", -EINVAL, "tap");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"t\",\"mac\":\"zz\"}]}", -EINVAL, "mac 'zz'");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"t\",\"mac\":\"01:00:5e:00:00:01\"}]}", -EINVAL,
		    "mac");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"t\",\"ip\":\"10.0.0.1\"}]}", -EINVAL, "ip:");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"t\",\"restart\":\"\"}]}", -EINVAL,
		    "restart ''");
	cfg_refused("{" KERNEL ",\"disks\":[{\"path\":\"/d\",\"restart\":\"often\"}]}", -EINVAL,
		    "restart 'often'");
}
END_TEST

START_TEST(config_duplicates_are_conflicts)
{
	cfg_refused("{" KERNEL ",\"disks\":[{\"path\":\"/a\",\"id\":\"x\"},{\"path\":\"/b\",\"id\":"
		    "\"x\"}]}",
		    -EEXIST, "'x' is used twice");
	cfg_refused("{" KERNEL
		    ",\"disks\":[{\"path\":\"/a\"},{\"path\":\"/a\",\"readonly\":true}]}",
		    -EEXIST, "'/a' is used twice");
	cfg_refused("{" KERNEL ",\"net\":[{\"tap\":\"t\"},{\"tap\":\"t\"}]}", -EEXIST, "tap 't'");
	cfg_refused("{" KERNEL
		    ",\"net\":[{\"tap\":\"t\",\"mac\":\"02:00:00:00:00:01\"},{\"tap\":\"u\","
		    "\"mac\":\"02:00:00:00:00:01\"}]}",
		    -EEXIST, "mac");
	cfg_refused("{" KERNEL
		    ",\"disks\":[{\"path\":\"/a\",\"id\":\"x\"}],\"net\":[{\"tap\":\"t\","
		    "\"id\":\"x\"}]}",
		    -EEXIST, "'x' is used twice");
}
END_TEST

START_TEST(config_two_readonly_disks_may_share_a_file)
{
	ck_assert_int_eq(cfg_read("{" KERNEL ",\"disks\":[{\"path\":\"/a\",\"readonly\":true},{"
				  "\"path\":\"/a\",\"readonly\":true}]}"),
			 0);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_bad_json_is_refused)
{
	cfg_refused("", -EINVAL, "JSON");
	cfg_refused("{", -EINVAL, "JSON");
	cfg_refused("{}x", -EINVAL, "JSON");
	cfg_refused("{\"payload\":{},\"payload\":{}}", -EINVAL, "duplicate");
	cfg_refused("{\"payload\":{\"kernel\":\"a\\u0000b\"}}", -EINVAL, "JSON");
	cfg_refused("{\"payload\":{\"kernel\":\"\xff\"}}", -EINVAL, "JSON");
}
END_TEST

START_TEST(config_too_many_devices_are_refused)
{
	json_t *disks = json_array();
	json_t *json;

	for (int i = 0; i <= VM_DEVICES_MAX; i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/d%d", i);
		json_array_append_new(disks, json_pack("{s:s}", "path", path));
	}
	json = json_pack("{s:{s:s},s:o}", "payload", "kernel", "/k", "disks", disks);
	memset(&err, 0, sizeof(err));
	vm_config_init(&config);
	ck_assert_int_eq(vm_config_from_json(&config, json, &err), -ENOSPC);
	ck_assert_ptr_null(config.disks);
	json_decref(json);
}
END_TEST

START_TEST(config_automatic_ids_count_over_all_devices)
{
	ck_assert_int_eq(cfg_read("{" KERNEL
				  ",\"disks\":[{\"path\":\"/a\"},{\"path\":\"/b\",\"id\":"
				  "\"_net2\"},{\"path\":\"/c\"}],\"net\":[{\"tap\":\"t\"}]}"),
			 0);
	ck_assert_str_eq(config.disks[0].id, "_disk0");
	ck_assert_str_eq(config.disks[1].id, "_net2");
	ck_assert_str_eq(config.disks[2].id, "_disk1");
	ck_assert_str_eq(config.nets[0].id, "_net3");
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_removed_device_frees_its_id)
{
	ck_assert_int_eq(cfg_read("{" KERNEL ",\"disks\":[{\"path\":\"/a\"},{\"path\":\"/b\"}],"
				  "\"net\":[{\"tap\":\"t\"},{\"tap\":\"u\",\"id\":\"n\"}]}"),
			 0);
	ck_assert_int_eq(vm_config_remove(&config, "_disk0"), 0);
	ck_assert_int_eq(vm_config_remove(&config, "_disk0"), -ENOENT);
	ck_assert_int_eq(vm_config_remove(&config, "_net2"), 0);
	ck_assert_uint_eq(config.disk_count, 1);
	ck_assert_str_eq(config.disks[0].id, "_disk1");
	ck_assert_uint_eq(config.net_count, 1);
	ck_assert_str_eq(config.nets[0].id, "n");
	vm_config_finish(&config);
}
END_TEST

#define FS(members) "{" KERNEL ",\"fs\":[{" members "}]}"
#define TAG_OF_36   "123456789012345678901234567890123456"

START_TEST(config_file_systems_are_read)
{
	struct vm_foreign f;
	uint32_t queues;

	ck_assert_int_eq(cfg_read(FS("\"tag\":\"t\",\"socket\":\"/s\"},{\"tag\":\"" TAG_OF_36
				     "\",\"socket\":\"/v\",\"num_queues\":8,\"queue_size\":4,"
				     "\"id\":\"f\"")),
			 0);
	ck_assert_uint_eq(config.fs_count, 2);
	ck_assert_str_eq(config.fs[0].id, "_fs0");
	ck_assert_str_eq(config.fs[0].tag, "t");
	ck_assert_str_eq(config.fs[0].socket, "/s");

	vm_foreign_fs(&f, &config.fs[0]);
	ck_assert_uint_eq(f.shape.device_id, 26);
	ck_assert_uint_eq(f.shape.queue_count, 2);
	ck_assert_uint_eq(f.shape.queue_sizes[1], 1024);
	ck_assert_uint_eq(f.shape.config_len, 40);
	ck_assert_mem_eq(f.space, "t\0\0\0", 4);

	vm_foreign_fs(&f, &config.fs[1]);
	ck_assert_uint_eq(f.shape.queue_count, 9);
	ck_assert_uint_eq(f.shape.queue_sizes[0], 4);
	ck_assert_uint_eq(f.shape.queue_sizes[8], 4);
	ck_assert_mem_eq(f.space, TAG_OF_36, 36);
	memcpy(&queues, f.space + 36, sizeof(queues));
	ck_assert_uint_eq(le32toh(queues), 8);

	ck_assert_int_eq(vm_config_remove(&config, "_fs0"), 0);
	ck_assert_int_eq(vm_config_remove(&config, "_fs0"), -ENOENT);
	ck_assert_uint_eq(config.fs_count, 1);
	ck_assert_str_eq(config.fs[0].id, "f");
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_file_systems_mistakes_are_named)
{
	cfg_refused("{" KERNEL ",\"fs\":{}}", -EINVAL, "fs: an array");
	cfg_refused(FS("\"socket\":\"/s\""), -EINVAL, "fs[0]: fs: tag");
	cfg_refused(FS("\"tag\":\"\",\"socket\":\"/s\""), -EINVAL, "tag: 1 to 36");
	cfg_refused(FS("\"tag\":\"" TAG_OF_36 "7\",\"socket\":\"/s\""), -EINVAL, "tag: 1 to 36");
	cfg_refused(FS("\"tag\":\"t\""), -EINVAL, "socket is missing");
	cfg_refused(FS("\"tag\":\"t\",\"socket\":\"/" TAG_OF_36 TAG_OF_36 TAG_OF_36 "\""), -EINVAL,
		    "longer than 107");
	cfg_refused(FS("\"tag\":\"t\",\"socket\":\"/s\",\"queue_size\":100"), -EINVAL,
		    "queue_size");
	cfg_refused(FS("\"tag\":\"t\",\"socket\":\"/s\",\"num_queues\":9"), -EINVAL, "num_queues");
	cfg_refused(FS("\"tag\":\"t\",\"socket\":\"/s\"},{\"tag\":\"t\",\"socket\":\"/v\""),
		    -EEXIST, "tag 't' is used twice, by _fs0");
	cfg_refused(FS("\"tag\":\"t\",\"socket\":\"/s\"},{\"tag\":\"u\",\"socket\":\"/s\""),
		    -EEXIST, "socket '/s' is used twice, by _fs0");
}
END_TEST

#define DISK(members) "{" KERNEL ",\"disks\":[{" members "}]}"
#define NET(members)  "{" KERNEL ",\"net\":[{" members "}]}"
#define AT_SOCKET     "\"vhost_user\":true,\"vhost_socket\":\"/s\""

START_TEST(config_devices_of_other_programs_are_read)
{
	struct vm_foreign f;
	json_t *json;

	ck_assert_int_eq(cfg_read("{" KERNEL ",\"disks\":[{" AT_SOCKET ",\"queue_size\":64}],"
				  "\"net\":[{" AT_SOCKET ",\"mtu\":1400,"
				  "\"mac\":\"0a:b3:ec:00:00:01\"}]}"),
			 0);
	vm_foreign_disk(&f, &config.disks[0]);
	ck_assert_str_eq(f.socket, "/s");
	ck_assert_uint_eq(f.shape.device_id, 2);
	ck_assert_uint_eq(f.shape.queue_sizes[0], 64);
	/* No several queues, as there is one. */
	ck_assert_uint_eq(f.features & UINT64_C(1) << 12, 0);

	vm_foreign_net(&f, &config.nets[0]);
	ck_assert_uint_eq(f.shape.device_id, 1);
	ck_assert_uint_eq(f.shape.queue_count, 2);
	/* Address, link and MTU, for a back end that has no configuration; no control queue. */
	ck_assert_mem_eq(f.space, "\x0a\xb3\xec\0\0\x01\x01\0\0\0\x78\x05", 12);
	ck_assert_uint_eq(f.own_features, 0x28);
	ck_assert_uint_eq(f.features & UINT64_C(1) << 17, 0);
	/* It is the back end that would drop what the guest sends. */
	ck_assert(!config.nets[0].drop_foreign_source);

	json = vm_config_to_json(&config);
	vm_config_finish(&config);
	ck_assert_int_eq(vm_config_from_json(&config, json, &err), 0);
	ck_assert_str_eq(config.disks[0].vhost_socket, "/s");
	ck_assert(config.nets[0].vhost_user);
	json_decref(json);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_devices_of_other_programs_mistakes_are_named)
{
	cfg_refused(DISK("\"vhost_user\":true"), -EINVAL, "vhost_socket is missing");
	cfg_refused(DISK("\"vhost_socket\":\"/s\""), -EINVAL, "only with vhost_user");
	cfg_refused(DISK(AT_SOCKET ",\"path\":\"/d\""), -EINVAL, "path: not with vhost_user");
	cfg_refused(DISK(AT_SOCKET ",\"serial\":\"x\""), -EINVAL, "serial: not with vhost_user");
	cfg_refused(DISK(AT_SOCKET ",\"readonly\":true"), -EINVAL, "readonly: not with vhost_user");
	cfg_refused(DISK(AT_SOCKET ",\"restart\":\"always\""), -EINVAL, "restart: not with");
	cfg_refused(NET("\"vhost_user\":true"), -EINVAL, "vhost_socket is missing");
	cfg_refused(NET("\"vhost_socket\":\"/s\",\"tap\":\"t\""), -EINVAL, "tap: not with");
	cfg_refused(NET(AT_SOCKET ",\"ip\":\"10.0.0.1\""), -EINVAL, "ip: not with vhost_user");
	cfg_refused(NET(AT_SOCKET ",\"fds\":[3]"), -EINVAL, "fds: not with vhost_user");
	cfg_refused(NET(AT_SOCKET ",\"drop_foreign_source\":true"), -EINVAL, "drop_foreign_source");
	cfg_refused(NET(AT_SOCKET ",\"restart\":\"never\""), -EINVAL, "restart: not with");
}
END_TEST

START_TEST(config_file_system_is_connected_to_by_path)
{
	char path[] = "/tmp/vmm-fs-XXXXXX";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct vm_foreign f = {.socket = path};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned before = fdcount();
	int fd = mkstemp(path);

	close(fd);
	ck_assert_int_eq(vm_foreign_connect(&f, &err), -ECONNREFUSED);
	ck_assert_ptr_nonnull(strstr(err.message, path));
	unlink(path);
	ck_assert_int_eq(vm_foreign_connect(&f, &err), -ENOENT);
	ck_assert_uint_eq(fdcount(), before);

	memcpy(addr.sun_path, path, sizeof(path));
	ck_assert_int_eq(bind(listener, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	fd = vm_foreign_connect(&f, &err);
	ck_assert_int_ge(fd, 0);
	ck_assert((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	close(fd);
	close(listener);
	unlink(path);
}
END_TEST

START_TEST(config_application_vm_may_not_spoof_by_default)
{
	ck_assert_int_eq(cfg_read("{" KERNEL
				  ",\"net\":[{\"tap\":\"a\",\"mac\":\"0A:B3:EC:00:12:34\"},"
				  "{\"tap\":\"b\",\"mac\":\"0A:B3:EC:80:12:34\"},"
				  "{\"tap\":\"c\",\"mac\":\"0A:B3:EC:00:12:35\","
				  "\"drop_foreign_source\":false},"
				  "{\"tap\":\"d\",\"drop_foreign_source\":true}]}"),
			 0);
	ck_assert(config.nets[0].drop_foreign_source);
	ck_assert(!config.nets[1].drop_foreign_source);
	ck_assert(!config.nets[2].drop_foreign_source);
	ck_assert(config.nets[3].drop_foreign_source);
	/* Nobody gave this one an address: it is local and not a group's. */
	ck_assert_int_eq(config.nets[3].mac[0] & 3, 2);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_to_json_reads_back_the_same)
{
	json_t *first;
	json_t *second;

	ck_assert_int_eq(
		cfg_read(
			"{\"payload\":{\"kernel\":\"/k\",\"initramfs\":\"/i\",\"cmdline\":\"a b\"},"
			"\"cpus\":{\"boot_vcpus\":4},\"memory\":{\"size\":67108864},"
			"\"disks\":[{\"path\":\"/d\",\"serial\":\"s\",\"restart\":\"never\"}],"
			"\"net\":[{\"tap\":\"t\",\"restart\":\"always\","
			"\"mtu\":1400,\"offload_tso\":false}],\"fs\":[{\"tag\":\"t\","
			"\"socket\":\"/s\",\"num_queues\":2,\"queue_size\":64}],\"console\":{\"mode\":\"Off\"},"
			"\"serial\":{\"mode\":\"File\",\"file\":\"/f\",\"size_limit\":8192}}"),
		0);
	first = vm_config_to_json(&config);
	vm_config_finish(&config);
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_null(json_object_get(json_object_get(first, "console"), "file"));
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(first, "cpus"), "max_vcpus")),
		4);
	ck_assert_int_eq(vm_config_from_json(&config, first, &err), 0);
	second = vm_config_to_json(&config);
	ck_assert(json_equal(first, second));
	json_decref(first);
	json_decref(second);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_vm_names_are_checked)
{
	static const char *const bad[] = {"",   "a:b", "a/b",  "a,b",  "a=b",  ".a",
					  "-a", "a b", "a\nb", "\xff", "a\x7f"};
	char longest[VM_NAME_MAX + 2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(vm_name_check(bad[i], &err) == -EINVAL, "'%s' passed", bad[i]);
	}
	ck_assert_int_eq(vm_name_check("appvm-lynx", &err), 0);
	ck_assert_int_eq(vm_name_check("user.netvm", &err), 0);
	ck_assert_int_eq(vm_name_check("m\xc3\xa4nnchen", &err), 0);
	memset(longest, 'a', sizeof(longest));
	longest[VM_NAME_MAX + 1] = '\0';
	ck_assert_int_eq(vm_name_check(longest, &err), -EINVAL);
	longest[VM_NAME_MAX] = '\0';
	ck_assert_int_eq(vm_name_check(longest, &err), 0);
}
END_TEST

START_TEST(config_sizes_are_parsed)
{
	static const char *const bad[] = {"", "x", "-1", "1T", "1KK", "1 K", "+1", "M"};
	uint64_t value = 0;

	ck_assert_int_eq(vm_size_parse(&value, "512M"), 0);
	ck_assert_uint_eq(value, 512u << 20);
	ck_assert_int_eq(vm_size_parse(&value, "3g"), 0);
	ck_assert_uint_eq(value, UINT64_C(3) << 30);
	ck_assert_int_eq(vm_size_parse(&value, "4096"), 0);
	ck_assert_uint_eq(value, 4096);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(vm_size_parse(&value, bad[i]) == -EINVAL, "'%s' passed", bad[i]);
	}
	ck_assert_int_eq(vm_size_parse(&value, "99999999999999999999"), -ERANGE);
	ck_assert_int_eq(vm_size_parse(&value, "18446744073709551615K"), -ERANGE);
}
END_TEST

START_TEST(config_out_of_memory_anywhere_leaves_nothing)
{
	static const char text[] =
		"{\"payload\":{\"kernel\":\"/k\",\"initramfs\":\"/i\",\"cmdline\":\"c\"},"
		"\"disks\":[{\"path\":\"/d\",\"serial\":\"s\",\"restart\":\"never\"},"
		"{\"path\":\"/e\",\"id\":\"x\"}],"
		"\"net\":[{\"tap\":\"t\",\"restart\":\"never\"},{\"tap\":\"u\",\"mac\":\"02:00:00:00:00:01\"}],"
		"\"fs\":[{\"tag\":\"t\",\"socket\":\"/s\"},{\"id\":\"y\",\"tag\":\"u\",\"socket\":\"/v\"}],"
		"\"rng\":{\"src\":\"/dev/urandom\"},\"serial\":{\"mode\":\"File\",\"file\":"
		"\"/f\"}}";
	struct faultinj f = {0};
	json_t *json = NULL;
	unsigned failures = 0;

	ck_assert_int_eq(vm_json_parse(&json, text, strlen(text), &err), 0);
	while (faultinj_next(&f)) {
		int ret;

		vm_config_init(&config);
		ret = vm_config_from_json(&config, json, &err);
		faultinj_stop(&f);
		ck_assert_int_eq(ret, f.failed ? -ENOMEM : 0);
		failures += f.failed != NULL;
		vm_config_finish(&config);
	}
	ck_assert_uint_gt(failures, 10);
	json_decref(json);
}
END_TEST

SUITE_MAIN("config", config_kernel_only_gets_defaults, config_transport_is_read_and_written,
	   config_spectrum_request_is_read, config_defaults_written_out_are_accepted,
	   config_unsupported_fields_are_refused_by_name,
	   config_unsupported_members_are_refused_by_name, config_wrong_types_are_refused,
	   config_numbers_are_bounded, config_missing_parts_are_named, config_bad_names_are_refused,
	   config_duplicates_are_conflicts, config_two_readonly_disks_may_share_a_file,
	   config_bad_json_is_refused, config_too_many_devices_are_refused,
	   config_automatic_ids_count_over_all_devices, config_removed_device_frees_its_id,
	   config_file_systems_are_read, config_file_systems_mistakes_are_named,
	   config_devices_of_other_programs_are_read,
	   config_devices_of_other_programs_mistakes_are_named,
	   config_file_system_is_connected_to_by_path,
	   config_application_vm_may_not_spoof_by_default, config_to_json_reads_back_the_same,
	   config_vm_names_are_checked, config_sizes_are_parsed,
	   config_out_of_memory_anywhere_leaves_nothing)
