# What a person does with the three default VMs, and what must come of it. Sourced by the script that
# knows how to run VMs, which provides
#
#   vm_console NAME   prints the command that joins a terminal to NAME's console
#   vm_start NAME     starts a VM (again)
#   vm_stop NAME      switches it off, and returns when it is off
#   vm_log NAME       prints what came over its serial port
#
# and sets state (a directory to write to, with outside's state in it) and outside (the script).
# shellcheck shell=bash disable=SC2154

passed=0
failed=0
slow=${slow:-1} # every patience is multiplied by this

terminal()
{
	tmux -L "vms-$$" "$@"
}

# ok|bad TEXT: counts and says it.
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

# console NAME: a terminal of 80x24 on NAME's console.
console()
{
	terminal new-session -d -s "$1" -x 80 -y 24 "$(vm_console "$1")"
}

screen()
{
	terminal capture-pane -t "$1" -p
}

# show NAME: the screen as it is, in a frame.
show()
{
	local line
	printf '  +-- %s %s+\n' "$1" "$(printf '%*s' $((76 - ${#1})) '' | tr ' ' -)"
	screen "$1" | while IFS= read -r line; do
		printf '  |%-80s|\n' "$line"
	done
	printf '  +%s+\n' "$(printf '%80s' '' | tr ' ' -)"
}

keys()
{
	terminal send-keys -t "$1" "${@:2}"
}

# until_seen SECONDS COMMAND...: until COMMAND succeeds.
until_seen()
{
	local end=$((SECONDS + $1 * slow))
	shift
	until "$@"; do
		if [ "$SECONDS" -ge "$end" ]; then
			return 1
		fi
		sleep 0.5
	done
}

shows()
{
	screen "$1" | grep -qF -- "$2"
}

heard()
{
	tr -d '\r' <"$state/irc.log" | grep -qE -- "$1"
}

# logs NAME: the end of what NAME, and netvm, said on their serial ports.
logs()
{
	local name
	for name in "$1" $([ "$1" = netvm ] || echo netvm); do
		vm_log "$name" | tail -n 20 | sed "s/^/  $name: /" || true
	done
}

# expect NAME TEXT SECONDS: TEXT is on NAME's screen within SECONDS.
expect()
{
	if until_seen "$3" shows "$1" "$2"; then
		ok "$1 shows \"$2\""
		show "$1"
	else
		bad "$1 does not show \"$2\""
		show "$1"
		logs "$1"
	fi
}

probes=0

# probe NAME ADDRESS PORT yes|no WHY: whether a connection from NAME's shell comes through.
probe()
{
	local answer
	probes=$((probes + 1))
	keys "$1" "clear; nc -w 5 $2 $3 -e true; echo probe-$probes:\$?" Enter
	until_seen 30 eval "screen '$1' | grep -qE 'probe-$probes:[0-9]'" || true
	answer=$(screen "$1" | sed -n "s/^probe-$probes:\([0-9]*\).*/\1/p" | tail -n 1)
	case $4:$answer in
	yes:0) ok "$1 reaches $2 port $3: $5" ;;
	no:1) ok "$1 does not reach $2 port $3: $5" ;;
	*)
		bad "$1 to $2 port $3, expected $4, nc's status is '${answer:-unknown}': $5"
		show "$1"
		;;
	esac
}

# address NAME VARIABLE: sets VARIABLE to NAME's own address, asked of its shell.
address()
{
	keys "$1" 'clear; ip -4 -o address show dev eth0' Enter
	until_seen 15 shows "$1" 'inet 100.64.' || true
	printf -v "$2" %s "$(screen "$1" | sed -n 's/.*inet \(100\.64\.[0-9.]*\).*/\1/p' | tail -n 1)"
}

irc_join()
{
	keys appvm-catgirl "$1" Enter
	expect appvm-catgirl "$1 arrives in #spectrum" 60
	if until_seen 10 heard "^:$1!.* JOIN :#spectrum"; then
		ok "the other side sees $1 join"
	else
		bad "the other side does not see $1 join"
	fi
}

irc_say()
{
	keys appvm-catgirl "$2" Enter
	if until_seen 20 heard "^:$1!.* PRIVMSG #spectrum :$2\$"; then
		ok "the message \"$2\" reached the other side of the channel"
	else
		bad "the message \"$2\" did not reach the other side of the channel"
	fi
}

scenario()
{
	local name lynx_address=''
	for name in netvm appvm-lynx appvm-catgirl; do
		console "$name"
	done

	echo "# a page, and a link followed"
	expect appvm-lynx 'This page comes from a web server' 180
	keys appvm-lynx Right
	expect appvm-lynx 'You followed the link' 30

	echo "# a conversation"
	expect appvm-catgirl 'IRC nick (to join #spectrum):' 180
	irc_join visitor
	irc_say visitor 'a message from inside'
	"$outside" say "$state" 'an answer from outside'
	expect appvm-catgirl 'an answer from outside' 20

	echo "# the applications end, a shell remains"
	keys appvm-lynx Q
	expect appvm-lynx 'appvm-lynx#' 20
	keys appvm-catgirl /quit Enter
	expect appvm-catgirl 'appvm-catgirl#' 20

	echo "# who reaches whom"
	probe appvm-lynx 192.0.2.80 80 yes 'netvm runs'
	probe appvm-catgirl 192.0.2.80 80 yes 'netvm runs'
	address appvm-lynx lynx_address
	if [ -n "$lynx_address" ]; then
		ok "appvm-lynx is $lynx_address"
		keys appvm-lynx 'clear; nc -ll -p 4000 -e echo open &' Enter
		probe appvm-lynx "$lynx_address" 4000 yes 'it listens'
		probe appvm-catgirl "$lynx_address" 4000 no 'application VMs are apart from each other'
		keys appvm-lynx 'kill %1' Enter
	else
		bad "appvm-lynx does not tell its address"
	fi

	echo "# no netvm, no network"
	vm_stop netvm
	probe appvm-lynx 192.0.2.80 80 no 'netvm is off'
	probe appvm-catgirl 192.0.2.80 80 no 'netvm is off'
	vm_start netvm
	terminal kill-session -t netvm 2>/dev/null || true
	console netvm
	expect netvm 'netvm#' 120
	keys appvm-lynx 'clear; app' Enter
	expect appvm-lynx 'This page comes from a web server' 120
	keys appvm-catgirl 'clear; app' Enter
	expect appvm-catgirl 'IRC nick (to join #spectrum):' 120
	irc_join returned
	irc_say returned 'back again'
}

# scenario_end: closes the terminals and prints the figures; fails unless all went well.
scenario_end()
{
	terminal kill-server 2>/dev/null || true
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
