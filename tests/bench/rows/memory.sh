# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# What a VM takes beside its guest's memory.
# Part of ../table.

use machines
use processes

# weight COMMAND...: starts it, waits for its first byte, and weighs it.
weight()
{
	local pid

	"$@" </dev/null >"$work/said" 2>/dev/null &
	pid=$!
	for _ in $(seq 200); do
		[ -s "$work/said" ] && break
		sleep 0.05
	done
	sleep 0.5
	weigh "$pid"
	kill "$pid"
	wait "$pid" 2>/dev/null || true
}

row_memory()
{
	local ours peer words

	config stay
	ours=$(weight "$vmm_cli" run "$work/stay.json")
	read -ra words <<<"$(qemu stay)"
	peer=$(weight "${words[@]}")
	result "memory: RSS without the guest's, isolated" "${ours% *}" "${peer% *}" "" KiB "<= 0.167"
	result "memory: PSS without the guest's, isolated" "${ours#* }" "${peer#* }" "" KiB "<= 0.1"
}
