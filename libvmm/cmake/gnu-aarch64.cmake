# Toolchain file: Debian's own C library for aarch64, from any machine, for the tests. Static, so that a program runs under
# qemu-aarch64 and in a lab with nothing beside it; undefined behaviour is a trap, which needs no library either.
set(VMM_TARGET aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
if(_root)
	set(_sysinclude ${CMAKE_BINARY_DIR}/gnu-include)
	link_headers(${_sysinclude} check.h check_stdint.h subunit ${_library_headers})
	set(CMAKE_C_FLAGS_INIT "-isystem ${_sysinclude} -fsanitize=undefined -fsanitize-undefined-trap-on-error")
	set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
	set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
	set(ENV{PKG_CONFIG_LIBDIR} ${_root}/usr/lib/${_triplet}/pkgconfig)
	set(ENV{PKG_CONFIG_SYSROOT_DIR} ${_root})
endif()
