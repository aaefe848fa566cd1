# shellcheck shell=bash disable=SC2154
#
# X11 programs through wlxd-local's proxy: an Xwayland is a client like any other there. Whatever it shows is what it
# shows on the desktop itself.

# x_start DISPLAY [OPTION...]: an Xwayland on that Wayland display; x_display is what its clients need. The number is any
# that is free, and the socket one without a file.
x_start()
{
	: >"$work/x"
	spawn "$1" Xwayland -displayfd 3 -nolisten unix -shm -noreset "${@:2}" 3>"$work/x"
	x_server=$desktop_child
	soon test -s "$work/x" || die "Xwayland does not start: $(tail -n 5 "$desktop_dir/client.log")"
	x_display=:$(cat "$work/x")
}

# x_client NAME COMMAND...: a program whose window has that title; returns once the window is mapped.
x_client()
{
	desktop_spawn DISPLAY="$x_display" "${@:2}"
	children+=("$desktop_child")
	soon x_mapped "$1" || bad "$1 is not mapped"
}

x_mapped()
{
	desktop_run DISPLAY="$x_display" xwininfo -name "$1" 2>/dev/null | grep IsViewable >/dev/null
}

x_size_is()
{
	desktop_run DISPLAY="$x_display" xdpyinfo | grep "dimensions: *$1 " >/dev/null
}

# Without a window manager what is typed goes to the window under the pointer, which is in the middle at first. There
# the terminal is.
x_scene()
{
	x_client logo xlogo -title logo -bg '#112233' -fg '#ddeeff' -geometry 200x150+20+20
	rm -f "$desktop_dir/run/typed"
	x_client terminal xterm -T terminal -geometry 60x18+0+200 -e sh -c \
		"while read -r line; do printf %s \"\$line\" >>$desktop_dir/run/typed; done"
}

x_typed()
{
	[ "$(cat "$desktop_dir/run/typed" 2>/dev/null)" = "$1" ]
}

# When Xwayland (22.1) has followed a new size, pictures of the old one still come in between, for as long as something
# draws: so something has to, and one of the new size is waited for.
x_fills()
{
	desktop_shot "$work/large.ppm"
	[ "$(desktop_pixel "$work/large.ppm" 790 590)" = 000000 ]
}

x_resized()
{
	x_client clock xclock -title clock -update 1 -geometry 100x100+400+20
	desktop_msg output HEADLESS-1 mode 800x600 >/dev/null
	is "it follows the desktop's size" soon x_size_is 800x600
	is "and fills it" soon x_fills
	desktop_msg output HEADLESS-1 mode "$desktop_size" >/dev/null
	is "and back" soon x_size_is "$desktop_size"
	is "Xwayland lives on" kill -0 "$x_server"
}

# One window is the whole X11 screen.
x11_rootful()
{
	local display text='Typed through X'

	for display in wayland-1 through; do
		x_start "$display"
		is "Xwayland on $display has the desktop's size" x_size_is "$desktop_size"
		x_scene
		desktop_wait_window $((20 * slow)) "^- $desktop_size focused" || bad "$display: no window with the focus"
		desktop_run wtype "$text" -k Return
		is "what is typed on $display arrives" soon x_typed "$text"
		desktop_still $((20 * slow)) "$work/$display.ppm" || bad "$display: no rest"
		[ "$display" != through ] || x_resized
		end_children
	done
	same "its picture has a logo" "$(desktop_pixel "$work/through.ppm" 25 90)" 112233
	same "and is the same on both" "$(desktop_signature "$work/through.ppm")" "$(desktop_signature "$work/wayland-1.ppm")"
}

# For windows of their own, a window manager has to tell the compositor which surface is which window.
x11_rootless()
{
	x_start through -rootless
	x_client logo xlogo -title logo
	# Long enough for a surface to be shown, if one were.
	sleep 2
	is "rootless, without a window manager, shows nothing" no_windows
	is "and goes on" kill -0 "$x_server"
	end_children
}

case_x11()
{
	desktop_keyboard
	x11_rootful
	x11_rootless
}
