/* SPDX-License-Identifier: MIT */
#include "config_fix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmm/vm.h>

#include "faultinj.h"
#include "fdcount.h"

START_TEST(config_directory_full_is_read)
{
	char path[256];

	cfg_make_dir();
	cfg_put("vmlinux", "");
	cfg_put_dir("blk");
	cfg_put("blk/root.img", "");
	cfg_put("blk/data.img", "");
	cfg_put("blk/notes.txt", "");
	cfg_put("blk/.hidden.img", "");
	cfg_put_dir("providers");
	cfg_put_dir("providers/net");
	cfg_put("providers/net/netvm", "");
	cfg_put("initrd", "");
	cfg_put("cmdline", "quiet console=hvc0\n");
	cfg_put("memory", "256M\n");
	cfg_put("cpus", "2\n");
	cfg_put("transport", "mmio\n");
	ck_assert_msg(cfg_read_dir() == 0, "%s", err.message);
	(void)snprintf(path, sizeof(path), "%s/vmlinux", cfg_dir);
	ck_assert_str_eq(config.payload.kernel.path, path);
	(void)snprintf(path, sizeof(path), "%s/initrd", cfg_dir);
	ck_assert_str_eq(config.payload.initramfs.path, path);
	ck_assert_str_eq(config.payload.cmdline, "quiet console=hvc0");
	ck_assert_uint_eq(config.memory.size, 256u << 20);
	ck_assert_int_eq(config.transport, VMM_TRANSPORT_MMIO);
	ck_assert_uint_eq(config.cpus.boot_vcpus, 2);
	ck_assert_uint_eq(config.disk_count, 2);
	(void)snprintf(path, sizeof(path), "%s/blk/data.img", cfg_dir);
	ck_assert_str_eq(config.disks[0].file.path, path);
	ck_assert(config.disks[0].readonly && config.disks[1].readonly);
	ck_assert_str_eq(config.net_provider, "netvm");
	ck_assert_int_eq(config.console.mode, VM_CONSOLE_PTY);
	ck_assert_int_eq(config.serial.mode, VM_CONSOLE_FILE);
	ck_assert_str_eq(config.serial.file.path, "/run/x.log");
	vm_config_finish(&config);
	cfg_drop_dir();
}
END_TEST

START_TEST(config_directory_kernel_only_gets_defaults)
{
	char cmdline[64];

	cfg_make_dir();
	cfg_put("vmlinuz", "");
	ck_assert_int_eq(cfg_read_dir(), 0);
	(void)snprintf(cmdline, sizeof(cmdline), "console=%s root=PARTLABEL=root", vmm_uart_tty());
	ck_assert_str_eq(config.payload.cmdline, cmdline);
	ck_assert_uint_eq(config.memory.size, 1u << 30);
	ck_assert_ptr_null(config.net_provider);
	ck_assert_ptr_null(config.payload.initramfs.path);
	vm_config_finish(&config);
	cfg_drop_dir();
}
END_TEST

static void dir_refused(int code, const char *words)
{
	int ret = cfg_read_dir();

	ck_assert_msg(ret == code, "got %d (%s)", ret, err.message);
	ck_assert_msg(strstr(err.message, words) != NULL, "said '%s'", err.message);
	ck_assert_ptr_null(config.payload.cmdline);
}

START_TEST(config_directory_mistakes_are_named)
{
	cfg_make_dir();
	dir_refused(-ENOENT, "vmlinux");
	cfg_put("vmlinux", "");
	cfg_put("memory", "lots");
	dir_refused(-EINVAL, "memory'");
	cfg_put("memory", "3000001");
	dir_refused(-EINVAL, "multiple of 2 MiB");
	cfg_put("memory", "64M");
	cfg_put("cpus", "100");
	dir_refused(-EINVAL, "cpus'");
	cfg_put("cpus", "1");
	cfg_put("transport", "isa");
	dir_refused(-EINVAL, "transport': pci or mmio");
	cfg_put("transport", "pci");
	cfg_put("cmdline", "two\nlines\n");
	dir_refused(-EINVAL, "cmdline'");
	cfg_put("cmdline", "one");
	cfg_put("blk", "");
	dir_refused(-ENOTDIR, "blk'");
	cfg_drop_dir();
	dir_refused(-ENOENT, cfg_dir);
}
END_TEST

START_TEST(config_directory_provider_name_is_checked)
{
	cfg_make_dir();
	cfg_put("vmlinux", "");
	cfg_put_dir("providers");
	cfg_put_dir("providers/net");
	cfg_put("providers/net/a:b", "");
	dir_refused(-EINVAL, "providers/net");
	cfg_drop_dir();
}
END_TEST

START_TEST(config_directory_any_failure_leaves_nothing)
{
	struct faultinj f = {0};
	unsigned failures = 0;
	unsigned before;

	cfg_make_dir();
	cfg_put("vmlinux", "");
	cfg_put_dir("blk");
	cfg_put("blk/root.img", "");
	cfg_put_dir("providers");
	cfg_put_dir("providers/net");
	cfg_put("providers/net/netvm", "");
	cfg_put("memory", "64M");
	before = fdcount();
	while (faultinj_next(&f)) {
		int ret = cfg_read_dir();

		faultinj_stop(&f);
		ck_assert_msg((ret < 0) == (f.failed != NULL), "%s failed: got %d", f.failed, ret);
		ck_assert_uint_eq(fdcount(), before);
		failures += f.failed != NULL;
		vm_config_finish(&config);
	}
	ck_assert_uint_gt(failures, 5);
	cfg_drop_dir();
}
END_TEST

START_TEST(config_directory_fifo_does_not_hang)
{
	char path[256];

	cfg_make_dir();
	cfg_put("vmlinux", "");
	(void)snprintf(path, sizeof(path), "%s/memory", cfg_dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	dir_refused(-EINVAL, "memory'");
	cfg_drop_dir();
}
END_TEST

SUITE_MAIN("config_dir", config_directory_full_is_read, config_directory_kernel_only_gets_defaults,
	   config_directory_mistakes_are_named, config_directory_provider_name_is_checked,
	   config_directory_any_failure_leaves_nothing, config_directory_fifo_does_not_hang)
