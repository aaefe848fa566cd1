# Toolchain file: Debian's own C library for aarch64, from any machine, for the tests. All but that
# C library is linked statically, so that a program runs in a lab with nothing else beside it; undefined behaviour is a trap,
# which needs no library.
set(VMM_TARGET aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
if(_root)
	set(_sysinclude ${CMAKE_BINARY_DIR}/gnu-include)
	link_headers(${_sysinclude} check.h check_stdint.h subunit ${_library_headers})
	set(CMAKE_C_FLAGS_INIT "-isystem ${_sysinclude} -fsanitize=undefined -fsanitize-undefined-trap-on-error")
	set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/${_triplet})
	set(ENV{PKG_CONFIG_LIBDIR} ${_root}/usr/lib/${_triplet}/pkgconfig)
	set(ENV{PKG_CONFIG_SYSROOT_DIR} ${_root})
endif()
