# What differs between the architectures of the default VMs, in one place. Sourced after setup.sh.
# shellcheck shell=bash disable=SC2034,SC2154

# use_arch ARCH: from here on it is about VMs of ARCH (x86_64 or aarch64). Sets
#   arch         ARCH
#   deb          its name in Debian
#   flavour      the flavour of Debian's kernel (kernel_dir)
#   make_kernel  the command that makes a VM directory's vmlinux of the package's vmlinuz: FROM TO
#   triplet      the folder of its libraries
#   loader       the dynamic loader
#   root_type    the type of a discoverable root partition
#   serial       the serial port, as Linux calls it
#   qemu         of the control: the package, the program, the machine, the processor when it is emulated
#   preset       the CMake preset whose programs run there
#   compiler     packages it takes here, beside those that every build takes
use_arch()
{
	arch=$1
	deb=$(deb_arch "$arch") || exit 2
	flavour=$deb
	triplet=$arch-linux-gnu
	preset=release
	compiler=()
	case $arch in
	x86_64)
		make_kernel=vmlinux_of
		loader=lib64/ld-linux-x86-64.so.2
		root_type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709
		serial=ttyS0
		qemu=(qemu-system-x86 qemu-system-x86_64 q35 max)
		;;
	aarch64)
		# It is an Image as it stands.
		make_kernel=cp
		loader=lib/ld-linux-aarch64.so.1
		root_type=b921b045-1df0-41c3-af44-4c6f280d3fae
		serial=ttyAMA0
		compiler=(libfdt-dev zlib1g-dev)
		# Pointer authentication as the architecture has it is slow to emulate.
		qemu=(qemu-system-arm qemu-system-aarch64 virt,gic-version=max max,pauth-impdef=on)
		;;
	esac
	if [ "$arch" != "$vmm_arch" ]; then
		preset=release-$arch
		compiler=("gcc-${triplet//_/-}")
	fi
}
