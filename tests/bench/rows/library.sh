# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# A VM made, run for an instant and destroyed in one process by the library.
# Part of ../table.

row_library()
{
	"$bench/cycle" "$bench/end.elf" 300 >"$work/cycles"
	cat "$work/cycles"
	result "library: create, run, destroy" "$(awk '$1 == "library" { print $3 }' "$work/cycles")" "" \
		"$(awk '$1 == "limit" { print $3 }' "$work/cycles")" ms "<= 1.2 limit"
}
