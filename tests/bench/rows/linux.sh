# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# A stock Debian kernel from exec to the first instruction of its first program (icount lab).
# Part of ../table.

use counts

# boots WORDS MACHINE GOAL GOAL-VMM: the lines of the table for that machine.
boots()
{
	local peer peer_vmm

	peer=$(count "$2-qemu" 16 total) peer_vmm=$(count "$2-qemu" 16 vmm)
	result "linux: to /init, $1" "$(count "$2" 16 total)" "$peer" "" instr "$3"
	result "linux: to /init, $1, VMM" "$(count "$2" 16 vmm)" "$peer_vmm" "" instr "$4"
	result "linux: to /init, $1, in one process" "$(count "$2-together" 16 total)" "$peer" "" instr ""
	result "linux: to /init, $1, in one process, VMM" "$(count "$2-together" 16 vmm)" "$peer_vmm" "" instr ""
	result "linux: to /init, $1, in huge pages" "$(count "$2-huge" 16 total)" "$peer" "" instr "$3"
}

row_linux()
{
	local machine

	linux_machines
	for machine in linux quiet; do
		ours $machine
		job $machine-huge /bench/vmm-cli run /bench/$machine-huge.json
	done
	job linux-qemu "$qemu_linux" -serial stdio -append console=ttyS0
	job quiet-qemu "$qemu_linux" -serial none -append quiet
	count_jobs --setup "$work/huge"
	boots "ttyS0" linux "<= 0.9" "<= 0.2"
	boots "quiet" quiet "<= 0.95" "<= 0.0667"
}
