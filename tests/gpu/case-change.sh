# shellcheck shell=bash disable=SC2016,SC2154
#
# A guest's program says what part of its picture has changed, and next to nothing is copied for it. Linux since 6.8 does not
# tell the device: once a screen has got another picture, which is when it is set up, its driver redraws all of it for
# ever (ignore_damage_clips). So the guest is Debian's 6.1.

prepare_change()
{
	mkdir "$work/6.1"
	gpu_kernel "$work/6.1" 6.1
}

take_file()
{
	screenshot screen "$1"
}

take_window()
{
	desktop_shot "$1"
}

# shown TAKE WHAT [X Y W H]: the pattern is on the screen, with that part inverted.
shown()
{
	picture_soon "$2" "take_$1" "$work/$1.png" "$gpu_probe" pattern 800 600 "${@:3}"
}

# small_change TAKE: ten by ten points, when each of a window's buffers has been filled once.
small_change()
{
	local before

	guest 'gpu_probe kms 100 50 10 10 >/tmp/kms 2>&1 & echo $! >/tmp/kms.pid' >/dev/null
	is "a picture" guest_soon "grep -qx 'kms 800x600' /tmp/kms"
	shown "$1" "is shown"
	for _ in 1 2 3; do
		guest 'kill -USR1 $(cat /tmp/kms.pid); sleep 1' >/dev/null
	done
	before=$(counter screen copied_bytes)
	guest 'kill -USR1 $(cat /tmp/kms.pid)' >/dev/null
	is "a small change" guest_soon '[ $(grep -c changed /tmp/kms) -eq 4 ]'
	shown "$1" "is shown" 100 50 10 10
	before=$(($(counter screen copied_bytes) - before))
	below "bytes that are copied for it" "$before" 2000
	is "and something is" test "$before" -ge 400
}

case_change()
{
	echo "# a file"
	must "a guest with a screen" vm_create screen '[{"id": "gpu0", "display": "file", "size": "800x600"}]' 6.1
	small_change file
	vm_end screen

	echo "# a window"
	desktop_start 800x600
	export WAYLAND_DISPLAY=$desktop_socket
	must "a guest with a window" vm_create screen '[{"id": "gpu0", "display": "wayland", "size": "800x600"}]' 6.1
	is "it is on the desktop" desktop_wait_window $((20 * slow)) '^libvmm.screen 800x600 focused'
	small_change window
	vm_end screen
	desktop_stop
}
