/* SPDX-License-Identifier: MIT */
/*
 * The endpoints: cloud-hypervisor's API over a VM manager.
 */
#ifndef VMM_CLI_ROUTES_H
#define VMM_CLI_ROUTES_H

#include "api/manager.h"
#include "api/server.h"

struct api_routes {
	struct vm_manager *manager;
	/* vmm.shutdown was asked for; called before its reply is sent, so it only takes a note. */
	void (*on_shutdown)(void *ctx);
	void *ctx;
};

/* An api_handler_fn whose ctx is a struct api_routes. */
void api_routes_handle(void *routes, struct http_request *request, struct api_reply *reply);

#endif
