# shellcheck shell=bash
#
# What the tests of vmm-cli's commands share. Sourced by bash scripts under `set -uo pipefail` that
# are started with VMM_CLI (the program) and VMM_PAYLOAD (payload.c as a kernel) in the environment.

# shellcheck source=tests/support/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/setup.sh"

skip()
{
	echo "skipped: $*"
	exit 77
}

# own_world ARG...: starts the script again in namespaces of its own, as their root: its processes,
# mounts, network interfaces, pseudo-terminals and abstract sockets are then all there is, and end with it.
own_world()
{
	[ -n "${VMM_CLI:-}${VMM_PAYLOAD:-}" ] || skip "VMM_CLI and VMM_PAYLOAD are not set"
	if [ -n "${E2E_INSIDE:-}" ]; then
		# Pseudo-terminals too: those of the rest of the machine come and go.
		mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts /dev/pts
		mount --bind /dev/pts/ptmx /dev/ptmx
		return 0
	fi
	[ "$(id -u)" -eq 0 ] || skip "needs root, for a network and a mount namespace"
	[ -c /dev/kvm ] || skip "there is no /dev/kvm"
	: <>/dev/kvm || skip "/dev/kvm cannot be opened"
	: <>/dev/net/tun || skip "/dev/net/tun cannot be opened"
	need_packages iproute2 jq curl tmux procps util-linux || skip "the packages it needs cannot be installed"
	unshare -n -m -p --fork --mount-proc true || skip "no namespaces of its own"
	E2E_INSIDE=1 exec unshare -n -m -p --fork --mount-proc --kill-child "$0" "$@"
}

passed=0 failed=0 skipped=0

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

# is WHAT COMMAND...: the command succeeds.
is()
{
	local what=$1

	shift
	if "$@" >/dev/null; then
		ok "$what"
	else
		bad "$what: $*"
	fi
}

same()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		bad "$1: '$2' instead of '$3'"
	fi
}

# like WHAT TEXT REGEX
like()
{
	if [[ $2 =~ $3 ]]; then
		ok "$1"
	else
		bad "$1: '$2' is not like '$3'"
	fi
}

# soon COMMAND...: the command succeeds within ten seconds.
soon()
{
	local try

	for ((try = 0; try < 200; try++)); do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.05
	done
	return 1
}

finish()
{
	if [ "$skipped" -gt 0 ]; then
		printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	else
		printf '%d passed, %d failed\n' "$passed" "$failed"
	fi
	[ "$failed" -eq 0 ]
}

work=$(mktemp -d "${TMPDIR:-/tmp}/e2e.XXXXXX")
export VMM_VMS=$work/vms VMM_RUN=$work/run
mkdir "$VMM_VMS"
chmod 755 "$work"
trap 'cd / && rm -rf "$work"' EXIT

vmm()
{
	timeout -k 5 60 "$VMM_CLI" "$@"
}

# vm NAME [WORD [PROVIDER]]: a VM directory whose guest does WORD (see payload.c).
vm()
{
	mkdir -p "$VMM_VMS/$1"
	cp "$VMM_PAYLOAD" "$VMM_VMS/$1/vmlinux"
	echo 64M >"$VMM_VMS/$1/memory"
	echo "${2:-wait}" >"$VMM_VMS/$1/cmdline"
	if [ -n "${3:-}" ]; then
		mkdir -p "$VMM_VMS/$1/providers/net"
		touch "$VMM_VMS/$1/providers/net/$3"
	fi
}

# state NAME: what `vmm-cli list` says of it, without the details.
state()
{
	vmm list | sed -n "s/^$1  *\([^,]*\).*/\1/p"
}

pid_of()
{
	cat "$VMM_RUN/$1/pid"
}

says()
{
	grep -qs "$2" "$VMM_RUN/$1/serial.log"
}

ptys()
{
	find /dev/pts -name '[0-9]*' | wc -l
}

# What is there of VMs: processes, interfaces, listening sockets, files.
leftovers()
{
	find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' \( -lname "$(readlink -f "$VMM_CLI")" -o \
		-lname "$(readlink -f "$(dirname "$VMM_CLI")/vmm-device")" \) 2>/dev/null | sed 's/^/process /'
	ip -o link | awk -F': ' '$2 != "lo" { print "interface " $2 }'
	# /proc/self/net, not /proc/net of a parent: sockets of this network namespace.
	awk 'NR > 1 && $8 ~ /^\// { print "socket " $8 }' /proc/self/net/unix | grep -F "$work" || true
	if [ -e "$VMM_RUN" ]; then
		find "$VMM_RUN" | sed 's/^/file /'
	fi
}

nothing_left()
{
	local left

	# A watcher may be about to end.
	# shellcheck disable=SC2016
	soon eval '[ -z "$(leftovers)" ]'
	left=$(leftovers)
	same "${1:-nothing is left}" "$left" ""
}
