# shellcheck shell=bash disable=SC2016,SC2154
#
# A desktop with windows of two VMs beside one of its own, coloured by VM: GPU_PICTURE names the file it is for.

# shellcheck source=tests/gpu/case-foot.sh
. "$gpu_here/case-foot.sh"

prepare_picture()
{
	prepare_foot
	cat >"$work/run" <<-'END'
		printf '\033[1mA terminal in a virtual machine\033[0m\n\n'
		uname -srm
		grep -m 1 MemTotal /proc/meminfo
		printf '\n$ '
		exec sleep 100000
	END
	"$vmm_root/examples/default-vms/mkconfig" "$work/vms/appvm-foot/blk/config.img" "run=$work/run"
}

after_picture()
{
	if [ -n "${GPU_PICTURE:-}" ]; then
		cp "$work/picture.png" "$GPU_PICTURE"
	fi
}

# title_in NAME RRGGBB: the windows of VM NAME have that colour in their titles.
title_in()
{
	desktop_msg "for_window [app_id=\"^libvmm.$1:\"] title_format \"<span foreground='#ffffff' background='#$2'> $1 </span> %title\"" >/dev/null
}

case_picture()
{
	local name

	desktop_start 1024x320
	desktop_msg 'default_border normal 3; font pango:DejaVu Sans Mono 10' >/dev/null
	# Rules of the desktop: a VM's windows have its colour, whatever it says in its titles.
	title_in work 2e7d32
	title_in private b71c1c
	desktop_spawn foot -T 'the desktop itself' -o 'font=DejaVu Sans Mono:size=10' sh -c 'uname -srm; exec sleep 100000'
	desktop_wait_window $((20 * slow)) '^foot '
	export WAYLAND_DISPLAY=$desktop_socket
	for name in work private; do
		cp -r "$GPU_WORK/vms/appvm-foot" "$VMM_VMS/$name"
		is "$name: start" vmm start "$name"
		is "$name: its window" desktop_wait_window $((60 * slow)) "^libvmm.$name:foot .* \[$name\] foot$"
	done
	desktop_still $((20 * slow)) "$work/picture.png" || bad "the desktop does not come to rest"
	cp "$work/picture.png" "$GPU_WORK/picture.png"
	vmm stop --grace 0 --all >/dev/null
	desktop_stop
}
