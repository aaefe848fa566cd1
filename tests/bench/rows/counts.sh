# shellcheck shell=bash
#
# What rows have in common that count instructions, in the icount lab (../icount).
# Part of ../table.

. "$here/icount/machines.sh"

# count_jobs [OPTION...]: runs what is in $jobs, and forgets it.
count_jobs()
{
	"$here/icount/lab" --build "$build" --qemu "${lab[@]}" "$@" "$jobs" "$work/counts"
	cat "$work/counts"
	: >"$jobs"
	lab=()
}

# count JOB POINT WHAT: instructions from the job's exec up to there: kernel, vmm (in the user mode of all its processes),
# total, or calls, which are system calls.
count()
{
	awk -v job="$1" -v point="$2" -v what="$3" '
		$1 == job && $2 == point {
			column["kernel"] = 3; column["vmm"] = 4; column["calls"] = 6
			printf "%.0f", what == "total" ? $3 + $4 + $5 : $column[what]
		}' "$work/counts"
}

# per_access JOB SERIES WHAT: for each access of that series of guest/exits.c.
per_access()
{
	awk -v from="$(count "$1" $((16 + 2 * $2)) "$3")" -v to="$(count "$1" $((17 + 2 * $2)) "$3")" -v n="$exits_times" \
		'BEGIN { if (from != "" && to != "") printf "%.1f", (to - from) / n }'
}
