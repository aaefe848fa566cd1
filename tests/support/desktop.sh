# shellcheck shell=bash
#
# A Wayland desktop without a screen: sway on its headless back end, drawing with the processor, as a user of its
# own with a private XDG_RUNTIME_DIR. Sourced after setup.sh by bash scripts that run as root (sway refuses to), on any
# machine and inside the lab. There is one desktop at a time in a script.
#
#   desktop_dir    what belongs to it: the runtime directory with its sockets, a home, logs
#   desktop_socket the compositor's socket
#   desktop_pid    sway itself
#
# The same clients give the same pixels each time: no pointer, no borders, no other programs, one fixed output size.

desktop_dir='' desktop_socket='' desktop_pid='' _desktop_typist=''
# "nobody": any user but root would do.
desktop_user=65534

# desktop_packages [PACKAGE...]: what it needs, and packages of the caller's.
desktop_packages()
{
	need_packages sway grim foot wl-clipboard wtype imagemagick wayland-utils xkb-data fontconfig fonts-dejavu-core \
		jq util-linux "$@"
}

# desktop_start WIDTHxHEIGHT: starts it and waits until it answers.
desktop_start()
{
	local end

	desktop_dir=$(mktemp -d "${TMPDIR:-/tmp}/desktop.XXXXXX")
	mkdir -m 700 "$desktop_dir/run" "$desktop_dir/home"
	cat >"$desktop_dir/sway.conf" <<-END
		output HEADLESS-1 mode $1
		default_border none
		default_floating_border none
		focus_follows_mouse no
		xwayland disable
	END
	chmod 755 "$desktop_dir"
	chown -R "$desktop_user:$desktop_user" "$desktop_dir"
	desktop_socket=$desktop_dir/run/wayland-1
	_desktop_env WLR_BACKENDS=headless WLR_RENDERER=pixman WLR_LIBINPUT_NO_DEVICES=1 \
		sway -c "$desktop_dir/sway.conf" </dev/null >"$desktop_dir/sway.log" 2>&1 &
	desktop_pid=$!
	end=$((SECONDS + 60))
	until [ -S "$desktop_socket" ] && desktop_msg -t get_version >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$desktop_pid" 2>/dev/null; then
			tail -n 20 "$desktop_dir/sway.log" >&2
			return 1
		fi
		sleep 0.05
	done
}

# Replaces the (sub)shell: $! of a background call is the program itself.
_desktop_env()
{
	exec env -i PATH="$PATH" HOME="$desktop_dir/home" XDG_RUNTIME_DIR="$desktop_dir/run" LANG=C.UTF-8 SHELL=/bin/sh \
		SWAYSOCK="$desktop_dir/run/sway.sock" setpriv --reuid="$desktop_user" --regid="$desktop_user" \
		--clear-groups -- env "$@"
}

# desktop_run [NAME=VALUE...] COMMAND...: a client of the desktop, as its user; waits for its end.
desktop_run()
{
	(_desktop_env WAYLAND_DISPLAY=wayland-1 "$@")
}

# desktop_spawn [NAME=VALUE...] COMMAND...: the same in the background; its process is in desktop_child, what it
# writes in $desktop_dir/client.log.
desktop_spawn()
{
	_desktop_env WAYLAND_DISPLAY=wayland-1 "$@" </dev/null >>"$desktop_dir/client.log" 2>&1 &
	# shellcheck disable=SC2034 # for the caller
	desktop_child=$!
}

# desktop_msg ARGS...: swaymsg
desktop_msg()
{
	(_desktop_env swaymsg "$@")
}

# desktop_shot FILE [GRIM-ARGS...]: a picture of the output, owned by the caller: PNG or, where FILE ends so, PPM.
desktop_shot()
{
	local type=png

	if [ "${1##*.}" = ppm ]; then
		type=ppm
	fi
	desktop_run grim -t "$type" "${@:2}" - >"$1"
}

# desktop_ppm FILE: a picture as PPM on stdout: size and pixels, and nothing else.
desktop_ppm()
{
	case $1 in
	*.ppm) cat "$1" ;;
	*) convert "$1" -depth 8 PPM:- ;;
	esac
}

# desktop_signature FILE: a hash of a picture's size and pixels, however the file holds them.
desktop_signature()
{
	desktop_ppm "$1" | sha256sum | cut -c 1-32
}

# desktop_pixel FILE X Y: the colour there, as six hexadecimal digits.
desktop_pixel()
{
	convert "$1" -crop "1x1+$2+$3" -depth 8 RGB:- | od -A n -t x1 | tr -d ' \n'
}

# desktop_windows: one line for each window that is mapped: APP_ID or -, WIDTHxHEIGHT, its focus, and its title.
desktop_windows()
{
	desktop_msg -r -t get_tree | jq -r '.. | select(.shell? != null and (.type? == "con" or .type? == "floating_con")) |
		"\(.app_id // "-") \(.rect.width)x\(.rect.height) \(if .focused then "focused" else "-" end) \(.name)"'
}

# desktop_wait_window SECONDS REGEX: until a line of desktop_windows is like REGEX.
desktop_wait_window()
{
	local end=$((SECONDS + $1))

	until desktop_windows 2>/dev/null | grep -E -- "$2" >/dev/null; do
		if [ "$SECONDS" -ge "$end" ]; then
			return 1
		fi
		sleep 0.1
	done
}

# desktop_still SECONDS FILE: a picture in FILE once two in a row, half a second apart, are equal.
desktop_still()
{
	local end=$((SECONDS + $1)) last='' now

	while :; do
		desktop_shot "$2" || return 1
		now=$(desktop_signature "$2")
		if [ "$now" = "$last" ]; then
			return 0
		fi
		if [ "$SECONDS" -ge "$end" ]; then
			return 1
		fi
		last=$now
		sleep 0.5
	done
}

# desktop_keyboard: gives the seat a keyboard that stays. Without one, the first key of a program that brings its own
# can be lost, and no window has the focus of a keyboard, which the clipboard goes by.
desktop_keyboard()
{
	local end=$((SECONDS + 30))

	desktop_spawn wtype -s 86400000 x
	_desktop_typist=$desktop_child
	until desktop_msg -t get_inputs 2>/dev/null | grep -q keyboard; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
	# Clients learn of it and ask for it.
	sleep 1
}

# desktop_copy FILE: its content into the clipboard, as text; kept by a process of the desktop.
desktop_copy()
{
	desktop_run wl-copy -t 'text/plain;charset=utf-8' <"$1" >/dev/null 2>&1
}

# desktop_paste: the clipboard's content.
desktop_paste()
{
	desktop_run timeout 60 wl-paste -n -t 'text/plain;charset=utf-8'
}

# desktop_stop: ends it and whatever still runs in it, and removes its directory.
desktop_stop()
{
	# It would sleep on.
	if [ -n "$_desktop_typist" ]; then
		kill "$_desktop_typist" 2>/dev/null || true
		wait "$_desktop_typist" 2>/dev/null || true
		_desktop_typist=''
	fi
	if [ -n "$desktop_pid" ]; then
		kill "$desktop_pid" 2>/dev/null || true
		wait "$desktop_pid" 2>/dev/null || true
		desktop_pid=''
	fi
	if [ -n "$desktop_dir" ]; then
		rm -rf "$desktop_dir"
		desktop_dir=''
	fi
}
