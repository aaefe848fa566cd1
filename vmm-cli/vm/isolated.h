/* SPDX-License-Identifier: MIT */
#ifndef VMM_CLI_VM_ISOLATED_H
#define VMM_CLI_VM_ISOLATED_H

#include "vm/body.h"
#include "vm/channel.h"
#include "vm/child.h"
#include "vm/devices.h"
#include "vm/streams.h"

struct isolated {
	struct vm_body base;
	struct vm_body_config config;
	enum vm_body_state state;
	struct vm_streams streams;

	/* Of a run. */
	struct vm_nursery nursery;
	struct vm_child vm;
	bool vm_known; /* it was started, and has not been cleared away */
	struct vm_channel channel;
	struct vmm_source *channel_source;
	struct vm_devices devices;
	struct vmm_work news_work;  /* news came while a reply was waited for */
	char detail[WIRE_TEXT_MAX]; /* why the last run ended */
};

#endif
