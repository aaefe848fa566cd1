# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# The machines that are compared: for libvmm a VmConfig, for QEMU a command line.
# Part of ../table.

if [ -n "${mib:-}" ]; then
	return # another row has read it
fi
# What the guest has of memory, in MiB.
mib=128
# The same machine for both: a disk, a console, random numbers, and a card where this user may make taps.
truncate -s 8M "$work/disk"
disk='{"path": "'$work/disk'"}'
net='' qemu_net='' tap=''
if [ "$(id -u)" -eq 0 ] && ip tuntap add dev "bench$$" mode tap vnet_hdr 2>/dev/null; then
	tap=bench$$
	on_exit "ip link del $tap"
	ip link set "$tap" up
	net='"net": [{"tap": "'$tap'"}],'
	qemu_net="-netdev tap,id=n,ifname=$tap,script=no,downscript=no -device virtio-net-device,netdev=n"
fi

# config WORD: a VmConfig whose guest has that command line; net and disk may be others.
config()
{
	cat >"$work/$1.json" <<-END
	{"payload": {"kernel": "$bench/hello.elf", "cmdline": "$1"}, "memory": {"size": $((mib << 20))}, $net
	 "disks": [$disk], "console": {"mode": "Null"}, "serial": {"mode": "Tty"}}
	END
}

# QEMU's machine, in words: the one that takes least to start, and as little as can be of it.
qemu_cpu=host
# Page-table KVM offers a register that QEMU then cannot set.
grep -qwE 'vmx|svm' /proc/cpuinfo || qemu_cpu=host,-arch-capabilities
qemu_machine=(/usr/bin/qemu-system-x86_64 -M "microvm,rtc=off,pic=off,pit=off" -enable-kvm -cpu "$qemu_cpu" -m "$mib" -smp 1
	-nodefaults -no-user-config -display none -no-reboot -serial stdio)

# qemu WORD: its command line.
qemu()
{
	echo "${qemu_machine[*]} -kernel $bench/hello.elf -append $1" \
		"-drive if=none,id=d,file=$work/disk,format=raw -device virtio-blk-device,drive=d" \
		"-device virtio-serial-device -chardev null,id=c -device virtconsole,chardev=c -device virtio-rng-device $qemu_net"
}
