# shellcheck shell=bash disable=SC2016,SC2154
#
# The guest's screen as a window on the desktop, which it fills: what is drawn in the one is in the other.

take_desktop()
{
	desktop_shot "$1"
}

# guest_listens: keeps what all input devices of the guest say. pressed PATTERN: one of the events so far is like it.
guest_listens()
{
	guest 'for d in /dev/input/event*; do cat "$d" >>"/tmp/events.${d##*/}" 2>/dev/null & done; sleep 1'
}

# struct input_event: 16 bytes of time, type, code, value.
events="cat /tmp/events.* | hexdump -v -e '12/2 \"%04x \" \"\\n\"' | cut -d ' ' -f 9-12"

pressed()
{
	guest_soon "$events | grep -qxE '$1'"
}

case_window()
{
	local before gpu

	desktop_start 800x600
	hand_open
	export WAYLAND_DISPLAY=$desktop_socket
	must "a guest with a window" vm_create screen '[{"id": "gpu0", "display": "wayland", "size": "800x600"}]'
	is "it is on the desktop" desktop_wait_window $((20 * slow)) '^libvmm.screen 800x600 focused'
	gpu=$(gpu_process screen)

	is "a pattern on all of it" guest 'gpu_probe fb fill'
	picture_soon "the window shows it" take_desktop "$work/all.ppm" "$gpu_probe" pattern 800 600
	is "ten by ten points of it inverted" guest 'gpu_probe fb change 100 50 10 10'
	picture_soon "the window shows that" take_desktop "$work/part.ppm" "$gpu_probe" pattern 800 600 100 50 10 10

	echo "# keyboard and pointer"
	guest_listens
	hand "key 30"
	is "a key that is pressed" pressed '0001 001e 0001 0000'
	is "and let go" pressed '0001 001e 0000 0000'
	# 400 of 800 is the middle of 0 to 32767.
	hand "move 400 300"
	is "the pointer moves across" pressed '0003 0000 (3ff[c-f]|400[0-4]) 0000'
	is "and down" pressed '0003 0001 (3ff[c-f]|400[0-4]) 0000'
	hand "click 272"
	is "a click" pressed '0001 0110 0001 0000'
	hand "scroll 1"
	is "the wheel" pressed '0002 0008 ffff ffff'
	hand "down 30"
	desktop_msg 'workspace 2' >/dev/null
	guest "sleep 1; $events | grep -c '0001 001e 0000 0000'" >"$work/released" || true
	same "a key that is held when the window loses the focus is let go" "$(cat "$work/released")" 2
	hand "up 30"
	desktop_msg 'workspace 1' >/dev/null

	echo "# a compositor that stands still"
	kill -STOP "$desktop_pid"
	# One picture is still on its way, into a buffer that may not have been used before.
	is "the guest draws" guest 'gpu_probe fb fill; gpu_probe fb change 1 1 100 100'
	before=$(resident "$gpu")
	is "and draws on" guest 'for i in 1 2 3 4 5 6 7 8 9 10; do gpu_probe fb fill; gpu_probe fb change 1 1 100 100; done'
	below "and the device keeps no more for it (KiB)" $(($(resident "$gpu") - before)) 1024
	awake "a compositor that stands still"
	kill -CONT "$desktop_pid"
	picture_soon "afterwards the window is up to date" take_desktop "$work/later.ppm" \
		"$gpu_probe" pattern 800 600 1 1 100 100

	# A smaller one: a larger would not fit into the text console's framebuffer, and Linux would switch the screen off.
	echo "# another size"
	desktop_msg 'output HEADLESS-1 mode 640x480' >/dev/null
	is "the window fills the desktop" desktop_wait_window $((5 * slow)) '^libvmm.screen 640x480'
	is "the guest learns of it" guest_soon 'head -n 1 /sys/class/drm/card0-Virtual-1/modes | grep -qx 640x480'

	echo "# the window is closed"
	desktop_msg '[app_id="libvmm.screen"] kill' >/dev/null || true
	is "which presses the power button" pressed '0001 0074 0001 0000'
	hand_close
	vm_end screen

	echo "# by one command"
	mkdir "$work/one"
	cp "$GPU_WORK/vmlinux" "$GPU_WORK/initrd" "$work/one/"
	"$VMM_CLI" run --display wayland "$work/one" </dev/null >"$work/run.log" 2>&1 &
	is "vmm-cli run --display wayland" desktop_wait_window $((20 * slow)) '^libvmm.one '
	kill $!
	wait $! || true
	is "the window goes with it" soon no_window
	desktop_stop
}
