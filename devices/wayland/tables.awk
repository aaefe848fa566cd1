# SPDX-License-Identifier: MIT
#
# tables.awk what=names|tables globals.txt FILE.xml...: the interfaces that the globals of the list lead to, as constants
# or as tables. Any POSIX awk. Texts are not looked at; what this cannot read ends the build.

function fail(text) {
	print "tables.awk: " file ": " text > "/dev/stderr"
	failed = 1
	exit 1
}

# The value of an attribute of the tag in $0, or "".
function attribute(name,    at) {
	if (!match($0, "[ \t\n]" name "=\"[^\"]*\""))
		return ""
	at = RSTART + length(name) + 3
	return substr($0, at, RSTART + RLENGTH - at - 1)
}

function begin_message(kind,    name) {
	if (interface == "")
		fail("a " kind " outside an interface")
	name = attribute("name")
	message = interface SUBSEP kind SUBSEP count[interface, kind]++
	message_name[message] = name
	since[message] = attribute("since") == "" ? 1 : attribute("since") + 0
	destructor[message] = attribute("type") == "destructor"
	args[message] = 0
}

function add_arg(    type) {
	type = attribute("type")
	if (message == "" || !(type in code))
		fail("an argument of type \"" type "\"")
	if (type == "new_id" && makes[message]++)
		fail("two new ids in one message")
	arg_type[message, args[message]] = type
	arg_null[message, args[message]] = attribute("allow-null") == "true"
	arg_interface[message, args[message]++] = attribute("interface")
}

# An interface, and what its messages make.
function reach(name,    k, i, j, m) {
	if (!(name in version))
		fail("interface " name " is in no file")
	if (name in reached)
		return
	reached[name] = 1
	for (k = 0; k < 2; k++)
		for (i = 0; i < count[name, kinds[k]]; i++) {
			m = name SUBSEP kinds[k] SUBSEP i
			for (j = 0; j < args[m]; j++)
				if (arg_type[m, j] == "new_id" && arg_interface[m, j] != "")
					reach(arg_interface[m, j])
		}
}

# Bytes of a signature: a code for each argument, behind those of objects the interface; 0 at the end.
function signature(m,    j, c, text) {
	text = ""
	for (j = 0; j < args[m]; j++) {
		c = code[arg_type[m, j]]
		if (arg_null[m, j])
			c = c " | NULLABLE"
		if (arg_type[m, j] == "new_id" && arg_interface[m, j] == "")
			c = "ANY_NEW_ID"
		text = text c ", "
		if (c ~ /^(OBJECT|NEW_ID)/)
			text = text place(arg_interface[m, j]) ", "
	}
	return text "0,"
}

function place(name) {
	if (name == "")
		return "VMM_WL_IF_NONE"
	return name in reached ? "VMM_WL_IF_" toupper(name) : "ABSENT"
}

# Where a signature begins among all of them; each is there once.
function signature_at(m,    text, parts) {
	text = signature(m)
	if (!(text in signature_place)) {
		signature_place[text] = signature_length
		signatures = signatures "\t" text "\n"
		signature_length += split(text, parts, ",") - 1
	}
	return signature_place[text]
}

function print_names(    n, k, i) {
	print "/* Made by tables.awk. */\n#ifndef VMM_WAYLAND_NAMES_H\n#define VMM_WAYLAND_NAMES_H\n"
	print "enum {\n\tVMM_WL_IF_NONE,"
	for (n = 0; n < interfaces; n++)
		if (order[n] in reached)
			print "\t" place(order[n]) ","
	print "\tVMM_WL_IF_COUNT,\n};\n"
	for (n = 0; n < interfaces; n++)
		for (k = 0; k < 2; k++)
			if (order[n] in reached && count[order[n], kinds[k]] > 0) {
				print "enum {"
				for (i = 0; i < count[order[n], kinds[k]]; i++)
					print "\tVMM_WL_" prefix[k] "_" toupper(order[n] "_" \
						message_name[order[n], kinds[k], i]) ","
				print "};\n"
			}
	print "#endif"
}

function print_tables(    n, k, i, m, messages, names, length_of_names, first) {
	print "/* Made by tables.awk. */\n#include \"wayland/tables.h\"\n"
	print "const struct wl_interface_entry vmm_wl_interfaces[VMM_WL_IF_COUNT] = {"
	length_of_names = 1
	for (n = 0; n < interfaces; n++) {
		if (!(order[n] in reached))
			continue
		printf "\t[%s] = {%d, %d, %d, %d, %d},\n", place(order[n]), first, \
			order[n] in global ? length_of_names : 0, version[order[n]], \
			count[order[n], "request"], count[order[n], "event"]
		if (order[n] in global) {
			names = names "\n\t\"" order[n] "\\0\""
			length_of_names += length(order[n]) + 1
		}
		for (k = 0; k < 2; k++)
			for (i = 0; i < count[order[n], kinds[k]]; i++) {
				m = order[n] SUBSEP kinds[k] SUBSEP i
				messages = messages sprintf("\t{%d, %d, %d},\n", signature_at(m), since[m], destructor[m])
				first++
			}
	}
	print "};\n\nconst struct wl_message_entry vmm_wl_messages[] = {\n" messages "};\n"
	print "const uint8_t vmm_wl_signatures[] = {\n" signatures "};\n"
	print "const char vmm_wl_names[] = \"\\0\"" names ";"
}

BEGIN {
	kinds[0] = "request"
	kinds[1] = "event"
	prefix[0] = "RQ"
	prefix[1] = "EV"
	code["int"] = code["uint"] = code["fixed"] = "WORD"
	code["string"] = "STRING"
	code["array"] = "ARRAY"
	code["object"] = "OBJECT"
	code["new_id"] = "NEW_ID"
	code["fd"] = "FD"
	file = ARGV[2]
	while ((got = (getline line < ARGV[2])) > 0)
		if (line !~ /^(#|[ \t]*$)/)
			global[line] = 1
	if (got < 0)
		fail("cannot be read")
	what = ARGV[1]
	ARGV[1] = ARGV[2] = ""
	# A record is a tag and the text behind it.
	RS = "<"
}

FILENAME != file { file = FILENAME; interface = message = ""; comment = 0 }
/^!--/ { comment = 1 }
comment { if (/-->/) comment = 0; next }
{ sub(/>.*/, " ") }
/^interface[ \t\n]/ {
	interface = attribute("name")
	if (interface in version)
		fail("interface " interface " twice")
	version[interface] = attribute("version") + 0
	order[interfaces++] = interface
	message = ""
}
/^request[ \t\n]/ { begin_message("request") }
/^event[ \t\n]/ { begin_message("event") }
/^arg[ \t\n]/ { add_arg() }

END {
	if (failed)
		exit 1
	reach("wl_display")
	for (name in global)
		reach(name)
	if (what == "names")
		print_names()
	else
		print_tables()
}
