/* SPDX-License-Identifier: MIT */
/*
 * The tables that devices/wayland/tables.awk makes, against the protocols' files as another reader
 * sees them: which interfaces are there, in which place, and each argument of each message.
 */
#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "suite.h"
#include "wayland/tables.h"

#define NAME_SIZE      64
#define INTERFACES_MAX 128
#define MESSAGES_MAX   32
#define ARGS_MAX       12

struct arg {
	char type[NAME_SIZE];
	char interface[NAME_SIZE];
	bool nullable;
};

struct message {
	char name[NAME_SIZE];
	unsigned since;
	bool destructor;
	unsigned count;
	struct arg args[ARGS_MAX];
};

struct interface {
	char name[NAME_SIZE];
	unsigned version;
	bool global;
	bool reached;
	unsigned count[2]; /* requests, events */
	struct message messages[2][MESSAGES_MAX];
};

static struct interface interfaces[INTERFACES_MAX];
static unsigned interface_count;
/* The names of an enumeration's members, in order. */
static char text[1 << 20];

static void load(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t len;

	ck_assert_msg(file != NULL, "%s", path);
	len = fread(text, 1, sizeof(text) - 1, file);
	ck_assert(len < sizeof(text) - 1);
	text[len] = '\0';
	(void)fclose(file);
}

/* name="value" between two places. */
static bool attribute(const char *from, const char *to, const char *name, char value[NAME_SIZE])
{
	char wanted[NAME_SIZE];
	const size_t len = (size_t)snprintf(wanted, sizeof(wanted), "%s=\"", name);

	value[0] = '\0';
	for (const char *p = from; p + len < to; p++) {
		if (isspace((unsigned char)p[-1]) && strncmp(p, wanted, len) == 0) {
			const size_t value_len = strcspn(p + len, "\"");

			ck_assert_uint_lt(value_len, NAME_SIZE);
			memcpy(value, p + len, value_len);
			value[value_len] = '\0';
			return true;
		}
	}
	return false;
}

static unsigned number(const char *from, const char *to, const char *name)
{
	char value[NAME_SIZE];

	return attribute(from, to, name, value) ? (unsigned)strtoul(value, NULL, 10) : 1;
}

static bool is_tag(const char *tag, const char *name)
{
	const size_t len = strlen(name);

	return strncmp(tag, name, len) == 0 && isspace((unsigned char)tag[len]);
}

static struct message *read_message(struct interface *in, int kind, const char *tag,
				    const char *end)
{
	struct message *m = &in->messages[kind][in->count[kind]++];
	char type[NAME_SIZE];

	ck_assert_uint_lt(in->count[kind], MESSAGES_MAX);
	ck_assert(attribute(tag, end, "name", m->name));
	m->since = number(tag, end, "since");
	m->destructor = attribute(tag, end, "type", type) && strcmp(type, "destructor") == 0;
	return m;
}

static void read_arg(struct message *m, const char *tag, const char *end)
{
	struct arg *arg = &m->args[m->count++];
	char null[NAME_SIZE];

	ck_assert_uint_lt(m->count, ARGS_MAX);
	ck_assert(attribute(tag, end, "type", arg->type));
	(void)attribute(tag, end, "interface", arg->interface);
	arg->nullable = attribute(tag, end, "allow-null", null) && strcmp(null, "true") == 0;
}

static void read_protocol(const char *path)
{
	struct interface *in = NULL;
	struct message *m = NULL;

	load(path);
	for (char *tag = strchr(text, '<'); tag != NULL; tag = strchr(tag, '<')) {
		const char *end =
			strncmp(tag, "<!--", 4) == 0 ? strstr(tag, "-->") : strchr(tag, '>');

		ck_assert(end != NULL);
		tag++;
		if (is_tag(tag, "interface")) {
			in = &interfaces[interface_count++];
			ck_assert_uint_lt(interface_count, INTERFACES_MAX);
			ck_assert(attribute(tag, end, "name", in->name));
			in->version = number(tag, end, "version");
		} else if (is_tag(tag, "request")) {
			m = read_message(in, 0, tag, end);
		} else if (is_tag(tag, "event")) {
			m = read_message(in, 1, tag, end);
		} else if (is_tag(tag, "arg")) {
			read_arg(m, tag, end);
		}
		tag += end - tag;
	}
}

static struct interface *find(const char *name)
{
	for (unsigned i = 0; i < interface_count; i++) {
		if (strcmp(interfaces[i].name, name) == 0) {
			return &interfaces[i];
		}
	}
	return NULL;
}

/* Marks what the reached ones make; whether that was news. */
static bool reach_further(void)
{
	bool news = false;

	for (unsigned i = 0; i < interface_count * 2 * MESSAGES_MAX * ARGS_MAX; i++) {
		struct interface *in = &interfaces[i / (2 * MESSAGES_MAX * ARGS_MAX)];
		const struct message *m = &in->messages[i / (MESSAGES_MAX * ARGS_MAX) % 2]
						       [i / ARGS_MAX % MESSAGES_MAX];
		const struct arg *arg = &m->args[i % ARGS_MAX];
		struct interface *made = find(arg->interface);

		if (in->reached && strcmp(arg->type, "new_id") == 0 && made != NULL &&
		    !made->reached) {
			made->reached = true;
			news = true;
		}
	}
	return news;
}

static void read_all(void)
{
	glob_t files;
	char *save;

	interface_count = 0;
	memset(interfaces, 0, sizeof(interfaces));
	ck_assert_int_eq(glob(PROTOCOLS "/*.xml", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		read_protocol(files.gl_pathv[i]);
	}
	globfree(&files);
	load(GLOBALS);
	for (char *line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		if (line[0] != '#') {
			ck_assert_msg(find(line) != NULL, "%s", line);
			find(line)->global = true;
			find(line)->reached = true;
		}
	}
	find("wl_display")->reached = true;
	while (reach_further()) {
	}
}

/* PREFIX_NAME, as constants are called. */
static void constant(char *out, size_t size, const char *prefix, const char *a, const char *b)
{
	const int len = snprintf(out, size, "%s_%s%s%s", prefix, a, b != NULL ? "_" : "",
				 b != NULL ? b : "");

	ck_assert_int_lt(len, (int)size);
	for (int i = 0; i < len; i++) {
		out[i] = (char)toupper((unsigned char)out[i]);
	}
}

/* The value of a member in the header that is in text; members have no values of their own there.
 */
static int value_of(const char *name)
{
	char wanted[2 * NAME_SIZE + 16];
	const char *at;
	int value = 0;

	(void)snprintf(wanted, sizeof(wanted), "\t%s,", name);
	at = strstr(text, wanted);
	if (at == NULL) {
		return -1;
	}
	while (at[-2] != '{') {
		for (at -= 2; at[-1] != '\n'; at--) {
		}
		value++;
	}
	return value;
}

static int place_of(const char *interface)
{
	char name[NAME_SIZE * 2];

	constant(name, sizeof(name), "VMM_WL_IF", interface, NULL);
	return value_of(name);
}

/* The codes of an argument; how many bytes they are. */
static unsigned codes_of(const struct arg *arg, uint8_t codes[2])
{
	static const char *const types[] = {
		[STRING] = "string", [ARRAY] = "array", [OBJECT] = "object",
		[NEW_ID] = "new_id", [FD] = "fd",
	};
	const bool any = strcmp(arg->type, "new_id") == 0 && arg->interface[0] == '\0';

	codes[0] = WORD;
	for (uint8_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i] != NULL && strcmp(types[i], arg->type) == 0) {
			codes[0] = any ? ANY_NEW_ID : i;
		}
	}
	if (codes[0] != OBJECT && codes[0] != NEW_ID) {
		codes[0] |= arg->nullable ? NULLABLE : 0;
		return 1;
	}
	codes[1] = (uint8_t)VMM_WL_IF_NONE;
	if (arg->interface[0] != '\0') {
		const struct interface *in = find(arg->interface);

		codes[1] = in != NULL && in->reached ? (uint8_t)place_of(arg->interface) : ABSENT;
	}
	codes[0] |= arg->nullable ? NULLABLE : 0;
	return 2;
}

static void check_message(const struct interface *in, int kind, unsigned opcode,
			  const struct wl_message_entry *entry)
{
	static const char *const prefixes[] = {"VMM_WL_RQ", "VMM_WL_EV"};
	const struct message *m = &in->messages[kind][opcode];
	const uint8_t *signature = &vmm_wl_signatures[entry->signature];
	char name[NAME_SIZE * 3];

	ck_assert_uint_eq(entry->since, m->since);
	ck_assert_int_eq(entry->destructor, m->destructor);
	for (unsigned i = 0; i < m->count; i++) {
		uint8_t codes[2];
		const unsigned len = codes_of(&m->args[i], codes);

		for (unsigned k = 0; k < len; k++) {
			ck_assert_msg(*signature++ == codes[k], "%s.%s, argument %u", in->name,
				      m->name, i);
		}
	}
	ck_assert_msg(*signature == END, "%s.%s", in->name, m->name);
	constant(name, sizeof(name), prefixes[kind], in->name, m->name);
	ck_assert_msg(value_of(name) == (int)opcode, "%s", name);
}

START_TEST(tables_say_what_the_protocols_say)
{
	unsigned reached = 0;
	unsigned messages = 0;

	read_all();
	load(NAMES);
	for (unsigned i = 0; i < interface_count; i++) {
		const struct interface *in = &interfaces[i];
		const int place = place_of(in->name);
		const struct wl_interface_entry *entry;

		ck_assert_msg((place >= 0) == in->reached, "%s", in->name);
		if (!in->reached) {
			continue;
		}
		reached++;
		entry = &vmm_wl_interfaces[place];
		ck_assert_uint_eq(entry->version, in->version);
		ck_assert_uint_eq(entry->requests, in->count[0]);
		ck_assert_uint_eq(entry->events, in->count[1]);
		ck_assert_str_eq(&vmm_wl_names[entry->name], in->global ? in->name : "");
		for (unsigned k = 0; k < in->count[0] + in->count[1]; k++) {
			const int kind = k >= in->count[0];

			check_message(in, kind, k - (kind ? in->count[0] : 0),
				      &vmm_wl_messages[entry->first + k]);
			messages++;
		}
	}
	ck_assert_uint_eq(reached, VMM_WL_IF_COUNT - 1);
	/* About as many as the list was said to have. */
	ck_assert_uint_gt(messages, 200);
}
END_TEST

/* Nothing that has no place in a guest's hands has a name here. */
START_TEST(tables_have_no_other_globals)
{
	load(NAMES);
	ck_assert_int_lt(place_of("wl_shell"), 0);
	ck_assert_int_lt(place_of("zwlr_screencopy_manager_v1"), 0);
	ck_assert_int_lt(place_of("zwp_tablet_tool_v2"), 0);
	ck_assert_int_eq(place_of("wl_display"), VMM_WL_IF_WL_DISPLAY);
}
END_TEST

SUITE_MAIN("wayland_tables", tables_say_what_the_protocols_say, tables_have_no_other_globals)
