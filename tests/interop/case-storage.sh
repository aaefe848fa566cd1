# shellcheck shell=bash disable=SC2154
#
# A disk served by Debian's qemu-storage-daemon, and a network card served by a vmm-device that the VMM did not start, in a
# guest of vmm-cli.

case_storage()
{
	truncate -s 64M "$scratch/disk.img"
	make_tap
	begin net "$VMM_DEVICE" net --socket "$scratch/net.sock" --tap it0 --mac 52:54:00:00:00:78
	begin storage qemu-storage-daemon --blockdev "driver=file,node-name=disk,filename=$scratch/disk.img,discard=unmap" \
		--export "type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=$scratch/blk.sock,writable=on"
	begin echo echo_files
	begin iperf3 iperf3 -s
	until_seen 50 test -S "$scratch/blk.sock" || bad "nobody serves the disk: $(cat "$scratch/storage.log")"
	until_seen 50 test -S "$scratch/net.sock" || bad "nobody serves the card: $(cat "$scratch/net.log")"
	follow
	vm_config "console=ttyS0 panic=-1 mitigations=off quiet test.steps=storage" \
		", {\"vhost_user\": true, \"vhost_socket\": \"$scratch/blk.sock\"}" \
		"{\"vhost_user\": true, \"vhost_socket\": \"$scratch/net.sock\"}" ""
	begin guest "$VMM_CLI" run "$scratch/vm.json"
	ends guest 240
	no_failures
	is "sectors of the disk" "$(tr -d '\r' <"$serial" | sed -n 's/^guest: disk of \([0-9]*\) sectors$/\1/p')" 131072
	is "boots" "$(said_times 'boot [0-9]+ done')" 1
	is "jobs of fio" "$(numbers 'boot [0-9]: fio' jobs)" 9
	is "errors of fio" "$(numbers 'boot [0-9]: fio' errors)" 0
	is "bytes of files that came back" "$(numbers 'net transfer' bytes)" 8000002
	echo "figure: interop: storage daemon fio jobs $(numbers 'boot [0-9]: fio' jobs), errors" \
		"$(numbers 'boot [0-9]: fio' errors); net MB $(($(numbers net bytes) / 1000000)), mismatches" \
		"$(numbers 'net transfer' mismatches)"
}
