# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# Bytes out of a guest: by virtio-console, and by the serial port.
# Part of ../table.

. "$here/rows/io.sh"

row_console()
{
	local bytes=$((256 << 20)) job

	job="console bytes=$bytes len=4096 depth=8"
	begin
	ours ours "$job" '"console": {"mode": "File", "file": "/dev/null"}'
	theirs qemu "$job" -- -device virtio-serial-device -chardev file,id=c,path=/dev/null -device virtconsole,chardev=c
	in_turns "console: 4 KiB buffers, 8 at a time, into a file that takes all"
	judge "console: virtio, 4 KiB buffers" rate bytes/s ">= 1.5"
	result "console: notifications per KiB" "$(value ours kicks | awk -v b="$bytes" '{ print $1 * 1024 / b }')" \
		"$(value qemu kicks | awk -v b="$bytes" '{ print $1 * 1024 / b }')" "" kicks "<= 1"

	begin
	ours ours "serial bytes=20000" '"console": {"mode": "Off"}'
	theirs qemu "serial bytes=20000" --
	command_of limit "$bench/limit" "$bench/io.elf" "$mib" "serial bytes=20000 khz=$khz"
	in_turns "console: serial port"
	judge "console: 16550A, byte by byte" rate bytes/s ">= 1"
}
