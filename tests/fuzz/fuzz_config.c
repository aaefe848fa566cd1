/* SPDX-License-Identifier: MIT */
/*
 * A VmConfig of any bytes: it is refused with words, or what was read is written and read again to
 * the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
	if (!condition) {
		abort();
	}
}

/*
 * Descriptors are not in the text: a card that came as one cannot be read back. A config read from
 * text holds none.
 */
static void read_back(const struct vm_config *config)
{
	json_t *first = vm_config_to_json(config);
	struct vmm_error err = {0};
	struct vm_config again;
	json_t *second;

	require(first != NULL);
	vm_config_init(&again);
	require(vm_config_from_json(&again, first, &err) == 0);
	second = vm_config_to_json(&again);
	require(second != NULL && json_equal(first, second));
	vm_config_finish(&again);
	json_decref(first);
	json_decref(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_error err = {0};
	struct vm_config config;
	json_t *json;
	int ret = vm_json_parse(&json, (const char *)data, size, &err);

	if (ret == 0) {
		vm_config_init(&config);
		ret = vm_config_from_json(&config, json, &err);
		if (ret == 0) {
			require(vm_config_check(&config, &err) == 0);
			read_back(&config);
		}
		vm_config_finish(&config);
	}
	json_decref(json);
	require(ret == 0 || (err.code == ret && err.message[0] != '\0'));
	return 0;
}
