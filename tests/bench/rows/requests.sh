# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# Instructions for each 4 KiB read, one at a time, by devices that do not poll (icount lab).
# Part of ../table.

use counts

requests_times=2000

# script NAME WORD...: a job of that name, whose words may have spaces in them.
script()
{
	local name=$1

	shift
	{
		printf '#!/bin/busybox sh\nexec'
		printf " '%s'" "$@"
		echo
	} >"$work/$name"
	chmod +x "$work/$name"
	lab+=(--add "$work/$name:bench/$name")
	job "$name" "/bench/$name"
}

# per_request JOB WHAT
per_request()
{
	awk -v from="$(count "$1" 16 "$2")" -v to="$(count "$1" 17 "$2")" -v n="$requests_times" \
		'BEGIN { if (from != "" && to != "") printf "%.0f", (to - from) / n }'
}

row_requests()
{
	local line="blk depth=1 n=$requests_times khz=1000000" words best='' name value

	head -c 16M /dev/urandom >"$work/requests.img"
	lab+=(--add "$work/requests.img:bench/disk" --add "$bench/io.elf:bench/io.elf")
	machine requests 128 '"kernel": "/bench/io.elf", "cmdline": "'"$line"'"' \
		'"disks": [{"path": "/bench/disk"}], "poll_us": 0, '"$bare_devices"
	ours requests
	read -ra words <<<"${qemu//[$'\n\t']/ } -M microvm,rtc=off,pic=off,pit=off -m 128 -serial stdio -kernel /bench/io.elf"
	for name in threads io_uring; do
		script "requests-qemu-$name" "${words[@]}" -append "$line mmio=0xfeb00000,512,24" -object iothread,id=io,poll-max-ns=0 \
			-drive "if=none,id=d,file=/bench/disk,format=raw,cache=writeback,aio=$name" \
			-device virtio-blk-device,drive=d,iothread=io
	done
	# A device that is woken needs a processor beside the guest's.
	count_jobs --smp 2
	for name in threads io_uring; do
		value=$(per_request "requests-qemu-$name" work)
		echo "QEMU, aio=$name: $value, of these its own $(per_request "requests-qemu-$name" vmm)"
		if [ -z "$best" ] || [ "$value" -lt "$(per_request "$best" work)" ]; then
			best=requests-qemu-$name
		fi
	done
	result "requests: 4 KiB read without polling" "$(per_request requests work)" "$(per_request $best work)" "" instr "<= 0.45"
	result "requests: of these the device's process" "$(per_request requests vmm)" "$(per_request $best vmm)" "" instr ""
	result "requests: the same in one process" "$(per_request requests-together work)" "$(per_request $best work)" "" instr ""
}
