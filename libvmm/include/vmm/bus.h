/* SPDX-License-Identifier: MIT */
/*
 * A bus: address ranges (memory-mapped or port I/O) and who answers for them.
 * Ranges are added while a VM is configured; once vCPUs run the table does not
 * change, so dispatch takes no lock and handlers lock their own state.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Handlers of one range. offset is relative to the start of the range, and the whole
 * access lies inside it. len is 1, 2, 4 or 8; values are little-endian numbers of which
 * the low len bytes count. Called on vCPU threads, several at a time.
 */
struct vmm_bus_ops {
	uint64_t (*read)(void *ctx, uint64_t offset, unsigned len);
	void (*write)(void *ctx, uint64_t offset, unsigned len, uint64_t value);
};

struct vmm_bus;

/* -ENOMEM. On failure *out is NULL. */
int vmm_bus_create(struct vmm_bus **out);
/* NULL is a no-op. Handlers' contexts are not owned. */
void vmm_bus_destroy(struct vmm_bus *bus);

/*
 * Adds [base, base + size). ops and ctx are borrowed until the bus is destroyed.
 * Not thread-safe: configuration time only.
 * Errors: -EINVAL (size 0 or wraps), -EEXIST (overlap: err names both), -ENOMEM.
 */
int vmm_bus_add(struct vmm_bus *bus, const char *name, uint64_t base, uint64_t size,
		const struct vmm_bus_ops *ops, void *ctx, struct vmm_error *err);

/*
 * Dispatch one access. false when nothing answers there, when len is not 1, 2, 4 or 8 or
 * when the access crosses the end of a range; a read then gives all ones in len bytes.
 * Any thread.
 */
bool vmm_bus_read(struct vmm_bus *bus, uint64_t addr, unsigned len, uint64_t *value);
bool vmm_bus_write(struct vmm_bus *bus, uint64_t addr, unsigned len, uint64_t value);

#ifdef __cplusplus
}
#endif

#endif
