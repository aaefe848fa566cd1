# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# The processes of a VM, and what they take and do.
# Part of ../table.

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
