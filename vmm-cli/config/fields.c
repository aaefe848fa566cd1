/* SPDX-License-Identifier: MIT */
#include "config/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct mode_name {
	const char *name;
	enum vm_console_mode mode;
} mode_names[] = {
	{"Off", VM_CONSOLE_OFF}, {"Null", VM_CONSOLE_NULL}, {"Pty", VM_CONSOLE_PTY},
	{"Tty", VM_CONSOLE_TTY}, {"File", VM_CONSOLE_FILE},
};

/* ---- reading ---- */

/* Does value stand in the space-separated list? */
static bool listed(const char *list, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	size_t len = text ? strlen(text) : 0;
	bool found = false;

	while (len > 0 && *list && !found) {
		size_t word = strcspn(list, " ");

		found = word == len && memcmp(list, text, len) == 0;
		list += word + strspn(list + word, " ");
	}
	free(text);
	return found;
}

static int refuse(const struct field *field, const json_t *value, struct vmm_error *err)
{
	/* A field with a list of its own may be one where false asks for something. */
	if (field->accepted ? listed(field->accepted, value)
			    : json_is_false(value) ||
				      (json_is_array(value) && json_array_size(value) == 0) ||
				      (json_is_object(value) && json_object_size(value) == 0)) {
		return 0;
	}
	return vmm_error_set(err, -EINVAL, "%s: this VMM does not support it%s", field->name,
			     field->accepted ? " with this value" : "");
}

static int read_string(const struct field *field, const json_t *value, char **out,
		       struct vmm_error *err)
{
	if (!json_is_string(value)) {
		return vmm_error_set(err, -EINVAL, "%s: a string is expected", field->name);
	}
	if (json_string_length(value) > field->max) {
		return vmm_error_set(err, -EINVAL, "%s: longer than %llu bytes", field->name,
				     (unsigned long long)field->max);
	}
	*out = strdup(json_string_value(value));
	return *out ? 0 : vmm_error_set(err, -ENOMEM, "out of memory");
}

static int read_number(const struct field *field, const json_t *value, uint64_t *out,
		       struct vmm_error *err)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || (uint64_t)number < field->min ||
	    (uint64_t)number > field->max) {
		return vmm_error_set(err, -EINVAL,
				     "%s: a whole number from %llu to %llu is expected",
				     field->name, (unsigned long long)field->min,
				     (unsigned long long)field->max);
	}
	*out = (uint64_t)number;
	return 0;
}

static int read_mode(const json_t *value, enum vm_console_mode *out, struct vmm_error *err)
{
	const char *text = json_string_value(value);
	size_t i;

	for (i = 0; text && i < FIELD_COUNT(mode_names); i++) {
		if (strcmp(text, mode_names[i].name) == 0) {
			*out = mode_names[i].mode;
			return 0;
		}
	}
	return vmm_error_set(err, -EINVAL, "mode: one of Off, Null, Pty, Tty or File is expected%s",
			     text && strcmp(text, "Socket") == 0 ? "; Socket is not supported"
								 : "");
}

static int read_transport(const struct field *field, const json_t *value,
			  enum vmm_transport_type *out, struct vmm_error *err)
{
	const char *text = json_string_value(value);

	if (!text || vm_transport_parse(out, text) < 0) {
		return vmm_error_set(err, -EINVAL, "%s: \"pci\" or \"mmio\" is expected",
				     field->name);
	}
	return 0;
}

static int read_field(const struct field *field, const json_t *value, void *base,
		      struct vmm_error *err)
{
	char *at = (char *)base + field->offset;

	switch (field->kind) {
	case STRING:
		return read_string(field, value, (char **)(void *)at, err);
	case BOOL:
		if (!json_is_boolean(value)) {
			return vmm_error_set(err, -EINVAL, "%s: true or false is expected",
					     field->name);
		}
		*(bool *)(void *)at = json_is_true(value);
		return 0;
	case NUMBER:
		return read_number(field, value, (uint64_t *)(void *)at, err);
	case MODE:
		return read_mode(value, (enum vm_console_mode *)(void *)at, err);
	case TRANSPORT:
		return read_transport(field, value, (enum vmm_transport_type *)(void *)at, err);
	case REFUSED:
		break;
	}
	return refuse(field, value, err);
}

int vm_read_fields(const json_t *json, const struct field *fields, size_t count, void *base,
		   struct vmm_error *err)
{
	size_t i;

	if (!json_is_object(json)) {
		return vmm_error_set(err, -EINVAL, "an object is expected");
	}
	for (i = 0; i < count; i++) {
		const json_t *value = json_object_get(json, fields[i].name);
		int ret;

		if (!value || json_is_null(value)) {
			continue;
		}
		ret = read_field(&fields[i], value, base, err);
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

int vm_read_part(const json_t *json, const char *name, const struct field *fields, size_t count,
		 void *base, struct vmm_error *err)
{
	const json_t *part = json_object_get(json, name);
	int ret;

	if (!part || json_is_null(part)) {
		return 0;
	}
	ret = vm_read_fields(part, fields, count, base, err);
	return ret < 0 ? vmm_error_wrap(err, ret, "%s", name) : 0;
}

/* ---- writing ---- */

/* What the field is when nobody set it: strings NULL, an MTU of 0. */
static json_t *field_value(const struct field *field, const void *base)
{
	const char *at = (const char *)base + field->offset;
	const char *text;
	uint64_t number;
	size_t i;

	switch (field->kind) {
	case STRING:
		text = *(const char *const *)(const void *)at;
		return text ? json_string(text) : NULL;
	case BOOL:
		return json_boolean(*(const bool *)(const void *)at);
	case NUMBER:
		number = *(const uint64_t *)(const void *)at;
		return number < field->min ? NULL : json_integer((json_int_t)number);
	case MODE:
		for (i = 0; i < FIELD_COUNT(mode_names); i++) {
			if (mode_names[i].mode == *(const enum vm_console_mode *)(const void *)at) {
				return json_string(mode_names[i].name);
			}
		}
		return NULL;
	case TRANSPORT:
		return json_string(
			vm_transport_name(*(const enum vmm_transport_type *)(const void *)at));
	case REFUSED:
		break;
	}
	return NULL;
}

json_t *vm_write_fields(const struct field *fields, size_t count, const void *base)
{
	json_t *json = json_object();
	size_t i;

	for (i = 0; i < count; i++) {
		json_t *value = field_value(&fields[i], base);

		if (value) {
			(void)json_object_set_new(json, fields[i].name, value);
		}
	}
	return json;
}
