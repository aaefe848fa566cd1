# shellcheck shell=bash disable=SC2016,SC2154
#
# Contexts, memory of the host and the connection to the compositor, used by gpu_probe: without libraries or proxy.

# vm_channel NAME: a guest that may show windows on the desktop.
vm_channel()
{
	vm_create "$1" "[{\"id\": \"gpu0\", \"display\": \"none\", \"contexts\": true,
		\"wayland_socket\": \"$desktop_socket\", \"clipboard\": \"none\"}]"
}

# The globals of a list on stdin, sorted.
interfaces()
{
	sed -n "s/^global \([a-z0-9_]*\) .*/\1/p; s/^interface: '\([a-z0-9_]*\)'.*/\1/p" | sort -u
}

case_channel()
{
	local gpu files memory rate extra

	desktop_start 640x480
	must "a guest with contexts" vm_channel channel
	gpu=$(gpu_process channel)

	echo "# what the device can do"
	guest 'gpu_probe params; gpu_probe caps' >"$work/can" || true
	for extra in 'param 3d 1' 'param capset-fix 1' 'param blob 1' 'param host-visible 1' 'param context-init 1' \
		'param capsets 32' 'caps version 1 channels 0x2 dmabuf 0 external 0'; do
		is "$extra" grep -x "$extra" "$work/can"
	done

	echo "# memory of the host"
	guest 'gpu_probe blobs 10' >/dev/null
	files=$(descriptors "$gpu") memory=$(resident "$gpu")
	same "made, written, read back and closed a thousand times" "$(guest 'gpu_probe blobs 1000')" "blobs 1000"
	flat "a thousand objects" "$gpu" "$files"
	below "a thousand objects: memory that is kept (KiB)" $(($(resident "$gpu") - memory)) 256
	rate=$(guest 'gpu_probe speed')
	echo "figure: $rate"
	# A window that is not cached is a hundred times slower than memory.
	is "it is about as fast as memory" awk -v "rate=$rate" 'BEGIN { split(rate, w); exit !(w[3] * 4 > w[7]) }'

	echo "# the compositor"
	guest 'gpu_probe globals' | interfaces >"$work/guest" || true
	desktop_run wayland-info | interfaces >"$work/host"
	for extra in wl_compositor wl_shm wl_seat xdg_wm_base wl_data_device_manager; do
		is "$extra is there" grep -x "$extra" "$work/guest"
	done
	same "nothing is there that the host has not" "$(comm -23 "$work/guest" "$work/host")" ""
	same "nothing of what must not be" "$(grep -E '^zwlr_|^zwp_virtual|^zwp_linux_dmabuf' "$work/guest")" ""
	guest 'gpu_probe red 64 64 >/tmp/red 2>&1 &'
	is "a window, with the VM's name" desktop_wait_window $((20 * slow)) '^libvmm.channel:probe .* \[channel\] a red window$'
	picture_soon "all of it is red" desktop_shot "$work/red.ppm" solid 640 480 ff0000
	guest 'cat /tmp/red; kill -9 $(pidof gpu_probe)' || true
	is "its program killed, the window is gone" soon no_window
	flat "a killed program" "$gpu" "$files"
	same "a hundred programs at once" "$(guest 'gpu_probe hold 100')" "held 100"
	flat "a hundred programs" "$gpu" "$files"
	awake "so far"

	echo "# a compositor that stands still"
	kill -STOP "$desktop_pid"
	guest 'gpu_probe globals >/tmp/globals 2>&1 &'
	same "the rest of the device goes on" "$(guest 'gpu_probe blobs 20')" "blobs 20"
	quiet "a compositor that stands still" "$gpu"
	kill -CONT "$desktop_pid"
	is "and that, too, when the compositor does" guest_soon 'grep -q wl_compositor /tmp/globals'

	echo "# a compositor that is killed"
	guest 'gpu_probe eof >/tmp/eof 2>&1 &'
	is "a program is connected" guest_soon 'grep -qx connected /tmp/eof'
	kill -9 "$desktop_pid"
	is "learns that it is gone" guest_soon 'grep -qx eof /tmp/eof'
	quiet "a compositor that is gone" "$gpu"
	is "and closes its connection" guest_soon 'grep -qx closed /tmp/eof'
	is "another program is told at once" guest 'timeout 60 gpu_probe globals >/dev/null 2>&1; [ $? -eq 1 ]'
	awake "a compositor that is gone"
	flat "a compositor that is gone" "$gpu" "$files"
	vm_end channel
	desktop_stop
}
