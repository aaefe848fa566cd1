# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# A hundred idle VMs, one after another: is the last as quick and as small as the first?
# Part of ../table.

use machines
use processes

# ten head|tail: median of column 2 of the first or of the last ten lines of standard input.
ten()
{
	"$1" -n 10 | awk '{ print $2 }' | sort -g | sed -n 5p
}

row_hundred()
{
	local pid sizes=$work/sizes times=$work/times100 crowd

	net='' disk='{"path": "'$work/disk'", "readonly": true}' config stay
	mkfifo "$work/leash"
	"$bench/crowd" 100 "$vmm_cli" run "$work/stay.json" <"$work/leash" >"$times" &
	crowd=$!
	exec 9>"$work/leash"
	until [ "$(wc -l <"$times")" -eq 100 ] || ! kill -0 "$crowd" 2>/dev/null; do
		sleep 0.1
	done
	while read -r pid _; do
		echo "$pid $(weigh "$pid")"
	done <"$times" | awk '{ print $1, $3 }' >"$sizes"
	exec 9>&-
	if ! wait "$crowd"; then
		echo "not all of a hundred VMs answered, or some ended" >&2
		return 1
	fi
	result "hundred: exec to first byte, the last ten to the first" "$(ten tail <"$times")" "$(ten head <"$times")" "" ms "<= 1.2"
	result "hundred: PSS without the guest's, the last ten to the first" "$(ten tail <"$sizes")" "$(ten head <"$sizes")" "" KiB "<= 1.2"
}
