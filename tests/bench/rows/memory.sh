# shellcheck shell=bash
#
# What a VM takes beside its guest's memory.
# Part of ../table.

. "$here/rows/machines.sh"

# All processes below one, itself included.
family()
{
	local pid

	echo "$1"
	for pid in $(pgrep -P "$1"); do
		family "$pid"
	done
}

# weigh PID: RSS and PSS in KiB of its family, without the guest's memory.
weigh()
{
	local pid

	for pid in $(family "$1"); do
		cat "/proc/$pid/smaps"
	done | awk -v guest=$((mib << 10)) '
		/^[0-9a-f]+-[0-9a-f]+ / { name = $6; skip = 0 }
		/^Size:/ { skip = $2 >= guest || name ~ /guest-ram/ }
		/^Rss:/ && !skip { rss += $2 }
		/^Pss:/ && !skip { pss += $2 }
		END { print rss, pss }'
}

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
