# Image building for the default VMs, sourced by build, mkconfig and outside after setup.sh and arch.sh; what
# depends on the architecture is for that of use_arch. No program of that architecture is run.
# Everything here gives the same bytes for the same input: times are zero, names are sorted, identifiers
# are derived, owners are root, modes do not depend on the umask.
# The caller sets work, a scratch directory.
# shellcheck shell=bash disable=SC2034,SC2154

# Where sfdisk, depmod and modprobe are, which a user's PATH does not name.
PATH=$PATH:/usr/sbin:/sbin

type_data=0fc63daf-8483-4772-8e79-3d69d8477de4 # Linux data

# uuid_of TEXT: an identifier that is always the same for TEXT.
uuid_of()
{
	local h
	h=$(printf %s "libvmm default-vms $1" | sha256sum)
	echo "${h:0:8}-${h:8:4}-4${h:13:3}-8${h:17:3}-${h:20:12}"
}

# unpack DIR PACKAGE...: deb_unpack, but asks apt once for all names: that is most of the time it takes.
unpack()
{
	local dir=$1 file package
	shift
	lists_ready "$deb" || true
	while read -r _ file _; do
		package=${file%%_*}
		if [ -e "$vmm_cache/deb/$file" ]; then
			dpkg-deb -x "$vmm_cache/deb/$file" "$dir"
		else
			deb_unpack "$dir" "$package:$deb"
		fi
	done < <(apt_of "$deb" apt-get -qq --print-uris download "$@" || printf "'' %s_\n" "$@")
}

# tree_normal DIR: modes from the x bit alone, times zero.
tree_normal()
{
	chmod -R u=rwX,go=rX "$1"
	find "$1" -exec touch -hd @0 {} +
}

# add_program DIR FROM PATH...: copies programs PATH of the unpacked packages in FROM to DIR/bin, with
# every shared library they need, and fails by name when one is in none of the packages.
add_program()
{
	local dir=$1 from=$2 path queue file lib found libs=lib/$triplet
	shift 2
	mkdir -p "$dir/bin" "$dir/$libs" "$dir/${loader%/*}"
	cp -L "$from/$loader" "$dir/$loader"
	queue=()
	for path; do
		cp -L "$from/$path" "$dir/bin/"
		queue+=("$from/$path")
	done
	while [ ${#queue[@]} -gt 0 ]; do
		file=${queue[0]}
		queue=("${queue[@]:1}")
		while read -r lib; do
			if [ -e "$dir/$libs/$lib" ] || [ "$lib" = "${loader##*/}" ]; then
				continue
			fi
			found=
			for path in "$libs" "usr/$libs"; do
				if [ -e "$from/$path/$lib" ]; then
					found=$from/$path/$lib
				fi
			done
			if [ -z "$found" ]; then
				say "$(basename "$file") needs $lib, which is in none of the packages listed for it"
				return 1
			fi
			cp -L "$found" "$dir/$libs/"
			queue+=("$found")
		done < <(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p')
	done
}

# busybox_programs FILE: the programs in a busybox, as --list names them, out of its table of names: "[" and
# "[[" come first, each name ends with a NUL, an empty one is the end.
busybox_programs()
{
	LC_ALL=C tr '\n\0' '\1\n' <"$1" | LC_ALL=C awk '
		!found && last == "[" && $0 == "[[" { inside = found = 1; print last }
		$0 == "" { inside = 0 }
		inside { print }
		{ last = $0 }
		END { exit !found }'
}

# add_busybox DIR FROM: static busybox and a link for each of its programs, but none under a name that
# the kernel tries before /etc/init.
add_busybox()
{
	local dir=$1 name names
	mkdir -p "$dir/bin"
	cp "$2/bin/busybox" "$dir/bin/busybox"
	names=$(busybox_programs "$2/bin/busybox")
	while read -r name; do
		if [ ! -e "$dir/bin/$name" ] && [ "$name" != init ] && [ "$name" != linuxrc ]; then
			ln -s busybox "$dir/bin/$name"
		fi
	done <<<"$names"
}

# add_terminals DIR FROM: descriptions of the terminals a person is likely to sit at.
add_terminals()
{
	local dir=$1 from=$2 term file
	for term in foot linux vt100 vt102 vt220 dumb xterm xterm-256color screen screen-256color \
		tmux tmux-256color alacritty rxvt-unicode-256color; do
		for file in "$from"/{lib,usr/share}/terminfo/"${term:0:1}/$term"; do
			if [ -e "$file" ]; then
				mkdir -p "$dir/lib/terminfo/${term:0:1}"
				cp -L "$file" "$dir/lib/terminfo/${term:0:1}/$term"
			fi
		done
	done
}

# add_modules DIR KERNELDIR NAME...: kernel modules and what they need, unpacked, as modprobe finds them.
add_modules()
{
	local dir=$1 kernel=$2 version file name list
	shift 2
	version=$(basename "$(echo "$kernel"/lib/modules/*)")
	mkdir -p "$dir/lib/modules/$version"
	list=$(for name; do modprobe -d "$kernel" -S "$version" --show-depends "$name"; done)
	while read -r file; do
		name=$(basename "$file")
		case $file in
		*.xz) xz -dc "$file" >"$dir/lib/modules/$version/${name%.xz}" ;;
		*.zst) zstd -qdc "$file" >"$dir/lib/modules/$version/${name%.zst}" ;;
		*) cp "$file" "$dir/lib/modules/$version/" ;;
		esac
	done < <(sed -n 's/^insmod //p' <<<"$list")
	cp "$kernel/lib/modules/$version"/modules.builtin* "$dir/lib/modules/$version/"
	: >"$dir/lib/modules/$version/modules.order"
	depmod -b "$dir" "$version"
	find "$dir/lib/modules/$version" -name 'modules.*' ! -name modules.dep ! -name modules.alias \
		! -name modules.builtin -delete
}

# mkimage OUT DIR LABEL TYPE UUID: a GPT disk with one partition, LABEL, that holds DIR as erofs.
mkimage()
{
	local out=$1 dir=$2 label=$3 type=$4 uuid=$5 fs=$1.erofs sectors
	tree_normal "$dir"
	rm -f "$fs" "$out"
	mkfs.erofs --quiet -zlz4hc,12 -C65536 -T0 -U"$uuid" -x-1 --all-root "$fs" "$dir" >/dev/null
	sectors=$(($(stat -c %s "$fs") / 512))
	# 1 MiB before the partition, and room for the second table at the end.
	truncate -s $((((sectors * 512 + 1048575) / 1048576 + 2) * 1048576)) "$out"
	sfdisk --quiet --no-reread --no-tell-kernel "$out" <<-END
		label: gpt
		label-id: $(uuid_of "disk $uuid")
		start=2048, size=$sectors, type=$type, uuid=$uuid, name=$label
	END
	dd if="$fs" of="$out" bs=1M seek=1 conv=notrunc,sparse status=none
	rm -f "$fs"
}
