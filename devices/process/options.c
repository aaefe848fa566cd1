/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SPECS_MAX 32

static const struct option_spec common[] = {
	{"fd", OPTION_FD, false},          {"listen-fd", OPTION_FD, false},
	{"socket", OPTION_VALUE, true},    {"log-fd", OPTION_FD, false},
	{"counters-fd", OPTION_FD, false}, {"guest-memory", OPTION_VALUE, false},
	{"isolation", OPTION_VALUE, true}, {"uid", OPTION_VALUE, true},
	{"gid", OPTION_VALUE, true},       {"verbose", OPTION_FLAG, false},
	{"poll-us", OPTION_VALUE, false},  {NULL, OPTION_FLAG, false},
};

static unsigned append(const struct option_spec *specs, const struct option_spec **all,
		       unsigned count)
{
	for (; specs->name && count < SPECS_MAX; specs++) {
		all[count++] = specs;
	}
	return count;
}

/* Those of all kinds and of this one. */
static unsigned collect(const struct program *p, const struct option_spec **all)
{
	return append(p->kind->options, all, append(common, all, 0));
}

static const struct given *find(const struct program *p, const char *name)
{
	for (unsigned i = 0; i < p->given_count; i++) {
		if (strcmp(p->given[i].spec->name, name) == 0) {
			return &p->given[i];
		}
	}
	return NULL;
}

bool program_flag(const struct program *p, const char *name)
{
	return find(p, name) != NULL;
}

const char *program_value(const struct program *p, const char *name)
{
	const struct given *given = find(p, name);

	return given ? given->value : NULL;
}

int program_fd(const struct program *p, const char *name)
{
	const struct given *given = find(p, name);

	return given ? given->fd : -1;
}

static int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	unsigned long long value;
	char *end;

	/* strtoull takes blanks and signs. */
	if (text[0] < '0' || text[0] > '9') {
		return -EINVAL;
	}
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || *end || value < min || value > max) {
		return -EINVAL;
	}
	*out = value;
	return 0;
}

int program_number(const struct program *p, const char *name, uint64_t min, uint64_t max,
		   uint64_t fallback, uint64_t *out, struct vmm_error *err)
{
	const char *text = program_value(p, name);

	*out = fallback;
	if (text && parse_number(text, min, max, out) < 0) {
		return vmm_error_set(err, -EINVAL, "--%s '%.40s': must be from %llu to %llu", name,
				     text, (unsigned long long)min, (unsigned long long)max);
	}
	return 0;
}

static int add(struct program *p, const struct option_spec *spec, const char *value,
	       struct vmm_error *err)
{
	struct given *given = &p->given[p->given_count];
	uint64_t fd = 0;

	if (find(p, spec->name)) {
		return vmm_error_set(err, -EINVAL, "--%s is given twice", spec->name);
	}
	if (p->given_count == GIVEN_MAX) {
		return vmm_error_set(err, -EINVAL, "too many options");
	}
	if (spec->type == OPTION_FD &&
	    (parse_number(value, 0, INT_MAX, &fd) < 0 || fcntl((int)fd, F_GETFD) < 0)) {
		return vmm_error_set(err, -EINVAL, "--%s '%.40s': not an open descriptor",
				     spec->name, value);
	}
	*given = (struct given){.spec = spec, .value = value, .fd = (int)fd};
	p->given_count++;
	return 0;
}

int program_add_fd(struct program *p, const char *name, int fd, struct vmm_error *err)
{
	const struct option_spec *all[SPECS_MAX];
	unsigned count = collect(p, all);

	for (unsigned i = 0; i < count && p->given_count < GIVEN_MAX; i++) {
		if (strcmp(all[i]->name, name) == 0) {
			p->given[p->given_count++] = (struct given){.spec = all[i], .fd = fd};
			return 0;
		}
	}
	return vmm_error_set(err, -EINVAL, "too many options");
}

int program_parse(struct program *p, int argc, char **argv, struct vmm_error *err)
{
	const struct option_spec *all[SPECS_MAX];
	struct option longs[SPECS_MAX + 2] = {{"help", no_argument, NULL, 0}};
	unsigned count = collect(p, all);
	int index = 0;
	int ret = 0;
	int c;

	for (unsigned i = 0; i < count; i++) {
		longs[i + 1].name = all[i]->name;
		longs[i + 1].has_arg =
			all[i]->type == OPTION_FLAG ? no_argument : required_argument;
	}
	opterr = 0;
	while (ret == 0 && (c = getopt_long(argc, argv, "+:", longs, &index)) != -1) {
		if (c == ':' || c == '?') {
			return vmm_error_set(err, -EINVAL, "'%.80s': %s", argv[optind - 1],
					     c == ':' ? "wants a value" : "no such option");
		}
		if (index == 0) {
			return OPTIONS_HELP;
		}
		ret = add(p, all[index - 1], optarg, err);
	}
	if (ret == 0 && optind < argc) {
		ret = vmm_error_set(err, -EINVAL, "'%.80s' is one argument too many", argv[optind]);
	}
	return ret;
}
