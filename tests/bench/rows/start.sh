# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# From exec to the first byte of a guest, and to the end.
# Part of ../table.

use machines

median()
{
	awk -v name="$1" -v what="$2" '$1 == name && $2 == what { print $3 }' "$work/times"
}

row_start()
{
	config end
	{
		printf 'isolated\t%s run %s\n' "$vmm_cli" "$work/end.json"
		printf 'together\t%s run --isolation none %s\n' "$vmm_cli" "$work/end.json"
		printf 'qemu\t%s\n' "$(qemu end)"
		printf 'limit\t%s %s %s\n' "$bench/limit" "$bench/hello.elf" "$mib"
	} >"$work/peers"
	"$bench/peers" "$rounds" "$work/peers" >"$work/times"
	cat "$work/times"
	result "start: exec to first byte, isolated" "$(median isolated first)" "$(median qemu first)" \
		"$(median limit first)" ms "<= 0.2"
	result "start: exec to first byte, in one process" "$(median together first)" "$(median qemu first)" \
		"$(median limit first)" ms "<= 0.1"
	result "life: exec to reaped, isolated" "$(median isolated end)" "$(median qemu end)" "$(median limit end)" ms "<= 0.6"
}
