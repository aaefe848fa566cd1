# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# Bytes out of a guest: by virtio-console, and by the serial port.
# Part of ../table.

. "$here/rows/io.sh"

# console_row TITLE BYTES LEN DEPTH
console_row()
{
	local job="console bytes=$2 len=$3 depth=$4"

	begin ''
	# Off would be no device at all; Null is /dev/null.
	ours ours "$job" '"console": {"mode": "Null"}'
	theirs qemu "$job" -- -device virtio-serial-device -chardev file,id=c,path=/dev/null -device virtconsole,chardev=c
	in_turns "console: $1"
	judge "console: $1" rate bytes/s ">= 1.5"
	result "console: $1, notifications per KiB" "$(value ours kicks | per_kib "$2")" "$(value qemu kicks | per_kib "$2")" "" \
		kicks "<= 1"
}

per_kib()
{
	awk -v bytes="$1" '{ print $1 * 1024 / bytes }'
}

row_console()
{
	console_row "buffers of 16 bytes, one at a time" $((1 << 20)) 16 1
	console_row "buffers of 4 KiB, 8 at a time" $((2 << 30)) 4096 8

	begin ''
	ours ours "serial bytes=20000" '"console": {"mode": "Off"}'
	theirs qemu "serial bytes=20000" --
	command_of limit "$bench/limit" "$bench/io.elf" "$mib" "serial bytes=20000 khz=$khz"
	in_turns "console: serial port"
	judge "console: 16550A, byte by byte" rate bytes/s ">= 1"
}
