# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# System calls and user instructions from exec to a guest's first instruction (icount lab).
# Part of ../table.

use counts

# hellos WORDS MACHINE: the lines of the table for that machine.
hellos()
{
	local how

	for how in "" -together; do
		result "syscalls: $1${how:+, in one process}" "$(count "$2$how" 16 calls)" "$(count "$2-qemu" 16 calls)" \
			"$(count hello-limit 16 calls)" calls "<= 0.125"
		result "syscalls: $1${how:+, in one process}, user instructions" "$(count "$2$how" 16 vmm)" \
			"$(count "$2-qemu" 16 vmm)" "$(count hello-limit 16 vmm)" instr "<= 0.025"
	done
}

row_syscalls()
{
	local disk="-drive if=none,id=d,file=/bench/disk,format=raw -device virtio-blk-device,drive=d"
	local card="-netdev tap,id=n,ifname=tap0,script=no,downscript=no -device virtio-net-device,netdev=n"
	local console="-device virtio-serial-device -chardev null,id=c -device virtconsole,chardev=c"

	exits_machines
	machine full 128 '"kernel": "/bench/exits.elf", "cmdline": "n=0"' '"serial": {"mode": "Tty"}, "console": {"mode": "Null"},
		"net": [{"tap": "tap0"}], "disks": [{"path": "/bench/disk"}]'
	truncate -s 1M "$work/disk"
	echo "tunctl -t tap0 && ip link set tap0 up" >"$work/setup"
	ours hello
	job hello-qemu "$qemu_bare" -append n=0
	job hello-limit /bench/limit /bench/exits.elf 128
	ours full
	job full-qemu "$qemu_bare" -append n=0 "$disk" "$card" "$console"
	count_jobs --add "$bench/limit:bench/limit" --add "$work/disk:bench/disk" --setup "$work/setup"
	hellos "to the first instruction" hello
	hellos "to the first instruction, with disk, card and console" full
	result "syscalls: exec to reaped, user instructions" "$(count hello end vmm)" "$(count hello-qemu end vmm)" \
		"$(count hello-limit end vmm)" instr ""
}
