# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# Frames through a tap: sent as fast as it goes, and sent back one by one.
# Part of ../table.

. "$here/rows/io.sh"

# A tap for each, so that none waits for another's end.
net_taps()
{
	local tap name

	[ "$(id -u)" -eq 0 ] || return 1
	for name in ours qemu limit; do
		tap=b$name$$
		ip tuntap add dev "$tap" mode tap vnet_hdr 2>/dev/null || return 1
		on_exit "ip link del $tap"
		# Nothing but the guest's own frames.
		sysctl -qw "net.ipv6.conf.$tap.disable_ipv6=1" 2>/dev/null || true
		ip link set "$tap" up
	done
}

# net_peers JOB WORD...: the words run each; TAP among them is its tap.
net_peers()
{
	local job=$1

	shift
	begin ''
	ours ours "$job" "\"net\": [{\"tap\": \"bours$$\"}]" "${@/#TAP/bours$$}"
	theirs qemu "$job" "${@/#TAP/bqemu$$}" -- -netdev "tap,id=n,ifname=bqemu$$,script=no,downscript=no" \
		-device virtio-net-device,netdev=n
	least limit "$job" net "blimit$$" "${@/#TAP/blimit$$}"
}

row_net()
{
	local len

	if ! net_taps; then
		echo "net: skipped: it takes root, and taps"
		return
	fi
	for len in 64 1500; do
		net_peers "transmit len=$len n=400000" "$bench/wire" count TAP
		in_turns "net: transmit $len bytes"
		judge "net: transmit $len bytes" rate frames/s ">= 1.35"
	done
	net_peers "echo n=10000" "$bench/wire" echo TAP 64 10000
	in_turns "net: echo of 64 bytes"
	judge "net: echo of 64 bytes, p50" p50 ns "<= 0.5"
}
