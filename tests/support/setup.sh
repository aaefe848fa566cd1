# shellcheck shell=bash
#
# What every script of the project that prepares a machine needs: packages,
# progress, caches, kernels. Sourced by bash scripts under `set -euo pipefail`.
# Functions that start with an underscore are for this file alone. Failures are
# passed on by hand where a function may run in $(...), which drops `set -e`.
#
#   vmm_root    top of the source tree
#   vmm_arch    this machine's architecture
#   vmm_cache   downloads and whatever is built from them, keyed by content, so
#               that throwing it away costs time and nothing else

# shellcheck disable=SC2034
vmm_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
vmm_cache=${LIBVMM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/libvmm}
# This machine's architecture, as the kernel calls it: x86_64 or aarch64.
vmm_arch=$(uname -m)

# say TEXT: one line of progress on stderr, with the seconds since the start.
say()
{
	printf '[%4ds] %s\n' "$SECONDS" "$*" >&2
}

# die TEXT: says why and ends the script.
die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# as_root COMMAND...: runs COMMAND as root, directly or through sudo.
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo -- "$@"
	else
		printf 'root is needed for: %s\n' "$*" >&2
		printf 'run this as root, or install sudo\n' >&2
		return 1
	fi
}

# _cache_lock NAME COMMAND...: runs COMMAND in a subshell while no other process
# that uses the same cache holds NAME.
_cache_lock()
{
	local lock="$vmm_cache/lock/$1"

	shift
	mkdir -p "$vmm_cache/lock"
	(
		flock 9
		"$@" 9>&-
	) 9>"$lock"
}

# _apt ARGS...: apt-get that asks nothing, waits for its lock, and keeps quiet
# unless it fails. $_apt_progress is what its progress lines begin with.
_apt()
{
	local log rc=0

	log=$(mktemp)
	# The progress lines come on stdout, as sudo closes every descriptor above 2.
	# shellcheck disable=SC2094
	(
		set -o pipefail
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
			-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \
			-o APT::Status-Fd=1 "$@" 2>>"$log" </dev/null |
			_apt_progress "${_apt_progress:-}" "$log"
	) || rc=$?
	if [ "$rc" -ne 0 ]; then
		tail -n 20 "$log" >&2
	fi
	rm -f "$log"
	return "$rc"
}

# _apt_progress TEXT LOG: turns apt's status lines into "TEXT: 40 %", every 20 %.
# All other lines go to LOG.
_apt_progress()
{
	local line kind percent last=''

	while read -r line; do
		IFS=: read -r kind _ percent _ <<<"$line"
		percent=${percent%%.*}
		case $kind:$percent in
		dlstatus:[0-9]*) kind=downloading ;;
		pmstatus:[0-9]*) kind=unpacking ;;
		*)
			printf '%s\n' "$line" >>"$2"
			continue
			;;
		esac
		percent=$((percent / 20 * 20))
		if [ -n "$1" ] && [ "$kind$percent" != "$last" ]; then
			say "$1: $kind, $percent %"
			last=$kind$percent
		fi
	done
}

_apt_update()
{
	local try

	if ! as_root true 2>/dev/null; then
		say "the package lists stay as they are: reading them takes root"
		return 1
	fi
	say "reading the package lists"
	for try in 1 2 3 4 5; do
		if _apt_progress='' _apt update; then
			return 0
		fi
		# Another apt may hold the lists: that lock has no timeout option.
		sleep $((try * 3))
	done
	return 1
}

# _has_lists DIR: whether it holds package lists.
_has_lists()
{
	local list

	for list in "$1"/*_Packages*; do
		if [ -e "$list" ]; then
			return 0
		fi
	done
	return 1
}

# _apt_ready: makes sure that there are package lists at all.
_apt_ready()
{
	_has_lists /var/lib/apt/lists || _apt_update
}

# deb_arch ARCH: Debian's name of an architecture.
deb_arch()
{
	case $1 in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	*)
		printf 'no Debian architecture is known for %s\n' "$1" >&2
		return 1
		;;
	esac
}

# apt_of DEBARCH PROGRAM ARGS...: runs apt-get or apt-cache for packages of an architecture. Another one
# than this machine's has package lists of its own, in the cache: root is not needed, and this machine's
# package manager hears nothing of it.
apt_of()
{
	local arch=$1

	shift
	if [ "$arch" = "$(dpkg --print-architecture)" ]; then
		"$@"
	else
		private_apt "$arch" "$@"
	fi
}

# private_apt DEBARCH PROGRAM ARGS...: the same for any architecture, this machine's too: with lists in the
# cache, and as if nothing were installed. private_lists has to come first.
private_apt()
{
	APT_CONFIG=$vmm_cache/apt/$1/apt.conf "${@:2}"
}

# lists_ready DEBARCH: makes sure that there are lists of that architecture; foreign ones of the last day
# if possible.
lists_ready()
{
	if [ "$1" = "$(dpkg --print-architecture)" ]; then
		_cache_lock apt _apt_ready || true
	else
		private_lists "$1"
	fi
}

# private_lists DEBARCH: makes sure that there are lists for private_apt, of the last day if possible.
private_lists()
{
	_cache_lock "apt-$1" _private_lists "$1"
}

_private_lists()
{
	local arch=$1 dir=$vmm_cache/apt/$1

	mkdir -p "$dir"/{state/lists/partial,cache/archives/partial}
	: >"$dir/status"
	cat >"$dir/apt.conf" <<-END
		#clear APT::Architectures;
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; };
		APT::Sandbox::User "$(id -un)";
		Acquire::Languages "none";
		Dir::State "$dir/state";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir/cache";
	END
	if [ -n "$(find "$dir/updated" -mtime -1 2>/dev/null)" ]; then
		return
	fi
	say "reading the package lists of $arch"
	if private_apt "$arch" apt-get -qq -o Acquire::Retries=3 update >"$dir/log" 2>&1; then
		: >"$dir/updated"
	elif ! _has_lists "$dir/state/lists"; then
		tail -n 20 "$dir/log" >&2
		return 1
	fi
}

# _arch_of PACKAGE[:DEBARCH]: the architecture it is of, this machine's if none is named.
_arch_of()
{
	case $1 in
	*:*) printf '%s\n' "${1##*:}" ;;
	*) dpkg --print-architecture ;;
	esac
}

_installed()
{
	local state

	state=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) || return 1
	[ "$state" = installed ]
}

_install()
{
	_apt_progress="installing $*" _apt install --no-install-recommends "$@"
}

# need_packages PACKAGE...: installs those that are missing.
need_packages()
{
	local package missing=()

	for package in "$@"; do
		if ! _installed "$package"; then
			missing+=("$package")
		fi
	done
	if [ ${#missing[@]} -eq 0 ]; then
		return 0
	fi
	if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
		printf 'these packages are missing: %s\n' "${missing[*]}" >&2
		printf 'run this as root, or install sudo, or install them\n' >&2
		return 1
	fi
	say "installing ${missing[*]}"
	_apt_ready || return 1
	if ! _install "${missing[@]}"; then
		# The lists may be older than the archive.
		_apt_update || return 1
		_install "${missing[@]}"
	fi
}

# _deb_name PACKAGE: the file name apt-get would download PACKAGE to.
_deb_name()
{
	apt_of "$(_arch_of "$1")" apt-get --print-uris -qq download "${1%%:*}" 2>/dev/null |
		awk '{ print $2; exit }'
}

_deb_download()
{
	local package=$1 arch tmp rc=0

	arch=$(_arch_of "$package")
	tmp=$(mktemp -d "$vmm_cache/deb/.new.XXXXXX")
	(
		cd "$tmp"
		# The user _apt may not enter here; what comes is checked by its hash anyway.
		apt_of "$arch" apt-get -qq -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 \
			download "${package%%:*}" >log 2>&1
		mv -- *.deb ..
	) || rc=$?
	if [ "$rc" -ne 0 ]; then
		cat "$tmp/log" >&2
	fi
	rm -rf "$tmp"
	return "$rc"
}

# _lists_again DEBARCH: the lists are older than the archive.
_lists_again()
{
	if [ "$1" = "$(dpkg --print-architecture)" ]; then
		_cache_lock apt _apt_update
	else
		rm -f "$vmm_cache/apt/$1/updated"
		lists_ready "$1"
	fi
}

# _deb_fetch PACKAGE: makes sure $vmm_cache/deb holds the file of the version
# apt would install, or, without package lists or network, the newest one there.
_deb_fetch()
{
	local package=$1 arch name

	arch=$(_arch_of "$package")
	mkdir -p "$vmm_cache/deb"
	lists_ready "$arch" || return 1
	name=$(_deb_name "$package")
	if [ -z "$name" ]; then
		_lists_again "$arch" || true
		name=$(_deb_name "$package")
	fi
	if [ -n "$name" ] && [ ! -e "$vmm_cache/deb/$name" ]; then
		say "downloading $name"
		if ! _deb_download "$package"; then
			_lists_again "$arch" || true
			name=$(_deb_name "$package")
			_deb_download "$package" || true
		fi
	fi
	if [ -z "$name" ] || [ ! -e "$vmm_cache/deb/$name" ]; then
		name=$(cd "$vmm_cache/deb" && find . \( -name "${package%%:*}_*_$arch.deb" -o \
			-name "${package%%:*}_*_all.deb" \) -printf '%f\n' | sort -V | tail -n 1)
		if [ -z "$name" ]; then
			printf 'package %s: cannot be downloaded\n' "$package" >&2
			return 1
		fi
		say "package $package: no newer one can be had, using $name"
	fi
	printf '%s\n' "$name" >"$vmm_cache/deb/.last.$package"
}

# deb_file PACKAGE[:DEBARCH]: prints the path of PACKAGE's .deb, downloaded if need be.
# Neither root nor an installation is needed.
deb_file()
{
	_cache_lock deb _deb_fetch "$1" >&2 || return 1
	printf '%s/%s\n' "$vmm_cache/deb" "$(cat "$vmm_cache/deb/.last.$1")"
}

# deb_unpack DIR PACKAGE[:DEBARCH]...: unpacks packages into DIR without installing them.
deb_unpack()
{
	local dir=$1 package file

	shift
	mkdir -p "$dir"
	for package in "$@"; do
		file=$(deb_file "$package") || return 1
		dpkg-deb -x "$file" "$dir" || return 1
	done
}

# _kernel_arch FLAVOUR: the architecture that "cloud-amd64" or "arm64-16k" is of.
_kernel_arch()
{
	case $1 in
	*arm64*) echo arm64 ;;
	*) echo amd64 ;;
	esac
}

# _kernel_package FLAVOUR: the newest 6.12 image of that flavour that apt knows,
# else what the flavour's own meta package depends on. Unsigned is preferred:
# the same kernel, and no boot loader here checks signatures.
_kernel_package()
{
	local flavour=$1 series=$2 arch names name pattern

	arch=$(_kernel_arch "$flavour")
	names=$(apt_of "$arch" apt-cache pkgnames "linux-image-$series.")
	# Such as 6.12.90+deb12-amd64 and 6.1.0-44-amd64.
	pattern="^linux-image-${series/./\\.}\.[0-9]+(\+deb|-)[0-9]+-$flavour"
	name=$(grep -E "$pattern-unsigned\$" <<<"$names" | sort -V | tail -n 1) || true
	if [ -z "$name" ]; then
		name=$(grep -E "$pattern\$" <<<"$names" | sort -V | tail -n 1) || true
	fi
	if [ -z "$name" ]; then
		name=$(apt_of "$arch" apt-cache depends "linux-image-$flavour" 2>/dev/null |
			awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }') || true
	fi
	if [ -n "$name" ]; then
		printf '%s:%s\n' "$name" "$arch"
	fi
}

_kernel_build()
{
	local file=$1 out=$2 tmp version

	if [ -e "$out/vmlinuz" ]; then
		return 0
	fi
	say "unpacking ${file##*/}"
	mkdir -p "$vmm_cache/kernel"
	tmp=$(mktemp -d "$vmm_cache/kernel/.new.XXXXXX")
	dpkg-deb --fsys-tarfile "$file" | tar -C "$tmp" -x --no-same-owner || return 1
	if [ -d "$tmp/usr/lib/modules" ]; then
		mkdir -p "$tmp/lib"
		mv "$tmp/usr/lib/modules" "$tmp/lib/"
	fi
	rm -rf "${tmp:?}/usr"
	version=$(ls "$tmp/lib/modules") || return 1
	mv "$tmp/boot/vmlinuz-$version" "$tmp/vmlinuz" || return 1
	mv "$tmp/boot/config-$version" "$tmp/config"
	rm -rf "${tmp:?}/boot"
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$tmp" "$version" || return 1
	chmod 0755 "$tmp"
	rm -rf "$out"
	mv "$tmp" "$out"
}

# kernel_dir FLAVOUR [SERIES]: prints a directory that holds `vmlinuz`, `config` and
# `lib/modules/VERSION` (with its depmod files) of Debian's stock kernel, such as
# flavour "amd64", "cloud-amd64" or "arm64", and of series "6.12" unless another one is named. Nothing
# is installed but kmod.
kernel_dir()
{
	local flavour=$1 series=${2:-6.12} arch package file out asked

	need_packages kmod xz-utils zstd >&2 || return 1
	arch=$(_kernel_arch "$flavour")
	lists_ready "$arch" >&2 || true
	package=$(_kernel_package "$flavour" "$series")
	# Lists from before it came, or without the security archive it is in, know
	# an older kernel at best. Where there is none, once a day is often enough to ask.
	asked=$vmm_cache/lock/asked-$arch-$(date +%F)
	if [[ $package != linux-image-$series.* ]] && [ ! -e "$asked" ]; then
		_lists_again "$arch" >&2 || true
		package=$(_kernel_package "$flavour" "$series")
		: >"$asked"
	fi
	if [ -z "$package" ]; then
		out=$(find "$vmm_cache/kernel" -mindepth 1 -maxdepth 1 -name "*-${flavour}[_-]*" \
			2>/dev/null | sort -V | tail -n 1)
		if [ -z "$out" ]; then
			printf 'no Debian kernel of flavour %s can be found\n' "$flavour" >&2
			return 1
		fi
		printf '%s\n' "$out"
		return 0
	fi
	file=$(deb_file "$package") || return 1
	out=${file##*/}
	out=$vmm_cache/kernel/${out%.deb}
	_cache_lock kernel _kernel_build "$file" "$out" >&2 || return 1
	printf '%s\n' "$out"
}

# host_kvm_runs_linux: true when this machine's own KVM can run stock Linux
# guests. An x86_64 KVM that is there without vmx or svm emulates guest kernels by page
# tables alone, and stock kernels die in its instruction emulator; on aarch64 there
# is no KVM but the real one.
host_kvm_runs_linux()
{
	case $vmm_arch in
	x86_64) grep -qwE 'vmx|svm' /proc/cpuinfo || return 1 ;;
	esac
	{ : <>/dev/kvm; } 2>/dev/null
}

# _le BYTES OFFSET FILE: a little-endian number out of FILE, in decimal.
_le()
{
	od -A n -t "u$1" --endian=little -j "$2" -N "$1" "$3" | tr -d ' '
}

_vmlinux_build()
{
	local image=$1 out=$2 tmp start length magic size tool

	if [ -e "$out" ]; then
		return 0
	fi
	mkdir -p "$vmm_cache/vmlinux"
	tmp=$(mktemp -d "$vmm_cache/vmlinux/.new.XXXXXX")
	# Setup header, Documentation/arch/x86/boot.rst: setup_sects at 0x1f1, the
	# payload counted from the start of the protected-mode code.
	start=$((($(_le 1 497 "$image") + 1) * 512 + $(_le 4 584 "$image")))
	length=$(_le 4 588 "$image")
	tail -c +$((start + 1)) "$image" | head -c "$length" >"$tmp/payload" || true
	# The kernel's build ends the payload with its unpacked size (gzip has it already).
	size=$(tail -c 4 "$tmp/payload" | od -A n -t u4 --endian=little | tr -d ' ')
	magic=$(od -A n -t x1 -N 4 "$tmp/payload" | tr -d ' \n')
	case $magic in
	1f8b*) tool=gzip ;;
	28b52ffd) tool=zstd ;;
	fd377a58) tool=xz ;;
	02214c18) tool=lz4 ;;
	425a68*) tool=bzip2 ;;
	5d0000*) tool=lzma ;;
	894c5a4f) tool=lzop ;;
	7f454c46) tool="cat" ;;
	*)
		rm -rf "$tmp"
		printf '%s: the payload is packed in a way not known here\n' "$image" >&2
		return 1
		;;
	esac
	if [ "$tool" != gzip ] && [ "$tool" != cat ]; then
		truncate -s -4 "$tmp/payload"
	fi
	if [ "$tool" = cat ]; then
		mv "$tmp/payload" "$tmp/vmlinux"
	else
		"$tool" -dc <"$tmp/payload" >"$tmp/vmlinux"
	fi
	if [ "$(head -c 4 "$tmp/vmlinux" | tail -c 3)" != ELF ] ||
		{ [ "$tool" != cat ] && [ "$(stat -c %s "$tmp/vmlinux")" != "$size" ]; }; then
		rm -rf "$tmp"
		printf '%s: the payload did not unpack into an ELF of its stated size\n' "$image" >&2
		return 1
	fi
	mv "$tmp/vmlinux" "$out"
	rm -rf "$tmp"
}

# vmlinux_of VMLINUZ OUT: takes the ELF kernel out of an x86 bzImage.
vmlinux_of()
{
	local image=$1 out=$2 sum cached

	need_packages xz-utils zstd >&2 || return 1
	if [ "$(dd if="$image" bs=1 skip=514 count=4 status=none)" != HdrS ]; then
		printf '%s: not an x86 bzImage\n' "$image" >&2
		return 1
	fi
	sum=$(sha256sum "$image")
	cached=$vmm_cache/vmlinux/${sum%% *}
	_cache_lock vmlinux _vmlinux_build "$image" "$cached" || return 1
	cp --reflink=auto --no-preserve=mode "$cached" "$out"
}
