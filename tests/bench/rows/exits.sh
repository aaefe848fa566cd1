# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# Instructions for each access of a guest that the VMM has to answer (icount lab).
# Part of ../table.

use counts

row_exits()
{
	local series words who

	exits_machines
	ours exits
	job exits-qemu "$qemu_bare" -append "n=$exits_times"
	job exits-limit /bench/limit /bench/exits.elf 128 "n=$exits_times"
	count_jobs --add "$bench/limit:bench/limit"
	for words in "1 port write" "2 port read" "3 MMIO write" "4 MMIO read" "5 notification"; do
		series=${words%% *} words=${words#* }
		for who in exits exits-qemu exits-limit; do
			printf '%s, %s: %s user, %s kernel\n' "$who" "$words" "$(per_access $who "$series" vmm)" \
				"$(per_access $who "$series" kernel)"
		done
	done
	for words in "1 port write" "2 port read" "3 MMIO write" "4 MMIO read"; do
		series=${words%% *} words=${words#* }
		result "exits: $words with nothing there, VMM" "$(per_access exits "$series" vmm)" \
			"$(per_access exits-qemu "$series" vmm)" "$(per_access exits-limit "$series" vmm)" instr "<= 0.125"
		result "exits: the same" "$(per_access exits "$series" vmm)" "" "" instr "<= 300 absolute"
		result "exits: the same, kernel" "$(per_access exits "$series" kernel)" \
			"$(per_access exits-qemu "$series" kernel)" "$(per_access exits-limit "$series" kernel)" instr ""
	done
	# How often a device is awake already when it is notified is the scheduler's affair, as there is one processor.
	result "exits: notification and a look at the queue" "$(per_access exits 5 total)" "$(per_access exits-qemu 5 total)" "" \
		instr ""
}
