# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# Processor time and wake-ups of a VM whose guest sleeps.
# Part of ../table.

use machines
use processes

idle_seconds=${BENCH_IDLE:-20}

# toll PID: microseconds run by, and switches away from, the threads of the family of a process.
toll()
{
	local pid

	for pid in $(family "$1"); do
		cat "/proc/$pid"/task/*/schedstat
		grep -h ctxt_switches "/proc/$pid"/task/*/status
	done | awk 'NF == 3 { run += $1 } NF == 2 { switches += $2 } END { printf "%.1f %d\n", run / 1000, switches }'
}

# idle COMMAND...: processor time in us in a minute, and wake-ups in a minute, of one that has nothing to do. (Threads that end
# meanwhile take what they had with them.)
idle()
{
	local pid before after

	"$@" </dev/null >"$work/said" 2>/dev/null &
	pid=$!
	until [ -s "$work/said" ]; do
		sleep 0.05
	done
	sleep 2
	before=$(toll "$pid")
	sleep "$idle_seconds"
	after=$(toll "$pid")
	kill "$pid"
	wait "$pid" 2>/dev/null || true
	echo "$before $after" | awk -v s="$idle_seconds" '{ run = $3 - $1; switches = $4 - $2; printf "%.0f %.0f\n", (run > 0 ? run : 0) * 60 / s, (switches > 0 ? switches : 0) * 60 / s }'
}

row_idle()
{
	local ours peer words

	config stay
	ours=$(idle "$vmm_cli" run "$work/stay.json")
	read -ra words <<<"$(qemu stay)"
	peer=$(idle "${words[@]}")
	result "idle: processor time in a minute" "${ours% *}" "${peer% *}" "" us "<= 1"
	result "idle: wake-ups in a minute" "${ours#* }" "${peer#* }" "" "" "<= 0 absolute"
}
