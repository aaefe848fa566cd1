# shellcheck shell=bash
#
# What the cases of `interop` share: verdicts, processes, what a guest says.

passed=0 failed=0
scratch=$(mktemp -d)
serial=$scratch/serial

ok()
{
	passed=$((passed + 1))
	echo "ok - $*"
}

bad()
{
	failed=$((failed + 1))
	echo "NOT OK - $*"
}

# is NAME WHAT EXPECTED
is()
{
	if [ "$2" = "$3" ]; then
		ok "$1: $2"
	else
		bad "$1: $2, not $3"
	fi
}

# ---- processes ----

declare -A pids=()

# begin NAME COMMAND...: in the background, with its output in $scratch/NAME.log.
begin()
{
	local name=$1

	shift
	"$@" </dev/null >>"$scratch/$name.log" 2>&1 &
	pids[$name]=$!
}

# end NAME [SIGNAL]: of a process that is there or not.
end()
{
	if [ -n "${pids[$1]:-}" ]; then
		kill "-${2:-TERM}" "${pids[$1]}" 2>/dev/null || true
		wait "${pids[$1]}" 2>/dev/null || true
		unset "pids[$1]"
	fi
}

clean_up()
{
	local name

	for name in "${!pids[@]}"; do
		end "$name" KILL
	done
	ip link del it0 2>/dev/null || true
	if mountpoint -q "$scratch/shared"; then
		umount "$scratch/shared"
	fi
	rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# until_seen TENTHS COMMAND...: true once COMMAND is.
until_seen()
{
	local tries=$1

	shift
	while [ "$tries" -gt 0 ]; do
		if "$@"; then
			return 0
		fi
		sleep 0.1
		tries=$((tries - 1))
	done
	return 1
}

# ---- what the guest says ----

# said PATTERN: the whole line.
said()
{
	tr -d '\r' <"$serial" | grep -aqE "^guest: $1\$"
}

# said_times PATTERN: how many lines.
said_times()
{
	tr -d '\r' <"$serial" | grep -caE "^guest: $1\$" || true
}

# Who does what, and said what.
post_mortem()
{
	top -b -n 1 | head -n 15
	tail -n 25 "$serial" | tr -d '\r'
	tail -n 15 "$scratch"/*.log
}

# guest_comes_to PATTERN SECONDS: of the process `guest`.
guest_comes_to()
{
	local until=$((SECONDS + $2))

	while ! said "$1"; do
		if [ "$SECONDS" -ge "$until" ] || ! kill -0 "${pids[guest]:-0}" 2>/dev/null; then
			bad "the guest does not come to \"$1\" in $2 s"
			tail -n 25 "$serial" | tr -d '\r'
			end guest KILL
			return 1
		fi
		sleep 0.2
	done
}

# numbers PATTERN WORD: the number behind WORD, summed up over the lines that match.
numbers()
{
	tr -d '\r' <"$serial" | sed -nE "s/^guest: $1.* $2 ([0-9]+).*/\\1/p;s/^guest: $1 *$2 ([0-9]+).*/\\1/p" |
		awk '{ n += $1 } END { print n + 0 }'
}

# The guest's words as they come, until stop_following.
follow()
{
	: >"$serial"
	tail -F -n +1 "$serial" 2>/dev/null | grep --line-buffered -a '^guest: ' &
	pids[follow]=$!
}

# ends NAME SECONDS: the process NAME, in which a guest runs that switches itself off.
ends()
{
	local rc=0

	[ -n "${pids[$1]:-}" ] || return 0
	if ! until_seen $(($2 * 10)) eval "! kill -0 ${pids[$1]} 2>/dev/null"; then
		bad "$1 is still there after $2 s"
		tail -n 20 "$serial" | tr -d '\r'
		end "$1" KILL
		return
	fi
	wait "${pids[$1]}" || rc=$?
	unset "pids[$1]"
	is "$1 ends with status" "$rc" 0
	if [ "$rc" -ne 0 ]; then
		tail -n 20 "$scratch/$1.log" "$serial"
	fi
}

no_failures()
{
	if tr -d '\r' <"$serial" | grep -aE '^guest: FAILED|Kernel panic|BUG:|Oops|blocked for more than|I/O error'; then
		bad "the guest has failures"
	else
		ok "the guest has no failures"
	fi
}

make_tap()
{
	ip tuntap add dev it0 mode tap vnet_hdr
	ip addr add 10.77.0.1/24 dev it0
	ip link set it0 up
}

# Takes a file from the guest and gives it back. At the end of its input nc hangs up.
echo_files()
{
	mkfifo "$scratch/never"
	exec 3<>"$scratch/never"
	while :; do
		busybox nc -l -p 9001 <&3 >"$scratch/file"
		busybox nc -l -p 9002 <"$scratch/file" >/dev/null
	done
}

# vm_config WORDS MORE-DISKS-JSON NETS-JSON FS-JSON: a VM for vmm-cli.
vm_config()
{
	cat >"$scratch/vm.json" <<-END
		{"payload": {"kernel": "$INTEROP_WORK/vmlinux", "initramfs": "$INTEROP_WORK/initrd", "cmdline": "$1"},
		 "cpus": {"boot_vcpus": 1, "max_vcpus": 1}, "memory": {"size": $((384 << 20)), "shared": true},
		 "disks": [{"path": "$INTEROP_WORK/tools.img", "readonly": true, "serial": "tools"}$2],
		 "net": [$3], "fs": [$4], "console": {"mode": "Off"},
		 "serial": {"mode": "File", "file": "$serial", "size_limit": 1073741824}}
	END
}
