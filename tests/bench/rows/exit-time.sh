# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# What it takes to leave a guest and come back, for something that nobody answers; for information.
# Part of ../table.

. "$here/rows/io.sh"

row_exit-time()
{
	local kind

	for kind in out8 in8 write read; do
		begin ''
		ours ours "exit kind=$kind n=10000" '"console": {"mode": "Off"}'
		theirs qemu "exit kind=$kind n=10000" --
		command_of limit "$bench/limit" "$bench/io.elf" "$mib" "exit kind=$kind n=10000 khz=$khz"
		in_turns "exit: $kind"
		judge "exit: $kind" ns ns "<= 1.05"
	done
}
