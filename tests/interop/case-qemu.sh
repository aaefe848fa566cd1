# shellcheck shell=bash disable=SC2154
#
# QEMU of Debian with vmm-device behind its disk, network card and random numbers: what the guest wrote is there after
# reboots of the same QEMU, and after back ends were killed while it wrote.

reboots=0 kills=0

device()
{
	local args

	case $1 in
	blk) args=(--path "$scratch/disk.img" --serial interop) ;;
	net) args=(--tap it0 --mac 52:54:00:00:00:77) ;;
	rng) args=() ;;
	esac
	begin "$1" "$VMM_DEVICE" "$1" --socket "$scratch/$1.sock" "${args[@]}"
}

# device_pids NAME: all its processes.
device_pids()
{
	cat "/proc/${pids[$1]}/task/${pids[$1]}/children"
	echo "${pids[$1]}"
}

# The process by the socket, or the one at work, in turns: the other one must not stay.
device_kill()
{
	local all

	read -ra all <<<"$(device_pids "$1" | tr '\n' ' ')"
	# Its end is no news to this shell.
	disown "${pids[$1]}"
	if [ $((kills % 2)) -eq 0 ]; then
		kill -KILL "${all[0]}"
	else
		kill -KILL "${all[-1]}"
	fi
	until_seen 50 eval "! kill -0 ${all[0]} 2>/dev/null && ! kill -0 ${all[-1]} 2>/dev/null" ||
		bad "$1: one of its processes outlives the other"
	kills=$((kills + 1))
}

# kill_while NAME PAUSE: another process takes its place each time, until the guest has no more work for it.
kill_while()
{
	local before=$kills until

	if ! guest_comes_to "kill $1" 180; then
		return
	fi
	until=$((SECONDS + 150 * rounds))
	sleep "$2"
	while ! said "end of killing $1" && kill -0 "${pids[guest]:-0}" 2>/dev/null; do
		if [ "$SECONDS" -ge "$until" ]; then
			bad "$1: the guest does not come to an end of it"
			post_mortem
			end guest KILL
			return
		fi
		device_kill "$1"
		device "$1"
		sleep "$2"
	done
	if [ "$kills" -gt "$before" ]; then
		ok "$1 was killed $((kills - before)) times"
	else
		bad "$1 was never killed"
	fi
}

start_qemu()
{
	local name front=()

	# With reconnect QEMU 7.2 does not wait for the connection of its vhost-user-rng, and aborts.
	for name in blk,reconnect=1 net,reconnect=1 rng; do
		front+=(-chardev "socket,path=$scratch/${name%,*}.sock,id=$name")
	done
	begin guest qemu-system-x86_64 -nodefaults -no-user-config -display none -M q35 -enable-kvm -cpu host -smp 1 -m 512 \
		-object memory-backend-memfd,id=ram,size=512M,share=on -machine memory-backend=ram \
		-kernel "$INTEROP_WORK/vmlinuz" -initrd "$INTEROP_WORK/initrd" \
		-append "console=ttyS0 panic=-1 mitigations=off quiet test.steps=qemu test.long=${INTEROP_LONG:-}" -chardev "file,id=serial,path=$serial,append=on" \
		-serial chardev:serial \
		-drive "if=none,id=tools,file=$INTEROP_WORK/tools.img,format=raw,readonly=on" \
		-device virtio-blk-pci,drive=tools,serial=tools \
		"${front[@]}" -device vhost-user-blk-pci,chardev=blk,num-queues=1 \
		-netdev vhost-user,id=net,chardev=net -device virtio-net-pci,netdev=net,mac=52:54:00:00:00:77 \
		-device vhost-user-rng-pci,chardev=rng
}

case_qemu()
{
	local name rounds=${INTEROP_LONG:+8}

	rounds=${rounds:-1}
	truncate -s 64M "$scratch/disk.img"
	chmod 666 "$scratch/disk.img"
	make_tap
	for name in blk net rng; do
		device "$name"
	done
	begin echo echo_files
	begin iperf3 iperf3 -s
	until_seen 50 test -S "$scratch/rng.sock" || bad "the devices do not listen: $(cat "$scratch"/*.log)"
	follow
	start_qemu
	kill_while blk 2
	kill_while net 2
	ends guest 120
	no_failures
	reboots=$(($(said_times 'boot [0-9]+ done') - 1))
	is "reboots of one QEMU" "$reboots" 2
	is "jobs of fio" "$(numbers 'boot [0-9]: fio' jobs)" $((17 + 2 * rounds))
	is "errors of fio" "$(numbers 'boot [0-9]: fio' errors)" 0
	is "wrong blocks and errors of hammer" \
		"$(numbers hammer mismatches) $(numbers hammer errors) of $(said_times 'hammer operations .*')" "0 0 of $rounds"
	is "bytes of files that came back" "$(numbers 'net transfer' bytes)" 16000004
	if [ "$(numbers rng bad)" -gt 1 ] || [ "$(numbers rng good)" -lt 119 ]; then
		bad "random blocks: $(numbers rng good) good, $(numbers rng bad) bad"
	fi
	echo "figure: interop: qemu blk fio jobs $(numbers 'boot [0-9]: fio' jobs), errors" \
		"$(numbers 'boot [0-9]: fio' errors); hammer operations $(numbers hammer operations), mismatches" \
		"$(numbers hammer mismatches); net MB $(($(numbers net bytes) / 1000000)), retransmits" \
		"$(numbers net retransmits), mismatches $(numbers 'net transfer' mismatches); rng bytes" \
		"$(numbers rng bytes), bad blocks $(numbers rng bad); reboots $reboots; kills $kills"
}
