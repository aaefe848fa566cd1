# shellcheck shell=bash disable=SC2016,SC2154
#
# The guest's screen, with no window: what the guest draws is in the file, point for point, and little is copied for it.

take_2d()
{
	screenshot screen "$1"
}

case_2d()
{
	must "a guest with a screen" vm_create screen '[{"id": "gpu0", "display": "file", "size": "800x600"}]'
	like "the driver finds it" "$(guest 'dmesg')" 'number of scanouts: 1'
	same "and has nothing to complain about" "$(guest 'dmesg | grep -iE "drm.*error|virtio_gpu.*(error|fail)"')" ""
	same "its size" "$(guest 'gpu_probe fb')" "fb 800x600"
	is "a pattern on all of it" guest 'gpu_probe fb fill'
	picture_soon "the file shows it" take_2d "$work/all.png" "$gpu_probe" pattern 800 600
	is "ten by ten points of it inverted" guest 'gpu_probe fb change 100 50 10 10'
	picture_soon "the file shows that" take_2d "$work/part.png" "$gpu_probe" pattern 800 600 100 50 10 10
	guest_tell 'reboot -f'
	must "after a reboot" guest_ready
	is "the pattern again" guest 'gpu_probe fb fill'
	picture_soon "and the file shows it" take_2d "$work/again.png" "$gpu_probe" pattern 800 600
	vm_end screen
}
