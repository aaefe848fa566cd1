# shellcheck shell=bash disable=SC2154,SC2034 # variables of those that source it
#
# The machines and the jobs of the rows that count instructions: for libvmm a VmConfig, for QEMU a command line. All
# names in them are those of the icount lab, and the same at each time: how long a path is can be counted, too.
# Sourced by ../rows/counts.sh and gate, which set $work, a folder that goes, and give ${lab[@]} and $jobs to lab.

lab=()
jobs=$work/jobs
: >"$jobs"

# machine NAME MIB PAYLOAD DEVICES [MEMORY]: a VmConfig. PAYLOAD, DEVICES and MEMORY (beside its size): JSON, inside the braces.
machine()
{
	cat >"$work/$1.json" <<-END
	{"payload": {$3}, "memory": {"size": $(($2 << 20))${5:+, $5}}, $4}
	END
	lab+=(--add "$work/$1.json:bench/$1.json")
}

bare_devices='"serial": {"mode": "Tty"}, "console": {"mode": "Off"}'

# job NAME COMMAND...: a line of jobs. No word may have a space in it.
job()
{
	tr -s '[:space:]' ' ' <<<"$*" >>"$jobs"
	echo >>"$jobs"
}

# ours NAME: runs that machine with a process for each device, and as NAME-together in one process.
ours()
{
	job "$1" /bench/vmm-cli run "/bench/$1.json"
	job "$1-together" /bench/vmm-cli run --isolation none "/bench/$1.json"
}

# exits_machines: `hello`, which does nothing but end, and `exits`, with so many accesses of each kind.
exits_times=1000
exits_machines()
{
	machine hello 128 '"kernel": "/bench/exits.elf", "cmdline": "n=0"' "$bare_devices"
	machine exits 128 '"kernel": "/bench/exits.elf", "cmdline": "n='$exits_times'"' "$bare_devices"
}

# linux_machines: a stock kernel up to its first program, with a serial port for all it says, and with no output; each of
# them also with memory in huge pages, for which $work/huge, a script, makes room.
linux_machines()
{
	local files='"kernel": "/bench/vmlinux", "initramfs": "/bench/initrd", "cmdline"'
	local none='"serial": {"mode": "Off"}, "console": {"mode": "Off"}'

	machine linux 256 "$files"': "console=ttyS0"' "$bare_devices"
	machine quiet 256 "$files"': "quiet"' "$none"
	machine linux-huge 256 "$files"': "console=ttyS0"' "$bare_devices" '"hugepages": true'
	machine quiet-huge 256 "$files"': "quiet"' "$none" '"hugepages": true'
	echo "echo 128 >/proc/sys/vm/nr_hugepages" >"$work/huge"
}

# count JOB POINT WHAT: of $work/counts, the instructions from the job's exec up to there: kernel, vmm (in the user mode of
# all its processes), total, work (total without what is no VMM: a guest that waits), or calls, which are system calls.
count()
{
	awk -v job="$1" -v point="$2" -v what="$3" '
		$1 == job && $2 == point {
			column["kernel"] = 3; column["vmm"] = 4; column["calls"] = 6
			printf "%.0f", what == "total" ? $3 + $4 + $5 : what == "work" ? $3 + $4 : $column[what]
		}' "$work/counts"
}

# per_access JOB SERIES WHAT: for each access of that series of guest/exits.c.
per_access()
{
	awk -v from="$(count "$1" $((16 + 2 * $2)) "$3")" -v to="$(count "$1" $((17 + 2 * $2)) "$3")" -v n="$exits_times" \
		'BEGIN { if (from != "" && to != "") printf "%.1f", (to - from) / n }'
}

# The peer: QEMU's microvm, with the entropy device that a machine of libvmm has, too. Of its options these take the fewest
# instructions: without rtc=on a Linux guest waits for a clock that is not there, with pic=on or pit=off a little longer
# for others. ACPI is what such a guest switches off by.
qemu="/usr/bin/qemu-system-x86_64 -enable-kvm -cpu host -smp 1 -nodefaults -no-user-config -display none -no-reboot
	-global virtio-mmio.force-legacy=false -device virtio-rng-device"
qemu_bare="$qemu -M microvm,rtc=off,pic=off,pit=off -m 128 -serial stdio -kernel /bench/exits.elf"
qemu_linux="$qemu -M microvm,rtc=on,pic=off,pit=on,acpi=on -m 256 -kernel /bench/vmlinux -initrd /bench/initrd"
