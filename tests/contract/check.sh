#!/bin/bash
#
# check.sh RULE BUILD_DIR: one rule of the tree. Prints what breaks it, then a line of figures.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/support/setup.sh
. "$here/../support/setup.sh"
cd "$vmm_root"
build=${2:-$vmm_root/build/dev}
broken=0

complain()
{
	printf '%s\n' "$*"
	broken=$((broken + 1))
}

# A step without which the rule cannot be looked at: its output shows only when it fails.
must()
{
	"$@" >"$scratch/log" 2>&1 || {
		tail -n 40 "$scratch/log"
		printf 'failed: %s\n' "$*"
		exit 1
	}
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

sources()
{
	git ls-files -- "$@" | grep -E '\.[ch]$'
}

# Each public header compiles alone, as C11 and as C++, under both compilers, and no kernel header is in it.
check_headers()
{
	local header count=0

	for header in libvmm/include/vmm/*.h devices/include/vmm/dev/*.h; do
		count=$((count + 1))
		for compile in "gcc -std=c11 -x c" "clang -std=c11 -x c" "g++ -std=c++11 -x c++"; do
			# As an include of an empty file: inline functions are there to be unused.
			$compile -Wall -Wextra -Werror -fsyntax-only -Ilibvmm/include \
				-Idevices/include -include "$header" /dev/null ||
				complain "$header: $compile"
		done
		if grep -nE '#include <(linux|asm)/' "$header"; then
			complain "$header: includes a kernel header"
		fi
	done
	echo "figure: public headers: $count compiled alone, $broken broken"
}

# The layers below which a file of the layer may look, and itself. Order is that of docs/architecture.md.
allowed_below()
{
	case $1 in
	base) echo "base" ;;
	jail) echo "base jail" ;;
	runtime) echo "base runtime" ;;
	virtio) echo "base runtime virtio" ;;
	vhost) echo "base runtime virtio vhost" ;;
	transport) echo "base runtime virtio transport" ;;
	pci) echo "base runtime virtio transport pci" ;;
	mmio) echo "base runtime virtio transport mmio" ;;
	kvm) echo "base runtime transport kvm pci" ;;
	machine) echo "base runtime kvm pci machine" ;;
	vm) echo "base runtime virtio vhost transport pci mmio kvm machine vm" ;;
	esac
}

# Public headers are libvmm's too: those of vm.h and above are for the vm layer and its users.
check_layers()
{
	local layer file include dir count=0

	for layer in base jail runtime virtio vhost transport pci mmio kvm machine vm; do
		while read -r file; do
			count=$((count + 1))
			while read -r include; do
				dir=${include%%/*}
				if [ "$include" != "$dir" ] &&
					[[ " $(allowed_below "$layer") " != *" $dir "* ]]; then
					complain "$file: includes $include, above its layer"
				fi
			done < <(sed -n 's/^#include "\(.*\)".*/\1/p' "$file" | sed 's,^\.\./,,')
			if grep -nE '#include <vmm/dev/' "$file"; then
				complain "$file: libvmm knows no device"
			fi
		done < <(sources "libvmm/$layer")
	done
	while read -r file; do
		count=$((count + 1))
		if sed -n 's/^#include [<"]\(.*\)[>"].*/\1/p' "$file" |
			grep -E '^(kvm|pci|mmio|transport|machine|vm|virtio|vhost|runtime|base|jail)/|^linux/kvm\.h|^vmm/vm\.h$' |
			grep -vE "$(platform_device "$file")"; then
			complain "$file: a device sees public headers only"
		fi
	done < <(sources devices)
	# The jail's table names the requests that go through, and calls none.
	while read -r file; do
		complain "$file: <linux/kvm.h> belongs to libvmm/kvm and libvmm/machine"
	done < <(git grep -lF '<linux/kvm.h>' -- '*.c' '*.h' | grep -vE '^libvmm/(kvm|machine)/' |
		grep -vE '^tests/|^libvmm/jail/table\.c$')
	echo "figure: include directions: $count files, $broken broken"
}

# A serial port is a platform device, whose interface stands in vm.h.
platform_device()
{
	case $1 in
	devices/serial/* | devices/include/vmm/dev/serial.h) echo '^vmm/vm\.h$' ;;
	*) echo '^$' ;;
	esac
}

# arch_conditionals FILE...: the preprocessor's conditionals that ask for an architecture, by its name or by what only some
# have: numbers of system calls, requests of KVM, sizes. "#ifndef SYS_x" may stand for a number that old headers lack,
# where it is the same on all architectures: from 424 on.
arch_conditionals()
{
	local names='__(x86_64|amd64|i[3-6]86|aarch64|AARCH64|arm|ARM|riscv|powerpc|s390|mips|loongarch|SSE|AVX)'
	local sizes='_*I?LP(32|64)|__SIZEOF_|__WORDSIZE|__BYTE_ORDER|__CHAR_UNSIGNED'
	local kernel='SYS_|__NR_|KVM_|__KVM_HAVE_|AUDIT_ARCH_|__has_include *[(] *<asm'

	awk -v asks="(^|[^A-Za-z0-9_])($names|$sizes|$kernel)" '
	function found() { print at ": " text }
	# A line goes on behind a backslash.
	{ line = held $0; held = "" }
	line ~ /\\$/ { held = substr(line, 1, length(line) - 1) " "; next }
	# The line behind #ifndef SYS_x.
	call != "" {
		if (line !~ "^[ \t]*#[ \t]*define[ \t]+" call "[ \t]+(42[4-9]|4[3-9][0-9]|[5-9][0-9][0-9])$")
			found()
		call = ""
	}
	line !~ /^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)[^a-z]/ { next }
	{ at = FILENAME ":" FNR; text = line }
	line ~ /ifndef[ \t]+SYS_[a-z0-9_]+$/ { call = line; sub(/.*[ \t]/, "", call); next }
	line ~ asks { found() }
	END { if (call != "") found() }' "$@"
}

# Which architecture it is stands in folders that CMake chooses; conditionals, if at all, below libvmm/machine and in the
# jail's own words for each.
check_arch()
{
	local files line

	mapfile -t files < <(git ls-files -- '*.c' '*.h' '*.S' |
		grep -vE '^libvmm/(machine|jail/(x86_64|aarch64))/')
	while read -r line; do
		complain "$line: asks for an architecture outside libvmm/machine"
	done < <(arch_conditionals "${files[@]}")
	echo "figure: architecture: ${#files[@]} files, $broken broken"
}

# What a plain build of the archives shows: names, calls a library must not make, data that could change.
check_symbols()
{
	local archive count

	must cmake -S . -B "$scratch/b" -G Ninja -DVMM_TESTS=OFF -DVMM_CLI=OFF -DBUILD_SHARED_LIBS=OFF
	must cmake --build "$scratch/b" -j "$(nproc)"
	for archive in "$scratch/b/libvmm/libvmm.a" "$scratch/b/devices/libvmm-devices.a"; do
		while read -r name; do
			complain "${archive##*/}: exports $name"
		done < <(nm -g --defined-only "$archive" 2>/dev/null |
			awk 'NF == 3 && $3 !~ /^vmm_/ { print $3 }' | sort -u)
		while read -r member name; do
			# A pty makes the terminal raw that it opened itself.
			[[ $member == *:pty.c.o: && $name == tcsetattr ]] && continue
			# Between fork and exec there is no caller to return to.
			[[ $member == *:launch.c.o: && $name == _exit ]] && continue
			complain "${archive##*/}: calls $name"
		done < <(nm -A -u "$archive" 2>/dev/null | awk '{ print $1, $3 }' | sort -u |
			grep -E ' (exit|_exit|_Exit|quick_exit|abort|__assert_fail|printf|puts|putchar|perror|fprintf|vfprintf|__(v?f?printf)_chk|stdout|stderr|stdin|syslog|system|tcsetattr|signal)$')
		while read -r name; do
			complain "${archive##*/}: mutable object $name"
		done < <(nm "$archive" 2>/dev/null | awk 'NF == 3 && $2 ~ /^[bBdDcC]$/ { print $3 }' | sort -u |
			grep -vxFf <(relro_objects "$archive"))
	done
	count=$(nm -g --defined-only "$scratch/b/libvmm/libvmm.a" "$scratch/b/devices/libvmm-devices.a" 2>/dev/null |
		grep -c ' T vmm_')
	echo "figure: symbols: $count exported functions, $broken broken"
}

# Tables of pointers are constant, but relocated: nm calls them data.
relro_objects()
{
	echo '-'
	objdump -t "$1" 2>/dev/null | awk '/\.data\.rel\.ro/ { print $NF }' | sort -u
}

check_format()
{
	local files

	mapfile -t files < <(sources)
	clang-format --dry-run -Werror "${files[@]}" || complain "clang-format -i would change files"
	echo "figure: clang-format: ${#files[@]} files, $broken broken"
}

# for_aarch64 RULE TOOL...: a rule that looks at what is built for aarch64 on another machine.
for_aarch64()
{
	local rule=$1 tool

	if [ "$vmm_arch" = aarch64 ]; then
		echo "skipped: $rule: this machine's own architecture, which other rules are about"
		exit 77
	fi
	for tool in aarch64-linux-gnu-gcc "${@:2}"; do
		if ! command -v "$tool" >/dev/null; then
			echo "skipped: $rule: there is no $tool"
			exit 77
		fi
	done
}

# tidy BUILD FILE...: with the options that BUILD compiles them with.
tidy()
{
	printf '%s\n' "${@:2}" |
		xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$1" --warnings-as-errors='*' \
			2>"$scratch/err" || complain "clang-tidy has found something"
	grep -vE 'warnings? generated|^Suppressed|^Use -header-filter' "$scratch/err" || true
	echo "figure: clang-tidy: $(($# - 1)) files, $broken broken"
}

# All but the folders of other machines.
check_tidy()
{
	local files

	mapfile -t files < <(sources libvmm devices vmm-cli | grep '\.c$' |
		awk -v own="libvmm/machine/$vmm_arch/" '!/^libvmm\/machine\// || index($0, own) == 1')
	tidy "$build" "${files[@]}"
}

check_tidy_aarch64()
{
	local files

	for_aarch64 tidy_aarch64 clang-tidy
	must cmake --preset dev-aarch64 -B "$scratch/b"
	mapfile -t files < <(sources libvmm/machine/aarch64 | grep '\.c$')
	tidy "$scratch/b" "${files[@]}"
}

check_cppcheck()
{
	cppcheck --quiet --std=c11 --platform=unix64 --error-exitcode=1 --inline-suppr -j "$(nproc)" \
		--enable=warning,performance,portability --suppress=missingIncludeSystem \
		--suppressions-list="$here/cppcheck.suppress" \
		-Ilibvmm/include -Idevices/include -Ilibvmm -Ivmm-cli libvmm devices vmm-cli ||
		complain "cppcheck has found something"
	echo "figure: cppcheck: $(sources libvmm devices vmm-cli | grep -c '\.c$') files, $broken broken"
}

check_shell()
{
	local files

	mapfile -t files < <(git ls-files | while read -r f; do
		if [ -f "$f" ] && head -n 1 "$f" | grep -qaE '^#!.*\b(ba)?sh\b|^# shellcheck shell'; then
			echo "$f"
		fi
	done)
	# Scripts name what they source relative to themselves. Words of /proc/cmdline are meant to be split
	# (SC2013), and busybox's shell is checked as dash (SC2187).
	shellcheck -x -P SCRIPTDIR -P . -e SC1091,SC2013,SC2187 "${files[@]}" ||
		complain "shellcheck has found something"
	echo "figure: shellcheck: ${#files[@]} files, $broken broken"
}

# Both compilers, warnings as errors, and the C library of the release.
check_clang()
{
	local cc

	for cc in gcc clang; do
		must env CC=$cc cmake -S . -B "$scratch/$cc" -G Ninja -DVMM_WERROR=ON \
			-DCMAKE_BUILD_TYPE=RelWithDebInfo
		cmake --build "$scratch/$cc" -j "$(nproc)" >"$scratch/log" 2>&1 ||
			{ grep -E 'error|warning' "$scratch/log" | head -n 20; complain "$cc warns"; }
	done
	echo "figure: compilers: gcc and clang with -Werror, $broken broken"
}

# The tests too, for the other machine.
check_gcc_aarch64()
{
	for_aarch64 gcc_aarch64
	must cmake --preset dev-aarch64 -B "$scratch/b" -DVMM_WERROR=ON
	cmake --build "$scratch/b" -j "$(nproc)" >"$scratch/log" 2>&1 ||
		{ grep -E 'error|warning' "$scratch/log" | head -n 20; complain "gcc for aarch64 warns"; }
	echo "figure: compilers: gcc for aarch64 with -Werror, $broken broken"
}

# The binary is read, not the flags it was built with.
# static_pie FILE [EMULATOR]: what the linker was asked for is what it did.
static_pie()
{
	local name=${1##*/} binary=$1 head dyn

	head=$(readelf -hlW "$binary") dyn=$(readelf -dW "$binary")
	grep -q 'Type:.*DYN' <<<"$head" || complain "$name: not position independent"
	! grep -q INTERP <<<"$head" || complain "$name: wants a dynamic loader"
	! grep -qE 'NEEDED|RPATH|RUNPATH|TEXTREL' <<<"$dyn" || complain "$name: has NEEDED, RPATH or TEXTREL"
	grep -qE 'FLAGS_1.*PIE' <<<"$dyn" || complain "$name: no PIE flag"
	grep -qE 'BIND_NOW|FLAGS_1.*NOW' <<<"$dyn" || complain "$name: not BIND_NOW"
	grep -q GNU_RELRO <<<"$head" || complain "$name: no RELRO"
	grep -qE 'GNU_STACK.* RW ' <<<"$head" || complain "$name: executable stack"
	! grep -qE 'LOAD.* RWE ' <<<"$head" || complain "$name: a segment is writable and executable"
	"${@:2}" "$binary" --help >"$scratch/help" || complain "$name --help fails"
}

# release PRESET ARCH [EMULATOR]: builds it, and looks at both programs.
release()
{
	local preset=$1 cli=build/$1/vmm-cli/vmm-cli device=build/$1/devices/process/vmm-device
	local size limit=1000000

	# Its pages may be as large as 64 KiB, so that is where segments begin: a fifth of the files is nothing.
	[ "$2" != aarch64 ] || limit=1400000
	must cmake --preset "$preset"
	must cmake --build "build/$preset" -j "$(nproc)"
	size=$(($(stat -c %s "$cli") + $(stat -c %s "$device")))
	[ "$size" -lt "$limit" ] || complain "both programs: $size bytes, not under $limit"
	static_pie "$cli" "${@:3}"
	static_pie "$device" "${@:3}"
	echo "figure: $preset binaries: vmm-cli $(stat -c %s "$cli") bytes, vmm-device $(stat -c %s "$device") bytes, static-pie, $broken broken"
}

check_binary()
{
	release release "$vmm_arch"
}

check_binary_aarch64()
{
	for_aarch64 binary_aarch64 qemu-aarch64
	release release-aarch64 aarch64 qemu-aarch64
}

# Installed headers, libraries and package files are all that the examples see.
check_package()
{
	local prefix=$scratch/prefix count

	must cmake --preset package -B "$scratch/p"
	must cmake --build "$scratch/p" -j "$(nproc)"
	must cmake --install "$scratch/p" --prefix "$prefix"
	mkdir "$scratch/examples"
	cp examples/*.c examples/CMakeLists.txt "$scratch/examples"
	must cmake -S "$scratch/examples" -B "$scratch/e" -DCMAKE_PREFIX_PATH="$prefix"
	must cmake --build "$scratch/e"
	# The same through pkg-config, static.
	PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name vmm.pc)")
	export PKG_CONFIG_PATH
	for source in "$scratch"/examples/*.c; do
		# shellcheck disable=SC2046
		gcc -std=c11 -D_GNU_SOURCE $(pkg-config --cflags vmm-devices) "$source" -o "$scratch/out" \
			$(pkg-config --static --libs vmm-devices) ||
			complain "${source##*/}: does not build with pkg-config"
	done
	count=$(find "$scratch/examples" -maxdepth 1 -name '*.c' | wc -l)
	echo "figure: package: $count examples built against it, $broken broken"
}

# No path of a machine and no registry's host in the tree.
check_history()
{
	if git grep -nIE '(^|[[:space:]"=(])(/home/[a-z]+/|/Users/)|deb\.debian\.org|registry\.npmjs' -- . ':!tests/contract/check.sh'; then
		complain "a path of a machine or a host of a registry"
	fi
	echo "figure: tree: $(git ls-files | wc -l) files, $broken broken"
}

"check_$1"
[ "$broken" -eq 0 ]
