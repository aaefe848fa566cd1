# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# TCP from one stock guest to another, through a bridge, in instructions for each MiB (icount lab).
# Part of ../table.

use counts

# What is sent.
tcp_mib=32

# tcp_pair NAME COMMAND COMMAND: a job of two VMs.
tcp_pair()
{
	local n

	for n in 1 2; do
		tr -s '[:space:]' ' ' <<<"${*:n + 1:1}" >"$work/$1.$n"
		lab+=(--add "$work/$1.$n:bench/$1.$n")
	done
	job "$1" /bin/busybox sh /bench/pair "$1" "$tcp_mib"
}

# tcp_machine N CMDLINE: a machine and, in $tcp_qemu, QEMU's command line of the same.
tcp_machine()
{
	local mac=52:54:00:00:00:0$1

	machine "tcp$1" 256 '"kernel": "/bench/vmlinux", "initramfs": "/bench/tcp-initrd", "cmdline": "quiet '"$2"'"' \
		'"serial": {"mode": "Off"}, "console": {"mode": "Off"}, "net": [{"tap": "tap'"$1"'", "mac": "'"$mac"'"}]'
	tcp_qemu="${qemu_linux/-initrd \/bench\/initrd/-initrd \/bench\/tcp-initrd} -serial none -append $2
		-netdev tap,id=n,ifname=tap$1,script=no,downscript=no,vhost=off -device virtio-net-device,netdev=n,mac=$mac"
}

# per_mib JOB WHAT: of the instructions between the marks of the guest that sends.
per_mib()
{
	awk -v from="$(count "$1" 16 "$2")" -v to="$(count "$1" 17 "$2")" -v n="$tcp_mib" \
		'BEGIN { if (from != "" && to != "") printf "%.0f", (to - from) / n }'
}

row_tcp()
{
	local receiver sender run

	"$here/../lab/mkinitramfs" "$work/tcp-initrd" --kernel-dir "$(kernel_dir amd64)" --init "$here/icount/tcp-init" \
		--modules "virtio_net virtio_mmio" --busybox --add "$build/tests/bench/icount/stream:bin/stream"
	cat >"$work/bridge" <<-'END'
	brctl addbr bridge0
	ip link set bridge0 up
	for tap in tap1 tap2; do
		tunctl -t $tap
		brctl addif bridge0 $tap
		ip link set $tap up
	done
	END
	tcp_machine 1 receive
	receiver=$tcp_qemu
	tcp_machine 2 "mib=$tcp_mib"
	sender=$tcp_qemu
	run="/bench/vmm-cli run"
	tcp_pair tcp "$run /bench/tcp1.json" "$run /bench/tcp2.json"
	tcp_pair tcp-together "$run --isolation none /bench/tcp1.json" "$run --isolation none /bench/tcp2.json"
	tcp_pair tcp-qemu "$receiver" "$sender"
	count_jobs --modules bridge --setup "$work/bridge" --add "$here/icount/pair:bench/pair" \
		--add "$work/tcp-initrd:bench/tcp-initrd"
	result "tcp: guest to guest" "$(per_mib tcp total)" "$(per_mib tcp-qemu total)" "" instr/MiB "<= 0.6"
	result "tcp: guest to guest, VMM" "$(per_mib tcp vmm)" "$(per_mib tcp-qemu vmm)" "" instr/MiB ""
	result "tcp: guest to guest, in one process" "$(per_mib tcp-together total)" "$(per_mib tcp-qemu total)" "" instr/MiB ""
}
