/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include <errno.h>
#include <string.h>

static const char *const names[] = {
	[VMM_TRANSPORT_PCI] = "pci",
	[VMM_TRANSPORT_MMIO] = "mmio",
};

int vm_transport_parse(enum vmm_transport_type *out, const char *text)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text) == 0) {
			*out = (enum vmm_transport_type)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *vm_transport_name(enum vmm_transport_type transport)
{
	return names[transport];
}
