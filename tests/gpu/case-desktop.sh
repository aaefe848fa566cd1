# shellcheck shell=bash disable=SC2016,SC2154
#
# The desktop of the other cases: what is compared there is the same every time and everywhere, and a difference
# would be seen. Typing and the clipboard work without any VM.

# The size of the desktop, and the terminal in it, for all cases that compare terminals.
desktop_size=640x480
# foot_ini FILE: foot's settings for such a comparison; nothing that depends on the machine.
foot_ini()
{
	cat >"$1" <<-'END'
		font=DejaVu Sans Mono:size=10
		dpi-aware=no
		pad=0x0
		term=foot
		[cursor]
		blink=no
		[colors]
		background=112233
		foreground=ddeeff
		[csd]
		preferred=none
	END
}

# foot_direct COMMAND...: foot as a client on the desktop, of no VM.
foot_direct()
{
	foot_ini "$desktop_dir/foot.ini"
	desktop_spawn foot --config="$desktop_dir/foot.ini" "$@"
}

# foot_text TEXT: what a foot shows in the comparisons: text, colours, no cursor, for ten minutes.
foot_text()
{
	printf "printf '\\\\033[?25l\\\\033[31m%s\\\\033[0m\\\\n%%s\\\\n' plain; exec sleep 600" "$1"
}

draw_foot()
{
	foot_direct sh -c "$(foot_text "$1")"
	desktop_wait_window $((20 * slow)) '^foot ' || bad "no window of foot's: $(tail -n 3 "$desktop_dir/client.log")"
	desktop_still $((20 * slow)) "$2" || bad "the desktop does not come to rest"
	kill "$desktop_child"
	wait "$desktop_child" 2>/dev/null || true
}

prepare_desktop()
{
	desktop_start "$desktop_size"
	draw_foot "hello" "$work/outside.ppm"
	desktop_stop
}

case_desktop()
{
	local text='typed by nobody'

	must "a desktop" desktop_start "$desktop_size"
	draw_foot "hello" "$work/inside.ppm"
	same "foot's background" "$(desktop_pixel "$work/inside.ppm" 600 400)" 112233
	same "the same pixels here and outside" "$(desktop_signature "$work/inside.ppm")" \
		"$(desktop_signature "$GPU_WORK/outside.ppm")"
	draw_foot "hallo" "$work/other.ppm"
	if [ "$(desktop_signature "$work/other.ppm")" = "$(desktop_signature "$work/inside.ppm")" ]; then
		bad "one letter makes no difference"
	fi

	foot_direct sh -c "read -r line; printf %s \"\$line\" >$desktop_dir/run/typed; exec sleep 600"
	desktop_wait_window $((20 * slow)) '^foot .* focused' || bad "no window with the focus"
	desktop_keyboard
	desktop_run wtype "$text" -k Return
	soon test -s "$desktop_dir/run/typed" || true
	same "what is typed arrives" "$(cat "$desktop_dir/run/typed")" "$text"

	base64 -w 0 < <(head -c 202500 /dev/urandom) >"$work/clip"
	desktop_copy "$work/clip"
	is "the clipboard" clipboard_is "$work/clip"
	desktop_stop
	if [ -e "${desktop_socket%/*}" ]; then
		bad "something is left of it"
	fi
}
