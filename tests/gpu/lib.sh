# shellcheck shell=bash disable=SC2154
#
# What the graphics tests share: a guest that does as it is told, and, through tests/e2e/lib.sh and
# tests/support/desktop.sh, counting and a desktop. Sourced by bash scripts under `set -euo pipefail`.

gpu_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/e2e/lib.sh
. "$gpu_here/../e2e/lib.sh"
# shellcheck source=tests/support/desktop.sh
. "$gpu_here/../support/desktop.sh"

VMM_CLI=${VMM_CLI:-$vmm_root/build/release/vmm-cli/vmm-cli}
# For guests and, as it draws their pattern as a picture, for this side.
gpu_probe=${GPU_PROBE:-$vmm_root/build/dev/tests/gpu/guest/gpu_probe}
# A keyboard and a pointer for the desktop's seat, with the codes of a real one.
wl_input=${WL_INPUT:-$vmm_root/build/dev/tests/gpu/wl_input}
# Time in the lab is emulated: every patience is multiplied by this.
slow=1
if [ -n "${LIBVMM_LAB:-}" ]; then
	slow=4
fi

# gpu_kernel DIR [SERIES]: the stock kernel and an initrd with what the tests' guests run, as DIR/vmlinux and DIR/initrd.
gpu_kernel()
{
	local kernel

	[ -x "$gpu_probe" ] || die "$gpu_probe is not there: build it first (cmake --preset dev)"
	kernel=$(kernel_dir amd64 "${2:-}")
	# What is built in is left out; virtio_gpu brings drm and its helpers along; devtmpfs makes the nodes.
	"$vmm_root/tests/lab/mkinitramfs" "$1/initrd" --kernel-dir "$kernel" --init "$gpu_here/guest/init" --busybox --plain \
		--modules "virtio_pci virtio_console virtio_blk virtio_gpu virtio_input evdev button" --add "$gpu_probe:bin/gpu_probe"
	cp "$kernel/vmlinuz" "$1/vmlinux"
}

# ---- a guest of guest/init, by way of the pseudo-terminal that is its hvc0 ----

# guest_open PTY: the guest whose console it is, once that is ready.
guest_open()
{
	# Where this script leads a session, it becomes the script's own terminal, which hangs up when the VM ends.
	trap : HUP
	exec {guest_fd}<>"$1"
	stty raw -echo <"$1"
	guest_ready
}

# guest_ready: until it has started, or started again.
guest_ready()
{
	local line=''

	while [ "$line" != ==ready ]; do
		IFS= read -r -t $((30 * slow)) -u "$guest_fd" line || return 1
	done
}

# guest_tell COMMAND: one that the guest does not come back from.
guest_tell()
{
	printf '%s\n' "$1" >&"$guest_fd"
}

# guest COMMAND: done in the guest, with its output and its exit status.
guest()
{
	local line

	guest_tell "$1"
	while IFS= read -r -t $((60 * slow)) -u "$guest_fd" line; do
		if [[ $line =~ ^==([0-9]+)$ ]]; then
			return "${BASH_REMATCH[1]}"
		fi
		printf '%s\n' "$line"
	done
	echo "the guest does not answer to: $1"
	return 124
}

# guest_close: forgets the guest, which may be gone.
guest_close()
{
	exec {guest_fd}>&-
	guest_fd=""
}

# guest_soon COMMAND: succeeds in the guest, if need be after a while.
guest_soon()
{
	soon guest "$1"
}

# picture_is WHAT FILE COMMAND...: COMMAND prints as PPM what FILE, PNG or PPM, has to show. For a screen that is drawn
# a moment later, picture_soon takes the picture itself: picture_soon WHAT TAKE FILE COMMAND..., with TAKE a function.
picture_is()
{
	if cmp <("${@:3}") <(desktop_ppm "$2") >/dev/null 2>&1; then
		ok "$1"
	else
		bad "$1: $(cmp <("${@:3}") <(desktop_ppm "$2") 2>&1)"
	fi
}

picture_soon()
{
	local end=$((SECONDS + 5 * slow))

	until "$2" "$3" && cmp <("${@:4}") <(desktop_ppm "$3") >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || break
		sleep 0.2
	done
	picture_is "$1" "$3" "${@:4}"
}

# ---- a person at the desktop ----

# hand_open: somebody sits down at the desktop. hand COMMAND: does it (wl_input.c has the list), and then it is done.
hand_open()
{
	install -m 755 "$wl_input" "$desktop_dir/wl_input"
	coproc hand_process { _desktop_env WAYLAND_DISPLAY=wayland-1 "$desktop_dir/wl_input" 2>>"$desktop_dir/client.log"; }
	# Until the clients have asked for the new keyboard.
	hand "hold 500"
}

hand()
{
	local line=''

	printf '%s\n' "$1" >&"${hand_process[1]}"
	IFS= read -r -t $((20 * slow)) -u "${hand_process[0]}" line || true
	[ "$line" = ok ] || bad "the desktop's keyboard and pointer: '$line' to $1"
}

hand_close()
{
	kill "$hand_process_PID" 2>/dev/null || true
	wait "$hand_process_PID" 2>/dev/null || true
}

# must WHAT COMMAND...: the command succeeds, or there is no point in going on.
must()
{
	if "${@:2}"; then
		ok "$1"
		return
	fi
	bad "$1: ${*:2}"
	tail -n 20 "$VMM_RUN"/*/{stderr,log,serial.log} "$desktop_dir"/*.log 2>/dev/null || true
	finish
	exit 1
}

# ---- VMs ----

declare -A vm_pids

# vm_create NAME GPU-JSON [KERNEL]: a VMM with a guest of gpu_kernel's and that graphics device, booted; guest is about it.
vm_create()
{
	local run=$VMM_RUN/$1 config

	mkdir -p "$run"
	"$VMM_CLI" vmm --api-socket "path=$run/vmm" --log-file "$run/log" </dev/null >"$run/stderr" 2>&1 &
	vm_pids[$1]=$!
	soon test -S "$run/vmm" || return 1
	config=$(jq -n --arg name "$1" --arg dir "$GPU_WORK${3:+/$3}" --arg run "$run" --argjson gpu "$2" '{name: $name, payload: {kernel: "\($dir)/vmlinux",
		initramfs: "\($dir)/initrd", cmdline: "console=ttyS0 panic=-1 quiet mitigations=off"},
		memory: {size: 268435456}, console: {mode: "Pty"}, serial: {mode: "File", file: "\($run)/serial.log"},
		gpu: $gpu}')
	api "$1" PUT vm.create "$config" >&2 || return 1
	api "$1" PUT vm.boot >&2 || return 1
	guest_open "$(api "$1" GET vm.info | jq -r .config.console.file)"
}

# api NAME METHOD ENDPOINT [BODY]
api()
{
	curl -sS --fail-with-body --unix-socket "$VMM_RUN/$1/vmm" -X "$2" ${4:+-d "$4"} "http://localhost/api/v1/$3"
}

# vm_end NAME
vm_end()
{
	[ -z "${guest_fd:-}" ] || guest_close
	api "$1" PUT vmm.shutdown >/dev/null 2>&1 || kill "${vm_pids[$1]}" 2>/dev/null || true
	wait "${vm_pids[$1]}" 2>/dev/null || true
	rm -rf "${VMM_RUN:?}/$1"
}

# gpu_process NAME: the process id of the VM's graphics device.
gpu_process()
{
	api "$1" GET vm.processes | jq -r '.[] | select(.kind == "gpu") | .pid'
}

# descriptors PID: how many it has. resident PID: memory of its own, in KiB.
descriptors()
{
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

resident()
{
	awk '/^(RssAnon|RssShmem):/ { n += $2 } END { print n }' "/proc/$1/status"
}

# ticks PID: processor time it has used, in hundredths of a second.
ticks()
{
	awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# below WHAT NUMBER LIMIT
below()
{
	if [ "$2" -lt "$3" ]; then
		ok "$1: $2"
	else
		bad "$1: $2, which is not below $3"
	fi
}

# clipboard_is FILE: whether the desktop's clipboard has its content.
clipboard_is()
{
	desktop_paste | cmp - "$1"
}

# no_window: the desktop is empty.
no_window()
{
	[ -z "$(desktop_windows)" ]
}

# counter NAME COUNTER: of the VM's graphics device gpu0.
counter()
{
	api "$1" GET vm.counters | jq -r ".gpu0.$2"
}

# awake WHAT: no program of the guest is in a sleep that nothing ends.
awake()
{
	local state

	state=$(guest 'dmesg | grep "blocked for more than"; grep -l "^State:.D" /proc/[0-9]*/status') || true
	same "$1: nothing hangs in the guest" "$state" ""
}

# holds PID COUNT: whether the process is there and has no more than so many descriptors.
holds()
{
	local count

	count=$(descriptors "$1")
	[ "$count" -gt 0 ] && [ "$count" -le "$2" ]
}

# flat WHAT PID DESCRIPTORS: the process has no more descriptors than before, if need be after a while.
flat()
{
	soon holds "$2" "$3" || true
	is "$1: its descriptors are closed" holds "$2" "$3"
}

# quiet WHAT PID: the process does nothing to speak of, for three seconds.
quiet()
{
	local before

	before=$(ticks "$2")
	sleep 3
	if [ $(($(ticks "$2") - before)) -lt 60 ]; then
		ok "$1: it does not spin"
	else
		bad "$1: $(($(ticks "$2") - before)) ticks in three seconds"
	fi
}

# solid WIDTH HEIGHT RRGGBB: a picture of one colour, as PPM.
solid()
{
	convert -size "$1x$2" "xc:#$3" -depth 8 PPM:-
}

# screenshot NAME FILE: what vmm-cli says that the VM's screen shows.
screenshot()
{
	timeout 60 "$VMM_CLI" screenshot "$1" "$2" >/dev/null 2>&1
}
