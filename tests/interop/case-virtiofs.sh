# shellcheck shell=bash disable=SC2154
#
# A directory of the host, served by Debian's virtiofsd, in guests of vmm-cli: what either side writes the other one
# reads, over a reboot of the guest. With INTEROP_CONTROL=1 the guests are QEMU's.

virtiofsd=/usr/lib/qemu/virtiofsd

# It serves in a child.
kill_virtiofsd()
{
	local children

	read -ra children <"/proc/${pids[virtiofsd]}/task/${pids[virtiofsd]}/children" || true
	kill -KILL "${children[@]}"
	end virtiofsd KILL
}

sums()
{
	[ ! -d "$1" ] || (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c 1-64)
}

start_virtiofsd()
{
	rm -f "$scratch/fs.sock"
	begin virtiofsd "$virtiofsd" -f --socket-path="$scratch/fs.sock" -o source="$scratch/shared"
	until_seen 50 test -S "$scratch/fs.sock" || bad "virtiofsd does not listen: $(cat "$scratch/virtiofsd.log")"
}

# fill_shared: what the guest is to find.
fill_shared()
{
	local n

	mkdir -p "$scratch/shared"
	mount -t tmpfs shared "$scratch/shared"
	mkdir -p "$scratch/shared/in/deep/er"
	for n in $(seq 30); do
		head -c $((n * n * 311)) /dev/urandom >"$scratch/shared/in/$n"
	done
	head -c 3000000 /dev/urandom >"$scratch/shared/in/deep/er/large"
	: >"$scratch/shared/in/empty"
}

start_guest()
{
	local words="console=ttyS0 panic=-1 mitigations=off quiet test.steps=fs test.boots=$2 test.seed=$seed"

	words+=" test.operations=$operations"

	if [ -n "$INTEROP_CONTROL" ]; then
		begin guest qemu-system-x86_64 -nodefaults -no-user-config -display none -M q35 -enable-kvm -cpu host -smp 1 \
			-m 384 -object memory-backend-memfd,id=ram,size=384M,share=on -machine memory-backend=ram \
			-kernel "$INTEROP_WORK/vmlinuz" -initrd "$INTEROP_WORK/initrd" -append "$words" \
			-chardev "file,id=serial,path=$serial,append=on" -serial chardev:serial \
			-drive "if=none,id=tools,file=$INTEROP_WORK/tools.img,format=raw,readonly=on" \
			-device virtio-blk-pci,drive=tools,serial=tools \
			-chardev "socket,id=fs,path=$scratch/fs.sock" -device vhost-user-fs-pci,chardev=fs,tag=shared
		return
	fi
	vm_config "$words" "" "" "{\"tag\": \"shared\", \"socket\": \"$scratch/fs.sock\", \"num_queues\": 1,
		\"queue_size\": 1024}"
	begin guest "$VMM_CLI" run --verbose --isolation "$1" "$scratch/vm.json"
}

# compare BOOTS: what the guest says that it wrote with what is there.
compare()
{
	local boot n there

	for boot in $(seq "$1"); do
		there=$(sums "$scratch/shared/out$boot")
		if said "out $boot $there"; then
			ok "boot $boot: the host reads what the guest wrote"
		else
			wrong "boot $boot: out is $there"
		fi
		for n in "$boot"1 "$boot"2; do
			if [ "$("$INTEROP_WORK/fsx" --sum "$scratch/shared/fsx$n")" = \
				"$(tr -d '\r' <"$serial" | sed -n "s/^guest: sum $n /sum /p")" ]; then
				ok "boot $boot: the files of fsx are as its model"
			else
				wrong "boot $boot: the files of fsx are not as its model"
			fi
		done
	done
}

wrong()
{
	apart=$((apart + 1))
	bad "$@"
}

# share ISOLATION BOOTS
share()
{
	local in

	fill_shared
	in=$(sums "$scratch/shared/in")
	start_virtiofsd
	rm -f "$scratch/guest.log"
	follow
	start_guest "$1" "$2"
	if guest_comes_to "kill fs" 240; then
		kill_virtiofsd
		guest_comes_to alive 90 && ok "the guest goes on without virtiofsd"
	fi
	ends guest 60
	no_failures
	if [ -z "$INTEROP_CONTROL" ]; then
		is "VMM says that it is gone, times" "$(grep -c "_fs1: the back end is lost" "$scratch/guest.log")" 1
	fi
	is "boots of one VM ($1)" "$(tr -d '\r' <"$serial" | grep -caE '^guest: boot [0-9]+ done$')" "$2"
	is "guest reads what the host wrote, times" \
		"$(tr -d '\r' <"$serial" | grep -caE "^guest: in $in\$")" "$2"
	compare "$2"
	fs_operations=$((fs_operations + $(numbers fsx operations)))
	apart=$((apart + $(numbers fsx mismatches)))
	fs_reboots=$((fs_reboots + $2 - 1))
	end follow
	umount "$scratch/shared"
}

case_virtiofs()
{
	local apart=0 fs_operations=0 fs_reboots=0 operations=4000 seed=$RANDOM

	if [ -n "$INTEROP_LONG" ]; then
		operations=20000
	fi
	share process 2
	share none 1
	echo "figure: interop: virtiofs operations $fs_operations, mismatches $apart; reboots $fs_reboots; seed $seed"
}
