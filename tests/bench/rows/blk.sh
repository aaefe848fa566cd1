# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# Requests to a disk in the page cache: 4 KiB at random, 128 KiB in sequence, 4 KiB written.
# Part of ../table.

. "$here/rows/io.sh"

blk_disk()
{
	[ -e "$work/big" ] || head -c 512M /dev/urandom >"$work/big"
}

# blk_row ROW JOB GOAL [GOAL_TO_LIMIT]
blk_row()
{
	begin "cat $work/big >/dev/null" # what is not used for long is cold on the machine below this one
	ours ours "$2" "\"disks\": [{\"path\": \"$work/big\"}]"
	theirs qemu "$2" -- -object iothread,id=io -drive "if=none,id=d,file=$work/big,format=raw,cache=writeback,aio=io_uring" \
		-device virtio-blk-device,drive=d,iothread=io
	least limit "$2" blk "$work/big"
	in_turns "$1"
	judge "$1" rate requests/s "$3" "${4:-}"
}

row_blk()
{
	blk_disk
	blk_row "blk: 4 KiB random read, one at a time" "blk depth=1 n=200000" ">= 2" ">= 0.8"
	blk_row "blk: 4 KiB random read, 32 at a time" "blk depth=32 n=300000" ">= 1.6" ">= 0.85"
	blk_row "blk: 128 KiB sequential read, one at a time" "blk bs=131072 seq=1 depth=1 n=40000" ">= 1.05"
	blk_row "blk: 128 KiB sequential read, 8 at a time" "blk bs=131072 seq=1 depth=8 n=40000" ">= 1.05"
	blk_row "blk: 4 KiB random write with FLUSH, one at a time" "blk depth=1 write=1 n=50000" ">= 3"
}
