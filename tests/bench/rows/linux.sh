# shellcheck shell=bash
#
# A stock Debian kernel from exec to the first instruction of its first program (icount lab).
# Part of ../table.

. "$here/rows/counts.sh"

# boots WORDS MACHINE GOAL GOAL-VMM: the lines of the table for that machine.
boots()
{
	result "linux: to /init, $1" "$(count "$2" 16 total)" "$(count "$2-qemu" 16 total)" "" instr "$3"
	result "linux: to /init, $1, VMM" "$(count "$2" 16 vmm)" "$(count "$2-qemu" 16 vmm)" "" instr "$4"
	result "linux: to /init, $1, in one process" "$(count "$2-together" 16 total)" "$(count "$2-qemu" 16 total)" "" instr ""
	result "linux: to /init, $1, in one process, VMM" "$(count "$2-together" 16 vmm)" "$(count "$2-qemu" 16 vmm)" "" instr ""
}

row_linux()
{
	linux_machines
	ours linux
	job linux-qemu "$qemu_linux" -serial stdio -append console=ttyS0
	ours quiet
	job quiet-qemu "$qemu_linux" -serial none -append quiet
	count_jobs
	boots "ttyS0" linux "<= 0.9" "<= 0.2"
	boots "quiet" quiet "<= 0.95" "<= 0.0667"
}
