/* SPDX-License-Identifier: MIT */
#ifndef VMM_VERSION_H
#define VMM_VERSION_H

/* Semantic version of the interface in these headers. */
#define VMM_VERSION_MAJOR 0
#define VMM_VERSION_MINOR 1
#define VMM_VERSION_PATCH 0
#define VMM_VERSION       "0.1.0"

#endif
