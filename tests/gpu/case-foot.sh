# shellcheck shell=bash disable=SC2016,SC2154
#
# appvm-foot beside the same foot outside of a VM (foot-scene is what both run): every picture is the same.

# shellcheck source=tests/gpu/case-desktop.sh
. "$gpu_here/case-desktop.sh"

prepare_foot()
{
	local vms=$vmm_root/examples/default-vms wlxd=${WLXD:-$vmm_root/build/release/devices/wlxd/wlxd}

	"$vms/build" --wlxd "$wlxd" "$work/vms"
	foot_ini "$work/foot.ini"
	"$vms/mkconfig" "$work/vms/appvm-foot/blk/config.img" "foot.ini=$work/foot.ini" "run=$gpu_here/foot-scene"
}

# scene NAME REGEX: what a person does in foot's window, which is like REGEX; pictures in $work/NAME-*.ppm.
scene()
{
	is "$1: the window of foot" desktop_wait_window $((60 * slow)) "$2"
	desktop_still $((20 * slow)) "$work/$1-text.ppm" || bad "$1: the desktop does not come to rest"
	desktop_run wtype 'Hello from the host: 1+1=2, "Wörld"' -k Return
	desktop_still $((20 * slow)) "$work/$1-typed.ppm" || bad "$1: the desktop does not come to rest"
	desktop_copy "$work/clip"
	desktop_run wtype -k Return
}

# exchanged NAME: the clipboard is what the scene has made of it.
exchanged()
{
	local end=$((SECONDS + 40 * slow))

	until clipboard_is "$work/exchanged" >/dev/null 2>&1 || [ "$SECONDS" -ge "$end" ]; do
		sleep 0.5
	done
	is "$1: 270000 letters by the clipboard, there and back" clipboard_is "$work/exchanged"
	desktop_still $((20 * slow)) "$work/$1-end.ppm" || bad "$1: the desktop does not come to rest"
	desktop_run wtype -k Return
}

off()
{
	[ "$(state appvm-foot)" != running ]
}

case_foot()
{
	local picture

	cp -r "$GPU_WORK/vms/." "$VMM_VMS/"
	base64 -w 0 < <(head -c 202500 /dev/urandom) >"$work/clip"
	tr abcd badc <"$work/clip" >"$work/exchanged"
	desktop_start "$desktop_size"
	desktop_keyboard

	foot_direct sh "$gpu_here/foot-scene"
	scene direct '^foot '
	exchanged direct
	is "direct: the window is gone" soon no_window

	export WAYLAND_DISPLAY=$desktop_socket
	printf both >"$VMM_VMS/appvm-foot/clipboard"
	is "vm: start" vmm start appvm-foot
	scene vm '^libvmm.appvm-foot:foot '
	exchanged vm
	is "vm: the window is gone" soon no_window
	is "vm: and the VM is off" soon off
	for picture in text typed end; do
		picture_is "the same pixels: $picture" "$work/vm-$picture.ppm" cat "$work/direct-$picture.ppm"
	done
	if cmp "$work/vm-text.ppm" "$work/vm-typed.ppm" >/dev/null; then
		bad "typing makes no difference"
	fi

	# With the policy that a VM has when nobody says otherwise.
	rm "$VMM_VMS/appvm-foot/clipboard"
	vmm stop --all >/dev/null 2>&1
	is "no clipboard: start" vmm start appvm-foot
	scene closed '^libvmm.appvm-foot:foot '
	sleep $((10 * slow))
	is "no clipboard: the desktop's stays what it was" clipboard_is "$work/clip"
	vmm stop --grace 0 --all >/dev/null
	desktop_stop
}
