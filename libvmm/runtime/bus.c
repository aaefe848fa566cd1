/* SPDX-License-Identifier: MIT */
#include <vmm/bus.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct range {
	uint64_t base;
	uint64_t last; /* inclusive, so that a range may end at 2^64 - 1 */
	const struct vmm_bus_ops *ops;
	void *ctx;
	char name[32];
};

struct vmm_bus {
	struct range *ranges; /* sorted by base, never overlapping */
	size_t count;
};

int vmm_bus_create(struct vmm_bus **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void vmm_bus_destroy(struct vmm_bus *bus)
{
	if (!bus) {
		return;
	}
	free(bus->ranges);
	free(bus);
}

/* The index of the first range that ends at or after addr; count when none does. */
static size_t lower_bound(const struct vmm_bus *bus, uint64_t addr)
{
	size_t low = 0;
	size_t high = bus->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (bus->ranges[mid].last < addr) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return low;
}

int vmm_bus_add(struct vmm_bus *bus, const char *name, uint64_t base, uint64_t size,
		const struct vmm_bus_ops *ops, void *ctx, struct vmm_error *err)
{
	struct range *grown;
	struct range *slot;
	uint64_t last;
	size_t at;

	if (size == 0 || size - 1 > UINT64_MAX - base) {
		return vmm_error_set(err, -EINVAL, "%s: a bus range of this size does not fit",
				     name);
	}
	last = base + (size - 1);
	at = lower_bound(bus, base);
	if (at < bus->count && bus->ranges[at].base <= last) {
		return vmm_error_set(err, -EEXIST, "%s: its bus range overlaps that of %s", name,
				     bus->ranges[at].name);
	}
	grown = realloc(bus->ranges, (bus->count + 1) * sizeof(*grown));
	if (!grown) {
		return vmm_error_set(err, -ENOMEM, "%s: out of memory", name);
	}
	bus->ranges = grown;
	slot = &grown[at];
	memmove(slot + 1, slot, (bus->count - at) * sizeof(*grown));
	bus->count++;
	memset(slot, 0, sizeof(*slot));
	slot->base = base;
	slot->last = last;
	slot->ops = ops;
	slot->ctx = ctx;
	strncpy(slot->name, name, sizeof(slot->name) - 1);
	return 0;
}

static const struct range *find(const struct vmm_bus *bus, uint64_t addr, unsigned len)
{
	size_t at;

	if (len != 1 && len != 2 && len != 4 && len != 8) {
		return NULL;
	}
	at = lower_bound(bus, addr);
	if (at == bus->count || addr < bus->ranges[at].base) {
		return NULL;
	}
	if (len - 1 > bus->ranges[at].last - addr) {
		return NULL;
	}
	return &bus->ranges[at];
}

static uint64_t low_bytes(uint64_t value, unsigned len)
{
	return len == 8 ? value : value & ((UINT64_C(1) << (8 * len)) - 1);
}

bool vmm_bus_read(struct vmm_bus *bus, uint64_t addr, unsigned len, uint64_t *value)
{
	const struct range *r = find(bus, addr, len);

	if (!r) {
		*value = len < 8 ? low_bytes(UINT64_MAX, len) : UINT64_MAX;
		return false;
	}
	*value = low_bytes(r->ops->read(r->ctx, addr - r->base, len), len);
	return true;
}

bool vmm_bus_write(struct vmm_bus *bus, uint64_t addr, unsigned len, uint64_t value)
{
	const struct range *r = find(bus, addr, len);

	if (!r) {
		return false;
	}
	r->ops->write(r->ctx, addr - r->base, len, low_bytes(value, len));
	return true;
}
