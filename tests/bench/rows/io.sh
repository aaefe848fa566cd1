# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# The machines of the rows about input and output: the same guest (../guest/io.h) in each, with the one device that is measured.
# Part of ../table.

. "$here/rows/machines.sh"

if [ -n "${khz:-}" ]; then
	return # another row has read it
fi
khz=$("$bench/tsc")
# One turn takes a second and more.
io_rounds=$(((rounds + 3) / 4))
# Where QEMU's microvm has its devices, and where limit has its one.
mmio=0xfeb00000,512

# command_of NAME WORD...: what the peer of that name runs. A program, since peers takes words without blanks only.
command_of()
{
	local name=$1

	shift
	{
		echo '#!/bin/sh'
		[ -z "$before" ] || echo "$before"
		printf 'exec'
		printf " '%s'" "$@"
		echo
	} >"$work/$name"
	chmod +x "$work/$name"
	printf '%s\t%s\n' "$name" "$work/$name" >>"$work/peers"
}

# ours NAME JOB MEMBERS [WORD...]: vmm-cli, with such members of a VmConfig, run by the words given.
ours()
{
	local name=$1 job=$2 members=$3

	shift 3
	cat >"$work/$name.json" <<-END
	{"payload": {"kernel": "$bench/io.elf", "cmdline": "$job khz=$khz"}, "memory": {"size": $((mib << 20))}, $members,
	 "serial": {"mode": "Tty"}}
	END
	command_of "$name" "$@" "$vmm_cli" run "$work/$name.json"
}

# theirs NAME JOB [WORD...] -- [OPTION...]: QEMU with such options, run by the words in front of "--".
theirs()
{
	local name=$1 job=$2 words=()

	shift 2
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	command_of "$name" "${words[@]}" "${qemu_machine[@]}" -global virtio-mmio.force-legacy=false -kernel "$bench/io.elf" \
		-append "$job khz=$khz mmio=$mmio,24" "$@"
}

# least NAME JOB KIND PATH [WORD...]: limit, with its one device, run by the words given.
least()
{
	local name=$1 job=$2 kind=$3 path=$4

	shift 4
	command_of "$name" "$@" "$bench/limit" "$bench/io.elf" "$mib" "$job khz=$khz mmio=$mmio,1" "$kind" "$path"
}

# in_turns TITLE: measures what was named since begin.
in_turns()
{
	echo "$1:"
	"$bench/peers" "$io_rounds" "$work/peers" >"$work/times"
	grep -v ' first \| end ' "$work/times" | sed 's/^/  /'
}

# begin SHELL: forgets all peers. The shell runs that before each of the next ones.
begin()
{
	before=$1
	: >"$work/peers"
}

# value NAME KEY: the median.
value()
{
	awk -v name="$1" -v key="$2" '$1 == name && $2 == key { print $3 }' "$work/times"
}

# judge ROW KEY UNIT GOAL [GOAL_TO_LIMIT]: a line of the table for ours and qemu, and one for ours and limit.
judge()
{
	result "$1" "$(value ours "$2")" "$(value qemu "$2")" "$(value limit "$2")" "$3" "$4"
	[ -z "${5:-}" ] || result "$1, to the limit" "$(value ours "$2")" "$(value qemu "$2")" "$(value limit "$2")" "$3" "$5 limit"
}
