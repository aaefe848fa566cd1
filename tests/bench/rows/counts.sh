# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# What rows have in common that count instructions, in the icount lab (../icount).
# Part of ../table.

. "$here/icount/machines.sh"

# count_jobs [OPTION...]: runs what is in $jobs, and forgets it. What was counted is in $work/counts.
count_jobs()
{
	"$here/icount/lab" --build "$build" --qemu "${lab[@]}" "$@" "$jobs" "$work/counts"
	cat "$work/counts"
	: >"$jobs"
	lab=()
}
