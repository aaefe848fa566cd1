/* SPDX-License-Identifier: MIT */
#include "config_fix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/gpu.h"
#include "faultinj.h"
#include "vm/foreign.h"

#define GPU(members) "{" KERNEL ",\"gpu\":[{" members "}]}"
#define TEN          "0123456789"
#define HUNDRED      TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

START_TEST(config_gpu_is_for_windows_of_programs_by_default)
{
	ck_assert_int_eq(cfg_read(GPU("")), 0);
	ck_assert_uint_eq(config.gpu_count, 1);
	ck_assert_str_eq(config.gpus[0].id, "_gpu0");
	ck_assert(config.gpus[0].contexts);
	ck_assert_int_eq(config.gpus[0].display, VM_DISPLAY_NONE);
	ck_assert_ptr_null(config.gpus[0].clipboard);
	ck_assert(!vm_gpu_has_window(&config.gpus[0]));
	vm_config_finish(&config);
}
END_TEST

/* A guest that is to have a screen is not for that reason let to the compositor. */
START_TEST(config_gpu_display_has_no_contexts_unless_asked_for)
{
	ck_assert_int_eq(cfg_read(GPU("\"display\":\"wayland\",\"size\":\"640x480\"")), 0);
	ck_assert(!config.gpus[0].contexts);
	ck_assert(vm_gpu_has_window(&config.gpus[0]));
	vm_config_finish(&config);

	ck_assert_int_eq(cfg_read(GPU("\"display\":\"file\",\"contexts\":true")), 0);
	ck_assert(config.gpus[0].contexts);
	ck_assert_int_eq(config.gpus[0].display, VM_DISPLAY_FILE);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_gpu_mistakes_are_named)
{
	cfg_refused("{" KERNEL ",\"gpu\":{}}", -EINVAL, "gpu: an array");
	cfg_refused(GPU("\"display\":\"gtk\""), -EINVAL, "gpu[0]: gpu: display 'gtk'");
	cfg_refused(GPU("\"display\":\"none\""), -EINVAL, "neither a display nor contexts");
	cfg_refused(GPU("\"contexts\":false"), -EINVAL, "neither a display nor contexts");
	cfg_refused(GPU("\"size\":\"640x480\""), -EINVAL, "size: only of a display");
	cfg_refused(GPU("\"display\":\"file\",\"size\":\"640\""), -EINVAL, "size '640'");
	cfg_refused(GPU("\"display\":\"file\",\"size\":\"640x\""), -EINVAL, "size");
	cfg_refused(GPU("\"display\":\"file\",\"size\":\"640x480x\""), -EINVAL, "size");
	cfg_refused(GPU("\"display\":\"file\",\"size\":\"63x480\""), -EINVAL, "64 to 4095");
	cfg_refused(GPU("\"display\":\"file\",\"size\":\"640x4096\""), -EINVAL, "size");
	cfg_refused(GPU("\"display\":\"file\",\"size\":\"-640x480\""), -EINVAL, "size");
	cfg_refused(GPU("\"display\":\"file\",\"size\":\"640x99999999999999999999\""), -EINVAL,
		    "size");
	cfg_refused(GPU("\"clipboard\":\"all\""), -EINVAL, "clipboard 'all'");
	cfg_refused(GPU("\"display\":\"file\",\"clipboard\":\"in\""), -EINVAL, "with contexts");
	cfg_refused(GPU("\"display\":\"file\",\"wayland_socket\":\"/w\""), -EINVAL,
		    "wayland_socket: only with");
	cfg_refused(GPU("\"wayland_socket\":\"/" HUNDRED TEN "\""), -EINVAL, "longer than 107");
	cfg_refused(GPU("\"wayland_socket\":\"\""), -EINVAL, "wayland_socket is missing");
	cfg_refused(GPU("\"restart\":\"often\""), -EINVAL, "restart 'often'");
	cfg_refused(GPU("\"pci_segment\":1"), -EINVAL, "pci_segment");
	cfg_refused(GPU("\"display\":\"file\"},{\"display\":\"wayland\""), -EEXIST,
		    "display: _gpu0 has one too");
}
END_TEST

START_TEST(config_gpu_of_another_program_is_all_its_own)
{
	struct vm_foreign f;

	ck_assert_int_eq(cfg_read(GPU("\"socket\":\"/s\",\"id\":\"g\",\"pci_segment\":0")), 0);
	ck_assert(!config.gpus[0].contexts);
	vm_foreign_gpu(&f, &config.gpus[0]);
	ck_assert_str_eq(f.socket, "/s");
	ck_assert_uint_eq(f.shape.device_id, 16);
	ck_assert_uint_eq(f.shape.queue_count, 2);
	ck_assert_uint_eq(f.shape.queue_sizes[0], 256);
	ck_assert_uint_eq(f.shape.queue_sizes[1], 16);
	ck_assert_uint_eq(f.shape.config_len, 16);
	vm_config_finish(&config);

	cfg_refused(GPU("\"socket\":\"/s\",\"display\":\"file\""), -EINVAL, "another program");
	cfg_refused(GPU("\"socket\":\"/s\",\"contexts\":true"), -EINVAL, "another program");
	cfg_refused(GPU("\"socket\":\"\""), -EINVAL, "socket is missing");
	cfg_refused(GPU("\"socket\":\"/s\"},{\"socket\":\"/s\""), -EEXIST, "used twice, by _gpu0");
}
END_TEST

START_TEST(config_gpu_reads_back_the_same)
{
	struct vm_config again;
	json_t *first;
	json_t *second;

	ck_assert_int_eq(cfg_read(GPU("\"wayland_socket\":\"/w\",\"clipboard\":\"out\"},"
				      "{\"display\":\"wayland\",\"size\":\"800x600\"},"
				      "{\"socket\":\"/s\"")),
			 0);
	first = vm_config_to_json(&config);
	vm_config_finish(&config);
	vm_config_init(&again);
	ck_assert_int_eq(vm_config_from_json(&again, first, &err), 0);
	second = vm_config_to_json(&again);
	ck_assert(json_equal(first, second));
	ck_assert_str_eq(again.gpus[0].clipboard, "out");
	ck_assert_int_eq(again.gpus[1].display, VM_DISPLAY_WAYLAND);
	ck_assert_uint_eq(json_array_size(json_object_get(second, "gpu")), 3);
	json_decref(first);
	json_decref(second);
	vm_config_finish(&again);
}
END_TEST

START_TEST(config_gpu_takes_the_room_of_its_window)
{
	char text[4096] = "{" KERNEL ",\"fs\":[";
	char *end = text + strlen(text);

	/* 26 devices and a window's three are one too many, one less is not. */
	for (int i = 0; i < 26; i++) {
		end += snprintf(end, 64, "%s{\"tag\":\"t%d\",\"socket\":\"/s%d\"}", i ? "," : "", i,
				i);
	}
	(void)strcpy(end, "],\"gpu\":[{\"display\":\"wayland\"}]}");
	cfg_refused(text, -ENOSPC, "room for 28");
	(void)strcpy(end, "],\"gpu\":[{\"display\":\"file\"},{}]}");
	ck_assert_int_eq(cfg_read(text), 0);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_gpu_can_be_removed)
{
	ck_assert_int_eq(cfg_read(GPU("},{\"display\":\"file\",\"id\":\"screen\"")), 0);
	ck_assert_int_eq(vm_config_remove(&config, "_gpu0"), 0);
	ck_assert_int_eq(vm_config_remove(&config, "_gpu0"), -ENOENT);
	ck_assert_uint_eq(config.gpu_count, 1);
	ck_assert_str_eq(config.gpus[0].id, "screen");
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_display_can_be_chosen_by_the_starter)
{
	ck_assert_int_eq(cfg_read(GPU("\"display\":\"file\",\"contexts\":true")), 0);
	ck_assert_int_eq(vm_config_set_display(&config, "gtk", &err), -EINVAL);
	ck_assert_int_eq(config.gpus[0].display, VM_DISPLAY_FILE);
	ck_assert_int_eq(vm_config_set_display(&config, "wayland", &err), 0);
	ck_assert_uint_eq(config.gpu_count, 2);
	ck_assert_int_eq(config.gpus[0].display, VM_DISPLAY_NONE);
	ck_assert(vm_gpu_has_window(&config.gpus[1]));
	ck_assert(!config.gpus[1].contexts);
	ck_assert_int_eq(vm_config_set_display(&config, "none", &err), 0);
	ck_assert_uint_eq(config.gpu_count, 1);
	ck_assert(config.gpus[0].contexts);
	vm_config_finish(&config);
}
END_TEST

START_TEST(config_gpu_out_of_memory_leaves_nothing)
{
	struct faultinj f = {0};
	unsigned failures = 0;
	json_t *json = NULL;
	const char *text = GPU("\"display\":\"wayland\",\"size\":\"800x600\",\"id\":\"g\"},"
			       "{\"clipboard\":\"in\",\"wayland_socket\":\"/w\"");

	ck_assert_int_eq(vm_json_parse(&json, text, strlen(text), &err), 0);
	vm_config_init(&config);
	while (faultinj_next(&f)) {
		int ret = vm_config_from_json(&config, json, &err);

		faultinj_stop(&f);
		ck_assert_int_eq(ret, f.failed ? -ENOMEM : 0);
		failures += f.failed != NULL;
		vm_config_finish(&config);
	}
	ck_assert_uint_gt(failures, 6);
	json_decref(json);
}
END_TEST

/* ---- VM directories ---- */

static void make_vm(void)
{
	cfg_make_dir();
	cfg_put("vmlinux", "");
}

START_TEST(config_gpu_of_a_directory_is_made_of_its_files)
{
	make_vm();
	ck_assert_int_eq(cfg_read_dir(), 0);
	ck_assert_uint_eq(config.gpu_count, 0);
	vm_config_finish(&config);

	cfg_put("wayland", "\n");
	ck_assert_int_eq(cfg_read_dir(), 0);
	ck_assert_uint_eq(config.gpu_count, 1);
	ck_assert(config.gpus[0].contexts);
	ck_assert_ptr_null(config.gpus[0].wayland_socket);
	vm_config_finish(&config);

	cfg_put("wayland", "/run/user/1000/wayland-1\n");
	cfg_put("clipboard", "both\n");
	cfg_put("display", "file\n");
	ck_assert_int_eq(cfg_read_dir(), 0);
	ck_assert_uint_eq(config.gpu_count, 2);
	ck_assert_str_eq(config.gpus[0].wayland_socket, "/run/user/1000/wayland-1");
	ck_assert_str_eq(config.gpus[0].clipboard, "both");
	ck_assert_int_eq(config.gpus[1].display, VM_DISPLAY_FILE);
	ck_assert(!config.gpus[1].contexts);
	vm_config_finish(&config);

	cfg_put("display", "beamer\n");
	ck_assert_int_eq(cfg_read_dir(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "display 'beamer'"));
	cfg_drop_dir();
}
END_TEST

START_TEST(config_vm_is_named_as_its_directory)
{
	make_vm();
	ck_assert_int_eq(cfg_read_dir(), 0);
	ck_assert_str_eq(config.name, strrchr(cfg_dir, '/') + 1);
	vm_config_finish(&config);
	cfg_drop_dir();

	ck_assert_int_eq(cfg_read("{" KERNEL ",\"name\":\"appvm-foot\"}"), 0);
	ck_assert_str_eq(config.name, "appvm-foot");
	vm_config_finish(&config);
	cfg_refused("{" KERNEL ",\"name\":\"a b\"}", -EINVAL, "name: ");
}
END_TEST

SUITE_MAIN("config_gpu", config_gpu_is_for_windows_of_programs_by_default,
	   config_gpu_display_has_no_contexts_unless_asked_for, config_gpu_mistakes_are_named,
	   config_gpu_of_another_program_is_all_its_own, config_gpu_reads_back_the_same,
	   config_gpu_takes_the_room_of_its_window, config_gpu_can_be_removed,
	   config_display_can_be_chosen_by_the_starter, config_gpu_out_of_memory_leaves_nothing,
	   config_gpu_of_a_directory_is_made_of_its_files, config_vm_is_named_as_its_directory)
